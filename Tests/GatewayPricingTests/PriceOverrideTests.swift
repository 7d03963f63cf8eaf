import Foundation
import GatewayCore
import GatewayPricing
import TestSupport
import Testing

@Suite("A configured price", .ownThread)
struct PriceOverrideTests {
    private func override(_ entries: (String, String)...) throws -> PriceOverride {
        try PriceOverride(entries: entries.map { (key: $0.0, value: .text($0.1)) })
    }

    private let unknown = ModelPrice.unknown(name: "m", provider: "hosted_vllm")

    @Test("alone makes a price of its own")
    func alone() throws {
        let price = self.unknown.overridden(
            by: try self.override(
                ("input_cost_per_token", "1.5e-07"), ("output_cost_per_token", "0.000002"),
                ("cache_read_input_token_cost", "5E-8"), ("cache_creation_input_token_cost_above_1hr", "3e-7"),
                ("input_cost_per_token_above_200k_tokens_priority", "4e-07"), ("max_input_tokens", "1e6"),
                ("max_output_tokens", "256000.0"), ("mode", "embedding")))
        #expect(price.catalogueLine.hasPrefix("m\thosted_vllm\tembedding\t1000000\t256000\t"))
        #expect(
            price.rates.map(\.text) == [
                "input=150000", "input>200000@priority=400000", "cache_read=50000", "cache_write_long=300000",
                "output=2000000",
            ])
        #expect(!self.unknown.isTokenPriced)
        #expect(price.isTokenPriced)
    }

    @Test("of the input drops what was derived from the old one")
    func baseRate() throws {
        let free = try shipped("gpt-4o").overridden(by: try self.override(("input_cost_per_token", "0")))
        let usage = usage(1000, 100) { ($0.cachedInput, $0.cacheWriteInput) = (500, 100) }
        for tier in ServiceTier.allCases where tier != .batch && tier != .priority {
            #expect(free.nanos(usage, tier) == 1_000_000)
        }
        #expect(free.rates.filter(\.kind.isInputToken).map(\.text) == ["input=0"])
        #expect(free.maxInputTokens == 128_000)
    }

    @Test("of xAI holds from its threshold on, and takes the place of the catalogue's")
    func inclusiveThreshold() throws {
        let price = try shipped("xai/grok-4.3").overridden(
            by: try self.override(("input_cost_per_token_above_200k_tokens", "9e-6")))
        #expect(price.nanos(usage(199_999, 0)) == 249_998_750)
        #expect(price.nanos(usage(200_000, 0)) == 1_800_000_000)
        #expect(price.rates.filter { $0.kind == .input && $0.tier == .standard }.count == 2)
        let other = self.unknown.overridden(
            by: try self.override(
                ("input_cost_per_token", "1e-6"), ("input_cost_per_token_above_200k_tokens", "2e-6")))
        #expect(other.nanos(usage(200_000, 0)) == 200_000_000)
        #expect(other.nanos(usage(200_001, 0)) == 400_002_000)
    }

    @Test("of one kind leaves the others, and of one cell leaves the rest")
    func otherRates() throws {
        let base = try price("input=10", "input>100=20", "cache_read=1", "cache_read>100=2", "output=30")
        let cached = base.overridden(by: try self.override(("cache_read_input_token_cost", "5e-12")))
        #expect(cached.rates.map(\.text) == ["input=10", "input>100=20", "cache_read=5", "output=30"])
        let batch = base.overridden(by: try self.override(("output_cost_per_token_batches", "7e-12")))
        #expect(batch.rates.count == base.rates.count + 1)
        #expect(batch.nanos(usage(0, 1_000), .batch) == 7)
        #expect(batch.nanos(usage(0, 1_000)) == 30)
    }

    @Test("has a version that follows the values and nothing else")
    func version() throws {
        let base = try price("input=10", "output=30")
        #expect(base.version == "test")
        let once = base.overridden(by: try self.override(("input_cost_per_token", "1e-6")))
        let again = base.overridden(by: try self.override(("input_cost_per_token", "0.000001")))
        let other = base.overridden(by: try self.override(("input_cost_per_token", "2e-6")))
        #expect(once.version == again.version)
        #expect(once.version != other.version)
        #expect(once.version.wholeMatch(of: /config-[0-9a-f]{8}/) != nil)
        #expect(base.overridden(by: try self.override(("max_input_tokens", "5"))).version == "test")
    }

    @Test(
        "that cannot be used is refused with its key",
        arguments: [
            ("input_cost_per_token", "-1e-6", "negative"), ("output_cost_per_token", "NaN", "not a decimal"),
            ("output_cost_per_token", "nan", "not a decimal"), ("output_cost_per_token", "inf", "not a decimal"),
            ("output_cost_per_token", "", "not a decimal"), ("output_cost_per_token", ".", "not a decimal"),
            ("output_cost_per_token", "1e", "not a decimal"), ("output_cost_per_token", "1e-", "not a decimal"),
            ("output_cost_per_token", "1 e-6", "not a decimal"), ("output_cost_per_token", "1,5", "not a decimal"),
            ("output_cost_per_token", "1.2.3", "not a decimal"), ("output_cost_per_token", "0x1", "not a decimal"),
            ("output_cost_per_token", "1_000", "not a decimal"), ("output_cost_per_token", "--1", "not a decimal"),
            ("output_cost_per_token", "1001", "more than 1000"), ("output_cost_per_token", "1e300", "more than 1000"),
            ("output_cost_per_token", "1e99999999999999999999", "more than 1000"),
            ("output_cost_per_token", "1e-13", "less than a picodollar"),
            ("input_cost_per_token_ultrafast", "1e-6", "not supported"),
            ("input_cost_per_token_above_200_tokens", "1e-6", "not supported"),
            ("input_cost_per_token_above_k_tokens", "1e-6", "not supported"),
            ("off_peak_pricing", "1", "not supported"), ("output_cost_per_image_batches", "1", "not supported"),
            ("tiered_pricing", "1", "not a list"), ("max_input_tokens", "-3", "not a whole number"),
        ])
    func refused(key: String, text: String, reason: String) {
        #expect(PriceOverride.isPriceKey(key))
        let error = #expect(throws: PriceOverrideError.self) {
            try PriceOverride(entries: [(key: key, value: .text(text))])
        }
        #expect(error?.key == key)
        #expect(error?.message.contains(reason) == true, "\(error?.message ?? "none")")
    }

    @Test("is found among other keys", arguments: ["model", "api_base", "rpm", "max_tokens", "cost", "input_type"])
    func otherKeys(key: String) { #expect(!PriceOverride.isPriceKey(key)) }

    @Test("is read exactly", arguments: [5, 6] as [UInt64])
    func exactness(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        for _ in 0..<2_000 {
            let picodollars =
                Int64.random(in: 1...Rate.picodollarsMax, using: &random) >> Int64.random(in: 0...49, using: &random)
            guard picodollars > 0 else { continue }
            let exponent = Int.random(in: -20...20, using: &random)
            let dollars = Decimal(sign: .plus, exponent: -12, significand: Decimal(picodollars))
            let scaled = Decimal(sign: .plus, exponent: -12 - exponent, significand: Decimal(picodollars))
            for text in ["\(dollars)", "\(scaled)e\(exponent)", "+\(scaled)E\(exponent)", "00\(dollars)"] {
                let rates = try self.override(("input_cost_per_token", text)).rates
                #expect(rates.first?.picodollars == picodollars, "seed \(seed): \(text)")
            }
        }
    }

    @Test("with floating point noise is read as meant")
    func noise() throws {
        let noisy = [
            ("1.0000000000000001e-07", 100_000), ("1.8000000000000001e-06", 1_800_000), ("0.0000011428571", 1_142_857),
        ]
        for (text, expected) in noisy {
            #expect(try self.override(("input_cost_per_token", text)).rates.first?.picodollars == Int64(expected))
        }
    }
}

