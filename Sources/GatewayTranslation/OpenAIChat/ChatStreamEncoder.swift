import GatewayWire

/// Writes the stream of `/v1/chat/completions`: a role chunk, deltas, a finish chunk, usage if the caller asked for it,
/// `[DONE]`.
struct ChatStreamEncoder: StreamEncoder {
    private let options: TranslationOptions
    private var identifiers: IdentifierSource
    /// What every chunk begins with, up to the list of choices.
    private var head: [UInt8] = []
    private var tail: StaticString = "}\n\n"
    private var usage: ConversationUsage?
    private var choicesWithCalls: Set<Int64> = []
    private var choicesBegun: Set<Int64> = []
    private var hasEnded = false

    init(options: TranslationOptions) {
        self.options = options
        self.identifiers = IdentifierSource(seed: options.seed)
        // With usage asked for, every chunk but the last says that it has none.
        if options.includesUsage { self.tail = ",\"usage\":null}\n\n" }
    }

    mutating func encode(
        _ event: StreamEvent, _ writer: inout JSONWriter, _ scratch: StreamScratch
    ) throws(TranslationError) {
        if self.hasEnded { return }
        switch event {
        case .start(let id, let model, let created): self.start(id, model, created, &writer)
        case .text(let choice, let text): self.write("content", text, choice, &writer)
        case .reasoning(let choice, let text): self.write("reasoning_content", text, choice, &writer)
        case .refusal(let choice, let text): self.write("refusal", text, choice, &writer)
        case .signature(let choice, let text, _):
            self.writeThinkingBlock("thinking", "signature", text, choice, &writer)
        case .encryptedReasoning(let choice, let data, _):
            self.writeThinkingBlock("redacted_thinking", "data", data, choice, &writer)
        case .toolStart(let choice, let call, let id, let name, let signature):
            self.startCall(choice, call, id ?? self.identifiers.next("call_", scratch.arena), name, signature, &writer)
        case .toolArguments(let choice, let call, let piece):
            self.beginDelta(choice, &writer)
            writer.plain("\"tool_calls\":[{\"index\":")
            writer.digits(Int64(call))
            writer.plain(",\"function\":{\"arguments\":\"")
            writer.append(piece.slice)
            writer.plain("\"}}]")
            self.endDelta(&writer)
        case .blockEnd: return
        case .annotation(let choice, let annotation):
            guard annotation.url != nil else { return }
            self.beginDelta(choice, &writer)
            writer.key("annotations")
            writer.beginArray()
            ChatResponseEncoder.write(annotation, &writer)
            writer.endArray()
            self.endDelta(&writer)
        case .logprobs(let choice, let logprobs):
            self.beginDelta(choice, &writer)
            writer.plain("},\"logprobs\":")
            writer.append(logprobs)
            self.endChoice(&writer)
        case .media(let choice, let media):
            guard media.kind == .image else { return }
            self.beginDelta(choice, &writer)
            writer.key("images")
            writer.beginArray()
            ChatResponseEncoder.write(media, &writer)
            writer.endArray()
            self.endDelta(&writer)
        case .finish(let choice, let reason, let native, _): self.finish(choice, reason, native, &writer)
        case .usage(let usage): self.usage = usage
        case .failure(let failure):
            self.hasEnded = true
            writer.plain("data: ")
            FailureWriter.openAI(failure, &writer)
            writer.plain("\n\n")
        case .end: self.end(&writer)
        }
    }

    private mutating func start(
        _ id: JSONText?, _ model: JSONText?, _ created: JSONSlice?, _ writer: inout JSONWriter
    ) {
        guard self.head.isEmpty else { return }
        var head = JSONWriter()
        head.plain("data: ")
        head.beginObject()
        if let id, !id.isEmpty {
            head.member("id", id)
        } else {
            head.key("id")
            head.string(escaping: String(decoding: self.identifiers.next("chatcmpl-"), as: UTF8.self))
        }
        head.member("object", "chat.completion.chunk")
        if let created {
            head.member("created", raw: created)
        } else {
            head.member("created", count: self.options.now)
        }
        head.key("model")
        if let name = self.options.answerModel {
            head.string(escaping: name)
        } else {
            head.string(model ?? .empty)
        }
        head.plain(",\"choices\":[")
        self.head = head.bytes
        self.beginDelta(0, &writer)
        writer.plain("\"role\":\"assistant\",\"content\":\"\"")
        self.endDelta(&writer)
    }

