import GatewayWire

/// Writes an answer of `/v1/chat/completions`.
struct ChatResponseEncoder {
    var context: EncodingContext
    private var writer = JSONWriter()
    private let format = WireFormat.openAIChat

    init(context: EncodingContext) { self.context = context }

    mutating func encode(_ response: ConversationResponse) throws(TranslationError) -> [UInt8] {
        self.writer.beginObject()
        self.writer.member("id", response.id ?? self.context.identifiers.next("chatcmpl-", self.context.arena))
        if response.format != self.format {
            self.writer.member("object", "chat.completion")
            if let created = response.created {
                self.writer.member("created", raw: created)
            } else {
                self.writer.member("created", count: self.context.options.now)
            }
        }
        self.writer.key("model")
        if let model = self.context.options.answerModel {
            self.writer.string(escaping: model)
        } else {
            self.writer.string(response.model ?? .empty)
        }
        self.writer.key("choices")
        self.writer.beginArray()
        for choice in response.choices { try self.write(choice) }
        self.writer.endArray()
        if response.format != self.format {
            if let usage = response.usage {
                self.writer.key("usage")
                ChatUsage.write(usage, &self.writer)
            }
            if let tier = response.serviceTier.flatMap({ ServiceTierNames.openAI($0, from: response.format) }) {
                self.writer.member("service_tier", tier)
            }
        }
        self.writer.extras(response.extras, for: self.format)
        self.writer.endObject()
        return self.writer.bytes
    }

    private mutating func write(_ choice: Choice) throws(TranslationError) {
        self.writer.beginObject()
        self.writer.member("index", count: choice.index)
        self.writer.key("message")
        try self.writeMessage(choice)
        let isSame = choice.extras.format == self.format
        if !isSame {
            self.writer.key("logprobs")
            self.writer.raw(choice.logprobs?.source ?? JSONSlice("null"))
        }
        if let reason = choice.finish {
            let isCall = choice.nativeFinish.map { $0 == "function_call" } ?? false
            let derived = reason == .stop && choice.hasToolCalls && !isSame ? .toolCalls : reason
            self.writer.member("finish_reason", isSame && isCall ? "function_call" : ChatFinish.name(derived))
            // What the mapping loses stays readable.
            if let native = choice.nativeFinish, !(native == ChatFinish.name(derived)), !isCall,
                !choice.extras.contains("native_finish_reason")
            {
                self.writer.member("native_finish_reason", native)
            }
        } else if !isSame || !choice.extras.contains("finish_reason") {
            self.writer.member("finish_reason", raw: JSONSlice("null"))
        }
        if !isSame { self.writer.member("stop_sequence", ifPresent: choice.stopSequence) }
        self.writer.extras(choice.extras, for: self.format)
        self.writer.endObject()
    }

    private mutating func writeMessage(_ choice: Choice) throws(TranslationError) {
        let isSame = choice.messageExtras.format == self.format
        self.writer.beginObject()
        if !isSame || !choice.messageExtras.contains("role") { self.writer.member("role", "assistant") }
        let texts = choice.parts.compactMap { part -> TextPart? in
            if case .text(let text) = part { return text }
            return nil
        }
        if !texts.isEmpty {
            self.writer.member("content", self.context.arena.joined(texts.map(\.text)))
        } else if !choice.messageExtras.contains("content") {
            if choice.isStringContent {
                self.writer.member("content", "")
            } else {
                self.writer.member("content", raw: JSONSlice("null"))
            }
        }
        let hasOwnReasoning =
            choice.messageExtras.contains("reasoning_content") || choice.messageExtras.contains("reasoning")
        if !isSame || !hasOwnReasoning { ChatReasoning.write(choice.parts, &self.writer, self.context.arena) }
        if !isSame {
            self.writeRefusal(choice.parts)
            self.writeAnnotations(texts)
            self.writeImages(choice.parts)
        }
        ChatToolCalls.write(choice.parts, &self.writer, &self.context)
        self.writer.extras(choice.messageExtras, for: self.format)
        self.writer.endObject()
    }

    private mutating func writeRefusal(_ parts: [Part]) {
        for case .refusal(let text) in parts { return self.writer.member("refusal", text) }
        self.writer.member("refusal", raw: JSONSlice("null"))
    }

    private mutating func writeAnnotations(_ texts: [TextPart]) {
        let annotations = texts.flatMap(\.annotations)
        guard annotations.contains(where: { $0.url != nil }) else { return }
        self.writer.key("annotations")
        self.writer.beginArray()
        for annotation in annotations where annotation.url != nil { Self.write(annotation, &self.writer) }
        self.writer.endArray()
    }

    static func write(_ annotation: Annotation, _ writer: inout JSONWriter) {
        if annotation.format == .openAIChat { return writer.raw(annotation.raw) }
        writer.beginObject()
        writer.member("type", "url_citation")
        writer.key("url_citation")
        writer.beginObject()
        writer.member("url", annotation.url ?? .empty)
        writer.member("title", annotation.title ?? .empty)
        writer.member("start_index", raw: annotation.start ?? JSONSlice("0"))
        writer.member("end_index", raw: annotation.end ?? JSONSlice("0"))
        writer.endObject()
        writer.endObject()
    }

    /// As OpenRouter and LiteLLM send images that a model made.
    private mutating func writeImages(_ parts: [Part]) {
        let images = parts.compactMap { part -> MediaPart? in
            if case .media(let media) = part, media.kind == .image { return media }
            return nil
        }
        guard !images.isEmpty else { return }
        self.writer.key("images")
        self.writer.beginArray()
        for image in images { Self.write(image, &self.writer) }
        self.writer.endArray()
    }

    static func write(_ image: MediaPart, _ writer: inout JSONWriter) {
        writer.beginObject()
        writer.member("type", "image_url")
        writer.key("image_url")
        writer.beginObject()
        writer.key("url")
        ChatParts.writeReference(image, &writer)
        writer.endObject()
        writer.endObject()
    }
}
