import GatewayWire

/// Writes the body of `/v1/chat/completions` for OpenAI or a provider like it.
struct ChatRequestEncoder {
    var context: EncodingContext
    private var writer = JSONWriter()
    private let format = WireFormat.openAIChat
    private var quirks: CompatibilityQuirks { self.context.options.quirks }

    init(context: EncodingContext) { self.context = context }

    mutating func encode(_ request: ConversationRequest) throws(TranslationError) -> [UInt8] {
        self.writer.beginObject()
        self.writer.key("model")
        if let model = self.context.options.model {
            self.writer.string(escaping: model)
        } else {
            self.writer.string(request.model ?? .empty)
        }
        self.writer.key("messages")
        self.writer.beginArray()
        let isSame = request.format == self.format
        for message in isSame ? request.messages : Turns.merged(request.messages) { try self.write(message) }
        self.writer.endArray()
        try self.writeTools(request)
        if request.format == self.format {
            try self.copyParameters(request)
        } else {
            try self.writeParameters(request)
        }
        self.writeStreamOptions(request)
        self.writer.endObject()
        return self.writer.bytes
    }

    // MARK: - Messages

    /// Results of tools come first, each as a message of its own; images among them follow in a user message.
    private mutating func write(_ message: Message) throws(TranslationError) {
        var rest: [Part] = []
        var pictures: [Part] = []
        for part in message.parts {
            guard case .toolResult(let result) = part else {
                rest.append(part)
                continue
            }
            pictures += try self.write(result)
        }
        rest = pictures + rest
        guard !rest.isEmpty || message.role != .tool && pictures.isEmpty && rest.count == message.parts.count else {
            return
        }
        let role: Role = message.role == .tool ? .user : message.role
        self.writer.beginObject()
        self.writer.member("role", self.name(of: role))
        if role == .assistant {
            try self.writeAssistant(message, rest)
        } else {
            try self.writeContent(rest, isString: message.isStringContent)
            self.writer.extras(message.extras, for: self.format)
        }
        self.writer.endObject()
    }

    private func name(of role: Role) -> JSONText {
        switch role {
        case .system: JSONText("system")
        case .developer: self.quirks.takesDeveloperRole ? JSONText("developer") : JSONText("system")
        case .user: JSONText("user")
        case .assistant: JSONText("assistant")
        case .tool: JSONText("tool")
        }
    }

    private mutating func writeAssistant(_ message: Message, _ parts: [Part]) throws(TranslationError) {
        var content: [Part] = []
        var refusal: JSONText?
        for part in parts {
            switch part {
            case .reasoning, .toolCall: continue
            case .refusal(let text): refusal = text
            default: content.append(part)
            }
        }
        let isSame = message.extras.format == self.format
        if !content.isEmpty {
            try self.writeContent(content, isString: message.isStringContent)
        } else if !isSame || !message.extras.contains("content") {
            self.writer.member("content", raw: JSONSlice("null"))
        }
        if !isSame {
            self.writer.member("refusal", ifPresent: refusal)
            if self.quirks.takesReasoning { ChatReasoning.write(parts, &self.writer, self.context.arena) }
        }
        ChatToolCalls.write(parts, &self.writer, &self.context)
        self.writer.extras(message.extras, for: self.format)
    }

    /// One text goes out as a string unless it came in a list, or says more than text.
    private mutating func writeContent(_ parts: [Part], isString: Bool) throws(TranslationError) {
        let texts = parts.compactMap { part -> TextPart? in
            if case .text(let text) = part { return text }
            return nil
        }
        let isPlain =
            texts.count == parts.count
            && texts.allSatisfy { $0.cacheControl == nil || !self.quirks.takesCacheControl && !isString }
        let isForeign = texts.first?.extras.format != self.format
        if isPlain, isString || !self.quirks.takesTextParts || isForeign && texts.count == 1 {
            let separator: StaticString = isForeign ? "" : "\\n"
            return self.writer.member("content", self.context.arena.joined(texts.map(\.text), separator: separator))
        }
        // `cache_control` beside a string goes out beside it again.
        if isString, !isForeign, texts.count == 1, parts.count == 1 {
            return self.writer.member("content", texts[0].text)
        }
        self.writer.key("content")
        self.writer.beginArray()
        for part in parts { try ChatParts.write(part, &self.writer, &self.context) }
        self.writer.endArray()
    }

