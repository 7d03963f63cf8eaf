import GatewayWire

/// Providers with a format or a way to address models of their own.
extension ProviderTable {
    static let anthropicHeaders = [Provider.FixedHeader(name: "anthropic-version", value: "2023-06-01")]

    static let native: [Provider] =
        [anthropic, gemini, ollamaChat, azure, azureInference, snowflake] + ["cohere", "cohere_chat"].map(cohere)
        + ["bedrock", "bedrock_converse"].map(bedrock) + ["vertex_ai", "vertex_ai_beta"].map(vertex)

    private static let anthropic = row(
        entry(
            "anthropic", "https://api.anthropic.com", keys: ["ANTHROPIC_API_KEY"],
            bases: ["ANTHROPIC_API_BASE", "ANTHROPIC_BASE_URL"], streamUsage: .always),
        .anthropic, strips: ["/v1/messages", "/v1"]
    ) {
        $0.authentication = .header("x-api-key")
        $0.headers = Self.anthropicHeaders
    }

    /// Embeddings go to Google's path of OpenAI's shape.
    private static let gemini = row(
        entry(
            "gemini", "https://generativelanguage.googleapis.com", keys: ["GEMINI_API_KEY", "GOOGLE_API_KEY"],
            bases: ["GEMINI_API_BASE"], endpoints: [.chat, .embeddings], streamUsage: .always),
        .gemini, strips: ["/v1beta/openai", "/v1beta", "/v1alpha", "/v1"]
    ) {
        $0.authentication = .header("x-goog-api-key")
        $0.openAIPrefix = "/v1beta/openai"
        $0.embeddings = .gemini
    }

    /// Takes OpenAI's shape as well, at the same address.
    private static let ollamaChat = row(
        entry(
            "ollama_chat", "http://localhost:11434", keys: ["OLLAMA_API_KEY"], bases: ["OLLAMA_API_BASE"],
            requiresKey: false),
        .ollama, also: .openAIChat, strips: ["/api/chat", "/api", "/v1"]
    ) { $0.openAIPrefix = "/v1" }

    private static func cohere(_ name: String) -> Provider {
        row(
            entry(
                name, "https://api.cohere.com", keys: ["COHERE_API_KEY", "CO_API_KEY"], bases: ["COHERE_API_BASE"],
                endpoints: [.chat, .embeddings], streamUsage: .always),
            .cohere, strips: ["/v2/chat", "/v1/chat", "/compatibility/v1", "/v2", "/v1"]
        ) {
            $0.openAIPrefix = "/compatibility/v1"
            $0.embeddings = .cohere
        }
    }

    /// A bearer key, or signed requests.
    private static func bedrock(_ name: String) -> Provider {
        row(
            entry(
                name, "https://bedrock-runtime.{region}.amazonaws.com", keys: ["AWS_BEARER_TOKEN_BEDROCK"],
                bases: ["AWS_BEDROCK_RUNTIME_ENDPOINT", "AWS_ENDPOINT_URL_BEDROCK_RUNTIME"], requiresKey: false,
                endpoints: [.chat, .embeddings], streamUsage: .always),
            .bedrock
        ) {
            $0.signing = .aws(service: "bedrock")
            $0.embeddings = .bedrock
            $0.sendsModelInBody = false
        }
    }

    private static func vertex(_ name: String) -> Provider {
        row(
            entry(
                name, "https://{vertex}", keys: ["VERTEXAI_API_KEY"], bases: ["VERTEXAI_API_BASE"],
                requiresKey: false, endpoints: [.chat, .embeddings], streamUsage: .always),
            .gemini, strips: ["/v1beta1", "/v1"]
        ) {
            $0.pathStyle = .vertexGemini
            $0.signing = .googleServiceAccount
            $0.embeddings = .vertex
        }
    }

    private static let azure = row(
        entry(
            "azure", nil, keys: ["AZURE_API_KEY", "AZURE_OPENAI_API_KEY"],
            bases: ["AZURE_API_BASE", "AZURE_OPENAI_ENDPOINT"], endpoints: .all),
        .openAIChat, also: .openAIResponses, strips: ["/openai/v1", "/openai"]
    ) {
        $0.authentication = .header("api-key")
        $0.pathStyle = .azure
        $0.signing = .entra
    }

    private static let azureInference = row(
        entry(
            "azure_ai", nil, keys: ["AZURE_AI_API_KEY"], bases: ["AZURE_AI_API_BASE"],
            endpoints: [.chat, .embeddings]),
        .openAIChat,
        strips: ["/anthropic/v1/messages", "/anthropic", "/models/chat/completions", "/models", "/openai/v1"]
    ) {
        $0.authentication = .header("api-key")
        $0.pathStyle = .azureInference
        $0.signing = .entra
    }

    private static let snowflake = row(
        entry(
            "snowflake", "https://{account}.snowflakecomputing.com/api/v2/cortex/v1",
            keys: ["SNOWFLAKE_JWT", "SNOWFLAKE_API_KEY"], bases: ["SNOWFLAKE_API_BASE"]),
        .openAIChat
    ) { $0.requiredBaseSuffix = "/cortex/v1" }

    private static func row(
        _ entry: Provider, _ format: WireFormat, also: WireFormatSet = [], strips: [String] = [],
        _ change: (inout Provider) -> Void
    ) -> Provider {
        var provider = entry
        provider.chatFormat = format
        provider.nativeFormats = also.union(WireFormatSet(format))
        provider.strippedBaseSuffixes = strips
        change(&provider)
        return provider
    }
}
