import GatewayWire

/// Reads an answer of `/v1/responses`.
struct ResponsesAnswerDecoder {
    let arena: JSONArena
    private let format = WireFormat.openAIResponses

    func decode(_ root: JSONValue) throws(TranslationError) -> ConversationResponse {
        var response = ConversationResponse(self.format)
        var reader = ObjectReader(root)
        // It goes out as it is where the format is the same: items have more to them than parts.
        guard let output = reader.peek("output"), output.kind == .array else {
            throw .answer("The provider's answer has no output.")
        }
        response.id = reader.takeText("id")
        response.model = reader.takeText("model")
        response.created = reader.peek("created_at")?.source
        response.serviceTier = reader.peekText("service_tier")
        var choice = Choice(self.format)
        var searches: Int64 = 0
        for item in output.elements {
            choice.parts += try ResponsesItems.read(item, self.arena).parts
            if ResponsesUsage.isSearch(item) { searches += 1 }
        }
        choice.finish = Self.finish(root, hasCalls: choice.hasToolCalls)
        response.choices = [choice]
        if let usage = reader.peek("usage") {
            response.usage = ResponsesUsage.read(usage)
            if searches > 0 { response.usage?.webSearchRequests = searches }
            response.usage?.serviceTier = ServiceTierNames.priced(response.serviceTier)
        }
        response.extras = reader.rest(self.format)
        return response
    }

    static func finish(_ root: JSONValue, hasCalls: Bool) -> FinishReason {
        let reason = root["incomplete_details"]?["reason"]?.text
        if root["status"]?.text == "incomplete" { return reason == "content_filter" ? .contentFilter : .length }
        return hasCalls ? .toolCalls : .stop
    }
}

/// Writes answers of `/v1/responses`, whole or as the skeleton that stream events carry.
struct ResponsesAnswerEncoder {
    var context: EncodingContext
    private var writer = JSONWriter()
    private let format = WireFormat.openAIResponses

    init(context: EncodingContext) { self.context = context }

    mutating func encode(_ response: ConversationResponse) throws(TranslationError) -> [UInt8] {
        if response.format == self.format {
            self.writer.beginObject()
            self.writer.member("id", response.id ?? .empty)
            self.writer.key("model")
            if let model = self.context.options.answerModel {
                self.writer.string(escaping: model)
            } else {
                self.writer.string(response.model ?? .empty)
            }
            self.writer.extras(response.extras, for: self.format)
            self.writer.endObject()
            return self.writer.bytes
        }
        let choice = response.choices.first
        let (status, reason) = Self.status(choice?.finish)
        self.writer.beginObject()
        if let mark = self.context.options.storedResponse {
            self.writer.key("id")
            self.writer.string(escaping: mark.id)
        } else {
            self.writer.member("id", Self.id(response.id, &self.context.identifiers, self.context.arena))
        }
        self.writer.member("object", "response")
        self.writer.member(
            "created_at", raw: response.created ?? self.context.arena.text("\(self.context.options.now)").slice)
        self.writer.member("status", JSONText(status))
        Self.writeSkeleton(reason: reason, mark: self.context.options.storedResponse, &self.writer)
        self.writer.key("model")
        if let model = self.context.options.answerModel {
            self.writer.string(escaping: model)
        } else {
            self.writer.string(response.model ?? .empty)
        }
        self.writer.key("output")
        self.writer.beginArray()
        try self.writeItems(choice?.parts ?? [], JSONText(status))
        self.writer.endArray()
        self.writer.key("usage")
        if let usage = response.usage {
            ResponsesUsage.write(usage, &self.writer)
        } else {
            self.writer.raw("null")
        }
        if let tier = response.serviceTier.flatMap({ ServiceTierNames.openAI($0, from: response.format) }) {
            self.writer.member("service_tier", tier)
        }
        self.writer.endObject()
        return self.writer.bytes
    }

    /// Clients look for the prefix.
    static func id(_ id: JSONText?, _ identifiers: inout IdentifierSource, _ arena: JSONArena) -> JSONText {
        guard let id, !id.isEmpty else { return identifiers.next("resp_", arena) }
        return id.slice.hasPrefix("resp") ? id : arena.joined([JSONText("resp_"), id])
    }

    static func status(_ finish: FinishReason?) -> (status: StaticString, reason: StaticString?) {
        switch finish {
        case .length, .contextWindow, .pause: ("incomplete", "max_output_tokens")
        case .contentFilter, .refusal: ("incomplete", "content_filter")
        default: ("completed", nil)
        }
    }

