import GatewayWire

/// Reads the body of `/v1/responses` (OpenAI API reference, "Create a model response").
struct ResponsesRequestDecoder {
    let arena: JSONArena
    private let format = WireFormat.openAIResponses

    func decode(_ root: JSONValue) throws(TranslationError) -> ConversationRequest {
        var request = ConversationRequest(self.format)
        var reader = ObjectReader(root)
        request.model = reader.takeText("model")
        if let text = reader.peekText("instructions") {
            request.messages.append(
                Message(
                    role: .system, parts: [.text(TextPart(text, self.format))], isStringContent: true,
                    isInstructions: true, extras: Extras(self.format)))
        }
        if let input = reader.take("input") {
            if let text = input.text {
                request.messages.append(
                    Message(
                        role: .user, parts: [.text(TextPart(text, self.format))], isStringContent: true,
                        extras: Extras(self.format)))
                request.isStringInput = true
            } else {
                for item in input.elements { request.messages.append(try ResponsesItems.read(item, self.arena)) }
            }
        }
        if let tools = reader.peek("tools") {
            for tool in tools.elements { request.tools.append(self.tool(tool)) }
        }
        if let choice = reader.peek("tool_choice") { request.toolChoice = self.toolChoice(choice) }
        self.readParameters(&reader, &request)
        request.extras = reader.rest(self.format)
        return request
    }

    private func readParameters(_ reader: inout ObjectReader, _ request: inout ConversationRequest) {
        request.parallelToolCalls = reader.peek("parallel_tool_calls")?.bool
        request.maxTokens = reader.peek("max_output_tokens")?.source
        request.temperature = reader.peek("temperature")
        request.topP = reader.peek("top_p")
        request.topLogprobs = reader.peek("top_logprobs")
        if let count = request.topLogprobs?.count { request.logprobs = count > 0 }
        if request.logprobs == false { request.topLogprobs = nil }
        request.serviceTier = reader.peekText("service_tier")
        request.user = reader.peekText("user")
        request.metadata = reader.peek("metadata")
        request.isStream = reader.peek("stream")?.bool ?? false
        if let reasoning = reader.peek("reasoning") {
            var options = ReasoningOptions()
            options.effort = reasoning["effort"]?.text
            options.isShown = reasoning["summary"].map { _ in true }
            request.reasoning = options.effort == nil ? nil : options
        }
        guard let text = reader.peek("text") else { return }
        request.verbosity = text["verbosity"]?.text
        guard let format = text["format"], let type = format["type"]?.text else { return }
        if type == "json_object" {
            request.responseFormat = .jsonObject
        } else if type == "json_schema", let schema = format["schema"] {
            request.responseFormat = .jsonSchema(
                name: format["name"]?.text, description: format["description"]?.text, schema: schema.source,
                strict: format["strict"]?.bool)
        } else if !(type == "text") {
            request.responseFormat = .native(type)
        }
    }

    private func tool(_ value: JSONValue) -> Tool {
        guard value["type"]?.text == "function", let name = value["name"]?.text else {
            let native = NativePart(
                format: self.format, type: value["type"]?.text ?? JSONText("tool"), raw: value.source)
            return Tool(
                name: value["name"]?.text ?? .empty, native: native, extras: Extras(self.format),
                functionExtras: Extras(self.format))
        }
        var tool = Tool(name: name, extras: Extras(self.format), functionExtras: Extras(self.format))
        tool.description = value["description"]?.text
        tool.parameters = value["parameters"]?.source
        tool.strict = value["strict"]?.bool
        return tool
    }

    private func toolChoice(_ value: JSONValue) -> ToolChoice {
        if let text = value.text {
            return text == "auto" ? .auto : text == "none" ? .none : text == "required" ? .required : .native(text)
        }
        let type = value["type"]?.text
        if type == "function", let name = value["name"]?.text { return .function(name) }
        return .native(type ?? JSONText("tool_choice"))
    }
}

/// Writes the body of `/v1/responses`.
struct ResponsesRequestEncoder {
    var context: EncodingContext
    private var writer = JSONWriter()
    private let format = WireFormat.openAIResponses

    init(context: EncodingContext) { self.context = context }

