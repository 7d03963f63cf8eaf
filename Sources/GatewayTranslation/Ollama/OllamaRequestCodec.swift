import GatewayWire

/// Reads the body of Ollama's `/api/chat`. Streams unless told otherwise.
struct OllamaRequestDecoder {
    let arena: JSONArena
    private let format = WireFormat.ollama

    func decode(_ root: JSONValue) throws(TranslationError) -> ConversationRequest {
        var request = ConversationRequest(self.format)
        var reader = ObjectReader(root)
        request.model = reader.takeText("model")
        guard let messages = reader.peek("messages"), messages.kind == .array else {
            throw .wrongType("messages", "a list of messages")
        }
        for message in messages.elements { request.messages.append(try self.message(message)) }
        for value in reader.peek("tools")?.elements ?? root.elements {
            let function = value["function"]
            var tool = Tool(
                name: function?["name"]?.text ?? .empty, extras: Extras(self.format),
                functionExtras: Extras(self.format))
            tool.description = function?["description"]?.text
            tool.parameters = function?["parameters"]?.source
            request.tools.append(tool)
        }
        request.isStream = reader.peek("stream")?.bool ?? true
        if let think = reader.peek("think") {
            var options = ReasoningOptions()
            options.effort = think.text
            options.mode = think.bool == false ? .disabled : .enabled
            request.reasoning = options
        }
        if let format = reader.peek("format") {
            request.responseFormat =
                format.kind == .object
                ? .jsonSchema(name: nil, description: nil, schema: format.source, strict: nil) : .jsonObject
        }
        if let options = reader.peek("options") { self.read(options, into: &request) }
        request.extras = reader.rest(self.format)
        return request
    }

    private func read(_ options: JSONValue, into request: inout ConversationRequest) {
        var reader = ObjectReader(options)
        request.maxTokens = reader.peek("num_predict")?.source
        request.temperature = reader.peek("temperature")
        request.topP = reader.peek("top_p")
        request.topK = reader.peek("top_k")
        request.seed = reader.peek("seed")
        request.frequencyPenalty = reader.peek("frequency_penalty")
        request.presencePenalty = reader.peek("presence_penalty")
        if let stop = reader.peek("stop") {
            request.stop = stop.text.map { [$0] } ?? stop.elements.compactMap(\.text)
        }
        for member in reader.rest(self.format).members where !member.isUnderstood && !member.isNull {
            let name = self.arena.joined([JSONText("options."), member.key])
            request.foreignExtras.append(
                Extras.Member(key: name, value: member.value, isUnderstood: false, isNull: false))
        }
    }

    private func message(_ value: JSONValue) throws(TranslationError) -> Message {
        let name = value["role"]?.text
        let role: Role =
            name == "assistant" ? .assistant : name == "system" ? .system : name == "tool" ? .tool : .user
        var parts: [Part] = []
        if let text = value["thinking"]?.text, !text.isEmpty {
            parts.append(.reasoning(ReasoningPart(text: text, format: self.format, extras: Extras(self.format))))
        }
        if let text = value["content"]?.text { parts.append(.text(TextPart(text, self.format))) }
        for image in value["images"]?.elements ?? value.elements {
            guard let data = image.text else { continue }
            parts.append(
                .media(
                    MediaPart(
                        kind: .image, mediaType: OllamaImages.mediaType(data), source: .data(data),
                        extras: Extras(self.format))))
        }
        var reader = ObjectReader(value)
        parts += try ChatToolCalls.read(&reader, self.format)
        if role == .tool {
            parts = [
                .toolResult(
                    ToolResult(
                        callID: value["tool_call_id"]?.text, name: value["tool_name"]?.text, parts: parts,
                        isStringContent: true, isError: false, extras: Extras(self.format)))
            ]
        }
        return Message(role: role, parts: parts, isStringContent: true, extras: Extras(self.format))
    }
}

/// Ollama sends pictures as base64 alone: their first bytes tell the type.
enum OllamaImages {
    static func mediaType(_ base64: JSONText) -> JSONText {
        if base64.slice.hasPrefix("/9j/") { return JSONText("image/jpeg") }
        if base64.slice.hasPrefix("R0lG") { return JSONText("image/gif") }
        if base64.slice.hasPrefix("UklG") { return JSONText("image/webp") }
        return JSONText("image/png")
    }
}

