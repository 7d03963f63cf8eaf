import GatewayWire

/// Every provider that can be called, in one place. A quirk that is not here does not exist for the gateway.
///
/// Sources: LiteLLM's documentation of each provider for prefixes, variables and default addresses, the providers'
/// own API pages for the rest.
enum ProviderTable {
    /// Sorted by name.
    static let all: [Provider] = (hosted + selfHosted + embeddingOnly + native).map(withOtherEndpoints)
        .sorted { $0.name < $1.name }
    static let byName = Dictionary(uniqueKeysWithValues: all.map { ($0.name, $0) })

    private static let hosted: [Provider] = [
        entry(
            "openai", "https://api.openai.com/v1", keys: ["OPENAI_API_KEY"],
            bases: ["OPENAI_BASE_URL", "OPENAI_API_BASE"], endpoints: .all, also: .openAIResponses),
        entry(
            "text-completion-openai", "https://api.openai.com/v1", keys: ["OPENAI_API_KEY"],
            bases: ["OPENAI_BASE_URL", "OPENAI_API_BASE"], endpoints: .completions),
        entry("ai21_chat", "https://api.ai21.com/studio/v1", keys: ["AI21_API_KEY"], bases: ["AI21_API_BASE"]),
        entry(
            "aihubmix", "https://aihubmix.com/v1", keys: ["AIHUBMIX_API_KEY"], bases: ["AIHUBMIX_API_BASE"],
            endpoints: [.chat, .embeddings]),
        entry(
            "anyscale", "https://api.endpoints.anyscale.com/v1", keys: ["ANYSCALE_API_KEY"],
            bases: ["ANYSCALE_API_BASE"]),
        entry("baseten", "https://inference.baseten.co/v1", keys: ["BASETEN_API_KEY"], bases: ["BASETEN_API_BASE"]),
        entry(
            "cerebras", "https://api.cerebras.ai/v1", keys: ["CEREBRAS_API_KEY"], bases: ["CEREBRAS_API_BASE"],
            endpoints: [.chat, .completions]),
        entry(
            "codestral", "https://codestral.mistral.ai/v1", keys: ["CODESTRAL_API_KEY"],
            bases: ["CODESTRAL_API_BASE"]),
        entry(
            "crusoe", "https://managed-inference-api-proxy.crusoecloud.com/v1", keys: ["CRUSOE_API_KEY"],
            bases: ["CRUSOE_API_BASE"]),
        entry(
            "dashscope", "https://dashscope-intl.aliyuncs.com/compatible-mode/v1", keys: ["DASHSCOPE_API_KEY"],
            bases: ["DASHSCOPE_API_BASE"], endpoints: [.chat, .embeddings]),
        entry(
            "databricks", nil, keys: ["DATABRICKS_API_KEY", "DATABRICKS_TOKEN"], bases: ["DATABRICKS_API_BASE"],
            endpoints: .all),
        entry(
            "deepinfra", "https://api.deepinfra.com/v1/openai", keys: ["DEEPINFRA_API_KEY"],
            bases: ["DEEPINFRA_API_BASE"], endpoints: .all),
        // LiteLLM's default is /beta, which only differs by prefix completion and strict tools.
        entry("deepseek", "https://api.deepseek.com/v1", keys: ["DEEPSEEK_API_KEY"], bases: ["DEEPSEEK_API_BASE"]),
        entry(
            "featherless_ai", "https://api.featherless.ai/v1", keys: ["FEATHERLESS_AI_API_KEY"],
            bases: ["FEATHERLESS_AI_API_BASE", "FEATHERLESS_API_BASE"], endpoints: [.chat, .completions]),
        entry(
            "fireworks_ai", "https://api.fireworks.ai/inference/v1",
            keys: ["FIREWORKS_API_KEY", "FIREWORKS_AI_API_KEY", "FIREWORKSAI_API_KEY", "FIREWORKS_AI_TOKEN"],
            bases: ["FIREWORKS_API_BASE"], endpoints: .all, modelPrefix: "accounts/fireworks/models/",
            also: .openAIResponses),
        entry(
            "friendliai", "https://api.friendli.ai/serverless/v1", keys: ["FRIENDLIAI_API_KEY", "FRIENDLI_TOKEN"],
            bases: ["FRIENDLI_API_BASE"], endpoints: [.chat, .completions]),
        entry("gmi", "https://api.gmi-serving.com/v1", keys: ["GMI_API_KEY"], bases: []),
        entry(
            "groq", "https://api.groq.com/openai/v1", keys: ["GROQ_API_KEY"], bases: ["GROQ_API_BASE"],
            keepsResponses: false, also: .openAIResponses),
        entry(
            "huggingface", "https://router.huggingface.co/v1", keys: ["HF_TOKEN", "HUGGINGFACE_API_KEY"],
            bases: ["HF_API_BASE", "HUGGINGFACE_API_BASE"]),
        entry(
            "hyperbolic", "https://api.hyperbolic.xyz/v1", keys: ["HYPERBOLIC_API_KEY"],
            bases: ["HYPERBOLIC_API_BASE"], endpoints: [.chat, .completions]),
        entry(
            "inception", "https://api.inceptionlabs.ai/v1", keys: ["INCEPTION_API_KEY"],
            bases: ["INCEPTION_API_BASE"]),
        entry(
            "lambda_ai", "https://api.lambda.ai/v1", keys: ["LAMBDA_API_KEY"], bases: ["LAMBDA_API_BASE"],
            endpoints: [.chat, .completions]),
        entry("meta_llama", "https://api.llama.com/compat/v1", keys: ["LLAMA_API_KEY"], bases: ["LLAMA_API_BASE"]),
        entry("minimax", "https://api.minimax.io/v1", keys: ["MINIMAX_API_KEY"], bases: ["MINIMAX_API_BASE"]),
        entry(
            "mistral", "https://api.mistral.ai/v1", keys: ["MISTRAL_API_KEY"], bases: ["MISTRAL_API_BASE"],
            endpoints: [.chat, .embeddings], streamUsage: .always),
        // Unasked, its usage stands inside the last choice, where only its own clients look.
        entry(
            "moonshot", "https://api.moonshot.ai/v1", keys: ["MOONSHOT_API_KEY"], bases: ["MOONSHOT_API_BASE"]),
        entry("morph", "https://api.morphllm.com/v1", keys: ["MORPH_API_KEY"], bases: ["MORPH_API_BASE"]),
        entry(
            "nebius", "https://api.studio.nebius.ai/v1", keys: ["NEBIUS_API_KEY"], bases: ["NEBIUS_API_BASE"],
            endpoints: .all),
        entry(
            "novita", "https://api.novita.ai/v3/openai", keys: ["NOVITA_API_KEY"], bases: ["NOVITA_API_BASE"],
            endpoints: .all),
        entry("nscale", "https://inference.api.nscale.com/v1", keys: ["NSCALE_API_KEY"], bases: ["NSCALE_API_BASE"]),
        entry(
            "nvidia_nim", "https://integrate.api.nvidia.com/v1", keys: ["NVIDIA_NIM_API_KEY", "NVIDIA_API_KEY"],
            bases: ["NVIDIA_NIM_API_BASE"], endpoints: .all),
        entry(
            "openrouter", "https://openrouter.ai/api/v1", keys: ["OPENROUTER_API_KEY", "OR_API_KEY"],
            bases: ["OPENROUTER_API_BASE"], endpoints: .all, costReport: .dollars, keepsResponses: false,
            also: [.openAIResponses, .anthropic]),
        entry(
            "perplexity", "https://api.perplexity.ai", keys: ["PERPLEXITYAI_API_KEY", "PERPLEXITY_API_KEY"],
            bases: ["PERPLEXITY_API_BASE"], streamUsage: .always, costReport: .dollars),
        entry(
            "sambanova", "https://api.sambanova.ai/v1", keys: ["SAMBANOVA_API_KEY"], bases: ["SAMBANOVA_API_BASE"],
            endpoints: [.chat, .embeddings]),
        entry(
            "scaleway", "https://api.scaleway.ai/v1", keys: ["SCW_SECRET_KEY"], bases: [],
            endpoints: [.chat, .embeddings]),
        entry(
            "together_ai", "https://api.together.xyz/v1",
            keys: ["TOGETHER_API_KEY", "TOGETHER_AI_API_KEY", "TOGETHERAI_API_KEY", "TOGETHER_AI_TOKEN"],
            bases: ["TOGETHER_AI_API_BASE"], endpoints: .all),
        entry("v0", "https://api.v0.dev/v1", keys: ["V0_API_KEY"], bases: ["V0_API_BASE"]),
        entry(
            "vercel_ai_gateway", "https://ai-gateway.vercel.sh/v1",
            keys: ["VERCEL_AI_GATEWAY_API_KEY", "VERCEL_OIDC_TOKEN"], bases: ["VERCEL_AI_GATEWAY_API_BASE"],
            endpoints: [.chat, .embeddings]),
        entry(
            "volcengine", "https://ark.cn-beijing.volces.com/api/v3", keys: ["VOLCENGINE_API_KEY", "ARK_API_KEY"],
            bases: ["VOLCENGINE_API_BASE"], endpoints: [.chat, .embeddings]),
        entry("wandb", "https://api.inference.wandb.ai/v1", keys: ["WANDB_API_KEY"], bases: ["WANDB_API_BASE"]),
        entry(
            "xai", "https://api.x.ai/v1", keys: ["XAI_API_KEY"], bases: ["XAI_API_BASE"],
            usageConvention: .reasoningOutsideCompletion, costReport: .ticks, also: .openAIResponses),
        entry(
            "zai", "https://api.z.ai/api/paas/v4", keys: ["ZAI_API_KEY"], bases: ["ZAI_API_BASE"],
            streamUsage: .always),
    ]

