import GatewayCore

/// What a rate is counted in. The first ten are per token and make up the cost of a `TokenUsage`; the others are kept
/// for calls that are not metered in tokens.
package enum RateKind: UInt8, Hashable, Sendable, CaseIterable {
    case input = 0
    case cacheRead, cacheWrite, cacheWriteLong, audioInput, imageInput
    case output, reasoningOutput, audioOutput, imageOutput
    case perInputImage, perOutputImage, perInputSecond, perOutputSecond, perInputCharacter, perOutputCharacter
    case perInputPixel, perOutputPixel, perQuery, perRequest, perPage
    /// Beside the tokens: each search of the web, or each request in which there was one.
    case perWebSearch, perSearchedRequest

    /// In the catalogue's text.
    package var name: String {
        switch self {
        case .input: "input"
        case .cacheRead: "cache_read"
        case .cacheWrite: "cache_write"
        case .cacheWriteLong: "cache_write_long"
        case .audioInput: "audio_input"
        case .imageInput: "image_input"
        case .output: "output"
        case .reasoningOutput: "reasoning"
        case .audioOutput: "audio_output"
        case .imageOutput: "image_output"
        case .perInputImage: "per_input_image"
        case .perOutputImage: "per_output_image"
        case .perInputSecond: "per_input_second"
        case .perOutputSecond: "per_output_second"
        case .perInputCharacter: "per_input_character"
        case .perOutputCharacter: "per_output_character"
        case .perInputPixel: "per_input_pixel"
        case .perOutputPixel: "per_output_pixel"
        case .perQuery: "per_query"
        case .perRequest: "per_request"
        case .perPage: "per_page"
        case .perWebSearch: "per_web_search"
        case .perSearchedRequest: "per_searched_request"
        }
    }

    package var isPerToken: Bool { self.rawValue <= RateKind.imageOutput.rawValue }
    /// Per token and on the input side, so that it falls back to the input rate.
    package var isInputToken: Bool { self.rawValue <= RateKind.imageInput.rawValue }

    private static let byName = Dictionary(uniqueKeysWithValues: Self.allCases.map { ($0.name, $0) })

    /// `nil`: no kind has this name.
    package init?(name: String) {
        guard let kind = RateKind.byName[name] else { return nil }
        self = kind
    }
}

/// One cell of a price list, as given: nothing is derived here.
package struct Rate: Hashable, Sendable {
    package let kind: RateKind
    package let tier: ServiceTier
    /// Holds for requests with more input tokens than this; 0: from the first token on.
    package let aboveInputTokens: Int64
    /// 1 USD = 1_000_000_000_000 picodollars. 0...`picodollarsMax`, per token or other unit.
    package let picodollars: Int64

    /// A thousand dollars a unit: far above any price, and low enough that no product overflows 128 bits.
    package static let picodollarsMax: Int64 = 1_000_000_000_000_000

    /// - Precondition: `picodollars` within 0...`picodollarsMax`, `aboveInputTokens` not negative.
    package init(kind: RateKind, tier: ServiceTier, aboveInputTokens: Int64, picodollars: Int64) {
        precondition((0...Rate.picodollarsMax).contains(picodollars), "rate out of range: \(picodollars)")
        precondition(aboveInputTokens >= 0, "negative threshold: \(aboveInputTokens)")
        self.kind = kind
        self.tier = tier
        self.aboveInputTokens = aboveInputTokens
        self.picodollars = picodollars
    }

    /// Whether both are the same cell, whatever their values.
    package func isSameCell(as other: Rate) -> Bool { self.place == other.place }

    /// Whether this cell comes before the other in the catalogue's text.
    func precedes(_ other: Rate) -> Bool { self.place < other.place }

    private var place: (UInt8, Int64, UInt8) { (self.kind.rawValue, self.aboveInputTokens, self.tier.rawValue) }

    /// As in the catalogue, such as `input>200000@batch=1250000`.
    package var text: String {
        var text = self.kind.name
        if self.aboveInputTokens > 0 { text += ">\(self.aboveInputTokens)" }
        if self.tier != .standard { text += "@\(self.tier.name)" }
        return text + "=\(self.picodollars)"
    }
}

extension ServiceTier {
    /// In the catalogue's text.
    package var name: String {
        switch self {
        case .standard: "standard"
        case .flex: "flex"
        case .priority: "priority"
        case .batch: "batch"
        }
    }
}
