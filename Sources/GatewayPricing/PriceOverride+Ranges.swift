import GatewayCore

extension PriceOverride {
    /// Ranges of one model; LiteLLM's largest list has about a dozen.
    private static let rangesMax = 64

    /// One range of `tiered_pricing`: the rates for requests with more input tokens than `start`.
    private struct Level {
        var start: Int64
        var end: Int64
        var rates: [Rate]
    }

    /// LiteLLM's `tiered_pricing`: `[{range: [0, 256000], input_cost_per_token: ...}, ...]`, each range from where the
    /// one before ends. A request has the rates of the range that its input tokens fall into; above the last range the
    /// last holds. A range that lacks a rate which another has gets what stands in for it within the range, never the
    /// rate of a cheaper range.
    static func ranges(_ value: PriceValue) throws(PriceOverrideError) -> [Rate] {
        guard case .list(let items) = value, !items.isEmpty, items.count <= self.rangesMax else {
            throw PriceOverrideError(key: "tiered_pricing", reason: "not a list of 1 to \(self.rangesMax) ranges")
        }
        var levels: [Level] = []
        for (index, item) in items.enumerated() {
            let level = try self.level(item, path: "tiered_pricing[\(index)]")
            guard level.start == levels.last?.end ?? 0 else {
                throw PriceOverrideError(
                    key: "tiered_pricing[\(index)].range",
                    reason: "starts at \(level.start) instead of \(levels.last?.end ?? 0), where it has to")
            }
            levels.append(level)
        }
        let used = Set(levels.flatMap(\.rates).map(\.kind))
        return levels.flatMap { level in
            level.rates + used.compactMap { self.standIn(for: $0, in: level) }
        }
    }

    private static func level(_ item: PriceValue, path: String) throws(PriceOverrideError) -> Level {
        guard case .mapping(let entries) = item, let range = entries.first(where: { $0.key == "range" })?.value else {
            throw PriceOverrideError(key: path, reason: "lacks range: [from, to] in tokens")
        }
        guard case .list(let bounds) = range, bounds.count == 2, case .text(let from) = bounds[0],
            case .text(let to) = bounds[1], let start = self.tokenCount(from), let end = self.tokenCount(to),
            start < end
        else { throw PriceOverrideError(key: path + ".range", reason: "not [from, to] in tokens, from below to") }
        var rates: [Rate] = []
        for (key, value) in entries where key != "range" {
            let rate = try self.rate(key: key, value: value, path: "\(path).\(key)")
            guard rate.kind.isPerToken, rate.aboveInputTokens == 0 else {
                throw PriceOverrideError(key: "\(path).\(key)", reason: "only plain rates per token have ranges")
            }
            rates.append(
                Rate(kind: rate.kind, tier: rate.tier, aboveInputTokens: start, picodollars: rate.picodollars))
        }
        return Level(start: start, end: end, rates: rates)
    }

    /// `nil`: the level has the rate itself, or nothing that stands in for it. Only the standard tier is filled: the
    /// others fall back to it at the same threshold.
    private static func standIn(for wanted: RateKind, in level: Level) -> Rate? {
        func given(_ kind: RateKind) -> Int64? {
            level.rates.first { $0.kind == kind && $0.tier == .standard }?.picodollars
        }
        guard given(wanted) == nil else { return nil }
        var kind = wanted
        while let substitute = kind.standIn {
            kind = substitute
            if let value = given(kind) {
                return Rate(
                    kind: wanted, tier: .standard, aboveInputTokens: level.start, picodollars: value)
            }
        }
        return nil
    }
}

extension RateKind {
    /// What is charged when the rate itself is not in the list. `nil`: nothing.
    var standIn: RateKind? {
        switch self {
        case .cacheRead, .cacheWrite, .audioInput, .imageInput: .input
        case .cacheWriteLong: .cacheWrite
        case .reasoningOutput, .audioOutput, .imageOutput: .output
        default: nil
        }
    }
}
