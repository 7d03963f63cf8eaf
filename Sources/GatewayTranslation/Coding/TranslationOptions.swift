import GatewayWire

/// What the translation has to know of the target and of the call, beside the body.
package struct TranslationOptions: Sendable {
    /// LiteLLM's `drop_params`: what the target cannot express is left out instead of refused.
    package var dropsUnsupported = false
    /// Name of the model at the target. `nil`: as the caller wrote it.
    package var model: String?
    /// The name that answers are to bear. `nil`: as the provider wrote it.
    package var answerModel: String?
    /// Output tokens the model can make, where the target wants a limit and the caller gave none. `nil`: unknown.
    package var outputTokensMax: Int64?
    /// How an OpenAI-compatible target differs.
    package var quirks = CompatibilityQuirks.openAI
    package var traits = ModelTraits()
    /// Seconds since 1970, for answers that carry a time.
    package var now: Int64 = 0
    /// Makes identifiers that a format wants and the provider does not give; random for each call.
    package var seed: UInt64 = 0
    /// Whether a stream is asked for, where the path and not the body says it. `nil`: the body says it.
    package var isStream: Bool?
    /// The caller asked for usage in an OpenAI chat stream.
    package var includesUsage = false
    /// `anthropic_version` in the body, where Vertex AI or Bedrock serve Anthropic's format; the path then names the
    /// model. `nil`: Anthropic itself, with the version in a header.
    package var anthropicVersionInBody: String?
    /// Bound of one event of a stream, and of what has to be held back of it.
    package var eventBytesMax = 4 << 20
    /// What an answer in the format of Responses says of being stored. `nil`: that it is not.
    package var storedResponse: StoredResponseMark?

    package init() {}
}

/// How an answer of `/v1/responses` that the gateway keeps names itself.
package struct StoredResponseMark: Hashable, Sendable {
    package var id: String
    /// `nil`: it begins a conversation.
    package var previousID: String?

    package init(id: String, previousID: String?) {
        self.id = id
        self.previousID = previousID
    }
}

/// What a model at a target can do, where models of one provider differ.
package struct ModelTraits: Hashable, Sendable {
    package enum BedrockFamily: Hashable, Sendable { case anthropic, nova, other }

    /// Anthropic: takes temperature, top_p, top_k (`anthropic-version: 2023-06-01`, and a model that knows them).
    package var takesSampling = true
    /// Anthropic: thinks adaptively by effort, not by budget.
    package var thinksAdaptively = false
    /// Anthropic, Bedrock: has a schema for answers of its own; without it a forced tool stands in.
    package var hasStructuredOutput = true
    /// Gemini 3 and later: thinking by level, and thought signatures are wanted back.
    package var hasThinkingLevels = false
    /// Tokens of Gemini's least thinking.
    package var thinkingBudgetMin: Int64 = 1
    package var bedrockFamily = BedrockFamily.other

    package init() {}

    /// By the name of the model, where a catalogue does not say more.
    package init(format: WireFormat, model: String) {
        self.init()
        let name = model.lowercased()
        switch format {
        case .gemini:
            self.hasThinkingLevels = !(name.contains("gemini-1") || name.contains("gemini-2"))
            self.thinkingBudgetMin = name.contains("flash-lite") ? 512 : name.contains("pro") ? 128 : 1
        case .bedrock:
            self.bedrockFamily =
                name.contains("anthropic.") ? .anthropic : name.contains("amazon.nova") ? .nova : .other
            self.hasStructuredOutput = self.bedrockFamily == .anthropic
            self.thinksAdaptively = Self.isAdaptive(name)
        case .anthropic: self.thinksAdaptively = Self.isAdaptive(name)
        default: break
        }
    }

    /// Claude models before 4.6 think by budget.
    private static func isAdaptive(_ name: String) -> Bool {
        let byBudget = ["claude-3", "claude-2", "-4-0", "-4-1", "-4-5", "-4-2025", "opus-4@", "sonnet-4@"]
        return name.contains("claude") && !byBudget.contains { name.contains($0) } && !name.hasSuffix("-4")
    }
}

/// What the translation of a request leaves for the translation of its answer.
package struct CallMemory: Hashable, Sendable {
    /// Names of tools that had to be changed for the target: new to old.
    package var toolNames: [String: String] = [:]
    /// The forced tool whose input is the structured answer. `nil`: none.
    package var answerTool: String?
    package var isStream = false

    package init() {}
}
