import GatewayCore

/// A key of LiteLLM's price map, such as `input_cost_per_token_above_200k_tokens_batches`, as a cell of our list.
struct PriceKey {
    let kind: RateKind
    let tier: ServiceTier
    let aboveInputTokens: Int64

    /// The same table stands in scripts/make-price-catalogue.
    private static let bases: [(text: String, kind: RateKind)] = [
        ("input_cost_per_token_cache_hit", .cacheRead),
        ("input_cost_per_token", .input),
        ("cache_read_input_token_cost", .cacheRead),
        ("cache_creation_input_token_cost_above_1hr", .cacheWriteLong),
        ("cache_creation_input_token_cost_above_12hr", .cacheWriteLong),
        ("cache_creation_input_token_cost", .cacheWrite),
        ("input_cost_per_audio_token", .audioInput),
        ("input_cost_per_image_token", .imageInput),
        ("output_cost_per_token", .output),
        ("output_cost_per_reasoning_token", .reasoningOutput),
        ("output_cost_per_audio_token", .audioOutput),
        ("output_cost_per_image_token", .imageOutput),
        ("input_cost_per_image", .perInputImage),
        ("output_cost_per_image", .perOutputImage),
        ("input_cost_per_second", .perInputSecond),
        ("input_cost_per_audio_per_second", .perInputSecond),
        ("output_cost_per_second", .perOutputSecond),
        ("cost_per_second", .perOutputSecond),
        ("output_cost_per_video_per_second", .perOutputSecond),
        ("input_cost_per_character", .perInputCharacter),
        ("output_cost_per_character", .perOutputCharacter),
        ("input_cost_per_pixel", .perInputPixel),
        ("output_cost_per_pixel", .perOutputPixel),
        ("input_cost_per_query", .perQuery),
        ("input_cost_per_request", .perRequest),
        ("ocr_cost_per_page", .perPage),
    ]
    private static let tierSuffixes: [(text: String, tier: ServiceTier)] = [
        ("_flex", .flex), ("_priority", .priority), ("_batches", .batch),
    ]

    /// `nil`: no price that can be expressed.
    init?(_ key: String) {
        for (base, kind) in Self.bases where key.hasPrefix(base) {
            var rest = key.dropFirst(base.count)
            var tier = ServiceTier.standard
            for (suffix, named) in Self.tierSuffixes where rest.hasSuffix(suffix) {
                tier = named
                rest = rest.dropLast(suffix.count)
            }
            guard let threshold = Self.threshold(rest) else { continue }
            guard kind.isPerToken || key == base else { continue }
            self.kind = kind
            self.tier = tier
            self.aboveInputTokens = threshold
            return
        }
        return nil
    }

    /// `_above_200k_tokens` is 200000, nothing is 0. `nil`: anything else.
    private static func threshold(_ text: Substring) -> Int64? {
        if text.isEmpty { return 0 }
        let (start, end) = ("_above_", "k_tokens")
        guard text.hasPrefix(start), text.hasSuffix(end), text.count > start.count + end.count else { return nil }
        let digits = text.dropFirst(start.count).dropLast(end.count)
        guard digits.utf8.count <= 9, digits.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }),
            let thousands = Int64(digits), thousands > 0
        else { return nil }
        return thousands * 1000
    }

    /// Whether LiteLLM takes the key for a price, whether or not we can express it.
    static func looksLikePrice(_ key: String) -> Bool {
        ["cost_per_", "token_cost", "tiered_pricing", "off_peak_pricing"].contains { key.contains($0) }
    }
}
