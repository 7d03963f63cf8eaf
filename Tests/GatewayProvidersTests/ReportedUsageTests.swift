import GatewayCore
import GatewayProviders
import GatewayWire
import Testing

@Suite("Reported usage")
struct ReportedUsageTests {
    private func provider(_ name: String) throws -> Provider { try #require(Provider.named(name)) }

    private func reported(_ change: (inout ReportedUsage) -> Void) -> ReportedUsage {
        var reported = ReportedUsage()
        change(&reported)
        return reported
    }

    @Test("of OpenAI is taken as it is")
    func openAI() throws {
        let reported = self.reported {
            ($0.promptTokens, $0.completionTokens, $0.totalTokens) = (100, 50, 150)
            ($0.cachedTokens, $0.cacheWriteTokens, $0.promptAudioTokens, $0.promptImageTokens) = (40, 10, 5, 6)
            ($0.reasoningTokens, $0.completionAudioTokens, $0.completionImageTokens) = (20, 3, 4)
        }
        let usage = TokenUsage(reported: reported, provider: try self.provider("openai"))
        var expected = TokenUsage(input: 100, output: 50)
        (expected.cachedInput, expected.cacheWriteInput, expected.audioInput, expected.imageInput) = (40, 10, 5, 6)
        (expected.reasoningOutput, expected.audioOutput, expected.imageOutput) = (20, 3, 4)
        #expect(usage == expected)
    }

    @Test("of xAI gets its reasoning added to the output")
    func xAI() throws {
        let reported = self.reported {
            ($0.promptTokens, $0.completionTokens, $0.totalTokens, $0.reasoningTokens) = (32, 9, 241, 200)
        }
        let usage = TokenUsage(reported: reported, provider: try self.provider("xai"))
        #expect(usage.output == 209)
        #expect(usage.reasoningOutput == 200)
        #expect(usage.total == 241)
    }

    @Test("of DeepSeek and Mistral has its cached tokens found")
    func cached() throws {
        let deepSeek = self.reported { ($0.promptTokens, $0.promptCacheHitTokens) = (10, 4) }
        #expect(TokenUsage(reported: deepSeek, provider: try self.provider("deepseek")).cachedInput == 4)
        let mistral = self.reported { ($0.promptTokens, $0.numCachedTokens) = (10, 3) }
        #expect(TokenUsage(reported: mistral, provider: try self.provider("mistral")).cachedInput == 3)
        let both = self.reported { ($0.promptTokens, $0.promptCacheHitTokens, $0.cachedTokens) = (10, 4, 0) }
        #expect(TokenUsage(reported: both, provider: try self.provider("deepseek")).cachedInput == 0)
    }

    @Test("with only a total is input, or what the total leaves")
    func totals() throws {
        let voyage = try self.provider("voyage")
        #expect(
            TokenUsage(reported: self.reported { $0.totalTokens = 7 }, provider: voyage) == .init(input: 7, output: 0))
        let openAI = try self.provider("openai")
        let noOutput = self.reported { ($0.promptTokens, $0.totalTokens) = (7, 9) }
        #expect(TokenUsage(reported: noOutput, provider: openAI) == .init(input: 7, output: 2))
        let noInput = self.reported { ($0.completionTokens, $0.totalTokens) = (7, 9) }
        #expect(TokenUsage(reported: noInput, provider: openAI) == .init(input: 2, output: 7))
        #expect(TokenUsage(reported: ReportedUsage(), provider: openAI) == TokenUsage())
    }

    @Test("never has details above their totals, nor overflows", arguments: [1, 2, 3] as [UInt64])
    func bounded(seed: UInt64) {
        var state = seed
        func next() -> Int64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            let special: [Int64] = [-1, 0, 1, 100, 1 << 53, .max, .min]
            return state >> 63 == 0 ? special[Int(state >> 32) % special.count] : Int64(state >> 56)
        }
        for _ in 0..<1_000 {
            let reported = self.reported {
                ($0.promptTokens, $0.completionTokens, $0.totalTokens) = (next(), next(), next())
                ($0.cachedTokens, $0.cacheWriteTokens) = (next(), next())
                ($0.promptAudioTokens, $0.promptImageTokens) = (next(), next())
                ($0.reasoningTokens, $0.completionAudioTokens, $0.completionImageTokens) = (next(), next(), next())
                ($0.promptCacheHitTokens, $0.numCachedTokens) = (next(), next())
            }
            for convention in [Provider.UsageConvention.inclusive, .reasoningOutsideCompletion] {
                let usage = TokenUsage(reported: reported, convention: convention)
                let parts = [usage.cachedInput, usage.cacheWriteInput, usage.audioInput, usage.imageInput]
                let outputs = [usage.reasoningOutput, usage.audioOutput, usage.imageOutput]
                let isBounded =
                    (parts + outputs).allSatisfy { $0 >= 0 } && parts.reduce(0, +) <= usage.input
                    && outputs.reduce(0, +) <= usage.output && usage.total <= 1 << 54
                #expect(isBounded, "seed \(seed): \(reported) became \(usage)")
            }
        }
    }

    @Test("with a cost is believed only from providers whose figure is their bill")
    func cost() throws {
        let dollars = self.reported { $0.cost = 0.00001234567 }
        #expect(try self.provider("openrouter").reportedCost(dollars) == NanoUSD(rawValue: 12_346))
        #expect(try self.provider("perplexity").reportedCost(dollars) == NanoUSD(rawValue: 12_346))
        #expect(try self.provider("openai").reportedCost(dollars) == nil)
        #expect(try self.provider("xai").reportedCost(dollars) == nil)
        let ticks = self.reported { $0.costInUSDTicks = 37_756_505 }
        #expect(try self.provider("xai").reportedCost(ticks) == NanoUSD(rawValue: 3_775_651))
        #expect(try self.provider("xai").reportedCost(ReportedUsage()) == nil)
    }

    @Test("with a cost that no call has is not believed", arguments: [-1, .nan, .infinity, 1e7, -0.0001] as [Double])
    func absurdCost(dollars: Double) throws {
        #expect(try self.provider("openrouter").reportedCost(self.reported { $0.cost = dollars }) == nil)
        #expect(try self.provider("xai").reportedCost(self.reported { $0.costInUSDTicks = .max }) == nil)
    }
}
