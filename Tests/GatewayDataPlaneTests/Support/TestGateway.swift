import Crypto
import Foundation
import GatewayAdmission
import GatewayCore
import GatewayDataPlane
import GatewayLedger
import GatewayPricing
import GatewayProviders
import GatewayRouting
import Logging
import Synchronization
import TestSupport
import Testing

/// What a test's gateway is configured with.
struct GatewaySetup: Sendable {
    var deployments: [DeploymentConfiguration] = []
    /// Where providers' own paths go.
    var passThrough: [DeploymentConfiguration] = []
    var aliases: [(alias: String, group: String, isHidden: Bool)] = []
    var retriesMax = 0
    var fallbacks: [(group: String, targets: [String])] = []
    var cooldown = Duration.zero
    var configuration = DataPlaneConfiguration()
    var isPriced = true
    /// Models have the prices of the shipped catalogue instead of the same for all.
    var usesCatalogue = false
    /// Budgets and limits by deployment identifier.
    var terms: [String: [EscrowTerms]] = [:]
    /// `nil`: none are enforced.
    var escrow: EscrowRegistry?
    /// `nil`: responses are not kept.
    var archive: ResponseArchive?
    var journal = JournalConfiguration(segmentBytes: 1 << 20, bytesMax: 64 << 20, syncInterval: nil)
    var journalFiles: any JournalFiles = SystemJournalFiles()
    var clock: any WallClock = ManualWallClock()
    var logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    init() {
        self.configuration.port = 0
        self.configuration.eventLoops = 1
        self.configuration.drainTimeout = .seconds(2)
    }

    /// One deployment `chat` at a provider on this port.
    init(port: Int, _ change: (inout GatewaySetup) -> Void = { _ in }) {
        self.init()
        self.add("chat", port: port)
        change(&self)
    }

    /// Adds a deployment; the model at the provider is `up-` and the group's name.
    mutating func add(
        _ group: String, port: Int, model: String? = nil, id: String? = nil, inFlightMax: Int? = nil,
        waitingMax: Int? = nil, usage: StreamUsageSupport = .onRequest, answer: BuiltInAnswer? = nil,
        isTLS: Bool = false, authorityFile: String? = nil, provider: String = "openai", dropsUnsupported: Bool = false
    ) {
        // What the others add to the path begins with a version.
        let basePath = provider == "openai" ? "/v1" : ""
        var deployment =
            DeploymentConfiguration(
                modelGroup: group, provider: provider, model: model ?? "up-\(group)",
                deploymentID: id ?? "id-\(self.deployments.count)",
                address: answer == nil
                    ? UpstreamAddress(isTLS: isTLS, host: "127.0.0.1", port: port, basePath: basePath) : nil,
                authentication: (header: "Authorization", value: Secret("Bearer sk-provider")), extraHeaders: [],
                weight: 1,
                limits: DeploymentLimits(
                    inFlightMax: inFlightMax, waitingMax: waitingMax, totalTimeout: nil, streamTimeout: nil),
                streamUsage: usage, answer: answer, verifiesTLS: true, authorityFile: authorityFile)
        deployment.dropsUnsupported = dropsUnsupported
        self.deployments.append(deployment)
    }
}

/// Answers every management request with what it was last told to.
final class FixedControl: ControlHandler {
    private struct State {
        var response = ControlResponse(status: 200, body: Array("{}".utf8))
        var isHolding = false
        var held: [CheckedContinuation<Void, Never>] = []
        var requests: [ControlRequest] = []
    }
    private let state = Mutex(State())

    var requests: [ControlRequest] { self.state.withLock { $0.requests } }

    func setResponse(_ response: ControlResponse) { self.state.withLock { $0.response = response } }

    /// From now on no request is answered until `letGo`.
    func hold() { self.state.withLock { $0.isHolding = true } }

    func letGo() {
        let held = self.state.withLock { state in
            defer { state.held = [] }
            state.isHolding = false
            return state.held
        }
        for continuation in held { continuation.resume() }
    }

