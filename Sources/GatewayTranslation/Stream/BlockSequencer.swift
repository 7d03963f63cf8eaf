import GatewayWire

/// One step of an answer in blocks that follow one another, as Anthropic, Responses and Bedrock stream them.
enum BlockStep {
    case start(id: JSONText?, model: JSONText?, created: JSONSlice?)
    case openText
    case openReasoning
    case openRefusal
    case openTool(id: JSONText?, name: JSONText, signature: JSONText?)
    case text(JSONText)
    case reasoning(JSONText)
    case signature(JSONText, format: WireFormat)
    case refusal(JSONText)
    case arguments(JSONText)
    /// The open block is whole.
    case closeText, closeReasoning, closeRefusal, closeTool
    /// A block of its own, in one piece.
    case encryptedReasoning(JSONText, format: WireFormat)
    case media(MediaPart)
    case annotation(Annotation)
    case logprobs(JSONSlice)
    case finish(FinishReason, native: JSONText?, stopSequence: JSONText?, hasCalls: Bool)
    case usage(ConversationUsage)
    case failure(ProviderFailure)
    case end
}

/// Brings the steps of a stream into blocks: opens lazily, closes when the kind changes, and holds a tool call back
/// while the arguments of the one before are not whole, since blocks cannot interleave. Only the first choice passes.
///
/// ```text
///         text            tool 0               tool 1 while 0 is not whole
/// none ──────────► text ──────────► tool 0 ──────────────────────────────► held
///   ▲                │                │ whole, finish                        │
///   └──── blockEnd ──┴────────────────┴───────────── opened, sent, closed ◄──┘
/// ```
struct BlockSequencer: Sendable {
    private enum Open: Equatable {
        case none, text, reasoning, refusal
        case tool(Int)
    }

    private struct HeldCall {
        let call: Int
        let id: [UInt8]?
        let name: [UInt8]
        let signature: [UInt8]?
        var arguments: [UInt8] = []
    }

    private var open = Open.none
    private var progress = ArgumentsProgress()
    private var held: [HeldCall] = []
    private var heldBytes = 0
    private let heldBytesMax: Int
    private(set) var hasCalls = false

    init(heldBytesMax: Int) { self.heldBytesMax = heldBytesMax }

    /// Appends the steps that `event` makes to `steps`.
    mutating func feed(
        _ event: StreamEvent, _ steps: inout [BlockStep], _ arena: JSONArena
    ) throws(TranslationError) {
        switch event {
        case .start(let id, let model, let created): steps.append(.start(id: id, model: model, created: created))
        case .text(0, let text):
            if self.open != .text { self.begin(.text, &steps, arena) }
            steps.append(.text(text))
        case .reasoning(0, let text):
            if self.open != .reasoning { self.begin(.reasoning, &steps, arena) }
            steps.append(.reasoning(text))
        case .signature(0, let signature, let format):
            if self.open != .reasoning { self.begin(.reasoning, &steps, arena) }
            steps.append(.signature(signature, format: format))
        case .refusal(0, let text):
            if self.open != .refusal { self.begin(.refusal, &steps, arena) }
            steps.append(.refusal(text))
        case .encryptedReasoning(0, let data, let format):
            self.close(&steps, arena)
            steps.append(.encryptedReasoning(data, format: format))
        case .media(0, let media):
            self.close(&steps, arena)
            steps.append(.media(media))
        case .toolStart(0, let call, let id, let name, let signature):
            try self.start(call, id, name, signature, &steps, arena)
        case .toolArguments(0, let call, let piece): try self.add(piece, to: call, &steps)
        case .blockEnd(0): self.close(&steps, arena)
        case .annotation(0, let annotation):
            // A source belongs to a text.
            if self.open != .text { self.begin(.text, &steps, arena) }
            steps.append(.annotation(annotation))
        case .logprobs(0, let logprobs): steps.append(.logprobs(logprobs))
        case .finish(0, let reason, let native, let stopSequence):
            self.close(&steps, arena)
            steps.append(.finish(reason, native: native, stopSequence: stopSequence, hasCalls: self.hasCalls))
        case .usage(let usage): steps.append(.usage(usage))
        case .failure(let failure): steps.append(.failure(failure))
        case .end:
            self.close(&steps, arena)
            steps.append(.end)
        case .text, .reasoning, .signature, .refusal, .encryptedReasoning, .media, .toolStart, .toolArguments,
            .blockEnd, .annotation, .logprobs, .finish:
            return
        }
    }

    private mutating func begin(_ block: Open, _ steps: inout [BlockStep], _ arena: JSONArena) {
        self.close(&steps, arena)
        self.open = block
        switch block {
        case .text: steps.append(.openText)
        case .reasoning: steps.append(.openReasoning)
        case .refusal: steps.append(.openRefusal)
        case .tool, .none: break
        }
    }

    private mutating func start(
        _ call: Int, _ id: JSONText?, _ name: JSONText, _ signature: JSONText?, _ steps: inout [BlockStep],
        _ arena: JSONArena
    ) throws(TranslationError) {
        self.hasCalls = true
        if case .tool = self.open, !self.progress.isWhole {
            self.held.append(
                HeldCall(
                    call: call, id: id.map { Array($0.slice.bytes) }, name: Array(name.slice.bytes),
                    signature: signature.map { Array($0.slice.bytes) }))
            return try self.count(64 + name.slice.count)
        }
        self.close(&steps, arena)
        self.open = .tool(call)
        self.progress = ArgumentsProgress()
        steps.append(.openTool(id: id, name: name, signature: signature))
    }

    private mutating func add(_ piece: JSONText, to call: Int, _ steps: inout [BlockStep]) throws(TranslationError) {
        if self.open == .tool(call) {
            self.progress.note(piece)
            return steps.append(.arguments(piece))
        }
        guard let index = self.held.firstIndex(where: { $0.call == call }) else {
            if piece.isEmpty { return }
            throw .answer("The provider went on with a tool call that had ended.")
        }
        self.held[index].arguments.append(contentsOf: piece.slice.bytes)
        try self.count(piece.slice.count)
    }

    private mutating func count(_ bytes: Int) throws(TranslationError) {
        self.heldBytes += bytes
        guard self.heldBytes <= self.heldBytesMax else {
            throw TranslationError(
                .tooLarge, "The provider interleaved tool calls with more than \(self.heldBytesMax) bytes of arguments."
            )
        }
    }

    /// Closes what is open and sends the calls that were held back behind it.
    private mutating func close(_ steps: inout [BlockStep], _ arena: JSONArena) {
        switch self.open {
        case .none: break
        case .text: steps.append(.closeText)
        case .reasoning: steps.append(.closeReasoning)
        case .refusal: steps.append(.closeRefusal)
        case .tool: steps.append(.closeTool)
        }
        self.open = .none
        guard !self.held.isEmpty else { return }
        for call in self.held {
            steps.append(
                .openTool(
                    id: call.id.map { JSONText(arena.copy($0)) }, name: JSONText(arena.copy(call.name)),
                    signature: call.signature.map { JSONText(arena.copy($0)) }))
            if !call.arguments.isEmpty { steps.append(.arguments(JSONText(arena.copy(call.arguments)))) }
            steps.append(.closeTool)
        }
        self.held = []
        self.heldBytes = 0
    }
}
