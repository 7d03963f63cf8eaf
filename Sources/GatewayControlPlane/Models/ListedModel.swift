/// What is known of a deployment's price and limits, for people who ask `/model/info`.
package struct ListedPrice: Sendable, Equatable {
    /// Pico-US-dollars per token (1 USD = 1_000_000_000_000). `nil`: no such rate is known.
    package var inputPicodollars: Int64?
    package var outputPicodollars: Int64?
    package var cachedInputPicodollars: Int64?
    package var cacheWritePicodollars: Int64?

    package init(
        inputPicodollars: Int64?, outputPicodollars: Int64?, cachedInputPicodollars: Int64?,
        cacheWritePicodollars: Int64?
    ) {
        self.inputPicodollars = inputPicodollars
        self.outputPicodollars = outputPicodollars
        self.cachedInputPicodollars = cachedInputPicodollars
        self.cacheWritePicodollars = cacheWritePicodollars
    }
}

/// One deployment behind a listed name, without addresses and secrets.
package struct ListedDeployment: Sendable, Equatable {
    package var deploymentID: String
    package var provider: String
    /// Name at the provider, without the provider's prefix.
    package var model: String
    /// LiteLLM's `mode`, such as `chat` or `embedding`. `nil`: unknown.
    package var mode: String?
    /// `nil`: the price list does not know the model.
    package var price: ListedPrice?
    /// Tokens. `nil`: unknown.
    package var inputTokensMax: Int64?
    /// Tokens. `nil`: unknown.
    package var outputTokensMax: Int64?

    package init(
        deploymentID: String, provider: String, model: String, mode: String?, price: ListedPrice?,
        inputTokensMax: Int64?, outputTokensMax: Int64?
    ) {
        self.deploymentID = deploymentID
        self.provider = provider
        self.model = model
        self.mode = mode
        self.price = price
        self.inputTokensMax = inputTokensMax
        self.outputTokensMax = outputTokensMax
    }
}

/// A name that callers may use, with what stands behind it.
package struct ListedModel: Sendable, Equatable {
    /// May hold `*`; such a name is matched, but listed only when `return_wildcard_routes` asks for it.
    package var name: String
    /// `owned_by` of the listing.
    package var provider: String
    package var deployments: [ListedDeployment]

    package init(name: String, provider: String, deployments: [ListedDeployment]) {
        self.name = name
        self.provider = provider
        self.deployments = deployments
    }
}

/// Tells which models this pod serves at this moment. Called once for each request that lists them.
package protocol ModelListing: Sendable {
    /// In the order of the configuration; hidden aliases left out.
    func modelNames() -> [ListedModel]
}
