/// Fills a `RequestHead` from the bytes of one request.
struct RequestHeadParser {
    private var reader: HeadReader
    private let limits: HTTPLimits
    private(set) var head = RequestHead()
    private var connection = ConnectionOptions()
    private var sawTransferEncoding = false
    private var sawHost = false
    private var hasAuthority = false

    /// `count` may exceed the limit of a head; what lies behind it is not read.
    init(base: UnsafeRawPointer, count: Int, limits: HTTPLimits) {
        self.reader = HeadReader(base: base, end: min(count, limits.headBytesMax))
        self.limits = limits
    }

    mutating func parse() throws(HeadStop) {
        try self.readRequestLine()
        var headerCount = 0
        while let line = try self.reader.readHeader() {
            headerCount &+= 1
            guard headerCount <= self.limits.headerCountMax else { throw .fault(.tooManyHeaders) }
            try self.note(line)
        }
        self.head.headBytes = self.reader.position
        self.head.keepAlive = self.connection.keepsAlive(isHTTP11: self.head.isHTTP11)
        try self.checkTogether()
    }

    /// Rules that concern more than one line.
    private mutating func checkTogether() throws(HeadStop) {
        if self.sawTransferEncoding {
            guard self.head.isHTTP11 else { throw .fault(.transferCodingOnHTTP10) }
            guard self.head.contentLength < 0 else { throw .fault(.lengthAndChunked) }
        }
        guard self.sawHost || !self.head.isHTTP11 else { throw .fault(.missingHost) }
        // A 1.0 caller cannot read an interim response (RFC 9110, section 10.1.1).
        if !self.head.isHTTP11 { self.head.expectsContinue = false }
    }

    // MARK: - Request line

    @inline(__always)
    private mutating func readRequestLine() throws(HeadStop) {
        // One empty line is forgiven (RFC 9112, section 2.2).
        if self.reader.position < self.reader.end, self.reader.byte(0) == 0x0D || self.reader.byte(0) == 0x0A {
            try self.reader.readLineEnd(orFault: .badLineEnd)
        }
        try self.readMethod()
        try self.readTarget()
        try self.readVersion()
    }

    @inline(__always)
    private mutating func readMethod() throws(HeadStop) {
        let start = self.reader.position
        var position = start
        // Longer than any registered method.
        let end = min(self.reader.end, start &+ 33)
        while position < end, ByteClass.isToken(self.reader.byte(position)) { position &+= 1 }
        guard position < end else {
            if end &- start < 33 { throw .incomplete }
            throw .fault(.badMethod)
        }
        guard self.reader.byte(position) == 0x20, position > start else {
            throw .fault(self.reader.byte(position) == 0x0A ? .badLineEnd : .badMethod)
        }
        self.head.methodRange = ByteRange(start, position)
        self.head.method = self.method(at: start, count: position &- start)
        self.reader.position = position &+ 1
    }

    @inline(__always)
    private func method(at start: Int, count: Int) -> HTTPMethod {
        let base = self.reader.base
        switch count {
        case 3:
            if ByteScan.matches(base, start, "GET") { return .get }
            return ByteScan.matches(base, start, "PUT") ? .put : .other
        case 4:
            if ByteScan.matches(base, start, "POST") { return .post }
            return ByteScan.matches(base, start, "HEAD") ? .head : .other
        case 5: return ByteScan.matches(base, start, "PATCH") ? .patch : .other
        case 6: return ByteScan.matches(base, start, "DELETE") ? .delete : .other
        case 7: return ByteScan.matches(base, start, "OPTIONS") ? .options : .other
        default: return .other
        }
    }

    @inline(__always)
    private mutating func readTarget() throws(HeadStop) {
        let start = self.reader.position
        let stop = ByteScan.targetStop(self.reader.base, start, self.reader.end)
        guard stop &- start <= self.limits.targetBytesMax else { throw .fault(.targetTooLong) }
        guard stop < self.reader.end else { throw .incomplete }
        guard self.reader.byte(stop) == 0x20 else {
            switch self.reader.byte(stop) {
            case 0x0A: throw .fault(.badLineEnd)
            case 0x0D: throw .fault(.badRequestLine)
            default: throw .fault(.badTarget)
            }
        }
        guard stop > start else { throw .fault(.emptyTarget) }
        self.reader.position = stop &+ 1
        if self.reader.byte(start) == UInt8(ascii: "/") {
            self.head.target = ByteRange(start, stop)
        } else {
            try self.readOtherTarget(start, stop)
        }
    }

    /// Absolute-form (RFC 9112, section 3.2.2) and asterisk-form (3.2.4).
    private mutating func readOtherTarget(_ start: Int, _ stop: Int) throws(HeadStop) {
        let base = self.reader.base
        if stop &- start == 1, self.reader.byte(start) == UInt8(ascii: "*"), self.head.method == .options {
            self.head.target = ByteRange(start, stop)
            return
        }
        var authority = start
        if stop &- start > 7, ByteScan.matchesFolded(base, start, "http://") {
            authority = start &+ 7
        } else if stop &- start > 8, ByteScan.matchesFolded(base, start, "https://") {
            authority = start &+ 8
        } else {
            throw .fault(.badTarget)
        }
        var end = authority
        while end < stop, ByteClass.isHost(self.reader.byte(end)) { end &+= 1 }
        guard end > authority, end == stop || self.reader.byte(end) == UInt8(ascii: "/") else {
            throw .fault(.badTarget)
        }
        self.hasAuthority = true
        self.head.host = ByteRange(authority, end)
        // Without a path it is "/" (RFC 9110, section 4.2.3); the slash before the authority stands for it.
        self.head.target = end == stop ? ByteRange(authority &- 1, authority) : ByteRange(end, stop)
    }