@Suite("Tiered prices in the configuration", .ownThread)
struct TieredPriceTests {
    private func range(_ from: String, _ to: String, _ rates: (String, String)...) -> PriceValue {
        .mapping(
            [(key: "range", value: .list([.text(from), .text(to)]))] + rates.map { (key: $0.0, value: .text($0.1)) })
    }

    @Test("replace every inherited rate per token")
    func replaced() throws {
        let base = try price("input=1", "input@batch=1", "input>5=9", "cache_read=1", "output=1", "per_query=3")
        let tiers = try PriceOverride(entries: [
            (
                key: "tiered_pricing",
                value: .list([
                    self.range("0", "32000.0", ("input_cost_per_token", "3e-07"), ("output_cost_per_token", "1e-06")),
                    self.range("32000", "1e6", ("input_cost_per_token", "5e-07"), ("output_cost_per_token", "2e-06")),
                ])
            )
        ])
        let price = base.overridden(by: tiers)
        #expect(
            price.rates.map(\.text) == [
                "input=300000", "input>32000=500000", "output=1000000", "output>32000=2000000", "per_query=3",
            ])
        #expect(price.nanos(usage(32_000, 0)) == 9_600_000)
        #expect(price.nanos(usage(32_001, 0)) == 16_000_500)
        #expect(price.nanos(usage(2_000_000, 1)) == 1_000_002_000)
    }

    @Test("do not lend a cheaper range's cache rate to a dearer range")
    func standIn() throws {
        let tiers = try PriceOverride(entries: [
            (
                key: "tiered_pricing",
                value: .list([
                    self.range("0", "10", ("input_cost_per_token", "3e-07"), ("cache_read_input_token_cost", "1e-08")),
                    self.range("10", "20", ("input_cost_per_token", "5e-07")),
                ])
            )
        ])
        let price = ModelPrice.unknown(name: "m", provider: "p").overridden(by: tiers)
        #expect(price.nanos(usage(10, 0) { $0.cachedInput = 10 }) == 100)
        #expect(price.nanos(usage(20, 0) { $0.cachedInput = 20 }) == 10_000)
    }

    @Test("that are malformed are refused with their place")
    func refused() {
        let rate = ("input_cost_per_token", "1e-6")
        let cases: [(PriceValue, String)] = [
            (.list([]), "tiered_pricing"), (.mapping([]), "tiered_pricing"),
            (.list(Array(repeating: self.range("0", "1"), count: 65)), "tiered_pricing"),
            (.list([.text("x")]), "tiered_pricing[0]"),
            (.list([.mapping([(key: "input_cost_per_token", value: .text("1"))])]), "tiered_pricing[0]"),
            (.list([self.range("5", "10", rate)]), "tiered_pricing[0].range"),
            (.list([self.range("0", "0", rate)]), "tiered_pricing[0].range"),
            (.list([self.range("0", "x", rate)]), "tiered_pricing[0].range"),
            (.list([self.range("0", "5", rate), self.range("6", "9", rate)]), "tiered_pricing[1].range"),
            (.list([self.range("0", "5", ("nonsense", "1"))]), "tiered_pricing[0].nonsense"),
            (.list([self.range("0", "5", ("input_cost_per_query", "1"))]), "tiered_pricing[0].input_cost_per_query"),
            (
                .list([self.range("0", "5", ("input_cost_per_token_above_1k_tokens", "1"))]),
                "tiered_pricing[0].input_cost_per_token_above_1k_tokens"
            ),
        ]
        for (value, key) in cases {
            let error = #expect(throws: PriceOverrideError.self) {
                try PriceOverride(entries: [(key: "tiered_pricing", value: value)])
            }
            #expect(error?.key == key)
        }
    }
}
