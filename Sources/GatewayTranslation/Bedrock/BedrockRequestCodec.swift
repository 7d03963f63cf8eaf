import GatewayWire

/// Reads the body of `/model/{id}/converse` and `/converse-stream` (Bedrock API reference, "Converse").
struct BedrockRequestDecoder {
    let arena: JSONArena
    private let format = WireFormat.bedrock

    func decode(_ root: JSONValue) throws(TranslationError) -> ConversationRequest {
        var request = ConversationRequest(self.format)
        var reader = ObjectReader(root)
        request.model = reader.takeText("modelId")
        if let system = reader.peek("system") {
            var message = Message(role: .system, parts: [], isInstructions: true, extras: Extras(self.format))
            for block in system.elements { message.parts += try BedrockParts.read(block, self.arena) }
            request.messages.append(message)
        }
        guard let messages = reader.peek("messages"), messages.kind == .array else {
            throw .wrongType("messages", "a list of messages")
        }
        for value in messages.elements {
            let name = value["role"]?.text
            let role: Role = name == "assistant" ? .assistant : name == "system" ? .system : .user
            var message = Message(role: role, parts: [], extras: Extras(self.format))
            for block in value["content"]?.elements ?? value.elements {
                message.parts += try BedrockParts.read(block, self.arena)
            }
            request.messages.append(message)
        }
        if let config = reader.peek("toolConfig") { self.readTools(config, into: &request) }
        self.readParameters(&reader, &request)
        request.extras = reader.rest(self.format)
        return request
    }

    private func readTools(_ config: JSONValue, into request: inout ConversationRequest) {
        for value in config["tools"]?.elements ?? config.elements {
            var tool = Tool(name: .empty, extras: Extras(self.format), functionExtras: Extras(self.format))
            if let spec = value["toolSpec"] {
                tool.name = spec["name"]?.text ?? .empty
                tool.description = spec["description"]?.text
                tool.parameters = spec["inputSchema"]?["json"]?.source
                tool.strict = spec["strict"]?.bool
            } else {
                let type = value.members.first { !$0.key.isEmpty }?.key ?? JSONText("tool")
                tool.native = NativePart(
                    format: self.format, type: type, raw: value.source, isHint: type == "cachePoint")
            }
            request.tools.append(tool)
        }
        guard let choice = config["toolChoice"] else { return }
        if choice["auto"] != nil { request.toolChoice = .auto }
        if choice["any"] != nil { request.toolChoice = .required }
        if let name = choice["tool"]?["name"]?.text { request.toolChoice = .function(name) }
    }

    private func readParameters(_ reader: inout ObjectReader, _ request: inout ConversationRequest) {
        if let config = reader.peek("inferenceConfig") {
            request.maxTokens = config["maxTokens"]?.source
            request.temperature = config["temperature"]
            request.topP = config["topP"]
            request.stop = config["stopSequences"]?.elements.compactMap(\.text) ?? []
        }
        request.serviceTier = reader.peek("serviceTier")?["type"]?.text
        request.metadata = reader.peek("requestMetadata")
        if let more = reader.object["additionalModelRequestFields"], more.kind == .object {
            var inner = ObjectReader(more)
            request.topK = inner.peek("top_k") ?? inner.peek("inferenceConfig")?["topK"]
            if let thinking = inner.peek("thinking") {
                var options = ReasoningOptions()
                options.mode = AnthropicThinking.mode(thinking["type"]?.text)
                options.budgetTokens = thinking["budget_tokens"]?.count
                request.reasoning = options
            }
            _ = reader.peek("additionalModelRequestFields")
            for member in inner.rest(self.format).members where !member.isUnderstood && !member.isNull {
                let name = self.arena.joined([JSONText("additionalModelRequestFields."), member.key])
                request.foreignExtras.append(
                    Extras.Member(key: name, value: member.value, isUnderstood: false, isNull: false))
            }
        }
        guard let output = reader.peek("outputConfig") else { return }
        let schema = output["textFormat"]?["structure"]?["jsonSchema"]
        if let schema, let text = schema["schema"]?.text {
            request.responseFormat = .jsonSchema(
                name: schema["name"]?.text, description: schema["description"]?.text,
                schema: self.arena.unescaped(text), strict: nil)
        }
        if let effort = output["effort"]?.text {
            request.reasoning = request.reasoning ?? ReasoningOptions()
            request.reasoning?.effort = effort
        }
    }
}

