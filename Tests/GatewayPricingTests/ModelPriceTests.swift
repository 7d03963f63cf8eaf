import GatewayCore
import GatewayPricing
import TestSupport
import Testing

@Suite("A model's price", .ownThread)
struct ModelPriceTests {
    @Test("charges gpt-4o with a partly cached prompt 0.00375 USD")
    func workedCheckOpenAI() throws {
        let usage = usage(1000, 200) { $0.cachedInput = 600 }
        #expect(try shipped("gpt-4o").nanos(usage) == 3_750_000)
    }

    @Test("charges claude-sonnet-4-5 with both cache writes 0.00888 USD")
    func workedCheckAnthropic() throws {
        let usage = usage(10 + 1000 + 500 + 2000, 100) {
            $0.cacheWriteInput = 1000
            $0.cacheWriteLongInput = 500
            $0.cachedInput = 2000
        }
        #expect(try shipped("claude-sonnet-4-5").nanos(usage) == 8_880_000)
    }

    @Test("charges gemini-2.5-pro the high tier above 200,000 tokens and the low one at exactly 200,000")
    func workedCheckGemini() throws {
        let price = try shipped("gemini/gemini-2.5-pro")
        #expect(price.nanos(usage(250_000, 1500) { $0.reasoningOutput = 500 }) == 647_500_000)
        #expect(price.nanos(usage(200_000, 1500) { $0.reasoningOutput = 500 }) == 265_000_000)
    }

    @Test("moves the whole request to the rate of the threshold it exceeds")
    func wholeRequest() throws {
        let price = try price(
            "input=1000", "input>100=2000", "input>1000=5000", "cache_read=100", "cache_read>100=200", "output=3000",
            "output>100=7000")
        #expect(price.nanos(usage(100, 10)) == 100 + 30)
        #expect(price.nanos(usage(101, 10)) == 202 + 70)
        #expect(price.nanos(usage(1000, 10)) == 2000 + 70)
        #expect(price.nanos(usage(1001, 0)) == 5005)
        // Above 1,000 the list has no cache read, so the one of the next lower threshold holds.
        #expect(price.nanos(usage(2000, 0) { $0.cachedInput = 1000 }) == 5000 + 200)
    }

    @Test("of xAI changes at the threshold itself")
    func inclusiveThreshold() throws {
        let price = try shipped("xai/grok-4.3")
        #expect(price.nanos(usage(199_999, 0)) == 249_998_750)
        #expect(price.nanos(usage(200_000, 0)) == 500_000_000)
    }

    @Test("fills missing rates from the plain ones, and keeps an explicit zero")
    func missingRates() throws {
        let plain = try price("input=1000", "output=4000")
        let details = usage(60, 40) {
            ($0.cachedInput, $0.cacheWriteInput, $0.cacheWriteLongInput) = (10, 10, 10)
            ($0.audioInput, $0.imageInput) = (10, 10)
            ($0.reasoningOutput, $0.audioOutput, $0.imageOutput) = (10, 10, 10)
        }
        #expect(plain.nanos(details) == 60 + 160)
        let zero = try price("input=1000", "cache_read=0", "output=4000", "reasoning=0")
        #expect(zero.nanos(details) == 50 + 120)
        let write = try price("input=1000", "cache_write=1250", "output=4000")
        #expect(write.nanos(usage(30, 0) { ($0.cacheWriteInput, $0.cacheWriteLongInput) = (8, 8) }) == 14 + 20)
    }

    @Test("charges each kind of token its own rate")
    func everyKind() throws {
        let price = try price(
            "input=1000", "cache_read=2000", "cache_write=3000", "cache_write_long=4000", "audio_input=5000",
            "image_input=6000", "output=7000", "reasoning=8000", "audio_output=9000", "image_output=10000")
        let usage = usage(6, 4) {
            ($0.cachedInput, $0.cacheWriteInput, $0.cacheWriteLongInput) = (1, 1, 1)
            ($0.audioInput, $0.imageInput) = (1, 1)
            ($0.reasoningOutput, $0.audioOutput, $0.imageOutput) = (1, 1, 1)
        }
        #expect(price.nanos(usage) == 55)
    }

