import GatewayWire

/// Reads the body of Cohere's `/v2/chat`. Messages and tools have OpenAI's shape.
struct CohereRequestDecoder {
    let arena: JSONArena
    private let format = WireFormat.cohere

    func decode(_ root: JSONValue) throws(TranslationError) -> ConversationRequest {
        var request = ConversationRequest(self.format)
        var reader = ObjectReader(root)
        request.model = reader.takeText("model")
        guard let messages = reader.peek("messages"), messages.kind == .array else {
            throw .wrongType("messages", "a list of messages")
        }
        for message in messages.elements { request.messages.append(try self.message(message)) }
        if let tools = reader.peek("tools") {
            for value in tools.elements {
                let function = value["function"]
                var tool = Tool(
                    name: function?["name"]?.text ?? .empty, extras: Extras(self.format),
                    functionExtras: Extras(self.format))
                tool.description = function?["description"]?.text
                tool.parameters = function?["parameters"]?.source
                request.tools.append(tool)
            }
        }
        if let choice = reader.peekText("tool_choice") {
            request.toolChoice = choice == "REQUIRED" ? .required : ToolChoice.none
        }
        request.maxTokens = reader.peek("max_tokens")?.source
        request.stop = reader.peek("stop_sequences")?.elements.compactMap(\.text) ?? []
        request.temperature = reader.peek("temperature")
        request.seed = reader.peek("seed")
        request.frequencyPenalty = reader.peek("frequency_penalty")
        request.presencePenalty = reader.peek("presence_penalty")
        request.topK = reader.peek("k")
        request.topP = reader.peek("p")
        request.logprobs = reader.peek("logprobs")?.bool
        request.isStream = reader.peek("stream")?.bool ?? false
        if let format = reader.peek("response_format") {
            if let schema = format["json_schema"] ?? format["schema"] {
                request.responseFormat = .jsonSchema(name: nil, description: nil, schema: schema.source, strict: nil)
            } else if format["type"]?.text == "json_object" {
                request.responseFormat = .jsonObject
            }
        }
        if let thinking = reader.peek("thinking") {
            var options = ReasoningOptions()
            options.mode = AnthropicThinking.mode(thinking["type"]?.text)
            options.budgetTokens = thinking["token_budget"]?.count
            request.reasoning = options
        }
        request.extras = reader.rest(self.format)
        return request
    }

    private func message(_ value: JSONValue) throws(TranslationError) -> Message {
        let name = value["role"]?.text
        let role: Role =
            name == "assistant" ? .assistant : name == "system" ? .system : name == "tool" ? .tool : .user
        var reader = ObjectReader(value)
        let content = reader.take("content")
        var parts: [Part] = []
        if let text = content?.text {
            parts = [.text(TextPart(text, self.format))]
        } else if let content {
            for element in content.elements { parts.append(try CohereParts.read(element, self.arena)) }
        }
        var message = Message(
            role: role, parts: parts, isStringContent: content?.kind == .string, extras: Extras(self.format))
        if role == .tool {
            message.parts = [
                .toolResult(
                    ToolResult(
                        callID: reader.takeText("tool_call_id"), parts: parts,
                        isStringContent: message.isStringContent, isError: false, extras: Extras(self.format)))
            ]
        } else if role == .assistant {
            if let plan = reader.takeText("tool_plan") {
                message.parts.insert(
                    .reasoning(ReasoningPart(text: plan, format: self.format, extras: Extras(self.format))), at: 0)
            }
            message.parts += try ChatToolCalls.read(&reader, self.format)
        }
        return message
    }
}

/// Parts of content in Cohere's format.
enum CohereParts {
    static func read(_ value: JSONValue, _ arena: JSONArena) throws(TranslationError) -> Part {
        if value["type"]?.text == "document", let document = value["document"] {
            let data = document["data"]
            let text = data?.text ?? data.flatMap { $0["text"]?.text ?? $0["content"]?.text }
            let json = data.map { arena.escaped($0.source.bytes) }
            return .text(TextPart(text ?? json ?? .empty, .cohere))
        }
        return try ChatParts.read(value, .cohere, arena)
    }
}

/// Writes the body of Cohere's `/v2/chat`.
struct CohereRequestEncoder {
    var context: EncodingContext
    private var writer = JSONWriter()
    private let format = WireFormat.cohere

    init(context: EncodingContext) { self.context = context }

    mutating func encode(_ request: ConversationRequest) throws(TranslationError) -> [UInt8] {
        self.writer.beginObject()
        self.writer.key("model")
        if let model = self.context.options.model {
            self.writer.string(escaping: model)
        } else {
            self.writer.string(request.model ?? .empty)
        }
        if request.format == self.format {
            self.writer.extras(request.extras, for: self.format)
        } else {
            self.writer.key("messages")
            self.writer.beginArray()
            for message in Turns.merged(request.messages) { try self.write(message) }
            self.writer.endArray()
            try self.writeTools(request)
            try self.writeParameters(request)
            try self.context.refuseLeftovers(request)
        }
        self.writer.endObject()
        return self.writer.bytes
    }

