import GatewayCore

/// What is wrong with a JSON text, and at which byte. Never holds a part of the text.
struct JSONError: Error, Equatable, Sendable {
    var message: String
    /// From 0.
    var offset: Int
}

/// A strict JSON reader (RFC 8259, I-JSON's rule of unique names from RFC 7493) with bounds on depth and numbers.
/// Callers bound the text.
struct JSONParser {
    /// Arrays and objects inside each other.
    static let depthMax = 64
    /// Characters of one number.
    static let numberBytesMax = 400
    private let bytes: [UInt8]
    private var position = 0

    private init(bytes: [UInt8]) { self.bytes = bytes }

    static func parse(_ bytes: [UInt8]) throws(JSONError) -> JSONValue {
        var parser = JSONParser(bytes: bytes)
        parser.skipSpace()
        let value = try parser.value(depth: 0)
        parser.skipSpace()
        guard parser.position == bytes.count else { throw parser.error("text behind the value") }
        return value
    }

    private func error(_ message: String) -> JSONError { JSONError(message: message, offset: self.position) }

    private var current: UInt8? { self.position < self.bytes.count ? self.bytes[self.position] : nil }

    private mutating func skipSpace() {
        while let byte = self.current, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 {
            self.position += 1
        }
    }

    private mutating func take(_ byte: UInt8) -> Bool {
        guard self.current == byte else { return false }
        self.position += 1
        return true
    }

    private mutating func value(depth: Int) throws(JSONError) -> JSONValue {
        guard depth < Self.depthMax else { throw self.error("nested too deeply") }
        guard let byte = self.current else { throw self.error("the text ends too early") }
        switch byte {
        case UInt8(ascii: "{"): return try self.object(depth: depth)
        case UInt8(ascii: "["): return try self.array(depth: depth)
        case UInt8(ascii: "\""): return .string(try self.string())
        case UInt8(ascii: "t"): return try self.word("true", .bool(true))
        case UInt8(ascii: "f"): return try self.word("false", .bool(false))
        case UInt8(ascii: "n"): return try self.word("null", .null)
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return .number(try self.number())
        default: throw self.error("no JSON value starts here")
        }
    }

    private mutating func word(_ word: String, _ value: JSONValue) throws(JSONError) -> JSONValue {
        guard self.bytes[self.position...].starts(with: word.utf8) else {
            throw self.error("no JSON value starts here")
        }
        self.position += word.utf8.count
        return value
    }

    private mutating func array(depth: Int) throws(JSONError) -> JSONValue {
        self.position += 1
        var values: [JSONValue] = []
        self.skipSpace()
        if self.take(UInt8(ascii: "]")) { return .array(values) }
        while true {
            self.skipSpace()
            values.append(try self.value(depth: depth + 1))
            self.skipSpace()
            if self.take(UInt8(ascii: "]")) { return .array(values) }
            guard self.take(UInt8(ascii: ",")) else { throw self.error("expected , or ]") }
        }
    }

    private mutating func object(depth: Int) throws(JSONError) -> JSONValue {
        self.position += 1
        var members: [JSONMember] = []
        var names: Set<String> = []
        self.skipSpace()
        if self.take(UInt8(ascii: "}")) { return .object(members) }
        while true {
            self.skipSpace()
            guard self.current == UInt8(ascii: "\"") else { throw self.error("expected a name in quotes") }
            let name = try self.string()
            guard names.insert(name).inserted else { throw self.error("a name stands twice in one object") }
            self.skipSpace()
            guard self.take(UInt8(ascii: ":")) else { throw self.error("expected :") }
            self.skipSpace()
            members.append(JSONMember(name, try self.value(depth: depth + 1)))
            self.skipSpace()
            if self.take(UInt8(ascii: "}")) { return .object(members) }
            guard self.take(UInt8(ascii: ",")) else { throw self.error("expected , or }") }
        }
    }

    private mutating func number() throws(JSONError) -> String {
        let start = self.position
        _ = self.take(UInt8(ascii: "-"))
        if !self.take(UInt8(ascii: "0")) { try self.digits() }
        if self.take(UInt8(ascii: ".")) { try self.digits() }
        if self.take(UInt8(ascii: "e")) || self.take(UInt8(ascii: "E")) {
            if !self.take(UInt8(ascii: "+")) { _ = self.take(UInt8(ascii: "-")) }
            try self.digits()
        }
        guard self.position - start <= Self.numberBytesMax else { throw self.error("a number is too long") }
        return String(decoding: self.bytes[start..<self.position], as: UTF8.self)
    }

    private mutating func digits() throws(JSONError) {
        let start = self.position
        while let byte = self.current, byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") { self.position += 1 }
        guard self.position > start else { throw self.error("expected a digit") }
    }

    private mutating func string() throws(JSONError) -> String {
        self.position += 1
        var result: [UInt8] = []
        while let byte = self.current {
            switch byte {
            case UInt8(ascii: "\""):
                guard let text = String(validating: result, as: UTF8.self) else { throw self.error("not UTF-8") }
                self.position += 1
                return text
            case UInt8(ascii: "\\"):
                self.position += 1
                result.append(contentsOf: String(try self.escape()).utf8)
            case 0..<0x20: throw self.error("a control character must be escaped")
            default:
                result.append(byte)
                self.position += 1
            }
        }
        throw self.error("the text ends in a string")
    }

    private mutating func escape() throws(JSONError) -> Unicode.Scalar {
        guard let byte = self.current else { throw self.error("the text ends in a string") }
        self.position += 1
        switch byte {
        case UInt8(ascii: "\""): return "\""
        case UInt8(ascii: "\\"): return "\\"
        case UInt8(ascii: "/"): return "/"
        case UInt8(ascii: "b"): return "\u{8}"
        case UInt8(ascii: "f"): return "\u{C}"
        case UInt8(ascii: "n"): return "\n"
        case UInt8(ascii: "r"): return "\r"
        case UInt8(ascii: "t"): return "\t"
        case UInt8(ascii: "u"): return try self.unicodeEscape()
        default: throw self.error("unknown escape")
        }
    }

    private mutating func unicodeEscape() throws(JSONError) -> Unicode.Scalar {
        let first = try self.fourHexDigits()
        if let scalar = Unicode.Scalar(first) { return scalar }
        guard first < 0xDC00, self.take(UInt8(ascii: "\\")), self.take(UInt8(ascii: "u")) else {
            throw self.error("half a surrogate pair")
        }
        let second = try self.fourHexDigits()
        guard (0xDC00...0xDFFF).contains(second),
            let scalar = Unicode.Scalar(0x10000 + (first - 0xD800) << 10 + (second - 0xDC00))
        else { throw self.error("half a surrogate pair") }
        return scalar
    }

    private mutating func fourHexDigits() throws(JSONError) -> UInt32 {
        var value: UInt32 = 0
        for _ in 0..<4 {
            guard let byte = self.current, let digit = hexValue(byte) else { throw self.error("expected a hex digit") }
            value = value << 4 | UInt32(digit)
            self.position += 1
        }
        return value
    }
}
