import GatewayCore

/// The price of one model at one provider: the cells of the price list as given, and the token rates resolved from
/// them once, so that the cost of a call is a few multiplications.
///
/// How gaps are filled (the rules are those of LiteLLM, docs/prices.md lists them):
/// a missing tier cell is the standard cell, batch is half of it; a missing cell above a threshold is the one below
/// it; missing cache, audio and image input rates are the input rate, a missing long cache write is the cache write,
/// missing reasoning, audio and image output rates are the output rate. A rate given as 0 stays 0.
package struct ModelPrice: Hashable, Sendable {
    /// Name in the catalogue, such as `gpt-4o` or `groq/llama-3.3-70b-versatile`.
    package let name: String
    /// LiteLLM's `litellm_provider`.
    package let provider: String
    package let mode: ModelMode
    /// `nil`: not known.
    package let maxInputTokens: Int64?
    /// `nil`: not known.
    package let maxOutputTokens: Int64?
    /// The given cells, sorted, each cell once.
    package let rates: [Rate]
    /// Version of the catalogue, such as `2026-11-22`, or `config-1a2b3c4d` for overridden values.
    package let version: String

    /// What a call's cost is made of, apart from the rest so that nothing else is copied for it.
    package let tokenPricing: TokenPricing

    /// One call never costs more than this, a million dollars: what a provider that reports absurd counts can do to a
    /// sum stays bounded, so that sums of millions of calls cannot overflow.
    package static let costMax = NanoUSD(rawValue: 1_000_000_000_000_000)

    /// Sorts `rates`; of two with the same cell the later wins.
    package init(
        name: String, provider: String, mode: ModelMode, maxInputTokens: Int64?, maxOutputTokens: Int64?,
        rates: [Rate], version: String
    ) {
        self.name = name
        self.provider = provider
        self.mode = mode
        self.maxInputTokens = maxInputTokens
        self.maxOutputTokens = maxOutputTokens
        self.version = version
        let table = RateTable(rates)
        self.rates = table.rates
        self.tokenPricing = TokenPricing(
            thresholds: table.thresholds,
            resolved: ServiceTier.allCases.flatMap { tier in
                table.thresholds.indices.map { table.tokenRates(tier: tier, level: $0) }
            })
    }

    /// Whether any rate per token is known. `false`: the model is priced in other units only, so that the cost of a
    /// `TokenUsage` is 0 without being free, and the call is to be flagged `unpriced`.
    package var isTokenPriced: Bool { self.rates.contains { $0.kind.isPerToken } }

    /// What `usage` costs at the tier that the provider says it used. The whole request is charged at the rates of the
    /// highest threshold that its input tokens (cached ones included) exceed, not only the excess.
    /// Never traps; 0...`costMax`. About 15 ns.
    package func cost(of usage: TokenUsage, tier: ServiceTier) -> NanoUSD {
        self.tokenPricing.cost(of: usage, tier: tier)
    }

    /// What searches of the web cost beside the tokens, by the searches that an answer reports. 0...`costMax`.
    package func searchCost(searches: Int64) -> NanoUSD {
        guard searches > 0 else { return .zero }
        // Counts are cut where no answer comes near, so that no product overflows.
        let perSearch = Int128(self.picodollars(.perWebSearch) ?? 0) * Int128(min(searches, 1 << 20))
        let sum = perSearch + Int128(self.picodollars(.perSearchedRequest) ?? 0)
        return NanoUSD(rawValue: min(Int64(clamping: (sum + 500) / 1000), Self.costMax.rawValue))
    }

    /// Models that search the web for each answer, and do not say so in it (OpenAI's "search" models of chat).
    package var searchesAlways: Bool { self.name.contains("-search-preview") || self.name.contains("-search-api") }

    /// The rates for a request of `inputTokens`.
    package func tokenRates(tier: ServiceTier, inputTokens: Int64) -> TokenRates {
        self.tokenPricing.rates(tier: tier, inputTokens: inputTokens)
    }

    /// A given rate per unit, for calls that are not metered in tokens: picodollars. `nil`: not in the price list.
    package func picodollars(_ kind: RateKind) -> Int64? {
        self.rates.first { $0.kind == kind && $0.tier == .standard && $0.aboveInputTokens == 0 }?.picodollars
    }
}

/// The rates of a model per token, by service tier and by size of the request.
package struct TokenPricing: Hashable, Sendable {
    /// Ascending; the first is 0.
    let thresholds: [Int64]
    /// By tier, then by threshold.
    let resolved: [TokenRates]

    /// As `ModelPrice.cost(of:tier:)`.
    package func cost(of usage: TokenUsage, tier: ServiceTier) -> NanoUSD {
        // In place: a copy of the rates would cost as much as the arithmetic.
        self.resolved[self.index(tier: tier, inputTokens: usage.input)].cost(of: usage)
    }

    /// No usage within these bounds costs more, at whatever tier, threshold and kind of token. For budgets that are
    /// never to be passed.
    package func costMax(inputTokens: Int64, outputTokens: Int64) -> NanoUSD {
        var dearest = TokenRates()
        for (index, rates) in self.resolved.enumerated() {
            let level = index % self.thresholds.count
            guard level == 0 || self.thresholds[level] < inputTokens else { continue }
            dearest.input = max(
                dearest.input, rates.input, rates.cacheRead, rates.cacheWrite, rates.cacheWriteLong, rates.audioInput,
                rates.imageInput)
            dearest.output = max(
                dearest.output, rates.output, rates.reasoningOutput, rates.audioOutput, rates.imageOutput)
        }
        return dearest.cost(of: TokenUsage(input: inputTokens, output: outputTokens))
    }

    func rates(tier: ServiceTier, inputTokens: Int64) -> TokenRates {
        self.resolved[self.index(tier: tier, inputTokens: inputTokens)]
    }

    private func index(tier: ServiceTier, inputTokens: Int64) -> Int {
        var level = self.thresholds.count &- 1
        while level > 0 && inputTokens <= self.thresholds[level] { level &-= 1 }
        return Int(tier.rawValue) &* self.thresholds.count &+ level
    }
}
