import GatewayWire

/// `usage` of Cohere: tokens are what was used, billed units what is paid for.
enum CohereUsage {
    static func read(_ value: JSONValue) -> ConversationUsage {
        var usage = ConversationUsage()
        let tokens = value["tokens"] ?? value["billed_units"]
        usage.input = tokens?["input_tokens"]?.count
        usage.output = tokens?["output_tokens"]?.count
        usage.reasoningOutput = tokens?["reasoning_tokens"]?.count
        usage.imageInput = tokens?["image_tokens"]?.count
        usage.cachedInput = value["cached_tokens"]?.count
        usage.billedInput = value["billed_units"]?["input_tokens"]?.count
        usage.billedOutput = value["billed_units"]?["output_tokens"]?.count
        return usage
    }

    static func write(_ usage: ConversationUsage, _ writer: inout JSONWriter) {
        writer.beginObject()
        for key in ["billed_units", "tokens"] as [StaticString] {
            writer.key(key)
            writer.beginObject()
            writer.member("input_tokens", count: usage.input ?? 0)
            writer.member("output_tokens", count: usage.output ?? 0)
            if JSONText(key) == "tokens" { writer.member("reasoning_tokens", countIfPresent: usage.reasoningOutput) }
            writer.endObject()
        }
        writer.member("cached_tokens", countIfPresent: usage.cachedInput)
        writer.endObject()
    }
}

/// `finish_reason` of Cohere.
enum CohereFinish {
    static func read(_ text: JSONText) -> FinishReason {
        if text == "COMPLETE" { return .stop }
        if text == "STOP_SEQUENCE" { return .stopSequence }
        if text == "MAX_TOKENS" { return .length }
        if text == "TOOL_CALL" { return .toolCalls }
        if text == "ERROR_TOXIC" { return .contentFilter }
        return text == "ERROR" || text == "TIMEOUT" ? .error : .stop
    }

    static func name(_ reason: FinishReason) -> StaticString {
        switch reason {
        case .stop, .malformed: "COMPLETE"
        case .contentFilter, .refusal: "ERROR_TOXIC"
        case .stopSequence: "STOP_SEQUENCE"
        case .length, .contextWindow, .pause: "MAX_TOKENS"
        case .toolCalls: "TOOL_CALL"
        case .error: "ERROR"
        }
    }
}

/// Reads an answer of Cohere's `/v2/chat`.
struct CohereResponseDecoder {
    let arena: JSONArena
    private let format = WireFormat.cohere

    func decode(_ root: JSONValue) throws(TranslationError) -> ConversationResponse {
        var response = ConversationResponse(self.format)
        var reader = ObjectReader(root)
        guard let message = reader.peek("message"), message.kind == .object else {
            throw .answer("The provider's answer has no message.")
        }
        response.id = reader.takeText("id")
        var choice = Choice(self.format)
        var inner = ObjectReader(message)
        if let plan = inner.takeText("tool_plan"), !plan.isEmpty {
            choice.parts.append(.reasoning(ReasoningPart(text: plan, format: self.format, extras: Extras(self.format))))
        }
        for element in inner.take("content")?.elements ?? root.elements {
            choice.parts.append(try CohereParts.read(element, self.arena))
        }
        choice.parts += try ChatToolCalls.read(&inner, self.format)
        if let reason = reader.peekText("finish_reason") {
            choice.finish = CohereFinish.read(reason)
            choice.nativeFinish = reason
        }
        response.choices = [choice]
        if let usage = reader.peek("usage") { response.usage = CohereUsage.read(usage) }
        response.extras = reader.rest(self.format)
        return response
    }
}

/// Writes an answer of Cohere's `/v2/chat`.
struct CohereResponseEncoder {
    var context: EncodingContext
    private var writer = JSONWriter()
    private let format = WireFormat.cohere

    init(context: EncodingContext) { self.context = context }

