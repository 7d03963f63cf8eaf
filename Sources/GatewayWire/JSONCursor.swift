import CMartlet

/// A strict reader of JSON text (RFC 8259) at a position of raw bytes: values are validated while they are skipped,
/// strings included (escapes, control characters, UTF-8). It never reads at or behind `end`.
struct JSONCursor {
    let base: UnsafeRawPointer
    let end: Int
    var position = 0
    /// Bytes by which the strings read so far get shorter when their escapes are resolved.
    var escapeOverhead = 0
    /// The last string read was ASCII without escapes.
    var isPlain = true
    /// Bytes of all string values that `skipValue` has passed, escapes resolved.
    var textBytes = 0

    init(base: UnsafeRawPointer, count: Int) {
        self.base = base
        self.end = count
    }

    @inline(__always)
    func byte(_ position: Int) -> UInt8 { ByteScan.byte(self.base, position) }

    /// The next byte that is not white space, which stays unread.
    @inline(__always)
    mutating func peekToken() throws(JSONFault) -> UInt8 {
        guard self.position < self.end else { throw .truncated }
        let byte = self.byte(self.position)
        if byte > 0x20 { return byte }
        // One space, as many writers put behind each comma and colon.
        if byte == 0x20, self.position &+ 1 < self.end, self.byte(self.position &+ 1) > 0x20 {
            self.position &+= 1
            return self.byte(self.position)
        }
        return try self.peekBehindWhitespace()
    }

    @inline(never)
    private mutating func peekBehindWhitespace() throws(JSONFault) -> UInt8 {
        while self.position < self.end {
            let byte = self.byte(self.position)
            guard byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 else { return byte }
            self.position &+= 1
        }
        throw .truncated
    }

    /// Reads `expected`, maybe behind white space.
    @inline(__always)
    mutating func read(_ expected: UInt8) throws(JSONFault) {
        guard try self.peekToken() == expected else { throw .malformed(offset: self.position) }
        self.position &+= 1
    }

    // MARK: - Strings

    /// Reads the string whose opening quote is at the position; gives the range of its content.
    @inline(__always)
    mutating func readString() throws(JSONFault) -> ByteRange {
        let start = self.position &+ 1
        let stop = ByteScan.stringStop(self.base, start, self.end)
        if stop < self.end, self.byte(stop) == UInt8(ascii: "\"") {
            self.position = stop &+ 1
            self.isPlain = true
            return ByteRange(start, stop)
        }
        self.position = stop
        self.isPlain = false
        return ByteRange(start, try self.finishString())
    }

    /// Reads on from the first byte of a string that is not plain ASCII; gives the offset of the closing quote.
    @inline(never)
    private mutating func finishString() throws(JSONFault) -> Int {
        while self.position < self.end {
            self.skipShortEscapes()
            guard self.position < self.end else { break }
            switch self.byte(self.position) {
            case UInt8(ascii: "\""):
                self.position &+= 1
                return self.position &- 1
            case UInt8(ascii: "\\"): try self.readEscape()
            case 0x00..<0x20: throw .malformed(offset: self.position)
            case 0x80...0xFF:
                let stop = UTF8Scan.skipMultibyte(self.base, self.position, self.end)
                if stop < 0 { throw .invalidUTF8(offset: ~stop) }
                self.position = stop
            default: self.position = ByteScan.stringStop(self.base, self.position, self.end)
            }
        }
        throw .truncated
    }

    /// Prompts are full of escaped quotes and line ends: those are skipped by the block.
    @inline(__always)
    private mutating func skipShortEscapes() {
        var escapes = 0
        self.position = cmartlet_skip_string(self.base, self.position, self.end, &escapes)
        self.escapeOverhead &+= escapes
    }

    @inline(__always)
    private mutating func readEscape() throws(JSONFault) {
        guard self.position &+ 1 < self.end else { throw .truncated }
        switch self.byte(self.position &+ 1) {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"),
            UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
            self.position &+= 2
            self.escapeOverhead &+= 1
        case UInt8(ascii: "u"):
            guard self.end &- self.position >= 6 else { throw .truncated }
            guard let unit = JSONEscape.codeUnit(self.base, self.position &+ 2) else {
                throw .malformed(offset: self.position)
            }
            self.position &+= 6
            self.escapeOverhead &+= JSONEscape.overhead(ofUnit: unit)
        default: throw .malformed(offset: self.position)
        }
    }

    // MARK: - Values

    /// Skips the value at the position, white space before it excepted, which lies `depth` containers deep.
    @inline(__always)
    mutating func skipValue(first: UInt8, depth: Int) throws(JSONFault) {
        switch first {
        case UInt8(ascii: "\""):
            let overhead = self.escapeOverhead
            let content = try self.readString()
            self.textBytes &+= content.count &- (self.escapeOverhead &- overhead)
        case UInt8(ascii: "{"), UInt8(ascii: "["): try self.skipContainer(depth: depth)
        default: try self.skipScalar(first: first)
        }
    }