    private mutating func write(
        _ key: StaticString, _ text: JSONText, _ choice: Int64, _ writer: inout JSONWriter
    ) {
        self.beginDelta(choice, &writer)
        writer.key(key)
        writer.string(text)
        self.endDelta(&writer)
    }

    /// As LiteLLM sends what is to come back with the next turn.
    private mutating func writeThinkingBlock(
        _ type: StaticString, _ key: StaticString, _ text: JSONText, _ choice: Int64, _ writer: inout JSONWriter
    ) {
        self.beginDelta(choice, &writer)
        writer.key("thinking_blocks")
        writer.beginArray()
        writer.beginObject()
        writer.member("type", JSONText(type))
        if JSONText(type) == "thinking" { writer.member("thinking", "") }
        writer.member(key, text)
        writer.endObject()
        writer.endArray()
        self.endDelta(&writer)
    }

    private mutating func startCall(
        _ choice: Int64, _ call: Int, _ id: JSONText, _ name: JSONText, _ signature: JSONText?,
        _ writer: inout JSONWriter
    ) {
        self.choicesWithCalls.insert(choice)
        self.beginDelta(choice, &writer)
        writer.key("tool_calls")
        writer.beginArray()
        writer.beginObject()
        writer.member("index", count: Int64(call))
        writer.member("id", id)
        writer.member("type", "function")
        writer.key("function")
        writer.beginObject()
        writer.member("name", name)
        writer.member("arguments", "")
        writer.endObject()
        if let signature { ChatToolCalls.writeSignature(signature, &writer) }
        writer.endObject()
        writer.endArray()
        self.endDelta(&writer)
    }

    private mutating func finish(
        _ choice: Int64, _ reason: FinishReason, _ native: JSONText?, _ writer: inout JSONWriter
    ) {
        let derived = reason == .stop && self.choicesWithCalls.contains(choice) ? .toolCalls : reason
        self.beginDelta(choice, &writer)
        writer.plain("},\"logprobs\":null")
        writer.member("finish_reason", ChatFinish.name(derived))
        if let native, !(native == ChatFinish.name(derived)) { writer.member("native_finish_reason", native) }
        writer.plain("}]")
        writer.plain(self.tail)
    }

    private mutating func end(_ writer: inout JSONWriter) {
        self.hasEnded = true
        if self.options.includesUsage, let usage = self.usage, !self.head.isEmpty {
            self.head.withUnsafeBytes { writer.bytes.append(contentsOf: $0) }
            writer.plain("],\"usage\":")
            ChatUsage.write(usage, &writer)
            writer.plain("}\n\n")
        }
        writer.plain("data: [DONE]\n\n")
    }

    @inline(__always)
    private mutating func beginDelta(_ choice: Int64, _ writer: inout JSONWriter) {
        if self.head.isEmpty { self.start(nil, nil, nil, &writer) }
        writer.bytes.append(contentsOf: self.head)
        writer.plain("{\"index\":")
        writer.digits(choice)
        writer.plain(",\"delta\":{")
        // The role chunk of the start is the first choice's.
        if choice != 0, self.choicesBegun.insert(choice).inserted { writer.member("role", "assistant") }
    }

    @inline(__always)
    private func endDelta(_ writer: inout JSONWriter) {
        writer.plain("},\"logprobs\":null")
        self.endChoice(&writer)
    }

    @inline(__always)
    private func endChoice(_ writer: inout JSONWriter) {
        writer.plain(",\"finish_reason\":null}]")
        writer.plain(self.tail)
    }
}
