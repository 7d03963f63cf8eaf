import GatewayCore
import GatewayPricing
import TestSupport
import Testing

@Suite("The shipped price catalogue", .ownThread)
struct PriceCatalogueTests {
    @Test("has lines that all parse, print as they stand, and are found by name")
    func everyLine() {
        var names: [String] = []
        PriceCatalogue.shipped.forEachEntry { line, text, entry in
            switch entry {
            case .success(let price):
                if price.catalogueLine != text { Issue.record("line \(line) prints as \(price.catalogueLine)") }
                if PriceCatalogue.shipped.entry(named: price.name) != price { Issue.record("line \(line) not found") }
                names.append(price.name)
            case .failure(let error): Issue.record("\(error.message)")
            }
        }
        #expect(names.count > 4_000)
        let keys = names.map { Array($0.utf8) }
        #expect(zip(keys, keys.dropFirst()).allSatisfy { $0.lexicographicallyPrecedes($1) }, "sorted, no duplicates")
    }

    @Test("parses as a user's file and gives the same prices")
    func asUserFile() throws {
        var lines: [String] = []
        PriceCatalogue.shipped.forEachEntry { _, text, _ in lines.append(text) }
        let text = "#martlet-prices 1 \(PriceCatalogue.shipped.version)\n" + lines.reversed().joined(separator: "\n")
        let user = try PriceCatalogue.parse(text: text)
        var index = 0
        user.forEachEntry { _, line, _ in
            if line != lines[index] { Issue.record("\(line)") }
            index += 1
        }
        #expect(index == lines.count)
    }

    @Test(
        "knows models of every big provider",
        arguments: [
            ("openai", "gpt-4o-mini"), ("openai", "text-embedding-3-small"), ("openai", "gpt-image-1"),
            ("text-completion-openai", "gpt-3.5-turbo-instruct"), ("openai", "whisper-1"), ("openai", "tts-1"),
            ("azure", "gpt-4o"), ("anthropic", "claude-sonnet-4-5"), ("gemini", "gemini-2.5-pro"),
            ("vertex_ai", "gemini-2.5-pro"), ("mistral", "mistral-large-latest"), ("deepseek", "deepseek-chat"),
            ("groq", "openai/gpt-oss-120b"), ("xai", "grok-4.3"), ("perplexity", "sonar"),
            ("together_ai", "meta-llama/Llama-3.3-70B-Instruct-Turbo"), ("voyage", "voyage-3.5"),
            ("fireworks_ai", "deepseek-v3"), ("cohere", "command-r-plus-08-2024"),
            ("bedrock", "anthropic.claude-sonnet-4-5-20250929-v1:0"), ("bedrock", "us.amazon.nova-lite-v1:0"),
            ("bedrock_converse", "amazon.nova-lite-v1:0"), ("vertex_ai", "claude-sonnet-4-5@20250929"),
            ("vertex_ai_beta", "gemini-2.5-pro"), ("azure_ai", "claude-opus-4-8"), ("cohere_chat", "command-a-03-2025"),
            ("ollama_chat", "llama3.1"), ("snowflake", "claude-sonnet-4-5"), ("moonshot", "kimi-k2.6"),
            ("zai", "glm-4.6"), ("dashscope", "qwen-max"), ("cerebras", "gpt-oss-120b"),
            ("sambanova", "DeepSeek-R1"), ("databricks", "databricks-claude-sonnet-4-5"),
        ])
    func coverage(provider: String, model: String) {
        #expect(PriceCatalogue.shipped.price(provider: provider, model: model) != nil)
    }

    @Test("does not know what it does not hold", arguments: ["", "!", "gpt-4", "gpt-4o ", "zzzz", "~", "\u{10FFFF}"])
    func absent(name: String) {
        // `gpt-4` is a start of many names and may be an entry of its own.
        let entry = PriceCatalogue.shipped.entry(named: name)
        #expect(entry == nil || entry?.name == name)
        #expect(PriceCatalogue.shipped.entry(named: name + "\t") == nil)
        #expect(PriceCatalogue.shipped.entry(named: "gpt-4o\topenai") == nil)
    }

    @Test("has a version")
    func version() { #expect(!PriceCatalogue.shipped.version.isEmpty) }
}

@Suite("The lookup of a price", .ownThread)
struct PriceLookupTests {
    private func catalogue(_ entries: (name: String, provider: String)...) throws -> PriceCatalogue {
        let lines = entries.map { "\($0.name)\t\($0.provider)\tchat\t-\t-\tinput=1" }
        return try PriceCatalogue.parse(text: (["#martlet-prices 1 t"] + lines).joined(separator: "\n"))
    }

    @Test("prefers provider/model over the bare name")
    func qualifiedFirst() throws {
        let catalogue = try self.catalogue(("m", "groq"), ("groq/m", "groq"))
        #expect(catalogue.price(provider: "groq", model: "m")?.name == "groq/m")
    }

    @Test("takes a bare name only from the same provider's family")
    func family() throws {
        let catalogue = try self.catalogue(
            ("gpt-4o", "openai"), ("gemini-x", "vertex_ai-language-models"), ("command-r", "cohere_chat"))
        #expect(catalogue.price(provider: "openai", model: "gpt-4o") != nil)
        #expect(catalogue.price(provider: "text-completion-openai", model: "gpt-4o") != nil)
        #expect(catalogue.price(provider: "hosted_vllm", model: "gpt-4o") == nil)
        #expect(catalogue.price(provider: "ollama", model: "gpt-4o") == nil)
        #expect(catalogue.price(provider: "vertex_ai", model: "gemini-x") != nil)
        #expect(catalogue.price(provider: "gemini", model: "gemini-x") == nil)
        #expect(catalogue.price(provider: "cohere", model: "command-r") != nil)
    }

    @Test(
        "strips the region or version that a name carries",
        arguments: [
            ("bedrock", "us.anthropic.c-v1:0", "anthropic.c-v1:0"),
            ("bedrock", "converse/us-east-1/anthropic.c-v1:0", "anthropic.c-v1:0"),
            ("vertex_ai", "claude-x@20250929", "claude-x"), ("gemini", "gemini-y-001", "gemini/gemini-y"),
            ("openai", "ft:gpt-4o-2024-08-06:org::id", "ft:gpt-4o-2024-08-06"), ("azure", "eu/gpt-4o", "azure/gpt-4o"),
            ("fireworks_ai", "short", "fireworks_ai/accounts/fireworks/models/short"),
            ("fireworks_ai", "accounts/fireworks/models/plain", "fireworks_ai/plain"),
        ])
    func stripped(provider: String, model: String, expected: String) throws {
        let catalogue = try self.catalogue(
            ("anthropic.c-v1:0", "bedrock_converse"), ("claude-x", "vertex_ai-anthropic_models"),
            ("gemini/gemini-y", "gemini"), ("ft:gpt-4o-2024-08-06", "openai"), ("azure/gpt-4o", "azure"),
            ("fireworks_ai/accounts/fireworks/models/short", "fireworks_ai"), ("fireworks_ai/plain", "fireworks_ai"))
        #expect(catalogue.price(provider: provider, model: model)?.name == expected)
    }

    @Test("does not guess the price of an unknown snapshot")
    func snapshots() throws {
        let catalogue = try self.catalogue(("gpt-4o", "openai"))
        #expect(catalogue.price(provider: "openai", model: "gpt-4o-2031-01-01") == nil)
    }
}
