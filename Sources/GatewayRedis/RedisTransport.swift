import GatewayCore
import GatewayLedger
import Logging

/// A pod's part in the Redis transport: its connection, its rows' way, and its turn as the fleet's writer.
package final class RedisTransport: QueueDirectory {
    /// What the pod ships to.
    package let store: RedisLedgerStore
    private let connection: RedisConnection
    private let writer: QueueWriter
    private let clock: any WallClock
    private let configuration: RedisTransportConfiguration

    /// Asks the store for the ledger's identity; connects to Redis with the first use.
    /// - Parameters:
    ///   - store: must be open.
    ///   - name: of this pod, for operators.
    package init(
        _ settings: RedisSettings, store: any FencedLedgerStore, name: String,
        configuration: RedisTransportConfiguration, time: RedisTime, clock: any WallClock,
        random: @Sendable () -> any RandomNumberGenerator & Sendable = { SystemRandomNumberGenerator() },
        logger: Logger
    ) async throws(LedgerError) {
        let fence = try await store.writerFence()
        let connection = RedisConnection(settings, now: time.now, random: random())
        let queue = RedisQueue(connection: connection, ledgerID: fence.ledgerID, configuration: configuration)
        self.connection = connection
        self.configuration = configuration
        self.clock = clock
        self.store = RedisLedgerStore(
            store: store, queue: queue, configuration: configuration, time: time, clock: clock, random: random(),
            logger: logger)
        self.writer = QueueWriter(
            store: store, queue: queue, name: name, configuration: configuration, time: time, random: random(),
            logger: logger)
    }

    /// Takes part until the task is cancelled.
    package func run() async {
        self.store.setServing(true)
        await self.writer.run()
        self.store.setServing(false)
    }

    /// For shipping outside of `run()`, at start and at the end: straight into the store where that is allowed, else with
    /// this pod as a writer too.
    package func whileWriting(_ body: @Sendable () async throws -> Void) async throws {
        if self.configuration.directAfter != nil { return try await body() }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await self.writer.run() }
            defer { group.cancelAll() }
            try await body()
        }
    }

    package var status: QueueStatus {
        var status = self.store.status
        self.writer.fill(&status, now: self.clock.now())
        return status
    }

    package func refreshedStatus() async -> QueueStatus {
        await self.writer.look()
        return self.status
    }

    /// Closes the connection and ends its thread.
    package func shutdown() async { await self.connection.shutdown() }
}
