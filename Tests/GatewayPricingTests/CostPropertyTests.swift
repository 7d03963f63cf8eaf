import Foundation
import GatewayCore
import GatewayPricing
import TestSupport
import Testing

/// `cost(of:tier:)` against rules written a second time, slowly and in decimal arithmetic.
@Suite("The cost of a usage", .ownThread)
struct CostPropertyTests {
    @Test("equals the sum by the book", arguments: [1, 2, 20_261_122] as [UInt64])
    func differential(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        for round in 0..<150 {
            let price = Self.randomPrice(using: &random)
            for _ in 0..<5 {
                let usage = Self.randomUsage(using: &random)
                for tier in ServiceTier.allCases {
                    let expected = ReferenceCost(price.rates).nanos(usage, tier)
                    let found = price.cost(of: usage, tier: tier).rawValue
                    if found == expected { continue }
                    let place = "seed \(seed), round \(round)"
                    Issue.record("\(place): \(found), not \(expected): \(price.rates) \(usage) \(tier)")
                }
            }
        }
    }

    @Test("equals the sum by the book for every shipped model")
    func shippedModels() {
        let seed: UInt64 = 42
        var random = SeededRandom(seed: seed)
        PriceCatalogue.shipped.forEachEntry { line, text, entry in
            guard case .success(let price) = entry else { return }
            let reference = ReferenceCost(price.rates)
            let tier = ServiceTier.allCases[line % 4]
            let usage = Self.randomUsage(using: &random)
            let (found, expected) = (price.cost(of: usage, tier: tier).rawValue, reference.nanos(usage, tier))
            if found == expected { return }
            Issue.record("seed \(seed), line \(line): \(found), not \(expected): \(text) \(usage) \(tier)")
        }
    }

    @Test("is zero for no tokens, never negative, and grows with either count", arguments: [7, 8] as [UInt64])
    func monotone(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        for round in 0..<500 {
            let price = Self.randomPrice(using: &random)
            let tier = ServiceTier.allCases[Int.random(in: 0...3, using: &random)]
            #expect(price.cost(of: TokenUsage(), tier: tier) == .zero, "seed \(seed), round \(round)")
            var usage = Self.randomUsage(using: &random)
            let cost = price.cost(of: usage, tier: tier)
            #expect(cost >= .zero, "seed \(seed), round \(round)")
            usage.output += Int64.random(in: 0...1000, using: &random)
            let longer = price.cost(of: usage, tier: tier)
            #expect(longer >= cost, "seed \(seed), round \(round)")
            // Within one context tier only: a list may well be cheaper above a threshold.
            let rates = price.tokenRates(tier: tier, inputTokens: usage.input)
            usage.input += Int64.random(in: 0...1000, using: &random)
            #expect(rates.cost(of: usage) >= longer, "seed \(seed), round \(round)")
        }
    }

    static func randomPrice(using random: inout SeededRandom) -> ModelPrice {
        var rates: [Rate] = []
        let thresholds: [Int64] = [0, 0, 0, 1_000, 200_000]
        for kind in RateKind.allCases where kind.isPerToken {
            for _ in 0..<Int.random(in: 0...3, using: &random) {
                rates.append(
                    Rate(
                        kind: kind, tier: ServiceTier.allCases[Int.random(in: 0...3, using: &random)],
                        aboveInputTokens: thresholds[Int.random(in: 0...4, using: &random)],
                        picodollars: Self.randomCount(upTo: 40_000_000, using: &random)))
            }
        }
        return ModelPrice(
            name: "m", provider: "p", mode: .chat, maxInputTokens: nil, maxOutputTokens: nil, rates: rates,
            version: "v")
    }

    static func randomUsage(using random: inout SeededRandom) -> TokenUsage {
        let limits: [Int64] = [10, 2_000, 300_000, 1 << 53]
        let most = limits[Int.random(in: 0...3, using: &random)]
        var usage = TokenUsage(
            input: Self.randomCount(upTo: most, using: &random), output: Self.randomCount(upTo: most, using: &random))
        let details: [WritableKeyPath<TokenUsage, Int64>] = [
            \.cachedInput, \.cacheWriteInput, \.cacheWriteLongInput, \.audioInput, \.imageInput, \.reasoningOutput,
            \.audioOutput, \.imageOutput,
        ]
        for detail in details where Bool.random(using: &random) {
            usage[keyPath: detail] = Self.randomCount(upTo: most, using: &random)
        }
        return usage
    }

    /// Often a bound or near it.
    private static func randomCount(upTo most: Int64, using random: inout SeededRandom) -> Int64 {
        switch Int.random(in: 0...5, using: &random) {
        case 0: 0
        case 1: most
        case 2: min(most, 1)
        default: Int64.random(in: 0...most, using: &random)
        }
    }
}

/// The rules of docs/prices.md, as directly as they can be written.
private struct ReferenceCost {
    private var given: [String: Decimal] = [:]
    private var thresholds: Set<Int64> = [0]

    init(_ rates: [Rate]) {
        for rate in rates where rate.kind.isPerToken {
            self.given["\(rate.kind) \(rate.tier) \(rate.aboveInputTokens)"] = Decimal(rate.picodollars)
            self.thresholds.insert(rate.aboveInputTokens)
        }
    }

    func nanos(_ usage: TokenUsage, _ tier: ServiceTier) -> Int64 {
        func rate(_ kind: RateKind, _ fallback: RateKind? = nil, _ last: RateKind? = nil) -> Decimal {
            self.find(kind, tier, usage.input) ?? fallback.flatMap { self.find($0, tier, usage.input) }
                ?? last.flatMap { self.find($0, tier, usage.input) } ?? 0
        }
        let input = Self.shares(
            of: usage.input,
            [usage.cachedInput, usage.cacheWriteInput, usage.cacheWriteLongInput, usage.audioInput, usage.imageInput])
        let output = Self.shares(of: usage.output, [usage.reasoningOutput, usage.audioOutput, usage.imageOutput])
        let picodollars =
            input[0] * rate(.cacheRead, .input) + input[1] * rate(.cacheWrite, .input)
            + input[2] * rate(.cacheWriteLong, .cacheWrite, .input) + input[3] * rate(.audioInput, .input)
            + input[4] * rate(.imageInput, .input) + input[5] * rate(.input)
            + output[0] * rate(.reasoningOutput, .output) + output[1] * rate(.audioOutput, .output)
            + output[2] * rate(.imageOutput, .output) + output[3] * rate(.output)
        var exact = picodollars / 1000
        var rounded = Decimal()
        NSDecimalRound(&rounded, &exact, 0, .plain)
        let most = Decimal(ModelPrice.costMax.rawValue)
        return NSDecimalNumber(decimal: min(rounded, most)).int64Value
    }

    /// The shares of `parts`, each of what is left, then the rest.
    private static func shares(of total: Int64, _ parts: [Int64]) -> [Decimal] {
        var left = total
        var result: [Decimal] = []
        for part in parts {
            result.append(Decimal(min(part, left)))
            left -= min(part, left)
        }
        return result + [Decimal(left)]
    }

    private func find(_ kind: RateKind, _ tier: ServiceTier, _ inputTokens: Int64) -> Decimal? {
        let reached = self.thresholds.filter { $0 == 0 || inputTokens > $0 }
        for threshold in reached.sorted(by: >) {
            if let exact = self.given["\(kind) \(tier) \(threshold)"] { return exact }
            if let standard = self.given["\(kind) \(ServiceTier.standard) \(threshold)"] {
                return tier == .batch ? standard / 2 : standard
            }
        }
        return nil
    }
}
