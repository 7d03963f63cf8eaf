/// How a provider that speaks OpenAI's chat format differs in what it takes: data, one table for all.
/// Source: the providers' API pages and recorded traffic.
package struct CompatibilityQuirks: Hashable, Sendable {
    /// What becomes of a member of a request.
    package enum Change: Hashable, Sendable {
        case rename(String)
        /// The provider refuses or does not know it: treated as unsupported.
        case refuse
        /// The provider refuses it, and the answer is the same without.
        case drop
    }

    package var name: String
    /// By name of the top-level member.
    package var changes: [String: Change] = [:]
    /// Takes the role `developer`; otherwise it is sent as `system`.
    package var takesDeveloperRole = false
    /// Takes `reasoning_content` of earlier turns back.
    package var takesReasoning = false
    /// Takes Anthropic's `cache_control` on parts.
    package var takesCacheControl = false
    /// Takes `stream_options`.
    package var takesStreamOptions = true
    /// Takes `top_k`.
    package var takesTopK = false
    /// `tool_choice: required` has another name. `nil`: it has not.
    package var requiredToolChoice: String?
    /// Takes `strict` in tools.
    package var takesStrictTools = true
    /// Content may be a list of parts for text alone.
    package var takesTextParts = true
    /// Highest temperature. `nil`: 2.
    package var temperatureMax: Double?

    package init(name: String) { self.name = name }

    package static let openAI: CompatibilityQuirks = {
        var quirks = CompatibilityQuirks(name: "openai")
        quirks.takesDeveloperRole = true
        quirks.changes = ["max_tokens": .rename("max_completion_tokens")]
        return quirks
    }()

    /// OpenAI's format and no more: what is not in the table.
    package static let plain: CompatibilityQuirks = {
        var quirks = CompatibilityQuirks(name: "")
        quirks.changes = ["max_completion_tokens": .rename("max_tokens")]
        return quirks
    }()

    /// By LiteLLM's name of the provider.
    package static func named(_ name: String) -> CompatibilityQuirks { self.table[name] ?? self.plain }

    private static let table: [String: CompatibilityQuirks] = Dictionary(
        uniqueKeysWithValues: rows.map { ($0.name, $0) })

    private static let hints: [String: Change] = [
        "store": .drop, "metadata": .drop, "prompt_cache_key": .drop, "safety_identifier": .drop,
        "prompt_cache_retention": .drop, "prompt_cache_options": .drop, "service_tier": .drop,
    ]
    private static let oldLimit: [String: Change] = ["max_completion_tokens": .rename("max_tokens")]

    private static func row(
        _ name: String, _ changes: [String: Change], _ adjust: (inout CompatibilityQuirks) -> Void = { _ in }
    ) -> CompatibilityQuirks {
        var quirks = CompatibilityQuirks(name: name)
        quirks.changes = self.hints.merging(changes) { $1 }
        adjust(&quirks)
        return quirks
    }

    private static let rows: [CompatibilityQuirks] = [
        openAI,
        row("azure", ["max_tokens": .rename("max_completion_tokens")]) { $0.takesDeveloperRole = true },
        row(
            "mistral",
            oldLimit.merging([
                "seed": .rename("random_seed"), "logprobs": .refuse, "top_logprobs": .refuse, "logit_bias": .refuse,
                "user": .drop, "stream_options": .drop, "verbosity": .refuse,
            ]) { $1 }
        ) {
            $0.requiredToolChoice = "any"
            $0.takesStreamOptions = false
        },
        row("deepseek", oldLimit.merging(["seed": .refuse, "n": .refuse, "logit_bias": .refuse]) { $1 }) {
            $0.takesReasoning = true
            $0.takesTextParts = false
        },
        row("xai", oldLimit.merging(["logit_bias": .refuse]) { $1 }) { $0.takesStrictTools = false },
        row(
            "groq",
            [
                "logprobs": .refuse, "top_logprobs": .refuse, "logit_bias": .refuse,
                "service_tier": .rename("service_tier"),
            ]
        ),
        row("together_ai", oldLimit) { $0.takesTopK = true },
        row("fireworks_ai", oldLimit) {
            $0.requiredToolChoice = "any"
            $0.takesTopK = true
        },
        row("openrouter", ["service_tier": .rename("service_tier")]) {
            $0.takesReasoning = true
            $0.takesCacheControl = true
            $0.takesTopK = true
        },
        row(
            "perplexity",
            oldLimit.merging([
                "tools": .refuse, "tool_choice": .refuse, "parallel_tool_calls": .refuse, "stop": .refuse,
                "n": .refuse, "logprobs": .refuse, "top_logprobs": .refuse, "logit_bias": .refuse, "seed": .refuse,
            ]) { $1 }
        ) { $0.takesTopK = true },
        row("databricks", oldLimit) { $0.takesCacheControl = true },
        row(
            "cerebras",
            ["frequency_penalty": .refuse, "presence_penalty": .refuse, "logit_bias": .refuse, "n": .refuse]),
        row("sambanova", oldLimit) { $0.takesTopK = true },
        row("nvidia_nim", oldLimit),
        row("huggingface", oldLimit.merging(["n": .refuse, "logit_bias": .refuse]) { $1 }),
        row("moonshot", oldLimit) { $0.temperatureMax = 1 },
        row("zai", oldLimit) { $0.takesReasoning = true },
        row("hosted_vllm", oldLimit) { $0.takesTopK = true },
        row("vllm", oldLimit) { $0.takesTopK = true },
        row("llamacpp", oldLimit) { $0.takesTopK = true },
        row("ollama", oldLimit) { $0.takesTopK = true },
        row("lm_studio", oldLimit) { $0.takesTopK = true },
    ]
}