/// Writes the body of `/converse`. The model stands in the path.
struct BedrockRequestEncoder {
    var context: EncodingContext
    private var writer = JSONWriter()
    private let format = WireFormat.bedrock

    init(context: EncodingContext) { self.context = context }

    mutating func encode(_ request: ConversationRequest) throws(TranslationError) -> [UInt8] {
        ToolNames.note(request.tools, &self.context)
        self.writer.beginObject()
        if request.format == self.format {
            self.writer.extras(request.extras, for: self.format)
            self.writer.endObject()
            return self.writer.bytes
        }
        var turns = Turns(request)
        if !turns.system.isEmpty {
            self.writer.key("system")
            try self.writeBlocks(turns.system)
        }
        if turns.turns.first?.isAssistant ?? true {
            turns.turns.insert(
                Turns.Turn(isAssistant: false, parts: [.text(TextPart(JSONText("."), self.format))]), at: 0)
        }
        self.writer.key("messages")
        self.writer.beginArray()
        for turn in turns.turns {
            self.writer.beginObject()
            self.writer.member("role", turn.isAssistant ? "assistant" : "user")
            self.writer.key("content")
            try self.writeBlocks(turn.parts)
            self.writer.endObject()
        }
        self.writer.endArray()
        try self.writeInference(request)
        try self.writeTools(request)
        try self.writeMore(request)
        try self.context.refuseLeftovers(request)
        self.writer.endObject()
        return self.writer.bytes
    }

    private mutating func writeBlocks(_ parts: [Part]) throws(TranslationError) {
        self.writer.beginArray()
        for part in parts { try BedrockParts.write(part, isRequest: true, &self.writer, &self.context) }
        self.writer.endArray()
    }

    /// Whether the request that goes out asks Claude for thinking, which excludes a temperature and a forced tool.
    private func thinks(_ request: ConversationRequest) -> Bool {
        guard let reasoning = request.reasoning, self.context.options.traits.bedrockFamily == .anthropic else {
            return false
        }
        if reasoning.mode == .disabled || reasoning.effort == "none" || self.forcesTool(request) { return false }
        return self.context.options.traits.thinksAdaptively || (request.maxTokensCount ?? .max) > 1024
    }

    private func forcesTool(_ request: ConversationRequest) -> Bool {
        switch request.toolChoice {
        case .required, .function: true
        default: false
        }
    }

    private mutating func writeInference(_ request: ConversationRequest) throws(TranslationError) {
        self.writer.key("inferenceConfig")
        self.writer.beginObject()
        self.writer.member("maxTokens", rawIfPresent: request.maxTokens)
        if let temperature = request.temperature {
            if self.thinks(request) {
                // 1 is the default: left out, nothing changes.
                if temperature.double != 1 { try self.context.refuse("temperature") }
            } else if let value = temperature.double, value > 1 {
                self.writer.member("temperature", raw: JSONSlice("1"))
            } else {
                self.writer.member("temperature", raw: temperature.source)
            }
        }
        self.writer.member("topP", valueIfPresent: request.topP)
        let stop = request.stop.filter { !AnthropicRequestEncoder.isBlank($0) }
        if !stop.isEmpty {
            self.writer.key("stopSequences")
            self.writer.beginArray()
            for text in stop { self.writer.string(text) }
            self.writer.endArray()
        }
        self.writer.endObject()
        if let penalty = request.frequencyPenalty, penalty.double != 0 { try self.context.refuse("frequency_penalty") }
        if let penalty = request.presencePenalty, penalty.double != 0 { try self.context.refuse("presence_penalty") }
        if request.seed != nil { try self.context.refuse("seed") }
        if let count = request.choiceCount, count != 1 { try self.context.refuse("n") }
        if request.logprobs == true { try self.context.refuse("logprobs") }
        if let bias = request.logitBias, !bias.isEmptyContainer { try self.context.refuse("logit_bias") }
    }

