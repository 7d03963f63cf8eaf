import GatewayProviders
import GatewayRouting

/// The configuration without a file: every provider whose key (or server's address) is in the environment becomes a
/// wildcard group `provider/*`; OpenAI also serves bare names; with none there is the built-in demo model.
struct EnvironmentModels {
    let environment: [String: String]

    func settings(into diagnostics: inout DiagnosticCollector) -> Settings {
        var deployments: [DeploymentConfiguration] = []
        var providers: [String: Provider] = [:]
        for provider in Provider.all {
            let provider = provider.placed(parameter: { _ in nil }, environment: { self.environment[$0] })
            guard self.isConfigured(provider) else { continue }
            guard let deployment = self.deployment(provider, into: &diagnostics) else { continue }
            deployments.append(deployment)
            providers[deployment.deploymentID] = provider
            guard provider.name == "openai" else { continue }
            var bare = deployment
            bare.modelGroup = "*"
            bare.deploymentID = "environment-openai-any"
            providers[bare.deploymentID] = provider
            deployments.append(bare)
        }
        self.reportUnused(hasModels: !deployments.isEmpty, into: &diagnostics)
        if deployments.isEmpty { deployments = [Self.demo] }
        let routing = RoutingConfiguration(
            deployments: deployments, aliases: [], retriesMax: RoutingReader.retriesDefault,
            fallbacks: [],
            cooldown: RoutingReader.cooldownDefault)
        var settings = Settings(routing: routing)
        settings.providers = providers
        for deployment in deployments {
            settings.prices[deployment.deploymentID] = DeploymentPrice(
                provider: deployment.provider, model: deployment.model, override: nil)
            settings.modelInfo[deployment.deploymentID] = ModelInfo(
                mode: deployment.answer == nil ? nil : "chat")
        }
        return settings
    }

    /// A deployment of each provider whose key is in the environment, and the providers by its identifier. Faults of
    /// the environment are told of where it is the only configuration.
    func passThrough() -> [(deployment: DeploymentConfiguration, provider: Provider)] {
        Provider.all.compactMap { provider in
            let provider = provider.placed(parameter: { _ in nil }, environment: { self.environment[$0] })
            var ignored = DiagnosticCollector()
            guard self.isConfigured(provider), let deployment = self.deployment(provider, into: &ignored) else {
                return nil
            }
            return (deployment, provider)
        }
    }

    /// A key that is set but serves nothing is worth a word: its owner expects models.
    private func reportUnused(hasModels: Bool, into diagnostics: inout DiagnosticCollector) {
        let used = Set(Provider.all.filter { self.isConfigured($0) }.flatMap(\.apiKeyVariables))
        for name in Self.nativeKeyVariables
        where !used.contains(name) && !(self.environment[name] ?? "").isEmpty {
            diagnostics.warning(
                .environment, name, "\(name) is set, but its provider is not supported, or needs an address besides",
                mend: hasModels
                    ? nil : "only the demo model is served; set AZURE_API_BASE for Azure, or another supported key")
        }
    }

    private static let nativeKeyVariables = [
        "ANTHROPIC_API_KEY", "AZURE_API_KEY", "AZURE_OPENAI_API_KEY", "COHERE_API_KEY",
        "GEMINI_API_KEY",
        "GOOGLE_API_KEY", "REPLICATE_API_KEY",
    ]

    /// Two providers may share a variable (a shared key is no sign of which is meant), but each has its own name, so
    /// both become groups and the caller's model picks.
    private func isConfigured(_ provider: Provider) -> Bool {
        let hasBase = provider.baseURLVariables.contains { !(self.environment[$0] ?? "").isEmpty }
        let hasKey = provider.apiKey(environment: { self.environment[$0] }) != nil
        if provider.requiresKey { return hasKey && (hasBase || provider.defaultBaseURL != nil) }
        return hasBase || (hasKey && provider.defaultBaseURL != nil)
    }

    private func deployment(
        _ provider: Provider, into diagnostics: inout DiagnosticCollector
    ) -> DeploymentConfiguration? {
        let lookUp = { (name: String) in self.environment[name] }
        guard let url = provider.baseURL(configured: nil, environment: lookUp) else { return nil }
        let address: UpstreamAddress
        do throws(UpstreamURL.Fault) {
            address = try UpstreamURL.parse(url)
        } catch {
            let names = provider.baseURLVariables.joined(separator: " or ")
            diagnostics.error(.environment, names, "\(names): \(error.message)", mend: error.mend)
            return nil
        }
        let key = provider.apiKey(environment: lookUp)
        if let key, !HeaderReader.isValue(key) {
            let names = provider.apiKeyVariables.joined(separator: " or ")
            diagnostics.error(
                .environment, names, "the key in \(names) cannot be sent in a header",
                mend: "remove line breaks, blanks at its ends and control characters")
            return nil
        }
        let header = key.map { provider.authenticationHeader(key: $0) }
        let defaults = RoutingDefaults(
            root: ConfigurationNode(content: .mapping([]), position: .environment),
            environment: self.environment)
        let verifies = defaults.verifyTLS?.boolean
        return DeploymentConfiguration(
            modelGroup: "\(provider.name)/*", provider: provider.name, model: "*",
            deploymentID: "environment-\(provider.name)", address: address,
            authentication: header.map { (header: $0.name, value: Secret($0.value)) }, extraHeaders: [],
            weight: 1,
            limits: DeploymentLimits(
                inFlightMax: nil, waitingMax: nil, totalTimeout: nil, streamTimeout: nil),
            streamUsage: StreamUsageSupport(provider.streamUsage), answer: nil,
            verifiesTLS: verifies ?? true,
            authorityFile: verifies == nil ? defaults.verifyTLS?.text : nil)
    }

    static let demo = DeploymentConfiguration(
        modelGroup: "demo", provider: "martlet", model: "demo", deploymentID: "demo", address: nil,
        authentication: nil,
        extraHeaders: [], weight: 1,
        limits: DeploymentLimits(
            inFlightMax: nil, waitingMax: nil, totalTimeout: nil, streamTimeout: nil),
        streamUsage: .always, answer: .demo, verifiesTLS: true, authorityFile: nil)
}
