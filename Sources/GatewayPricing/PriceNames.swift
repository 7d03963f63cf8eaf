/// Under which names a model may stand in a LiteLLM-shaped price list.
enum PriceNames {
    struct Candidate: Hashable {
        let name: String
        /// Whether the name carries the provider; otherwise the entry's provider has to be of the same family, lest a
        /// model of one's own server named `gpt-4o` be charged OpenAI's price.
        let isQualified: Bool
    }

    /// At most a dozen, best first, each once.
    static func candidates(provider: String, model: String) -> [Candidate] {
        let family = self.family(of: provider)
        var result: [Candidate] = []
        func add(_ name: String, isQualified: Bool) {
            let candidate = Candidate(name: name, isQualified: isQualified)
            if !result.contains(candidate) { result.append(candidate) }
        }
        for form in [model] + self.reducedForms(family: family, model: model) {
            add("\(provider)/\(form)", isQualified: true)
            if family != provider { add("\(family)/\(form)", isQualified: true) }
            add(form, isQualified: false)
        }
        return result
    }

    /// Providers whose prices stand under one name: LiteLLM splits some by API or by kind of model.
    static func family(of provider: String) -> String {
        switch provider {
        case "text-completion-openai": return "openai"
        case "text-completion-codestral": return "codestral"
        case "cohere_chat": return "cohere"
        case "azure_text": return "azure"
        case "ollama_chat": return "ollama"
        case "ai21_chat": return "ai21"
        case "bedrock_converse": return "bedrock"
        case "vertex_ai_beta": return "vertex_ai"
        default: break
        }
        for root in ["vertex_ai", "fireworks_ai"] where provider.hasPrefix(root + "-") { return root }
        return provider
    }

    /// `model` without the region or version it carries, in the order to try. Only where the price is the same by the
    /// provider's own rules: an unknown dated snapshot is not taken for its family, its price may differ.
    private static func reducedForms(family: String, model: String) -> [String] {
        switch family {
        case "bedrock": self.bedrockForms(model)
        case "vertex_ai", "gemini": self.googleForms(model)
        case "openai": self.fineTuneBase(model).map { [$0] } ?? []
        case "azure":
            [self.fineTuneBase(model), self.dropping(["us/", "eu/", "global/", "global-standard/"], from: model)]
                .compactMap { $0 }
        case "fireworks_ai":
            model.hasPrefix("accounts/")
                ? [self.dropping(["accounts/fireworks/models/"], from: model)].compactMap { $0 }
                : ["accounts/fireworks/models/\(model)"]
        default: []
        }
    }

    /// `ft:gpt-4o-2024-08-06:org::id` is priced as `ft:gpt-4o-2024-08-06`.
    private static func fineTuneBase(_ model: String) -> String? {
        let parts = model.split(separator: ":", omittingEmptySubsequences: false)
        return parts.count > 2 && parts[0] == "ft" ? "ft:\(parts[1])" : nil
    }

    /// Takes off the API (`converse/`), a region (`us-east-1/`) and a cross-region prefix (`us.`), in this order.
    private static func bedrockForms(_ model: String) -> [String] {
        var forms: [String] = []
        var rest = model
        if let tail = self.dropping(["converse/", "invoke/", "converse_like/"], from: rest) {
            rest = tail
            forms.append(rest)
        }
        if let slash = rest.firstIndex(of: "/"), rest[..<slash].split(separator: "-").count >= 3 {
            rest = String(rest[rest.index(after: slash)...])
            forms.append(rest)
        }
        let geographies = ["us.", "eu.", "apac.", "global.", "us-gov.", "jp.", "au.", "ca.", "sa.", "me.", "af."]
        if let tail = self.dropping(geographies, from: rest) { forms.append(tail) }
        return forms
    }

    /// Takes off `@version`, then a stable version such as `-001`.
    private static func googleForms(_ model: String) -> [String] {
        var forms: [String] = []
        var rest = model
        if let at = rest.lastIndex(of: "@") {
            rest = String(rest[..<at])
            forms.append(rest)
        }
        let tail = rest.utf8.suffix(4)
        if tail.first == UInt8(ascii: "-"),
            tail.dropFirst().allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) })
        {
            forms.append(String(rest.dropLast(4)))
        }
        return forms
    }

    private static func dropping(_ prefixes: [String], from text: String) -> String? {
        for prefix in prefixes where text.hasPrefix(prefix) { return String(text.dropFirst(prefix.count)) }
        return nil
    }
}