    private static let selfHosted: [Provider] = [
        entry("custom_openai", nil, keys: ["OPENAI_API_KEY"], bases: [], requiresKey: false, endpoints: .all),
        entry(
            "hosted_vllm", nil, keys: ["HOSTED_VLLM_API_KEY"], bases: ["HOSTED_VLLM_API_BASE"], requiresKey: false,
            endpoints: .all),
        entry(
            "litellm_proxy", nil, keys: ["LITELLM_PROXY_API_KEY"], bases: ["LITELLM_PROXY_API_BASE"],
            requiresKey: false, endpoints: .all, also: .openAIResponses),
        entry(
            "llamacpp", "http://localhost:8080/v1", keys: ["LLAMACPP_API_KEY"], bases: ["LLAMACPP_API_BASE"],
            requiresKey: false, endpoints: .all),
        entry(
            "llamafile", "http://127.0.0.1:8080/v1", keys: ["LLAMAFILE_API_KEY"], bases: ["LLAMAFILE_API_BASE"],
            requiresKey: false, endpoints: .all),
        entry(
            "lm_studio", "http://localhost:1234/v1", keys: ["LM_STUDIO_API_KEY"], bases: ["LM_STUDIO_API_BASE"],
            requiresKey: false, endpoints: .all),
        entry(
            "ollama", "http://localhost:11434/v1", keys: ["OLLAMA_API_KEY"], bases: ["OLLAMA_API_BASE"],
            requiresKey: false, endpoints: .all, requiredBaseSuffix: "/v1"),
        entry(
            "openai_like", nil, keys: ["OPENAI_LIKE_API_KEY"], bases: ["OPENAI_LIKE_API_BASE"], requiresKey: false,
            endpoints: .all),
        entry(
            "vllm", nil, keys: ["HOSTED_VLLM_API_KEY"], bases: ["HOSTED_VLLM_API_BASE"], requiresKey: false,
            endpoints: .all),
        entry(
            "xinference", nil, keys: ["XINFERENCE_API_KEY"], bases: ["XINFERENCE_API_BASE"], requiresKey: false,
            endpoints: [.chat, .embeddings]),
    ]

