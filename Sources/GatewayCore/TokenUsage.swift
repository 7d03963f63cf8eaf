/// What one upstream attempt consumed, in one convention for all providers: input includes cached, written, audio and
/// image tokens; output includes reasoning, audio and image tokens. A kind that was not reported is 0.
package struct TokenUsage: Hashable, Sendable {
    package var input: Int64 = 0
    /// Of `input`: read from the provider's prompt cache.
    package var cachedInput: Int64 = 0
    /// Of `input`: written to the cache with the default lifetime (5 or 30 minutes).
    package var cacheWriteInput: Int64 = 0
    /// Of `input`: written to the cache with the long lifetime (1 hour or more).
    package var cacheWriteLongInput: Int64 = 0
    /// Of `input`.
    package var audioInput: Int64 = 0
    /// Of `input`.
    package var imageInput: Int64 = 0
    package var output: Int64 = 0
    /// Of `output`.
    package var reasoningOutput: Int64 = 0
    /// Of `output`.
    package var audioOutput: Int64 = 0
    /// Of `output`.
    package var imageOutput: Int64 = 0

    @inlinable package init() {}

    @inlinable package init(input: Int64, output: Int64) {
        self.input = input
        self.output = output
    }

    @inlinable package var total: Int64 { self.input + self.output }
}

/// The service tier that the provider says it used; it picks the column of the price list.
package enum ServiceTier: UInt8, Hashable, Sendable, CaseIterable {
    case standard = 0
    case flex, priority, batch
}
