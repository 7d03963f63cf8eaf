import GatewayWire

/// Writes the body of `/v1/messages`.
struct AnthropicRequestEncoder {
    var context: EncodingContext
    private var writer = JSONWriter()
    private let format = WireFormat.anthropic
    private static let answerTool: StaticString = "json_tool_call"

    init(context: EncodingContext) { self.context = context }

    mutating func encode(_ request: ConversationRequest) throws(TranslationError) -> [UInt8] {
        ToolNames.note(request.tools, &self.context)
        self.writer.beginObject()
        if let version = self.context.options.anthropicVersionInBody {
            self.writer.key("anthropic_version")
            self.writer.string(escaping: version)
        } else if let model = self.context.options.model {
            self.writer.key("model")
            self.writer.string(escaping: model)
        } else {
            self.writer.member("model", ifPresent: request.model)
        }
        if request.format == self.format {
            try self.copy(request)
        } else {
            let limit = self.limit(request)
            self.writer.member("max_tokens", count: limit)
            try self.writeConversation(request)
            try self.writeTools(request)
            try self.writeSampling(request)
            try self.writeReasoning(request, limit: limit)
            try self.writeRest(request)
            try self.context.refuseLeftovers(request)
        }
        self.writer.endObject()
        return self.writer.bytes
    }

    /// The same format: the API merges and orders by itself.
    private mutating func copy(_ request: ConversationRequest) throws(TranslationError) {
        for message in request.messages where message.isInstructions {
            self.writer.key("system")
            try self.writeContent(message)
        }
        self.writer.key("messages")
        self.writer.beginArray()
        for message in request.messages where !message.isInstructions {
            self.writer.beginObject()
            self.writer.member(
                "role", message.role == .user ? "user" : message.role == .assistant ? "assistant" : "system")
            self.writer.key("content")
            try self.writeContent(message)
            self.writer.extras(message.extras, for: self.format)
            self.writer.endObject()
        }
        self.writer.endArray()
        if !request.tools.isEmpty { try self.writeToolList(request.tools) }
        for member in request.extras.members {
            if self.isElsewhere(member.key) { continue }
            let isSampling = member.key == "temperature" || member.key == "top_p" || member.key == "top_k"
            if isSampling, !member.isNull, !self.context.options.traits.takesSampling {
                try self.context.refuse(member.key.string)
                continue
            }
            self.writer.key(member.key)
            self.writer.raw(member.value)
        }
        if self.context.options.isStream != nil { self.writeStream(request) }
    }

    private mutating func writeStream(_ request: ConversationRequest) {
        if request.isStream, !self.isElsewhere(JSONText("stream")) { self.writer.member("stream", true) }
    }

    /// Bedrock's path says whether the answer is a stream, and its version of the format stands in front.
    private func isElsewhere(_ key: JSONText) -> Bool {
        guard let version = self.context.options.anthropicVersionInBody else { return false }
        return key == "anthropic_version" || key == "stream" && version.hasPrefix("bedrock")
    }

    private mutating func writeContent(_ message: Message) throws(TranslationError) {
        if message.isStringContent, message.parts.count == 1, case .text(let text) = message.parts[0] {
            return self.writer.string(text.text)
        }
        try self.writeBlocks(message.parts)
    }

    private mutating func writeBlocks(_ parts: [Part]) throws(TranslationError) {
        self.writer.beginArray()
        for part in parts { try AnthropicParts.write(part, isRequest: true, &self.writer, &self.context) }
        self.writer.endArray()
    }

    // MARK: - From another format

    private func limit(_ request: ConversationRequest) -> Int64 {
        if let value = request.maxTokensCount, value > 0 { return value }
        return self.context.options.outputTokensMax ?? 4096
    }

    private mutating func writeConversation(_ request: ConversationRequest) throws(TranslationError) {
        var turns = Turns(request)
        if !turns.system.isEmpty {
            self.writer.key("system")
            try self.writeBlocks(turns.system)
        }
        self.writer.key("messages")
        self.writer.beginArray()
        // The conversation begins with the user, who may have said nothing else than the instructions.
        if turns.turns.first?.isAssistant ?? true {
            let filler = TextPart(JSONText("."), self.format)
            turns.turns.insert(Turns.Turn(isAssistant: false, parts: [.text(filler)]), at: 0)
        }
        for turn in turns.turns {
            self.writer.beginObject()
            self.writer.member("role", turn.isAssistant ? "assistant" : "user")
            self.writer.key("content")
            // Thinking stands before everything else of its turn.
            let reasoning = turn.isAssistant ? turn.parts.filter(Self.isReasoning) : []
            let parts = reasoning.isEmpty ? turn.parts : reasoning + turn.parts.filter { !Self.isReasoning($0) }
            try self.writeBlocks(parts)
            self.writer.endObject()
        }
        self.writer.endArray()
    }

