import GatewayCore

/// `usage` of an OpenAI-shaped answer, as the provider sent it, not yet normalised. Counts are -1 when absent or null,
/// otherwise 0...2^53. Source: provider reference sections 1.1, 11, 13 and 14.
package struct ReportedUsage: Hashable, Sendable {
    package var promptTokens: Int64 = -1
    package var completionTokens: Int64 = -1
    package var totalTokens: Int64 = -1
    /// `prompt_tokens_details.cached_tokens`
    package var cachedTokens: Int64 = -1
    /// `prompt_tokens_details.cache_write_tokens`
    package var cacheWriteTokens: Int64 = -1
    /// `prompt_tokens_details.audio_tokens`
    package var promptAudioTokens: Int64 = -1
    /// `prompt_tokens_details.image_tokens`
    package var promptImageTokens: Int64 = -1
    /// `completion_tokens_details.reasoning_tokens`
    package var reasoningTokens: Int64 = -1
    /// `completion_tokens_details.audio_tokens`
    package var completionAudioTokens: Int64 = -1
    /// `completion_tokens_details.image_tokens`
    package var completionImageTokens: Int64 = -1
    /// `prompt_cache_hit_tokens` (DeepSeek)
    package var promptCacheHitTokens: Int64 = -1
    /// `num_cached_tokens` (Mistral)
    package var numCachedTokens: Int64 = -1
    /// `cost_in_usd_ticks` (xAI): 10^-10 USD.
    package var costInUSDTicks: Int64 = -1
    /// `cost` (OpenRouter) or `cost.total_cost` (Perplexity), USD, 0 or more. `nil`: not reported.
    package var cost: Double?
    /// The top-level `service_tier` beside the usage. `nil`: not reported, or none that the price list tells apart.
    package var serviceTier: ServiceTier?

    package init() {}
}

/// What a scan of a whole answer found.
package struct UsageScan: Hashable, Sendable {
    /// `nil`: absent, null, malformed, or out of bounds (negative, fractional, above 2^53).
    package var usage: ReportedUsage?
    /// Content of the top-level `model` string, still escaped; points into the scanned bytes. Empty: absent.
    package var model = ByteRange.empty
    /// A top-level `error` that is not null.
    package var hasError = false
    /// The bytes are one JSON object and nothing else; the values that are not looked into are only skipped.
    package var isComplete = false

    package init() {}
}
