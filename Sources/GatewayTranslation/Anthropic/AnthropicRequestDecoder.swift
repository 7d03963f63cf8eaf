import GatewayWire

/// Reads the body of `/v1/messages` (Anthropic API reference, "Create a Message", versions 2023-06-01 and 2026-10-21).
struct AnthropicRequestDecoder {
    let arena: JSONArena
    private let format = WireFormat.anthropic

    func decode(_ root: JSONValue) throws(TranslationError) -> ConversationRequest {
        var request = ConversationRequest(self.format)
        var reader = ObjectReader(root)
        request.model = reader.takeText("model")
        if let system = reader.take("system") {
            var message = Message(
                role: .system, parts: [], isStringContent: system.kind == .string, isInstructions: true,
                extras: Extras(self.format))
            message.parts = try self.parts(system, "system")
            request.messages.append(message)
        }
        guard let messages = reader.take("messages"), messages.kind == .array else {
            throw .wrongType("messages", "a list of messages")
        }
        for message in messages.elements { request.messages.append(try self.message(message)) }
        if let tools = reader.take("tools") {
            for tool in tools.elements { request.tools.append(try self.tool(tool)) }
        }
        if let choice = reader.peek("tool_choice") {
            request.toolChoice = self.toolChoice(choice)
            request.parallelToolCalls = choice["disable_parallel_tool_use"]?.bool.map { !$0 }
        }
        self.readParameters(&reader, &request)
        request.extras = reader.rest(self.format)
        return request
    }

    private func readParameters(_ reader: inout ObjectReader, _ request: inout ConversationRequest) {
        request.maxTokens = reader.peek("max_tokens")?.source
        request.temperature = reader.peek("temperature")
        request.topP = reader.peek("top_p")
        request.topK = reader.peek("top_k")
        if let stop = reader.peek("stop_sequences") { request.stop = stop.elements.compactMap(\.text) }
        request.isStream = reader.peek("stream")?.bool ?? false
        request.metadata = reader.peek("metadata")
        request.user = request.metadata?["user_id"]?.text
        request.serviceTier = reader.peekText("service_tier")
        request.cacheControl = reader.peek("cache_control")?.source
        if let thinking = reader.peek("thinking") {
            var options = ReasoningOptions()
            options.mode = AnthropicThinking.mode(thinking["type"]?.text)
            options.budgetTokens = thinking["budget_tokens"]?.count
            options.isShown = thinking["display"]?.text.map { !($0 == "omitted") }
            request.reasoning = options
        }
        guard let output = reader.peek("output_config") else { return }
        if let effort = output["effort"]?.text {
            request.reasoning = request.reasoning ?? ReasoningOptions()
            request.reasoning?.effort = effort
        }
        if let format = output["format"], format["type"]?.text == "json_schema", let schema = format["schema"] {
            request.responseFormat = .jsonSchema(name: nil, description: nil, schema: schema.source, strict: true)
        }
    }

    private func message(_ value: JSONValue) throws(TranslationError) -> Message {
        guard value.kind == .object else { throw .wrongType("messages", "a list of objects") }
        var reader = ObjectReader(value)
        guard let name = reader.takeText("role") else { throw .wrongType("messages.role", "a string") }
        let role: Role
        if name == "user" {
            role = .user
        } else if name == "assistant" {
            role = .assistant
        } else if name == "system" {
            role = .system
        } else {
            throw .request("A message has an unknown role: send user, assistant or system.", param: "messages.role")
        }
        guard let content = reader.take("content") else { throw .wrongType("messages.content", "text or blocks") }
        var message = Message(
            role: role, parts: try self.parts(content, "messages.content"), isStringContent: content.kind == .string,
            extras: Extras(self.format))
        message.extras = reader.rest(self.format)
        return message
    }

    private func parts(_ content: JSONValue, _ field: String) throws(TranslationError) -> [Part] {
        if let text = content.text { return [.text(TextPart(text, self.format))] }
        guard content.kind == .array else { throw .wrongType(field, "a string or a list of blocks") }
        var parts: [Part] = []
        for element in content.elements { parts.append(try AnthropicParts.read(element, self.arena)) }
        return parts
    }

    private func tool(_ value: JSONValue) throws(TranslationError) -> Tool {
        var reader = ObjectReader(value)
        let type = reader.peekText("type")
        guard type == nil || type == "custom" else {
            let native = NativePart(format: self.format, type: type ?? .empty, raw: value.source)
            return Tool(
                name: value["name"]?.text ?? .empty, native: native, extras: Extras(self.format),
                functionExtras: Extras(self.format))
        }
        guard let name = reader.takeText("name") else { throw .wrongType("tools.name", "a string") }
        var tool = Tool(name: name, extras: Extras(self.format), functionExtras: Extras(self.format))
        tool.description = reader.peekText("description")
        tool.parameters = reader.peek("input_schema")?.source
        tool.strict = reader.peek("strict")?.bool
        tool.cacheControl = reader.peek("cache_control")?.source
        tool.extras = reader.rest(self.format)
        return tool
    }

    private func toolChoice(_ value: JSONValue) -> ToolChoice? {
        guard let type = value["type"]?.text else { return nil }
        if type == "auto" { return .auto }
        if type == "any" { return .required }
        if type == "none" { return ToolChoice.none }
        if type == "tool", let name = value["name"]?.text { return .function(name) }
        return .native(type)
    }
}