    @inline(__always)
    private mutating func readVersion() throws(HeadStop) {
        let start = self.reader.position
        guard self.reader.end &- start >= 8 else {
            // A second space or an early line end is a fault however much is still to come.
            for position in start..<self.reader.end where self.reader.byte(position) <= 0x20 {
                throw .fault(self.reader.byte(position) == 0x0A ? .badLineEnd : .badRequestLine)
            }
            throw .incomplete
        }
        if ByteScan.matches(self.reader.base, start, "HTTP/1.1") {
            self.head.isHTTP11 = true
        } else if ByteScan.matches(self.reader.base, start, "HTTP/1.0") {
            self.head.isHTTP11 = false
        } else {
            let isVersion =
                ByteScan.matches(self.reader.base, start, "HTTP/") && ByteClass.isDigit(self.reader.byte(start &+ 5))
                && self.reader.byte(start &+ 6) == UInt8(ascii: ".")
                && ByteClass.isDigit(self.reader.byte(start &+ 7))
            throw .fault(isVersion ? .unsupportedVersion : .badRequestLine)
        }
        self.reader.position = start &+ 8
        try self.reader.readLineEnd(orFault: .badRequestLine)
    }

    // MARK: - Headers

    /// Notes a header that the gateway acts on; the length of the name leaves at most two candidates.
    @inline(__always)
    private mutating func note(_ line: HeaderLine) throws(HeadStop) {
        let reader = self.reader
        switch line.nameCount {
        case 4: if reader.isNamed(line, "host") { try self.noteHost(line) }
        case 6:
            if reader.isNamed(line, "accept") {
                if self.head.accept.isEmpty { self.head.accept = line.value }
            } else if reader.isNamed(line, "expect") {
                guard reader.isValue(line, "100-continue") else { throw .fault(.unsupportedExpectation) }
                self.head.expectsContinue = true
            }
        case 7:
            if reader.isNamed(line, "api-key") {
                try Self.setOnce(&self.head.apiKey, line, .repeatedCredential)
            } else if reader.isNamed(line, "upgrade") {
                self.head.upgrade = line.value
            }
        case 9: if reader.isNamed(line, "x-api-key") { try Self.setOnce(&self.head.xAPIKey, line, .repeatedCredential) }
        case 10: if reader.isNamed(line, "connection") { reader.readConnection(line, &self.connection) }
        case 11: if reader.isNamed(line, "traceparent") { self.head.traceparent = line.value }
        case 12:
            if reader.isNamed(line, "content-type") {
                try Self.setOnce(&self.head.contentType, line, .repeatedContentHeader)
            }
        case 13:
            if reader.isNamed(line, "authorization") {
                try Self.setOnce(&self.head.authorization, line, .repeatedCredential)
            }
        case 14:
            if reader.isNamed(line, "content-length") {
                try self.noteContentLength(line)
            } else if reader.isNamed(line, "x-goog-api-key") {
                try Self.setOnce(&self.head.xGoogAPIKey, line, .repeatedCredential)
            } else if reader.isNamed(line, "x-litellm-tags") {
                if self.head.tags.isEmpty { self.head.tags = line.value }
            }
        case 16:
            if reader.isNamed(line, "content-encoding") {
                try Self.setOnce(&self.head.contentEncoding, line, .repeatedContentHeader)
            }
        case 17:
            if reader.isNamed(line, "transfer-encoding") {
                try self.noteTransferEncoding(line)
            } else if reader.isNamed(line, "x-litellm-call-id") {
                if self.head.callID.isEmpty { self.head.callID = line.value }
            } else if reader.isNamed(line, "x-litellm-api-key") {
                try Self.setOnce(&self.head.xLiteLLMAPIKey, line, .repeatedCredential)
            } else if reader.isNamed(line, "x-martlet-dry-run") {
                self.head.dryRun = line.value
            }
        default: break
        }
    }

    /// An empty range at offset 0 is absence; a header that came with an empty value lies elsewhere.
    @inline(__always)
    private static func setOnce(
        _ field: inout ByteRange, _ line: HeaderLine, _ fault: HTTPFault
    ) throws(HeadStop) {
        guard field.end == 0 else { throw .fault(fault) }
        field = line.value
    }

    private mutating func noteHost(_ line: HeaderLine) throws(HeadStop) {
        guard !self.sawHost else { throw .fault(.repeatedHost) }
        self.sawHost = true
        guard line.valueEnd > line.valueStart else { throw .fault(.badHost) }
        for position in line.valueStart..<line.valueEnd where !ByteClass.isHost(self.reader.byte(position)) {
            throw .fault(.badHost)
        }
        if !self.hasAuthority { self.head.host = line.value }
    }

    private mutating func noteContentLength(_ line: HeaderLine) throws(HeadStop) {
        guard self.head.contentLength < 0 else { throw .fault(.repeatedContentLength) }
        guard let length = self.reader.decimal(line) else { throw .fault(.badContentLength) }
        self.head.contentLength = length
        self.head.contentLengthDigits = line.value
    }

    private mutating func noteTransferEncoding(_ line: HeaderLine) throws(HeadStop) {
        guard !self.sawTransferEncoding else { throw .fault(.repeatedTransferCoding) }
        self.sawTransferEncoding = true
        guard self.reader.isValue(line, "chunked") else { throw .fault(.unsupportedTransferCoding) }
        self.head.isChunked = true
    }
}
