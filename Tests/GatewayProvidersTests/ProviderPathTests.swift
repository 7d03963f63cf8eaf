import GatewayProviders
import GatewayWire
import Testing

@Suite("A provider's path")
struct ProviderPathTests {
    /// One call: LiteLLM's model string, LiteLLM's parameters, the address it has to go to.
    struct Call: Sendable, CustomTestStringConvertible {
        var model: String
        var parameters: [String: String] = [:]
        var environment: [String: String] = [:]
        var isStream = false
        var format: WireFormat?
        var url: String

        var testDescription: String { self.url }
    }

    private static let plain: [Call] = [
        Call(model: "openai/gpt-4o", url: "https://api.openai.com/v1/chat/completions"),
        Call(model: "openai/gpt-4o", format: .openAIResponses, url: "https://api.openai.com/v1/responses"),
        Call(model: "groq/x", isStream: true, url: "https://api.groq.com/openai/v1/chat/completions"),
        Call(model: "openrouter/a/b", format: .anthropic, url: "https://openrouter.ai/api/v1/messages"),
        Call(model: "ollama/x", url: "http://localhost:11434/v1/chat/completions"),
        Call(model: "ollama_chat/x", url: "http://localhost:11434/api/chat"),
        Call(model: "ollama_chat/x", format: .openAIChat, url: "http://localhost:11434/v1/chat/completions"),
        Call(
            model: "ollama_chat/x", environment: ["OLLAMA_API_BASE": "http://h:1/v1/"], url: "http://h:1/api/chat"),
        Call(model: "anthropic/claude-x", url: "https://api.anthropic.com/v1/messages"),
        Call(model: "anthropic/claude-x", parameters: ["api_base": "http://h/v1"], url: "http://h/v1/messages"),
        Call(
            model: "anthropic/claude-x", parameters: ["api_base": "http://h/x/v1/messages/"],
            url: "http://h/x/v1/messages"),
        Call(model: "cohere/command-a", url: "https://api.cohere.com/v2/chat"),
        Call(model: "cohere_chat/command-a", parameters: ["api_base": "http://h/v2"], url: "http://h/v2/chat"),
        Call(
            model: "snowflake/x", environment: ["SNOWFLAKE_ACCOUNT_ID": "ORG-A"],
            url: "https://ORG-A.snowflakecomputing.com/api/v2/cortex/v1/chat/completions"),
        Call(
            model: "snowflake/x", parameters: ["api_base": "https://a.snowflakecomputing.com/api/v2"],
            url: "https://a.snowflakecomputing.com/api/v2/cortex/v1/chat/completions"),
    ]

    private static let google: [Call] = [
        Call(
            model: "gemini/gemini-2.5-pro",
            url: "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-pro:generateContent"),
        Call(
            model: "gemini/models/g", parameters: ["api_base": "http://h/v1beta/openai/"], isStream: true,
            url: "http://h/v1beta/models/g:streamGenerateContent?alt=sse"),
        Call(
            model: "vertex_ai/gemini-x", parameters: ["vertex_project": "p", "vertex_location": "europe-west4"],
            url: "https://europe-west4-aiplatform.googleapis.com/v1/projects/p/locations/europe-west4"
                + "/publishers/google/models/gemini-x:generateContent"),
        Call(
            model: "vertex_ai/gemini/42", environment: ["VERTEXAI_PROJECT": "p", "VERTEXAI_LOCATION": "global"],
            url: "https://aiplatform.googleapis.com/v1/projects/p/locations/global/endpoints/42:generateContent"),
        Call(
            model: "vertex_ai/gemini-x", isStream: true,
            url: "https://aiplatform.googleapis.com/v1beta1/publishers/google/models/gemini-x"
                + ":streamGenerateContent?alt=sse"),
        Call(
            model: "vertex_ai/claude-x@1", parameters: ["vertex_project": "p", "vertex_location": "us"],
            isStream: true,
            url: "https://aiplatform.us.rep.googleapis.com/v1/projects/p/locations/us/publishers/anthropic/models"
                + "/claude-x%401:streamRawPredict"),
        Call(
            model: "vertex_ai/meta/llama", parameters: ["vertex_project": "p"],
            url: "https://us-central1-aiplatform.googleapis.com/v1/projects/p/locations/us-central1/endpoints/openapi"
                + "/chat/completions"),
    ]

