import GatewayCore

/// What one OpenAI-shaped JSON object, an answer or a chunk of a stream, says.
struct AnswerFacts {
    var usage: ReportedUsage?
    /// Also set in `usage` when the object has been read.
    var serviceTier: ServiceTier?
    var model = ByteRange.empty
    var hasError = false
    var hasChoices = false
    var choiceCount = 0
    var hasFinishReason = false
    /// Bytes of generated text, escapes resolved.
    var contentBytes = 0
    /// The string that was counted last, and how many were.
    var contentString = ByteRange.empty
    var contentStringCount = 0
    /// The top-level string of random length by which OpenAI (`obfuscation`) and Mistral (`p`) hide token lengths.
    var padding = ByteRange.empty
}

/// Reads one OpenAI-shaped object: the top level always, `choices` only if asked, everything else is skipped.
struct AnswerReader {
    private var skimmer: JSONSkimmer
    private let looksIntoChoices: Bool
    private(set) var facts = AnswerFacts()
    /// Usage at the places where Groq (`x_groq`) and Moonshot (in the choice) put it.
    private var otherUsage: ReportedUsage?
    /// Perplexity repeats the whole message beside each delta; then only the delta counts.
    private var sawDelta = false
    private var messageBytes = 0

    init(base: UnsafeRawPointer, start: Int = 0, count: Int, looksIntoChoices: Bool) {
        self.skimmer = JSONSkimmer(base: base, start: start, end: start + count)
        self.looksIntoChoices = looksIntoChoices
    }

    /// `false`: not one JSON object with nothing behind it; the facts are then what was found before the fault.
    @inline(__always)
    mutating func read() -> Bool {
        guard self.skimmer.peekToken() == UInt8(ascii: "{") else { return false }
        self.skimmer.position &+= 1
        var isFirst = true
        while true {
            switch self.skimmer.nextField(&isFirst) {
            case .malformed: return false
            case .item: guard self.readTopField() else { return false }
            case .end:
                if self.facts.usage == nil { self.facts.usage = self.otherUsage }
                self.facts.usage?.serviceTier = self.facts.serviceTier
                if !self.sawDelta { self.facts.contentBytes &+= self.messageBytes }
                return self.skimmer.peekToken() == 0 && self.skimmer.position == self.skimmer.end
            }
        }
    }

    @inline(__always)
    private mutating func readTopField() -> Bool {
        switch self.skimmer.key.count {
        case 1 where self.skimmer.isKey("p"), 11 where self.skimmer.isKey("obfuscation"):
            return Self.readString(&self.skimmer, into: &self.facts.padding)
        case 5 where self.skimmer.isKey("usage"): return self.skimmer.readUsage(into: &self.facts.usage)
        case 5 where self.skimmer.isKey("model"): return Self.readString(&self.skimmer, into: &self.facts.model)
        case 5 where self.skimmer.isKey("error"):
            self.facts.hasError = self.skimmer.peekToken() != UInt8(ascii: "n")
            return self.skimmer.skipValue()
        case 6 where self.skimmer.isKey("x_groq"): return self.readGroq()
        case 7 where self.looksIntoChoices && self.skimmer.isKey("choices"): return self.readChoices()
        case 12 where self.skimmer.isKey("service_tier"): return self.readServiceTier()
        default: return self.skimmer.skipValue()
        }
    }

    @inline(__always)
    private static func readString(_ skimmer: inout JSONSkimmer, into field: inout ByteRange) -> Bool {
        guard skimmer.peekToken() == UInt8(ascii: "\"") else { return skimmer.skipValue() }
        guard let content = skimmer.readString() else { return false }
        field = content
        return true
    }

    private mutating func readServiceTier() -> Bool {
        guard self.skimmer.peekToken() == UInt8(ascii: "\"") else { return self.skimmer.skipValue() }
        guard let tier = self.skimmer.readString() else { return false }
        self.facts.serviceTier = ServiceTier(wireName: tier, self.skimmer)
        return true
    }

    private mutating func readGroq() -> Bool {
        guard self.skimmer.peekToken() == UInt8(ascii: "{") else { return self.skimmer.skipValue() }
        self.skimmer.position &+= 1
        var isFirst = true
        while true {
            switch self.skimmer.nextField(&isFirst) {
            case .malformed: return false
            case .end: return true
            case .item:
                let isRead =
                    self.skimmer.isKey("usage")
                    ? self.skimmer.readUsage(into: &self.otherUsage) : self.skimmer.skipValue()
                if !isRead { return false }
            }
        }
    }

    // MARK: - Choices

    @inline(__always)
    private mutating func readChoices() -> Bool {
        guard self.skimmer.peekToken() == UInt8(ascii: "[") else { return self.skimmer.skipValue() }
        self.skimmer.position &+= 1
        self.facts.hasChoices = true
        var isFirst = true
        while true {
            switch self.skimmer.nextElement(&isFirst) {
            case .malformed: return false
            case .end: return true
            case .item:
                self.facts.choiceCount &+= 1
                guard self.readChoice() else { return false }
            }
        }
    }

