import GatewayWire

/// Writes the body of `:generateContent`. The model stands in the path.
struct GeminiRequestEncoder {
    var context: EncodingContext
    private var writer = JSONWriter()
    private let format = WireFormat.gemini

    init(context: EncodingContext) { self.context = context }

    mutating func encode(_ request: ConversationRequest) throws(TranslationError) -> [UInt8] {
        self.writer.beginObject()
        if request.format == self.format {
            try self.copy(request)
        } else {
            try self.writeConversation(request)
            try self.writeTools(request)
            try self.writeConfiguration(request)
            if let tier = request.serviceTier { self.context.drop("service_tier=\(tier.string)") }
            if request.verbosity != nil { self.context.drop("verbosity") }
            if request.cacheControl != nil { self.context.drop("cache_control") }
            try self.context.refuseLeftovers(request)
        }
        self.writer.endObject()
        return self.writer.bytes
    }

    private mutating func copy(_ request: ConversationRequest) throws(TranslationError) {
        for message in request.messages where message.isInstructions {
            self.writer.key("systemInstruction")
            try self.write(message.parts, role: nil, names: [:], message.extras)
        }
        self.writer.key("contents")
        self.writer.beginArray()
        for message in request.messages where !message.isInstructions {
            try self.write(
                message.parts, role: message.role == .assistant ? "model" : "user", names: [:], message.extras)
        }
        self.writer.endArray()
        self.writer.extras(request.extras, for: self.format)
    }

    private mutating func write(
        _ parts: [Part], role: StaticString?, names: [String: JSONText], _ extras: Extras
    ) throws(TranslationError) {
        self.writer.beginObject()
        if let role { self.writer.member("role", JSONText(role)) }
        self.writer.key("parts")
        self.writer.beginArray()
        for part in parts {
            try GeminiParts.write(part, isRequest: true, names: names, &self.writer, &self.context)
        }
        self.writer.endArray()
        self.writer.extras(extras, for: self.format)
        self.writer.endObject()
    }

    private mutating func writeConversation(_ request: ConversationRequest) throws(TranslationError) {
        var turns = Turns(request)
        let names = request.callNames
        // Contents may not be empty: instructions alone are sent as the user's words.
        if turns.turns.isEmpty {
            turns.turns = [Turns.Turn(isAssistant: false, parts: turns.system)]
            turns.system = []
        }
        if !turns.system.isEmpty {
            self.writer.key("systemInstruction")
            try self.write(turns.system, role: nil, names: names, Extras(request.format))
        }
        self.writer.key("contents")
        self.writer.beginArray()
        for turn in turns.turns {
            try self.write(
                turn.parts, role: turn.isAssistant ? "model" : "user", names: names, Extras(request.format))
        }
        self.writer.endArray()
    }

    private mutating func writeTools(_ request: ConversationRequest) throws(TranslationError) {
        var functions: [Tool] = []
        for tool in request.tools {
            guard let native = tool.native else {
                functions.append(tool)
                continue
            }
            if !native.isHint { try self.context.refuse("tools.\(native.type.string)") }
        }
        guard !functions.isEmpty else { return }
        self.writer.key("tools")
        self.writer.beginArray()
        self.writer.beginObject()
        self.writer.key("functionDeclarations")
        self.writer.beginArray()
        for tool in functions {
            self.writer.beginObject()
            self.writer.member("name", tool.name)
            self.writer.member("description", ifPresent: tool.description)
            self.writer.member("parametersJsonSchema", rawIfPresent: tool.parameters)
            self.writer.endObject()
            if tool.cacheControl != nil { self.context.drop("tools.cache_control") }
        }
        self.writer.endArray()
        self.writer.endObject()
        self.writer.endArray()
        if request.parallelToolCalls == false { try self.context.refuse("parallel_tool_calls") }
        try self.writeToolChoice(request.toolChoice)
    }

