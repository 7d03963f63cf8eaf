import GatewayAdmission
import GatewayCore
import GatewayPricing
import GatewayProviders
import GatewayRouting

/// A deployment as the composition hands it over: configured, with its price.
package struct PricedDeployment: Sendable {
    package var configuration: DeploymentConfiguration
    package var provider: Provider
    /// `nil`: the price list does not know the model; calls are served at cost 0 and flagged.
    package var price: ModelPrice?
    /// The price of the model under a name with this in front, as lists have images by size and quality. `nil`: none.
    package var variantPrice: @Sendable (_ variant: String) -> ModelPrice?
    /// What binds its calls, whichever key makes them.
    package var terms: [EscrowTerms] = []

    package init(
        configuration: DeploymentConfiguration, provider: Provider, price: ModelPrice?,
        variantPrice: @escaping @Sendable (String) -> ModelPrice? = { _ in nil }
    ) {
        self.configuration = configuration
        self.provider = provider
        self.price = price
        self.variantPrice = variantPrice
    }
}

/// Everything that calls need of the configuration: immutable, swapped whole on reload.
package final class RuntimeSnapshot: Sendable {
    let routing: RoutingTable
    let retry: RetryPolicy
    let cooldownNanoseconds: UInt64
    /// By configured group name, wildcards included.
    let groups: [String: [Deployment]]
    /// By provider: where its own paths go.
    let passThrough: [String: Deployment]
    /// What is fetched for deployments, by how; kept over reloads.
    let credentials: [CredentialRecipe: CredentialSource]
    /// Price of a concrete model behind a wildcard entry.
    let priceLookup: @Sendable (_ provider: String, _ model: String) -> ModelPrice?
    /// Status of a refusal because a budget is spent.
    let budgetExceededStatus: Int

    /// - Parameter former: keeps the gauges of deployments that live on, and credentials that were fetched.
    package init(
        routing: RoutingConfiguration, deployments: [PricedDeployment],
        passThrough: [PricedDeployment] = [], former: RuntimeSnapshot?, fetcher: any CredentialFetching,
        budgetExceededStatus: Int, priceLookup: @escaping @Sendable (String, String) -> ModelPrice?
    ) {
        self.routing = RoutingTable(routing)
        self.retry = RetryPolicy(retriesMax: routing.retriesMax)
        self.cooldownNanoseconds = routing.cooldown.wholeNanoseconds
        self.priceLookup = priceLookup
        self.budgetExceededStatus = budgetExceededStatus
        var gauges: [String: DeploymentGauge] = [:]
        if let former {
            for deployment in Array(former.passThrough.values) + former.groups.values.joined() {
                gauges[deployment.configuration.deploymentID] = deployment.gauge
            }
        }
        var credentials: [CredentialRecipe: CredentialSource] = [:]
        let recipes = (deployments + passThrough).compactMap(\.configuration.credentialRecipe)
        for recipe in recipes where credentials[recipe] == nil {
            credentials[recipe] = former?.credentials[recipe] ?? CredentialSource(recipe: recipe, fetcher: fetcher)
        }
        self.credentials = credentials
        var groups: [String: [Deployment]] = [:]
        for priced in deployments {
            let name = priced.configuration.modelGroup
            groups[name, default: []].append(
                Deployment(
                    configuration: priced.configuration, name: name, price: priced.price, provider: priced.provider,
                    gauge: gauges[priced.configuration.deploymentID] ?? DeploymentGauge(), terms: priced.terms,
                    credentials: priced.configuration.credentialRecipe.flatMap { credentials[$0] },
                    variantPrice: priced.variantPrice))
        }
        self.groups = groups
        self.passThrough = Dictionary(
            passThrough.map { priced in
                let id = priced.configuration.deploymentID
                // One that serves a group as well has its places in common with it.
                let shared = groups.values.joined().first { $0.configuration.deploymentID == id }
                var configuration = priced.configuration
                configuration.model = "*"
                let deployment = Deployment(
                    configuration: configuration, name: "\(priced.provider.name)/*", price: nil,
                    provider: priced.provider, gauge: shared?.gauge ?? gauges[id] ?? DeploymentGauge(),
                    terms: priced.terms, credentials: configuration.credentialRecipe.flatMap { credentials[$0] },
                    variantPrice: { _ in nil })
                return (priced.provider.name, deployment)
            }, uniquingKeysWith: { first, _ in first })
    }

    /// Places taken at all deployments together, and calls that wait for one.
    package var places: (taken: Int, waiting: Int) {
        self.groups.values.joined().reduce(into: (taken: 0, waiting: 0)) { sum, deployment in
            sum.taken += deployment.gauge.inFlight.load(ordering: .relaxed)
            sum.waiting += deployment.gauge.waiting.load(ordering: .relaxed)
        }
    }
}

extension Duration {
    /// Nanoseconds, 0 for a negative duration, saturating.
    var wholeNanoseconds: UInt64 {
        let (seconds, attoseconds) = self.components
        guard seconds >= 0 else { return 0 }
        let (whole, overflow) = UInt64(seconds).multipliedReportingOverflow(by: 1_000_000_000)
        return overflow ? .max : whole &+ UInt64(attoseconds / 1_000_000_000)
    }
}
