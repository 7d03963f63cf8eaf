import GatewayWire

/// Reads an answer of `/v1/messages`.
struct AnthropicResponseDecoder {
    let arena: JSONArena
    private let format = WireFormat.anthropic

    func decode(_ root: JSONValue) throws(TranslationError) -> ConversationResponse {
        var response = ConversationResponse(self.format)
        var reader = ObjectReader(root)
        guard let content = reader.take("content"), content.kind == .array else {
            throw .answer("The provider's answer has no content.")
        }
        response.id = reader.takeText("id")
        response.model = reader.takeText("model")
        var choice = Choice(self.format)
        for block in content.elements {
            do throws(TranslationError) {
                choice.parts.append(try AnthropicParts.read(block, self.arena))
            } catch {
                throw .answer("A block of the provider's answer is malformed: " + error.message)
            }
        }
        if let reason = reader.peekText("stop_reason") {
            choice.finish = AnthropicFinish.read(reason)
            choice.nativeFinish = reason
        }
        choice.stopSequence = reader.peekText("stop_sequence")
        _ = reader.peek("type")
        _ = reader.peek("role")
        response.choices = [choice]
        if let value = reader.peek("usage") {
            var usage = AnthropicUsage()
            usage.read(value)
            response.usage = usage.usage
            response.serviceTier = value["service_tier"]?.text
        }
        response.extras = reader.rest(self.format)
        return response
    }
}

/// Writes an answer of `/v1/messages`.
struct AnthropicResponseEncoder {
    var context: EncodingContext
    private var writer = JSONWriter()
    private let format = WireFormat.anthropic

    init(context: EncodingContext) { self.context = context }

    mutating func encode(_ response: ConversationResponse) throws(TranslationError) -> [UInt8] {
        let isSame = response.format == self.format
        self.writer.beginObject()
        self.writer.member("id", response.id ?? self.context.identifiers.next("msg_", self.context.arena))
        if !isSame {
            self.writer.member("type", "message")
            self.writer.member("role", "assistant")
        }
        self.writer.key("model")
        if let model = self.context.options.answerModel {
            self.writer.string(escaping: model)
        } else {
            self.writer.string(response.model ?? .empty)
        }
        let choice = response.choices.first
        self.writer.key("content")
        self.writer.beginArray()
        for part in choice?.parts ?? [] {
            if case .text(let text) = part, text.text.isEmpty, !isSame { continue }
            if case .media = part, !isSame {
                // A picture that a model made has no place in an answer of this format.
                self.context.drop("content.image")
                continue
            }
            try AnthropicParts.write(part, isRequest: false, &self.writer, &self.context)
        }
        self.writer.endArray()
        if !isSame {
            self.writeFinish(choice)
            self.writer.key("usage")
            AnthropicUsage.write(response.usage ?? ConversationUsage(), &self.writer)
        }
        self.writer.extras(response.extras, for: self.format)
        self.writer.endObject()
        return self.writer.bytes
    }

    private mutating func writeFinish(_ choice: Choice?) {
        self.writer.key("stop_reason")
        if let choice, let reason = choice.finish {
            self.writer.string(AnthropicFinish.name(reason == .stop && choice.hasToolCalls ? .toolCalls : reason))
        } else {
            self.writer.raw("null")
        }
        self.writer.key("stop_sequence")
        if let text = choice?.stopSequence {
            self.writer.string(text)
        } else {
            self.writer.raw("null")
        }
    }
}
