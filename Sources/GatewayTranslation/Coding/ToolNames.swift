import GatewayWire

/// Names and ids of tools in the alphabet that Anthropic and Bedrock take.
enum ToolNames {
    /// Letters, digits, `_` and `-`, at most 128. What is changed is noted for the answer.
    static func safe(_ name: JSONText, _ context: inout EncodingContext) -> JSONText {
        let maximum = context.target == .bedrock ? 64 : 128
        if self.isSafe(name, maximum) { return name }
        let original = name.string
        if let known = context.changedToolNames[original] { return context.arena.text(known) }
        let stem = String(
            decoding: original.utf8.prefix(maximum - 8).map { self.isSafe($0) ? $0 : 0x5F }, as: UTF8.self)
        var changed = stem.isEmpty ? "tool" : stem
        // Two names must not become one. Numbers go up with the names, so that a free one is soon found.
        var number = context.memory.toolNames.count + 1
        while context.memory.toolNames[changed] != nil || context.safeToolNames.contains(changed) {
            number += 1
            changed = "\(stem)_\(number)"
        }
        context.memory.toolNames[changed] = original
        context.changedToolNames[original] = changed
        return context.arena.text(changed)
    }

    /// Notes the names that can stay, which no changed name may take.
    static func note(_ tools: [Tool], _ context: inout EncodingContext) {
        let maximum = context.target == .bedrock ? 64 : 128
        for tool in tools where self.isSafe(tool.name, maximum) { context.safeToolNames.insert(tool.name.string) }
    }

    private static func isSafe(_ name: JSONText, _ maximum: Int) -> Bool {
        name.slice.count <= maximum && !name.isEmpty && name.slice.bytes.allSatisfy(self.isSafe)
    }

    /// The call's id, or a new one.
    static func id(of call: ToolCall, _ context: inout EncodingContext) -> JSONText {
        if let id = call.id, !id.isEmpty { return id }
        return context.identifiers.next(context.target == .openAIChat ? "call_" : "toolu_", context.arena)
    }

    private static func isSafe(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"):
            true
        default: false
        }
    }
}

/// Gemini's thought signature within the id of a tool call, for clients whose format has no place for it. The id that
/// comes back gives it again. Base64 becomes its URL-safe form, since ids are narrow.
enum SignedIdentifier {
    private static let marker: StaticString = "__thought__"

    static func join(_ id: JSONText, _ signature: JSONText?, _ arena: JSONArena) -> JSONText {
        guard let signature else { return id }
        var bytes = Array(id.slice.bytes)
        bytes += JSONSlice(self.marker).bytes
        for byte in arena.unescaped(signature).bytes where byte != UInt8(ascii: "=") {
            bytes.append(byte == UInt8(ascii: "+") ? 0x2D : byte == UInt8(ascii: "/") ? 0x5F : byte)
        }
        return JSONText(arena.copy(bytes))
    }

    /// `nil`: a plain id.
    static func split(_ id: JSONText, _ arena: JSONArena) -> (id: JSONText, signature: JSONText)? {
        guard let offset = id.slice.firstRange(of: self.marker) else { return nil }
        var bytes: [UInt8] = []
        for byte in id.slice.dropFirst(offset + self.marker.utf8CodeUnitCount).bytes {
            bytes.append(byte == UInt8(ascii: "-") ? 0x2B : byte == UInt8(ascii: "_") ? 0x2F : byte)
        }
        while bytes.count % 4 != 0 { bytes.append(UInt8(ascii: "=")) }
        return (JSONText(id.slice.prefix(offset)), JSONText(arena.copy(bytes)))
    }
}
