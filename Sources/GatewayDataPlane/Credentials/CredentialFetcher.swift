import GatewayCore
import GatewayProviders
import GatewayRouting
import Glibc
import NIOCore

/// Gets credentials from the servers and files that recipes name.
package struct CredentialFetcher: CredentialFetching {
    /// For what is signed: servers refuse times that are minutes off.
    let clock: any WallClock

    package init(clock: any WallClock) { self.clock = clock }

    package func fetch(
        _ recipe: CredentialRecipe, on eventLoop: any EventLoop
    ) async throws(CredentialError) -> (credential: FetchedCredential, lifetimeSeconds: Int64?) {
        let client = CredentialClient(authorityFile: recipe.authorityFile, eventLoop: eventLoop)
        switch recipe.source {
        case .google(let google): return try await self.google(google, client)
        case .entra(let entra):
            let request = OAuthTokenRequest.entra(
                authority: entra.authority, tenantID: entra.tenantID, clientID: entra.clientID,
                clientSecret: entra.clientSecret.reveal(), scope: entra.scope)
            return try await self.token(request, client)
        case .aws(let chain):
            let answer = try await AWSCredentialFetch(chain: chain, client: client, now: self.seconds).answer()
            return (.aws(answer.credentials), answer.expiresAt.map { $0 - self.seconds })
        }
    }

    /// Since 1970.
    private var seconds: Int64 { self.clock.now().rawValue / 1_000_000 }

    // MARK: Google

    private func google(
        _ google: GoogleCredential, _ client: CredentialClient
    ) async throws(CredentialError) -> (credential: FetchedCredential, lifetimeSeconds: Int64?) {
        let text: [UInt8]
        switch google {
        case .machine(let url): return try await self.machineToken(url, client)
        case .file(let path): text = try SecretPlace.file(path: path).read()
        case .text(let secret): text = Array(secret.reveal().utf8)
        }
        let request: OAuthTokenRequest
        do throws(GoogleAccount.Fault) {
            request = try GoogleAccount.read(text).account.tokenRequest(now: self.seconds)
        } catch {
            throw CredentialError(.refused, "\(error.message).")
        }
        return try await self.token(request, client)
    }

    /// The metadata server of Google's machines ("Access tokens").
    private func machineToken(
        _ url: String, _ client: CredentialClient
    ) async throws(CredentialError) -> (credential: FetchedCredential, lifetimeSeconds: Int64?) {
        let path = "/computeMetadata/v1/instance/service-accounts/default/token"
        let request = CredentialRequest(
            url: try .parsing(url + path), headers: [("Metadata-Flavor", "Google"), ("accept", "application/json")])
        return try Self.token(of: try await client.send(request), from: request.url.host)
    }

    // MARK: Tokens

    private func token(
        _ request: OAuthTokenRequest, _ client: CredentialClient
    ) async throws(CredentialError) -> (credential: FetchedCredential, lifetimeSeconds: Int64?) {
        let url = try CredentialURL.parsing(request.url)
        let answer = try await client.send(
            CredentialRequest(
                method: "POST", url: url,
                headers: [("content-type", "application/x-www-form-urlencoded"), ("accept", "application/json")],
                body: request.body))
        return try Self.token(of: answer, from: url.host)
    }

    private static func token(
        of answer: CredentialAnswer, from host: String
    ) throws(CredentialError) -> (credential: FetchedCredential, lifetimeSeconds: Int64?) {
        try answer.check(host, code: OAuthTokenAnswer.errorCode(json: answer.body))
        guard let token = OAuthTokenAnswer(json: answer.body) else {
            throw CredentialError(.unavailable, "\(host) answered without a token.")
        }
        return (.bearer(token.accessToken), token.expiresIn)
    }
}

extension CredentialAnswer {
    /// - Parameter code: what the body says of a refusal. `nil`: nothing that may be shown.
    /// - Throws: the status is no success.
    func check(_ host: String, code: String?) throws(CredentialError) {
        guard !(200..<300).contains(self.status) else { return }
        let text = "\(host) answered with status \(self.status)\(code.map { " (\($0))" } ?? "")."
        // What is asked too often, or of a server in trouble, may be answered later.
        guard (400..<500).contains(self.status), self.status != 408, self.status != 429 else {
            throw CredentialError(.unavailable, text)
        }
        throw CredentialError(.refused, text + " Check the deployment's credentials and what they are allowed.")
    }
}

extension CredentialURL {
    static func parsing(_ text: String) throws(CredentialError) -> CredentialURL {
        guard let url = CredentialURL(text) else {
            throw CredentialError(
                .refused,
                "An address that credentials are to be fetched from is no https:// URL, nor http:// to this machine.")
        }
        return url
    }
}

extension SecretPlace {
    static let bytesMax = 64 << 10

    /// Blocks for as long as the disk takes.
    func read() throws(CredentialError) -> [UInt8] {
        switch self {
        case .text(let secret): return Array(secret.reveal().utf8)
        case .file(let path):
            guard let bytes = Self.contents(of: path) else {
                throw CredentialError(
                    .refused, "The file \(path) cannot be read, or is longer than \(Self.bytesMax) bytes.")
            }
            return bytes
        }
    }

    /// The text without blanks and line ends around it.
    func readLine() throws(CredentialError) -> String {
        let bytes = try self.read()
        func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0A || byte == 0x0D }
        guard let first = bytes.firstIndex(where: { !isBlank($0) }), let last = bytes.lastIndex(where: { !isBlank($0) })
        else { return "" }
        return String(decoding: bytes[first...last], as: UTF8.self)
    }

    /// `nil`: missing, not readable, no file, or too long.
    static func contents(of path: String) -> [UInt8]? {
        // Non-blocking, so that a named pipe without a writer cannot hang the fetch.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { return nil }
        defer { _ = close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
        var content: [UInt8] = []
        var block = [UInt8](repeating: 0, count: 16 << 10)
        while true {
            let count = Glibc.read(descriptor, &block, block.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { return nil }
            if count == 0 { return content }
            content += block[..<count]
            guard content.count <= Self.bytesMax else { return nil }
        }
    }
}
