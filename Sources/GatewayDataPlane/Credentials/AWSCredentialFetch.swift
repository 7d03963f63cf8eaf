import GatewayProviders
import GatewayRouting

/// One fetch of AWS' keys along a chain.
struct AWSCredentialFetch: Sendable {
    let chain: AWSCredentialChain
    let client: CredentialClient
    /// Seconds since 1970.
    let now: Int64

    /// Profiles that refer to each other.
    private static let profilesMax = 5
    /// Keys in files say nothing of their end, and others may write new ones.
    private static let fileLifetimeSeconds: Int64 = 600

    func answer() async throws(CredentialError) -> AWSCredentialAnswer {
        var answer = try await self.keys(of: self.chain.base)
        if let role = self.chain.role { answer = try await self.assume(role, with: answer.credentials) }
        guard answer.credentials.isSendable else {
            throw CredentialError(.refused, "The keys of AWS hold what cannot be sent in a header.")
        }
        return answer
    }

    private func keys(of base: AWSCredentialChain.Base) async throws(CredentialError) -> AWSCredentialAnswer {
        switch base {
        case .keys(let pair): return AWSCredentialAnswer(credentials: AWSCredentials(pair), expiresAt: nil)
        case .profile(let name, let files): return try await self.keys(ofProfile: name, in: files, depth: 1)
        case .webIdentity(let token, let role): return try await self.assume(role, webIdentity: token)
        case .container(let url, let authorization): return try await self.container(url, authorization)
        case .machine(let url): return try await self.machine(url)
        }
    }

    // MARK: Profiles

    private func keys(
        ofProfile name: String, in files: AWSProfileFiles, depth: Int
    ) async throws(CredentialError) -> AWSCredentialAnswer {
        let texts = [files.credentials, files.config].map { path in
            SecretPlace.contents(of: path).map { String(decoding: $0, as: UTF8.self) } ?? ""
        }
        guard let profile = AWSProfile.find(name, credentials: texts[0], config: texts[1]) else {
            throw CredentialError(
                .refused,
                "Neither \(files.credentials) nor \(files.config) has the profile \(name), or they cannot be read.")
        }
        if let arn = profile.roleARN {
            let role = AWSRole(
                arn: arn, sessionName: profile.sessionName ?? AWSRole.defaultSessionName,
                externalID: profile.externalID)
            if let file = profile.webIdentityTokenFile {
                return try await self.assume(role, webIdentity: .file(path: file))
            }
            if let source = profile.sourceProfile {
                // A profile that names itself means its own keys.
                if source == name, let keys = profile.keys { return try await self.assume(role, with: keys) }
                guard depth < Self.profilesMax, source != name else {
                    throw CredentialError(.refused, "The profile \(name) refers to others without end.")
                }
                let base = try await self.keys(ofProfile: source, in: files, depth: depth + 1)
                return try await self.assume(role, with: base.credentials)
            }
            if let source = profile.credentialSource {
                let base = try await self.keys(of: self.base(ofSource: source, profile: name))
                return try await self.assume(role, with: base.credentials)
            }
        }
        if let keys = profile.keys {
            return AWSCredentialAnswer(credentials: keys, expiresAt: self.now + Self.fileLifetimeSeconds)
        }
        let what =
            profile.foreignKey.map { "\($0), which is not served" } ?? "no keys and no role with a source of keys"
        throw CredentialError(.refused, "The profile \(name) has \(what).")
    }

    private func base(
        ofSource source: String, profile: String
    ) throws(CredentialError) -> AWSCredentialChain.Base {
        let environment = self.chain.environment
        switch source {
        case "Environment":
            if let keys = environment.keys { return .keys(keys) }
        case "EcsContainer":
            if let url = environment.containerURL {
                return .container(url: url, authorization: environment.containerAuthorization)
            }
        case "Ec2InstanceMetadata":
            if let url = environment.machineURL { return .machine(url: url) }
        default: break
        }
        throw CredentialError(
            .refused,
            "The profile \(profile) has the credential_source \(source), which the environment does not offer.")
    }

    // MARK: The token service