    func respond(to request: ControlRequest) async -> ControlResponse {
        await withCheckedContinuation { continuation in
            let goesOn = self.state.withLock { state in
                if state.isHolding { state.held.append(continuation) }
                return !state.isHolding
            }
            if goesOn { continuation.resume() }
        }
        return self.state.withLock { state in
            state.requests.append(request)
            return state.response
        }
    }
}

/// A real data plane on a loopback port, with a journal of its own.
final class TestGateway: Sendable {
    static let key = "sk-test"
    let port: Int
    let server: DataPlaneServer
    let snapshot: RuntimeSnapshot
    let journal: Journal
    let keys = KeyDirectory()
    let control = FixedControl()
    /// Sequence number of the last settlement that a test has shipped and trimmed.
    let shipped = Locked<Int64>(0)
    private let directory: String

    /// Per token: 1,000 nano-dollars in, 2,000 out.
    static let price = ModelPrice(
        name: "up", provider: "openai", mode: .chat, maxInputTokens: nil, maxOutputTokens: nil,
        rates: [
            Rate(kind: .input, tier: .standard, aboveInputTokens: 0, picodollars: 1_000_000),
            Rate(kind: .output, tier: .standard, aboveInputTokens: 0, picodollars: 2_000_000),
        ], version: "test")

    init(_ setup: GatewaySetup) async throws {
        self.directory = NSTemporaryDirectory() + "/martlet-plane-\(UUID().uuidString)"
        self.journal = try Journal.open(
            directory: self.directory,
            configuration: setup.journal, clock: setup.clock, files: setup.journalFiles
        ).journal
        self.keys.set(Self.record(Self.key, number: 1), startingSpend: .zero)
        self.snapshot = try Self.snapshot(setup, former: nil)
        self.server = DataPlaneServer(
            services: DataPlaneServices(
                configuration: setup.configuration, keys: self.keys, journal: self.journal, control: self.control,
                clock: setup.clock, logger: setup.logger, expectedOutputTokens: 100, escrow: setup.escrow,
                archive: setup.archive),
            snapshot: self.snapshot)
        self.port = try await self.server.start()
    }

