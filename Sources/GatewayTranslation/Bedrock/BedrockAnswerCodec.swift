import GatewayWire

/// Reads an answer of `/converse`.
struct BedrockResponseDecoder {
    let arena: JSONArena
    private let format = WireFormat.bedrock

    func decode(_ root: JSONValue) throws(TranslationError) -> ConversationResponse {
        var response = ConversationResponse(self.format)
        var reader = ObjectReader(root)
        // It goes out as it is where the format is the same.
        guard let content = reader.peek("output")?["message"]?["content"] else {
            throw .answer("The provider's answer has no output.")
        }
        var choice = Choice(self.format)
        for block in content.elements { choice.parts += try BedrockParts.read(block, self.arena) }
        if let reason = reader.peekText("stopReason") {
            choice.finish = BedrockFinish.read(reason)
            choice.nativeFinish = reason
        }
        response.choices = [choice]
        if let usage = reader.peek("usage") { response.usage = BedrockUsage.read(usage) }
        response.serviceTier = reader.peek("serviceTier")?["type"]?.text
        response.extras = reader.rest(self.format)
        return response
    }
}

/// Writes an answer of `/converse`.
struct BedrockResponseEncoder {
    var context: EncodingContext
    private var writer = JSONWriter()
    private let format = WireFormat.bedrock

    init(context: EncodingContext) { self.context = context }

    mutating func encode(_ response: ConversationResponse) throws(TranslationError) -> [UInt8] {
        self.writer.beginObject()
        if response.format == self.format {
            self.writer.extras(response.extras, for: self.format)
            self.writer.endObject()
            return self.writer.bytes
        }
        let choice = response.choices.first
        self.writer.key("output")
        self.writer.beginObject()
        self.writer.key("message")
        self.writer.beginObject()
        self.writer.member("role", "assistant")
        self.writer.key("content")
        self.writer.beginArray()
        for part in choice?.parts ?? [] {
            if case .media = part {
                self.context.drop("content.image")
                continue
            }
            if case .text(let text) = part, text.text.isEmpty { continue }
            try BedrockParts.write(part, isRequest: false, &self.writer, &self.context)
        }
        self.writer.endArray()
        self.writer.endObject()
        self.writer.endObject()
        let reason = choice?.finish ?? .stop
        let derived = reason == .stop && choice?.hasToolCalls == true ? .toolCalls : reason
        self.writer.member("stopReason", JSONText(BedrockFinish.name(derived)))
        self.writer.key("usage")
        BedrockUsage.write(response.usage ?? ConversationUsage(), &self.writer)
        self.writer.member("metrics", raw: JSONSlice("{\"latencyMs\":0}"))
        self.writer.endObject()
        return self.writer.bytes
    }
}

/// Reads the stream of `/converse-stream`: frames whose name is the event's type.
struct BedrockStreamDecoder: StreamDecoder {
    private var hasStarted = false
    private var sawFinish = false
    private var sawFailure = false
    private var callCount = 0
    private var openCall: Int?

    init() {}

    mutating func decode(name: JSONSlice, data: JSONSlice, _ scratch: StreamScratch) throws(TranslationError) {
        if name.bytes.first == UInt8(ascii: "!") {
            self.sawFailure = true
            let failure = FailureReader.read(body: data.bytes, status: 0, errorType: name.dropFirst(1).string)
            return scratch.events.append(.failure(failure))
        }
        let root = try scratch.read(data)
        if !self.hasStarted {
            self.hasStarted = true
            scratch.events.append(.start(id: nil, model: nil, created: nil))
        }
        if name == "contentBlockDelta" {
            if let delta = root["delta"] { self.decode(delta, scratch) }
        } else if name == "contentBlockStart" {
            guard let use = root["start"]?["toolUse"] else { return }
            self.openCall = self.callCount
            self.callCount += 1
            scratch.events.append(
                .toolStart(
                    choice: 0, call: self.callCount - 1, id: use["toolUseId"]?.text, name: use["name"]?.text ?? .empty,
                    signature: nil))
        } else if name == "contentBlockStop" {
            self.openCall = nil
            scratch.events.append(.blockEnd(choice: 0))
        } else if name == "messageStop" {
            guard let reason = root["stopReason"]?.text else { return }
            self.sawFinish = true
            scratch.events.append(
                .finish(choice: 0, BedrockFinish.read(reason), native: reason, stopSequence: nil))
        } else if name == "metadata", let usage = root["usage"] {
            scratch.events.append(.usage(BedrockUsage.read(usage)))
        }
    }

    /// Usage comes behind the stop: only the end of the stream is the end.
    mutating func finish(_ scratch: StreamScratch) {
        scratch.finish(sawFinish: self.sawFinish, sawEnd: self.sawFailure)
    }