    private mutating func writeTools(_ request: ConversationRequest) throws(TranslationError) {
        var isNone = false
        if case .none? = request.toolChoice { isNone = true }
        // There is no choice "none": without a history of calls the tools are left out, else the model is left to it.
        if isNone, !request.hasToolHistory { return }
        let answerSchema = self.answerToolSchema(request)
        guard !request.tools.isEmpty || answerSchema != nil else {
            if request.hasToolHistory { try self.context.refuse("tools (missing, with calls in the messages)") }
            return
        }
        self.writer.key("toolConfig")
        self.writer.beginObject()
        self.writer.key("tools")
        self.writer.beginArray()
        for tool in request.tools {
            if let native = tool.native {
                if !native.isHint { try self.context.refuse("tools.\(native.type.string)") }
                continue
            }
            self.write(
                ToolNames.safe(tool.name, &self.context), tool.description, tool.parameters, tool.isOpenAPISchema,
                tool.strict)
            if let control = tool.cacheControl { BedrockParts.writeCachePoint(control, &self.writer) }
        }
        if let answerSchema {
            self.context.memory.answerTool = "json_tool_call"
            self.write(JSONText("json_tool_call"), JSONText("Give the answer in this form."), answerSchema, false, nil)
        }
        self.writer.endArray()
        try self.writeToolChoice(request, hasAnswerTool: answerSchema != nil)
        if request.parallelToolCalls == false { try self.context.refuse("parallel_tool_calls") }
        self.writer.endObject()
    }

