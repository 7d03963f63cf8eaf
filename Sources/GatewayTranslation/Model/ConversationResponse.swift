import GatewayWire

/// Why a model stopped, finer than any one format says it.
enum FinishReason: UInt8, Hashable, Sendable {
    case stop, stopSequence, length, contextWindow, pause, toolCalls, contentFilter, refusal
    /// The model's output was no valid call or answer.
    case malformed
    case error
}

struct Choice {
    var index: Int64 = 0
    var parts: [Part] = []
    /// `nil`: the answer did not say.
    var finish: FinishReason?
    /// In the provider's words.
    var nativeFinish: JSONText?
    var stopSequence: JSONText?
    /// OpenAI's shape.
    var logprobs: JSONValue?
    /// The content was one string.
    var isStringContent = false
    /// Gemini: the candidate had content, and that had parts.
    var hasContent = false
    var hasParts = false
    /// Of the choice.
    var extras: Extras
    /// Of the message within it.
    var messageExtras: Extras

    init(_ format: WireFormat) {
        self.extras = Extras(format)
        self.messageExtras = Extras(format)
    }

    var hasToolCalls: Bool {
        self.parts.contains {
            if case .toolCall = $0 { return true }
            return false
        }
    }
}

/// A whole answer in no format.
struct ConversationResponse {
    var format: WireFormat
    var id: JSONText?
    var model: JSONText?
    /// Seconds since 1970.
    var created: JSONSlice?
    var choices: [Choice] = []
    var usage: ConversationUsage?
    var serviceTier: JSONText?
    /// Gemini: the prompt was blocked, so that there was no candidate.
    var hasNoCandidates = false
    /// Of the top level; `usage`, `created` and the like among them, marked as understood.
    var extras: Extras

    init(_ format: WireFormat) {
        self.format = format
        self.extras = Extras(format)
    }
}
