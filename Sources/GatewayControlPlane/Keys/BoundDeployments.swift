import GatewayAdmission
import GatewayCore

/// What binds the calls of one deployment, whichever key makes them.
package struct BoundDeployment: Sendable, Hashable {
    package var deploymentID: String
    /// The configured name that callers use, perhaps with a wildcard.
    package var group: String
    /// The name at the provider.
    package var model: String
    package var provider: String
    /// Its own limits and budgets, then those of its provider. Empty: nothing binds it.
    package var terms: [EscrowTerms]

    package init(deploymentID: String, group: String, model: String, provider: String, terms: [EscrowTerms]) {
        self.deploymentID = deploymentID
        self.group = group
        self.model = model
        self.provider = provider
        self.terms = terms
    }
}

/// Budgets and limits of deployments and providers as the configuration in force has them.
package struct BoundDeployments: Sendable, Hashable {
    package var deployments: [BoundDeployment]
    /// Budgets of providers, whether they have deployments or not.
    package var providers: [EscrowTerms]

    package init(deployments: [BoundDeployment], providers: [EscrowTerms]) {
        self.deployments = deployments
        self.providers = providers
    }

    package static let none = BoundDeployments(deployments: [], providers: [])

    /// Those that serve a model: of the group of this name, else of those whose wildcard covers it.
    func serving(group: String) -> [BoundDeployment] {
        let named = self.deployments.filter { $0.group == group }
        return named.isEmpty
            ? self.deployments.filter { $0.group.contains("*") && WildcardPattern($0.group).matches(group) } : named
    }
}
