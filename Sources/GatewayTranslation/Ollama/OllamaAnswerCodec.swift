import GatewayWire

/// Counts and reason of the last line. A prompt that was read from the cache whole has no count.
enum OllamaFacts {
    static func usage(_ root: JSONValue) -> ConversationUsage? {
        guard root["eval_count"] != nil || root["prompt_eval_count"] != nil else { return nil }
        var usage = ConversationUsage()
        usage.input = root["prompt_eval_count"]?.count ?? 0
        usage.output = root["eval_count"]?.count ?? 0
        return usage
    }

    static func finish(_ root: JSONValue) -> FinishReason {
        root["done_reason"]?.text == "length" ? .length : .stop
    }

    static func reason(_ finish: FinishReason) -> StaticString {
        switch finish {
        case .length, .contextWindow, .pause: "length"
        case .contentFilter, .refusal: "content_filter"
        default: "stop"
        }
    }

    /// The counts of the last line.
    static func write(_ usage: ConversationUsage?, _ writer: inout JSONWriter) {
        writer.member("total_duration", count: 0)
        writer.member("load_duration", count: 0)
        writer.member("prompt_eval_count", count: usage?.input ?? 0)
        writer.member("prompt_eval_duration", count: 0)
        writer.member("eval_count", count: usage?.output ?? 0)
        writer.member("eval_duration", count: 0)
    }

    /// `created_at`: RFC 3339 in UTC, of seconds since 1970.
    static func time(_ seconds: Int64) -> String {
        func two(_ value: Int64) -> String { value < 10 ? "0\(value)" : "\(value)" }
        let days = seconds / 86_400
        let rest = seconds % 86_400
        // Days to a civil date, counted in eras of 400 years from 1 March (Howard Hinnant, "chrono-compatible
        // low-level date algorithms").
        let shifted = days + 719_468
        let era = shifted / 146_097
        let day = shifted - era * 146_097
        let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365
        let dayOfYear = day - (365 * year + year / 4 - year / 100)
        let month = (5 * dayOfYear + 2) / 153
        let civilMonth = month < 10 ? month + 3 : month - 9
        let civilYear = year + era * 400 + (civilMonth <= 2 ? 1 : 0)
        let civilDay = dayOfYear - (153 * month + 2) / 5 + 1
        return "\(civilYear)-\(two(civilMonth))-\(two(civilDay))T"
            + "\(two(rest / 3600)):\(two(rest / 60 % 60)):\(two(rest % 60))Z"
    }
}

/// Reads an answer of Ollama's `/api/chat` that is not streamed.
struct OllamaResponseDecoder {
    let arena: JSONArena
    private let format = WireFormat.ollama

    func decode(_ root: JSONValue) throws(TranslationError) -> ConversationResponse {
        var response = ConversationResponse(self.format)
        var reader = ObjectReader(root)
        guard let message = reader.peek("message"), message.kind == .object else {
            throw .answer("The provider's answer has no message.")
        }
        response.model = reader.takeText("model")
        var choice = Choice(self.format)
        if let text = message["thinking"]?.text, !text.isEmpty {
            choice.parts.append(.reasoning(ReasoningPart(text: text, format: self.format, extras: Extras(self.format))))
        }
        if let text = message["content"]?.text {
            choice.isStringContent = true
            if !text.isEmpty { choice.parts.append(.text(TextPart(text, self.format))) }
        }
        var inner = ObjectReader(message)
        choice.parts += try ChatToolCalls.read(&inner, self.format)
        choice.finish = OllamaFacts.finish(root)
        response.choices = [choice]
        response.usage = OllamaFacts.usage(root)
        response.extras = reader.rest(self.format)
        return response
    }
}

/// Writes an answer of Ollama's `/api/chat` that is not streamed.
struct OllamaResponseEncoder {
    var context: EncodingContext
    private var writer = JSONWriter()
    private let format = WireFormat.ollama

    init(context: EncodingContext) { self.context = context }

    mutating func encode(_ response: ConversationResponse) throws(TranslationError) -> [UInt8] {
        self.writer.beginObject()
        self.writer.key("model")
        if let model = self.context.options.answerModel {
            self.writer.string(escaping: model)
        } else {
            self.writer.string(response.model ?? .empty)
        }
        if response.format == self.format {
            self.writer.extras(response.extras, for: self.format)
            self.writer.endObject()
            return self.writer.bytes
        }
        let parts = response.choices.first?.parts ?? []
        self.writer.key("created_at")
        self.writer.string(escaping: OllamaFacts.time(self.context.options.now))
        self.writer.key("message")
        self.writer.beginObject()
        self.writer.member("role", "assistant")
        var texts: [JSONText] = []
        var thoughts: [JSONText] = []
        for part in parts {
            switch part {
            case .text(let text): texts.append(text.text)
            case .refusal(let text): texts.append(text)
            case .reasoning(let reasoning): thoughts += [reasoning.text].compactMap { $0 }
            case .media, .native: self.context.drop("content")
            case .toolCall, .toolResult: continue
            }
        }
        self.writer.member("content", texts.isEmpty ? .empty : self.context.arena.joined(texts))
        if !thoughts.isEmpty { self.writer.member("thinking", self.context.arena.joined(thoughts)) }
        try OllamaCalls.write(parts, isRequest: false, &self.writer, self.context.arena)
        self.writer.endObject()
        self.writer.member("done", true)
        self.writer.member("done_reason", JSONText(OllamaFacts.reason(response.choices.first?.finish ?? .stop)))
        OllamaFacts.write(response.usage, &self.writer)
        self.writer.endObject()
        return self.writer.bytes
    }
}

