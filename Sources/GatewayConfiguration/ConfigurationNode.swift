/// A value of a configuration file with its place. Our own tree, so that the bounds are ours and everything after
/// parsing is independent of the YAML library.
struct ConfigurationNode: Sendable {
    enum Content: Sendable {
        case scalar(ConfigurationScalar)
        case sequence([ConfigurationNode])
        case mapping([ConfigurationEntry])
    }

    var content: Content
    var position: SourcePosition

    var scalar: ConfigurationScalar? {
        if case .scalar(let scalar) = self.content { scalar } else { nil }
    }

    var sequence: [ConfigurationNode]? {
        if case .sequence(let nodes) = self.content { nodes } else { nil }
    }

    var mapping: [ConfigurationEntry]? {
        if case .mapping(let entries) = self.content { entries } else { nil }
    }

    /// The value at `key`. `nil`: this is no mapping, it lacks the key, or the value is null.
    subscript(key: String) -> ConfigurationNode? {
        guard let node = self.mapping?.first(where: { $0.key == key })?.value, !node.isNull else {
            return nil
        }
        return node
    }

    var isNull: Bool { self.scalar?.isNull ?? false }

    /// Says "no" in every sense: null, false, empty text, empty list, empty mapping. Such a value cannot ask for
    /// anything, so an unsupported key with it is harmless.
    var isOff: Bool {
        switch self.content {
        case .scalar(let scalar): scalar.isNull || scalar.text.isEmpty || scalar.boolean == false
        case .sequence(let nodes): nodes.isEmpty
        case .mapping(let entries): entries.isEmpty
        }
    }

    /// What it is, for messages; never the value itself.
    var kindName: String {
        switch self.content {
        case .mapping: "a mapping"
        case .sequence: "a list"
        case .scalar(let scalar):
            if scalar.isNull {
                "nothing"
            } else if scalar.number != nil {
                "a number"
            } else if scalar.boolean != nil {
                "a boolean"
            } else {
                "text"
            }
        }
    }
}

struct ConfigurationEntry: Sendable {
    var key: String
    var keyPosition: SourcePosition
    var value: ConfigurationNode
}

/// A single value as written, typed by YAML 1.1's rules as LiteLLM's parser does, but lenient where LiteLLM converts.
struct ConfigurationScalar: Sendable, Hashable {
    var text: String
    /// Quoted text is never null.
    var isPlain: Bool
    /// Holds text from an environment variable, so it must not be repeated in a message.
    var isFromEnvironment = false

    var isNull: Bool { self.isPlain && ["", "~", "null", "Null", "NULL"].contains(self.text) }

    /// `nil`: not a boolean. Quoted ones count too: variables deliver text.
    var boolean: Bool? {
        switch self.text.lowercased() {
        case "true", "yes", "on": true
        case "false", "no", "off": false
        default: nil
        }
    }

    /// `nil`: not a finite decimal number.
    var number: Double? {
        let digits = self.text.replacing("_", with: "")
        // `Double` also takes hexadecimal, "nan" and "inf", which no setting means.
        guard let first = digits.utf8.first, !digits.isEmpty else { return nil }
        guard
            digits.utf8.allSatisfy({ byte in
                (byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9")) || "+-.eE".utf8.contains(byte)
            })
        else { return nil }
        guard first != UInt8(ascii: "e"), first != UInt8(ascii: "E") else { return nil }
        guard let value = Double(digits), value.isFinite else { return nil }
        return value
    }

    /// `nil`: not a whole number of at most 2^53.
    var integer: Int? {
        if let exact = Int(self.text.replacing("_", with: "")) { return exact }
        guard let number = self.number, number == number.rounded(), abs(number) <= 9_007_199_254_740_992
        else {
            return nil
        }
        return Int(number)
    }

    /// The text in quotes for a message, unless it might be secret or would be long.
    var quoted: String {
        if self.isFromEnvironment { return "the value from the environment" }
        return Self.quote(self.text)
    }

    /// `text` in quotes for a message, unless it might be secret or is long.
    static func quote(_ text: String) -> String {
        self.isLikeSecret(text) ? "the given text" : "\"\(text)\""
    }

    /// Whether `text` looks like a key, a URL (which may hold a password) or is too long for a name. People do put
    /// keys into the wrong place, and then a message must not spread them.
    static func isLikeSecret(_ text: String) -> Bool {
        text.utf8.count > 80 || text.contains("://")
            // Every mark has one of these or is Google's; most names have none, and the search is slow.
            || (text.utf8.contains { $0 == 0x2D || $0 == 0x5F || $0 == 0x20 } || text.hasPrefix("AIza"))
                && self.secretMarks.contains { mark in
                    // At the start of a word: `task-model` is a name.
                    text.ranges(of: mark).contains { range in
                        range.lowerBound == text.startIndex
                            || !text[text.index(before: range.lowerBound)].isLetter
                    }
                }
    }

    private static let secretMarks = [
        "sk-", "sk_", "gsk_", "xai-", "hf_", "Bearer ", "AIza", "pplx-", "tgp_", "nvapi-", "csk-",
    ]
}
