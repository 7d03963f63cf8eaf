import GatewayWire

/// `usageMetadata`: the prompt includes cached tokens, candidates leave thoughts out.
enum GeminiUsage {
    static func read(_ value: JSONValue) -> ConversationUsage {
        var usage = ConversationUsage()
        if let prompt = value["promptTokenCount"]?.count {
            usage.input = prompt + (value["toolUsePromptTokenCount"]?.count ?? 0)
        }
        usage.cachedInput = value["cachedContentTokenCount"]?.count
        usage.reasoningOutput = value["thoughtsTokenCount"]?.count
        let candidates = value["candidatesTokenCount"]?.count
        if candidates != nil || usage.reasoningOutput != nil {
            usage.output = (candidates ?? 0) + (usage.reasoningOutput ?? 0)
        } else if usage.input != nil {
            usage.output = 0
        }
        for detail in value["promptTokensDetails"]?.elements ?? value.elements {
            if detail["modality"]?.text == "AUDIO" { usage.audioInput = detail["tokenCount"]?.count }
            if detail["modality"]?.text == "IMAGE" { usage.imageInput = detail["tokenCount"]?.count }
        }
        for detail in value["candidatesTokensDetails"]?.elements ?? value.elements {
            if detail["modality"]?.text == "AUDIO" { usage.audioOutput = detail["tokenCount"]?.count }
            if detail["modality"]?.text == "IMAGE" { usage.imageOutput = detail["tokenCount"]?.count }
        }
        usage.serviceTier = ServiceTierNames.priced(value["serviceTier"]?.text)
        return usage
    }

    static func write(_ usage: ConversationUsage, _ writer: inout JSONWriter) {
        let reasoning = usage.reasoningOutput ?? 0
        writer.beginObject()
        writer.member("promptTokenCount", count: usage.input ?? 0)
        writer.member("candidatesTokenCount", count: max(0, (usage.output ?? 0) - reasoning))
        writer.member("thoughtsTokenCount", countIfPresent: usage.reasoningOutput)
        writer.member("cachedContentTokenCount", countIfPresent: usage.cachedInput)
        writer.member("totalTokenCount", count: (usage.input ?? 0) + max(usage.output ?? 0, reasoning))
        writer.endObject()
    }
}

/// `finishReason` of Gemini's candidates.
enum GeminiFinish {
    private static let filtered: [StaticString] = [
        "SAFETY", "RECITATION", "LANGUAGE", "OTHER", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY",
        "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION", "IMAGE_OTHER", "NO_IMAGE", "ESCALATION", "MODEL_ARMOR",
    ]
    private static let malformed: [StaticString] = [
        "MALFORMED_FUNCTION_CALL", "MALFORMED_RESPONSE", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS",
        "MISSING_THOUGHT_SIGNATURE",
    ]

    static func read(_ text: JSONText) -> FinishReason {
        if text == "STOP" { return .stop }
        if text == "MAX_TOKENS" || text == "CONTINUATION" { return .length }
        if self.filtered.contains(where: { text == $0 }) { return .contentFilter }
        return self.malformed.contains { text == $0 } ? .malformed : .stop
    }

    static func name(_ reason: FinishReason) -> StaticString {
        switch reason {
        case .stop, .stopSequence, .toolCalls: "STOP"
        case .length, .contextWindow, .pause: "MAX_TOKENS"
        case .contentFilter, .refusal: "SAFETY"
        case .malformed: "MALFORMED_RESPONSE"
        case .error: "OTHER"
        }
    }
}

/// `groundingMetadata` of a candidate: which parts of the text rest on which pages.
enum GeminiGrounding {
    /// Searches of the web that the answer rests on. `nil`: none.
    static func searches(_ value: JSONValue) -> Int64? {
        let queries = Int64((value["webSearchQueries"]?.elements ?? value.elements).reduce(0) { count, _ in count + 1 })
        if queries > 0 { return queries }
        return (value["groundingChunks"]?.elements ?? value.elements).contains { $0["web"] != nil } ? 1 : nil
    }

    static func annotations(_ value: JSONValue) -> [Annotation] {
        let chunks = value["groundingChunks"]?.elements.map { $0["web"] } ?? []
        var result: [Annotation] = []
        for support in value["groundingSupports"]?.elements ?? value.elements {
            let segment = support["segment"]
            for index in support["groundingChunkIndices"]?.elements ?? support.elements {
                guard let place = index.count, place < chunks.count, let web = chunks[Int(place)] else { continue }
                result.append(
                    Annotation(
                        url: web["uri"]?.text, title: web["title"]?.text, citedText: segment?["text"]?.text,
                        start: segment?["startIndex"]?.source, end: segment?["endIndex"]?.source, format: .gemini,
                        raw: support.source))
            }
        }
        return result
    }

}

