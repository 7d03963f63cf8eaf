import GatewayWire

/// Reads the body of `:generateContent` and `:streamGenerateContent` (Gemini API, `GenerateContentRequest`).
struct GeminiRequestDecoder {
    let arena: JSONArena
    private let format = WireFormat.gemini

    func decode(_ root: JSONValue) throws(TranslationError) -> ConversationRequest {
        var request = ConversationRequest(self.format)
        var reader = ObjectReader(root)
        request.model = reader.takeText("model")
        if let system = reader.take("systemInstruction", or: "system_instruction") {
            request.messages.append(self.message(system, role: .system, isInstructions: true))
        }
        guard let contents = reader.take("contents") else { throw .wrongType("contents", "a list of contents") }
        if let text = contents.text {
            request.messages.append(
                Message(role: .user, parts: [.text(TextPart(text, self.format))], extras: Extras(self.format)))
        }
        for content in contents.elements {
            let role: Role = content["role"]?.text == "model" ? .assistant : .user
            request.messages.append(self.message(content, role: role, isInstructions: false))
        }
        if let tools = reader.peek("tools") {
            for tool in tools.elements { self.readTool(tool, into: &request) }
        }
        let config = reader.peek("toolConfig", or: "tool_config")
        if let calling = config?["functionCallingConfig"] ?? config?["function_calling_config"] {
            request.toolChoice = self.toolChoice(calling)
        }
        request.serviceTier = reader.peekText("serviceTier")
        let generation = reader.peek("generationConfig", or: "generation_config")
        request.extras = reader.rest(self.format)
        if let generation { self.read(generation, into: &request) }
        return request
    }

    private func message(_ content: JSONValue, role: Role, isInstructions: Bool) -> Message {
        var reader = ObjectReader(content)
        var message = Message(role: role, parts: [], isInstructions: isInstructions, extras: Extras(self.format))
        if let text = content.text {
            message.parts = [.text(TextPart(text, self.format))]
            return message
        }
        _ = reader.take("role")
        if let parts = reader.take("parts") {
            message.parts =
                parts.kind == .object
                ? [GeminiParts.read(parts, self.arena)] : parts.elements.map { GeminiParts.read($0, self.arena) }
        }
        message.extras = reader.rest(self.format)
        return message
    }

    private func readTool(_ tool: JSONValue, into request: inout ConversationRequest) {
        for member in tool.members {
            guard member.isKey("functionDeclarations") || member.isKey("function_declarations") else {
                let native = NativePart(format: self.format, type: member.key, raw: tool.source)
                request.tools.append(
                    Tool(
                        name: member.key, native: native, extras: Extras(self.format),
                        functionExtras: Extras(self.format)))
                continue
            }
            for function in member.value.elements {
                var tool = Tool(
                    name: function["name"]?.text ?? .empty, extras: Extras(self.format),
                    functionExtras: Extras(self.format))
                tool.description = function["description"]?.text
                let schema = function["parametersJsonSchema"] ?? function["parameters_json_schema"]
                tool.isOpenAPISchema = schema == nil
                tool.parameters = (schema ?? function["parameters"])?.source
                request.tools.append(tool)
            }
        }
    }

    private func toolChoice(_ calling: JSONValue) -> ToolChoice? {
        guard let mode = calling["mode"]?.text else { return nil }
        let allowed = calling["allowedFunctionNames"] ?? calling["allowed_function_names"]
        let names = allowed?.elements.compactMap(\.text) ?? []
        if mode == "ANY" {
            if names.count == 1 { return .function(names[0]) }
            return names.isEmpty ? .required : .native(JSONText("allowedFunctionNames"))
        }
        if mode == "NONE" { return ToolChoice.none }
        return .auto
    }

    private func read(_ config: JSONValue, into request: inout ConversationRequest) {
        var reader = ObjectReader(config)
        request.maxTokens = reader.peek("maxOutputTokens", or: "max_output_tokens")?.source
        request.temperature = reader.peek("temperature")
        request.topP = reader.peek("topP", or: "top_p")
        request.topK = reader.peek("topK", or: "top_k")
        request.choiceCount = reader.peek("candidateCount", or: "candidate_count")?.count
        request.seed = reader.peek("seed")
        request.presencePenalty = reader.peek("presencePenalty", or: "presence_penalty")
        request.frequencyPenalty = reader.peek("frequencyPenalty", or: "frequency_penalty")
        request.logprobs = reader.peek("responseLogprobs", or: "response_logprobs")?.bool
        request.topLogprobs = reader.peek("logprobs")
        if let stop = reader.peek("stopSequences", or: "stop_sequences") {
            request.stop = stop.elements.compactMap(\.text)
        }
        let type = reader.peek("responseMimeType", or: "response_mime_type")?.text
        let schema = reader.peek("responseJsonSchema", or: "response_json_schema")
        let openAPI = reader.peek("responseSchema", or: "response_schema")
        if let schema = schema ?? openAPI {
            var writer = JSONWriter()
            SchemaText.write(schema.source, isOpenAPI: openAPI != nil, &writer)
            request.responseFormat = .jsonSchema(
                name: nil, description: nil, schema: self.arena.copy(writer.bytes), strict: nil)
        } else if type == "application/json" {
            request.responseFormat = .jsonObject
        }
        if let thinking = reader.peek("thinkingConfig", or: "thinking_config") {
            var options = ReasoningOptions()
            let budget = thinking["thinkingBudget"] ?? thinking["thinking_budget"]
            options.budgetTokens = budget?.count
            if options.budgetTokens == 0 { options.mode = .disabled }
            let level = thinking["thinkingLevel"] ?? thinking["thinking_level"]
            options.effort = level?.text.map { self.arena.text($0.string.lowercased()) }
            options.isShown = (thinking["includeThoughts"] ?? thinking["include_thoughts"])?.bool
            // A budget of -1 leaves it to the model, which is what saying nothing means.
            request.reasoning = options.budgetTokens == nil && options.effort == nil ? nil : options
        }
        // Text alone is what every model answers with.
        if let modalities = reader.object["responseModalities"] ?? reader.object["response_modalities"],
            modalities.elements.allSatisfy({ $0.text == "TEXT" || $0.text == "text" })
        {
            _ = reader.peek("responseModalities", or: "response_modalities")
        }
        for member in reader.rest(self.format).members where !member.isUnderstood && !member.isNull {
            let name = self.arena.joined([JSONText("generationConfig."), member.key])
            // Known only to the encoders of other formats, which refuse it by name.
            request.foreignExtras.append(
                Extras.Member(key: name, value: member.value, isUnderstood: false, isNull: false))
        }
    }
}
