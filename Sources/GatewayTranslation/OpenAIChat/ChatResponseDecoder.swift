import GatewayWire

/// Reads an answer of `/v1/chat/completions` or of a provider like it.
struct ChatResponseDecoder {
    let arena: JSONArena
    private let format = WireFormat.openAIChat

    func decode(_ root: JSONValue) throws(TranslationError) -> ConversationResponse {
        var response = ConversationResponse(self.format)
        var reader = ObjectReader(root)
        guard let choices = reader.take("choices"), choices.kind == .array else {
            throw .answer("The provider's answer has no choices.")
        }
        response.id = reader.takeText("id")
        response.model = reader.takeText("model")
        response.created = reader.peek("created")?.source
        response.serviceTier = reader.peekText("service_tier")
        _ = reader.peek("object")
        for choice in choices.elements { response.choices.append(try self.choice(choice)) }
        if var usage = self.usage(&reader, choices) {
            usage.serviceTier = ServiceTierNames.priced(response.serviceTier) ?? usage.serviceTier
            response.usage = usage
        }
        response.extras = reader.rest(self.format)
        return response
    }

    /// Groq puts usage into `x_groq` too, Moonshot into the choice.
    private func usage(_ reader: inout ObjectReader, _ choices: JSONValue) -> ConversationUsage? {
        let value =
            reader.peek("usage") ?? reader.object["x_groq"]?["usage"]
            ?? choices.elements.lazy.compactMap { $0["usage"] }.first
        return value.map(ChatUsage.read)
    }

    private func choice(_ value: JSONValue) throws(TranslationError) -> Choice {
        guard value.kind == .object else { throw .answer("A choice of the provider's answer is no object.") }
        var choice = Choice(self.format)
        var reader = ObjectReader(value)
        choice.index = reader.take("index")?.count ?? 0
        if let reason = reader.takeText("finish_reason") {
            choice.finish = ChatFinish.read(reason)
            choice.nativeFinish = reason
        }
        choice.logprobs = reader.peek("logprobs")
        if let message = reader.take("message") {
            try self.read(message, into: &choice)
        } else if let text = reader.peekText("text") {
            choice.parts = [.text(TextPart(text, self.format))]
            choice.isStringContent = true
        }
        choice.extras = reader.rest(self.format)
        return choice
    }

    private func read(_ message: JSONValue, into choice: inout Choice) throws(TranslationError) {
        var reader = ObjectReader(message)
        _ = reader.peek("role")
        choice.parts = ChatReasoning.parts(&reader, self.format, self.arena)
        if let content = reader.take("content") {
            if let text = content.text {
                choice.isStringContent = true
                // With calls beside it an empty text is only a place holder.
                if !text.isEmpty || message["tool_calls"] == nil || message["tool_calls"]?.isEmptyContainer == true {
                    choice.parts.append(.text(TextPart(text, self.format)))
                }
            } else if content.kind == .array {
                for element in content.elements {
                    choice.parts.append(try ChatParts.read(element, self.format, self.arena))
                }
            } else {
                throw .answer("The content of the provider's answer is neither text nor parts.")
            }
        }
        self.attach(reader.peek("annotations"), to: &choice.parts)
        if let refusal = reader.peekText("refusal"), !refusal.isEmpty { choice.parts.append(.refusal(refusal)) }
        if let images = reader.peek("images") {
            for image in images.elements {
                if let url = image["image_url"]?["url"]?.text {
                    let (type, source) = MediaReference.read(url, self.arena)
                    choice.parts.append(
                        .media(MediaPart(kind: .image, mediaType: type, source: source, extras: Extras(self.format))))
                }
            }
        }
        choice.parts += try ChatToolCalls.read(&reader, self.format)
        choice.messageExtras = reader.rest(self.format)
    }

    private func attach(_ annotations: JSONValue?, to parts: inout [Part]) {
        guard let annotations, let index = parts.lastIndex(where: { if case .text = $0 { true } else { false } }),
            case .text(var text) = parts[index]
        else { return }
        text.annotations = annotations.elements.map { Self.annotation($0) }
        parts[index] = .text(text)
    }

    static func annotation(_ value: JSONValue) -> Annotation {
        let citation = value["url_citation"]
        return Annotation(
            url: citation?["url"]?.text, title: citation?["title"]?.text, citedText: citation?["content"]?.text,
            start: citation?["start_index"]?.source, end: citation?["end_index"]?.source, format: .openAIChat,
            raw: value.source)
    }
}
