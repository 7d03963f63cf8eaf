/// A tolerant reader of JSON text for the answers of providers: it follows the structure on the way to the fields of
/// interest and jumps over everything else by brackets and quotes alone. It never reads at or behind `end`.
struct JSONSkimmer {
    enum Step { case item, end, malformed }

    let base: UnsafeRawPointer
    let end: Int
    var position = 0
    /// Of the item that `nextField` gave: content of the key, escapes unresolved.
    private(set) var key = ByteRange.empty
    /// Bytes by which the last string that `readString` read gets shorter when its escapes are resolved.
    private(set) var escapeOverhead = 0

    init(base: UnsafeRawPointer, start: Int, end: Int) {
        self.base = base
        self.end = end
        self.position = start
    }

    /// The next byte that is not white space, which stays unread. 0: none.
    @inline(__always)
    mutating func peekToken() -> UInt8 {
        guard self.position < self.end else { return 0 }
        let byte = ByteScan.byte(self.base, self.position)
        return byte > 0x20 ? byte : self.peekBehindWhitespace()
    }

    @inline(never)
    private mutating func peekBehindWhitespace() -> UInt8 {
        while self.position < self.end {
            let byte = ByteScan.byte(self.base, self.position)
            guard byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 else { return byte }
            self.position &+= 1
        }
        return 0
    }

    /// Whether `keyName` is the key of the current field.
    @inline(__always)
    func isKey(_ keyName: StaticString) -> Bool {
        self.key.count == keyName.utf8CodeUnitCount && ByteScan.matches(self.base, Int(self.key.start), keyName)
    }

    /// Whether the bytes of `range` are `text`.
    @inline(__always)
    func isText(_ range: ByteRange, _ text: StaticString) -> Bool {
        range.count == text.utf8CodeUnitCount && ByteScan.matches(self.base, Int(range.start), text)
    }

    /// Steps to the next field of the object whose opening brace has been read; the position is then at its value,
    /// which the caller must skip or read. `isFirst` is the caller's, true at the start.
    @inline(__always)
    mutating func nextField(_ isFirst: inout Bool) -> Step {
        var token = self.peekToken()
        if token == UInt8(ascii: "}") {
            self.position &+= 1
            return .end
        }
        if !isFirst {
            guard token == UInt8(ascii: ",") else { return .malformed }
            self.position &+= 1
            token = self.peekToken()
        }
        isFirst = false
        guard token == UInt8(ascii: "\""), let key = self.readString() else { return .malformed }
        guard self.peekToken() == UInt8(ascii: ":") else { return .malformed }
        self.position &+= 1
        self.key = key
        return self.peekToken() == 0 ? .malformed : .item
    }

    /// The same for the elements of an array.
    @inline(__always)
    mutating func nextElement(_ isFirst: inout Bool) -> Step {
        let token = self.peekToken()
        if token == UInt8(ascii: "]") {
            self.position &+= 1
            return .end
        }
        if !isFirst {
            guard token == UInt8(ascii: ",") else { return .malformed }
            self.position &+= 1
        }
        isFirst = false
        return self.peekToken() == 0 ? .malformed : .item
    }

    /// Reads the string whose opening quote is at the position; gives its content. `nil`: cut, or a control character.
    @inline(__always)
    mutating func readString() -> ByteRange? {
        let start = self.position &+ 1
        var stop = ByteScan.quoteOrEscape(self.base, start, self.end)
        self.escapeOverhead = 0
        while stop < self.end {
            let byte = ByteScan.byte(self.base, stop)
            if byte == UInt8(ascii: "\"") {
                self.position = stop &+ 1
                return ByteRange(start, stop)
            }
            guard byte == UInt8(ascii: "\\"), let escape = Self.skipEscape(self.base, stop, self.end) else {
                return nil
            }
            self.escapeOverhead &+= escape.overhead
            stop = ByteScan.quoteOrEscape(self.base, escape.end, self.end)
        }
        return nil
    }

    /// The escape whose backslash is at `position`. `nil`: cut or malformed.
    static func skipEscape(
        _ base: UnsafeRawPointer, _ position: Int, _ end: Int
    ) -> (end: Int, overhead: Int)? {
        guard position &+ 1 < end else { return nil }
        guard ByteScan.byte(base, position &+ 1) == UInt8(ascii: "u") else { return (position &+ 2, 1) }
        guard end &- position >= 6, let unit = JSONEscape.codeUnit(base, position &+ 2) else { return nil }
        return (position &+ 6, JSONEscape.overhead(ofUnit: unit))
    }

    /// Skips the value at the position. `false`: malformed or cut.
    @inline(__always)
    mutating func skipValue() -> Bool {
        switch self.peekToken() {
        case UInt8(ascii: "\""): return self.readString() != nil
        case UInt8(ascii: "{"), UInt8(ascii: "["): return self.skipContainer()
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"):
            self.skipScalar()
            return true
        default: return false
        }
    }

    /// Number or literal: everything up to white space or punctuation.
    @inline(__always)
    mutating func skipScalar() {
        while self.position < self.end {
            let byte = ByteScan.byte(self.base, self.position)
            if byte <= 0x20 || byte == UInt8(ascii: ",") || byte | 0x20 == UInt8(ascii: "}") { return }
            self.position &+= 1
        }
    }

    /// Skips an array or object by counting brackets, whatever their kind.
    @inline(never)
    private mutating func skipContainer() -> Bool {
        var level = 0
        while true {
            self.position = ByteScan.bracketOrQuote(self.base, self.position, self.end)
            guard self.position < self.end else { return false }
            switch ByteScan.byte(self.base, self.position) | 0x20 {
            case UInt8(ascii: "{"):
                level &+= 1
                self.position &+= 1
            case UInt8(ascii: "}"):
                level &-= 1
                self.position &+= 1
                if level == 0 { return true }
            default: if self.readString() == nil { return false }
            }
        }
    }
}
