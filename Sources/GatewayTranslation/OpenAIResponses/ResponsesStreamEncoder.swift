import GatewayWire

/// Writes the stream of `/v1/responses` with every event of the skeleton: clients fail where one is missing. The last
/// event repeats the whole output, so that is kept, within a bound.
struct ResponsesStreamEncoder: StreamEncoder {
    private enum Block { case none, text, refusal, reasoning, tool }

    private let options: TranslationOptions
    private let outputBytesMax: Int
    private var identifiers: IdentifierSource
    private var sequencer: BlockSequencer
    private var steps: [BlockStep] = []
    private var sequence: Int64 = 0
    private var outputIndex: Int64 = 0
    private var block = Block.none
    private var itemID: [UInt8] = []
    private var callID: [UInt8] = []
    private var callName: [UInt8] = []
    /// Content of the open item.
    private var text: [UInt8] = []
    private var annotations: [UInt8] = []
    private var annotationCount: Int64 = 0
    /// The items that are whole, with commas between them.
    private var items: [UInt8] = []
    /// Id, time and model as members of the response.
    private var head: [UInt8] = []
    private var encrypted: [UInt8]?
    private var usage: ConversationUsage?
    private var finish = FinishReason.stop
    private var hasEnded = false

    init(options: TranslationOptions) {
        self.options = options
        self.outputBytesMax = options.eventBytesMax * 4
        self.identifiers = IdentifierSource(seed: options.seed)
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
        case .start(let id, let model, let created): self.start(id, model, created, &writer, scratch)
        case .openText: self.open(.text, &writer, scratch)
        case .openRefusal: self.open(.refusal, &writer, scratch)
        case .openReasoning: self.open(.reasoning, &writer, scratch)
        case .openTool(let id, let name, let signature):
            let own = id ?? self.identifiers.next("call_", scratch.arena)
            self.callID = Array(SignedIdentifier.join(own, signature, scratch.arena).slice.bytes)
            self.callName = Array(name.slice.bytes)
            self.open(.tool, &writer, scratch)
        case .text(let text), .refusal(let text), .reasoning(let text), .arguments(let text):
            try self.delta(text, &writer)
        case .closeText, .closeRefusal, .closeReasoning, .closeTool: self.close(&writer)
        case .encryptedReasoning(let data, _): self.writeEncrypted(data, &writer, scratch)
        case .signature(let text, _): self.encrypted = Array(text.slice.bytes)
        case .annotation(let annotation): self.write(annotation, &writer)
        case .media, .logprobs: return
        case .finish(let reason, _, _, _): self.finish = reason
        case .usage(let usage): self.usage = usage
        case .failure(let failure): self.fail(failure, &writer, scratch)
        case .end: self.end(&writer, scratch)
        }
    }

    // MARK: - Events

    private mutating func begin(_ type: StaticString, _ writer: inout JSONWriter) {
        writer.plain("event: ")
        writer.append(JSONSlice(type))
        writer.plain("\ndata: {\"type\":\"")
        writer.append(JSONSlice(type))
        writer.plain("\",\"sequence_number\":")
        writer.digits(self.sequence)
        self.sequence += 1
    }

    private mutating func beginPart(_ type: StaticString, _ writer: inout JSONWriter) {
        self.begin(type, &writer)
        writer.plain(",\"item_id\":\"")
        writer.bytes.append(contentsOf: self.itemID)
        writer.plain("\",\"output_index\":")
        writer.digits(self.outputIndex)
        switch self.block {
        case .text, .refusal: writer.plain(",\"content_index\":0")
        case .reasoning: writer.plain(",\"summary_index\":0")
        case .tool, .none: break
        }
    }

    private mutating func start(
        _ id: JSONText?, _ model: JSONText?, _ created: JSONSlice?, _ writer: inout JSONWriter,
        _ scratch: StreamScratch
    ) {
        guard self.head.isEmpty else { return }
        var head = JSONWriter()
        head.plain("{\"id\":\"")
        if let mark = self.options.storedResponse {
            head.bytes += Array(mark.id.utf8)
        } else {
            head.append(ResponsesAnswerEncoder.id(id, &self.identifiers, scratch.arena).slice)
        }
        head.plain("\",\"object\":\"response\",\"created_at\":")
        if let created {
            head.append(created)
        } else {
            head.digits(self.options.now)
        }
        head.key("model")
        if let name = self.options.answerModel {
            head.string(escaping: name)
        } else {
            head.string(model ?? .empty)
        }
        self.head = head.bytes
        for type in ["response.created", "response.in_progress"] as [StaticString] {
            self.begin(type, &writer)
            writer.plain(",\"response\":")
            self.writeResponse("in_progress", nil, &writer)
            writer.plain("}\n\n")
        }
    }

    private func writeResponse(_ status: StaticString, _ reason: StaticString?, _ writer: inout JSONWriter) {
        writer.bytes.append(contentsOf: self.head)
        writer.member("status", JSONText(status))
        ResponsesAnswerEncoder.writeSkeleton(reason: reason, mark: self.options.storedResponse, &writer)
        writer.plain(",\"output\":[")
        writer.bytes.append(contentsOf: self.items)
        writer.plain("],\"usage\":")
        if let usage = self.usage, !(JSONText(status) == "in_progress") {
            ResponsesUsage.write(usage, &writer)
        } else {
            writer.plain("null")
        }
        writer.plain("}")
    }

    /// `isWhole`: with its content, as done events and the last event have it.
    private func writeItem(isWhole: Bool, _ writer: inout JSONWriter) {
        writer.plain("{\"id\":\"")
        writer.bytes.append(contentsOf: self.itemID)
        switch self.block {
        case .text, .refusal:
            writer.plain("\",\"type\":\"message\",\"role\":\"assistant\",\"status\":")
            writer.plain(isWhole ? "\"completed\",\"content\":[" : "\"in_progress\",\"content\":[")
            if isWhole { self.writePart(isWhole: true, &writer) }
            writer.plain("]}")
        case .reasoning:
            writer.plain("\",\"type\":\"reasoning\",\"summary\":[")
            if isWhole, !self.text.isEmpty { self.writePart(isWhole: true, &writer) }
            writer.plain("]")
            if isWhole, let encrypted = self.encrypted {
                writer.plain(",\"encrypted_content\":\"")
                writer.bytes.append(contentsOf: encrypted)
                writer.plain("\"")
            }
            writer.plain("}")
        case .tool:
            writer.plain("\",\"type\":\"function_call\",\"status\":")
            writer.plain(isWhole ? "\"completed\",\"call_id\":\"" : "\"in_progress\",\"call_id\":\"")
            writer.bytes.append(contentsOf: self.callID)
            writer.plain("\",\"name\":\"")
            writer.bytes.append(contentsOf: self.callName)
            writer.plain("\",\"arguments\":\"")
            if isWhole { writer.bytes.append(contentsOf: self.text) }
            writer.plain("\"}")
        case .none: writer.plain("\"}")
        }
    }

    private func writePart(isWhole: Bool, _ writer: inout JSONWriter) {
        switch self.block {
        case .refusal: writer.plain("{\"type\":\"refusal\",\"refusal\":\"")
        case .reasoning: writer.plain("{\"type\":\"summary_text\",\"text\":\"")
        default: writer.plain("{\"type\":\"output_text\",\"text\":\"")
        }
        if isWhole { writer.bytes.append(contentsOf: self.text) }
        writer.plain("\"")
        if self.block == .text {
            writer.plain(",\"annotations\":[")
            if isWhole { writer.bytes.append(contentsOf: self.annotations) }
            writer.plain("],\"logprobs\":[]")
        }
        writer.plain("}")
    }

    private mutating func open(_ block: Block, _ writer: inout JSONWriter, _ scratch: StreamScratch) {
        self.start(nil, nil, nil, &writer, scratch)
        self.block = block
        self.text.removeAll(keepingCapacity: true)
        self.annotations.removeAll(keepingCapacity: true)
        self.annotationCount = 0
        self.itemID = self.identifiers.next(block == .tool ? "fc_" : block == .reasoning ? "rs_" : "msg_")
        self.begin("response.output_item.added", &writer)
        writer.plain(",\"output_index\":")
        writer.digits(self.outputIndex)
        writer.plain(",\"item\":")
        self.writeItem(isWhole: false, &writer)
        writer.plain("}\n\n")
        guard block != .tool else { return }
        self.beginPart(
            block == .reasoning ? "response.reasoning_summary_part.added" : "response.content_part.added", &writer)
        writer.plain(",\"part\":")
        self.writePart(isWhole: false, &writer)
        writer.plain("}\n\n")
    }

    private mutating func delta(_ text: JSONText, _ writer: inout JSONWriter) throws(TranslationError) {
        guard self.items.count + self.text.count + text.slice.count <= self.outputBytesMax else {
            throw TranslationError(
                .tooLarge,
                "The provider's answer is longer than \(self.outputBytesMax) bytes, which are kept for the end.")
        }
        self.text.append(contentsOf: text.slice.bytes)
        switch self.block {
        case .refusal: self.beginPart("response.refusal.delta", &writer)
        case .reasoning: self.beginPart("response.reasoning_summary_text.delta", &writer)
        case .tool: self.beginPart("response.function_call_arguments.delta", &writer)
        case .text, .none: self.beginPart("response.output_text.delta", &writer)
        }
        writer.plain(",\"delta\":\"")
        writer.append(text.slice)
        writer.plain(self.block == .text ? "\",\"logprobs\":[]}\n\n" : "\"}\n\n")
    }

    private mutating func close(_ writer: inout JSONWriter) {
        let types: (done: StaticString, key: StaticString, part: StaticString?)
        switch self.block {
        case .refusal: types = ("response.refusal.done", "refusal", "response.content_part.done")
        case .reasoning:
            types = ("response.reasoning_summary_text.done", "text", "response.reasoning_summary_part.done")
        case .tool: types = ("response.function_call_arguments.done", "arguments", nil)
        case .text, .none: types = ("response.output_text.done", "text", "response.content_part.done")
        }
        self.beginPart(types.done, &writer)
        writer.key(types.key)
        writer.plain("\"")
        writer.bytes.append(contentsOf: self.text)
        writer.plain("\"")
        if self.block == .text { writer.plain(",\"logprobs\":[]") }
        if self.block == .tool {
            writer.plain(",\"name\":\"")
            writer.bytes.append(contentsOf: self.callName)
            writer.plain("\"")
        }
        writer.plain("}\n\n")
        if let part = types.part {
            self.beginPart(part, &writer)
            writer.plain(",\"part\":")
            self.writePart(isWhole: true, &writer)
            writer.plain("}\n\n")
        }
        self.writeDone(&writer)
    }

    private mutating func writeDone(_ writer: inout JSONWriter) {
        self.begin("response.output_item.done", &writer)
        writer.plain(",\"output_index\":")
        writer.digits(self.outputIndex)
        writer.plain(",\"item\":")
        self.writeItem(isWhole: true, &writer)
        writer.plain("}\n\n")
        var item = JSONWriter()
        if !self.items.isEmpty { item.plain(",") }
        self.writeItem(isWhole: true, &item)
        self.items += item.bytes
        self.outputIndex += 1
        self.block = .none
        self.encrypted = nil
    }

    /// Reasoning that only its provider can read: an item without a summary.
    private mutating func writeEncrypted(_ data: JSONText, _ writer: inout JSONWriter, _ scratch: StreamScratch) {
        self.start(nil, nil, nil, &writer, scratch)
        self.block = .reasoning
        self.text.removeAll(keepingCapacity: true)
        self.itemID = self.identifiers.next("rs_")
        self.encrypted = Array(data.slice.bytes)
        self.begin("response.output_item.added", &writer)
        writer.plain(",\"output_index\":")
        writer.digits(self.outputIndex)
        writer.plain(",\"item\":")
        self.writeItem(isWhole: false, &writer)
        writer.plain("}\n\n")
        self.writeDone(&writer)
    }

    private mutating func write(_ annotation: Annotation, _ writer: inout JSONWriter) {
        guard annotation.url != nil else { return }
        self.beginPart("response.output_text.annotation.added", &writer)
        writer.plain(",\"annotation_index\":")
        writer.digits(self.annotationCount)
        self.annotationCount += 1
        writer.key("annotation")
        ResponsesAnswerEncoder.write(annotation, &writer)
        writer.plain("}\n\n")
        var kept = JSONWriter()
        if !self.annotations.isEmpty { kept.plain(",") }
        var own = JSONWriter()
        ResponsesAnswerEncoder.write(annotation, &own)
        kept.bytes += own.bytes
        self.annotations += kept.bytes
    }

    private mutating func fail(_ failure: ProviderFailure, _ writer: inout JSONWriter, _ scratch: StreamScratch) {
        self.hasEnded = true
        self.start(nil, nil, nil, &writer, scratch)
        self.begin("error", &writer)
        writer.key("code")
        writer.string(escaping: FailureWriter.openAINames(failure).code)
        writer.key("message")
        writer.string(escaping: failure.message)
        writer.member("param", raw: JSONSlice("null"))
        writer.plain("}\n\n")
    }

    private mutating func end(_ writer: inout JSONWriter, _ scratch: StreamScratch) {
        self.hasEnded = true
        self.start(nil, nil, nil, &writer, scratch)
        let (status, reason) = ResponsesAnswerEncoder.status(self.finish)
        self.begin(JSONText(status) == "completed" ? "response.completed" : "response.incomplete", &writer)
        writer.plain(",\"response\":")
        self.writeResponse(status, reason, &writer)
        writer.plain("}\n\n")
    }
}
