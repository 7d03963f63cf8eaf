/// Fills a `ResponseHead` from the bytes of one response.
struct ResponseHeadParser {
    private var reader: HeadReader
    private let limits: HTTPLimits
    private(set) var head = ResponseHead()
    private var connection = ConnectionOptions()
    private var sawTransferEncoding = false

    /// `count` may exceed the limit of a head; what lies behind it is not read.
    init(base: UnsafeRawPointer, count: Int, limits: HTTPLimits) {
        self.reader = HeadReader(base: base, end: min(count, limits.headBytesMax))
        self.limits = limits
    }

    mutating func parse() throws(HeadStop) {
        try self.readStatusLine()
        var headerCount = 0
        while let line = try self.reader.readHeader() {
            headerCount &+= 1
            guard headerCount <= self.limits.headerCountMax else { throw .fault(.tooManyHeaders) }
            try self.note(line)
        }
        self.head.headBytes = self.reader.position
        self.head.keepAlive = self.connection.keepsAlive(isHTTP11: self.head.isHTTP11)
        if self.sawTransferEncoding {
            guard self.head.isHTTP11 else { throw .fault(.transferCodingOnHTTP10) }
            guard self.head.contentLength < 0 else { throw .fault(.lengthAndChunked) }
        }
    }

    /// `HTTP/1.1 200 OK`; the reason phrase, and the space before it, may be missing.
    @inline(__always)
    private mutating func readStatusLine() throws(HeadStop) {
        guard self.reader.end >= 13 else {
            // Enough to tell another protocol at once; anything shorter may still become a status line.
            if self.reader.end >= 5, !ByteScan.matches(self.reader.base, 0, "HTTP/") { throw .fault(.badStatusLine) }
            throw .incomplete
        }
        if ByteScan.matches(self.reader.base, 0, "HTTP/1.1 ") {
            self.head.isHTTP11 = true
        } else if ByteScan.matches(self.reader.base, 0, "HTTP/1.0 ") {
            self.head.isHTTP11 = false
        } else {
            throw .fault(ByteScan.matches(self.reader.base, 0, "HTTP/") ? .unsupportedVersion : .badStatusLine)
        }
        var status = 0
        for position in 9..<12 {
            let digit = self.reader.byte(position) &- 0x30
            guard digit < 10 else { throw .fault(.badStatusLine) }
            status = status &* 10 &+ Int(digit)
        }
        guard status >= 100, status <= 599 else { throw .fault(.badStatusLine) }
        self.head.status = status
        self.reader.position = 12
        if self.reader.byte(12) == 0x20 {
            var position = ByteScan.control(self.reader.base, 13, self.reader.end)
            while position < self.reader.end, self.reader.byte(position) == 0x09 {
                position = ByteScan.control(self.reader.base, position &+ 1, self.reader.end)
            }
            self.reader.position = position
        }
        try self.reader.readLineEnd(orFault: .badStatusLine)
    }

    @inline(__always)
    private mutating func note(_ line: HeaderLine) throws(HeadStop) {
        let reader = self.reader
        switch line.nameCount {
        case 10: if reader.isNamed(line, "connection") { reader.readConnection(line, &self.connection) }
        case 11: if reader.isNamed(line, "retry-after") { self.head.retryAfter = line.value }
        case 12: if reader.isNamed(line, "content-type") { self.noteContentType(line) }
        case 14: if reader.isNamed(line, "content-length") { try self.noteContentLength(line) }
        case 16: if reader.isNamed(line, "content-encoding") { self.head.contentEncoding = line.value }
        case 17: if reader.isNamed(line, "transfer-encoding") { try self.noteTransferEncoding(line) }
        default: break
        }
    }

    private mutating func noteContentType(_ line: HeaderLine) {
        self.head.contentType = line.value
        let name: StaticString = "text/event-stream"
        let end = line.valueStart &+ name.utf8CodeUnitCount
        guard end <= line.valueEnd, ByteScan.matchesFolded(self.reader.base, line.valueStart, name) else {
            self.head.isEventStream = false
            return
        }
        let next = end < line.valueEnd ? self.reader.byte(end) : UInt8(ascii: ";")
        self.head.isEventStream = next == UInt8(ascii: ";") || ByteClass.isBlank(next)
    }

    /// Some servers behind proxies repeat an equal length; that is harmless, unlike two that differ.
    private mutating func noteContentLength(_ line: HeaderLine) throws(HeadStop) {
        guard let length = self.reader.decimal(line) else { throw .fault(.badContentLength) }
        guard self.head.contentLength < 0 || self.head.contentLength == length else {
            throw .fault(.repeatedContentLength)
        }
        self.head.contentLength = length
    }

    private mutating func noteTransferEncoding(_ line: HeaderLine) throws(HeadStop) {
        guard !self.sawTransferEncoding else { throw .fault(.repeatedTransferCoding) }
        self.sawTransferEncoding = true
        guard self.reader.isValue(line, "chunked") else { throw .fault(.unsupportedTransferCoding) }
        self.head.isChunked = true
    }
}
