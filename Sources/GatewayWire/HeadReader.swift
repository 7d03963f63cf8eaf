/// Why reading a head stopped before its end.
enum HeadStop: Error {
    case incomplete
    case fault(HTTPFault)
}

/// One header line of a head, as offsets into the buffer.
struct HeaderLine {
    var nameStart: Int
    var nameEnd: Int
    /// Without white space around it.
    var valueStart: Int
    var valueEnd: Int

    @inline(__always) var nameCount: Int { self.nameEnd &- self.nameStart }
    @inline(__always) var value: ByteRange { ByteRange(self.valueStart, self.valueEnd) }
}

/// Reads a head from the front, strictly: every line ends with CR LF, nothing is repaired (RFC 9112, sections 2 to 5).
/// It never reads at or behind `end`.
struct HeadReader {
    let base: UnsafeRawPointer
    let end: Int
    var position = 0

    @inline(__always)
    func byte(_ position: Int) -> UInt8 { ByteScan.byte(self.base, position) }

    /// CR LF at the position; leaves the position behind it.
    @inline(__always)
    mutating func readLineEnd(orFault fault: HTTPFault) throws(HeadStop) {
        guard self.position < self.end else { throw .incomplete }
        guard self.byte(self.position) == 0x0D else {
            throw .fault(self.byte(self.position) == 0x0A ? .badLineEnd : fault)
        }
        guard self.position &+ 1 < self.end else { throw .incomplete }
        guard self.byte(self.position &+ 1) == 0x0A else { throw .fault(.badLineEnd) }
        self.position &+= 2
    }

    /// One header line, or `nil` for the blank line that ends the head; leaves the position behind it.
    @inline(__always)
    mutating func readHeader() throws(HeadStop) -> HeaderLine? {
        let start = self.position
        var position = ByteScan.skipName(self.base, start, self.end)
        while position < self.end, ByteClass.isToken(self.byte(position)) { position &+= 1 }
        guard position < self.end else { throw .incomplete }
        let stop = self.byte(position)
        if position == start, stop == 0x0D {
            try self.readLineEnd(orFault: .badHeaderName)
            return nil
        }
        guard stop == UInt8(ascii: ":"), position > start else { throw .fault(self.nameFault(at: position, start)) }
        let nameEnd = position
        position &+= 1
        while position < self.end, ByteClass.isBlank(self.byte(position)) { position &+= 1 }
        let valueStart = position
        position = ByteScan.control(self.base, position, self.end)
        while position < self.end, self.byte(position) == 0x09 {
            position = ByteScan.control(self.base, position &+ 1, self.end)
        }
        var valueEnd = position
        self.position = position
        try self.readLineEnd(orFault: .badHeaderValue)
        while valueEnd > valueStart, ByteClass.isBlank(self.byte(valueEnd &- 1)) { valueEnd &-= 1 }
        return HeaderLine(nameStart: start, nameEnd: nameEnd, valueStart: valueStart, valueEnd: valueEnd)
    }

    private func nameFault(at position: Int, _ start: Int) -> HTTPFault {
        switch self.byte(position) {
        case 0x20, 0x09: position == start ? .foldedHeader : .spaceBeforeColon
        case 0x0A: .badLineEnd
        case 0x0D where position &+ 1 < self.end && self.byte(position &+ 1) != 0x0A: .badLineEnd
        default: .badHeaderName
        }
    }

    /// Whether the name of `line` is `lowercase`, which must have `nameCount` bytes.
    @inline(__always)
    func isNamed(_ line: HeaderLine, _ lowercase: StaticString) -> Bool {
        ByteScan.matchesFolded(self.base, line.nameStart, lowercase)
    }

    /// Whether the value of `line` is `lowercase`, in any case.
    @inline(__always)
    func isValue(_ line: HeaderLine, _ lowercase: StaticString) -> Bool {
        line.valueEnd &- line.valueStart == lowercase.utf8CodeUnitCount
            && ByteScan.matchesFolded(self.base, line.valueStart, lowercase)
    }

    /// One decimal number of 1 to 18 digits. `nil`: anything else.
    @inline(__always)
    func decimal(_ line: HeaderLine) -> Int64? {
        let count = line.valueEnd &- line.valueStart
        guard count > 0, count <= 18 else { return nil }
        var value: Int64 = 0
        for position in line.valueStart..<line.valueEnd {
            let digit = self.byte(position) &- 0x30
            guard digit < 10 else { return nil }
            value = value &* 10 &+ Int64(digit)
        }
        return value
    }

    /// Applies a `Connection` header (RFC 9110, section 7.6.1): `close` wins over `keep-alive`.
    func readConnection(_ line: HeaderLine, _ options: inout ConnectionOptions) {
        var start = line.valueStart
        while start < line.valueEnd {
            var end = start
            while end < line.valueEnd, self.byte(end) != UInt8(ascii: ",") { end &+= 1 }
            let next = end &+ 1
            while start < end, ByteClass.isBlank(self.byte(start)) { start &+= 1 }
            while end > start, ByteClass.isBlank(self.byte(end &- 1)) { end &-= 1 }
            if end &- start == 5, ByteScan.matchesFolded(self.base, start, "close") { options.close = true }
            if end &- start == 10, ByteScan.matchesFolded(self.base, start, "keep-alive") { options.keepAlive = true }
            start = next
        }
    }
}

/// What the `Connection` headers of a message said.
struct ConnectionOptions {
    var close = false
    var keepAlive = false

    func keepsAlive(isHTTP11: Bool) -> Bool { !self.close && (isHTTP11 || self.keepAlive) }
}
