import GatewayWire

/// Reads the body of `/v1/chat/completions` (OpenAI API reference, "Create chat completion").
struct ChatRequestDecoder {
    let arena: JSONArena
    private let format = WireFormat.openAIChat

    func decode(_ root: JSONValue) throws(TranslationError) -> ConversationRequest {
        var request = ConversationRequest(self.format)
        var reader = ObjectReader(root)
        request.model = reader.takeText("model")
        guard let messages = reader.take("messages"), messages.kind == .array else {
            throw .wrongType("messages", "a list of messages")
        }
        for message in messages.elements { request.messages.append(try self.message(message)) }
        if let tools = reader.take("tools") {
            for tool in tools.elements { request.tools.append(try self.tool(tool)) }
        } else if let functions = reader.peek("functions") {
            for function in functions.elements { request.tools.append(try self.function(function)) }
        }
        if let choice = reader.peek("tool_choice") { request.toolChoice = self.toolChoice(choice) }
        if let choice = reader.peek("function_call") { request.toolChoice = self.toolChoice(choice) }
        self.readParameters(&reader, &request)
        request.extras = reader.rest(self.format)
        return request
    }

    private func readParameters(_ reader: inout ObjectReader, _ request: inout ConversationRequest) {
        request.parallelToolCalls = reader.peek("parallel_tool_calls")?.bool
        // Both are read, so that neither is left over.
        let oldLimit = reader.peek("max_tokens")
        request.maxTokens = (reader.peek("max_completion_tokens") ?? oldLimit)?.source
        request.temperature = reader.peek("temperature")
        request.topP = reader.peek("top_p")
        request.topK = reader.peek("top_k")
        request.frequencyPenalty = reader.peek("frequency_penalty")
        request.presencePenalty = reader.peek("presence_penalty")
        request.seed = reader.peek("seed")
        request.choiceCount = reader.peek("n")?.count
        request.logprobs = reader.peek("logprobs")?.bool
        request.topLogprobs = reader.peek("top_logprobs")
        request.logitBias = reader.peek("logit_bias")
        if let stop = reader.peek("stop") {
            request.stop = stop.text.map { [$0] } ?? stop.elements.compactMap(\.text)
        }
        if let value = reader.peek("response_format") { request.responseFormat = Self.responseFormat(value) }
        request.reasoning = self.reasoning(&reader)
        request.verbosity = reader.peekText("verbosity")
        request.serviceTier = reader.peekText("service_tier")
        request.user = reader.peekText("user")
        request.metadata = reader.peek("metadata")
        request.isStream = reader.peek("stream")?.bool ?? false
        _ = reader.peek("stream_options")
    }

    /// `reasoning_effort`, OpenRouter's `reasoning`, and Anthropic's `thinking`, which LiteLLM takes here too.
    private func reasoning(_ reader: inout ObjectReader) -> ReasoningOptions? {
        var options = ReasoningOptions()
        var isSet = false
        if let effort = reader.peekText("reasoning_effort") {
            options.effort = effort
            isSet = true
        }
        if let object = reader.peek("reasoning"), object.kind == .object {
            options.effort = object["effort"]?.text ?? options.effort
            options.budgetTokens = object["max_tokens"]?.count
            options.isShown = object["exclude"]?.bool.map { !$0 }
            if object["enabled"]?.bool == false { options.mode = .disabled }
            isSet = true
        }
        if let thinking = reader.peek("thinking"), thinking.kind == .object {
            options.budgetTokens = thinking["budget_tokens"]?.count ?? options.budgetTokens
            options.mode = AnthropicThinking.mode(thinking["type"]?.text)
            isSet = true
        }
        return isSet ? options : nil
    }

    static func responseFormat(_ value: JSONValue) -> ResponseFormat? {
        guard let type = value["type"]?.text else { return nil }
        if type == "text" { return .text }
        if type == "json_object" { return .jsonObject }
        if type == "json_schema", let body = value["json_schema"], let schema = body["schema"] {
            return .jsonSchema(
                name: body["name"]?.text, description: body["description"]?.text, schema: schema.source,
                strict: body["strict"]?.bool)
        }
        return .native(type)
    }

