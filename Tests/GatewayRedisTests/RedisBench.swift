import Foundation
import GatewayCore
import GatewayLedger
import GatewayPostgres
import GatewayRedis
import Logging
import Synchronization
import TestSupport

/// Ledgers on the tests' PostgreSQL, each in a schema of its own, with pods that ship to them by Redis.
enum RedisBench {
    private static let names = Atomic<Int>(0)
    private static let sharedRedis = Mutex<RedisServer?>(nil)

    /// One server for all tests that break nothing: every ledger has keys of its own.
    static func redis() async throws -> RedisServer {
        try await onOwnThread {
            try self.sharedRedis.withLock { server in
                let started = try server ?? RedisServer()
                server = started
                return started
            }
        }
    }

    static func ledger() async throws -> BenchLedger {
        let server = try await onOwnThread { try PostgresServer.shared() }
        let number = Self.names.wrappingAdd(1, ordering: .relaxed).newValue
        let settings = try PostgresSettings(url: server.url("postgres"), schema: "redis_\(number)")
        let ledger = BenchLedger(settings: settings)
        try await ledger.store().open(patience: .seconds(20), pause: Self.pause)
        return ledger
    }

    /// Blocks nobody; ends early when the task is cancelled.
    static let time = RedisTime(
        now: { .nanoseconds(Deadline.now) },
        sleep: { duration in
            let deadline = Deadline.now + duration.nanoseconds
            while Deadline.now < deadline {
                try Task.checkCancellation()
                let left = min(20, max(1, (deadline - Deadline.now) / 1_000_000))
                _ = try? await onOwnThread { poll(nil, 0, Int32(left)) }
            }
            try Task.checkCancellation()
        })

    static let pause: @Sendable (Duration) async -> Void = { duration in try? await Self.time.sleep(duration) }

    /// A writer that gathers for a moment only; all else has the time that a busy machine needs.
    static var quick: RedisTransportConfiguration {
        var configuration = RedisTransportConfiguration()
        configuration.writerInterval = .milliseconds(10)
        configuration.repushAfter = .seconds(15)
        configuration.directAfter = nil
        configuration.patience = .seconds(60)
        configuration.foldInterval = .milliseconds(50)
        return configuration
    }

    /// Short times, so that faults are over soon.
    static var hasty: RedisTransportConfiguration {
        var configuration = Self.quick
        configuration.lockDuration = .milliseconds(600)
        configuration.repushAfter = .milliseconds(800)
        configuration.patience = .seconds(20)
        return configuration
    }
}

/// One ledger and the pods on it.
struct BenchLedger: Sendable {
    let settings: PostgresSettings

    func store() throws -> PostgresStore { try PostgresStore(self.settings) }

    func transport(
        _ redis: RedisServer, name: String = "pod", store: (any FencedLedgerStore)? = nil,
        configuration: RedisTransportConfiguration = RedisBench.quick,
        change: (inout RedisSettings) -> Void = { _ in }
    ) async throws -> RedisTransport {
        var settings = try RedisSettings(url: redis.url())
        settings.connectTimeout = .seconds(2)
        settings.commandTimeout = .seconds(2)
        settings.backoffMax = .milliseconds(100)
        change(&settings)
        return try await RedisTransport(
            settings, store: try store ?? self.store(), name: name, configuration: configuration, time: RedisBench.time,
            clock: ManualWallClock(), logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    }
}

extension RedisTransport {
    /// Runs the transport while `body` does.
    @discardableResult
    func running<Value: Sendable>(_ body: @escaping @Sendable () async throws -> Value) async throws -> Value {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await self.run() }
            defer { group.cancelAll() }
            return try await body()
        }
    }
}

