import GRDB
import GatewayCore
import GatewayLedger
import GatewaySQLite
import Synchronization
import TestSupport
import Testing

@Suite("A SQLite store's models", .ownThread)
struct SQLiteModelTests {
    private static let time = UnixMicroseconds(rawValue: 1_763_800_000_000_000)

    private static func model(_ id: String, _ parameters: String = "{}") -> StoredModel {
        StoredModel(
            modelID: id, modelName: "m", parameters: parameters, info: "{}", createdBy: "test", createdAt: Self.time,
            updatedAt: Self.time)
    }

    @Test("behave as in every model store", arguments: ModelStoreConformance.behaviours)
    func conforms(_ behaviour: ModelStoreBehaviour) async throws {
        let ledgers = Mutex<[TemporaryLedger]>([])
        try await behaviour.check {
            let ledger = try TemporaryLedger()
            ledgers.withLock { $0.append(ledger) }
            let store = try ledger.open()
            return ModelStoreBehaviour.Subject(store: store) { try await store.changes(after: 0, limit: 100_000) }
        }
    }

    @Test("are compared with a store in memory that behaves alike", arguments: ModelStoreConformance.behaviours)
    func memoryConforms(_ behaviour: ModelStoreBehaviour) async throws {
        try await behaviour.check {
            let log = MemoryChangeLog()
            return ModelStoreBehaviour.Subject(store: MemoryModelStore(log: log)) {
                log.changes(after: 0, limit: 100_000)
            }
        }
    }

    @Test("live on in a file that an older version made, its change log with them")
    func migrates() async throws {
        let ledger = try TemporaryLedger()
        var store = try ledger.open()
        _ = try await store.setSettingIfAbsent("a", value: "1")
        _ = try await store.setSettingIfAbsent("b", value: "2")
        try store.close()
        try Self.downgrade(ledger.path)
        store = try ledger.open()
        let changes = try await store.changes(after: 0, limit: 10)
        #expect(changes.map(\.reference) == ["a", "b"] && changes.map(\.position) == [1, 2])
        try await store.insert(Self.model("m-1"))
        #expect(try await store.changes(after: 2, limit: 10) == [Change(position: 3, kind: .model, reference: "m-1")])
        try store.close()
        store = try ledger.open()
        #expect(try await store.models() == [Self.model("m-1")])
        try store.close()
    }

    @Test("are sealed anew all together, or not at all when one fails")
    func resealIsAtomic() async throws {
        let ledger = try TemporaryLedger()
        let store = try ledger.open()
        for number in 1...5 { try await store.insert(Self.model("m-\(number)")) }
        for failing in 1...5 {
            await #expect(throws: LedgerError.self) {
                try await store.reseal(
                    { model throws(LedgerError) in
                        if model.modelID == "m-\(failing)" { throw .conflict("the test refuses it") }
                        return Self.model(model.modelID, "changed")
                    }, { credential throws(LedgerError) in credential })
            }
            #expect(try await store.models().allSatisfy { $0.parameters == "{}" })
        }
        #expect(try await store.changes(after: 5, limit: 10).isEmpty)
        try store.close()
    }

    /// Makes the file what version 1 would have left.
    private static func downgrade(_ path: String) throws {
        let queue = try DatabaseQueue(path: path)
        try queue.write { database in
            try database.execute(
                sql: """
                    DROP TABLE stored_model;
                    DROP TABLE stored_credential;
                    DROP TABLE entity;
                    DROP TABLE account;
                    DROP TABLE account_past;
                    DROP TABLE account_lease;
                    DROP TABLE escrow_stream;
                    DROP TABLE stored_response;
                    CREATE TABLE former (
                        position INTEGER PRIMARY KEY CHECK (position > 0),
                        kind TEXT NOT NULL CHECK (kind IN ('key', 'setting')),
                        reference TEXT NOT NULL
                    ) STRICT;
                    INSERT INTO former SELECT * FROM change;
                    DROP TABLE change;
                    ALTER TABLE former RENAME TO change;
                    ALTER TABLE stream DROP COLUMN expired;
                    DROP TABLE expired_daily;
                    DELETE FROM migration WHERE version > 1;
                    PRAGMA user_version = 1;
                    """)
        }
        try queue.close()
    }
}
