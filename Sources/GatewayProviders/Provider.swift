import GatewayCore
import GatewayWire

/// A provider, what it speaks and how it differs: all of that is data here, nowhere else.
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
        package let rawValue: UInt16
        package init(rawValue: UInt16) { self.rawValue = rawValue }

        package static let chat = Endpoints(rawValue: 1)
        package static let completions = Endpoints(rawValue: 2)
        package static let embeddings = Endpoints(rawValue: 4)
        package static let images = Endpoints(rawValue: 8)
        /// Edits and variations.
        package static let imageEdits = Endpoints(rawValue: 16)
        package static let speech = Endpoints(rawValue: 32)
        /// Transcriptions and translations.
        package static let transcriptions = Endpoints(rawValue: 64)
        package static let moderations = Endpoints(rawValue: 128)
        package static let rerank = Endpoints(rawValue: 256)
        /// Those for text, which most providers with OpenAI's API have.
        package static let all: Endpoints = [.chat, .completions, .embeddings]
        /// What OpenAI has beside those.
        package static let media: Endpoints = [.images, .imageEdits, .speech, .transcriptions, .moderations]
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

    /// How calls prove who makes them where no key is configured.
    package enum Signing: Sendable, Hashable {
        /// A key is all there is.
        case none
        /// AWS Signature Version 4 for this service.
        case aws(service: String)
        /// An OAuth token for a Google service account.
        case googleServiceAccount
        /// A Microsoft Entra token by client credentials.
        case entra
    }

    /// Where the endpoints lie behind the base URL.
    package enum PathStyle: Sendable, Hashable {
        /// As the format's own maker has it.
        case standard
        /// Azure OpenAI: the deployment is part of the path, or the v1 API.
        case azure
        /// Azure AI Foundry's model inference.
        case azureInference
        /// Anthropic's API below `/anthropic` of Azure AI Foundry.
        case azureAnthropic
        case vertexGemini, vertexAnthropic, vertexOpenAI
        /// Bedrock's `/invoke`, which takes and gives the model's own format.
        case bedrockInvoke
    }

    /// How embeddings are asked for.
    package enum Embeddings: Sendable, Hashable {
        /// In OpenAI's shape only.
        case openAI
        /// In OpenAI's shape, and in Gemini's own.
        case gemini
        /// In OpenAI's shape, and in Cohere's own.
        case cohere
        /// By `:predict`.
        case vertex
        /// By `/invoke`, in the shape of the model's maker.
        case bedrock
    }

    /// A header that every call to the provider carries.
    package struct FixedHeader: Sendable, Hashable {
        package var name: String
        package var value: String
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
    /// Of a provider of Responses: `previous_response_id` and `GET` find later what it has answered.
    package var keepsResponses = true
    /// `Accept` for calls whose caller sent none.
    package var accept: String
    /// Appended to a configured base URL that does not end in it, such as `/v1` for Ollama, whose users configure the
    /// address of the server alone. `nil`: a configured base URL is taken as it is.
    package var requiredBaseSuffix: String?
    /// Taken off the end of a configured base URL, the first that fits, because people configure addresses with the
    /// endpoint or the version that `path(for:model:isStream:)` adds.
    package var strippedBaseSuffixes: [String] = []
    /// Put before model names that do not start with `accounts/` (Fireworks). `nil`: names are sent as they are.
    package var modelPrefix: String?
    /// What the endpoint for conversations speaks: others are translated into it.
    package var chatFormat = WireFormat.openAIChat
    /// What goes straight through, as the caller wrote it: `chatFormat`, and what else the provider serves.
    package var nativeFormats: WireFormatSet = .openAIChat
    package var pathStyle = PathStyle.standard
    /// Stands before the endpoints of OpenAI's shape, where the base URL leads to another API.
    package var openAIPrefix = ""
    /// Sent with each call unless the caller sent a header of the name.
    package var headers: [FixedHeader] = []
    package var signing = Signing.none
    /// How it embeds, beside OpenAI's shape or in its place.
    package var embeddings = Embeddings.openAI
    /// `false`: the path names the model and a `model` in the body is refused.
    package var sendsModelInBody = true
    /// `anthropic_version` of the body, where Anthropic's format goes through another host. `nil`: none.
    package var anthropicVersionInBody: String?
    /// What addresses depend on beside the model.
    package var placement = Placement()

    package func supports(_ kind: CallKind) -> Bool {
        switch kind {
        case .chatCompletion, .messages, .responses, .generateContent, .converse: self.endpoints.contains(.chat)
        case .completion: self.endpoints.contains(.completions)
        case .embedding: self.endpoints.contains(.embeddings)
        case .imageGeneration: self.endpoints.contains(.images)
        case .imageEdit, .imageVariation: self.endpoints.contains(.imageEdits)
        case .speech: self.endpoints.contains(.speech)
        case .transcription, .translation: self.endpoints.contains(.transcriptions)
        case .moderation: self.endpoints.contains(.moderations)
        case .rerank: self.endpoints.contains(.rerank)
        case .passThrough: true
        }
    }

    /// The address to use: `configured` (`api_base`), else the first variable that is set and not empty, else the
    /// default; without slashes at its end. `nil`: none of them, so the configuration lacks `api_base`.
    package func baseURL(configured: String?, environment: (String) -> String?) -> String? {
        let chosen = configured ?? self.firstSet(self.baseURLVariables, in: environment)
        guard var base = chosen ?? self.defaultBaseURL else { return nil }
        if chosen == nil { base = self.placement.filled(base) ?? "" }
        guard !base.isEmpty else { return nil }
        while base.hasSuffix("/") { base.removeLast() }
        if let suffix = self.strippedBaseSuffixes.first(where: { base.hasSuffix($0) }) { base.removeLast(suffix.count) }
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
        // OAuth tokens of Anthropic's own clients are told by their prefix.
        case .header("x-api-key") where key.hasPrefix("sk-ant-oat"): ("Authorization", "Bearer \(key)")
        // Vertex AI in express mode takes a key where it usually takes a token.
        case .bearer where self.signing == .googleServiceAccount && (key.hasPrefix("AIza") || key.hasPrefix("AQ.")):
            ("x-goog-api-key", key)
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