    private func decode(_ delta: JSONValue, _ scratch: StreamScratch) {
        if let text = delta["text"]?.text {
            if !text.isEmpty { scratch.events.append(.text(choice: 0, text)) }
        } else if let piece = delta["toolUse"]?["input"]?.text {
            guard let call = self.openCall, !piece.isEmpty else { return }
            scratch.events.append(.toolArguments(choice: 0, call: call, piece))
        } else if let reasoning = delta["reasoningContent"] {
            if let text = reasoning["text"]?.text, !text.isEmpty {
                scratch.events.append(.reasoning(choice: 0, text))
            }
            if let signature = reasoning["signature"]?.text, !signature.isEmpty {
                scratch.events.append(.signature(choice: 0, signature, format: .bedrock))
            }
            if let data = reasoning["redactedContent"]?.text {
                scratch.events.append(.encryptedReasoning(choice: 0, data, format: .bedrock))
            }
        } else if let citation = delta["citation"] {
            scratch.events.append(.annotation(choice: 0, BedrockParts.annotation(citation)))
        }
    }
}

/// Writes the stream of `/converse-stream` in event-stream frames. Only blocks of tools have a start event.
struct BedrockStreamEncoder: StreamEncoder {
    private var identifiers: IdentifierSource
    private var sequencer: BlockSequencer
    private var steps: [BlockStep] = []
    private var index: Int64 = 0
    private var hasStarted = false
    private var hasEnded = false
    private var usage = ConversationUsage()
    private var reason = FinishReason.stop
    private var payload = JSONWriter()

    init(options: TranslationOptions) {
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
        case .start: self.start(&writer)
        case .openTool(let id, let name, _):
            self.start(&writer)
            self.begin()
            self.payload.plain(",\"start\":{\"toolUse\":{\"toolUseId\":\"")
            self.payload.append((id ?? self.identifiers.next("tooluse_", scratch.arena)).slice)
            self.payload.plain("\",\"name\":\"")
            self.payload.append(name.slice)
            self.payload.plain("\"}}}")
            self.send("contentBlockStart", &writer)
        case .text(let text), .refusal(let text): self.delta("{\"text\":\"", text, "\"}", &writer)
        case .reasoning(let text): self.delta("{\"reasoningContent\":{\"text\":\"", text, "\"}}", &writer)
        case .signature(let text, let format):
            if format == .anthropic || format == .bedrock {
                self.delta("{\"reasoningContent\":{\"signature\":\"", text, "\"}}", &writer)
            }
        case .arguments(let piece): self.delta("{\"toolUse\":{\"input\":\"", piece, "\"}}", &writer)
        case .encryptedReasoning(let data, _):
            self.delta("{\"reasoningContent\":{\"redactedContent\":\"", data, "\"}}", &writer)
            self.close(&writer)
        case .closeText, .closeReasoning, .closeRefusal, .closeTool: self.close(&writer)
        case .finish(let reason, _, _, let hasCalls):
            self.reason = reason == .stop && hasCalls ? .toolCalls : reason
        case .usage(let usage): self.usage.merge(usage)
        case .failure(let failure):
            self.hasEnded = true
            self.payload.bytes.removeAll(keepingCapacity: true)
            FailureWriter.write(failure, as: .bedrock, &self.payload)
            self.frame("exception", FailureWriter.bedrockName(failure).event, &writer)
        case .end: self.end(&writer)
        case .openText, .openReasoning, .openRefusal, .media, .annotation, .logprobs: return
        }
    }

    private mutating func start(_ writer: inout JSONWriter) {
        guard !self.hasStarted else { return }
        self.hasStarted = true
        self.payload.bytes.removeAll(keepingCapacity: true)
        self.payload.plain("{\"role\":\"assistant\"}")
        self.send("messageStart", &writer)
    }

    private mutating func begin() {
        self.payload.bytes.removeAll(keepingCapacity: true)
        self.payload.plain("{\"contentBlockIndex\":")
        self.payload.digits(self.index)
    }

    private mutating func delta(
        _ before: StaticString, _ text: JSONText, _ after: StaticString, _ writer: inout JSONWriter
    ) {
        self.start(&writer)
        self.begin()
        self.payload.plain(",\"delta\":")
        self.payload.plain(before)
        self.payload.append(text.slice)
        self.payload.plain(after)
        self.payload.plain("}")
        self.send("contentBlockDelta", &writer)
    }

    private mutating func close(_ writer: inout JSONWriter) {
        self.begin()
        self.payload.plain("}")
        self.send("contentBlockStop", &writer)
        self.index += 1
    }

    private mutating func end(_ writer: inout JSONWriter) {
        self.hasEnded = true
        self.start(&writer)
        self.payload.bytes.removeAll(keepingCapacity: true)
        self.payload.plain("{\"stopReason\":")
        self.payload.string(BedrockFinish.name(self.reason))
        self.payload.plain("}")
        self.send("messageStop", &writer)
        self.payload.bytes.removeAll(keepingCapacity: true)
        self.payload.plain("{\"usage\":")
        BedrockUsage.write(self.usage, &self.payload)
        self.payload.plain(",\"metrics\":{\"latencyMs\":0}}")
        self.send("metadata", &writer)
    }

    private mutating func send(_ type: StaticString, _ writer: inout JSONWriter) { self.frame("event", type, &writer) }

    private func frame(_ kind: StaticString, _ type: StaticString, _ writer: inout JSONWriter) {
        self.payload.bytes.withUnsafeBytes {
            AWSEventStream.append(kind: kind, type: type, payload: $0, to: &writer.bytes)
        }
    }
}