    /// Members that every response has and that say nothing here.
    /// - Parameter mark: `nil`: the response is not stored.
    static func writeSkeleton(reason: StaticString?, mark: StoredResponseMark?, _ writer: inout JSONWriter) {
        writer.member("error", raw: JSONSlice("null"))
        writer.key("incomplete_details")
        if let reason {
            writer.beginObject()
            writer.member("reason", JSONText(reason))
            writer.endObject()
        } else {
            writer.raw("null")
        }
        writer.member("instructions", raw: JSONSlice("null"))
        writer.member("max_output_tokens", raw: JSONSlice("null"))
        writer.member("metadata", raw: JSONSlice("{}"))
        writer.member("parallel_tool_calls", true)
        writer.key("previous_response_id")
        if let id = mark?.previousID { writer.string(escaping: id) } else { writer.raw("null") }
        writer.member("reasoning", raw: JSONSlice("{\"effort\":null,\"summary\":null}"))
        writer.member("store", mark != nil)
        writer.member("temperature", raw: JSONSlice("null"))
        writer.member("text", raw: JSONSlice("{\"format\":{\"type\":\"text\"}}"))
        writer.member("tool_choice", "auto")
        writer.member("tools", raw: JSONSlice("[]"))
        writer.member("top_p", raw: JSONSlice("null"))
        writer.member("truncation", "disabled")
        writer.member("user", raw: JSONSlice("null"))
    }

    private mutating func writeItems(_ parts: [Part], _ status: JSONText) throws(TranslationError) {
        var content: [Part] = []
        for part in parts {
            switch part {
            case .text, .refusal:
                content.append(part)
                continue
            default: break
            }
            self.writeMessage(content, status)
            content = []
            switch part {
            case .reasoning(let reasoning): self.write(reasoning)
            case .toolCall(let call): self.write(call)
            case .media(let media): self.write(media)
            case .native(let native): self.context.drop(native.type.string)
            default: break
            }
        }
        self.writeMessage(content, status)
    }

    private mutating func writeMessage(_ parts: [Part], _ status: JSONText) {
        guard !parts.isEmpty else { return }
        self.writer.beginObject()
        self.writer.member("id", self.context.identifiers.next("msg_", self.context.arena))
        self.writer.member("type", "message")
        self.writer.member("status", status)
        self.writer.member("role", "assistant")
        self.writer.key("content")
        self.writer.beginArray()
        for part in parts {
            self.writer.beginObject()
            if case .refusal(let text) = part {
                self.writer.member("type", "refusal")
                self.writer.member("refusal", text)
            } else if case .text(let text) = part {
                self.writer.member("type", "output_text")
                self.writer.member("text", text.text)
                self.writer.key("annotations")
                self.writer.beginArray()
                for annotation in text.annotations where annotation.url != nil {
                    Self.write(annotation, &self.writer)
                }
                self.writer.endArray()
                self.writer.member("logprobs", raw: JSONSlice("[]"))
            }
            self.writer.endObject()
        }
        self.writer.endArray()
        self.writer.endObject()
    }

    static func write(_ annotation: Annotation, _ writer: inout JSONWriter) {
        if annotation.format == .openAIResponses { return writer.raw(annotation.raw) }
        writer.beginObject()
        writer.member("type", "url_citation")
        writer.member("url", annotation.url ?? .empty)
        writer.member("title", annotation.title ?? .empty)
        writer.member("start_index", raw: annotation.start ?? JSONSlice("0"))
        writer.member("end_index", raw: annotation.end ?? JSONSlice("0"))
        writer.endObject()
    }

    private mutating func write(_ reasoning: ReasoningPart) {
        self.writer.beginObject()
        self.writer.member("id", reasoning.itemID ?? self.context.identifiers.next("rs_", self.context.arena))
        self.writer.member("type", "reasoning")
        self.writer.key("summary")
        self.writer.beginArray()
        if let text = reasoning.text, !text.isEmpty {
            self.writer.beginObject()
            self.writer.member("type", "summary_text")
            self.writer.member("text", text)
            self.writer.endObject()
        }
        self.writer.endArray()
        self.writer.member("encrypted_content", ifPresent: reasoning.encrypted ?? reasoning.signature)
        self.writer.endObject()
    }

    private mutating func write(_ call: ToolCall) {
        self.writer.beginObject()
        self.writer.member("id", self.context.identifiers.next("fc_", self.context.arena))
        self.writer.member("type", "function_call")
        self.writer.member("status", "completed")
        let id = call.id ?? self.context.identifiers.next("call_", self.context.arena)
        self.writer.member("call_id", SignedIdentifier.join(id, call.signature, self.context.arena))
        self.writer.member("name", call.name)
        ToolArguments.writeText(call.arguments, "arguments", &self.writer)
        self.writer.endObject()
    }

    private mutating func write(_ media: MediaPart) {
        guard media.kind == .image, case .data(let data) = media.source else { return }
        self.writer.beginObject()
        self.writer.member("id", self.context.identifiers.next("ig_", self.context.arena))
        self.writer.member("type", "image_generation_call")
        self.writer.member("status", "completed")
        self.writer.member("result", data)
        self.writer.endObject()
    }
}
