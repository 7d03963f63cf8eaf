import GatewayCore
import GatewayPricing
import GatewayWire

/// Measures a call of images, audio, moderation or rerank: what it asks for, and what its answer reports. `nil` in a
/// call of any other kind.
///
/// What is charged, in this order (docs/prices.md): the tokens that the provider reports, if the model has prices per
/// token; else images, characters, seconds or searches, if it has prices of those; else tokens counted from the bytes.
final class CallMeter {
    let kind: CallKind
    let facts: UnitFacts
    private let isCharged: Bool
    private(set) var answer = UnitAnswerScanner()
    /// The answer is JSON, or a stream of it.
    private var readsAnswer = false
    private(set) var isEventStream = false
    /// Of events or of another kind.
    private var isStream = false
    /// Of a stream.
    private var streamBytes = 0

    /// - Parameter isCharged: `false`: what the answer reports was charged when it was asked for.
    init(kind: CallKind, facts: UnitFacts, isCharged: Bool = true) {
        self.isCharged = isCharged
        self.kind = kind
        self.facts = facts
    }

    // MARK: The answer

    /// Forgets the answer of the attempt before.
    func beginAttempt() {
        self.answer = UnitAnswerScanner()
        self.readsAnswer = false
        (self.isEventStream, self.isStream) = (false, false)
        self.streamBytes = 0
    }

    /// Streams that are no server-sent events: Cohere's v1, lines of JSON, AWS' frames.
    private static let otherStreams: [StaticString] = [
        "application/stream+json", "application/x-ndjson", "application/vnd.amazon.eventstream",
    ]

    func begin(_ head: ResponseHead, bytes: UnsafeRawBufferPointer) {
        self.isEventStream = head.isEventStream
        self.isStream =
            head.isEventStream || Self.otherStreams.contains { HeaderName.hasPrefix(bytes, head.contentType, $0) }
        self.readsAnswer = self.isStream || HeaderName.hasPrefix(bytes, head.contentType, "application/json")
    }

    func feed(_ bytes: UnsafeRawBufferPointer) {
        if self.readsAnswer { self.answer.feed(bytes) }
        if self.isStream { self.streamBytes += bytes.count }
    }

    // MARK: What it costs

    struct Charge {
        var usage = TokenUsage()
        /// `nil`: the model has no price that could be applied.
        var cost: NanoUSD?
        /// Reported by the provider, or said exactly by the request.
        var isMeasured = false
    }

    /// Audio is taken for 32 kbit/s, a common rate of speech, where nothing says how long it is.
    private static let audioBytesPerSecond: Int64 = 4000
    /// No usual format of speech is below 8 kbit/s.
    private static let audioBytesPerSecondMin: Int64 = 1000
    /// 15 characters a second: 150 words a minute.
    private static let microsecondsPerCharacter: Int64 = 66_667
    private static let microsecondsPerCharacterMax: Int64 = 250_000
    /// OpenAI's audio: 10 tokens a second in, 20.8 out; with some to spare.
    private static let inputTokensPerSecond: Int64 = 10
    private static let outputTokensPerSecond: Int64 = 21
    /// An image of 1024 x 1024 at medium quality, and more than any at high quality.
    private static let tokensPerImage: Int64 = 1056
    private static let tokensPerImageMax: Int64 = 16_384
    /// Cohere counts a search for 100 documents, and longer ones than 500 tokens more than once.
    private static let documentsPerSearch: Int64 = 100
    private static let documentBytesMin: Int64 = 500

    /// What the call costs by all that is known now: what was reported, and what was asked for.
    ///
    /// - Parameter inputTextBytes: bytes of text in the request.
    func charge(at deployment: Deployment, figures: DeploymentFigures, inputTextBytes: Int) -> Charge {
        let report = self.answer.report
        var charge = Charge()
        if report.hasTokens, self.isCharged {
            charge.usage = self.tokens(report)
            charge.isMeasured = true
            if let cost = deployment.priceBox?.cost(of: charge.usage, tier: .standard), cost.rawValue > 0 {
                charge.cost = cost
                return charge
            }
        }
        if self.kind == .passThrough { return self.passedCharge(charge, at: deployment, figures, inputTextBytes) }
        let (units, isKnown) = self.units(report)
        if let price = self.pricing(of: deployment), let cost = price.cost(of: units) {
            charge.cost = cost
            charge.isMeasured = isKnown && (self.kind != .speech || price.perCharacter != nil)
            return charge
        }
        if !report.hasTokens { charge.usage = self.estimatedTokens(units, figures, inputTextBytes) }
        charge.cost = deployment.priceBox?.cost(of: charge.usage, tier: .standard)
        return charge
    }