    /// Writes a tool message; gives what it cannot hold, which a user message must.
    private mutating func write(_ result: ToolResult) throws(TranslationError) -> [Part] {
        self.writer.beginObject()
        if result.callID == nil, result.extras.format == self.format {
            self.writer.member("role", "function")
            self.writer.member("name", ifPresent: result.name)
        } else {
            self.writer.member("role", "tool")
            self.writer.member("tool_call_id", result.callID ?? result.name ?? .empty)
        }
        var texts: [Part] = []
        var pictures: [Part] = []
        for part in result.parts {
            switch part {
            case .text: texts.append(part)
            // Servers that take pictures here get them here.
            case .media where result.extras.format == self.format: texts.append(part)
            case .native(let native) where native.format != self.format:
                guard native.isHint else {
                    throw self.context.unsupportedContent("A tool result of type '\(native.type.string)'")
                }
            default: pictures.append(part)
            }
        }
        if let json = result.json {
            self.writer.key("content")
            self.writer.string(holding: json)
        } else if texts.isEmpty {
            // A picture alone still needs a text, since content is required.
            let note = pictures.isEmpty ? JSONText("") : JSONText("The result follows in the next message.")
            self.writer.member("content", note)
        } else {
            try self.writeContent(texts, isString: result.isStringContent)
        }
        self.writer.extras(result.extras, for: self.format)
        self.writer.endObject()
        return pictures
    }

    // MARK: - Tools

    private mutating func writeTools(_ request: ConversationRequest) throws(TranslationError) {
        guard !request.tools.isEmpty, !request.extras.contains("functions") else { return }
        if self.quirks.changes["tools"] == .refuse { return try self.context.refuse("tools") }
        var written = 0
        for tool in request.tools {
            if let native = tool.native, native.format != self.format {
                if native.isHint { continue }
                try self.context.refuse("tools.\(native.type.string)")
                continue
            }
            if written == 0 {
                self.writer.key("tools")
                self.writer.beginArray()
            }
            written += 1
            self.write(tool)
        }
        if written > 0 { self.writer.endArray() }
    }

    private mutating func write(_ tool: Tool) {
        if let native = tool.native { return self.writer.raw(native.raw) }
        self.writer.beginObject()
        self.writer.member("type", "function")
        self.writer.key("function")
        self.writer.beginObject()
        self.writer.member("name", tool.name)
        if tool.functionExtras.format == self.format {
            self.writer.extras(
                tool.functionExtras, for: self.format, skipping: self.quirks.takesStrictTools ? [] : ["strict"])
        } else {
            self.writer.member("description", ifPresent: tool.description)
            if let parameters = tool.parameters {
                self.writer.key("parameters")
                SchemaText.write(parameters, isOpenAPI: tool.isOpenAPISchema, &self.writer)
            }
            if let strict = tool.strict, self.quirks.takesStrictTools { self.writer.member("strict", strict) }
        }
        self.writer.endObject()
        if tool.extras.format != self.format, let control = tool.cacheControl {
            if self.quirks.takesCacheControl {
                self.writer.member("cache_control", raw: control)
            } else {
                self.context.drop("tools.cache_control")
            }
        }
        self.writer.extras(tool.extras, for: self.format)
        self.writer.endObject()
    }

    // MARK: - Parameters

    /// The same format: every member as it is, but for what the provider has other names for.
    private mutating func copyParameters(_ request: ConversationRequest) throws(TranslationError) {
        var written: Set<String> = []
        for member in request.extras.members where !(member.key == "stream_options") {
            let name = member.key.string
            if member.isNull || self.quirks.changes.isEmpty {
                self.writer.key(member.key)
                self.writer.raw(member.value)
                continue
            }
            guard let wireName = try self.wireName(of: name) else { continue }
            guard written.insert(wireName).inserted else { continue }
            self.writer.key(self.context.arena.text(wireName))
            if name == "tool_choice", member.value == "\"required\"", let other = self.quirks.requiredToolChoice {
                self.writer.string(escaping: other)
            } else if name == "temperature" {
                self.writeTemperature(member.value, request.temperature)
            } else {
                self.writer.raw(member.value)
            }
        }
    }

    /// The provider's name of a member. `nil`: it is left out.
    private mutating func wireName(of name: String) throws(TranslationError) -> String? {
        switch self.quirks.changes[name] {
        case .rename(let other): return other
        case .drop:
            self.context.drop(name)
            return nil
        case .refuse:
            try self.context.refuse(name)
            return nil
        case nil: return name
        }
    }

    private mutating func writeTemperature(_ source: JSONSlice, _ value: JSONValue?) {
        if let max = self.quirks.temperatureMax, let value = value?.double, value > max {
            self.writer.raw(self.context.arena.text("\(Int(max))").slice)
        } else {
            self.writer.raw(source)
        }
    }

    private mutating func writeMember(_ name: StaticString, _ value: JSONSlice?) throws(TranslationError) {
        guard let value, let wireName = try self.wireName(of: "\(name)") else { return }
        self.writer.key(self.context.arena.text(wireName))
        self.writer.raw(value)
    }

