import GatewayCore
import GatewayDataPlane
import GatewayPostgres
import GatewayProviders
import GatewayRedis
import GatewayRouting

/// Everything that a configuration file, the environment and the command line say together, checked: what a pod is
/// composed from. Made by `ConfigurationLoader` only; a value that exists can be used without further checks.
package struct Settings: Sendable {
    package var dataPlane = DataPlaneConfiguration()
    package var routing: RoutingConfiguration
    /// Where providers' own paths go when no deployment says `use_in_pass_through`: by the keys in the environment.
    package var passThrough: [DeploymentConfiguration] = []
    /// By deployment identifier; every deployment has an entry.
    package var prices: [String: DeploymentPrice] = [:]
    /// By deployment: its provider as it serves that model, with region, project and version filled in. None for
    /// built-in answers whose provider is not one of ours.
    package var providers: [String: Provider] = [:]
    /// What `model_info` says for people and listings, by deployment identifier; every deployment has an entry.
    package var modelInfo: [String: ModelInfo] = [:]
    package var ledger = LedgerSettings()
    package var fleet = FleetSettings()
    package var governance = GovernanceSettings()
    /// What is kept of `/v1/responses`; `retention` is made of the next.
    package var responses = ResponseArchiveConfiguration()
    /// 1 or more.
    package var responseRetentionDays = 30
    /// `nil`: none is configured; one is made at first start and kept in the store.
    package var masterKey: Secret?
    /// `LITELLM_SALT_KEY`, for secrets at rest. `nil`: not configured.
    package var saltKey: Secret?
    /// `MARTLET_FORMER_SALT_KEY`, which only opens what was sealed before a rotation. `nil`: not configured.
    package var formerSaltKey: Secret?
    /// `store_model_in_db`: models and credentials come from the store too.
    package var storesModels = false
    /// PostgreSQL that holds the ledger. `nil`: SQLite in `dataDirectory`.
    package var database: PostgresSettings?
    /// Redis that rows travel by on their way into `database`. `nil`: each pod writes for itself.
    package var redis: RedisSettings?
    /// Times of that way; `directAfter` is made of the next.
    package var redisTransport = RedisTransportConfiguration()
    /// Seconds after which a pod writes by itself when Redis does not work; 0: never.
    package var redisDirectAfterSeconds = 10
    /// Price catalogue in our own format that takes the place of the shipped one. `nil`: the shipped one.
    package var priceCatalogueFile: String?
    /// HTTP status of a refusal because a budget is spent: 400, 402, 422 or 429.
    package var budgetExceededStatus = 422
    /// Directory of the journal and the SQLite file.
    package var dataDirectory = "martlet-data"
    package var logLevel: LogLevel = .info
    /// One JSON object per log line instead of text.
    package var logsAreJSON = false
    /// `/metrics` asks for a key.
    package var metricsRequireKey = false

    package init(routing: RoutingConfiguration) { self.routing = routing }
}

/// Budgets that are not of a key or of one of its owners, and how budgets are kept.
package struct GovernanceSettings: Sendable, Hashable {
    /// Of all calls together, US dollars. `nil`: they have none.
    package var proxyBudget: Double?
    /// LiteLLM's duration text. `nil`: `proxyBudget` never begins anew.
    package var proxyBudgetDuration: String?
    /// Calls at one time, of all pods together. `nil`: any number.
    package var parallelRequestsMax: Int?
    /// Budget of customers that have none. `nil`: they have no bound.
    package var customerBudgetID: String?
    package var userBudgetBindsTeamKeys = false
    package var budgetsAreStrict = false
    /// Limits of requests and tokens that do not say it are for any minute or day, not those of the clock.
    package var limitsSlide = false
    /// Budgets that do not say it hand on to a window what the one before did not use.
    package var budgetsRollOver = false
    /// What limits of tokens count.
    package var tokenUnit = LimitTerms.Unit.tokens
    /// Whose midnight begins calendar windows; a name of the time zone database.
    package var timeZone = "Etc/UTC"
}

/// How much is logged; the names of swift-log.
package enum LogLevel: String, Sendable, CaseIterable {
    case trace, debug, info, notice, warning, error, critical
}

/// What `model_info` says about a deployment beyond its price.
package struct ModelInfo: Sendable, Hashable {
    /// LiteLLM's `mode`, such as `chat` or `embedding`. `nil`: the price catalogue knows, or nobody.
    package var mode: String?
    /// Tokens. `nil`: as the price catalogue says.
    package var inputTokensMax: Int?
    /// Tokens. `nil`: as the price catalogue says.
    package var outputTokensMax: Int?
    /// Names that stand for this deployment's group in lists of models.
    package var accessGroups: [String]

    package init(
        mode: String? = nil, inputTokensMax: Int? = nil, outputTokensMax: Int? = nil, accessGroups: [String] = []
    ) {
        self.accessGroups = accessGroups
        self.mode = mode
        self.inputTokensMax = inputTokensMax
        self.outputTokensMax = outputTokensMax
    }
}
