import GatewayCore

/// The rates of one service tier and context size with every gap filled, ready to multiply.
///
/// Each is in half-picodollars per token: a batch price may be half of an odd number of picodollars, and must stay
/// exact. 0...2 * `Rate.picodollarsMax`.
package struct TokenRates: Hashable, Sendable {
    package var input: UInt64 = 0
    package var cacheRead: UInt64 = 0
    package var cacheWrite: UInt64 = 0
    package var cacheWriteLong: UInt64 = 0
    package var audioInput: UInt64 = 0
    package var imageInput: UInt64 = 0
    package var output: UInt64 = 0
    package var reasoningOutput: UInt64 = 0
    package var audioOutput: UInt64 = 0
    package var imageOutput: UInt64 = 0

    package init() {}

    /// The cost of `usage`, rounded half up to the nano-dollar, once; at most `ModelPrice.costMax`.
    ///
    /// Every token is billed exactly once, whatever the details say: they take their shares of the total in a fixed
    /// order (cache read, cache writes, audio, image; reasoning, audio, image) and the remainder is text. A provider
    /// whose details overlap, such as audio that was also cached, is not paid twice. Negative counts are 0.
    package func cost(of usage: TokenUsage) -> NanoUSD {
        // No overflow: a count is below 2^63 and a rate below 2^51, so ten products stay below 2^118.
        var remaining = UInt64(max(0, usage.input))
        var sum: UInt128 = 0
        if usage.cachedInput | usage.cacheWriteInput | usage.cacheWriteLongInput | usage.audioInput | usage.imageInput
            != 0
        {
            sum = Self.bill(usage.cachedInput, at: self.cacheRead, from: &remaining)
            sum &+= Self.bill(usage.cacheWriteInput, at: self.cacheWrite, from: &remaining)
            sum &+= Self.bill(usage.cacheWriteLongInput, at: self.cacheWriteLong, from: &remaining)
            sum &+= Self.bill(usage.audioInput, at: self.audioInput, from: &remaining)
            sum &+= Self.bill(usage.imageInput, at: self.imageInput, from: &remaining)
        }
        sum &+= UInt128(remaining) &* UInt128(self.input)
        remaining = UInt64(max(0, usage.output))
        if usage.reasoningOutput | usage.audioOutput | usage.imageOutput != 0 {
            sum &+= Self.bill(usage.reasoningOutput, at: self.reasoningOutput, from: &remaining)
            sum &+= Self.bill(usage.audioOutput, at: self.audioOutput, from: &remaining)
            sum &+= Self.bill(usage.imageOutput, at: self.imageOutput, from: &remaining)
        }
        sum &+= UInt128(remaining) &* UInt128(self.output)
        return Self.nanoDollars(halfPicodollars: sum)
    }

    /// Takes at most `count` tokens out of `remaining` and returns what they cost.
    @inline(__always)
    private static func bill(_ count: Int64, at rate: UInt64, from remaining: inout UInt64) -> UInt128 {
        let billed = min(UInt64(max(0, count)), remaining)
        remaining &-= billed
        return UInt128(billed) &* UInt128(rate)
    }

    @inline(__always)
    private static func nanoDollars(halfPicodollars sum: UInt128) -> NanoUSD {
        // A 64-bit division is several times cheaper, and nearly every call fits.
        if sum < UInt128(UInt64.max - 1_000) {
            let nanos = (UInt64(truncatingIfNeeded: sum) &+ 1_000) / 2_000
            return NanoUSD(rawValue: min(Int64(nanos), ModelPrice.costMax.rawValue))
        }
        return ModelPrice.costMax
    }
}