    /// From another format.
    private mutating func writeParameters(_ request: ConversationRequest) throws(TranslationError) {
        try self.writeToolChoice(request)
        try self.writeMember("max_completion_tokens", request.maxTokens)
        if let temperature = request.temperature, try self.wireName(of: "temperature") != nil {
            self.writer.key("temperature")
            self.writeTemperature(temperature.source, temperature)
        }
        try self.writeMember("top_p", request.topP?.source)
        if let topK = request.topK {
            if self.quirks.takesTopK {
                self.writer.member("top_k", raw: topK.source)
            } else {
                try self.context.refuse("top_k")
            }
        }
        try self.writeMember("frequency_penalty", request.frequencyPenalty?.source)
        try self.writeMember("presence_penalty", request.presencePenalty?.source)
        try self.writeMember("seed", request.seed?.source)
        if let count = request.choiceCount { try self.writeMember("n", self.context.arena.text("\(count)").slice) }
        if let logprobs = request.logprobs { try self.writeMember("logprobs", JSONSlice(logprobs ? "true" : "false")) }
        try self.writeMember("top_logprobs", request.topLogprobs?.source)
        try self.writeMember("logit_bias", request.logitBias?.source)
        try self.writeStop(request.stop)
        try self.writeResponseFormat(request.responseFormat)
        if let effort = self.effort(request.reasoning) {
            try self.writeMember(
                "reasoning_effort", self.context.arena.joined([JSONText("\""), effort, JSONText("\"")]).slice)
        }
        if let text = request.verbosity { try self.writeQuoted("verbosity", text) }
        if let tier = request.serviceTier {
            if let tier = ServiceTierNames.openAI(tier, from: request.format) {
                try self.writeQuoted("service_tier", tier)
            } else {
                self.context.drop("service_tier")
            }
        }
        if let user = request.user { try self.writeQuoted("user", user) }
        if request.isStream { self.writer.member("stream", true) }
        try self.context.refuseLeftovers(request)
    }

    private mutating func writeQuoted(_ name: StaticString, _ text: JSONText) throws(TranslationError) {
        try self.writeMember(name, self.context.arena.joined([JSONText("\""), text, JSONText("\"")]).slice)
    }

    private mutating func writeToolChoice(_ request: ConversationRequest) throws(TranslationError) {
        if request.parallelToolCalls == false, !request.tools.isEmpty {
            try self.writeMember("parallel_tool_calls", JSONSlice("false"))
        }
        guard let choice = request.toolChoice, !request.tools.isEmpty else { return }
        guard try self.wireName(of: "tool_choice") != nil else { return }
        self.writer.key("tool_choice")
        switch choice {
        case .auto: self.writer.string("auto")
        case .none: self.writer.string("none")
        case .required: self.writer.string(escaping: self.quirks.requiredToolChoice ?? "required")
        case .function(let name):
            self.writer.beginObject()
            self.writer.member("type", "function")
            self.writer.key("function")
            self.writer.beginObject()
            self.writer.member("name", name)
            self.writer.endObject()
            self.writer.endObject()
        case .native(let text):
            self.writer.string("auto")
            try self.context.refuse("tool_choice.\(text.string)")
        }
    }

    private mutating func writeStop(_ stop: [JSONText]) throws(TranslationError) {
        guard !stop.isEmpty, try self.wireName(of: "stop") != nil else { return }
        if stop.count > 4 { try self.context.refuse("stop (more than 4)") }
        self.writer.key("stop")
        self.writer.beginArray()
        for text in stop.prefix(4) { self.writer.string(text) }
        self.writer.endArray()
    }

    private mutating func writeResponseFormat(_ format: ResponseFormat?) throws(TranslationError) {
        guard let format else { return }
        switch format {
        case .text: return
        case .native(let type): return try self.context.refuse("response_format.\(type.string)")
        case .jsonObject:
            guard try self.wireName(of: "response_format") != nil else { return }
            self.writer.member("response_format", raw: JSONSlice("{\"type\":\"json_object\"}"))
        case .jsonSchema(let name, let description, let schema, let strict):
            guard try self.wireName(of: "response_format") != nil else { return }
            self.writer.key("response_format")
            self.writer.beginObject()
            self.writer.member("type", "json_schema")
            self.writer.key("json_schema")
            self.writer.beginObject()
            self.writer.member("name", name ?? JSONText("response"))
            self.writer.member("description", ifPresent: description)
            self.writer.member("schema", raw: schema)
            if let strict { self.writer.member("strict", strict) }
            self.writer.endObject()
            self.writer.endObject()
        }
    }

    private func effort(_ reasoning: ReasoningOptions?) -> JSONText? {
        guard let reasoning else { return nil }
        if let effort = reasoning.effort { return effort }
        if reasoning.mode == .disabled { return JSONText("none") }
        return reasoning.budgetTokens.map(ReasoningEffort.name(ofBudget:))
    }

    /// Usage is wanted of every stream, whether the caller asked or not.
    private mutating func writeStreamOptions(_ request: ConversationRequest) {
        guard request.isStream, self.quirks.takesStreamOptions else { return }
        guard let given = request.extras.members.last(where: { $0.key == "stream_options" && !$0.isNull }),
            request.format == self.format
        else {
            return self.writer.member("stream_options", raw: JSONSlice("{\"include_usage\":true}"))
        }
        self.writer.key("stream_options")
        self.writer.beginObject()
        self.writer.member("include_usage", true)
        JSONTree.reading(given.value) { value in
            for member in value.members where !member.isKey("include_usage") {
                self.writer.key(member.key)
                self.writer.raw(member.value.source)
            }
        }
        self.writer.endObject()
    }
}
