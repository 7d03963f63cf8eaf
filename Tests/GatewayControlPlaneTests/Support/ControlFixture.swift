import Foundation
import GatewayAdmission
import GatewayControlPlane
import GatewayCore
import GatewayLedger
import Synchronization
import TestSupport
import Testing

/// An answer with its body parsed by a second parser, Foundation's.
struct Answer {
    var response: ControlResponse

    var status: Int { self.response.status }
    var text: String { String(decoding: self.response.body, as: UTF8.self) }
    var json: [String: Any] { (self.value as? [String: Any]) ?? [:] }
    var list: [[String: Any]] { (self.value as? [[String: Any]]) ?? [] }
    var error: [String: Any] { (self.json["error"] as? [String: Any]) ?? [:] }
    var errorType: String? { self.error["type"] as? String }
    var problems: [[String: Any]] { (self.json["detail"] as? [[String: Any]]) ?? [] }
    var warnings: [String] { (self.json["warnings"] as? [String]) ?? [] }

    func header(_ name: String) -> String? { self.response.headers.first { $0.name == name }?.value }

    private var value: Any? {
        try? JSONSerialization.jsonObject(with: Data(self.response.body), options: [.fragmentsAllowed])
    }
}

struct FixedModels: ModelListing {
    var models: [ListedModel]
    func modelNames() -> [ListedModel] { self.models }
}

struct FixedMetrics: MetricsSource {
    var snapshot: MetricsSnapshot
    func metrics() async -> MetricsSnapshot { self.snapshot }
}

/// A value that tests set and the plane reads.
final class Shared<Value: Sendable>: Sendable {
    private let mutex: Mutex<Value>
    init(_ value: Value) { self.mutex = Mutex(value) }
    var value: Value {
        get { self.mutex.withLock { $0 } }
        set { self.mutex.withLock { $0 = newValue } }
    }
}

/// A control plane over stores in memory, with a master key.
struct ControlFixture {
    static let master = "sk-master-1234"
    let clock = ManualWallClock()
    let keyStore = MemoryKeyStore()
    let ledger = FixedLedger()
    let entityStore = MemoryEntityStore()
    let directory = KeyDirectory()
    let registry: KeyRegistry
    let follower: ChangeLogReader
    let readiness = Readiness(.ready)
    let log = CapturedLog()
    let journal = Shared(
        JournalStatus(
            depthBytes: 4096, lagEvents: 2, openIntents: 1, applied: 17, isStoreReachable: true, state: "ok"))
    let mutations = Shared<[[VirtualKeyID]]>([])
    let plane: ControlPlane

    init(
        models: [ListedModel] = ControlFixture.models, snapshot: MetricsSnapshot = MetricsSnapshot(),
        metricsRequireKey: Bool = false, fleet: (any FleetDirectory)? = nil, bound: BoundDeployments = .none,
        escrow: EscrowRegistry? = nil, standings: [EscrowStanding] = []
    ) {
        let registry = KeyRegistry(
            directory: self.directory, keyStore: self.keyStore, ledger: self.ledger, reader: .utc)
        let entities = EntityRegistry(directory: self.directory.entities, store: self.entityStore, reader: .utc)
        let follower = ChangeLogReader(
            store: self.keyStore,
            followers: [KeyFollower(registry: registry, logger: self.log.logger, onChange: {})])
        let generator = Mutex(SeededGenerator(seed: 7))
        let (journal, mutations) = (self.journal, self.mutations)
        self.registry = registry
        self.follower = follower
        var dependencies = ControlPlaneDependencies(
            keys: registry, keyStore: self.keyStore, entities: entities, ledger: self.ledger,
            models: FixedModels(models: models),
            metrics: FixedMetrics(snapshot: snapshot), readiness: self.readiness,
            journalStatus: { journal.value }, changePosition: { follower.position }, clock: self.clock,
            logger: self.log.logger,
            pod: PodIdentity(name: "pod-a", processID: 4242, version: "0.1.0", startedAt: self.clock.now()),
            afterMutation: { mutations.value.append($0) }, metricsRequireKey: metricsRequireKey,
            randomness: SecretRandomness { generator.withLock { $0.next() } })
        dependencies.fleet = fleet
        dependencies.escrow = escrow
        dependencies.boundDeployments = { bound }
        dependencies.escrowStandings = { accounts in standings.filter { accounts.contains($0.accountID) } }
        self.plane = ControlPlane(dependencies: dependencies)
        let now = self.clock.now()
        self.directory.set(
            KeyRecord(
                keyID: .masterKey, digest: KeySecret.digest(of: Self.master), keyName: "sk-...1234", alias: nil,
                models: [], maxBudget: nil, budgetDuration: nil, expiresAt: nil, isBlocked: false, userID: nil,
                teamID: nil, metadata: "{}", otherFields: "{}", createdBy: "configuration", createdAt: now,
                updatedAt: now), startingSpend: .zero, isMaster: true)
    }

