import GatewayControlPlane
import GatewayCore
import GatewayProviders
import GatewayRouting

/// Reads `litellm_params` of one entry.
struct ParameterReader {
    /// Where calls of a deployment go.
    struct Target {
        var provider: String
        var model: String
        var answer: BuiltInAnswer?
        /// `nil`: with a built-in answer, when the prefix is not one of ours.
        var definition: Provider?
    }

    let parameters: ConfigurationNode
    let keyPath: String
    let defaults: RoutingDefaults
    let environment: [String: String]

    /// `nil`: a diagnostic says why.
    func target(group: String?, into diagnostics: inout DiagnosticCollector) -> Target? {
        guard let node = self.parameters["model"], let model = node.scalar else {
            if self.parameters["model"] == nil {
                diagnostics.error(
                    self.parameters.position, "\(self.keyPath).model", "litellm_params has no model",
                    mend: "write provider/model, such as openai/gpt-4o")
            }
            return nil
        }
        if let fault = ModelName.fault(of: model.text) {
            diagnostics.error(
                node.position, "\(self.keyPath).model", "model \(fault.problem)", mend: fault.mend)
            return nil
        }
        if let group, ModelName.wildcards(in: model.text) > ModelName.wildcards(in: group) {
            diagnostics.error(
                node.position, "\(self.keyPath).model", "model holds `*`, but model_name does not",
                mend: "put `*` into model_name too, or name one model")
            return nil
        }
        let answer = self.answer(into: &diagnostics)
        let custom = self.parameters["custom_llm_provider"]?.scalar
        if model.text == "*", custom == nil, answer == nil {
            diagnostics.warning(
                node.position, "\(self.keyPath).model",
                "model `*` goes to OpenAI, whatever provider a caller names",
                mend: "write openai/* to say so, and an entry such as groq/* for each other provider")
        }
        do throws(ProviderError) {
            let (provider, name) = try Provider.resolve(
                modelString: model.text, customProvider: custom?.text)
            return Target(
                provider: provider.name, model: name, answer: answer,
                definition: self.placed(provider))
        } catch {
            // A built-in answer needs no provider that can be called, only a name for the ledger.
            if answer != nil { return Self.unresolved(model.text, custom: custom?.text, answer: answer) }
            let isShown =
                !model.isFromEnvironment && model.quoted.hasPrefix("\"")
                && !(custom?.isFromEnvironment ?? false)
            diagnostics.error(
                node.position, "\(self.keyPath).model",
                isShown
                    ? Self.lowercasedStart(error.message) : "the model names no provider that can be called",
                mend: isShown ? nil : "write provider/model, such as openai/gpt-4o")
            return nil
        }
    }

    private func placed(_ provider: Provider) -> Provider {
        var placed = provider.placed(
            parameter: { self.parameters[$0]?.scalar?.text }, environment: { self.environment[$0] })
        if placed.signing == .googleServiceAccount, placed.placement.project == nil, self.parameters["api_key"] == nil {
            placed.placement.project = CredentialReader.googleProject(
                parameters: self.parameters, environment: self.environment)
        }
        return placed
    }

    private static func lowercasedStart(_ sentence: String) -> String {
        let text = sentence.hasSuffix(".") ? sentence.dropLast() : sentence[...]
        return text.prefix(1).lowercased() + text.dropFirst()
    }

    private static func unresolved(_ model: String, custom: String?, answer: BuiltInAnswer?) -> Target {
        let parts = model.split(separator: "/", maxSplits: 1)
        if let custom { return Target(provider: custom, model: model, answer: answer, definition: nil) }
        guard parts.count == 2 else {
            return Target(provider: "openai", model: model, answer: answer, definition: nil)
        }
        return Target(
            provider: String(parts[0]), model: String(parts[1]), answer: answer, definition: nil)
    }

