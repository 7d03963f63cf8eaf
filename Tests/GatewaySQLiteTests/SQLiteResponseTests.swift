import GatewayLedger
import GatewaySQLite
import Synchronization
import TestSupport
import Testing

@Suite("A SQLite store's responses", .ownThread)
struct SQLiteResponseTests {
    @Test("behave as in every response store", arguments: ResponseStoreConformance.behaviours)
    func conforms(_ behaviour: ResponseStoreBehaviour) async throws {
        let ledgers = Mutex<[TemporaryLedger]>([])
        try await behaviour.check {
            let ledger = try TemporaryLedger()
            ledgers.withLock { $0.append(ledger) }
            return try ledger.open()
        }
    }

    @Test("are compared with a store in memory that behaves alike", arguments: ResponseStoreConformance.behaviours)
    func memoryConforms(_ behaviour: ResponseStoreBehaviour) async throws {
        try await behaviour.check { MemoryResponseStore() }
    }
}
