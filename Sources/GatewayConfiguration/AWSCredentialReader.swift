import GatewayProviders
import GatewayRouting

/// AWS' part of `CredentialReader`, in the order of AWS' own tools ("Standardized credential providers").
struct AWSCredentialReader {
    private let reader: CredentialReader

    init(_ reader: CredentialReader) { self.reader = reader }

    // MARK: The entry

    func own(into diagnostics: inout DiagnosticCollector) -> CredentialReader.Finding? {
        let role = self.ownRole
        let keys = Self.keys {
            [
                self.reader.text("aws_access_key_id"), self.reader.text("aws_secret_access_key"),
                self.reader.text("aws_session_token"),
            ]
        }
        if let token = self.reader.text("aws_web_identity_token") {
            guard let role, let place = self.place(token) else {
                diagnostics.error(
                    self.reader.position("aws_web_identity_token"),
                    "\(self.reader.keyPath).aws_web_identity_token",
                    role == nil
                        ? "aws_web_identity_token needs aws_role_name"
                        : "aws_web_identity_token names nothing that is set",
                    mend: role == nil ? "add the ARN of the role" : "write the token, oidc/file/PATH or oidc/env/NAME")
                return .faulty
            }
            return self.chain(.webIdentity(token: place, role: role), role: nil)
        }
        if let keys { return role == nil ? .keys(keys) : self.chain(.keys(keys), role: role) }
        if let profile = self.reader.text("aws_profile_name") {
            return self.chain(.profile(name: profile, files: self.files), role: role)
        }
        guard let role else { return nil }
        // With the keys of the environment or the machine.
        guard let base = self.ambientBase(hasRole: true) else {
            diagnostics.error(
                self.reader.position("aws_role_name"), "\(self.reader.keyPath).aws_role_name",
                "there are no keys to take the role on with",
                mend: "add aws_access_key_id and aws_secret_access_key, or aws_profile_name")
            return .faulty
        }
        return self.chain(base, role: role)
    }

    private var ownRole: AWSRole? {
        self.reader.text("aws_role_name").map {
            AWSRole(
                arn: $0, sessionName: self.reader.text("aws_session_name") ?? AWSRole.defaultSessionName,
                externalID: self.reader.text("aws_external_id"))
        }
    }

    /// LiteLLM's ways to name a token.
    private func place(_ text: String) -> SecretPlace? {
        // The store must not be able to send this machine's files and variables anywhere.
        if self.reader.position("aws_web_identity_token").file.hasPrefix("stored ") {
            return text.hasPrefix("oidc/") || text.hasPrefix("/") ? nil : .text(Secret(text))
        }
        if text.hasPrefix("oidc/file/") {
            return .file(path: "/" + text.dropFirst("oidc/file/".count).drop { $0 == "/" })
        }
        if text.hasPrefix("oidc/env/") {
            return self.reader.variable(String(text.dropFirst("oidc/env/".count))).map { .text(Secret($0)) }
        }
        if text.hasPrefix("oidc/") { return nil }
        return text.hasPrefix("/") ? .file(path: text) : .text(Secret(text))
    }

    // MARK: The environment

    func ambient() -> CredentialReader.Finding? {
        guard let base = self.ambientBase(hasRole: false) else { return nil }
        if case .keys(let pair) = base { return .keys(pair) }
        return self.chain(base, role: nil)
    }

    /// - Parameter hasRole: a role is configured, so that its keys are asked for with those of the machine.
    private func ambientBase(hasRole: Bool) -> AWSCredentialChain.Base? {
        if let keys = self.environmentKeys { return .keys(keys) }
        if let file = self.reader.variable("AWS_WEB_IDENTITY_TOKEN_FILE"),
            let arn = self.reader.variable("AWS_ROLE_ARN")
        {
            let name = self.reader.variable("AWS_ROLE_SESSION_NAME") ?? AWSRole.defaultSessionName
            return .webIdentity(
                token: .file(path: file), role: AWSRole(arn: arn, sessionName: name, externalID: nil))
        }
        if let profile = self.reader.variable("AWS_PROFILE", "AWS_DEFAULT_PROFILE") {
            return .profile(name: profile, files: self.files)
        }
        if self.hasDefaultProfile { return .profile(name: "default", files: self.files) }
        if let url = self.containerURL { return .container(url: url, authorization: self.containerAuthorization) }
        return self.machineURL.map { .machine(url: $0) }
    }

    private var environmentKeys: AWSKeyPair? {
        Self.keys {
            [
                self.reader.variable("AWS_ACCESS_KEY_ID"), self.reader.variable("AWS_SECRET_ACCESS_KEY"),
                self.reader.variable("AWS_SESSION_TOKEN"),
            ]
        }
    }

    private static func keys(_ values: () -> [String?]) -> AWSKeyPair? {
        let values = values().map { $0.flatMap { HeaderReader.isValue($0) ? $0 : nil } }
        guard let identifier = values[0], let secret = values[1] else { return nil }
        return AWSKeyPair(
            accessKeyID: identifier, secretAccessKey: Secret(secret), sessionToken: values[2].map { Secret($0) })
    }

    private var files: AWSProfileFiles {
        let home = (self.reader.variable("HOME") ?? "") + "/.aws/"
        return AWSProfileFiles(
            credentials: self.reader.variable("AWS_SHARED_CREDENTIALS_FILE") ?? home + "credentials",
            config: self.reader.variable("AWS_CONFIG_FILE") ?? home + "config")
    }

    /// Read when the configuration is, so that a missing file is told then and not by each call.
    private var hasDefaultProfile: Bool {
        let texts = [self.files.credentials, self.files.config].map { path in
            let bytes = try? SystemConfigurationReader().read(path: path, bytesMax: 64 << 10)
            return bytes.map { String(decoding: $0, as: UTF8.self) } ?? ""
        }
        guard let profile = AWSProfile.find("default", credentials: texts[0], config: texts[1]) else { return false }
        return profile.keys != nil || profile.roleARN != nil
    }

    private var containerURL: String? {
        if let path = self.reader.variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") {
            return "http://169.254.170.2" + (path.hasPrefix("/") ? path : "/" + path)
        }
        return self.reader.variable("AWS_CONTAINER_CREDENTIALS_FULL_URI")
    }

    private var containerAuthorization: SecretPlace? {
        if let file = self.reader.variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE") { return .file(path: file) }
        return self.reader.variable("AWS_CONTAINER_AUTHORIZATION_TOKEN").map { .text(Secret($0)) }
    }

    private var machineURL: String? {
        guard self.reader.variable("AWS_EC2_METADATA_DISABLED")?.lowercased() != "true" else { return nil }
        var url = self.reader.variable("AWS_EC2_METADATA_SERVICE_ENDPOINT") ?? "http://169.254.169.254"
        while url.hasSuffix("/") { url.removeLast() }
        return url
    }

    private func chain(_ base: AWSCredentialChain.Base, role: AWSRole?) -> CredentialReader.Finding {
        let region = self.reader.provider.placement.region
        return .recipe(
            .aws(
                AWSCredentialChain(
                    base: base, role: role, region: region ?? Provider.Placement.defaultRegion,
                    tokenServiceURL: self.reader.text("aws_sts_endpoint")
                        ?? self.reader.variable("AWS_ENDPOINT_URL_STS"),
                    environment: AWSEnvironment(
                        keys: self.environmentKeys, containerURL: self.containerURL,
                        containerAuthorization: self.containerAuthorization, machineURL: self.machineURL))))
    }
}