    mutating func encode(_ request: ConversationRequest) throws(TranslationError) -> [UInt8] {
        self.writer.beginObject()
        self.writer.key("model")
        if let model = self.context.options.model {
            self.writer.string(escaping: model)
        } else {
            self.writer.string(request.model ?? .empty)
        }
        self.writer.key("input")
        if request.isStringInput, let message = request.messages.last, case .text(let text)? = message.parts.first,
            request.format == self.format
        {
            self.writer.string(text.text)
        } else {
            self.writer.beginArray()
            for message in request.messages where !message.isInstructions || request.format != self.format {
                try self.write(message)
            }
            self.writer.endArray()
        }
        if request.format == self.format {
            self.writer.extras(request.extras, for: self.format)
        } else {
            try self.writeTools(request)
            try self.writeParameters(request)
            try self.context.refuseLeftovers(request)
        }
        self.writer.endObject()
        return self.writer.bytes
    }

    /// Texts and pictures are one message item; calls, results and reasoning are items of their own.
    private mutating func write(_ message: Message) throws(TranslationError) {
        var content: [Part] = []
        var isWritten = false
        for part in message.parts {
            switch part {
            case .toolCall, .toolResult, .reasoning:
                if !content.isEmpty { try self.write(message, content) }
                isWritten = true
                content = []
                try self.writeItem(part)
            case .native(let native) where native.format == self.format && message.parts.count == 1:
                // A whole item that only this format knows.
                isWritten = true
                self.writer.raw(native.raw)
            default: content.append(part)
            }
        }
        if !content.isEmpty || !isWritten { try self.write(message, content) }
    }

    private mutating func write(_ message: Message, _ content: [Part]) throws(TranslationError) {
        let isSame = message.extras.format == self.format
        self.writer.beginObject()
        if !isSame { self.writer.member("type", "message") }
        let role: StaticString =
            switch message.role {
            case .system: "system"
            case .developer: "developer"
            case .assistant: "assistant"
            case .user, .tool: "user"
            }
        self.writer.member("role", JSONText(role))
        self.writer.key("content")
        if message.isStringContent, content.count == 1, case .text(let text) = content[0] {
            self.writer.string(text.text)
        } else {
            self.writer.beginArray()
            for part in content {
                try ResponsesItems.write(
                    part, isAssistant: message.role == .assistant, &self.writer, &self.context)
            }
            self.writer.endArray()
        }
        self.writer.extras(message.extras, for: self.format)
        self.writer.endObject()
    }

    private mutating func writeItem(_ part: Part) throws(TranslationError) {
        switch part {
        case .toolCall(let call):
            self.writer.beginObject()
            if call.extras.format != self.format { self.writer.member("type", "function_call") }
            self.writer.member("call_id", call.id ?? self.context.identifiers.next("call_", self.context.arena))
            self.writer.member("name", call.name)
            ToolArguments.writeText(call.arguments, "arguments", &self.writer)
            self.writer.extras(call.extras, for: self.format)
            self.writer.endObject()
        case .toolResult(let result): try self.write(result)
        case .reasoning(let reasoning):
            // What another provider has thought and signed means nothing to OpenAI.
            guard reasoning.extras.format == self.format else { return }
            self.writer.beginObject()
            self.writer.extras(reasoning.extras, for: self.format)
            self.writer.endObject()
        default: return
        }
    }

    private mutating func write(_ result: ToolResult) throws(TranslationError) {
        self.writer.beginObject()
        if result.extras.format != self.format { self.writer.member("type", "function_call_output") }
        self.writer.member("call_id", result.callID ?? result.name ?? .empty)
        self.writer.key("output")
        if let json = result.json {
            self.writer.string(holding: json)
        } else if result.parts.isEmpty {
            self.writer.string("")
        } else if result.parts.count == 1, case .text(let text) = result.parts[0],
            result.isStringContent || text.extras.format != self.format
        {
            self.writer.string(text.text)
        } else {
            self.writer.beginArray()
            for part in result.parts {
                try ResponsesItems.write(part, isAssistant: false, &self.writer, &self.context)
            }
            self.writer.endArray()
        }
        self.writer.extras(result.extras, for: self.format)
        self.writer.endObject()
    }