    private static let embeddingOnly: [Provider] = [
        entry(
            "jina_ai", "https://api.jina.ai/v1", keys: ["JINA_AI_API_KEY", "JINA_AI_TOKEN"], bases: [],
            endpoints: .embeddings),
        entry(
            "voyage", "https://api.voyageai.com/v1",
            keys: ["VOYAGE_API_KEY", "VOYAGE_AI_API_KEY", "VOYAGE_AI_TOKEN"], bases: [], endpoints: .embeddings),
    ]

    /// What is not named is the common case: a bearer key that is required, usage on request, OpenAI's counting.
    static func entry(
        _ name: String, _ defaultBaseURL: String?, keys: [String], bases: [String], requiresKey: Bool = true,
        endpoints: Provider.Endpoints = .chat, streamUsage: Provider.StreamUsage = .onRequest,
        usageConvention: Provider.UsageConvention = .inclusive, costReport: Provider.CostReport = .none,
        keepsResponses: Bool = true, requiredBaseSuffix: String? = nil, modelPrefix: String? = nil,
        also: WireFormatSet = []
    ) -> Provider {
        Provider(
            name: name, defaultBaseURL: defaultBaseURL, apiKeyVariables: keys, baseURLVariables: bases,
            requiresKey: requiresKey, authentication: .bearer, endpoints: endpoints, streamUsage: streamUsage,
            usageConvention: usageConvention, costReport: costReport, keepsResponses: keepsResponses,
            accept: "application/json",
            requiredBaseSuffix: requiredBaseSuffix, modelPrefix: modelPrefix, nativeFormats: also.union(.openAIChat))
    }
}