    private func answer(into diagnostics: inout DiagnosticCollector) -> BuiltInAnswer? {
        guard let node = self.parameters["mock_response"], let text = node.scalar?.text else {
            return nil
        }
        if text.hasPrefix("litellm."), text.hasSuffix("Error") {
            diagnostics.error(
                node.position, "\(self.keyPath).mock_response",
                "mock_response cannot raise errors in this version",
                mend: "write the text of an answer")
            return nil
        }
        return .text(text)
    }

    func deployment(
        group: String, target: Target, identifier: String, into diagnostics: inout DiagnosticCollector
    ) -> DeploymentConfiguration {
        let needsProvider = target.answer == nil
        let tls = self.tls
        var headers = HeaderReader(keyPath: self.keyPath).headers(
            of: self.parameters, into: &diagnostics)
        if let organization = self.parameters["organization"], let text = organization.scalar?.text {
            if HeaderReader.isValue(text) {
                headers.append((name: "OpenAI-Organization", value: text))
            } else {
                diagnostics.error(
                    organization.position, "\(self.keyPath).organization",
                    "organization cannot be sent in a header",
                    mend: "remove line breaks and control characters")
            }
        }
        let credential =
            needsProvider
            ? self.credential(target, authorityFile: tls.authorityFile, into: &diagnostics) : Credential()
        var deployment = DeploymentConfiguration(
            modelGroup: group, provider: target.provider, model: target.model, deploymentID: identifier,
            address: needsProvider ? self.address(target, into: &diagnostics) : nil,
            authentication: credential.authentication,
            extraHeaders: headers, weight: 1, limits: self.limits,
            streamUsage: StreamUsageSupport(target.definition?.streamUsage ?? .onRequest),
            answer: target.answer,
            verifiesTLS: tls.verifies, authorityFile: tls.authorityFile)
        deployment.awsKeyPair = credential.keyPair
        deployment.credentialRecipe = credential.recipe
        deployment.servesPassThrough = self.parameters["use_in_pass_through"]?.scalar?.boolean ?? false
        deployment.dropsUnsupported =
            self.parameters["drop_params"]?.scalar?.boolean ?? self.defaults.dropsUnsupported
        if let limit = self.parameters["max_budget"] {
            deployment.budgets =
                self.defaults.governance.budget(
                    limit, period: self.parameters["budget_duration"], "\(self.keyPath).max_budget", into: &diagnostics
                ).map { [$0] } ?? []
        }
        if self.defaults.enforcesRates { deployment.rates = self.rates }
        return deployment
    }

    /// 0 is none, as for LiteLLM.
    private var rates: [LimitRule] {
        [("rpm", LimitTerms.Unit.requests), ("tpm", .tokens)].compactMap { name, unit in
            guard let value = self.parameters[name]?.scalar?.number, value >= 1 else { return nil }
            return LimitRule(unit: unit, window: .minute, value: Int64(min(value, 1e12)))
        }
    }

    private var limits: DeploymentLimits {
        DeploymentLimits(
            inFlightMax: self.parameters["max_parallel_requests"]?.scalar?.integer
                ?? self.defaults.inFlightMax,
            waitingMax: nil, totalTimeout: self.parameters["timeout"]?.seconds,
            streamTimeout: self.parameters["stream_timeout"]?.seconds ?? self.defaults.streamTimeout)
    }

    private var tls: (verifies: Bool, authorityFile: String?) {
        guard let scalar = self.parameters["ssl_verify"]?.scalar ?? self.defaults.verifyTLS else {
            return (true, nil)
        }
        guard let verifies = scalar.boolean else { return (true, scalar.text) }
        return (verifies, nil)
    }

