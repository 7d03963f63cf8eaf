import GatewayAdmission
import GatewayCore
import GatewayLedger
import Logging

/// Everything that the control plane needs from the rest of the pod.
package struct ControlPlaneDependencies: Sendable {
    /// Keys as the store and this pod know them; shared with `KeyFollower`, so that both work in turn.
    package var keys: KeyRegistry
    package var keyStore: any KeyStore
    /// Users, teams and the others; shared with `EntityFollower`.
    package var entities: EntityRegistry
    package var ledger: any LedgerStore
    package var models: any ModelListing
    package var metrics: any MetricsSource
    package var readiness: Readiness
    package var journalStatus: @Sendable () async -> JournalStatus
    /// Position of the change log up to which this pod has applied changes (`ChangeLogReader.position`).
    package var changePosition: @Sendable () -> Int64
    package var clock: any WallClock
    package var logger: Logger
    package var pod: PodIdentity
    /// Runs after keys have changed here, before the answer goes out. A fleet waits for the other pods in it.
    package var afterMutation: @Sendable ([VirtualKeyID]) async -> Void
    /// Whether `/metrics` asks for a key.
    package var metricsRequireKey: Bool
    /// Where secrets and identifiers of new keys come from.
    package var randomness: SecretRandomness
    /// Stored models and credentials. `nil`: `store_model_in_db` is off, and changes are refused.
    package var modelAdministration: ModelAdministration?
    /// The other pods. `nil`: this pod is alone.
    package var fleet: (any FleetDirectory)?
    /// The queue that rows travel by. `nil`: there is none.
    package var queue: (any QueueDirectory)?
    /// Budgets and limits as this pod keeps them. `nil`: none are enforced.
    package var escrow: EscrowRegistry?
    /// Budgets and limits as the store keeps them, those that it has.
    package var escrowStandings: @Sendable ([Int64]) async throws(LedgerError) -> [EscrowStanding] = { _ in [] }
    /// What binds deployments and providers now.
    package var boundDeployments: @Sendable () -> BoundDeployments = { .none }
    /// Finds keys that another pod made a moment ago. `nil`: this pod is alone.
    package var keyResolver: (any KeyResolver)?

    package init(
        keys: KeyRegistry, keyStore: any KeyStore, entities: EntityRegistry, ledger: any LedgerStore,
        models: any ModelListing,
        metrics: any MetricsSource, readiness: Readiness, journalStatus: @escaping @Sendable () async -> JournalStatus,
        changePosition: @escaping @Sendable () -> Int64, clock: any WallClock, logger: Logger, pod: PodIdentity,
        afterMutation: @escaping @Sendable ([VirtualKeyID]) async -> Void, metricsRequireKey: Bool,
        randomness: SecretRandomness
    ) {
        self.keys = keys
        self.keyStore = keyStore
        self.entities = entities
        self.ledger = ledger
        self.models = models
        self.metrics = metrics
        self.readiness = readiness
        self.journalStatus = journalStatus
        self.changePosition = changePosition
        self.clock = clock
        self.logger = logger
        self.pod = pod
        self.afterMutation = afterMutation
        self.metricsRequireKey = metricsRequireKey
        self.randomness = randomness
    }
}

/// A source of unpredictable bits. Tests put a seeded one in its place.
package struct SecretRandomness: RandomNumberGenerator, Sendable {
    private let nextWord: @Sendable () -> UInt64

    package init(nextWord: @escaping @Sendable () -> UInt64) { self.nextWord = nextWord }

    package func next() -> UInt64 { self.nextWord() }

    /// The operating system's generator.
    package static var system: SecretRandomness {
        SecretRandomness {
            var generator = SystemRandomNumberGenerator()
            return generator.next()
        }
    }
}
