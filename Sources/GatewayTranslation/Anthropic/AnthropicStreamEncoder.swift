import GatewayWire

/// Writes the stream of `/v1/messages`: blocks one after another, the stop reason and usage last.
struct AnthropicStreamEncoder: StreamEncoder {
    private let options: TranslationOptions
    private var identifiers: IdentifierSource
    private var sequencer: BlockSequencer
    private var steps: [BlockStep] = []
    private var index: Int64 = 0
    private var usage = ConversationUsage()
    private var hasStarted = false
    private var hasEnded = false
    /// The `message_delta` waits for the end, since usage may come after the reason.
    private var finish: (reason: FinishReason, stopSequence: [UInt8]?)?

    init(options: TranslationOptions) {
        self.options = options
        self.identifiers = IdentifierSource(seed: options.seed)
        self.sequencer = BlockSequencer(heldBytesMax: options.eventBytesMax)
    }

    mutating func encode(
        _ event: StreamEvent, _ writer: inout JSONWriter, _ scratch: StreamScratch
    ) throws(TranslationError) {
        if self.hasEnded { return }
        self.steps.removeAll(keepingCapacity: true)
        try self.sequencer.feed(event, &self.steps, scratch.arena)
        for index in self.steps.indices { self.write(self.steps[index], &writer, scratch) }
    }

    private mutating func write(_ step: BlockStep, _ writer: inout JSONWriter, _ scratch: StreamScratch) {
        switch step {
        case .start(let id, let model, _): self.start(id, model, &writer)
        case .openText:
            self.open(&writer)
            writer.plain("{\"type\":\"text\",\"text\":\"\"}}\n\n")
        case .openReasoning:
            self.open(&writer)
            writer.plain("{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}}\n\n")
        case .openRefusal:
            self.open(&writer)
            writer.plain("{\"type\":\"text\",\"text\":\"\"}}\n\n")
        case .openTool(let id, let name, let signature): self.open(id, name, signature, &writer, scratch)
        case .text(let text), .refusal(let text): self.delta("text_delta", "text", text, &writer)
        case .reasoning(let text): self.delta("thinking_delta", "thinking", text, &writer)
        case .signature(let text, let format):
            if format == .anthropic || format == .bedrock { self.delta("signature_delta", "signature", text, &writer) }
        case .arguments(let piece): self.delta("input_json_delta", "partial_json", piece, &writer)
        case .closeText, .closeReasoning, .closeRefusal, .closeTool: self.close(&writer)
        case .encryptedReasoning(let data, _):
            self.open(&writer)
            writer.beginObject()
            writer.member("type", "redacted_thinking")
            writer.member("data", data)
            writer.plain("}}\n\n")
            self.close(&writer)
        case .annotation(let annotation):
            guard annotation.url != nil || annotation.format == .anthropic else { return }
            self.beginDelta(&writer)
            writer.plain("{\"type\":\"citations_delta\",\"citation\":")
            AnthropicParts.writeCitation(annotation, &writer)
            writer.plain("}}\n\n")
        case .media, .logprobs: return
        case .finish(let reason, _, let stopSequence, let hasCalls):
            self.finish = (
                reason == .stop && hasCalls ? .toolCalls : reason, stopSequence.map { Array($0.slice.bytes) }
            )
        case .usage(let usage): self.usage.merge(usage)
        case .failure(let failure):
            self.hasEnded = true
            writer.plain("event: error\ndata: ")
            FailureWriter.anthropic(failure, &writer)
            writer.plain("\n\n")
        case .end: self.end(&writer)
        }
    }

    private mutating func start(_ id: JSONText?, _ model: JSONText?, _ writer: inout JSONWriter) {
        guard !self.hasStarted else { return }
        self.hasStarted = true
        writer.plain("event: message_start\ndata: {\"type\":\"message_start\",\"message\":")
        writer.beginObject()
        if let id, !id.isEmpty {
            writer.member("id", id)
        } else {
            writer.key("id")
            writer.string(escaping: String(decoding: self.identifiers.next("msg_"), as: UTF8.self))
        }
        writer.member("type", "message")
        writer.member("role", "assistant")
        writer.key("model")
        if let name = self.options.answerModel {
            writer.string(escaping: name)
        } else {
            writer.string(model ?? .empty)
        }
        writer.plain(",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":")
        AnthropicUsage.write(self.usage, &writer)
        writer.plain("}}\n\nevent: ping\ndata: {\"type\":\"ping\"}\n\n")
    }

    private mutating func open(_ writer: inout JSONWriter) {
        self.start(nil, nil, &writer)
        writer.plain("event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":")
        writer.digits(self.index)
        writer.plain(",\"content_block\":")
    }

    private mutating func open(
        _ id: JSONText?, _ name: JSONText, _ signature: JSONText?, _ writer: inout JSONWriter, _ scratch: StreamScratch
    ) {
        self.open(&writer)
        writer.beginObject()
        writer.member("type", "tool_use")
        let own = id ?? self.identifiers.next("toolu_", scratch.arena)
        writer.member("id", SignedIdentifier.join(own, signature, scratch.arena))
        writer.member("name", name)
        writer.plain(",\"input\":{}}}\n\n")
    }

    private mutating func close(_ writer: inout JSONWriter) {
        writer.plain("event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":")
        writer.digits(self.index)
        writer.plain("}\n\n")
        self.index += 1
    }

    @inline(__always)
    private func beginDelta(_ writer: inout JSONWriter) {
        writer.plain("event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":")
        writer.digits(self.index)
        writer.plain(",\"delta\":")
    }

    @inline(__always)
    private func delta(_ type: StaticString, _ key: StaticString, _ text: JSONText, _ writer: inout JSONWriter) {
        self.beginDelta(&writer)
        writer.beginObject()
        writer.member("type", JSONText(type))
        writer.member(key, text)
        writer.plain("}}\n\n")
    }

    private mutating func end(_ writer: inout JSONWriter) {
        self.hasEnded = true
        self.start(nil, nil, &writer)
        writer.plain("event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":")
        writer.string(AnthropicFinish.name(self.finish?.reason ?? .stop))
        writer.plain(",\"stop_sequence\":")
        if let text = self.finish?.stopSequence {
            writer.plain("\"")
            text.withUnsafeBytes { writer.bytes.append(contentsOf: $0) }
            writer.plain("\"")
        } else {
            writer.plain("null")
        }
        writer.plain("},\"usage\":")
        AnthropicUsage.write(self.usage, &writer)
        writer.plain("}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n")
    }
}
