/// Recognises the top-level keys that the gateway acts on.
///
/// A key may be written with escapes (`"mod\u0065l"`): it is compared unescaped, as every reader does. Some readers
/// (Go's among them) also take `"Model"` for `model`; what differs in case only is refused, since gateway and provider
/// would act on different fields.
enum RequestField {
    /// `nil`: none of ours. `key` is the content of a valid string; `isPlain`: ASCII without escapes.
    @inline(__always)
    static func of(
        key: ByteRange, isPlain: Bool, _ base: UnsafeRawPointer
    ) throws(JSONFault) -> JSONFault.Field? {
        if !isPlain { return try Self.ofUnusual(key, base) }
        switch key.count {
        case 1: return try Self.match(key, base, "n", .choiceCount)
        case 4: return try Self.match(key, base, "user", .user)
        case 5: return try Self.match(key, base, "model", .model)
        case 6: return try Self.match(key, base, "stream", .stream)
        case 10: return try Self.match(key, base, "max_tokens", .maxTokens)
        case 13: return try Self.match(key, base, "mock_response", .mockResponse)
        case 14: return try Self.match(key, base, "stream_options", .streamOptions)
        case 21: return try Self.match(key, base, "max_completion_tokens", .maxCompletionTokens)
        default: return nil
        }
    }

    @inline(__always)
    private static func match(
        _ key: ByteRange, _ base: UnsafeRawPointer, _ text: StaticString, _ field: JSONFault.Field
    ) throws(JSONFault) -> JSONFault.Field? {
        let start = Int(key.start)
        if !ByteScan.matchesFolded(base, start, text) { return nil }
        if ByteScan.matches(base, start, text) { return field }
        return try Self.ofUnusual(key, base)
    }

    /// Keys with escapes, other scripts or capitals.
    @inline(never)
    private static func ofUnusual(_ key: ByteRange, _ base: UnsafeRawPointer) throws(JSONFault) -> JSONFault.Field? {
        guard let name = FoldedKey(key, base) else { return nil }
        for field in [.model, .stream, .maxTokens, .maxCompletionTokens, .streamOptions] as [JSONFault.Field]
            + [.choiceCount, .user, .mockResponse]
        where name.equals(field) {
            if name.wasFolded { throw .ambiguousField(field) }
            return field
        }
        return nil
    }

    /// The same for the one key inside `stream_options`.
    static func isIncludeUsage(
        key: ByteRange, isPlain: Bool, _ base: UnsafeRawPointer
    ) throws(JSONFault) -> Bool {
        if isPlain, key.count != 13 { return false }
        if isPlain, ByteScan.matches(base, Int(key.start), "include_usage") { return true }
        guard let name = FoldedKey(key, base), name.equals("include_usage") else { return false }
        if name.wasFolded { throw .ambiguousField(.includeUsage) }
        return true
    }
}

/// A key with its escapes resolved and its letters in lower case, as far as it could be one of ours.
private struct FoldedKey {
    private var bytes = SIMD32<UInt8>(repeating: 0)
    private var count = 0
    /// A letter was not what it is in `bytes`.
    private(set) var wasFolded = false

    /// `nil`: too long, or with a character that none of our keys has in any case.
    init?(_ key: ByteRange, _ base: UnsafeRawPointer) {
        var position = Int(key.start)
        let end = Int(key.end)
        while position < end {
            guard self.count < 32 else { return nil }
            let byte = ByteScan.byte(base, position)
            if byte == UInt8(ascii: "\\") {
                let letter = ByteScan.byte(base, position &+ 1)
                if letter == UInt8(ascii: "u") {
                    guard let unit = JSONEscape.codeUnit(base, position &+ 2), self.append(unit) else { return nil }
                    position &+= 6
                } else {
                    guard let byte = JSONEscape.byte(ofLetter: letter), self.append(UInt16(byte)) else { return nil }
                    position &+= 2
                }
            } else if byte < 0x80 {
                guard self.append(UInt16(byte)) else { return nil }
                position &+= 1
            } else {
                // U+017F and U+212A are the only characters beyond ASCII that fold to letters of it.
                if end &- position >= 2, ByteScan.matches(base, position, "\u{17F}") {
                    _ = self.append(0x17F)
                    position &+= 2
                } else if end &- position >= 3, ByteScan.matches(base, position, "\u{212A}") {
                    _ = self.append(0x212A)
                    position &+= 3
                } else {
                    return nil
                }
            }
        }
    }

    private mutating func append(_ unit: UInt16) -> Bool {
        switch unit {
        case 0x41...0x5A:
            self.wasFolded = true
            self.bytes[self.count] = UInt8(truncatingIfNeeded: unit) | 0x20
        case 0x17F:
            self.wasFolded = true
            self.bytes[self.count] = UInt8(ascii: "s")
        case 0x212A:
            self.wasFolded = true
            self.bytes[self.count] = UInt8(ascii: "k")
        case 0x20..<0x80: self.bytes[self.count] = UInt8(truncatingIfNeeded: unit)
        default: return false
        }
        self.count &+= 1
        return true
    }

    func equals(_ field: JSONFault.Field) -> Bool { self.equals(field.name) }

    func equals(_ text: String) -> Bool {
        guard text.utf8.count == self.count else { return false }
        return text.utf8.enumerated().allSatisfy { self.bytes[$0.offset] == $0.element }
    }
}