    private mutating func writeTools(_ request: ConversationRequest) throws(TranslationError) {
        var functions: [Tool] = []
        for tool in request.tools {
            if let native = tool.native {
                if !native.isHint { try self.context.refuse("tools.\(native.type.string)") }
            } else {
                functions.append(tool)
            }
        }
        guard !functions.isEmpty else { return }
        self.writer.key("tools")
        self.writer.beginArray()
        for tool in functions {
            self.writer.beginObject()
            self.writer.member("type", "function")
            self.writer.member("name", tool.name)
            self.writer.member("description", ifPresent: tool.description)
            self.writer.key("parameters")
            SchemaText.writeObject(tool.parameters, isOpenAPI: tool.isOpenAPISchema, &self.writer)
            // Responses are strict unless told otherwise; chat is not.
            self.writer.member("strict", tool.strict ?? false)
            self.writer.endObject()
            if tool.cacheControl != nil { self.context.drop("tools.cache_control") }
        }
        self.writer.endArray()
        if request.parallelToolCalls == false { self.writer.member("parallel_tool_calls", false) }
        switch request.toolChoice {
        case .auto: self.writer.member("tool_choice", "auto")
        case .none?: self.writer.member("tool_choice", "none")
        case .required: self.writer.member("tool_choice", "required")
        case .function(let name):
            self.writer.key("tool_choice")
            self.writer.beginObject()
            self.writer.member("type", "function")
            self.writer.member("name", name)
            self.writer.endObject()
        case .native(let text): try self.context.refuse("tool_choice.\(text.string)")
        case nil: break
        }
    }

    private mutating func writeParameters(_ request: ConversationRequest) throws(TranslationError) {
        self.writer.member("max_output_tokens", rawIfPresent: request.maxTokens)
        self.writer.member("temperature", valueIfPresent: request.temperature)
        self.writer.member("top_p", valueIfPresent: request.topP)
        if request.logprobs == true {
            self.writer.member("top_logprobs", raw: request.topLogprobs?.source ?? JSONSlice("0"))
            self.writer.member("include", raw: JSONSlice("[\"message.output_text.logprobs\"]"))
        }
        if request.topK != nil { try self.context.refuse("top_k") }
        if let value = request.frequencyPenalty, value.double != 0 { try self.context.refuse("frequency_penalty") }
        if let value = request.presencePenalty, value.double != 0 { try self.context.refuse("presence_penalty") }
        if request.seed != nil { try self.context.refuse("seed") }
        if let count = request.choiceCount, count != 1 { try self.context.refuse("n") }
        if let bias = request.logitBias, !bias.isEmptyContainer { try self.context.refuse("logit_bias") }
        if !request.stop.isEmpty { try self.context.refuse("stop") }
        try self.writeText(request)
        self.writeReasoning(request.reasoning)
        if let tier = request.serviceTier.flatMap({ ServiceTierNames.openAI($0, from: request.format) }) {
            self.writer.member("service_tier", tier)
        }
        self.writer.member("user", ifPresent: request.user)
        // The gateway keeps nothing at the provider that the caller did not ask for.
        self.writer.member("store", false)
        if request.isStream { self.writer.member("stream", true) }
    }

    private mutating func writeReasoning(_ reasoning: ReasoningOptions?) {
        guard let reasoning else { return }
        let effort =
            reasoning.mode == .disabled
            ? JSONText("none") : reasoning.effort ?? reasoning.budgetTokens.map(ReasoningEffort.name(ofBudget:))
        guard let effort else { return }
        self.writer.key("reasoning")
        self.writer.beginObject()
        self.writer.member("effort", effort)
        if reasoning.isShown == true { self.writer.member("summary", "auto") }
        self.writer.endObject()
    }

    private mutating func writeText(_ request: ConversationRequest) throws(TranslationError) {
        var hasFormat = true
        switch request.responseFormat {
        case .text, nil: hasFormat = false
        case .native(let type):
            hasFormat = false
            try self.context.refuse("response_format.\(type.string)")
        default: break
        }
        guard hasFormat || request.verbosity != nil else { return }
        self.writer.key("text")
        self.writer.beginObject()
        switch request.responseFormat {
        case .jsonObject: self.writer.member("format", raw: JSONSlice("{\"type\":\"json_object\"}"))
        case .jsonSchema(let name, let description, let schema, let strict):
            self.writer.key("format")
            self.writer.beginObject()
            self.writer.member("type", "json_schema")
            self.writer.member("name", name ?? JSONText("response"))
            self.writer.member("description", ifPresent: description)
            self.writer.member("schema", raw: schema)
            if let strict { self.writer.member("strict", strict) }
            self.writer.endObject()
        default: break
        }
        self.writer.member("verbosity", ifPresent: request.verbosity)
        self.writer.endObject()
    }
}