/// Reads the lines of Ollama's `/api/chat`.
struct OllamaStreamDecoder: StreamDecoder {
    private var hasStarted = false
    private var sawEnd = false
    private var callCount = 0

    init() {}

    mutating func decode(name: JSONSlice, data: JSONSlice, _ scratch: StreamScratch) throws(TranslationError) {
        let root = try scratch.read(data)
        if let error = root["error"] {
            self.sawEnd = true
            return scratch.events.append(.failure(FailureReader.openAI(error, root: root, status: nil)))
        }
        guard let message = root["message"] else { throw .answer("The provider sent a line without a message.") }
        if !self.hasStarted {
            self.hasStarted = true
            scratch.events.append(.start(id: nil, model: root["model"]?.text, created: nil))
        }
        if let text = message["thinking"]?.text, !text.isEmpty { scratch.events.append(.reasoning(choice: 0, text)) }
        if let text = message["content"]?.text, !text.isEmpty { scratch.events.append(.text(choice: 0, text)) }
        var reader = ObjectReader(message)
        for case .toolCall(let call) in try ChatToolCalls.read(&reader, .ollama) {
            scratch.events.append(
                .toolStart(choice: 0, call: self.callCount, id: call.id, name: call.name, signature: nil))
            let arguments: JSONText
            switch call.arguments {
            case .text(let text): arguments = text
            case .json(let json): arguments = scratch.arena.escaped(json.bytes)
            }
            scratch.events.append(.toolArguments(choice: 0, call: self.callCount, arguments))
            scratch.events.append(.blockEnd(choice: 0))
            self.callCount += 1
        }
        guard root["done"]?.bool == true else { return }
        self.sawEnd = true
        let finish = OllamaFacts.finish(root)
        scratch.events.append(
            .finish(
                choice: 0, finish == .stop && self.callCount > 0 ? .toolCalls : finish, native: nil, stopSequence: nil))
        if let usage = OllamaFacts.usage(root) { scratch.events.append(.usage(usage)) }
        scratch.events.append(.end)
    }

    mutating func finish(_ scratch: StreamScratch) { scratch.finish(sawFinish: false, sawEnd: self.sawEnd) }
}

/// Writes the lines of Ollama's `/api/chat`. A call goes out whole.
struct OllamaStreamEncoder: StreamEncoder {
    private let options: TranslationOptions
    private var sequencer: BlockSequencer
    private var steps: [BlockStep] = []
    private var call = HeldToolCall()
    /// Model and time, which every line begins with.
    private var head: [UInt8] = []
    private var usage: ConversationUsage?
    private var reason = FinishReason.stop
    private var hasEnded = false

    init(options: TranslationOptions) {
        self.options = options
        self.sequencer = BlockSequencer(heldBytesMax: options.eventBytesMax)
    }

    mutating func encode(
        _ event: StreamEvent, _ writer: inout JSONWriter, _ scratch: StreamScratch
    ) throws(TranslationError) {
        if self.hasEnded { return }
        self.steps.removeAll(keepingCapacity: true)
        try self.sequencer.feed(event, &self.steps, scratch.arena)
        for index in self.steps.indices { try self.write(self.steps[index], &writer, scratch) }
    }

    private mutating func write(
        _ step: BlockStep, _ writer: inout JSONWriter, _ scratch: StreamScratch
    ) throws(TranslationError) {
        switch step {
        case .start(_, let model, _): self.start(model)
        case .text(let text), .refusal(let text): self.line("\"content\":\"", text, &writer)
        case .reasoning(let text): self.line("\"content\":\"\",\"thinking\":\"", text, &writer)
        case .openTool(let id, let name, let signature): self.call.begin(id, name, signature)
        case .arguments(let piece): try self.call.add(piece, max: self.options.eventBytesMax)
        case .closeTool:
            let call = self.call.end(scratch.arena)
            let arguments = try ToolArguments.object(.text(call.arguments), isRequest: false, scratch.arena)
            self.begin(&writer)
            writer.plain("\"content\":\"\",\"tool_calls\":[")
            OllamaCalls.write(call.name, arguments, &writer)
            writer.plain("]},\"done\":false}\n")
        case .finish(let reason, _, _, _): self.reason = reason
        case .usage(let usage): self.usage = usage
        case .failure(let failure):
            self.hasEnded = true
            FailureWriter.write(failure, as: .ollama, &writer)
            writer.plain("\n")
        case .end:
            self.hasEnded = true
            self.begin(&writer)
            writer.plain("\"content\":\"\"},\"done\":true,\"done_reason\":")
            writer.string(OllamaFacts.reason(self.reason))
            OllamaFacts.write(self.usage, &writer)
            writer.plain("}\n")
        case .openText, .openReasoning, .openRefusal, .closeText, .closeReasoning, .closeRefusal, .signature,
            .encryptedReasoning, .media, .annotation, .logprobs:
            return
        }
    }

    private mutating func start(_ model: JSONText?) {
        guard self.head.isEmpty else { return }
        var head = JSONWriter()
        head.plain("{\"model\":")
        if let name = self.options.answerModel {
            head.string(escaping: name)
        } else {
            head.string(model ?? .empty)
        }
        head.key("created_at")
        head.string(escaping: OllamaFacts.time(self.options.now))
        head.plain(",\"message\":{\"role\":\"assistant\",")
        self.head = head.bytes
    }

    private mutating func begin(_ writer: inout JSONWriter) {
        self.start(nil)
        writer.bytes.append(contentsOf: self.head)
    }

    private mutating func line(_ before: StaticString, _ text: JSONText, _ writer: inout JSONWriter) {
        self.begin(&writer)
        writer.plain(before)
        writer.append(text.slice)
        writer.plain("\"},\"done\":false}\n")
    }
}
