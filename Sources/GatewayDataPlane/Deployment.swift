import GatewayAdmission
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
    let formats: DeploymentFormats
    /// What calls are authenticated or signed with, where that is fetched. `nil`: it is configured, or none is needed.
    let credentials: CredentialSource?
    /// `nil`: requests are not signed.
    let signer: RequestSigner?
    // Copies of those in `formats`: every call asks for them.
    let supportedKinds: UInt32
    let plainKinds: UInt32
    /// Embeddings that are asked for in OpenAI's shape go there as they are.
    let embedsPlainly: Bool
    /// The name calls carry; differs from the configured group's when that is a wildcard.
    let name: String
    let route: RouteIdentity
    /// The same with the price version of calls whose cost the provider reported itself.
    let reportedRoute: RouteIdentity
    let gauge: DeploymentGauge
    /// What binds its calls, whichever key makes them.
    let terms: [EscrowTerms]
    /// By `CallKind.rawValue`: the request head up to and with `content-length: `. Empty: calls that `formats` has.
    let requestHeads: [[UInt8]]
    /// By `CallKind.rawValue`: the head up to and with `content-type: `. Empty: calls that are not metered by units.
    let unitHeads: [[UInt8]]
    /// `nil`: the model is priced in tokens only.
    let units: UnitPricing?
    /// The price of the model under a name with this in front, such as `hd/1024-x-1024`.
    private let variantPrice: @Sendable (_ variant: String) -> ModelPrice?
    /// `"model"` for the provider, quoted and escaped.
    let modelToken: [UInt8]
    /// Header lines of every answer that this deployment gave.
    let answerHeaders: [UInt8]

    init(
        configuration: DeploymentConfiguration, name: String, price: ModelPrice?, provider: Provider,
        gauge: DeploymentGauge, terms: [EscrowTerms], credentials: CredentialSource?,
        variantPrice: @escaping @Sendable (String) -> ModelPrice?
    ) {
        self.configuration = configuration
        self.priceBox = price.flatMap { $0.isTokenPriced ? PriceBox($0) : nil }
        self.units = price.flatMap { UnitPricing($0) }
        self.variantPrice = variantPrice
        self.provider = provider
        self.usageConvention = provider.usageConvention
        self.reportsCost = provider.costReport != .none
        self.formats = DeploymentFormats(provider: provider, configuration: configuration)
        self.signer = RequestSigner(
            configuration: configuration, provider: provider, credentials: credentials)
        self.credentials = credentials
        self.supportedKinds = self.formats.supportedKinds
        self.plainKinds = self.formats.plainKinds
        self.embedsPlainly = provider.embeddingFormat(of: .openAI, model: configuration.model) == .openAI
        self.name = name
        self.gauge = gauge
        self.terms = terms
        func route(version: String) -> RouteIdentity {
            RouteIdentity(
                modelGroup: name, model: configuration.model, provider: configuration.provider,
                deploymentID: configuration.deploymentID, priceVersion: version)
        }
        self.route = route(version: price?.version ?? "none")
        self.reportedRoute = route(version: "provider")
        self.requestHeads = CallKind.allCases.map { kind in
            guard kind.wireFormat == nil || kind == .chatCompletion, !kind.hasUnits, kind != .passThrough else {
                return []
            }
            return Self.headStart(
                path: provider.openAIPath(kind.path, model: configuration.model), configuration)
                + Array("content-length: ".utf8)
        }
        self.unitHeads = CallKind.allCases.map { kind in
            guard kind.hasUnits, provider.supports(kind) else { return [] }
            return Self.headStart(
                path: provider.path(of: kind, model: configuration.model), contentType: nil, configuration)
                + Array("content-type: ".utf8)
        }
        self.modelToken = Array(jsonQuoted(configuration.model).utf8)
        self.answerHeaders = Array(
            ("x-litellm-model-id: \(headerSafe(configuration.deploymentID))\r\n"
                + "x-litellm-model-group: \(headerSafe(name))\r\n").utf8)
    }

    /// The header line of a bearer token that was fetched. Empty: none was, or requests are signed.
    var bearerLine: [UInt8] {
        guard case .bearer(let token)? = self.credentials?.last else { return [] }
        return Array("Authorization: Bearer \(token)\r\n".utf8)
    }

    /// The deployment of a concrete name that a wildcard entry serves.
    func specialised(
        name: String, capture: String, prices: @escaping @Sendable (String) -> ModelPrice?
    ) -> Deployment {
        var configuration = self.configuration
        configuration.model = configuration.model.replacing("*", with: capture, maxReplacements: 1)
        var provider = self.provider
        // Clouds serve each maker's models by an API of their own, which the name tells.
        if self.configuration.model == "*" {
            (provider, configuration.model) = self.provider.variant(forModel: configuration.model)
        }
        let model = configuration.model
        return Deployment(
            configuration: configuration, name: name, price: prices(model) ?? self.price, provider: provider,
            gauge: self.gauge, terms: self.terms, credentials: self.credentials,
            variantPrice: { prices("\($0)/\(model)") })
    }

    /// What images of this size and quality cost: lists have them under names such as `hd/1024-x-1792/dall-e-3`, the
    /// most exact first. `nil` for either: the provider's default.
    func imagePricing(size: String?, quality: String?) -> UnitPricing? {
        let size = (size ?? "1024x1024").replacing("x", with: "-x-")
        var names = quality.map { ["\($0)/\(size)"] } ?? []
        names += [size, "medium/\(size)", "standard/\(size)"]
        for name in names {
            if let price = self.variantPrice(name), let units = UnitPricing(price) { return units }
        }
        return self.units
    }
}

/// A price that is shared instead of copied.
final class PriceBox: Sendable {
    let price: ModelPrice
    private let tokenPricing: TokenPricing
    private let pricesSearches: Bool
    private let searchesAlways: Bool

    init(_ price: ModelPrice) {
        self.price = price
        self.tokenPricing = price.tokenPricing
        self.pricesSearches = price.picodollars(.perWebSearch) != nil || price.picodollars(.perSearchedRequest) != nil
        self.searchesAlways = price.searchesAlways
    }

    /// As `TokenPricing.costMax`.
    func costMax(inputTokens: Int64, outputTokens: Int64) -> NanoUSD {
        self.tokenPricing.costMax(inputTokens: inputTokens, outputTokens: outputTokens)
    }

    /// As `ModelPrice.searchCost(searches:)`.
    /// - Parameter reported: searches that a finished answer reports. `nil`: it says nothing of them.
    func searchCost(reported: Int64?) -> NanoUSD {
        guard self.pricesSearches else { return .zero }
        return self.price.searchCost(searches: reported ?? (self.searchesAlways ? 1 : 0))
    }

    /// Of so many searches at most.
    func searchCostMax(_ searches: Int64) -> NanoUSD {
        guard self.pricesSearches else { return .zero }
        return self.price.searchCost(searches: max(searches, self.searchesAlways ? 1 : 0))
    }

    /// As `ModelPrice.cost(of:tier:)`.
    func cost(of usage: TokenUsage, tier: ServiceTier) -> NanoUSD { self.tokenPricing.cost(of: usage, tier: tier) }
}

/// Text that may stand in a header value: anything else than visible ASCII and spaces becomes `_`, so that no
/// configured or requested name can end a line.
func headerSafe(_ text: String) -> String {
    String(decoding: text.utf8.map { $0 >= 0x20 && $0 < 0x7F ? $0 : UInt8(ascii: "_") }, as: UTF8.self)
}