    @Test("takes the tier's rate, half of the standard one for batch, and else the standard one")
    func tiers() throws {
        let price = try price(
            "input=1000", "input@priority=3000", "cache_read=101", "output=4000", "output@flex=1000",
            "output@batch=1500")
        let usage = usage(20, 10) { $0.cachedInput = 10 }
        #expect(price.nanos(usage, .standard) == 51)  // 10 + 1.01 + 40 = 51.01
        #expect(price.nanos(usage, .flex) == 21)
        #expect(price.nanos(usage, .priority) == 71)
        // 5 + 0.505 + 15: the half of 101 picodollars is not rounded before the end.
        #expect(price.nanos(usage, .batch) == 21)
        #expect(price.nanos(TokenUsage(input: 1000, output: 0), .batch) == 500)
        #expect(price.nanos(self.cached(1000), .batch) == 51)  // 50.5, half up
        #expect(price.nanos(self.cached(999), .batch) == 50)  // 50.4495
    }

    private func cached(_ count: Int64) -> TokenUsage { usage(count, 0) { $0.cachedInput = count } }

    @Test("uses the standard rate above a threshold before the tier's rate below it")
    func tierAndThreshold() throws {
        let price = try price("input=1000", "input@flex=500", "input>100=2000", "input>100@priority=4000")
        #expect(price.nanos(usage(100, 0), .flex) == 50)
        #expect(price.nanos(usage(200, 0), .flex) == 400)
        #expect(price.nanos(usage(200, 0), .priority) == 800)
        #expect(price.nanos(usage(200, 0), .batch) == 200)
    }

    @Test("never bills a token twice when details overlap")
    func overlap() throws {
        let price = try price("input=1000", "cache_read=100", "audio_input=10000", "output=1000", "reasoning=2000")
        // 80 of 100 cached, 50 of 100 audio: 30 of the audio tokens were cached ones.
        #expect(price.nanos(usage(100, 0) { ($0.cachedInput, $0.audioInput) = (80, 50) }) == 8 + 200)
        #expect(price.nanos(usage(100, 0) { $0.cachedInput = 500 }) == 10)
        #expect(price.nanos(usage(0, 10) { ($0.reasoningOutput, $0.audioOutput) = (10, 10) }) == 20)
    }

    @Test("rounds half up, once, at the end")
    func rounding() throws {
        #expect(try price("input=499").nanos(usage(1, 0)) == 0)
        #expect(try price("input=500").nanos(usage(1, 0)) == 1)
        #expect(try price("input=250", "output=250").nanos(usage(1, 1)) == 1)
        #expect(try price("input=1").nanos(usage(1_499, 0)) == 1)
        #expect(try price("input=1").nanos(usage(1_500, 0)) == 2)
    }

    @Test("bounds what absurd counts cost instead of trapping", arguments: ServiceTier.allCases)
    func saturation(tier: ServiceTier) throws {
        let price = try price(
            "input=1000000000000000", "cache_read=1000000000000000", "output=1000000000000000",
            "reasoning=1000000000000000")
        for count in [Int64.max, 1 << 53, 1 << 40] {
            let usage = usage(count, count) { ($0.cachedInput, $0.reasoningOutput) = (count, count / 2) }
            #expect(price.cost(of: usage, tier: tier) == ModelPrice.costMax)
        }
        let cheap = try self.cheap()
        #expect(cheap.cost(of: usage(.max, .max), tier: tier).rawValue > 0)
    }

    private func cheap() throws -> ModelPrice { try price("input=1", "output=1") }

    @Test("takes negative counts as zero")
    func negative() throws {
        let price = try price("input=1000", "cache_read=100", "output=1000")
        #expect(price.nanos(usage(-5, .min) { $0.cachedInput = .min }) == 0)
        #expect(price.nanos(usage(10, 0) { $0.cachedInput = -10 }) == 10)
    }

    @Test("without rates per token says so, and costs nothing")
    func unitRates() throws {
        let price = try price("per_output_image=40000000000")
        #expect(!price.isTokenPriced)
        #expect(price.picodollars(.perOutputImage) == 40_000_000_000)
        #expect(price.picodollars(.perQuery) == nil)
        #expect(price.nanos(usage(1000, 1000)) == 0)
        #expect(try self.free().isTokenPriced)
    }

    private func free() throws -> ModelPrice { try price("input=0", "output=0") }
}