/// Writes the body of Ollama's `/api/chat`.
struct OllamaRequestEncoder {
    var context: EncodingContext
    private var writer = JSONWriter()
    private let format = WireFormat.ollama

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
            let names = request.callNames
            self.writer.key("messages")
            self.writer.beginArray()
            for message in Turns.merged(request.messages) { try self.write(message, names) }
            self.writer.endArray()
            try self.writeTools(request)
            try self.writeParameters(request)
            try self.context.refuseLeftovers(request)
        }
        self.writer.endObject()
        return self.writer.bytes
    }

    private mutating func write(_ message: Message, _ names: [String: JSONText]) throws(TranslationError) {
        var rest: [Part] = []
        for part in message.parts {
            guard case .toolResult(let result) = part else {
                rest.append(part)
                continue
            }
            self.writer.beginObject()
            self.writer.member("role", "tool")
            if let name = result.name ?? result.callID.flatMap({ names[$0.string] }) {
                self.writer.member("tool_name", name)
            }
            if let json = result.json {
                self.writer.key("content")
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
        try self.writeContent(rest)
        for case .reasoning(let reasoning) in rest {
            if let text = reasoning.text {
                self.writer.member("thinking", text)
                break
            }
        }
        try self.writeCalls(rest)
        self.writer.endObject()
    }

    /// `content`, one string, and `images`.
    private mutating func writeContent(_ parts: [Part]) throws(TranslationError) {
        var texts: [JSONText] = []
        var images: [JSONText] = []
        for part in parts {
            switch part {
            case .text(let text): texts.append(text.text)
            case .refusal(let text): texts.append(text)
            case .media(let media):
                if case .plainText(let text) = media.source {
                    texts.append(text)
                    continue
                }
                guard media.kind == .image, case .data(let data) = media.source else {
                    throw self.context.unsupportedContent("Media other than images in the request")
                }
                images.append(data)
            case .native(let native):
                if !native.isHint { throw self.context.unsupportedContent("Content of type '\(native.type.string)'") }
            case .reasoning, .toolCall, .toolResult: continue
            }
        }
        self.writer.member("content", texts.isEmpty ? .empty : self.context.arena.joined(texts, separator: "\\n"))
        guard !images.isEmpty else { return }
        self.writer.key("images")
        self.writer.beginArray()
        for image in images { self.writer.string(image) }
        self.writer.endArray()
    }

    private mutating func writeCalls(_ parts: [Part]) throws(TranslationError) {
        try OllamaCalls.write(parts, isRequest: true, &self.writer, self.context.arena)
    }

    private mutating func writeTools(_ request: ConversationRequest) throws(TranslationError) {
        if case .none? = request.toolChoice { return }
        switch request.toolChoice {
        case .required, .function, .native: try self.context.refuse("tool_choice")
        default: break
        }
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
    }

    private mutating func writeParameters(_ request: ConversationRequest) throws(TranslationError) {
        self.writer.member("stream", request.isStream)
        switch request.responseFormat {
        case .jsonObject: self.writer.member("format", "json")
        case .jsonSchema(_, _, let schema, _): self.writer.member("format", raw: schema)
        case .native(let type): try self.context.refuse("response_format.\(type.string)")
        case .text, nil: break
        }
        if let reasoning = request.reasoning {
            let isOff = reasoning.mode == .disabled || reasoning.effort == "none"
            self.writer.key("think")
            if let effort = reasoning.effort, effort == "low" || effort == "medium" || effort == "high" {
                self.writer.string(effort)
            } else {
                self.writer.bool(!isOff)
            }
        }
        self.writer.key("options")
        self.writer.beginObject()
        self.writer.member("num_predict", rawIfPresent: request.maxTokens)
        self.writer.member("temperature", valueIfPresent: request.temperature)
        self.writer.member("top_p", valueIfPresent: request.topP)
        self.writer.member("top_k", valueIfPresent: request.topK)
        self.writer.member("seed", valueIfPresent: request.seed)
        self.writer.member("frequency_penalty", valueIfPresent: request.frequencyPenalty)
        self.writer.member("presence_penalty", valueIfPresent: request.presencePenalty)
        if !request.stop.isEmpty {
            self.writer.key("stop")
            self.writer.beginArray()
            for text in request.stop { self.writer.string(text) }
            self.writer.endArray()
        }
        self.writer.endObject()
        if let count = request.choiceCount, count != 1 { try self.context.refuse("n") }
        if request.logprobs == true { try self.context.refuse("logprobs") }
        if let bias = request.logitBias, !bias.isEmptyContainer { try self.context.refuse("logit_bias") }
        if request.parallelToolCalls == false { try self.context.refuse("parallel_tool_calls") }
        if request.verbosity != nil { self.context.drop("verbosity") }
    }
}

/// `tool_calls` of Ollama: arguments are an object, ids there are none.
enum OllamaCalls {
    static func write(
        _ parts: [Part], isRequest: Bool, _ writer: inout JSONWriter, _ arena: JSONArena
    ) throws(TranslationError) {
        var count = 0
        for case .toolCall(let call) in parts {
            if count == 0 {
                writer.key("tool_calls")
                writer.beginArray()
            }
            count += 1
            let arguments = try ToolArguments.object(call.arguments, isRequest: isRequest, arena)
            self.write(call.name, arguments, &writer)
        }
        if count > 0 { writer.endArray() }
    }

    static func write(_ name: JSONText, _ arguments: JSONSlice, _ writer: inout JSONWriter) {
        writer.beginObject()
        writer.key("function")
        writer.beginObject()
        writer.member("name", name)
        writer.member("arguments", raw: arguments)
        writer.endObject()
        writer.endObject()
    }
}
