import GatewayWire

extension Provider {
    /// The provider as it serves `model`, and the model's name there: clouds serve each maker's models by an API of
    /// their own, and LiteLLM's users write routes and regions before the name.
    package func variant(forModel model: String) -> (provider: Provider, model: String) {
        switch self.name {
        case "vertex_ai", "vertex_ai_beta": self.vertexVariant(model)
        case "bedrock", "bedrock_converse": self.bedrockVariant(model)
        case "azure_ai" where model.lowercased().contains("claude"): (self.azureAnthropic, model)
        case "azure", "openai": self.openAIVariant(model)
        default: (self, model)
        }
    }

    private func vertexVariant(_ model: String) -> (provider: Provider, model: String) {
        if let rest = model.withoutPrefix("gemini/") { return (self, rest) }
        if let rest = model.withoutPrefix("google/") { return (self, rest) }
        var provider = self
        if model.hasPrefix("claude") || model.hasPrefix("anthropic/") {
            provider.chatFormat = .anthropic
            provider.nativeFormats = .anthropic
            provider.pathStyle = .vertexAnthropic
            provider.sendsModelInBody = false
            provider.anthropicVersionInBody = "vertex-2023-10-16"
            return (provider, model.withoutPrefix("anthropic/") ?? model)
        }
        // Models of other makers are written MAKER/MODEL.
        if model.utf8.contains(UInt8(ascii: "/")) {
            provider.chatFormat = .openAIChat
            provider.nativeFormats = .openAIChat
            provider.pathStyle = .vertexOpenAI
        }
        return (provider, model)
    }

    private func bedrockVariant(_ model: String) -> (provider: Provider, model: String) {
        var provider = self
        var name = model
        if let rest = name.withoutPrefix("converse/") { name = rest }
        let isInvoke = name.hasPrefix("invoke/")
        if let rest = name.withoutPrefix("invoke/") { name = rest }
        if let slash = name.firstIndex(of: "/"), Self.isRegion(name[..<slash]) {
            provider.placement.region = String(name[..<slash])
            name = String(name[name.index(after: slash)...])
        } else if name.hasPrefix("arn:") {
            let fields = name.split(separator: ":", maxSplits: 4, omittingEmptySubsequences: false)
            if fields.count == 5, Self.isRegion(fields[3]) { provider.placement.region = String(fields[3]) }
        }
        if isInvoke, name.contains("anthropic.") || name.contains("claude") {
            provider.chatFormat = .anthropic
            provider.nativeFormats = .anthropic
            provider.pathStyle = .bedrockInvoke
            provider.sendsModelInBody = false
            provider.anthropicVersionInBody = "bedrock-2023-05-31"
        }
        return (provider, name)
    }

    private var azureAnthropic: Provider {
        var provider = self
        provider.chatFormat = .anthropic
        provider.nativeFormats = .anthropic
        provider.pathStyle = .azureAnthropic
        provider.authentication = .header("x-api-key")
        provider.headers = ProviderTable.anthropicHeaders
        return provider
    }

    private func openAIVariant(_ model: String) -> (provider: Provider, model: String) {
        if let rest = model.withoutPrefix("responses/") {
            var provider = self
            provider.chatFormat = .openAIResponses
            provider.nativeFormats = .openAIResponses
            return (provider, rest)
        }
        if self.name == "azure" {
            return (self, model.withoutPrefix("o_series/") ?? model.withoutPrefix("gpt5_series/") ?? model)
        }
        return (self, model)
    }

    /// `us-east-1`, `us-gov-west-1`: letters and dashes, then a digit.
    private static func isRegion(_ text: Substring) -> Bool {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard (3...4).contains(parts.count), parts[0].utf8.count == 2, let last = parts.last else { return false }
        return parts.dropLast().allSatisfy { part in
            !part.isEmpty && part.utf8.allSatisfy { byte in (0x61...0x7A).contains(byte) }
        } && last.utf8.count == 1 && last.utf8.allSatisfy { byte in (0x30...0x39).contains(byte) }
    }
}

extension String {
    /// `nil`: it does not begin so, or nothing follows.
    fileprivate func withoutPrefix(_ prefix: String) -> String? {
        self.hasPrefix(prefix) && self.utf8.count > prefix.utf8.count ? String(self.dropFirst(prefix.count)) : nil
    }
}
