import GatewayCore

/// A value under a price key of the configuration. Numbers come as they are written, so that none goes through a float.
package indirect enum PriceValue: Sendable {
    /// A number or a text with a number in it, such as `4e-07`.
    case text(String)
    case list([PriceValue])
    case mapping([(key: String, value: PriceValue)])
}

/// A price key that cannot be used. The message names the key, what is wrong and the mend.
package struct PriceOverrideError: Error, Hashable, Sendable {
    /// Such as `input_cost_per_token` or `tiered_pricing[1].range`.
    package let key: String
    package let reason: String

    package var message: String { "\(self.key): \(self.reason)." }
}

/// Prices and limits that the configuration sets for one model, by LiteLLM's keys (USD per unit).
package struct PriceOverride: Sendable, Hashable {
    /// The given cells; of the same cell the later key wins.
    package private(set) var rates: [Rate] = []
    /// Whether `rates` come from `tiered_pricing`, which replaces every inherited rate per token.
    package private(set) var replacesTokenRates = false
    /// `nil`: not overridden.
    package private(set) var mode: ModelMode?
    /// `nil`: not overridden.
    package private(set) var maxInputTokens: Int64?
    /// `nil`: not overridden.
    package private(set) var maxOutputTokens: Int64?

    package var isEmpty: Bool {
        self.rates.isEmpty && self.mode == nil && self.maxInputTokens == nil && self.maxOutputTokens == nil
    }

    /// Whether `key` of `litellm_params` or `model_info` is to be given to `init(entries:)`: all that LiteLLM takes for
    /// a price, also those that `init` refuses, and `mode`, `max_input_tokens`, `max_output_tokens`.
    package static func isPriceKey(_ key: String) -> Bool {
        key == "mode" || key == "max_input_tokens" || key == "max_output_tokens" || PriceKey.looksLikePrice(key)
    }

    /// Reads the entries whose key `isPriceKey`. Zero is a price: free.
    /// - Throws: the first entry that cannot be used.
    package init(entries: [(key: String, value: PriceValue)]) throws(PriceOverrideError) {
        for (key, value) in entries {
            switch key {
            case "mode": self.mode = try Self.mode(value)
            case "max_input_tokens": self.maxInputTokens = try Self.tokens(value, key: key)
            case "max_output_tokens": self.maxOutputTokens = try Self.tokens(value, key: key)
            case "tiered_pricing":
                self.rates += try Self.ranges(value)
                self.replacesTokenRates = true
            default: self.rates.append(try Self.rate(key: key, value: value, path: key))
            }
        }
    }

    static func rate(key: String, value: PriceValue, path: String) throws(PriceOverrideError) -> Rate {
        guard let place = PriceKey(key) else {
            throw PriceOverrideError(
                key: path, reason: "this kind of price is not supported by this version; remove it")
        }
        guard case .text(let text) = value else {
            throw PriceOverrideError(key: path, reason: "a price is a single number; write USD per unit, such as 4e-07")
        }
        do throws(DecimalPrice.Fault) {
            return Rate(
                kind: place.kind, tier: place.tier, aboveInputTokens: place.aboveInputTokens,
                picodollars: try DecimalPrice.picodollars(text))
        } catch {
            let reason =
                switch error {
                case .notANumber: "not a decimal number; write USD per unit, such as 4e-07"
                case .negative: "a price cannot be negative"
                case .tooHigh: "more than 1000 USD a unit; the unit is one token, second, image, ..., not a million"
                case .tooLow: "less than a picodollar a unit, which cannot be charged; use 0 for free"
                }
            throw PriceOverrideError(key: path, reason: reason)
        }
    }

    private static func mode(_ value: PriceValue) throws(PriceOverrideError) -> ModelMode {
        guard case .text(let text) = value else {
            throw PriceOverrideError(key: "mode", reason: "not a text; use chat, embedding, ...")
        }
        return ModelMode(rawValue: text) ?? .other
    }

    private static func tokens(_ value: PriceValue, key: String) throws(PriceOverrideError) -> Int64 {
        if case .text(let text) = value, let count = Self.tokenCount(text) { return count }
        throw PriceOverrideError(key: key, reason: "not a whole number of tokens")
    }

    /// LiteLLM's own files have `256000.0` and `1e6`. `nil`: not a number in 0...2^53.
    static func tokenCount(_ text: String) -> Int64? {
        guard let count = try? DecimalPrice.scaled(text, decimals: 0), count <= 1 << 53 else { return nil }
        return count
    }
}