    mutating func encode(_ response: ConversationResponse) throws(TranslationError) -> [UInt8] {
        self.writer.beginObject()
        self.writer.member("id", response.id ?? self.context.identifiers.next("", self.context.arena))
        if response.format == self.format {
            self.writer.extras(response.extras, for: self.format)
            self.writer.endObject()
            return self.writer.bytes
        }
        let choice = response.choices.first
        self.writer.key("message")
        self.writer.beginObject()
        self.writer.member("role", "assistant")
        self.writer.key("content")
        self.writer.beginArray()
        for part in choice?.parts ?? [] {
            switch part {
            case .reasoning(let reasoning): self.write("thinking", reasoning.text)
            case .text(let text): self.write("text", text.text)
            case .refusal(let text): self.write("text", text)
            case .media, .native: self.context.drop("content")
            case .toolCall, .toolResult: continue
            }
        }
        self.writer.endArray()
        ChatToolCalls.write(choice?.parts ?? [], &self.writer, &self.context)
        self.writer.endObject()
        let reason = choice?.finish ?? .stop
        let derived = reason == .stop && choice?.hasToolCalls == true ? .toolCalls : reason
        self.writer.member("finish_reason", JSONText(CohereFinish.name(derived)))
        if let usage = response.usage {
            self.writer.key("usage")
            CohereUsage.write(usage, &self.writer)
        }
        self.writer.endObject()
        return self.writer.bytes
    }

    private mutating func write(_ type: StaticString, _ text: JSONText?) {
        guard let text, !text.isEmpty else { return }
        self.writer.beginObject()
        self.writer.member("type", JSONText(type))
        self.writer.member(type, text)
        self.writer.endObject()
    }
}

/// Reads the stream of Cohere's `/v2/chat`.
struct CohereStreamDecoder: StreamDecoder {
    private var sawFinish = false
    private var sawEnd = false
    private var callCount = 0

    init() {}

    mutating func decode(name: JSONSlice, data: JSONSlice, _ scratch: StreamScratch) throws(TranslationError) {
        if data.hasPrefix("[DONE]") { return }
        let root = try scratch.read(data)
        let delta = root["delta"]
        let message = delta?["message"]
        guard let type = root["type"]?.text else {
            self.sawEnd = true
            return scratch.events.append(.failure(FailureReader.openAI(root, root: root, status: nil)))
        }
        if type == "content-delta" || type == "content-start" {
            let content = message?["content"]
            if let text = content?["text"]?.text, !text.isEmpty { scratch.events.append(.text(choice: 0, text)) }
            if let text = content?["thinking"]?.text, !text.isEmpty {
                scratch.events.append(.reasoning(choice: 0, text))
            }
        } else if type == "tool-plan-delta" {
            if let text = message?["tool_plan"]?.text, !text.isEmpty {
                scratch.events.append(.reasoning(choice: 0, text))
            }
        } else if type == "tool-call-start", let call = message?["tool_calls"] {
            scratch.events.append(
                .toolStart(
                    choice: 0, call: self.callCount, id: call["id"]?.text,
                    name: call["function"]?["name"]?.text ?? .empty,
                    signature: nil))
            self.callCount += 1
            self.addArguments(call, scratch)
        } else if type == "tool-call-delta", let call = message?["tool_calls"] {
            self.addArguments(call, scratch)
        } else if type == "tool-call-end" || type == "content-end" {
            scratch.events.append(.blockEnd(choice: 0))
        } else if type == "message-start" {
            scratch.events.append(.start(id: root["id"]?.text, model: nil, created: nil))
        } else if type == "message-end", let delta {
            self.end(delta, scratch)
        }
    }

    mutating func finish(_ scratch: StreamScratch) {
        scratch.finish(sawFinish: self.sawFinish, sawEnd: self.sawEnd)
    }

    private func addArguments(_ call: JSONValue, _ scratch: StreamScratch) {
        guard self.callCount > 0, let piece = call["function"]?["arguments"]?.text, !piece.isEmpty else { return }
        scratch.events.append(.toolArguments(choice: 0, call: self.callCount - 1, piece))
    }

    private mutating func end(_ delta: JSONValue, _ scratch: StreamScratch) {
        self.sawFinish = true
        self.sawEnd = true
        if let usage = delta["usage"] { scratch.events.append(.usage(CohereUsage.read(usage))) }
        if let error = delta["error"] {
            return scratch.events.append(.failure(FailureReader.openAI(error, root: delta, status: nil)))
        }
        if let reason = delta["finish_reason"]?.text {
            scratch.events.append(.finish(choice: 0, CohereFinish.read(reason), native: reason, stopSequence: nil))
        }
        scratch.events.append(.end)
    }
}