/// Reads an answer of `:generateContent`.
struct GeminiResponseDecoder {
    let arena: JSONArena
    private let format = WireFormat.gemini

    func decode(_ root: JSONValue) throws(TranslationError) -> ConversationResponse {
        var response = ConversationResponse(self.format)
        var reader = ObjectReader(root)
        response.id = reader.peekText("responseId")
        response.model = reader.peekText("modelVersion")
        if let usage = reader.peek("usageMetadata") { response.usage = GeminiUsage.read(usage) }
        let feedback = reader.peek("promptFeedback")
        if let candidates = reader.take("candidates") {
            for candidate in candidates.elements {
                response.choices.append(self.choice(candidate))
                guard let searches = candidate["groundingMetadata"].flatMap({ GeminiGrounding.searches($0) }) else {
                    continue
                }
                let former = response.usage?.webSearchRequests ?? 0
                response.usage?.webSearchRequests = former + searches
            }
        } else if let reason = feedback?["blockReason"]?.text {
            var choice = Choice(self.format)
            choice.finish = .contentFilter
            choice.nativeFinish = reason
            choice.isStringContent = true
            response.choices = [choice]
            response.hasNoCandidates = true
        } else if response.usage == nil {
            throw .answer("The provider's answer has no candidates.")
        }
        response.extras = reader.rest(self.format)
        return response
    }

    private func choice(_ value: JSONValue) -> Choice {
        var choice = Choice(self.format)
        var reader = ObjectReader(value)
        choice.index = reader.peek("index")?.count ?? 0
        if let reason = reader.peekText("finishReason") {
            choice.finish = GeminiFinish.read(reason)
            choice.nativeFinish = reason
        }
        if let content = reader.take("content") {
            var inner = ObjectReader(content)
            _ = inner.peek("role")
            if let parts = inner.take("parts") {
                choice.parts = parts.elements.map { GeminiParts.read($0, self.arena) }
                choice.hasParts = true
            }
            choice.messageExtras = inner.rest(self.format)
            choice.hasContent = true
        }
        if let grounding = reader.peek("groundingMetadata"),
            let index = choice.parts.lastIndex(where: { if case .text = $0 { true } else { false } }),
            case .text(var text) = choice.parts[index]
        {
            text.annotations = GeminiGrounding.annotations(grounding)
            choice.parts[index] = .text(text)
        }
        choice.extras = reader.rest(self.format)
        return choice
    }
}

/// Writes an answer of `:generateContent`.
struct GeminiResponseEncoder {
    var context: EncodingContext
    private var writer = JSONWriter()
    private let format = WireFormat.gemini

    init(context: EncodingContext) { self.context = context }

    mutating func encode(_ response: ConversationResponse) throws(TranslationError) -> [UInt8] {
        let isSame = response.format == self.format
        self.writer.beginObject()
        if !response.hasNoCandidates || !isSame {
            self.writer.key("candidates")
            self.writer.beginArray()
            for choice in response.choices { try self.write(choice, isSame: isSame) }
            self.writer.endArray()
        }
        if isSame {
            let hidden: [StaticString] = self.context.options.answerModel == nil ? [] : ["modelVersion"]
            self.writer.extras(response.extras, for: self.format, skipping: hidden)
        } else if let usage = response.usage {
            self.writer.key("usageMetadata")
            GeminiUsage.write(usage, &self.writer)
        }
        if let model = self.context.options.answerModel {
            self.writer.key("modelVersion")
            self.writer.string(escaping: model)
        } else if !isSame {
            self.writer.member("modelVersion", response.model ?? .empty)
        }
        if !isSame {
            self.writer.member("responseId", response.id ?? self.context.identifiers.next("", self.context.arena))
        }
        self.writer.endObject()
        return self.writer.bytes
    }

    private mutating func write(_ choice: Choice, isSame: Bool) throws(TranslationError) {
        self.writer.beginObject()
        if !isSame || choice.hasContent {
            self.writer.key("content")
            self.writer.beginObject()
            if !isSame || choice.hasParts {
                self.writer.key("parts")
                self.writer.beginArray()
                for part in choice.parts {
                    try GeminiParts.write(part, isRequest: false, names: [:], &self.writer, &self.context)
                }
                self.writer.endArray()
            }
            if !isSame { self.writer.member("role", "model") }
            self.writer.extras(choice.messageExtras, for: self.format)
            self.writer.endObject()
        }
        if !isSame {
            if let reason = choice.finish { self.writer.member("finishReason", JSONText(GeminiFinish.name(reason))) }
            self.writer.member("index", count: choice.index)
        }
        self.writer.extras(choice.extras, for: self.format)
        self.writer.endObject()
    }
}
