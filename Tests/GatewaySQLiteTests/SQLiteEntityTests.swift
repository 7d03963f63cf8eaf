import GatewayCore
import GatewayLedger
import GatewaySQLite
import Synchronization
import TestSupport
import Testing

@Suite("A SQLite store's entities", .ownThread)
struct SQLiteEntityTests {
    @Test("behave as in every entity store", arguments: EntityStoreConformance.behaviours)
    func conforms(_ behaviour: EntityStoreBehaviour) async throws {
        let ledgers = Mutex<[TemporaryLedger]>([])
        try await behaviour.check {
            let ledger = try TemporaryLedger()
            ledgers.withLock { $0.append(ledger) }
            let store = try ledger.open()
            return EntityStoreBehaviour.Subject(store: store) { try await store.changes(after: 0, limit: 100_000) }
        }
    }

    @Test("are compared with a store in memory that behaves alike", arguments: EntityStoreConformance.behaviours)
    func memoryConforms(_ behaviour: EntityStoreBehaviour) async throws {
        try await behaviour.check {
            let log = MemoryChangeLog()
            return EntityStoreBehaviour.Subject(store: MemoryEntityStore(log: log)) {
                log.changes(after: 0, limit: 100_000)
            }
        }
    }

    @Test("show what users, teams and members have spent")
    func countsSpend() async throws {
        let ledger = try TemporaryLedger()
        let store = try ledger.open()
        try await EntityStoreConformance.countsSpend(store)
        try store.close()
    }
}
