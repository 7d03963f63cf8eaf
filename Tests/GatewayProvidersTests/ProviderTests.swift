import GatewayCore
import GatewayProviders
import Testing

@Suite("The provider table")
struct ProviderTableTests {
    @Test("holds consistent entries", arguments: Provider.all)
    func consistent(provider: Provider) {
        #expect(Provider.named(provider.name) == provider)
        #expect(!provider.endpoints.isEmpty)
        #expect(!provider.requiresKey || !provider.apiKeyVariables.isEmpty)
        if let base = provider.defaultBaseURL {
            #expect(!base.hasSuffix("/"))
            #expect(base.hasPrefix("https://") || (base.hasPrefix("http://") && !provider.requiresKey))
        }
        for variable in provider.apiKeyVariables + provider.baseURLVariables {
            #expect(variable.utf8.allSatisfy { $0 == 0x5F || (0x30...0x39).contains($0) || (0x41...0x5A).contains($0) })
        }
        if let suffix = provider.requiredBaseSuffix { #expect(provider.defaultBaseURL?.hasSuffix(suffix) == true) }
    }

    @Test("is sorted and has each name once")
    func sorted() {
        let names = Provider.all.map(\.name)
        #expect(zip(names, names.dropFirst()).allSatisfy { $0 < $1 })
    }

    @Test(
        "has the providers of the contract",
        arguments: [
            "openai", "hosted_vllm", "ollama", "groq", "together_ai", "deepseek", "mistral", "xai", "openrouter",
            "fireworks_ai", "perplexity", "cerebras", "sambanova", "nvidia_nim", "moonshot", "zai", "dashscope",
            "databricks", "huggingface", "lm_studio", "llamafile", "vllm", "deepinfra", "openai_like",
            "custom_openai", "anyscale", "gemini", "anthropic", "azure", "azure_ai", "bedrock", "vertex_ai", "cohere",
            "cohere_chat", "ollama_chat", "snowflake", "llamacpp",
        ])
    func contract(name: String) { #expect(Provider.named(name)?.supports(.chatCompletion) == true) }
}

@Suite("A provider")
struct ProviderTests {
    private func provider(_ name: String) throws -> Provider { try #require(Provider.named(name)) }

    @Test("takes the configured address, then the environment, then its default")
    func baseURL() throws {
        let openAI = try self.provider("openai")
        let environment = ["OPENAI_BASE_URL": "", "OPENAI_API_BASE": "http://proxy/v1//"]
        #expect(openAI.baseURL(configured: "http://me/v1/", environment: { environment[$0] }) == "http://me/v1")
        #expect(openAI.baseURL(configured: nil, environment: { environment[$0] }) == "http://proxy/v1")
        #expect(openAI.baseURL(configured: nil, environment: { _ in nil }) == "https://api.openai.com/v1")
        #expect(try self.provider("hosted_vllm").baseURL(configured: nil, environment: { _ in nil }) == nil)
    }

    @Test(
        "Ollama is called by its OpenAI API whatever form its address has",
        arguments: ["http://h:11434", "http://h:11434/", "http://h:11434/v1", "http://h:11434/v1/"])
    func ollama(base: String) throws {
        #expect(try self.provider("ollama").baseURL(configured: base, environment: { _ in nil }) == "http://h:11434/v1")
    }

    @Test("takes the first key that is set and not empty")
    func key() throws {
        let together = try self.provider("together_ai")
        let environment = ["TOGETHER_API_KEY": "", "TOGETHERAI_API_KEY": "k"]
        #expect(together.apiKey(environment: { environment[$0] }) == "k")
        #expect(together.apiKey(environment: { _ in nil }) == nil)
        let header = together.authenticationHeader(key: "k")
        #expect(header.name == "Authorization" && header.value == "Bearer k")
        var other = together
        other.authentication = .header("api-key")
        #expect(other.authenticationHeader(key: "k").name == "api-key")
        #expect(other.authenticationHeader(key: "k").value == "k")
    }

    @Test("serves only what it serves")
    func endpoints() throws {
        #expect(try self.provider("openai").supports(.embedding))
        #expect(try !self.provider("groq").supports(.embedding))
        #expect(try !self.provider("voyage").supports(.chatCompletion))
    }
}

@Suite("A model string")
struct ModelStringTests {
    @Test(
        "names provider and model",
        arguments: [
            ("openai/gpt-4o", nil, "openai", "gpt-4o"), ("groq/llama-3.3-70b", nil, "groq", "llama-3.3-70b"),
            ("together_ai/meta-llama/Llama-3", nil, "together_ai", "meta-llama/Llama-3"),
            ("gpt-4o", nil, "openai", "gpt-4o"), ("o1", nil, "openai", "o1"), ("o4-mini", nil, "openai", "o4-mini"),
            ("text-embedding-3-small", nil, "openai", "text-embedding-3-small"),
            ("gpt-3.5-turbo-instruct", nil, "text-completion-openai", "gpt-3.5-turbo-instruct"),
            ("ft:gpt-4o-2024-08-06:o::i", nil, "openai", "ft:gpt-4o-2024-08-06:o::i"), ("*", nil, "openai", "*"),
            ("openai/*", nil, "openai", "*"), ("mine", "openai", "openai", "mine"),
            ("groq/x", "groq", "groq", "x"), ("meta/x", "openrouter", "openrouter", "meta/x"),
            ("gpt-4o", "", "openai", "gpt-4o"), ("hosted_vllm//data/model", nil, "hosted_vllm", "/data/model"),
            ("fireworks_ai/llama", nil, "fireworks_ai", "accounts/fireworks/models/llama"),
            ("fireworks_ai/accounts/me/models/x", nil, "fireworks_ai", "accounts/me/models/x"),
            ("fireworks_ai/*", nil, "fireworks_ai", "*"), ("claude-x", nil, "anthropic", "claude-x"),
            ("gemini-2.5-pro", nil, "vertex_ai", "gemini-2.5-pro"), ("command-r", nil, "cohere_chat", "command-r"),
            ("azure/my-gpt", nil, "azure", "my-gpt"), ("azure/o_series/mine", nil, "azure", "mine"),
            ("openai/responses/gpt-5", nil, "openai", "gpt-5"), ("bedrock/us-east-1/x", nil, "bedrock", "x"),
            ("bedrock/converse/us.x-v1:0", nil, "bedrock", "us.x-v1:0"), ("x/y", "azure", "azure", "x/y"),
            ("bedrock/arn:aws:bedrock:eu-west-1:1:p/x", nil, "bedrock", "arn:aws:bedrock:eu-west-1:1:p/x"),
            ("vertex_ai/claude-sonnet-4-5@20250929", nil, "vertex_ai", "claude-sonnet-4-5@20250929"),
            ("vertex_ai/meta/llama-4-maas", nil, "vertex_ai", "meta/llama-4-maas"),
        ] as [(String, String?, String, String)])
    func resolved(text: String, custom: String?, provider: String, model: String) throws {
        let found = try Provider.resolve(modelString: text, customProvider: custom)
        #expect(found.provider.name == provider)
        #expect(found.modelAtProvider == model)
    }

    @Test(
        "without a usable provider is refused with the mend",
        arguments: [
            ("", .modelMissing("")), ("openai/", .modelMissing("openai/")), ("mine", .providerMissing(model: "mine")),
            ("o", .providerMissing(model: "o")), ("o1x", .providerMissing(model: "o1x")),
            ("replicate/x", .notSupported("replicate")), ("watsonx/x", .notSupported("watsonx")),
            ("bedrock/us-east-1/", .modelMissing("bedrock/us-east-1/")),
            ("opanai/x", .unknownProvider("opanai", nearMatches: ["openai"])),
            ("Together/x", .unknownProvider("Together", nearMatches: ["together_ai"])),
            ("fireworks/x", .unknownProvider("fireworks", nearMatches: ["fireworks_ai"])),
            ("qqqqqqqqqq/x", .unknownProvider("qqqqqqqqqq", nearMatches: [])),
            ("/x", .unknownProvider("", nearMatches: [])),
        ] as [(String, ProviderError)])
    func refused(text: String, error: ProviderError) {
        #expect(throws: error) { try Provider.resolve(modelString: text, customProvider: nil) }
        #expect(error.message.hasSuffix("."))
    }

    @Test("of any shape is resolved or refused, never a crash", arguments: [1, 2] as [UInt64])
    func anything(seed: UInt64) {
        var state = seed
        for _ in 0..<1_000 {
            var text = ""
            for _ in 0..<Int(state >> 59) {
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                let letters = Array("openai/gro:q_-o1*. ü🙂/")
                text.append(letters[Int(state >> 33) % letters.count])
            }
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            if let found = try? Provider.resolve(modelString: text, customProvider: nil) {
                #expect(!found.modelAtProvider.isEmpty, "seed \(seed): \(text)")
            }
        }
    }
}