    private func address(_ target: Target, into diagnostics: inout DiagnosticCollector)
        -> UpstreamAddress?
    {
        let node = self.parameters["api_base"] ?? self.parameters["base_url"]
        let name = self.parameters["api_base"] == nil ? "base_url" : "api_base"
        let position = node?.position ?? self.parameters.position
        guard let provider = target.definition else { return nil }
        guard
            let url = provider.baseURL(
                configured: node?.scalar?.text, environment: { self.environment[$0] })
        else {
            diagnostics.error(
                position, "\(self.keyPath).api_base", "the provider \(provider.name) needs api_base",
                mend: "add the URL of your server, such as http://127.0.0.1:8000/v1")
            return nil
        }
        do throws(UpstreamURL.Fault) {
            return try UpstreamURL.parse(url)
        } catch {
            let origin = node == nil ? "the provider's base URL in the environment: " : "\(name): "
            diagnostics.error(
                position, "\(self.keyPath).\(name)", origin + error.message, mend: error.mend)
            return nil
        }
    }

    /// How calls prove who makes them.
    private struct Credential {
        var authentication: (header: String, value: Secret)?
        var keyPair: AWSKeyPair?
        var recipe: CredentialRecipe?
    }

    private func credential(
        _ target: Target, authorityFile: String?, into diagnostics: inout DiagnosticCollector
    ) -> Credential {
        guard let provider = target.definition else { return Credential() }
        let reader = CredentialReader(
            provider: provider, parameters: self.parameters, keyPath: self.keyPath, environment: self.environment)
        let node = self.parameters["api_key"]
        var finding: CredentialReader.Finding?
        var key = node?.scalar?.text
        if key == nil { finding = reader.own(into: &diagnostics) }
        if key == nil, finding == nil { key = provider.apiKey(environment: { self.environment[$0] }) }
        if key == nil, finding == nil { finding = reader.ambient(into: &diagnostics) }
        switch finding {
        case .recipe(let source)?:
            return Credential(recipe: CredentialRecipe(source, authorityFile: authorityFile))
        case .keys(let pair)?: return Credential(keyPair: pair)
        case .token(let token)?:
            return Credential(authentication: (header: "Authorization", value: Secret("Bearer \(token)")))
        case .faulty?: return Credential()
        case nil: return Credential(authentication: self.authentication(key, of: provider, into: &diagnostics))
        }
    }

    private func authentication(
        _ key: String?, of provider: Provider, into diagnostics: inout DiagnosticCollector
    ) -> (header: String, value: Secret)? {
        guard let key else {
            guard provider.requiresKey || provider.signing != .none else { return nil }
            let names = provider.apiKeyVariables.joined(separator: " or ")
            let others =
                switch provider.signing {
                case .none: ""
                case .aws: ", or give it the keys, a profile or a role of AWS"
                case .googleServiceAccount:
                    ", or give it vertex_credentials, or vertex_project on a machine of Google's"
                case .entra: ", or give it tenant_id, client_id and client_secret"
                }
            diagnostics.error(
                self.parameters.position, "\(self.keyPath).api_key",
                "the provider \(provider.name) needs api_key",
                mend: names.isEmpty
                    ? "add it"
                    : !others.isEmpty
                        ? "add it or set \(names)\(others)"
                        : "add it or set \(names); any text will do for a server that asks for none"
            )
            return nil
        }
        guard HeaderReader.isValue(key) else {
            diagnostics.error(
                self.parameters["api_key"]?.position ?? self.parameters.position, "\(self.keyPath).api_key",
                "the key of the provider cannot be sent in a header",
                mend:
                    "it is empty, or holds a line break, a space at an end or a control character; remove that"
            )
            return nil
        }
        let header = provider.authenticationHeader(key: key)
        return (header: header.name, value: Secret(header.value))
    }
}

extension StreamUsageSupport {
    init(_ usage: Provider.StreamUsage) {
        switch usage {
        case .onRequest: self = .onRequest
        case .unsupported: self = .unsupported
        case .always: self = .always
        }
    }
}

extension ConfigurationNode {
    /// A number of seconds. `nil`: none, or not positive.
    var seconds: Duration? {
        guard let value = self.scalar?.number, value > 0, value <= 1e7 else { return nil }
        return .milliseconds(Int64((value * 1000).rounded()))
    }
}