    static func snapshot(_ setup: GatewaySetup, former: RuntimeSnapshot?) throws -> RuntimeSnapshot {
        let price = setup.isPriced ? Self.price : nil
        return RuntimeSnapshot(
            routing: RoutingConfiguration(
                deployments: setup.deployments, aliases: setup.aliases, retriesMax: setup.retriesMax,
                fallbacks: setup.fallbacks, cooldown: setup.cooldown),
            deployments: try setup.deployments.map { deployment in
                let provider = try #require(Provider.named(deployment.provider))
                let name = deployment.provider
                let model = deployment.model
                let lookup: @Sendable (String) -> ModelPrice? = {
                    PriceCatalogue.shipped.price(provider: name, model: $0)
                }
                var priced = PricedDeployment(
                    configuration: deployment, provider: provider.variant(forModel: model).provider,
                    price: setup.usesCatalogue ? lookup(model) : price,
                    variantPrice: { setup.usesCatalogue ? lookup("\($0)/\(model)") : nil })
                priced.terms = setup.terms[deployment.deploymentID] ?? []
                return priced
            },
            passThrough: try setup.passThrough.map { deployment in
                PricedDeployment(
                    configuration: deployment, provider: try #require(Provider.named(deployment.provider)), price: nil)
            },
            former: former, fetcher: CredentialFetcher(clock: setup.clock), budgetExceededStatus: 422,
            priceLookup: { setup.usesCatalogue ? PriceCatalogue.shipped.price(provider: $0, model: $1) : nil })
    }

    static func record(_ secret: String, number: UInt64, models: [String] = []) -> KeyRecord {
        KeyRecord(
            keyID: VirtualKeyID(UUIDBits(high: 0x7000, low: number)), digest: Self.digest(of: secret),
            keyName: "sk-...test", alias: nil, models: models, maxBudget: nil, budgetDuration: nil, expiresAt: nil,
            isBlocked: false, userID: nil, teamID: nil, metadata: "{}", otherFields: "{}", createdBy: "test",
            createdAt: UnixMicroseconds(rawValue: 0), updatedAt: UnixMicroseconds(rawValue: 0))
    }

    static func digest(of secret: String) -> KeyDigest {
        guard let digest = KeyDigest(bytes: Array(SHA256.hash(data: Array(secret.utf8)))) else {
            preconditionFailure("SHA-256 has 32 bytes")
        }
        return digest
    }

    /// Every settlement that is still in the journal, in order.
    func rows() throws -> [UsageEvent] {
        try self.journal.sync()
        return try self.journal.readSettlements(after: self.shipped.value, limit: 100_000)
    }

    /// Waits until `count` attempts are settled.
    func rows(_ count: Int) throws -> [UsageEvent] {
        try waitUntil("\(count) settled attempts") { self.journal.lastSequence >= Int64(count) }
        return try self.rows()
    }

    var settled: Int { Int(self.journal.lastSequence) }

    /// What must hold whatever happened: every attempt settled once, no place kept, no body counted.
    func checkInvariants() throws {
        try waitUntil("every place to be given back") { self.snapshot.places == (0, 0) }
        try waitUntil("every attempt to be settled") { self.journal.openIntents == 0 }
        // What no sync has covered cannot be read back.
        if case .failed = self.journal.state { return }
        var attempts: [RequestID: [UInt8]] = [:]
        for row in try self.rows() { attempts[row.requestID, default: []].append(row.attempt) }
        for (_, numbers) in attempts { #expect(numbers == numbers.sorted() && Set(numbers).count == numbers.count) }
    }

    func stop() async {
        await self.server.drain()
        try? self.journal.close()
        try? FileManager.default.removeItem(atPath: self.directory)
    }
}

/// Runs `body`, which may block, against a gateway; checks afterwards what must always hold.
func withGateway(_ setup: GatewaySetup, _ body: @escaping @Sendable (TestGateway) throws -> Void) async throws {
    let gateway = try await TestGateway(setup)
    do {
        try await withTaskExecutorPreference(BlockingExecutor.shared) {
            try body(gateway)
            try gateway.checkInvariants()
        }
    } catch {
        await gateway.stop()
        throw error
    }
    await gateway.stop()
}

/// The same with a provider whose answers the test writes by hand.
func withGateway(
    _ change: @escaping @Sendable (inout GatewaySetup, _ port: Int) -> Void = { _, _ in },
    _ body: @escaping @Sendable (TestGateway, HandProvider) throws -> Void
) async throws {
    let provider = try HandProvider()
    var setup = GatewaySetup(port: provider.port)
    change(&setup, provider.port)
    try await withGateway(setup) { gateway in
        defer { provider.close() }
        try body(gateway, provider)
    }
}

extension TestGateway {
    /// Connections of callers. To be asked from threads that may block.
    func openConnections() -> Int { Int(self.metrics().connectionsOpen) }

    /// The figures at this moment. To be asked from threads that may block.
    func metrics() -> MetricsSnapshot {
        let box = MetricsBox()
        let semaphore = DispatchSemaphore(value: 0)
        Task {
            box.set(await self.server.metrics())
            semaphore.signal()
        }
        semaphore.wait()
        return box.get()
    }

    /// Lets the event loop handle what has arrived: between two of its answers it has looked at all its sockets.
    func turnLoop() { for _ in 0..<3 { _ = self.metrics() } }
}

/// Carries the figures from a task to a thread.
private final class MetricsBox: Sendable {
    private let snapshot = Mutex(MetricsSnapshot())
    func set(_ snapshot: MetricsSnapshot) { self.snapshot.withLock { $0 = snapshot } }
    func get() -> MetricsSnapshot { self.snapshot.withLock { $0 } }
}