    private static let amazonAndMicrosoft: [Call] = [
        Call(
            model: "bedrock/us.anthropic.claude-x-v1:0", parameters: ["aws_region_name": "us-east-1"],
            url: "https://bedrock-runtime.us-east-1.amazonaws.com/model/us.anthropic.claude-x-v1%3A0/converse"),
        Call(
            model: "bedrock/eu-west-1/m", environment: ["AWS_REGION": "us-east-1"], isStream: true,
            url: "https://bedrock-runtime.eu-west-1.amazonaws.com/model/m/converse-stream"),
        Call(
            model: "bedrock/arn:aws:bedrock:us-gov-west-1:1:inference-profile/x",
            url: "https://bedrock-runtime.us-gov-west-1.amazonaws.com/model"
                + "/arn%3Aaws%3Abedrock%3Aus-gov-west-1%3A1%3Ainference-profile%2Fx/converse"),
        Call(
            model: "bedrock/invoke/anthropic.claude-x", isStream: true,
            url: "https://bedrock-runtime.us-west-2.amazonaws.com/model/anthropic.claude-x"
                + "/invoke-with-response-stream"),
        Call(
            model: "azure/my dep",
            parameters: ["api_base": "https://r.openai.azure.com/", "api_version": "2024-06-01"],
            url: "https://r.openai.azure.com/openai/deployments/my%20dep/chat/completions?api-version=2024-06-01"),
        Call(
            model: "azure/d", environment: ["AZURE_API_BASE": "http://r"], format: .openAIResponses,
            url: "http://r/openai/responses?api-version=2025-02-01-preview"),
        Call(
            model: "azure/d", parameters: ["api_base": "https://r.openai.azure.com/openai/v1/"],
            url: "https://r.openai.azure.com/openai/v1/chat/completions"),
        Call(
            model: "azure/d", parameters: ["api_base": "http://r", "api_version": "preview"], format: .openAIResponses,
            url: "http://r/openai/v1/responses?api-version=preview"),
        Call(
            model: "azure_ai/deepseek-r1", parameters: ["api_base": "https://r.services.ai.azure.com"],
            url: "https://r.services.ai.azure.com/models/chat/completions?api-version=2024-05-01-preview"),
        Call(
            model: "azure_ai/claude-x", parameters: ["api_base": "https://r.services.ai.azure.com/anthropic"],
            url: "https://r.services.ai.azure.com/anthropic/v1/messages"),
    ]

    @Test("leads where its maker's interface has the endpoint", arguments: plain + google + amazonAndMicrosoft)
    func address(call: Call) throws {
        let found = try Provider.resolve(modelString: call.model, customProvider: nil)
        let provider = found.provider.placed(
            parameter: { call.parameters[$0] }, environment: { call.environment[$0] })
        let base = try #require(
            provider.baseURL(configured: call.parameters["api_base"], environment: { call.environment[$0] }))
        let format = call.format ?? provider.chatFormat
        #expect(provider.nativeFormats.contains(format))
        let url = base + provider.path(for: format, model: found.modelAtProvider, isStream: call.isStream)
        #expect(url == call.url)
    }

    @Test("takes every provider's own format straight through", arguments: Provider.all)
    func native(provider: Provider) {
        #expect(provider.nativeFormats.contains(provider.chatFormat))
        let path = provider.path(for: provider.chatFormat, model: "a/b c:1", isStream: true)
        #expect(path.hasPrefix("/") && !path.contains(" "))
    }

    @Test("of embeddings lies in the shape of OpenAI")
    func embeddings() throws {
        let path = { (name: String) in try #require(Provider.named(name)).openAIPath("/embeddings", model: "m/n") }
        #expect(try path("openai") == "/embeddings")
        #expect(try path("gemini") == "/v1beta/openai/embeddings")
        #expect(try path("cohere") == "/compatibility/v1/embeddings")
        #expect(try path("azure") == "/openai/deployments/m%2Fn/embeddings?api-version=2025-02-01-preview")
    }

    @Test("counts tokens where the provider can")
    func countTokens() throws {
        let path = { (name: String, format: WireFormat) in
            try #require(Provider.named(name)).countTokensPath(for: format, model: "m:1")
        }
        #expect(try path("anthropic", .anthropic) == "/v1/messages/count_tokens")
        #expect(try path("gemini", .gemini) == "/v1beta/models/m%3A1:countTokens")
        #expect(try path("bedrock", .bedrock) == "/model/m%3A1/count-tokens")
        #expect(try path("openai", .openAIChat) == nil)
        #expect(try path("openrouter", .anthropic) == nil)
    }

    @Test("is called with the header that the provider wants")
    func authentication() throws {
        let name = { (provider: String, key: String) in
            try #require(Provider.named(provider)).authenticationHeader(key: key).name
        }
        #expect(try name("anthropic", "sk-ant-api03") == "x-api-key")
        #expect(try name("anthropic", "sk-ant-oat01") == "Authorization")
        #expect(try name("gemini", "k") == "x-goog-api-key")
        #expect(try name("vertex_ai", "AIzaX") == "x-goog-api-key")
        #expect(try name("vertex_ai", "ya29.x") == "Authorization")
        #expect(try name("azure", "k") == "api-key")
        #expect(try name("bedrock", "k") == "Authorization")
        #expect(Provider.named("anthropic")?.headers.first?.value == "2023-06-01")
    }

    @Test("of a cloud's model of another maker has that maker's format")
    func variants() throws {
        let resolve = { (model: String) in try Provider.resolve(modelString: model, customProvider: nil).provider }
        #expect(try resolve("vertex_ai/claude-x").chatFormat == .anthropic)
        #expect(try resolve("vertex_ai/claude-x").anthropicVersionInBody == "vertex-2023-10-16")
        #expect(try resolve("vertex_ai/gemini-x").chatFormat == .gemini)
        #expect(try resolve("vertex_ai/meta/x").chatFormat == .openAIChat)
        #expect(try resolve("bedrock/anthropic.claude-x").chatFormat == .bedrock)
        #expect(try resolve("bedrock/invoke/us.anthropic.claude-x").anthropicVersionInBody == "bedrock-2023-05-31")
        #expect(try resolve("bedrock/invoke/amazon.nova").chatFormat == .bedrock)
        #expect(try resolve("azure_ai/Claude-x").chatFormat == .anthropic)
        #expect(try resolve("azure/responses/d").chatFormat == .openAIResponses)
    }
}
