extension ProviderTable {
    /// Providers of LiteLLM whose API is not spoken here, or that are no model providers; named so that a configuration
    /// that uses them is told so instead of being asked about a typing error.
    static let notSupported: Set<String> = [
        "a2a", "ai21", "aiml", "aleph_alpha", "amazon_nova", "anthropic_text", "assemblyai", "auto_router",
        "aws_polly", "azure_text", "bedrock_mantle", "black_forest_labs", "bytez", "chatgpt", "clarifai",
        "cloudflare", "custom", "datarobot", "deepgram", "docker_model_runner", "elevenlabs", "exa_ai", "fal_ai",
        "firecrawl", "gigachat", "github", "github_copilot", "gradient_ai", "heroku", "infinity", "langgraph",
        "lemonade", "maritalk", "milvus", "nlp_cloud", "nvidia_riva", "oci", "oobabooga", "ovhcloud", "palm",
        "petals", "pg_vector", "predibase", "recraft", "replicate", "runwayml", "sagemaker", "sagemaker_chat", "sap",
        "sarvam", "soniox", "stability", "tavily", "text-completion-codestral", "topaz", "triton", "watsonx",
        "watsonx_text",
    ]

    /// The provider of a model that LiteLLM's users write without a prefix. `nil`: not known by its name.
    /// The names follow each maker's own scheme, so that a model that is new today is found as well.
    static func provider(ofBareModel model: String) -> String? {
        if model == "*" { return "openai" }
        let openAIPrefixes = [
            "gpt-", "chatgpt-", "text-embedding-", "codex-", "computer-use-", "omni-moderation-", "text-moderation-",
            "dall-e-", "whisper-", "tts-", "sora-", "ft:gpt-", "ft:o1", "ft:o3", "ft:o4",
        ]
        if openAIPrefixes.contains(where: model.hasPrefix) || self.isReasoningModel(model) {
            return model.hasPrefix("gpt-3.5-turbo-instruct") ? "text-completion-openai" : "openai"
        }
        let completionModels = ["davinci-002", "babbage-002", "ft:davinci-002", "ft:babbage-002"]
        if completionModels.contains(model) { return "text-completion-openai" }
        if model.hasPrefix("claude-") { return "anthropic" }
        if model.hasPrefix("gemini-") { return "vertex_ai" }
        if model.hasPrefix("command-") || model == "command" { return "cohere_chat" }
        return nil
    }

    /// `o1`, `o3-mini`, `o4-mini-2025-04-16`: an "o", digits, then the end or a dash.
    private static func isReasoningModel(_ model: String) -> Bool {
        guard model.utf8.first == UInt8(ascii: "o") else { return false }
        let rest = model.utf8.dropFirst()
        let digits = rest.prefix { $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }
        guard !digits.isEmpty, digits.count <= 2 else { return false }
        let next = rest.dropFirst(digits.count).first
        return next == nil || next == UInt8(ascii: "-")
    }

    /// Known prefixes that look like `prefix`: at most three, best first, then by name.
    static func nearMatches(of prefix: String) -> [String] {
        let wanted = self.folded(prefix)
        // A prefix that is a whole model path or worse is no typing error.
        guard !wanted.isEmpty, wanted.count <= 40 else { return [] }
        let ranked = self.all.map(\.name).compactMap { name -> (distance: Int, name: String)? in
            let known = self.folded(name)
            let isPart = wanted.count >= 3 && (known.starts(with: wanted) || wanted.starts(with: known))
            let distance = isPart ? 1 : self.editDistance(wanted, known)
            return distance <= max(1, min(wanted.count, known.count) / 3) ? (distance, name) : nil
        }
        return ranked.sorted { ($0.distance, $0.name) < ($1.distance, $1.name) }.prefix(3).map(\.name)
    }

    /// Lower case, without separators: `Together-AI` and `together_ai` are the same.
    private static func folded(_ name: String) -> [UInt8] {
        name.lowercased().utf8.filter { $0 != UInt8(ascii: "_") && $0 != UInt8(ascii: "-") && $0 != UInt8(ascii: ".") }
    }

    /// Levenshtein's distance, by rows.
    private static func editDistance(_ a: [UInt8], _ b: [UInt8]) -> Int {
        var row = Array(0...b.count)
        for (i, x) in a.enumerated() {
            var diagonal = row[0]
            row[0] = i + 1
            for (j, y) in b.enumerated() {
                let substituted = diagonal + (x == y ? 0 : 1)
                diagonal = row[j + 1]
                row[j + 1] = min(substituted, row[j] + 1, row[j + 1] + 1)
            }
        }
        return row[b.count]
    }
}
