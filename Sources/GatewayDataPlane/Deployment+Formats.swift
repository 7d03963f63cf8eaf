import GatewayCore
import GatewayProviders
import GatewayRouting
import GatewayWire

/// How a deployment takes conversations: in the caller's own format where its provider has that, else in the provider's.
struct DeploymentFormats: Sendable {
    /// One bit per `CallKind.rawValue`: served, in whatever format.
    let supportedKinds: UInt32
    /// Of these, those whose bytes go as they are to the path behind the base address that OpenAI's API has.
    let plainKinds: UInt32
    /// By `WireFormat.rawValue`; empty: not spoken.
    private let heads: [Heads]

    private struct Heads: Sendable {
        /// The head of a call without and with a stream, up to the lines that a caller may bring itself.
        var whole: [UInt8] = []
        var stream: [UInt8] = []
        /// Of a call that counts tokens. Empty: the provider does not count.
        var count: [UInt8] = []
    }

    /// Lines that calls carry whose caller brought none: `anthropic-version`.
    private let fixedLines: [UInt8]
    private let chatFormat: WireFormat
    private let nativeFormats: WireFormatSet

    init(provider: Provider, configuration: DeploymentConfiguration) {
        self.chatFormat = provider.chatFormat
        self.nativeFormats = provider.nativeFormats
        let nativeFormats = provider.nativeFormats
        var supported: UInt32 = 0
        var plain: UInt32 = 0
        for kind in CallKind.allCases where provider.supports(kind) {
            supported |= 1 << kind.rawValue
            let isPlain =
                kind == .chatCompletion
                ? provider.chatFormat == .openAIChat || nativeFormats.contains(.openAIChat) : kind.wireFormat == nil
            if isPlain { plain |= 1 << kind.rawValue }
        }
        self.supportedKinds = supported
        self.plainKinds = plain
        self.heads = WireFormat.allCases.map { format in
            guard format == provider.chatFormat || nativeFormats.contains(format) else { return Heads() }
            return Heads(
                whole: Deployment.headStart(
                    path: provider.path(for: format, model: configuration.model, isStream: false), configuration),
                stream: Deployment.headStart(
                    path: provider.path(for: format, model: configuration.model, isStream: true), configuration),
                count: provider.countTokensPath(for: format, model: configuration.model)
                    .map { Deployment.headStart(path: $0, configuration) } ?? [])
        }
        self.fixedLines = Array(provider.headers.map { "\($0.name): \($0.value)\r\n" }.joined().utf8)
    }

    /// The format in which a conversation in `format` goes to the provider.
    func target(of format: WireFormat) -> WireFormat {
        self.nativeFormats.contains(format) ? format : self.chatFormat
    }

    /// Whether the provider counts the tokens of requests in `format`.
    func counts(_ format: WireFormat) -> Bool { !self.heads[Int(format.rawValue)].count.isEmpty }

    /// The request's head up to and with `content-length: `.
    ///
    /// - Parameters:
    ///   - carried: lines of the caller's own in place of the fixed ones. Empty: none.
    ///   - signing: makes further lines of the head so far.
    func head(
        of format: WireFormat, isStream: Bool, isCounting: Bool, carried: [UInt8], signing: (_ head: [UInt8]) -> [UInt8]
    ) -> [UInt8] {
        let heads = self.heads[Int(format.rawValue)]
        var head = isCounting ? heads.count : isStream ? heads.stream : heads.whole
        head += signing(head)
        head += carried.isEmpty ? self.fixedLines : carried
        return head + Array("content-length: ".utf8)
    }
}

extension Deployment {
    /// A request's head as far as it is the same for all calls.
    /// - Parameters:
    ///   - path: behind the base address, with a query where the format has one.
    ///   - contentType: of the body. `nil`: each call adds its own.
    static func headStart(
        method: String = "POST", path: String, contentType: String? = "application/json",
        _ configuration: DeploymentConfiguration
    ) -> [UInt8] {
        guard let address = configuration.address else { return [] }
        var head = "\(method) \(address.basePath)\(path) HTTP/1.1\r\nhost: \(Self.hostHeader(of: address))\r\n"
        if let authentication = configuration.authentication {
            head += "\(authentication.header): \(authentication.value.reveal())\r\n"
        }
        // Usage is read from the answer, so it must not come compressed.
        if let contentType { head += "content-type: \(contentType)\r\n" }
        head += "accept-encoding: identity\r\nuser-agent: martlet\r\n"
        for header in configuration.extraHeaders { head += "\(header.name): \(header.value)\r\n" }
        return Array(head.utf8)
    }

    /// The value of `Host`: without the port that is the scheme's own.
    static func hostHeader(of address: UpstreamAddress) -> String {
        let isDefaultPort = address.port == (address.isTLS ? 443 : 80)
        let host = address.host.contains(":") ? "[\(address.host)]" : address.host
        return isDefaultPort ? host : "\(host):\(address.port)"
    }
}