    private static func isReasoning(_ part: Part) -> Bool {
        if case .reasoning = part { return true }
        return false
    }

    private mutating func writeToolList(_ tools: [Tool]) throws(TranslationError) {
        self.writer.key("tools")
        self.writer.beginArray()
        for tool in tools { try self.write(tool) }
        self.writer.endArray()
    }

    private mutating func write(_ tool: Tool) throws(TranslationError) {
        if let native = tool.native {
            if native.format == self.format { return self.writer.raw(native.raw) }
            return native.isHint ? () : try self.context.refuse("tools.\(native.type.string)")
        }
        self.writer.beginObject()
        self.writer.member("name", ToolNames.safe(tool.name, &self.context))
        if tool.extras.format != self.format {
            self.writer.member("description", ifPresent: tool.description)
            self.writer.key("input_schema")
            SchemaText.writeObject(tool.parameters, isOpenAPI: tool.isOpenAPISchema, &self.writer)
            if let strict = tool.strict { self.writer.member("strict", strict) }
            self.writer.member("cache_control", rawIfPresent: tool.cacheControl)
        }
        self.writer.extras(tool.extras, for: self.format)
        self.writer.endObject()
    }

    private mutating func writeTools(_ request: ConversationRequest) throws(TranslationError) {
        let answerSchema = self.answerToolSchema(request)
        guard !request.tools.isEmpty || answerSchema != nil else { return }
        self.writer.key("tools")
        self.writer.beginArray()
        for tool in request.tools { try self.write(tool) }
        if let answerSchema {
            self.context.memory.answerTool = "\(Self.answerTool)"
            self.writer.beginObject()
            self.writer.member("name", JSONText(Self.answerTool))
            self.writer.member("description", "Give the answer in this form.")
            self.writer.key("input_schema")
            SchemaText.writeObject(answerSchema, isOpenAPI: false, &self.writer)
            self.writer.endObject()
        }
        self.writer.endArray()
        try self.writeToolChoice(request, hasAnswerTool: answerSchema != nil)
    }

    /// Where the model has no structured output of its own, a tool stands in whose input is the answer.
    private func answerToolSchema(_ request: ConversationRequest) -> JSONSlice? {
        switch request.responseFormat {
        case .jsonObject: JSONSlice("{\"type\":\"object\",\"additionalProperties\":true}")
        case .jsonSchema(_, _, let schema, _): self.context.options.traits.hasStructuredOutput ? nil : schema
        case .text, .native, nil: nil
        }
    }

    private mutating func writeToolChoice(
        _ request: ConversationRequest, hasAnswerTool: Bool
    ) throws(TranslationError) {
        var type: StaticString?
        var name: JSONText?
        switch request.toolChoice {
        case .auto: type = "auto"
        case .none?: type = "none"
        case .required: type = "any"
        case .function(let text):
            type = "tool"
            name = ToolNames.safe(text, &self.context)
        case .native(let text): try self.context.refuse("tool_choice.\(text.string)")
        case nil:
            if hasAnswerTool, request.tools.isEmpty, request.reasoning == nil {
                type = "tool"
                name = JSONText(Self.answerTool)
            } else if request.parallelToolCalls == false {
                type = "auto"
            }
        }
        guard let type else { return }
        self.writer.key("tool_choice")
        self.writer.beginObject()
        self.writer.member("type", JSONText(type))
        self.writer.member("name", ifPresent: name)
        if request.parallelToolCalls == false, !(JSONText(type) == "none") {
            self.writer.member("disable_parallel_tool_use", true)
        }
        self.writer.endObject()
    }

    private mutating func writeSampling(_ request: ConversationRequest) throws(TranslationError) {
        let traits = self.context.options.traits
        let isThinking = self.thinks(request)
        if let temperature = request.temperature {
            // 1 is the default: left out, nothing changes.
            if !traits.takesSampling || isThinking {
                if temperature.double != 1 { try self.context.refuse("temperature") }
            } else if let value = temperature.double, value > 1 {
                self.writer.member("temperature", raw: JSONSlice("1"))
            } else {
                self.writer.member("temperature", raw: temperature.source)
            }
        }
        if let topP = request.topP {
            if traits.takesSampling {
                self.writer.member("top_p", raw: topP.source)
            } else if topP.double != 1 {
                try self.context.refuse("top_p")
            }
        }
        if let topK = request.topK {
            if traits.takesSampling {
                self.writer.member("top_k", raw: topK.source)
            } else {
                try self.context.refuse("top_k")
            }
        }
        if let penalty = request.frequencyPenalty, penalty.double != 0 { try self.context.refuse("frequency_penalty") }
        if let penalty = request.presencePenalty, penalty.double != 0 { try self.context.refuse("presence_penalty") }
        if request.seed != nil { try self.context.refuse("seed") }
        if let count = request.choiceCount, count != 1 { try self.context.refuse("n") }
        if request.logprobs == true || request.topLogprobs != nil { try self.context.refuse("logprobs") }
        if let bias = request.logitBias, !bias.isEmptyContainer { try self.context.refuse("logit_bias") }
        let stop = request.stop.filter { !Self.isBlank($0) }
        guard !stop.isEmpty else { return }
        self.writer.key("stop_sequences")
        self.writer.beginArray()
        for text in stop { self.writer.string(text) }
        self.writer.endArray()
    }