/// Writes the stream of Cohere's `/v2/chat`.
struct CohereStreamEncoder: StreamEncoder {
    private var identifiers: IdentifierSource
    private var sequencer: BlockSequencer
    private var steps: [BlockStep] = []
    private var index: Int64 = 0
    private var callIndex: Int64 = 0
    private var hasStarted = false
    private var hasEnded = false
    private var usage: ConversationUsage?
    private var reason = FinishReason.stop

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
        case .start(let id, _, _): self.start(id, &writer)
        case .openText, .openRefusal: self.content("content-start", "{\"type\":\"text\",\"text\":\"", .empty, &writer)
        case .openReasoning:
            self.content("content-start", "{\"type\":\"thinking\",\"thinking\":\"", .empty, &writer)
        case .text(let text), .refusal(let text): self.content("content-delta", "{\"text\":\"", text, &writer)
        case .reasoning(let text): self.content("content-delta", "{\"thinking\":\"", text, &writer)
        case .closeText, .closeRefusal, .closeReasoning:
            self.begin("content-end", self.index, &writer)
            writer.plain("}\n\n")
            self.index += 1
        case .openTool(let id, let name, _):
            self.start(nil, &writer)
            self.begin("tool-call-start", self.callIndex, &writer)
            writer.plain(",\"delta\":{\"message\":{\"tool_calls\":")
            writer.beginObject()
            writer.member("id", id ?? self.identifiers.next("call_", scratch.arena))
            writer.member("type", "function")
            writer.key("function")
            writer.beginObject()
            writer.member("name", name)
            writer.member("arguments", "")
            writer.plain("}}}}}\n\n")
        case .arguments(let piece):
            self.begin("tool-call-delta", self.callIndex, &writer)
            writer.plain(",\"delta\":{\"message\":{\"tool_calls\":{\"function\":{\"arguments\":\"")
            writer.append(piece.slice)
            writer.plain("\"}}}}}\n\n")
        case .closeTool:
            self.begin("tool-call-end", self.callIndex, &writer)
            writer.plain("}\n\n")
            self.callIndex += 1
        case .finish(let reason, _, _, let hasCalls):
            self.reason = reason == .stop && hasCalls ? .toolCalls : reason
        case .usage(let usage): self.usage = usage
        case .failure(let failure): self.end("ERROR", failure, &writer)
        case .end: self.end(CohereFinish.name(self.reason), nil, &writer)
        case .signature, .encryptedReasoning, .media, .annotation, .logprobs: return
        }
    }

    private mutating func start(_ id: JSONText?, _ writer: inout JSONWriter) {
        guard !self.hasStarted else { return }
        self.hasStarted = true
        writer.plain("event: message-start\ndata: {\"type\":\"message-start\",\"id\":\"")
        if let id {
            writer.append(id.slice)
        } else {
            writer.bytes.append(contentsOf: self.identifiers.next(""))
        }
        writer.plain("\",\"delta\":{\"message\":{\"role\":\"assistant\",\"content\":[],\"tool_plan\":\"\"")
        writer.plain(",\"tool_calls\":[],\"citations\":[]}}}\n\n")
    }

    private func begin(_ type: StaticString, _ index: Int64, _ writer: inout JSONWriter) {
        writer.plain("event: ")
        writer.append(JSONSlice(type))
        writer.plain("\ndata: {\"type\":\"")
        writer.append(JSONSlice(type))
        writer.plain("\",\"index\":")
        writer.digits(index)
    }

    private mutating func content(
        _ type: StaticString, _ before: StaticString, _ text: JSONText, _ writer: inout JSONWriter
    ) {
        self.start(nil, &writer)
        self.begin(type, self.index, &writer)
        writer.plain(",\"delta\":{\"message\":{\"content\":")
        writer.plain(before)
        writer.append(text.slice)
        writer.plain("\"}}}}\n\n")
    }

    private mutating func end(_ reason: StaticString, _ failure: ProviderFailure?, _ writer: inout JSONWriter) {
        self.hasEnded = true
        self.start(nil, &writer)
        writer.plain("event: message-end\ndata: {\"type\":\"message-end\",\"delta\":")
        writer.beginObject()
        writer.member("finish_reason", JSONText(reason))
        if let failure {
            writer.key("error")
            writer.string(escaping: failure.message)
        }
        if let usage = self.usage {
            writer.key("usage")
            CohereUsage.write(usage, &writer)
        }
        writer.plain("}}\n\ndata: [DONE]\n\n")
    }
}
