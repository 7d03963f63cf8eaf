import GatewayCore
import GatewayPricing
import GatewayProviders
import GatewayRouting
import Synchronization

/// Figures of a deployment that all event loops share; they live on when the configuration is reloaded.
final class DeploymentGauge: Sendable {
    let inFlight = Atomic<Int>(0)
    /// Calls that wait for a place, over all event loops.
    let waiting = Atomic<Int>(0)
    /// Monotonic nanoseconds until which the deployment is left out where its group has another; 0: it is not.
    let coolUntil = Atomic<UInt64>(0)
}

/// One deployment with everything prepared that its calls need. Immutable, shared by all event loops.
package final class Deployment: Sendable {
    package let configuration: DeploymentConfiguration
    /// In a box, because taking a struct out of an optional copies all its parts. `nil`: not known.
    let priceBox: PriceBox?
    package var price: ModelPrice? { self.priceBox?.price }
    package let provider: Provider
    // What each settlement asks of the provider, so that the whole description is not copied for it.
    let usageConvention: Provider.UsageConvention
    let reportsCost: Bool
    /// One bit per `CallKind.rawValue`.
    let supportedKinds: UInt8
    /// The name calls carry; differs from the configured group's when that is a wildcard.
    let name: String
    let route: RouteIdentity
    /// The same with the price version of calls whose cost the provider reported itself.
    let reportedRoute: RouteIdentity
    let gauge: DeploymentGauge
    /// By `CallKind.rawValue`: the request head up to and with `content-length: `.
    let requestHeads: [[UInt8]]
    /// `"model"` for the provider, quoted and escaped.
    let modelToken: [UInt8]
    /// Header lines of every answer that this deployment gave.
    let answerHeaders: [UInt8]

    init(
        configuration: DeploymentConfiguration, name: String, price: ModelPrice?, provider: Provider,
        gauge: DeploymentGauge
    ) {
        self.configuration = configuration
        self.priceBox = price.map { PriceBox($0) }
        self.provider = provider
        self.usageConvention = provider.usageConvention
        self.reportsCost = provider.costReport != .none
        self.supportedKinds = CallKind.allCases.reduce(0) { provider.supports($1) ? $0 | 1 << $1.rawValue : $0 }
        self.name = name
        self.gauge = gauge
        func route(version: String) -> RouteIdentity {
            RouteIdentity(
                modelGroup: name, model: configuration.model, provider: configuration.provider,
                deploymentID: configuration.deploymentID, priceVersion: version)
        }
        self.route = route(version: price?.version ?? "none")
        self.reportedRoute = route(version: "provider")
        self.requestHeads = CallKind.allCases.map { Self.requestHead(of: $0, for: configuration, provider: provider) }
        self.modelToken = Array(jsonQuoted(configuration.model).utf8)
        self.answerHeaders = Array(
            ("x-litellm-model-id: \(headerSafe(configuration.deploymentID))\r\n"
                + "x-litellm-model-group: \(headerSafe(name))\r\n").utf8)
    }

    private static func requestHead(
        of kind: CallKind, for configuration: DeploymentConfiguration, provider: Provider
    ) -> [UInt8] {
        guard let address = configuration.address else { return [] }
        let isDefaultPort = address.port == (address.isTLS ? 443 : 80)
        let host = address.host.contains(":") ? "[\(address.host)]" : address.host
        var head = "POST \(address.basePath)\(kind.path) HTTP/1.1\r\n"
        head += "host: \(host)\(isDefaultPort ? "" : ":\(address.port)")\r\n"
        if let authentication = configuration.authentication {
            head += "\(authentication.header): \(authentication.value.reveal())\r\n"
        }
        // Usage is read from the answer, so it must not come compressed.
        head += "content-type: application/json\r\naccept-encoding: identity\r\nuser-agent: martlet\r\n"
        for header in configuration.extraHeaders { head += "\(header.name): \(header.value)\r\n" }
        return Array((head + "content-length: ").utf8)
    }

    /// The deployment of a concrete name that a wildcard entry serves.
    func specialised(name: String, capture: String, prices: (String) -> ModelPrice?) -> Deployment {
        var configuration = self.configuration
        configuration.model = configuration.model.replacing("*", with: capture, maxReplacements: 1)
        return Deployment(
            configuration: configuration, name: name, price: prices(configuration.model) ?? self.price,
            provider: self.provider, gauge: self.gauge)
    }
}

/// A price that is shared instead of copied.
final class PriceBox: Sendable {
    let price: ModelPrice
    private let tokenPricing: TokenPricing

    init(_ price: ModelPrice) {
        self.price = price
        self.tokenPricing = price.tokenPricing
    }

    /// As `TokenPricing.costMax`.
    func costMax(inputTokens: Int64, outputTokens: Int64) -> NanoUSD {
        self.tokenPricing.costMax(inputTokens: inputTokens, outputTokens: outputTokens)
    }

    /// As `ModelPrice.cost(of:tier:)`.
    func cost(of usage: TokenUsage, tier: ServiceTier) -> NanoUSD { self.tokenPricing.cost(of: usage, tier: tier) }
}

/// Text that may stand in a header value: anything else than visible ASCII and spaces becomes `_`, so that no
/// configured or requested name can end a line.
func headerSafe(_ text: String) -> String {
    String(decoding: text.utf8.map { $0 >= 0x20 && $0 < 0x7F ? $0 : UInt8(ascii: "_") }, as: UTF8.self)
}
