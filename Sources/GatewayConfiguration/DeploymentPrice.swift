import GatewayPricing

/// How a deployment is priced: where to look in the catalogue, and what the configuration says instead.
package struct DeploymentPrice: Sendable {
    /// LiteLLM's provider name for the look-up.
    package var provider: String
    /// Name at the provider for the look-up: `model_info.base_model`, else the deployment's own. `*` as in the
    /// deployment's model.
    package var model: String
    /// Rates of the entry that win over the catalogue. `nil`: none.
    package var override: PriceOverride?

    package init(provider: String, model: String, override: PriceOverride?) {
        self.provider = provider
        self.model = model
        self.override = override
    }
}
