import GatewayCore
import GatewayProviders
import GatewayRouting
import GatewayWire

/// Signs a deployment's requests to AWS. Pure: the time comes from the caller.
struct RequestSigner: Sendable {
    private enum Keys: Sendable {
        case configured(AWSCredentials)
        case fetched(CredentialSource)
    }

    private let keys: Keys
    private let region: String
    private let service: String
    private let host: String

    /// `nil`: the deployment's calls are not signed.
    ///
    /// - Parameter credentials: where they are fetched. `nil`: they are configured, or none are needed.
    init?(configuration: DeploymentConfiguration, provider: Provider, credentials: CredentialSource?) {
        guard case .aws(let service) = provider.signing, let address = configuration.address else { return nil }
        if let credentials {
            self.keys = .fetched(credentials)
        } else if let pair = configuration.awsKeyPair {
            self.keys = .configured(AWSCredentials(pair))
        } else {
            return nil
        }
        self.region = provider.placement.region ?? Provider.Placement.defaultRegion
        self.service = service
        self.host = Deployment.hostHeader(of: address)
    }

    /// The lines that sign a request. Empty: there are no keys yet, which is seen to before a call is sent.
    ///
    /// - Parameters:
    ///   - head: begins with the request line.
    ///   - date: seconds since 1970.
    func lines(head: [UInt8], body: UnsafeRawBufferPointer, date: Int64) -> [UInt8] {
        let credentials: AWSCredentials
        switch self.keys {
        case .configured(let configured): credentials = configured
        case .fetched(let source):
            guard case .aws(let fetched)? = source.last else { return [] }
            credentials = fetched
        }
        let space = UInt8(ascii: " ")
        let line = head.split(separator: space, maxSplits: 2)
        let target = line.dropFirst().first ?? []
        let parts = String(decoding: target, as: UTF8.self).split(separator: "?", maxSplits: 1)
        let headers = AWSSignature.headers(
            method: String(decoding: line.first ?? [], as: UTF8.self), host: self.host,
            path: parts.first.map(String.init) ?? "/",
            query: parts.count > 1 ? String(parts[1]) : "", body: body, date: date, credentials: credentials,
            region: self.region, service: self.service)
        return Array(headers.map { "\($0.name): \($0.value)\r\n" }.joined().utf8)
    }
}
