import GatewayWire

/// Arguments of tool calls: some formats hold JSON, some a string of JSON.
enum ToolArguments {
    /// Writes a string member whose text is the arguments.
    static func writeText(_ arguments: ToolCall.Arguments, _ name: StaticString, _ writer: inout JSONWriter) {
        writer.key(name)
        switch arguments {
        case .text(let text): writer.string(text)
        case .json(let json): writer.string(holding: json)
        }
    }

    /// The arguments as a JSON object. A provider's call that was cut (length) or is no object is kept whole as
    /// `{"raw_arguments": "..."}`; a caller's is refused.
    static func object(
        _ arguments: ToolCall.Arguments, isRequest: Bool, _ arena: JSONArena
    ) throws(TranslationError) -> JSONSlice {
        switch arguments {
        case .json(let json):
            if let first = json.bytes.first, first == UInt8(ascii: "{") { return json }
            return self.wrapped(arena.escaped(json.bytes), arena)
        case .text(let text):
            let json = self.trimmed(arena.unescaped(text))
            if json.isEmpty { return JSONSlice("{}") }
            if JSONTree.reading(json, { $0.kind == .object }) ?? false { return json }
            guard !isRequest else {
                throw .request(
                    "The arguments of a tool call are no JSON object: send the object that the tool was called with.",
                    param: "messages")
            }
            return self.wrapped(text, arena)
        }
    }

    static func isText(_ arguments: ToolCall.Arguments) -> Bool {
        if case .text = arguments { return true }
        return false
    }

    /// Free text as an object, for custom tools and broken calls.
    static func wrapped(_ text: JSONText, _ arena: JSONArena) -> JSONSlice {
        var writer = JSONWriter()
        writer.beginObject()
        writer.member("raw_arguments", text)
        writer.endObject()
        return arena.copy(writer.bytes)
    }

    private static func trimmed(_ slice: JSONSlice) -> JSONSlice {
        let blank: (UInt8) -> Bool = { $0 == 0x20 || $0 == 0x0A || $0 == 0x0D || $0 == 0x09 }
        var start = 0
        var end = slice.count
        while start < end, blank(slice.bytes[start]) { start += 1 }
        while end > start, blank(slice.bytes[end - 1]) { end -= 1 }
        return slice.dropFirst(start).prefix(end - start)
    }
}

/// Follows the brackets of arguments that arrive in pieces, to know when the JSON text is whole.
struct ArgumentsProgress: Sendable {
    private var level = 0
    private var isInString = false
    private var isEscaped = false
    /// A byte of the value has come.
    private(set) var hasBegun = false
    /// The outermost object or array has closed.
    private(set) var isWhole = false

    init() {}

    mutating func note(_ piece: JSONText) {
        let bytes = piece.slice.bytes
        var index = 0
        while index < bytes.count {
            var byte = bytes[index]
            index += 1
            if byte == UInt8(ascii: "\\"), index < bytes.count {
                // An escape of the string around it: only a quote and a backslash mean something to JSON within.
                let letter = bytes[index]
                index += 1
                byte = letter == UInt8(ascii: "\"") || letter == UInt8(ascii: "\\") ? letter : UInt8(ascii: " ")
                if letter == UInt8(ascii: "u") { byte = Self.unit(bytes, &index) }
            }
            self.note(byte)
        }
    }

    private static func unit(_ bytes: UnsafeRawBufferPointer, _ index: inout Int) -> UInt8 {
        let end = min(index + 4, bytes.count)
        let digits = bytes[index..<end]
        index = end
        return UInt8(String(decoding: digits, as: UTF8.self), radix: 16) ?? UInt8(ascii: "a")
    }

    private mutating func note(_ byte: UInt8) {
        if self.isInString {
            if self.isEscaped {
                self.isEscaped = false
            } else if byte == UInt8(ascii: "\\") {
                self.isEscaped = true
            } else if byte == UInt8(ascii: "\"") {
                self.isInString = false
            }
            return
        }
        switch byte {
        case 0x20: return
        case UInt8(ascii: "\""): self.isInString = true
        case UInt8(ascii: "{"), UInt8(ascii: "["): self.level += 1
        case UInt8(ascii: "}"), UInt8(ascii: "]"):
            self.level -= 1
            if self.level <= 0 { self.isWhole = true }
        default: break
        }
        self.hasBegun = true
    }
}