    private mutating func readChoice() -> Bool {
        guard self.skimmer.peekToken() == UInt8(ascii: "{") else { return self.skimmer.skipValue() }
        self.skimmer.position &+= 1
        var isFirst = true
        while true {
            switch self.skimmer.nextField(&isFirst) {
            case .malformed: return false
            case .end: return true
            case .item: guard self.readChoiceField() else { return false }
            }
        }
    }

    @inline(__always)
    private mutating func readChoiceField() -> Bool {
        switch self.skimmer.key.count {
        case 4 where self.skimmer.isKey("text"): return self.countString()
        case 5 where self.skimmer.isKey("delta"):
            self.sawDelta = true
            return self.readMessage()
        case 5 where self.skimmer.isKey("usage"): return self.skimmer.readUsage(into: &self.otherUsage)
        case 7 where self.skimmer.isKey("message"):
            // Counted apart until it is known whether a delta comes too.
            let before = self.facts.contentBytes
            guard self.readMessage() else { return false }
            self.messageBytes &+= self.facts.contentBytes &- before
            self.facts.contentBytes = before
            // Not the place a template of the stream may vary at.
            self.facts.contentStringCount &+= 2
            return true
        case 13 where self.skimmer.isKey("finish_reason"):
            if self.skimmer.peekToken() == UInt8(ascii: "\"") { self.facts.hasFinishReason = true }
            return self.skimmer.skipValue()
        default: return self.skimmer.skipValue()
        }
    }

    /// A `delta` or `message` object.
    @inline(__always)
    private mutating func readMessage() -> Bool {
        guard self.skimmer.peekToken() == UInt8(ascii: "{") else { return self.skimmer.skipValue() }
        self.skimmer.position &+= 1
        var isFirst = true
        while true {
            switch self.skimmer.nextField(&isFirst) {
            case .malformed: return false
            case .end: return true
            case .item: guard self.readMessageField() else { return false }
            }
        }
    }

    @inline(__always)
    private mutating func readMessageField() -> Bool {
        switch self.skimmer.key.count {
        case 7 where self.skimmer.isKey("content"):
            return self.skimmer.peekToken() == UInt8(ascii: "[") ? self.countStrings(keyed: "text") : self.countString()
        case 7 where self.skimmer.isKey("refusal"), 9 where self.skimmer.isKey("reasoning"),
            17 where self.skimmer.isKey("reasoning_content"):
            return self.countString()
        case 10 where self.skimmer.isKey("tool_calls"), 13 where self.skimmer.isKey("function_call"):
            return self.countStrings(keyed: "arguments")
        default: return self.skimmer.skipValue()
        }
    }

    /// Counts the value at the position if it is a string.
    @inline(__always)
    private mutating func countString() -> Bool {
        guard self.skimmer.peekToken() == UInt8(ascii: "\"") else { return self.skimmer.skipValue() }
        guard let content = self.skimmer.readString() else { return false }
        self.facts.contentBytes &+= content.count &- self.skimmer.escapeOverhead
        self.facts.contentString = content
        self.facts.contentStringCount &+= 1
        return true
    }

    /// Counts the strings under `key` at any depth of the array or object at the position: parts of content (Mistral
    /// nests them) and the arguments of tool calls.
    private mutating func countStrings(keyed key: StaticString) -> Bool {
        var level = 0
        var isWanted = false
        repeat {
            switch self.skimmer.peekToken() {
            case UInt8(ascii: "{"), UInt8(ascii: "["):
                level &+= 1
                isWanted = false
                self.skimmer.position &+= 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                level &-= 1
                self.skimmer.position &+= 1
            case UInt8(ascii: ","), UInt8(ascii: ":"): self.skimmer.position &+= 1
            case UInt8(ascii: "\""):
                if isWanted {
                    guard self.countString() else { return false }
                    isWanted = false
                } else {
                    guard let text = self.skimmer.readString() else { return false }
                    isWanted = self.skimmer.isText(text, key) && self.skimmer.peekToken() == UInt8(ascii: ":")
                }
            case 0: return false
            default:
                isWanted = false
                guard self.skimmer.skipValue() else { return false }
            }
        } while level > 0
        return true
    }
}

extension ServiceTier {
    /// `nil`: a tier that no price list tells apart, such as Groq's `on_demand`.
    fileprivate init?(wireName name: ByteRange, _ skimmer: JSONSkimmer) {
        if skimmer.isText(name, "default") || skimmer.isText(name, "standard") {
            self = .standard
        } else if skimmer.isText(name, "flex") {
            self = .flex
        } else if skimmer.isText(name, "priority") {
            self = .priority
        } else if skimmer.isText(name, "batch") {
            self = .batch
        } else {
            return nil
        }
    }
}
