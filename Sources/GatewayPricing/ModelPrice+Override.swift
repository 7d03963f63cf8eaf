import GatewayCore

extension ModelPrice {
    /// A price without any rate, to be overridden where the catalogue does not know the model.
    package static func unknown(name: String, provider: String) -> ModelPrice {
        ModelPrice(
            name: name, provider: provider, mode: .other, maxInputTokens: nil, maxOutputTokens: nil, rates: [],
            version: "none")
    }

    /// This price with what the configuration sets for it.
    ///
    /// A rate that is set takes with it what was derived from the old one: a new input rate drops the inherited cache,
    /// audio and image input rates and all their tiers and thresholds, so that a model whose input is set to 0 is free
    /// and no cache read is charged at a foreign price; the output rate likewise; any other rate drops its own tiers
    /// and thresholds. `tiered_pricing` drops every inherited rate per token. A key with a tier or threshold in its
    /// name changes that cell alone.
    ///
    /// xAI charges from a threshold on, all others above it; so under its keys `_above_200k_tokens` means more than
    /// 199,999, as in the catalogue. The ranges of `tiered_pricing` say themselves where they begin.
    ///
    /// `version` is `config-` and eight hexadecimal digits that depend on all resulting rates; without any rate in
    /// `override` it stays what it was.
    package func overridden(by override: PriceOverride) -> ModelPrice {
        let isInclusive = self.provider == Self.inclusiveThresholdProvider && !override.replacesTokenRates
        let overriding = isInclusive ? override.rates.map(\.includingItsThreshold) : override.rates
        let inherited = self.rates.filter { old in
            if override.replacesTokenRates && old.kind.isPerToken { return false }
            return !overriding.contains { $0.supersedes(old) }
        }
        func price(rates: [Rate], version: String) -> ModelPrice {
            ModelPrice(
                name: self.name, provider: self.provider, mode: override.mode ?? self.mode,
                maxInputTokens: override.maxInputTokens ?? self.maxInputTokens,
                maxOutputTokens: override.maxOutputTokens ?? self.maxOutputTokens, rates: rates, version: version)
        }
        if overriding.isEmpty { return price(rates: self.rates, version: self.version) }
        let changed = price(rates: inherited + overriding, version: self.version)
        return price(rates: changed.rates, version: "config-" + Self.digest(of: changed.rates))
    }

    /// The same stands in scripts/make-price-catalogue.
    private static let inclusiveThresholdProvider = "xai"

    /// FNV-1a over the rates as text, folded to 32 bits. Names a version; protects nothing.
    private static func digest(of rates: [Rate]) -> String {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for rate in rates {
            for byte in (rate.text + "\n").utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        }
        let folded = UInt32(truncatingIfNeeded: hash ^ hash >> 32)
        return String(decoding: (0..<8).map { hexDigit(UInt8(folded >> (28 - 4 * $0) & 15)) }, as: UTF8.self)
    }
}

extension Rate {
    /// This rate for requests with as many input tokens as its threshold, too.
    fileprivate var includingItsThreshold: Rate {
        Rate(
            kind: self.kind, tier: self.tier, aboveInputTokens: max(0, self.aboveInputTokens - 1),
            picodollars: self.picodollars)
    }

    /// Whether setting this rate makes `old`, an inherited one, void.
    fileprivate func supersedes(_ old: Rate) -> Bool {
        if self.isSameCell(as: old) { return true }
        guard self.tier == .standard, self.aboveInputTokens == 0 else { return false }
        switch self.kind {
        case .input: return old.kind.isInputToken
        case .output: return old.kind.isPerToken && !old.kind.isInputToken
        default: return old.kind == self.kind
        }
    }
}
