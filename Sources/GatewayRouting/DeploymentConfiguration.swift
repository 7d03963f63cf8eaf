import GatewayCore

/// A secret that must never reach a log or an error text: its description is a placeholder.
package struct Secret: Sendable, Hashable, CustomStringConvertible, CustomDebugStringConvertible {
    private let value: String

    package init(_ value: String) { self.value = value }

    /// The secret itself; only for the place that sends it.
    package func reveal() -> String { self.value }

    package var description: String { "<secret>" }
    package var debugDescription: String { "<secret>" }
}

/// Where a provider is reached.
package struct UpstreamAddress: Sendable, Hashable {
    package var isTLS: Bool
    /// Name or address, without brackets.
    package var host: String
    package var port: Int
    /// Path before the endpoint, such as `/v1`; without a slash at its end, empty at the root.
    package var basePath: String

    package init(isTLS: Bool, host: String, port: Int, basePath: String) {
        self.isTLS = isTLS
        self.host = host
        self.port = port
        self.basePath = basePath
    }
}

/// How a deployment handles the usage chunk at the end of a stream.
package enum StreamUsageSupport: Sendable, Hashable {
    /// Usage comes when `stream_options.include_usage` asks for it.
    case onRequest
    /// The provider refuses or ignores `stream_options`; it is never added.
    case unsupported
    /// Usage comes unasked.
    case always
}

/// Bounds of one deployment. A `nil` falls back to the data plane's own.
package struct DeploymentLimits: Sendable, Hashable {
    /// Calls in flight at once.
    package var inFlightMax: Int?
    /// Calls that may wait for a place.
    package var waitingMax: Int?
    /// Whole attempt, from its start.
    package var totalTimeout: Duration?
    /// Whole attempt of a stream.
    package var streamTimeout: Duration?

    package init(inFlightMax: Int?, waitingMax: Int?, totalTimeout: Duration?, streamTimeout: Duration?) {
        self.inFlightMax = inFlightMax
        self.waitingMax = waitingMax
        self.totalTimeout = totalTimeout
        self.streamTimeout = streamTimeout
    }
}

/// What signs calls to AWS where no key is configured.
package struct AWSKeyPair: Sendable, Hashable {
    package var accessKeyID: String
    package var secretAccessKey: Secret
    /// Of temporary credentials. `nil`: permanent ones.
    package var sessionToken: Secret?

    package init(accessKeyID: String, secretAccessKey: Secret, sessionToken: Secret?) {
        self.accessKeyID = accessKeyID
        self.secretAccessKey = secretAccessKey
        self.sessionToken = sessionToken
    }
}

/// What answers a call without a provider.
package enum BuiltInAnswer: Sendable, Hashable {
    /// LiteLLM's `mock_response`: this text as the assistant's message.
    case text(String)
    /// The demo model: says honestly that it is one.
    case demo
}

/// One entry of `model_list`, resolved: everything that is needed to send it a call.
package struct DeploymentConfiguration: Sendable {
    /// The name callers use; may hold one `*`.
    package var modelGroup: String
    /// `litellm_provider` name, such as `openai`.
    package var provider: String
    /// Name at the provider, without its prefix; `*` is replaced by what the caller's name had in its place.
    package var model: String
    /// Stable identifier: `model_info.id`, or a hash of the entry.
    package var deploymentID: String
    /// `nil` only with a built-in answer.
    package var address: UpstreamAddress?
    /// Header line that authenticates, such as `Authorization` and `Bearer ...`. `nil`: the provider needs none.
    package var authentication: (header: String, value: Secret)?
    package var extraHeaders: [(name: String, value: String)]
    /// Relative weight in its group, > 0.
    package var weight: Double
    package var limits: DeploymentLimits
    package var streamUsage: StreamUsageSupport
    package var answer: BuiltInAnswer?
    /// Verifies the provider's certificate. `false` only by explicit configuration.
    package var verifiesTLS: Bool
    /// PEM file of further authorities. `nil`: the system's alone.
    package var authorityFile: String?
    /// LiteLLM's `drop_params`: what the provider's format cannot express is left out instead of refused.
    package var dropsUnsupported = false
    /// LiteLLM's `use_in_pass_through`: the provider's own paths are called with this entry's address and key.
    package var servesPassThrough = false
    /// Signs each call instead of `authentication`. `nil`: calls are not signed, or with what `credentialRecipe` gives.
    package var awsKeyPair: AWSKeyPair?
    /// Gives what authenticates or signs calls. `nil`: what does is configured, or the provider needs nothing.
    package var credentialRecipe: CredentialRecipe?
    /// What its calls may cost, for all pods together.
    package var budgets: [BudgetRule] = []
    /// How fast it may be called, for all pods together.
    package var rates: [LimitRule] = []

    package init(
        modelGroup: String, provider: String, model: String, deploymentID: String, address: UpstreamAddress?,
        authentication: (header: String, value: Secret)?, extraHeaders: [(name: String, value: String)],
        weight: Double, limits: DeploymentLimits, streamUsage: StreamUsageSupport, answer: BuiltInAnswer?,
        verifiesTLS: Bool, authorityFile: String?
    ) {
        self.modelGroup = modelGroup
        self.provider = provider
        self.model = model
        self.deploymentID = deploymentID
        self.address = address
        self.authentication = authentication
        self.extraHeaders = extraHeaders
        self.weight = weight
        self.limits = limits
        self.streamUsage = streamUsage
        self.answer = answer
        self.verifiesTLS = verifiesTLS
        self.authorityFile = authorityFile
    }
}

/// The routing part of a configuration, checked.
package struct RoutingConfiguration: Sendable {
    package var deployments: [DeploymentConfiguration]
    /// `router_settings.model_group_alias`: another name of a group. Hidden ones are not listed.
    package var aliases: [(alias: String, group: String, isHidden: Bool)]
    /// Further attempts after a failed one, on another deployment of the group where there is one. 0...10.
    package var retriesMax: Int
    /// `fallbacks`: groups to try in order when a group's attempts have failed; `*` is the default entry.
    package var fallbacks: [(group: String, targets: [String])]
    /// How long a deployment that failed is left out when its group has another; zero: never.
    package var cooldown: Duration
    /// `provider_budget_config`: what calls of a provider may cost, for all its deployments together.
    package var providerBudgets: [(provider: String, budget: BudgetRule)] = []

    package init(
        deployments: [DeploymentConfiguration], aliases: [(alias: String, group: String, isHidden: Bool)],
        retriesMax: Int, fallbacks: [(group: String, targets: [String])], cooldown: Duration
    ) {
        self.deployments = deployments
        self.aliases = aliases
        self.retriesMax = retriesMax
        self.fallbacks = fallbacks
        self.cooldown = cooldown
    }
}