    static func isBlank(_ text: JSONText) -> Bool {
        text.string.utf8.allSatisfy { $0 == 0x20 || $0 == 0x0A || $0 == 0x0D || $0 == 0x09 }
    }

    private enum Thinking {
        case disabled, adaptive
        case budget(Int64)
    }

    /// `nil`: thinking is not spoken of.
    private func thinkingMode(_ request: ConversationRequest) -> Thinking? {
        guard let reasoning = request.reasoning else { return nil }
        if reasoning.mode == .disabled || reasoning.effort == "none" || reasoning.budgetTokens == 0 { return .disabled }
        if self.context.options.traits.thinksAdaptively { return .adaptive }
        if let budget = reasoning.budgetTokens { return .budget(max(1024, budget)) }
        return .budget(reasoning.effort.flatMap(ReasoningEffort.budget(of:)) ?? 2048)
    }

    /// Thinking and a forced tool exclude each other; the tool is what was asked for.
    private func forcesTool(_ request: ConversationRequest) -> Bool {
        switch request.toolChoice {
        case .required, .function: true
        default: false
        }
    }

    /// Whether the request that goes out asks for thinking.
    private func thinks(_ request: ConversationRequest) -> Bool {
        switch self.thinkingMode(request) {
        case nil, .disabled: false
        case .adaptive: !self.forcesTool(request)
        case .budget: !self.forcesTool(request) && self.limit(request) > 1024
        }
    }

    private mutating func writeReasoning(_ request: ConversationRequest, limit: Int64) throws(TranslationError) {
        let isForced = self.forcesTool(request)
        var effort: JSONText?
        switch self.thinkingMode(request) {
        case nil: break
        case .disabled: self.writer.member("thinking", raw: JSONSlice("{\"type\":\"disabled\"}"))
        case .adaptive, .budget:
            if isForced {
                self.context.drop("reasoning_effort")
                break
            }
            if case .budget(let wanted) = self.thinkingMode(request) {
                let budget = min(wanted, limit - 1)
                guard budget >= 1024 else {
                    self.context.drop("reasoning_effort")
                    break
                }
                self.writer.key("thinking")
                self.writer.beginObject()
                self.writer.member("type", "enabled")
                self.writer.member("budget_tokens", count: budget)
                self.writer.endObject()
            } else {
                self.writer.member("thinking", raw: JSONSlice("{\"type\":\"adaptive\"}"))
                effort = request.reasoning?.effort
                effort = effort ?? request.reasoning?.budgetTokens.map(ReasoningEffort.name(ofBudget:))
                if effort == "minimal" { effort = JSONText("low") }
            }
        }
        self.writeOutput(request.responseFormat, effort)
        if case .native(let type) = request.responseFormat {
            try self.context.refuse("response_format.\(type.string)")
        }
    }

    private mutating func writeOutput(_ format: ResponseFormat?, _ effort: JSONText?) {
        var schema: JSONSlice?
        if case .jsonSchema(_, _, let own, _) = format, self.context.options.traits.hasStructuredOutput { schema = own }
        guard schema != nil || effort != nil else { return }
        self.writer.key("output_config")
        self.writer.beginObject()
        self.writer.member("effort", ifPresent: effort)
        if let schema {
            self.writer.key("format")
            self.writer.beginObject()
            self.writer.member("type", "json_schema")
            self.writer.member("schema", raw: schema)
            self.writer.endObject()
        }
        self.writer.endObject()
    }

    private mutating func writeRest(_ request: ConversationRequest) throws(TranslationError) {
        if let user = request.user {
            self.writer.key("metadata")
            self.writer.beginObject()
            self.writer.member("user_id", user)
            self.writer.endObject()
        }
        if let tier = request.serviceTier {
            if let tier = ServiceTierNames.anthropic(tier, from: request.format) {
                self.writer.member("service_tier", tier)
            } else {
                self.context.drop("service_tier")
            }
        }
        if request.verbosity != nil { self.context.drop("verbosity") }
        self.writeStream(request)
    }
}