    private mutating func writeToolChoice(_ choice: ToolChoice?) throws(TranslationError) {
        guard let choice else { return }
        var name: JSONText?
        let mode: StaticString
        switch choice {
        case .auto: mode = "AUTO"
        case .none: mode = "NONE"
        case .required: mode = "ANY"
        case .function(let text):
            mode = "ANY"
            name = text
        case .native(let text): return try self.context.refuse("tool_choice.\(text.string)")
        }
        self.writer.key("toolConfig")
        self.writer.beginObject()
        self.writer.key("functionCallingConfig")
        self.writer.beginObject()
        self.writer.member("mode", JSONText(mode))
        if let name {
            self.writer.key("allowedFunctionNames")
            self.writer.beginArray()
            self.writer.string(name)
            self.writer.endArray()
        }
        self.writer.endObject()
        self.writer.endObject()
    }

    // MARK: - Parameters

    private mutating func writeConfiguration(_ request: ConversationRequest) throws(TranslationError) {
        self.writer.key("generationConfig")
        self.writer.beginObject()
        self.writer.member("maxOutputTokens", rawIfPresent: request.maxTokens)
        self.writer.member("temperature", valueIfPresent: request.temperature)
        self.writer.member("topP", valueIfPresent: request.topP)
        self.writer.member("topK", valueIfPresent: request.topK)
        self.writer.member("candidateCount", countIfPresent: request.choiceCount)
        self.writer.member("seed", valueIfPresent: request.seed)
        self.writer.member("presencePenalty", valueIfPresent: request.presencePenalty)
        self.writer.member("frequencyPenalty", valueIfPresent: request.frequencyPenalty)
        if request.logprobs == true {
            self.writer.member("responseLogprobs", true)
            self.writer.member("logprobs", valueIfPresent: request.topLogprobs)
        }
        try self.writeStop(request.stop)
        switch request.responseFormat {
        case .jsonObject: self.writer.member("responseMimeType", "application/json")
        case .jsonSchema(_, _, let schema, _):
            self.writer.member("responseMimeType", "application/json")
            self.writer.member("responseJsonSchema", raw: schema)
        case .native(let type): try self.context.refuse("response_format.\(type.string)")
        case .text, nil: break
        }
        self.writeThinking(request.reasoning)
        self.writer.endObject()
        if let bias = request.logitBias, !bias.isEmptyContainer { try self.context.refuse("logit_bias") }
    }

    private mutating func writeStop(_ stop: [JSONText]) throws(TranslationError) {
        guard !stop.isEmpty else { return }
        if stop.count > 5 { try self.context.refuse("stop (more than 5)") }
        self.writer.key("stopSequences")
        self.writer.beginArray()
        for text in stop.prefix(5) { self.writer.string(text) }
        self.writer.endArray()
    }

    private mutating func writeThinking(_ reasoning: ReasoningOptions?) {
        guard let reasoning else { return }
        let isOff = reasoning.mode == .disabled || reasoning.effort == "none" || reasoning.budgetTokens == 0
        let traits = self.context.options.traits
        self.writer.key("thinkingConfig")
        self.writer.beginObject()
        if traits.hasThinkingLevels {
            let byBudget = reasoning.budgetTokens.map(ReasoningEffort.name(ofBudget:))
            if isOff {
                self.writer.member("thinkingLevel", "minimal")
            } else if let level = reasoning.effort ?? byBudget {
                self.writer.member("thinkingLevel", level == "max" ? JSONText("xhigh") : level)
            }
        } else if isOff {
            self.writer.member("thinkingBudget", count: 0)
        } else if let budget = reasoning.budgetTokens {
            self.writer.member("thinkingBudget", count: budget)
        } else if let effort = reasoning.effort {
            let budget = effort == "minimal" ? traits.thinkingBudgetMin : ReasoningEffort.budget(of: effort)
            self.writer.member("thinkingBudget", countIfPresent: budget)
        }
        if !isOff, reasoning.isShown != false { self.writer.member("includeThoughts", true) }
        self.writer.endObject()
    }
}
