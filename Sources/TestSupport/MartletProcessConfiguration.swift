/// Writes `config.yaml` files for gateways under test.
package struct MartletProcessConfiguration: Sendable {
    /// Names that callers use; each is a model of the same name at the scripted upstream.
    package var models: [String]
    package var upstreamPort: Int
    /// Lines below `martlet:`, each `name: value`.
    package var martlet: [String] = []
    /// Lines below `general_settings:`, after the master key.
    package var general: [String] = []
    /// Lines below `router_settings:`.
    package var router: [String] = ["num_retries: 0"]
    /// Prices in USD per token of all models. `nil`: not given, so the catalogue's or none.
    package var inputCostPerToken: String? = "0.000001"
    package var outputCostPerToken: String? = "0.000002"
    /// Further lines below `litellm_params:`, by model.
    package var parameters: [String: [String]] = [:]
    /// Groups of models that are not a group of their own.
    package var groups: [String: String] = [:]
    /// Further text at the end.
    package var appendix = ""

    package init(models: [String], upstreamPort: Int) {
        self.models = models
        self.upstreamPort = upstreamPort
    }

    package init(_ upstream: ScriptedUpstream) {
        self.init(models: upstream.scripts.keys.sorted(), upstreamPort: upstream.port)
    }

    package var yaml: String {
        var lines = ["model_list:"]
        for model in self.models {
            lines += [
                "  - model_name: \"\(self.groups[model] ?? model)\"",
                "    litellm_params:",
                "      model: \"openai/\(model)\"",
                "      api_base: http://127.0.0.1:\(self.upstreamPort)/v1",
                "      api_key: sk-upstream-secret",
            ]
            lines += (self.parameters[model] ?? []).map { "      \($0)" }
            if let inputCostPerToken { lines.append("      input_cost_per_token: \(inputCostPerToken)") }
            if let outputCostPerToken {
                lines.append("      output_cost_per_token: \(outputCostPerToken)")
            }
        }
        lines += ["general_settings:", "  master_key: \(MartletProcess.masterKey)"] + self.general.map { "  \($0)" }
        if !self.router.isEmpty { lines += ["router_settings:"] + self.router.map { "  \($0)" } }
        if !self.martlet.isEmpty { lines += ["martlet:"] + self.martlet.map { "  \($0)" } }
        return lines.joined(separator: "\n") + "\n" + self.appendix
    }
}

/// One line of `martlet ledger export --format jsonl`.
package struct ExportedAttempt: Decodable, Sendable {
    package let requestID: String
    package let attempt: Int
    package let startedAt: String
    package let model: String
    package let provider: String
    /// SHA-256 of the virtual key in hex.
    package let apiKey: String
    package let promptTokens: Int
    package let completionTokens: Int
    package let cachedTokens: Int
    package let reasoningTokens: Int
    /// Nano-US-dollars.
    package let costNanos: Int
    package let spend: Double
    /// HTTP status that the attempt ended with at the provider; 0: none came.
    package let status: Int
    package let flags: [String]
    package let priceVersion: String

    private enum CodingKeys: String, CodingKey {
        case requestID = "request_id"
        case attempt
        case startedAt = "started_at"
        case model, provider
        case apiKey = "api_key"
        case promptTokens = "prompt_tokens"
        case completionTokens = "completion_tokens"
        case cachedTokens = "cached_tokens"
        case reasoningTokens = "reasoning_tokens"
        case costNanos = "cost_nanos"
        case spend, status, flags
        case priceVersion = "price_version"
    }

    package var isMeasured: Bool { self.flags.contains("measured") }
    package var isOrphaned: Bool { self.flags.contains("orphaned") }
    package var isEstimated: Bool { self.flags.contains("estimated") }
    package var isError: Bool { self.flags.contains("error") }
}