    /// Numbers and literals.
    @inline(__always)
    mutating func skipScalar(first: UInt8) throws(JSONFault) {
        switch first {
        case UInt8(ascii: "t"): try self.readLiteral("true")
        case UInt8(ascii: "f"): try self.readLiteral("false")
        case UInt8(ascii: "n"): try self.readLiteral("null")
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): try self.skipNumber()
        default: throw .malformed(offset: self.position)
        }
    }

    @inline(__always)
    private mutating func readLiteral(_ literal: StaticString) throws(JSONFault) {
        guard self.end &- self.position >= literal.utf8CodeUnitCount else { throw .truncated }
        guard ByteScan.matches(self.base, self.position, literal) else { throw .malformed(offset: self.position) }
        self.position &+= literal.utf8CodeUnitCount
    }

    private mutating func skipNumber() throws(JSONFault) {
        if self.byte(self.position) == UInt8(ascii: "-") { self.position &+= 1 }
        guard self.position < self.end else { throw .truncated }
        if self.byte(self.position) == UInt8(ascii: "0") {
            self.position &+= 1
        } else {
            try self.skipDigits()
        }
        if self.position < self.end, self.byte(self.position) == UInt8(ascii: ".") {
            self.position &+= 1
            try self.skipDigits()
        }
        if self.position < self.end, self.byte(self.position) | 0x20 == UInt8(ascii: "e") {
            self.position &+= 1
            if self.position < self.end,
                self.byte(self.position) == UInt8(ascii: "+") || self.byte(self.position) == UInt8(ascii: "-")
            {
                self.position &+= 1
            }
            try self.skipDigits()
        }
    }

    /// One digit or more.
    @inline(__always)
    private mutating func skipDigits() throws(JSONFault) {
        let start = self.position
        while self.position < self.end, ByteClass.isDigit(self.byte(self.position)) { self.position &+= 1 }
        guard self.position > start else {
            if self.position < self.end { throw .malformed(offset: self.position) }
            throw .truncated
        }
    }

    /// Skips the array or object at the position, without recursion: no depth of nesting can exhaust the stack.
    @inline(never)
    private mutating func skipContainer(depth: Int) throws(JSONFault) {
        var open = OpenContainers()
        try self.openContainer(&open, depth: depth)
        while true {
            var token = try self.peekToken()
            if open.isEmptySoFar, token == open.closer {
                guard try self.isInsideAfterValue(&open) else { return }
                continue
            }
            if open.isObject {
                guard token == UInt8(ascii: "\"") else { throw .malformed(offset: self.position) }
                _ = try self.readString()
                try self.read(UInt8(ascii: ":"))
                token = try self.peekToken()
            }
            switch token {
            case UInt8(ascii: "{"), UInt8(ascii: "["):
                try self.openContainer(&open, depth: depth)
                continue
            case UInt8(ascii: "\""):
                let overhead = self.escapeOverhead
                let content = try self.readString()
                self.textBytes &+= content.count &- (self.escapeOverhead &- overhead)
            default: try self.skipScalar(first: token)
            }
            guard try self.isInsideAfterValue(&open) else { return }
        }
    }

    @inline(__always)
    private mutating func openContainer(_ open: inout OpenContainers, depth: Int) throws(JSONFault) {
        guard depth &+ open.level < JSONScanner.depthMax else { throw .tooDeep(offset: self.position) }
        open.push(isObject: self.byte(self.position) == UInt8(ascii: "{"))
        self.position &+= 1
    }

    /// Reads what follows a value: a comma, or closing brackets and then a comma. `false`: the last container closed.
    @inline(__always)
    private mutating func isInsideAfterValue(_ open: inout OpenContainers) throws(JSONFault) -> Bool {
        while true {
            let token = try self.peekToken()
            if token == UInt8(ascii: ",") {
                self.position &+= 1
                open.isEmptySoFar = false
                return true
            }
            guard token == open.closer else { throw .malformed(offset: self.position) }
            self.position &+= 1
            open.pop()
            if open.level == 0 { return false }
        }
    }
}

/// The containers around a position, innermost in bit 0 of `kinds`, 1 for an object. Holds `JSONScanner.depthMax`.
private struct OpenContainers {
    private var kinds: UInt128 = 0
    private(set) var level = 0
    /// Nothing has been read in the innermost container, so it may close at once.
    var isEmptySoFar = false

    init() {}

    @inline(__always) var isObject: Bool { self.kinds & 1 == 1 }
    @inline(__always) var closer: UInt8 { self.isObject ? UInt8(ascii: "}") : UInt8(ascii: "]") }

    @inline(__always)
    mutating func push(isObject: Bool) {
        self.kinds = self.kinds &<< 1 | (isObject ? 1 : 0)
        self.level &+= 1
        self.isEmptySoFar = true
    }

    @inline(__always)
    mutating func pop() {
        self.kinds = self.kinds &>> 1
        self.level &-= 1
    }
}