    /// No way in which the call can end costs more. For budgets that must never be passed.
    ///
    /// - Parameter bodyBytes: of the whole request.
    func costMax(at deployment: Deployment, bodyBytes: Int, outputTokensCap: Int) -> NanoUSD {
        var units = self.units(UnitReport()).units
        let bytes = Int64(bodyBytes)
        var input = bytes
        var output: Int64 = 0
        switch self.kind {
        case .imageGeneration, .imageEdit, .imageVariation:
            input += self.facts.inputImages * Self.tokensPerImageMax
            output = self.facts.images * Self.tokensPerImageMax
        case .speech:
            units.microseconds = self.facts.characters * Self.microsecondsPerCharacterMax
            output = units.microseconds / 1_000_000 * (Self.outputTokensPerSecond + 4) + 100
        case .transcription, .translation:
            units.microseconds = bytes * 1_000_000 / Self.audioBytesPerSecondMin
            input = min(bytes, deployment.price?.maxInputTokens ?? .max)
            output = deployment.price?.maxOutputTokens ?? Int64(outputTokensCap)
        case .rerank:
            units.searches = 1 + (self.facts.documents + bytes / Self.documentBytesMin) / Self.documentsPerSearch
            // The query is read anew with each document.
            input += self.facts.queryBytes * self.facts.documents
        default: break
        }
        let byUnits = self.pricing(of: deployment)?.cost(of: units) ?? .zero
        let byTokens = deployment.priceBox?.costMax(inputTokens: input, outputTokens: output) ?? .zero
        return max(byUnits, byTokens)
    }

    /// What a path that is not known costs: the tokens that its answer reports. A stream that reports none is charged
    /// by its bytes; all else is no generation as far as can be told, and free.
    private func passedCharge(
        _ charge: Charge, at deployment: Deployment, _ figures: DeploymentFigures, _ inputTextBytes: Int
    ) -> Charge {
        var charge = charge
        if !self.isCharged { charge = Charge(isMeasured: true) }
        if !charge.isMeasured {
            charge.isMeasured = !self.isStream
            if self.isStream {
                charge.usage.input = figures.inputTokens(bytes: inputTextBytes)
                charge.usage.output = figures.outputTokens(bytes: self.streamBytes)
            }
        }
        charge.cost = charge.usage.total == 0 ? .zero : deployment.priceBox?.cost(of: charge.usage, tier: .standard)
        return charge
    }

    /// The size that was made counts where it was left to the provider.
    private func pricing(of deployment: Deployment) -> UnitPricing? {
        guard self.isImage else { return deployment.units }
        return deployment.imagePricing(
            size: self.answer.size ?? self.facts.size, quality: self.answer.quality ?? self.facts.quality)
    }

    private var isImage: Bool {
        self.kind == .imageGeneration || self.kind == .imageEdit || self.kind == .imageVariation
    }

    /// - Returns: what the call used, and whether that is known exactly.
    private func units(_ report: UnitReport) -> (units: UnitUsage, isKnown: Bool) {
        var units = UnitUsage()
        switch self.kind {
        case .imageGeneration, .imageEdit, .imageVariation:
            units.images = self.answer.dataCount > 0 ? self.answer.dataCount : self.facts.images
            units.pixels = units.images * Self.pixels(self.answer.size ?? self.facts.size)
            return (units, true)
        case .speech:
            units.characters = self.facts.characters
            units.microseconds = self.facts.characters * Self.microsecondsPerCharacter
            return (units, true)
        case .transcription, .translation:
            units.microseconds =
                report.microseconds ?? self.facts.microseconds
                ?? self.facts.fileBytes * 1_000_000 / Self.audioBytesPerSecond
            return (units, report.microseconds != nil)
        case .rerank:
            let documents = max(1, self.facts.documents)
            units.searches = report.searchUnits ?? (documents + Self.documentsPerSearch - 1) / Self.documentsPerSearch
            return (units, report.searchUnits != nil)
        default: return (units, false)
        }
    }

    private static let pixelsPerImage: Int64 = 1024 * 1024

    /// Of a size such as `1792x1024`.
    private static func pixels(_ size: String?) -> Int64 {
        let sides = (size ?? "").split(separator: "x").compactMap { Int64($0) }
        guard sides.count == 2, sides.allSatisfy({ (1...65_536).contains($0) }) else { return Self.pixelsPerImage }
        return sides[0] * sides[1]
    }

    private func tokens(_ report: UnitReport) -> TokenUsage {
        var usage = TokenUsage()
        usage.output = report.outputTokens ?? 0
        usage.input = report.inputTokens ?? max(0, (report.totalTokens ?? 0) - usage.output)
        usage.cachedInput = report.cachedInputTokens ?? 0
        usage.imageInput = report.imageInputTokens ?? 0
        usage.audioInput = report.audioInputTokens ?? 0
        // Without details all that is made is what was asked for.
        let made = max(0, usage.output - (report.textOutputTokens ?? 0))
        if self.isImage { usage.imageOutput = report.imageOutputTokens ?? made }
        if self.kind == .speech { usage.audioOutput = report.audioOutputTokens ?? made }
        return usage
    }

    private func estimatedTokens(
        _ units: UnitUsage, _ figures: DeploymentFigures, _ inputTextBytes: Int
    ) -> TokenUsage {
        var usage = TokenUsage(input: figures.inputTokens(bytes: inputTextBytes), output: 0)
        let seconds = units.microseconds / 1_000_000
        switch self.kind {
        case .imageGeneration, .imageEdit, .imageVariation:
            usage.output = units.images * Self.tokensPerImage
            usage.imageOutput = usage.output
        case .speech:
            usage.output = seconds * Self.outputTokensPerSecond
            usage.audioOutput = usage.output
        case .transcription, .translation:
            usage.audioInput = seconds * Self.inputTokensPerSecond
            usage.input += usage.audioInput
            usage.output = seconds * 4
        case .rerank: usage.input += figures.inputTokens(bytes: Int(self.facts.queryBytes)) * self.facts.documents
        default: break
        }
        return usage
    }
}