    static let models = [
        ListedModel(
            name: "gpt-4o", provider: "openai",
            deployments: [
                ListedDeployment(
                    deploymentID: "d-1", provider: "openai", model: "gpt-4o", mode: "chat",
                    price: ListedPrice(
                        inputPicodollars: 2_500_000, outputPicodollars: 10_000_000, cachedInputPicodollars: 1_250_000,
                        cacheWritePicodollars: nil), inputTokensMax: 128_000, outputTokensMax: 16_384)
            ]),
        ListedModel(
            name: "together/meta/llama", provider: "together_ai",
            deployments: [
                ListedDeployment(
                    deploymentID: "d-2", provider: "together_ai", model: "meta/llama", mode: nil, price: nil,
                    inputTokensMax: nil, outputTokensMax: nil)
            ]),
        ListedModel(name: "groq/*", provider: "groq", deployments: []),
    ]

    /// Sends a request; `key` is a secret, `nil` sends none.
    func send(
        _ method: String, _ target: String, body: [UInt8] = [], key: String? = ControlFixture.master
    ) async -> Answer {
        let parts = target.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        return Answer(
            response: await self.plane.respond(
                to: ControlRequest(
                    method: method, path: parts[0], query: parts.count > 1 ? parts[1] : nil, headers: [], body: body,
                    credential: key.map { KeySecret.digest(of: $0) })))
    }

    func get(_ target: String, key: String? = ControlFixture.master) async -> Answer {
        await self.send("GET", target, key: key)
    }

    func post(_ target: String, _ body: String = "", key: String? = ControlFixture.master) async -> Answer {
        await self.send("POST", target, body: Array(body.utf8), key: key)
    }

    /// Makes a key and returns its secret.
    func makeKey(_ body: String = "{}") async throws -> String {
        let answer = await self.post("/key/generate", body)
        try #require(answer.status == 200, "\(answer.text)")
        return try #require(answer.json["key"] as? String)
    }

    /// `info` of a key as the master key sees it.
    func info(_ key: String) async throws -> [String: Any] {
        let answer = await self.get("/key/info?key=\(key)")
        try #require(answer.status == 200, "\(answer.text)")
        return try #require(answer.json["info"] as? [String: Any])
    }

    /// Whether calls with this secret would be let in.
    func isInForce(_ key: String) -> Bool {
        self.directory.entry(digest: KeySecret.digest(of: key)).map { !$0.record.isBlocked } ?? false
    }

    /// A settled attempt of the key, in the ledger and in its live spend.
    func spend(_ nanos: Int64, by key: String, number: Int, route: RouteIdentity = .sample()) throws {
        let entry = try #require(self.directory.entry(digest: KeySecret.digest(of: key)))
        var event = UsageEvent.sample(number, payer: entry.payer, route: route)
        event.cost = NanoUSD(rawValue: nanos)
        self.ledger.add([event])
        entry.spend.add(event.cost)
    }
}

extension GovernanceReader {
    static let utc = GovernanceReader(timeZone: "Etc/UTC", standard: GovernanceStandard())
}
