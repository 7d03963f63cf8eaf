import GatewayAdmission
import GatewayControlPlane
import GatewayCore
import GatewayLedger
import Synchronization
import TestSupport
import Testing

/// Lists what a test, or a pod's reload, put in force.
final class ChangingModels: ModelListing {
    let models: Shared<[ListedModel]>
    init(_ models: [ListedModel]) { self.models = Shared(models) }
    func modelNames() -> [ListedModel] { self.models.value }
}

/// The control plane of one pod with stored models; several can share one store.
struct ModelFixture {
    static let saltKey = "salt-key-of-the-test-0123456789"
    static let secret = "sk-planted-provider-secret-8f31"
    let clock = ManualWallClock()
    let store: any ModelStore
    let vault: ModelVault
    let log = CapturedLog()
    let listing: ChangingModels
    /// What the configuration would say about every candidate.
    let verdict = Shared(CandidateVerdict())
    let candidates = Shared<[StoredCandidate]>([])
    /// Reloads so far.
    let changes = Shared(0)
    /// Whether a reload puts models in force.
    let isServing = Shared(true)
    let plane: ControlPlane
    private let directory = KeyDirectory()

    init(
        store: any ModelStore = MemoryModelStore(), keyring: SecretKeyring? = Self.keyring(), isOn: Bool = true,
        seed: UInt64 = 11
    ) {
        let vault = ModelVault(store: store, keyring: keyring)
        let listing = ChangingModels(ControlFixture.models)
        let generator = Mutex(SeededGenerator(seed: seed))
        let (verdict, candidates, changes, isServing) = (self.verdict, self.candidates, self.changes, self.isServing)
        self.store = store
        self.vault = vault
        self.listing = listing
        let (keyStore, ledger) = (MemoryKeyStore(), FixedLedger())
        let registry = KeyRegistry(directory: self.directory, keyStore: keyStore, ledger: ledger, reader: .utc)
        var dependencies = ControlPlaneDependencies(
            keys: registry, keyStore: keyStore,
            entities: EntityRegistry(directory: self.directory.entities, store: MemoryEntityStore(), reader: .utc),
            ledger: ledger, models: listing,
            metrics: FixedMetrics(snapshot: MetricsSnapshot()), readiness: Readiness(.ready),
            journalStatus: {
                JournalStatus(
                    depthBytes: 0, lagEvents: 0, openIntents: 0, applied: 0, isStoreReachable: true, state: "ok")
            }, changePosition: { 0 }, clock: self.clock, logger: self.log.logger,
            pod: PodIdentity(name: "pod-a", processID: 1, version: "0.1.0", startedAt: self.clock.now()),
            afterMutation: { _ in }, metricsRequireKey: false,
            randomness: SecretRandomness { generator.withLock { $0.next() } })
        if isOn {
            dependencies.modelAdministration = ModelAdministration(
                vault: vault,
                check: { candidate in
                    candidates.value.append(candidate)
                    return verdict.value
                },
                modelsChanged: {
                    changes.value += 1
                    guard isServing.value, let opened = try? await vault.load() else { return }
                    listing.models.value = ControlFixture.models + opened.models.map(Self.listed)
                })
        }
        self.plane = ControlPlane(dependencies: dependencies)
        self.directory.set(
            Self.key(.masterKey, ControlFixture.master), startingSpend: .zero, isMaster: true)
    }

    /// A key that is no administrator's.
    func addKey(_ secret: String) {
        let id = VirtualKeyID(UUIDBits(high: 0x7000, low: 0x8000_0000_0000_0000))
        self.directory.set(Self.key(id, secret), startingSpend: .zero, isMaster: false)
    }

    private static func key(_ id: VirtualKeyID, _ secret: String) -> KeyRecord {
        KeyRecord(
            keyID: id, digest: KeySecret.digest(of: secret), keyName: "sk-...", alias: nil, models: [], maxBudget: nil,
            budgetDuration: nil, expiresAt: nil, isBlocked: false, userID: nil, teamID: nil, metadata: "{}",
            otherFields: "{}", createdBy: "test", createdAt: UnixMicroseconds(rawValue: 0),
            updatedAt: UnixMicroseconds(rawValue: 0))
    }

    static func keyring(_ saltKey: String = Self.saltKey) -> SecretKeyring {
        SecretKeyring(current: SecretBox(saltKey: saltKey))
    }

    private static func listed(_ model: OpenedModel) -> ListedModel {
        ListedModel(
            name: model.modelName, provider: "openai",
            deployments: [
                ListedDeployment(
                    deploymentID: model.modelID, provider: "openai", model: "gpt-4o", mode: "chat", price: nil,
                    inputTokensMax: nil, outputTokensMax: nil)
            ])
    }

    func send(
        _ method: String, _ target: String, _ body: String = "", key: String? = ControlFixture.master
    ) async -> Answer {
        let parts = target.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        return Answer(
            response: await self.plane.respond(
                to: ControlRequest(
                    method: method, path: parts[0], query: parts.count > 1 ? parts[1] : nil, headers: [],
                    body: Array(body.utf8), credential: key.map { KeySecret.digest(of: $0) })))
    }

    /// The body of a model with a secret in two places.
    static func body(id: String? = "m-1", secret: String = Self.secret) -> String {
        let info = id.map { #"{"id":"\#($0)","mode":"chat"}"# } ?? "{}"
        return #"{"model_name":"fast","litellm_params":{"model":"openai/gpt-4o","api_key":"\#(secret)","#
            + #""api_base":"https://api.example.com/v1","extra_headers":{"X-Key":"\#(secret)"},"rpm":60},"#
            + #""model_info":\#(info)}"#
    }

    /// Everything that stands in the store, as text.
    func stored() async throws -> String {
        let models = try await self.store.models().map { "\($0)" }
        let credentials = try await self.store.credentials().map { "\($0)" }
        return (models + credentials).joined(separator: "\n")
    }
}