    private func assume(
        _ role: AWSRole, with credentials: AWSCredentials
    ) async throws(CredentialError) -> AWSCredentialAnswer {
        let url = try self.tokenServiceURL
        let body = AWSTokenService.assumeRole(
            arn: role.arn, sessionName: role.sessionName, externalID: role.externalID)
        let signature = Array(body.utf8).withUnsafeBytes { bytes in
            AWSSignature.headers(
                method: "POST", host: url.hostHeader, path: url.target, query: "", body: bytes, date: self.now,
                credentials: credentials, region: self.chain.region, service: AWSTokenService.service)
        }
        return try await self.ask(url, body: body, headers: signature)
    }

    private func assume(
        _ role: AWSRole, webIdentity place: SecretPlace
    ) async throws(CredentialError) -> AWSCredentialAnswer {
        let body = AWSTokenService.assumeRole(
            arn: role.arn, sessionName: role.sessionName, webIdentityToken: try place.readLine())
        return try await self.ask(try self.tokenServiceURL, body: body, headers: [])
    }

    private var tokenServiceURL: CredentialURL {
        get throws(CredentialError) {
            var text = self.chain.tokenServiceURL ?? AWSTokenService.url(region: self.chain.region)
            while text.hasSuffix("/") { text.removeLast() }
            return try .parsing(text + "/")
        }
    }

    private func ask(
        _ url: CredentialURL, body: String, headers: [(name: String, value: String)]
    ) async throws(CredentialError) -> AWSCredentialAnswer {
        let answer = try await self.client.send(
            CredentialRequest(
                method: "POST", url: url, headers: [("content-type", "application/x-www-form-urlencoded")] + headers,
                body: body))
        try answer.check(url.host, code: AWSCredentialAnswer.errorCode(xml: answer.body))
        guard let keys = AWSCredentialAnswer(xml: answer.body) else {
            throw CredentialError(.unavailable, "\(url.host) answered without keys.")
        }
        return keys
    }

    // MARK: Containers and machines

    private func container(
        _ url: String, _ authorization: SecretPlace?
    ) async throws(CredentialError) -> AWSCredentialAnswer {
        var request = CredentialRequest(url: try .parsing(url), headers: [("accept", "application/json")])
        if let authorization { request.headers.append(("authorization", try authorization.readLine())) }
        return try Self.keys(of: try await self.client.send(request), from: request.url.host)
    }

    /// Version 2 of the instance metadata service: a session's token first, then the name of the machine's role, then
    /// its keys.
    private func machine(_ url: String) async throws(CredentialError) -> AWSCredentialAnswer {
        let path = "/latest/meta-data/iam/security-credentials/"
        let session = try await self.client.send(
            CredentialRequest(
                method: "PUT", url: try .parsing(url + "/latest/api/token"),
                headers: [("x-aws-ec2-metadata-token-ttl-seconds", "300")]))
        let host = try CredentialURL.parsing(url + path).host
        try session.check(host, code: nil)
        let token = String(decoding: session.body, as: UTF8.self)
        let headers: [(name: String, value: String)] = [("x-aws-ec2-metadata-token", token)]
        let names = try await self.client.send(CredentialRequest(url: try .parsing(url + path), headers: headers))
        try names.check(host, code: nil)
        let name = String(decoding: names.body, as: UTF8.self).split(whereSeparator: \.isWhitespace).first ?? ""
        guard !name.isEmpty else { throw CredentialError(.refused, "The machine has no role: attach one to it.") }
        let answer = try await self.client.send(
            CredentialRequest(url: try .parsing(url + path + Provider.encoded(String(name))), headers: headers))
        return try Self.keys(of: answer, from: host)
    }

    private static func keys(of answer: CredentialAnswer, from host: String) throws(CredentialError)
        -> AWSCredentialAnswer
    {
        try answer.check(host, code: nil)
        guard let keys = AWSCredentialAnswer(json: answer.body) else {
            throw CredentialError(.unavailable, "\(host) answered without keys.")
        }
        return keys
    }
}

extension AWSCredentials {
    init(_ pair: AWSKeyPair) {
        self.init(
            accessKeyID: pair.accessKeyID, secretAccessKey: pair.secretAccessKey.reveal(),
            sessionToken: pair.sessionToken?.reveal())
    }
}
