extension Provider {
    /// The provider with this LiteLLM name. `nil`: not one that can be called.
    package static func named(_ name: String) -> Provider? { ProviderTable.byName[name] }

    /// All providers that can be called, sorted by name.
    package static var all: [Provider] { ProviderTable.all }

    /// Finds the provider of LiteLLM's `model`, as it serves that model, and the model's name there.
    ///
    /// - Parameters:
    ///   - modelString: `provider/model`, or a bare name of a model that is known to be OpenAI's.
    ///   - customProvider: `custom_llm_provider`; it wins, and its own prefix is taken off. `nil`: not configured.
    /// - Throws: `ProviderError`; the configuration is to be mended.
    package static func resolve(
        modelString: String, customProvider: String?
    ) throws(ProviderError) -> (provider: Provider, modelAtProvider: String) {
        if let customProvider, !customProvider.isEmpty {
            let prefix = customProvider + "/"
            let model = modelString.hasPrefix(prefix) ? String(modelString.dropFirst(prefix.count)) : modelString
            return try self.resolve(prefix: customProvider, model: model, modelString: modelString)
        }
        guard let slash = modelString.utf8.firstIndex(of: UInt8(ascii: "/")) else {
            guard !modelString.isEmpty else { throw .modelMissing(modelString) }
            guard let prefix = ProviderTable.provider(ofBareModel: modelString) else {
                throw .providerMissing(model: modelString)
            }
            return try self.resolve(prefix: prefix, model: modelString, modelString: modelString)
        }
        let model = String(modelString[modelString.index(after: slash)...])
        return try self.resolve(prefix: String(modelString[..<slash]), model: model, modelString: modelString)
    }

    private static func resolve(
        prefix: String, model: String, modelString: String
    ) throws(ProviderError) -> (provider: Provider, modelAtProvider: String) {
        guard let provider = self.named(prefix) else {
            if ProviderTable.notSupported.contains(prefix) { throw .notSupported(prefix) }
            throw .unknownProvider(prefix, nearMatches: ProviderTable.nearMatches(of: prefix))
        }
        guard !model.isEmpty else { throw .modelMissing(modelString) }
        guard model != "*" else { return (provider, model) }
        let variant = provider.variant(forModel: model)
        guard !variant.model.isEmpty else { throw .modelMissing(modelString) }
        guard let modelPrefix = provider.modelPrefix, !model.hasPrefix("accounts/") else {
            return (variant.provider, variant.model)
        }
        return (variant.provider, modelPrefix + variant.model)
    }
}
