import GatewayProviders
import GatewayRouting

/// Finds out how the credential of an entry is got, where `litellm_params` has none as it is sent: what the entry says
/// counts before the environment, as LiteLLM, Google's, Microsoft's and AWS' own libraries look for it.
struct CredentialReader {
    /// What was found.
    enum Finding {
        /// A bearer token as it is sent.
        case token(String)
        case recipe(CredentialRecipe.Source)
        /// Signs calls as they are.
        case keys(AWSKeyPair)
        /// Something is there that cannot be used; a diagnostic has been written.
        case faulty
    }

    let provider: Provider
    let parameters: ConfigurationNode
    let keyPath: String
    let environment: [String: String]

    /// What the entry itself says. `nil`: nothing.
    func own(into diagnostics: inout DiagnosticCollector) -> Finding? {
        switch self.provider.signing {
        case .none: nil
        case .entra: self.entra(own: true)
        case .googleServiceAccount: self.googleOwn(into: &diagnostics)
        case .aws: AWSCredentialReader(self).own(into: &diagnostics)
        }
    }

    /// What the environment and the machine say. `nil`: nothing.
    func ambient(into diagnostics: inout DiagnosticCollector) -> Finding? {
        switch self.provider.signing {
        case .none: nil
        case .entra: self.entra(own: false)
        case .googleServiceAccount: self.googleAmbient()
        case .aws: AWSCredentialReader(self).ambient()
        }
    }

    /// A parameter that is there and not empty.
    func text(_ names: String...) -> String? {
        names.lazy.compactMap { self.parameters[$0]?.scalar?.text }.first { !$0.isEmpty }
    }

    /// A variable that is set and not empty.
    func variable(_ names: String...) -> String? {
        names.lazy.compactMap { self.environment[$0] }.first { !$0.isEmpty }
    }

    func position(_ name: String) -> SourcePosition { self.parameters[name]?.position ?? self.parameters.position }

    // MARK: Microsoft Entra

    /// - Parameter own: at least one of the three must stand in the entry; else all come from the environment.
    private func entra(own: Bool) -> Finding? {
        let given = own ? self.text("azure_ad_token") : self.variable("AZURE_AD_TOKEN")
        // LiteLLM's `oidc/` names a token of another party, which is exchanged.
        if let given, !given.hasPrefix("oidc/"), HeaderReader.isValue(given) { return .token(given) }
        guard !own || self.text("tenant_id", "client_id", "client_secret") != nil,
            let tenant = self.text("tenant_id") ?? self.variable("AZURE_TENANT_ID"),
            let client = self.text("client_id") ?? self.variable("AZURE_CLIENT_ID"),
            let secret = self.text("client_secret") ?? self.variable("AZURE_CLIENT_SECRET")
        else { return nil }
        var authority = self.variable("AZURE_AUTHORITY_HOST") ?? "https://login.microsoftonline.com"
        while authority.hasSuffix("/") { authority.removeLast() }
        if !authority.contains("://") { authority = "https://" + authority }
        return .recipe(
            .entra(
                EntraClient(
                    tenantID: tenant, clientID: client, clientSecret: Secret(secret),
                    scope: self.text("azure_scope") ?? self.variable("AZURE_SCOPE") ?? Self.entraScope,
                    authority: authority)))
    }

    private static let entraScope = "https://cognitiveservices.azure.com/.default"

    // MARK: Google

    private static let googleNames = ["vertex_credentials", "vertex_ai_credentials"]

    private func googleOwn(into diagnostics: inout DiagnosticCollector) -> Finding? {
        for name in Self.googleNames {
            guard let node = self.parameters[name] else { continue }
            if let members = node.mapping {
                return self.google(text: Self.json(members), name: name, into: &diagnostics)
            }
            guard let text = node.scalar?.text, !text.isEmpty else { continue }
            guard text.drop(while: \.isWhitespace).hasPrefix("{") else { return .recipe(.google(.file(path: text))) }
            return self.google(text: text, name: name, into: &diagnostics)
        }
        return nil
    }

    private func google(text: String, name: String, into diagnostics: inout DiagnosticCollector) -> Finding {
        do throws(GoogleAccount.Fault) {
            _ = try GoogleAccount.read(Array(text.utf8))
            return .recipe(.google(.text(Secret(text))))
        } catch {
            diagnostics.error(
                self.position(name), "\(self.keyPath).\(name)", "\(name): \(error.message)",
                mend: "write the path of a key file, or its JSON")
            return .faulty
        }
    }

    private func googleAmbient() -> Finding? {
        if let text = self.variable("VERTEXAI_CREDENTIALS"), text.drop(while: \.isWhitespace).hasPrefix("{") {
            return .recipe(.google(.text(Secret(text))))
        }
        if let path = self.variable("VERTEXAI_CREDENTIALS", "GOOGLE_APPLICATION_CREDENTIALS") {
            return .recipe(.google(.file(path: path)))
        }
        // Only where somebody says that this is such a machine: elsewhere each call would wait for nobody.
        guard let host = self.variable("GCE_METADATA_HOST") ?? self.googleMachine else { return nil }
        return .recipe(.google(.machine(url: host.contains("://") ? host : "http://\(host)")))
    }

    /// A project that is named without a key or credentials means those of the machine.
    private var googleMachine: String? {
        self.provider.placement.project == nil ? nil : "metadata.google.internal"
    }

    /// The project that the credentials of the entry name. `nil`: they name none, or cannot be read.
    static func googleProject(parameters: ConfigurationNode, environment: [String: String]) -> String? {
        func project(_ text: [UInt8]) -> String? { (try? GoogleAccount.read(text))?.projectID }
        for name in Self.googleNames {
            guard let node = parameters[name] else { continue }
            if let members = node.mapping { return project(Array(Self.json(members).utf8)) }
            if let text = node.scalar?.text { return Self.content(text).flatMap(project) }
        }
        let variables = ["VERTEXAI_CREDENTIALS", "GOOGLE_APPLICATION_CREDENTIALS"]
        return variables.lazy.compactMap { environment[$0] }.first { !$0.isEmpty }
            .flatMap { Self.content($0) }.flatMap(project)
    }

    /// The credentials themselves, or what the file holds that they name.
    private static func content(_ text: String) -> [UInt8]? {
        if text.drop(while: \.isWhitespace).hasPrefix("{") { return Array(text.utf8) }
        return try? SystemConfigurationReader().read(path: text, bytesMax: 64 << 10)
    }

    /// A mapping of texts as JSON; other values than texts are left out.
    private static func json(_ members: [ConfigurationEntry]) -> String {
        let fields = members.compactMap { entry in
            entry.value.scalar.map { "\(Self.quoted(entry.key)):\(Self.quoted($0.text))" }
        }
        return "{\(fields.joined(separator: ","))}"
    }

    private static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\r": result += "\\r"
            case "\t": result += "\\t"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}