    private func toolChoice(_ value: JSONValue) -> ToolChoice {
        if let text = value.text {
            if text == "auto" { return .auto }
            if text == "none" { return .none }
            if text == "required" || text == "any" { return .required }
            return .native(text)
        }
        if let name = value["function"]?["name"]?.text ?? value["name"]?.text { return .function(name) }
        return .native(value["type"]?.text ?? JSONText("tool_choice"))
    }

    private func tool(_ value: JSONValue) throws(TranslationError) -> Tool {
        var reader = ObjectReader(value)
        let type = reader.takeText("type")
        guard let function = reader.object["function"], type == nil || type == "function" else {
            let native = NativePart(format: self.format, type: type ?? JSONText("tool"), raw: value.source)
            return Tool(
                name: type ?? .empty, native: native, extras: Extras(self.format), functionExtras: Extras(self.format))
        }
        _ = reader.take("function")
        var tool = try self.function(function)
        tool.cacheControl = reader.peek("cache_control")?.source
        tool.extras = reader.rest(self.format)
        return tool
    }

    private func function(_ value: JSONValue) throws(TranslationError) -> Tool {
        var reader = ObjectReader(value)
        guard let name = reader.takeText("name") else { throw .wrongType("tools.function.name", "a string") }
        var tool = Tool(name: name, extras: Extras(self.format), functionExtras: Extras(self.format))
        tool.description = reader.peekText("description")
        tool.parameters = reader.peek("parameters")?.source
        tool.strict = reader.peek("strict")?.bool
        tool.functionExtras = reader.rest(self.format)
        return tool
    }

    // MARK: - Messages

    private func message(_ value: JSONValue) throws(TranslationError) -> Message {
        guard value.kind == .object else { throw .wrongType("messages", "a list of objects") }
        var reader = ObjectReader(value)
        guard let name = reader.takeText("role") else { throw .wrongType("messages.role", "a string") }
        let role = try Self.role(name)
        let content = reader.take("content")
        var message = Message(role: role, parts: [], extras: Extras(self.format))
        message.isStringContent = content?.kind == .string
        if role == .tool {
            let callID = reader.takeText("tool_call_id")
            message.parts = [
                .toolResult(
                    ToolResult(
                        callID: callID, name: callID == nil ? reader.takeText("name") : reader.peekText("name"),
                        parts: try self.parts(content), isStringContent: message.isStringContent, isError: false,
                        cacheControl: reader.peek("cache_control")?.source, extras: reader.rest(self.format)))
            ]
            return message
        }
        if role == .assistant { message.parts += ChatReasoning.parts(&reader, self.format, self.arena) }
        message.parts += try self.parts(content)
        self.addCacheControl(reader.peek("cache_control"), to: &message.parts)
        if let refusal = reader.peekText("refusal") { message.parts.append(.refusal(refusal)) }
        message.parts += try ChatToolCalls.read(&reader, self.format)
        message.extras = reader.rest(self.format)
        return message
    }

    /// LiteLLM takes `cache_control` beside string content too: it belongs to the last part.
    private func addCacheControl(_ value: JSONValue?, to parts: inout [Part]) {
        guard let value, case .text(var text)? = parts.last else { return }
        text.cacheControl = text.cacheControl ?? value.source
        parts[parts.count - 1] = .text(text)
    }

    private static func role(_ name: JSONText) throws(TranslationError) -> Role {
        if name == "user" { return .user }
        if name == "assistant" { return .assistant }
        if name == "tool" || name == "function" { return .tool }
        if name == "system" { return .system }
        if name == "developer" { return .developer }
        throw .request(
            "A message has an unknown role: send system, developer, user, assistant or tool.", param: "messages.role")
    }

    private func parts(_ content: JSONValue?) throws(TranslationError) -> [Part] {
        guard let content else { return [] }
        if let text = content.text { return [.text(TextPart(text, self.format))] }
        guard content.kind == .array else { throw .wrongType("messages.content", "a string or a list of parts") }
        var parts: [Part] = []
        for element in content.elements { parts.append(try ChatParts.read(element, self.format, self.arena)) }
        return parts
    }
}
