import GatewayCore
import GatewayRouting
import GatewayTranslation
import GatewayWire
import NIOCore

/// Answers that need no provider: `mock_response` and the demo model. They are metered like all others.
extension Call {
    /// What answers this call without a provider. `nil`: a provider does.
    func builtInAnswer(of target: Target) -> String? {
        if !self.scan.mockResponse.isEmpty {
            return self.body.withUnsafeReadableBytes { bytes in
                let value = bytes[self.scan.mockResponse]
                guard value.first == UInt8(ascii: "\"") else { return "This is a mock response." }
                return jsonUnescaped(UnsafeRawBufferPointer(rebasing: value[1..<value.count - 1]))
            }
        }
        switch target.deployment.configuration.answer {
        case .text(let text): return text
        case .demo: return Self.demoText
        case nil: return nil
        }
    }

    static let demoText =
        "I am a demo: no provider is configured, so this canned text answers every call. Set OPENAI_API_KEY, or start "
        + "Martlet with --config and a model_list, to reach a real model."

    func answerBuiltIn(_ text: String, target: Target) {
        self.attemptStartedAt = self.loop.nanoseconds()
        guard self.recordIntent(to: target) else { return }
        self.firstByteAt = self.attemptStartedAt
        self.answerHead = ResponseHead()
        self.answerHead.status = 200
        self.answerHeadBytes = ByteBuffer()
        var usage = ReportedUsage()
        usage.promptTokens = target.figures.inputTokens(bytes: self.scan.inputTextBytes)
        usage.completionTokens = self.kind == .embedding ? 0 : target.figures.outputTokens(bytes: text.utf8.count)
        usage.totalTokens = usage.promptTokens + usage.completionTokens
        self.settleBuiltIn(usage)
        let reply = BuiltInReply(call: self, text: text, usage: usage, model: self.modelName)
        self.translation = self.builtInTranslation()
        if self.scan.stream, self.kind != .embedding {
            self.streamBuiltIn(reply)
        } else {
            self.leavePlace()
            self.phase = .done
            var body = ByteBuffer(string: reply.body)
            if let shape = self.origin?.embedding {
                let answer = try? body.withUnsafeReadableBytes { bytes throws(TranslationError) in
                    try EmbeddingTranslator.answer(
                        bytes, from: .openAI, to: shape, options: TranslationOptions(), memory: EmbeddingMemory(),
                        inputTokens: nil)
                }
                if let answer { body = ByteBuffer(bytes: answer.body) }
            } else if let translation = self.translation,
                case .answer(let translated) = try? translation.translate(body)
            {
                body = ByteBuffer(bytes: translated.body)
            }
            self.caller.answer(held: body, for: self)
        }
    }

    /// The answers made here are in OpenAI's format. `nil`: so is the caller's.
    private func builtInTranslation() -> CallTranslation? {
        guard let source = self.format, source != .openAIChat else { return nil }
        var options = TranslationOptions()
        options.now = self.loop.wallTime(atNanoseconds: self.receivedAt).rawValue / 1_000_000
        options.seed = self.loop.random.next()
        return CallTranslation(
            source: source, target: .openAIChat, isStraight: false,
            sourceFraming: self.origin?.stream == .array ? .jsonArray : source.framing, options: options)
    }

    private func settleBuiltIn(_ usage: ReportedUsage) {
        self.settle(.finished, status: 200, reported: usage, contentBytes: 0)
    }

    private func streamBuiltIn(_ reply: BuiltInReply) {
        self.phase = .streaming
        var head = self.loop.buffer(capacity: AnswerHead.bytesMax(for: self))
        self.answerIsEventStream = true
        AnswerHead.write(to: &head, for: self, status: 200, length: nil)
        self.outgoingHead = head
        var out = self.loop.buffer(capacity: 4096)
        out.moveWriterIndex(forwardBy: StreamRelay.sizeBytes)
        let withUsage = self.scan.includeUsage || self.translation != nil
        var events = reply.events(withUsage: withUsage).map { "data: \($0)\n\n" }.joined() + "data: [DONE]\n\n"
        if let translation = self.translation {
            translation.beginStream()
            events.withUTF8 { translation.feed(UnsafeRawBufferPointer($0)) }
            out.writeBytes(translation.output)
        } else {
            out.writeString(events)
        }
        if self.answersChunked {
            out.frameAsChunk(payloadFrom: StreamRelay.sizeBytes)
        } else {
            out.moveReaderIndex(to: StreamRelay.sizeBytes)
        }
        self.outgoing = out
        self.completeStream()
    }
}