    private mutating func write(
        _ name: JSONText, _ description: JSONText?, _ schema: JSONSlice?, _ isOpenAPI: Bool, _ strict: Bool?
    ) {
        self.writer.beginObject()
        self.writer.key("toolSpec")
        self.writer.beginObject()
        self.writer.member("name", name)
        if let description, !description.isEmpty { self.writer.member("description", description) }
        self.writer.key("inputSchema")
        self.writer.beginObject()
        self.writer.key("json")
        SchemaText.writeObject(schema, isOpenAPI: isOpenAPI, &self.writer)
        self.writer.endObject()
        if let strict { self.writer.member("strict", strict) }
        self.writer.endObject()
        self.writer.endObject()
    }

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
        switch request.toolChoice {
        case .auto, .none?: self.writer.member("toolChoice", raw: JSONSlice("{\"auto\":{}}"))
        case .required: self.writer.member("toolChoice", raw: JSONSlice("{\"any\":{}}"))
        case .function(let name):
            self.writer.key("toolChoice")
            self.writer.beginObject()
            self.writer.key("tool")
            self.writer.beginObject()
            self.writer.member("name", ToolNames.safe(name, &self.context))
            self.writer.endObject()
            self.writer.endObject()
        case .native(let text): try self.context.refuse("tool_choice.\(text.string)")
        case nil:
            if hasAnswerTool, request.tools.isEmpty, request.reasoning == nil {
                self.writer.member("toolChoice", raw: JSONSlice("{\"tool\":{\"name\":\"json_tool_call\"}}"))
            }
        }
    }

    private mutating func writeMore(_ request: ConversationRequest) throws(TranslationError) {
        var more = JSONWriter()
        more.beginObject()
        let family = self.context.options.traits.bedrockFamily
        if let topK = request.topK {
            if family == .anthropic {
                more.member("top_k", raw: topK.source)
            } else if family == .nova {
                more.key("inferenceConfig")
                more.beginObject()
                more.member("topK", raw: topK.source)
                more.endObject()
            } else {
                try self.context.refuse("top_k")
            }
        }
        var effort: JSONText?
        if let reasoning = request.reasoning { effort = self.write(reasoning, family, request, &more) }
        more.endObject()
        if more.bytes.count > 2 {
            self.writer.member("additionalModelRequestFields", raw: self.context.arena.copy(more.bytes))
        }
        self.writeOutput(request.responseFormat, effort)
        if case .native(let type) = request.responseFormat {
            try self.context.refuse("response_format.\(type.string)")
        }
        if let tier = request.serviceTier {
            if let tier = ServiceTierNames.bedrock(tier, from: request.format) {
                self.writer.key("serviceTier")
                self.writer.beginObject()
                self.writer.member("type", tier)
                self.writer.endObject()
            } else {
                self.context.drop("service_tier")
            }
        }
        if request.user != nil { self.context.drop("user") }
        if request.verbosity != nil { self.context.drop("verbosity") }
    }

    /// Each family has its own words for thinking. Gives the effort that `outputConfig` is to carry.
    private mutating func write(
        _ reasoning: ReasoningOptions, _ family: ModelTraits.BedrockFamily, _ request: ConversationRequest,
        _ more: inout JSONWriter
    ) -> JSONText? {
        let isOff = reasoning.mode == .disabled || reasoning.effort == "none"
        let effort = reasoning.effort ?? reasoning.budgetTokens.map(ReasoningEffort.name(ofBudget:))
        switch family {
        case .anthropic:
            if isOff { return nil }
            if self.forcesTool(request) {
                self.context.drop("reasoning_effort")
                return nil
            }
            if self.context.options.traits.thinksAdaptively {
                more.member("thinking", raw: JSONSlice("{\"type\":\"adaptive\"}"))
                return effort == "minimal" ? JSONText("low") : effort
            }
            let limit = request.maxTokensCount ?? Int64.max
            let budget = min(
                max(1024, reasoning.budgetTokens ?? effort.flatMap(ReasoningEffort.budget(of:)) ?? 2048), limit - 1)
            guard budget >= 1024 else {
                self.context.drop("reasoning_effort")
                return nil
            }
            more.key("thinking")
            more.beginObject()
            more.member("type", "enabled")
            more.member("budget_tokens", count: budget)
            more.endObject()
        case .nova:
            more.key("reasoningConfig")
            more.beginObject()
            more.member("type", isOff ? "disabled" : "enabled")
            if !isOff { more.member("maxReasoningEffort", ifPresent: effort) }
            more.endObject()
        case .other: if !isOff { more.member("reasoning_effort", ifPresent: effort) }
        }
        return nil
    }

    private mutating func writeOutput(_ format: ResponseFormat?, _ effort: JSONText?) {
        var hasSchema = false
        if case .jsonSchema = format { hasSchema = self.context.options.traits.hasStructuredOutput }
        guard hasSchema || effort != nil else { return }
        self.writer.key("outputConfig")
        self.writer.beginObject()
        if hasSchema, case .jsonSchema(let name, let description, let schema, _) = format {
            self.writer.key("textFormat")
            self.writer.beginObject()
            self.writer.member("type", "json_schema")
            self.writer.key("structure")
            self.writer.beginObject()
            self.writer.key("jsonSchema")
            self.writer.beginObject()
            self.writer.member("name", name ?? JSONText("response"))
            self.writer.member("description", ifPresent: description)
            self.writer.key("schema")
            self.writer.string(holding: schema)
            self.writer.endObject()
            self.writer.endObject()
            self.writer.endObject()
        }
        self.writer.member("effort", ifPresent: effort)
        self.writer.endObject()
    }
}
