import GatewayCore
import GatewayWire

/// What a provider reported, in our convention: input includes cached and written tokens, output includes reasoning.
/// `nil`: not reported, which is not zero.
package struct ConversationUsage: Hashable, Sendable {
    package var input: Int64?
    /// Of `input`: read from the cache.
    package var cachedInput: Int64?
    /// Of `input`: written to the cache, all lifetimes.
    package var cacheWriteInput: Int64?
    /// Of `cacheWriteInput`: with the lifetime of an hour or more.
    package var cacheWriteLongInput: Int64?
    /// Of `input`.
    package var audioInput: Int64?
    /// Of `input`.
    package var imageInput: Int64?
    package var output: Int64?
    /// Of `output`.
    package var reasoningOutput: Int64?
    /// Of `output`.
    package var audioOutput: Int64?
    /// Of `output`.
    package var imageOutput: Int64?
    /// Of `output`: predicted tokens that were used, and that were not.
    package var acceptedPrediction: Int64?
    package var rejectedPrediction: Int64?
    package var webSearchRequests: Int64?
    /// What Cohere bills, where that is less than what the model read and wrote. `nil`: the counts above.
    package var billedInput: Int64?
    package var billedOutput: Int64?
    /// `cost` in USD, as OpenRouter and Perplexity report it. `nil`: not reported.
    package var cost: Double?
    /// xAI's `cost_in_usd_ticks`: 10^-10 USD. `nil`: not reported.
    package var costInUSDTicks: Int64?
    /// The tier that the provider says it used. `nil`: it did not say, or no price list tells it apart.
    package var serviceTier: ServiceTier?

    package init() {}

    /// As the ledger books it: every kind within its total, nothing below zero.
    package var tokenUsage: TokenUsage {
        var usage = TokenUsage(
            input: Self.clamped(self.billedInput ?? self.input), output: Self.clamped(self.billedOutput ?? self.output))
        var input = usage.input
        usage.cachedInput = Self.take(self.cachedInput, from: &input)
        usage.cacheWriteLongInput = Self.take(self.cacheWriteLongInput, from: &input)
        let short = Self.clamped(self.cacheWriteInput) - usage.cacheWriteLongInput
        usage.cacheWriteInput = Self.take(max(0, short), from: &input)
        usage.audioInput = Self.take(self.audioInput, from: &input)
        usage.imageInput = Self.take(self.imageInput, from: &input)
        var output = usage.output
        usage.reasoningOutput = Self.take(self.reasoningOutput, from: &output)
        usage.audioOutput = Self.take(self.audioOutput, from: &output)
        usage.imageOutput = Self.take(self.imageOutput, from: &output)
        return usage
    }

    /// Counts of a later report replace those of an earlier one; what the later one leaves out stays.
    mutating func merge(_ later: ConversationUsage) {
        self.input = later.input ?? self.input
        self.cachedInput = later.cachedInput ?? self.cachedInput
        self.cacheWriteInput = later.cacheWriteInput ?? self.cacheWriteInput
        self.cacheWriteLongInput = later.cacheWriteLongInput ?? self.cacheWriteLongInput
        self.audioInput = later.audioInput ?? self.audioInput
        self.imageInput = later.imageInput ?? self.imageInput
        self.output = later.output ?? self.output
        self.reasoningOutput = later.reasoningOutput ?? self.reasoningOutput
        self.audioOutput = later.audioOutput ?? self.audioOutput
        self.imageOutput = later.imageOutput ?? self.imageOutput
        self.acceptedPrediction = later.acceptedPrediction ?? self.acceptedPrediction
        self.rejectedPrediction = later.rejectedPrediction ?? self.rejectedPrediction
        self.webSearchRequests = later.webSearchRequests ?? self.webSearchRequests
        self.billedInput = later.billedInput ?? self.billedInput
        self.billedOutput = later.billedOutput ?? self.billedOutput
        self.cost = later.cost ?? self.cost
        self.costInUSDTicks = later.costInUSDTicks ?? self.costInUSDTicks
        self.serviceTier = later.serviceTier ?? self.serviceTier
    }

    /// What the provider says of money, for `Provider.reportedCost`; the counts are in `tokenUsage`.
    package var reportedMoney: ReportedUsage {
        var reported = ReportedUsage()
        reported.cost = self.cost
        reported.costInUSDTicks = self.costInUSDTicks ?? -1
        reported.serviceTier = self.serviceTier
        return reported
    }

    /// Of `input`: neither read from the cache nor written to it.
    var plainInput: Int64 {
        max(0, Self.clamped(self.input) - Self.clamped(self.cachedInput) - Self.clamped(self.cacheWriteInput))
    }

    /// No provider counts further, and sums of such counts cannot overflow.
    private static func clamped(_ count: Int64?) -> Int64 { min(max(0, count ?? 0), 1 << 53) }

    private static func take(_ count: Int64?, from remaining: inout Int64) -> Int64 {
        let taken = min(self.clamped(count), remaining)
        remaining -= taken
        return taken
    }
}
