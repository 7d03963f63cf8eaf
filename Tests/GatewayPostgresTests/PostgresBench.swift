import Foundation
import GatewayCore
import GatewayLedger
import GatewayPostgres
import Synchronization
import TestSupport

/// Fresh databases on the tests' server, each copied from one that is migrated already.
enum PostgresBench {
    /// Made once: a migrated database that nobody is connected to.
    private actor Template {
        private var making: Task<String, any Error>?

        func name() async throws -> String {
            if self.making == nil {
                self.making = Task {
                    let server = try await PostgresBench.server()
                    let name = try await onOwnThread { try server.createDatabase() }
                    let store = try PostgresStore(PostgresSettings(url: server.url(name)))
                    try await store.open(patience: .seconds(10), pause: PostgresBench.pause)
                    await store.close()
                    try await onOwnThread {
                        try waitUntil("the template to be free") {
                            try server.query(
                                "SELECT count(*) FROM pg_stat_activity WHERE datname = '\(name)'", in: "postgres")
                                == "0"
                        }
                    }
                    return name
                }
            }
            return try await self.making?.value ?? ""
        }
    }

    private static let template = Template()
    /// CREATE DATABASE allows one copy of a template at a time.
    private static let copying = AsyncLock()

    static func server() async throws -> PostgresServer { try await onOwnThread { try PostgresServer.shared() } }

    /// A migrated database of its own.
    static func database() async throws -> String {
        let template = try await Self.template.name()
        let server = try await Self.server()
        return try await Self.copying.run { try await onOwnThread { try server.createDatabase(template: template) } }
    }

    static func emptyDatabase() async throws -> String {
        let server = try await Self.server()
        return try await Self.copying.run { try await onOwnThread { try server.createDatabase() } }
    }

    static func store(_ database: String, port: UInt16? = nil, parameters: String = "") async throws -> PostgresStore {
        let server = try await Self.server()
        return try PostgresStore(PostgresSettings(url: server.url(database, port: port, parameters: parameters)))
    }

    static func freshStore(parameters: String = "") async throws -> PostgresStore {
        try await Self.store(Self.database(), parameters: parameters)
    }

    @discardableResult
    static func query(_ text: String, in database: String) async throws -> String {
        let server = try await Self.server()
        return try await onOwnThread { try server.query(text, in: database) }
    }

    /// Blocks nobody and returns when the time is over; for what is waited for in real servers.
    static let pause: @Sendable (Duration) async -> Void = { duration in
        let milliseconds = Int32(clamping: duration.nanoseconds / 1_000_000)
        _ = try? await onOwnThread { poll(nil, 0, milliseconds) }
    }

    /// Moves everything that the database has dated by its own clock into the past.
    static func shift(_ database: String, by duration: Duration) async throws {
        let interval = "interval '\(duration.nanoseconds / 1000) microseconds'"
        try await Self.query(
            """
            UPDATE martlet.pod SET beat_at = beat_at - \(interval);
            UPDATE martlet.stream SET beat_at = beat_at - \(interval);
            UPDATE martlet.job_lease SET until = until - \(interval);
            UPDATE martlet.usage_batch SET applied_at = applied_at - \(interval);
            UPDATE martlet.change SET at = at - \(interval);
            """, in: database)
    }

    static func fleetSubject() async throws -> FleetStoreBehaviour.Subject {
        let database = try await Self.database()
        let store = try await Self.store(database)
        return FleetStoreBehaviour.Subject(
            fleet: store, ledger: store,
            change: { _ = try await store.setSettingIfAbsent(UUID().uuidString, value: "") },
            advance: { try await Self.shift(database, by: $0) })
    }
}

/// Lets one at a time through, in the order of coming.
actor AsyncLock {
    private var last: Task<Void, Never>?

    func run<Value: Sendable>(_ work: @escaping @Sendable () async throws -> Value) async throws -> Value {
        let former = self.last
        let task = Task {
            await former?.value
            return try await work()
        }
        self.last = Task { _ = try? await task.value }
        return try await task.value
    }
}

/// Raised once, seen by all.
final class Flag: Sendable {
    private let value = Mutex(false)

    var isRaised: Bool { self.value.withLock { $0 } }

    func raise() { self.value.withLock { $0 = true } }
}
