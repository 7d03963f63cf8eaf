import GatewayCore
import GatewayTranslation
import GatewayWire
import NIOCore

/// What an attempt needs whose caller or deployment speaks another format than OpenAI's chat. `nil` in a call: today's
/// most common one, whose bytes go straight through.
///
///     caller `source` ── request translated, or straight ──► deployment `target`
///            ◄── answer: held, translated whole; stream: translated event by event; straight: only read ──
final class CallTranslation {
    /// The format of the caller.
    let source: WireFormat
    /// The format of the deployment.
    let target: WireFormat
    /// The answer's bytes go to the caller as they come, and are only read.
    let isStraight: Bool
    /// How the caller's stream is cut.
    let sourceFraming: StreamFraming
    /// How the provider's stream is cut. `nil`: as its format usually is.
    let upstreamFraming: StreamFraming?
    let options: TranslationOptions
    /// The translated request. `nil`: the caller's own goes to the provider.
    var body: ByteBuffer?
    var memory = CallMemory()
    /// `nil`: the answer is no stream, or has not begun.
    private(set) var stream: StreamTranslator?
    /// Reads what providers of OpenAI's chat say of usage and cost in a stream. `nil`: another format.
    private var scanner: EventStreamScanner?
    /// What a whole answer was booked by. `nil`: it reported nothing.
    private var heldUsage: ConversationUsage?
    /// Of an answer that is too large to be held. `nil`: it is not, or has ended.
    private var members: MemberScanner?
    /// What the last piece of a stream has become; kept for its capacity.
    private(set) var output: [UInt8] = []

    init(
        source: WireFormat, target: WireFormat, isStraight: Bool, sourceFraming: StreamFraming,
        upstreamFraming: StreamFraming? = nil, options: TranslationOptions
    ) {
        self.source = source
        self.target = target
        self.isStraight = isStraight
        self.sourceFraming = sourceFraming
        self.upstreamFraming = upstreamFraming
        self.options = options
    }

    // MARK: Streams

    /// The bound of an event of the provider's stream, bytes, is that of `options`.
    func beginStream() {
        self.stream = StreamTranslator(
            from: self.target, to: self.source, options: self.options, memory: self.memory,
            framing: self.upstreamFraming, targetFraming: self.sourceFraming)
        if self.target == .openAIChat { self.scanner = EventStreamScanner(eventBytesMax: self.options.eventBytesMax) }
    }

    /// Reads bytes of the provider's stream; what they make for the caller is in `output`.
    func feed(_ bytes: UnsafeRawBufferPointer) {
        self.output.removeAll(keepingCapacity: true)
        self.stream?.feed(bytes, into: &self.output)
        // An event too large for it is one for the translator, too.
        _ = self.scanner?.feed(bytes) { _, _ in }
    }

    /// The provider's stream has ended.
    func finishStream() {
        self.output.removeAll(keepingCapacity: true)
        self.stream?.finish(into: &self.output)
        _ = self.scanner?.finish()
    }

    /// An error in the caller's format, in `output`. Empty: the caller has been told already.
    func abortStream(_ failure: ProviderFailure) {
        self.output.removeAll(keepingCapacity: true)
        self.stream?.abort(failure, into: &self.output)
    }

    /// The provider's error within the stream, or what could not be translated. `nil`: none so far.
    var streamFailure: ProviderFailure? { self.stream?.failure }
    var hasStream: Bool { self.stream != nil }
    /// Of a stream of Responses, as the provider named it. `nil`: another format, or not yet.
    var responseID: String? { self.stream?.responseID }
    /// The last event has come.
    var isStreamFinished: Bool { self.stream?.isFinished ?? false }

    // MARK: Whole answers

    /// Translates a whole answer, and notes its usage.
    func translate(_ answer: ByteBuffer) throws(TranslationError) -> AnswerTranslator.Outcome {
        let outcome = try answer.withUnsafeReadableBytes { bytes throws(TranslationError) in
            try AnswerTranslator.translate(
                bytes, from: self.target, to: self.source, options: self.options, memory: self.memory)
        }
        if case .answer(let translated) = outcome { self.heldUsage = translated.usage }
        return outcome
    }

    // MARK: Answers too large to be held

    /// From now on the answer comes in pieces, of which only the usage is looked for.
    func beginLarge() { self.members = MemberScanner(names: AnswerTranslator.usageMembers(of: self.target)) }

    func feedLarge(_ bytes: UnsafeRawBufferPointer) { self.members?.feed(bytes) }

    /// All pieces have come that will.
    func endLarge() {
        guard let object = self.members?.object else { return }
        self.members = nil
        self.heldUsage = object.withUnsafeBytes { AnswerTranslator.usage($0, of: self.target) }
    }

    // MARK: Usage

    /// Usage as OpenAI's chat reports it. `nil`: another format, or not reported.
    var reported: ReportedUsage? { self.scanner?.lastUsage }
    /// Bytes of generated text in a stream.
    var contentBytes: Int { self.stream?.contentBytes ?? 0 }

    /// Usage so far. `nil`: none was reported.
    var usage: ConversationUsage? { self.heldUsage ?? self.stream?.usage }

    /// What to book.
    ///
    /// - Parameter estimatedOutput: tokens counted from the bytes that have come.
    /// - Returns: `nil`: nothing was reported, so all of it is an estimate.
    func settled(isFinished: Bool, estimatedOutput: Int64) -> (usage: TokenUsage, flags: UsageFlags)? {
        guard let usage = self.usage, usage.input != nil || usage.output != nil else { return nil }
        var booked = usage.tokenUsage
        // A whole answer of which only the end of the framing is missing says all.
        if isFinished || self.heldUsage != nil { return (booked, .measured) }
        // Gemini counts with every event; others tell the output at the end only, and its beginning before.
        if self.target != .gemini { booked.output = max(booked.output, estimatedOutput) }
        return (booked, .estimated)
    }
}
