import GatewayCore
import GatewayWire

extension TokenUsage {
    /// Brings what a provider reported into our convention: input includes cached tokens, output includes reasoning.
    ///
    /// Details are cut so that together they never exceed their total. A count that is absent is 0; an absent input or
    /// output is what `total_tokens` leaves for it, which is how embedding providers that report only a total are
    /// booked.
    package init(reported: ReportedUsage, provider: Provider) {
        self.init(reported: reported, convention: provider.usageConvention)
    }

    /// As above, for a provider that counts by `convention`.
    package init(reported: ReportedUsage, convention: Provider.UsageConvention) {
        self.init()
        let reasoning = Self.clamped(reported.reasoningTokens)
        var output = Self.clamped(reported.completionTokens)
        if convention == .reasoningOutsideCompletion && reported.completionTokens >= 0 {
            output = min(output + reasoning, Self.countMax)
        }
        var input = Self.clamped(reported.promptTokens)
        if reported.promptTokens < 0 {
            input = max(0, Self.clamped(reported.totalTokens) - output)
        } else if reported.completionTokens < 0 {
            output = max(0, Self.clamped(reported.totalTokens) - input)
        }
        self.input = input
        self.cachedInput = Self.take(Self.cachedTokens(reported), from: &input)
        self.cacheWriteInput = Self.take(reported.cacheWriteTokens, from: &input)
        self.audioInput = Self.take(reported.promptAudioTokens, from: &input)
        self.imageInput = Self.take(reported.promptImageTokens, from: &input)
        self.output = output
        self.reasoningOutput = Self.take(reasoning, from: &output)
        self.audioOutput = Self.take(reported.completionAudioTokens, from: &output)
        self.imageOutput = Self.take(reported.completionImageTokens, from: &output)
    }

    /// No provider counts further, and sums of such counts cannot overflow.
    private static let countMax: Int64 = 1 << 53

    private static func clamped(_ count: Int64) -> Int64 { min(max(0, count), self.countMax) }

    /// Takes at most `count` out of `remaining`.
    private static func take(_ count: Int64, from remaining: inout Int64) -> Int64 {
        let taken = min(self.clamped(count), remaining)
        remaining -= taken
        return taken
    }

    /// OpenAI's field, else DeepSeek's, else Mistral's.
    private static func cachedTokens(_ reported: ReportedUsage) -> Int64 {
        if reported.cachedTokens >= 0 { return reported.cachedTokens }
        return reported.promptCacheHitTokens >= 0 ? reported.promptCacheHitTokens : reported.numCachedTokens
    }
}

extension Provider {
    /// What the provider says the call cost, which is to be booked instead of our price. `nil`: it did not say, says
    /// something that no call costs, or is not a provider whose figure is its bill.
    package func reportedCost(_ reported: ReportedUsage) -> NanoUSD? {
        switch self.costReport {
        case .none: return nil
        case .dollars:
            guard let dollars = reported.cost, dollars >= 0, dollars <= Self.reportedDollarsMax else { return nil }
            return NanoUSD(dollars: dollars)
        case .ticks:
            let ticks = reported.costInUSDTicks
            guard ticks >= 0, ticks <= Self.reportedTicksMax else { return nil }
            // Ten ticks are a nano-dollar; half up.
            return NanoUSD(rawValue: (ticks + 5) / 10)
        }
    }

    /// A million dollars a call, as `ModelPrice.costMax`.
    private static let reportedDollarsMax = 1_000_000.0
    private static let reportedTicksMax: Int64 = 10_000_000_000_000_000
}
