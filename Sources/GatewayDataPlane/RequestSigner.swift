import GatewayCore
import GatewayProviders
import GatewayRouting
import GatewayWire

/// Signs a deployment's requests to AWS. Pure: the time comes from the caller.
struct RequestSigner: Sendable {
    private let credentials: AWSCredentials
    private let region: String
    private let service: String
    private let host: String

    /// `nil`: the deployment's calls are not signed.
    init?(configuration: DeploymentConfiguration, provider: Provider) {
        guard let pair = configuration.awsKeyPair, case .aws(let service) = provider.signing,
            let address = configuration.address
        else { return nil }
        self.credentials = AWSCredentials(
            accessKeyID: pair.accessKeyID, secretAccessKey: pair.secretAccessKey.reveal(),
            sessionToken: pair.sessionToken?.reveal())
        self.region = provider.placement.region ?? Provider.Placement.defaultRegion
        self.service = service
        self.host = Deployment.hostHeader(of: address)
    }

    /// The lines that sign a request.
    ///
    /// - Parameters:
    ///   - head: begins with the request line.
    ///   - date: seconds since 1970.
    func lines(head: [UInt8], body: UnsafeRawBufferPointer, date: Int64) -> [UInt8] {
        let space = UInt8(ascii: " ")
        let target = head.split(separator: space, maxSplits: 2).dropFirst().first ?? []
        let parts = String(decoding: target, as: UTF8.self).split(separator: "?", maxSplits: 1)
        let headers = AWSSignature.headers(
            method: "POST", host: self.host, path: parts.first.map(String.init) ?? "/",
            query: parts.count > 1 ? String(parts[1]) : "", body: body, date: date, credentials: self.credentials,
            region: self.region, service: self.service)
        return Array(headers.map { "\($0.name): \($0.value)\r\n" }.joined().utf8)
    }
}
