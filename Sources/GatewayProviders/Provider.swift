import GatewayCore

/// A provider that speaks OpenAI's API, and how it differs: all of that is data here, nowhere else.
package struct Provider: Sendable, Hashable {
    /// How the key is sent.
    package enum Authentication: Sendable, Hashable {
        /// `Authorization: Bearer KEY`.
        case bearer
        /// A header of this name with the bare key.
        case header(String)
    }

    /// Which calls the provider serves.
    package struct Endpoints: OptionSet, Sendable, Hashable {
        package let rawValue: UInt8
        package init(rawValue: UInt8) { self.rawValue = rawValue }

        package static let chat = Endpoints(rawValue: 1)
        package static let completions = Endpoints(rawValue: 2)
        package static let embeddings = Endpoints(rawValue: 4)
        package static let all: Endpoints = [.chat, .completions, .embeddings]
    }

    /// When a stream carries usage.
    package enum StreamUsage: Sendable, Hashable {
        /// When `stream_options.include_usage` asks for it.
        case onRequest
        /// The provider refuses or ignores `stream_options`; it is never added.
        case unsupported
        /// Unasked.
        case always
    }

    /// How the provider counts (reference: "usage conventions").
    package enum UsageConvention: Sendable, Hashable {
        /// Prompt tokens include cached ones, completion tokens include reasoning: OpenAI and nearly all others.
        case inclusive
        /// Completion tokens leave reasoning out (xAI).
        case reasoningOutsideCompletion
    }

    /// Whether the provider says what a call cost, which then counts more than our price list.
    package enum CostReport: Sendable, Hashable {
        case none
        /// `usage.cost` in USD, a number (OpenRouter) or an object with `total_cost` (Perplexity).
        case dollars
        /// `usage.cost_in_usd_ticks`, 10^-10 USD each (xAI).
        case ticks
    }

    /// LiteLLM's `litellm_provider`, the prefix of a model string.
    package var name: String
    /// Where calls go, with the path before the endpoint. `nil`: `api_base` or a base URL variable is required.
    package var defaultBaseURL: String?
    /// Environment variables that hold the key, tried in order.
    package var apiKeyVariables: [String]
    /// Environment variables that hold the base URL, tried in order.
    package var baseURLVariables: [String]
    package var requiresKey: Bool
    package var authentication: Authentication
    package var endpoints: Endpoints
    package var streamUsage: StreamUsage
    package var usageConvention: UsageConvention
    package var costReport: CostReport
    /// `Accept` for calls whose caller sent none.
    package var accept: String
    /// Appended to a configured base URL that does not end in it, such as `/v1` for Ollama, whose users configure the
    /// address of the server alone. `nil`: a configured base URL is taken as it is.
    package var requiredBaseSuffix: String?
    /// Put before model names that do not start with `accounts/` (Fireworks). `nil`: names are sent as they are.
    package var modelPrefix: String?

    package func supports(_ kind: CallKind) -> Bool {
        switch kind {
        case .chatCompletion: self.endpoints.contains(.chat)
        case .completion: self.endpoints.contains(.completions)
        case .embedding: self.endpoints.contains(.embeddings)
        }
    }

    /// The address to use: `configured` (`api_base`), else the first variable that is set and not empty, else the
    /// default; without slashes at its end. `nil`: none of them, so the configuration lacks `api_base`.
    package func baseURL(configured: String?, environment: (String) -> String?) -> String? {
        let chosen = configured ?? self.firstSet(self.baseURLVariables, in: environment)
        guard var base = chosen ?? self.defaultBaseURL else { return nil }
        while base.hasSuffix("/") { base.removeLast() }
        if let suffix = self.requiredBaseSuffix, !base.hasSuffix(suffix) { base += suffix }
        return base
    }

    /// The key in the environment. `nil`: no variable of the provider is set, or all are empty.
    package func apiKey(environment: (String) -> String?) -> String? {
        self.firstSet(self.apiKeyVariables, in: environment)
    }

    /// The header line that authenticates with `key`.
    package func authenticationHeader(key: String) -> (name: String, value: String) {
        switch self.authentication {
        case .bearer: ("Authorization", "Bearer \(key)")
        case .header(let name): (name, key)
        }
    }

    private func firstSet(_ names: [String], in environment: (String) -> String?) -> String? {
        for name in names {
            if let value = environment(name), !value.isEmpty { return value }
        }
        return nil
    }
}
