/// Which providers serve images, audio, moderation and rerank, in OpenAI's or Cohere's shape: LiteLLM's table of
/// endpoints, and the providers' own API pages.
extension ProviderTable {
    private static let otherEndpoints: [String: Provider.Endpoints] = [
        "openai": .media,
        "azure": [.images, .imageEdits, .speech, .transcriptions],
        "azure_ai": .rerank,
        "cohere": .rerank,
        "cohere_chat": .rerank,
        "deepinfra": [.images, .speech, .transcriptions],
        "fireworks_ai": .rerank,
        "gemini": .images,
        "groq": [.speech, .transcriptions],
        "jina_ai": .rerank,
        "mistral": [.moderations, .speech, .transcriptions],
        "novita": .rerank,
        "nscale": .images,
        "scaleway": .transcriptions,
        "together_ai": [.images, .rerank],
        "voyage": .rerank,
        "xai": .images,
        // What a server of one's own has, only its owner knows.
        "custom_openai": [.media, .rerank],
        "hosted_vllm": [.media, .rerank],
        "litellm_proxy": [.media, .rerank],
        "llamacpp": [.media, .rerank],
        "llamafile": [.media, .rerank],
        "lm_studio": [.media, .rerank],
        "openai_like": [.media, .rerank],
        "vllm": [.media, .rerank],
        "xinference": [.media, .rerank],
    ]

    static func withOtherEndpoints(_ provider: Provider) -> Provider {
        var provider = provider
        provider.endpoints.formUnion(self.otherEndpoints[provider.name] ?? [])
        return provider
    }
}