/// Ships as a pod does, until all is stored.
/// - Returns: calls that ended without an answer.
@discardableResult
func ship(
    _ events: [UsageEvent], by batch: Int, journal: JournalID, to store: any LedgerStore,
    before: @Sendable (Int) async throws -> Void = { _ in }
) async throws -> Int {
    var unanswered = 0
    var known: StreamPosition?
    while unanswered < 2000 {
        do {
            let position: StreamPosition
            if let known { position = known } else { position = try await store.takeStream(journal) }
            known = position
            let first = Int(position.applied)
            if first >= events.count { return unanswered }
            try await before(first)
            switch try await store.append(Array(events[first..<min(first + batch, events.count)]), at: position) {
            case .applied(let applied): known?.applied = applied
            case .rejected(position.epoch, let applied): known?.applied = applied
            case .rejected: known = nil
            }
        } catch LedgerError.unavailable {
            unanswered += 1
            await RedisBench.pause(.milliseconds(20))
        }
    }
    throw DeadlinePassed("events of \(journal.text) to be stored")
}

/// A store whose batch commits can be held up, as a paused process' are, and which may refuse to answer.
final class GatedStore: FencedLedgerStore {
    private struct State {
        var isClosed = false
        var isSilent = false
        var arrived = 0
        var waiting: [CheckedContinuation<Void, Never>] = []
    }

    private let store: any FencedLedgerStore
    private let state = Mutex(State())

    init(_ store: any FencedLedgerStore) { self.store = store }

    /// Commits that came while the gate was closed.
    var arrived: Int { self.state.withLock { $0.arrived } }

    func close() { self.state.withLock { $0.isClosed = true } }

    /// From now on nobody learns where a stream stands.
    func fallSilent() { self.state.withLock { $0.isSilent = true } }

    func open() {
        let waiting = self.state.withLock { state in
            state.isClosed = false
            defer { state.waiting = [] }
            return state.waiting
        }
        for continuation in waiting { continuation.resume() }
    }

    func append(_ batches: [LedgerBatch], token: Int64) async throws(LedgerError) -> [AppendOutcome]? {
        await withCheckedContinuation { continuation in
            let passes = self.state.withLock { state in
                if !state.isClosed { return true }
                state.arrived += 1
                state.waiting.append(continuation)
                return false
            }
            if passes { continuation.resume() }
        }
        return try await self.store.append(batches, token: token)
    }

    func writerFence() async throws(LedgerError) -> WriterFence { try await self.store.writerFence() }
    func takeWriterFence(after token: Int64, holder: String) async throws(LedgerError) -> Int64? {
        try await self.store.takeWriterFence(after: token, holder: holder)
    }
    func currentPosition(of position: StreamPosition) async throws(LedgerError) -> StreamPosition? {
        if self.state.withLock({ $0.isSilent }) { throw .unavailable("the test's store is silent") }
        return try await self.store.currentPosition(of: position)
    }
    func takeStream(_ journal: JournalID) async throws(LedgerError) -> StreamPosition {
        try await self.store.takeStream(journal)
    }
    func append(_ events: [UsageEvent], at position: StreamPosition) async throws(LedgerError) -> AppendOutcome {
        try await self.store.append(events, at: position)
    }
    func standing(of journal: JournalID) async throws(LedgerError) -> StreamStanding? {
        try await self.store.standing(of: journal)
    }
    func fold() async throws(LedgerError) -> Int { try await self.store.fold() }
    func foldIfDue() async throws(LedgerError) -> Bool { try await self.store.foldIfDue() }
    func keySpend() async throws(LedgerError) -> [VirtualKeyID: NanoUSD] { try await self.store.keySpend() }
    func counter(_ dimension: CounterDimension) async throws(LedgerError) -> UsageCounter {
        try await self.store.counter(dimension)
    }
    func usage(_ query: UsageQuery) async throws(LedgerError) -> [UsageRow] { try await self.store.usage(query) }
    func rebuildCounters() async throws(LedgerError) { try await self.store.rebuildCounters() }
    func verify() async throws(LedgerError) -> [String] { try await self.store.verify() }
}