    private mutating func write(_ message: Message) throws(TranslationError) {
        var rest: [Part] = []
        for part in message.parts {
            guard case .toolResult(let result) = part else {
                rest.append(part)
                continue
            }
            self.writer.beginObject()
            self.writer.member("role", "tool")
            self.writer.member("tool_call_id", result.callID ?? result.name ?? .empty)
            self.writer.key("content")
            if let json = result.json {
                self.writer.string(holding: json)
            } else {
                try self.writeContent(result.parts)
            }
            self.writer.endObject()
        }
        guard !rest.isEmpty else { return }
        self.writer.beginObject()
        let role: StaticString =
            switch message.role {
            case .system, .developer: "system"
            case .assistant: "assistant"
            case .user, .tool: "user"
            }
        self.writer.member("role", JSONText(role))
        let content = rest.filter {
            switch $0 {
            case .toolCall, .reasoning: false
            default: true
            }
        }
        if !content.isEmpty {
            self.writer.key("content")
            try self.writeContent(content)
        }
        ChatToolCalls.write(rest, &self.writer, &self.context)
        self.writer.endObject()
    }

    private mutating func writeContent(_ parts: [Part]) throws(TranslationError) {
        if parts.count == 1, case .text(let text) = parts[0] { return self.writer.string(text.text) }
        if parts.isEmpty { return self.writer.string("") }
        self.writer.beginArray()
        for part in parts {
            if case .media(let media) = part, media.kind != .image {
                throw self.context.unsupportedContent("Media other than images")
            }
            try ChatParts.write(part, &self.writer, &self.context)
        }
        self.writer.endArray()
    }

    private mutating func writeTools(_ request: ConversationRequest) throws(TranslationError) {
        guard !request.tools.isEmpty else { return }
        self.writer.key("tools")
        self.writer.beginArray()
        for tool in request.tools {
            if let native = tool.native {
                if !native.isHint { try self.context.refuse("tools.\(native.type.string)") }
                continue
            }
            self.writer.beginObject()
            self.writer.member("type", "function")
            self.writer.key("function")
            self.writer.beginObject()
            self.writer.member("name", tool.name)
            self.writer.member("description", ifPresent: tool.description)
            self.writer.key("parameters")
            SchemaText.writeObject(tool.parameters, isOpenAPI: tool.isOpenAPISchema, &self.writer)
            self.writer.endObject()
            self.writer.endObject()
        }
        self.writer.endArray()
        switch request.toolChoice {
        case .auto, nil: break
        case .required: self.writer.member("tool_choice", "REQUIRED")
        case .none?: self.writer.member("tool_choice", "NONE")
        case .function, .native: try self.context.refuse("tool_choice")
        }
        if request.parallelToolCalls == false { try self.context.refuse("parallel_tool_calls") }
    }

    private mutating func writeParameters(_ request: ConversationRequest) throws(TranslationError) {
        self.writer.member("max_tokens", rawIfPresent: request.maxTokens)
        self.writer.member("temperature", valueIfPresent: request.temperature)
        self.writer.member("p", valueIfPresent: request.topP)
        self.writer.member("k", valueIfPresent: request.topK)
        self.writer.member("seed", valueIfPresent: request.seed)
        self.writer.member("frequency_penalty", valueIfPresent: request.frequencyPenalty)
        self.writer.member("presence_penalty", valueIfPresent: request.presencePenalty)
        if let logprobs = request.logprobs { self.writer.member("logprobs", logprobs) }
        if !request.stop.isEmpty {
            self.writer.key("stop_sequences")
            self.writer.beginArray()
            for text in request.stop { self.writer.string(text) }
            self.writer.endArray()
        }
        switch request.responseFormat {
        case .jsonObject: self.writer.member("response_format", raw: JSONSlice("{\"type\":\"json_object\"}"))
        case .jsonSchema(_, _, let schema, _):
            self.writer.key("response_format")
            self.writer.beginObject()
            self.writer.member("type", "json_object")
            self.writer.member("json_schema", raw: schema)
            self.writer.endObject()
        case .native(let type): try self.context.refuse("response_format.\(type.string)")
        case .text, nil: break
        }
        if let reasoning = request.reasoning {
            let isOff = reasoning.mode == .disabled || reasoning.effort == "none"
            self.writer.key("thinking")
            self.writer.beginObject()
            self.writer.member("type", isOff ? "disabled" : "enabled")
            if !isOff {
                self.writer.member(
                    "token_budget",
                    countIfPresent: reasoning.budgetTokens ?? reasoning.effort.flatMap(ReasoningEffort.budget(of:)))
            }
            self.writer.endObject()
        }
        if let count = request.choiceCount, count != 1 { try self.context.refuse("n") }
        if let bias = request.logitBias, !bias.isEmptyContainer { try self.context.refuse("logit_bias") }
        if request.topLogprobs != nil { try self.context.refuse("top_logprobs") }
        if request.verbosity != nil { self.context.drop("verbosity") }
        if request.isStream { self.writer.member("stream", true) }
    }
}