extension GatewayError {
    /// What is made here is text.
    static func noBuiltInAnswer(_ kind: CallKind) -> GatewayError {
        .invalid("A model without a provider does not serve \(kind.path). Use another model.", param: "model")
    }
}

/// An OpenAI-shaped reply made here.
struct BuiltInReply {
    let id: String
    let created: Int64
    let kind: CallKind
    let text: String
    let usage: ReportedUsage
    let model: String

    init(call: Call, text: String, usage: ReportedUsage, model: String) {
        self.id = call.requestID.text
        self.created = call.loop.wallTime(atNanoseconds: call.receivedAt).rawValue / 1_000_000
        self.kind = call.kind.wireFormat == nil ? call.kind : .chatCompletion
        self.text = text
        self.usage = usage
        self.model = model
    }

    private var usageJSON: String {
        "{\"prompt_tokens\":\(self.usage.promptTokens),\"completion_tokens\":\(self.usage.completionTokens),"
            + "\"total_tokens\":\(self.usage.totalTokens)}"
    }

    private func envelope(_ object: String, _ rest: String) -> String {
        let prefix = self.kind == .completion ? "cmpl" : "chatcmpl"
        return "{\"id\":\"\(prefix)-\(self.id)\",\"object\":\"\(object)\",\"created\":\(self.created),"
            + "\"model\":\(jsonQuoted(self.model)),\(rest)}"
    }

    var body: String {
        switch self.kind {
        case .chatCompletion, .messages, .responses, .generateContent, .converse:
            self.envelope(
                "chat.completion",
                "\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\(jsonQuoted(self.text)),"
                    + "\"refusal\":null},\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":\(self.usageJSON)")
        case .completion:
            self.envelope(
                "text_completion",
                "\"choices\":[{\"index\":0,\"text\":\(jsonQuoted(self.text)),\"logprobs\":null,"
                    + "\"finish_reason\":\"stop\"}],\"usage\":\(self.usageJSON)")
        default:
            "{\"object\":\"list\",\"data\":[{\"object\":\"embedding\",\"index\":0,\"embedding\":[0.6,0.8,0.0]}],"
                + "\"model\":\(jsonQuoted(self.model)),\"usage\":{\"prompt_tokens\":\(self.usage.promptTokens),"
                + "\"total_tokens\":\(self.usage.promptTokens)}}"
        }
    }

    /// The envelope of an event is many times a word, so that a long text goes out in fewer, larger pieces.
    private static let textEventsMax = 512

    /// The text word by word, the finish, and the usage when it was asked for.
    func events(withUsage: Bool) -> [String] {
        let usageField = withUsage ? ",\"usage\":null" : ""
        let isChat = self.kind == .chatCompletion
        let object = isChat ? "chat.completion.chunk" : "text_completion"
        func chunk(_ delta: String, finish: String) -> String {
            self.envelope(
                object,
                "\"choices\":[{\"index\":0,\(delta),\"logprobs\":null,\"finish_reason\":\(finish)}]\(usageField)")
        }
        var events: [String] = []
        if isChat { events.append(chunk("\"delta\":{\"role\":\"assistant\",\"content\":\"\"}", finish: "null")) }
        let words = self.text.split(separator: " ", omittingEmptySubsequences: false)
        let wordsPerEvent = max(1, (words.count + Self.textEventsMax - 1) / Self.textEventsMax)
        for start in stride(from: 0, to: words.count, by: wordsPerEvent) {
            let some = words[start..<min(words.count, start + wordsPerEvent)].joined(separator: " ")
            let piece = jsonQuoted(start == 0 ? some : " " + some)
            events.append(
                isChat
                    ? chunk("\"delta\":{\"content\":\(piece)}", finish: "null")
                    : chunk("\"text\":\(piece)", finish: "null"))
        }
        events.append(isChat ? chunk("\"delta\":{}", finish: "\"stop\"") : chunk("\"text\":\"\"", finish: "\"stop\""))
        if withUsage { events.append(self.envelope(object, "\"choices\":[],\"usage\":\(self.usageJSON)")) }
        return events
    }
}
