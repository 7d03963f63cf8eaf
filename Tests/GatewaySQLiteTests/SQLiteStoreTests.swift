import GRDB
import GatewayCore
import GatewayLedger
import GatewaySQLite
import Glibc
import Synchronization
import TestSupport
import Testing

@Suite("A SQLite store", .ownThread)
struct SQLiteStoreTests {
    /// Stores and the directories they live in, until the test ends.
    private final class Bench: Sendable {
        private let ledgers = Mutex<[TemporaryLedger]>([])

        func store(_ options: SQLiteOptions = SQLiteOptions()) throws -> SQLiteStore {
            let ledger = try TemporaryLedger()
            self.ledgers.withLock { $0.append(ledger) }
            return try ledger.open(options)
        }
    }

    private static let behaviours = LedgerStoreConformance.behaviours + LedgerStoreConformance.hardBehaviours

    @Test("behaves as every ledger store", arguments: Self.behaviours)
    func conformsToLedgerStore(_ behaviour: LedgerStoreBehaviour) async throws {
        let bench = Bench()
        try await behaviour.check { try bench.store() }
    }

    @Test("behaves the same when only fold counts", arguments: Self.behaviours)
    func conformsWithoutFoldingOnAppend(_ behaviour: LedgerStoreBehaviour) async throws {
        let bench = Bench()
        try await behaviour.check { try bench.store(SQLiteOptions(foldsOnAppend: false)) }
    }

    @Test("is compared with a store in memory that behaves alike", arguments: LedgerStoreConformance.behaviours)
    func memoryConforms(_ behaviour: LedgerStoreBehaviour) async throws {
        try await behaviour.check { MemoryLedgerStore() }
    }

    @Test("behaves as every key store", arguments: KeyStoreConformance.behaviours)
    func conformsToKeyStore(_ behaviour: KeyStoreBehaviour) async throws {
        let bench = Bench()
        try await behaviour.check { try bench.store() }
    }

    @Test("behaves as every escrow store", arguments: EscrowStoreConformance.behaviours)
    func conformsToEscrowStore(_ behaviour: EscrowStoreBehaviour) async throws {
        let bench = Bench()
        try await behaviour.check {
            let store = try bench.store()
            return (store, store)
        }
    }

    @Test("keeps everything over a close and a second open")
    func reopens() async throws {
        let ledger = try TemporaryLedger()
        var store = try ledger.open()
        let position = try await store.takeStream(LedgerSample.journal(1))
        _ = try await store.append(LedgerSample.events(100), at: position)
        _ = try await store.setSettingIfAbsent("name", value: "value")
        let spend = try await store.keySpend()
        try store.close()
        store = try ledger.open()
        #expect(try await store.keySpend() == spend)
        #expect(try await store.setting("name") == "value")
        let again = try await store.takeStream(LedgerSample.journal(1))
        #expect(again.applied == 100)
        #expect(again.epoch == position.epoch + 1)
        #expect(try await store.verify() == [])
    }

    @Test("folds into the file what an append left to it")
    func foldsLater() async throws {
        let ledger = try TemporaryLedger()
        let lazy = try ledger.open(SQLiteOptions(foldsOnAppend: false))
        var position = try await lazy.takeStream(LedgerSample.journal(1))
        _ = try await lazy.append(LedgerSample.events(60), at: position)
        #expect(try await lazy.counter(.total) == .zero)
        #expect(try await lazy.verify() == [])
        try lazy.close()
        let store = try ledger.open()
        position.applied = 60
        // Behind an unfolded row, an append may not fold its own: the watermark would jump over rows.
        _ = try await store.append(LedgerSample.events(40, from: 60), at: position)
        #expect(try await store.counter(.total) == .zero)
        #expect(try await store.fold() == 100)
        #expect(try await store.counter(.total).requests == 100)
        #expect(try await store.verify() == [])
    }

    @Test("lets only its owner read the file")
    func hidesFile() throws {
        let ledger = try TemporaryLedger()
        let store = try ledger.open()
        for suffix in ["", "-wal"] {
            var status = stat()
            #expect(stat(ledger.path + suffix, &status) == 0)
            #expect(status.st_mode & 0o777 == 0o600)
        }
        try store.close()
    }

    @Test("is written by two openers in turn without loss")
    func sharesFile() async throws {
        let ledger = try TemporaryLedger()
        let stores = [try ledger.open(), try ledger.open()]
        var positions: [StreamPosition] = []
        for (index, store) in stores.enumerated() {
            positions.append(try await store.takeStream(LedgerSample.journal(UInt64(index + 1))))
        }
        let opened = stores
        try await withThrowingTaskGroup { group in
            for (store, start) in zip(opened, positions) {
                group.addTask {
                    var position = start
                    for round in 0..<20 as Range<Int64> {
                        let first = start.streamID * 1_000_000 + round * 10
                        _ = try await store.append(LedgerSample.events(10, from: first), at: position)
                        position.applied += 10
                    }
                }
            }
            try await group.waitForAll()
        }
        for store in stores {
            #expect(try await store.counter(.total).requests == 400)
            #expect(try await store.verify() == [])
        }
        // The other one knows the new epoch at once.
        _ = try await stores[1].takeStream(LedgerSample.journal(1))
        guard case .rejected = try await stores[0].append([], at: positions[0]) else {
            Issue.record("the fenced opener appended")
            return
        }
    }

    @Test("is read by a second program while it is written")
    func readsBesideWriter() async throws {
        let ledger = try TemporaryLedger()
        let store = try ledger.open()
        var position = try await store.takeStream(LedgerSample.journal(1))
        let reader = try ledger.openReadOnly()
        for round in 0..<10 as Range<Int64> {
            _ = try await store.append(LedgerSample.events(50, from: round * 50), at: position)
            position.applied += 50
            #expect(try await reader.counter(.total).requests == position.applied)
            #expect(try await reader.verify() == [])
        }
        await #expect(throws: LedgerError.self) { try await reader.takeStream(LedgerSample.journal(2)) }
        await #expect(throws: LedgerError.self) { try await reader.rebuildCounters() }
        #expect(try await reader.fold() == 0)
        try reader.close()
        try store.close()
        let later = try ledger.openReadOnly()
        #expect(try await later.counter(.total).requests == 500)
    }

    @Test("keeps the last hundred thousand changes")
    func boundsChangeLog() async throws {
        let ledger = try TemporaryLedger()
        let store = try ledger.open()
        try ledger.execute(
            """
            WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)
            INSERT INTO change (position, kind, reference) SELECT i, 'key', 'x' FROM n
            """)
        _ = try await store.setSettingIfAbsent("name", value: "value")
        let oldest = try await store.changes(after: 0, limit: 1)
        #expect(oldest.map(\.position) == [2])
        #expect(try await store.changes(after: 100_000, limit: 5).map(\.position) == [100_001])
    }

    @Test("spells rows out in a view")
    func hasView() async throws {
        let ledger = try TemporaryLedger()
        let store = try ledger.open()
        let position = try await store.takeStream(LedgerSample.journal(1))
        let events = LedgerSample.variedEvents()
        _ = try await store.append(events, at: position)
        let columns = """
            request_id, attempt, started_at, api_key, user_id, model_group, call_type, outcome, flags, status,
            service_tier, input_tokens, cache_write_long_input_tokens, image_output_tokens, cost_nanos, end_user
            """
        let rows = try ledger.rows("SELECT \(columns) FROM usage_rows ORDER BY stream, sequence")
        #expect(rows.count == events.count)
        for (row, event) in zip(rows, events) {
            let wanted: [String?] = [
                event.requestID.text, "\(event.attempt)", event.startedAt.iso8601, event.payer.digest.hex,
                event.payer.userID, event.route.modelGroup, event.kind.name, event.outcome.name,
                event.flags.names.joined(separator: ","), "\(event.status)", "\(event.serviceTier)",
                "\(event.usage.input)", "\(event.usage.cacheWriteLongInput)", "\(event.usage.imageOutput)",
                "\(event.cost.rawValue)", event.endUser,
            ]
            #expect(row == wanted)
        }
    }
}

extension TemporaryLedger {
    /// Tampers with the file behind the store's back.
    func execute(_ sql: String) throws {
        try DatabaseQueue(path: self.path).writeWithoutTransaction { try $0.execute(sql: sql) }
    }

    /// Every value as text; `nil`: NULL.
    func rows(_ sql: String) throws -> [[String?]] {
        try DatabaseQueue(path: self.path).read { database in
            try Row.fetchAll(database, sql: sql).map { row in
                row.databaseValues.map { value in
                    if let integer = Int64.fromDatabaseValue(value) { return "\(integer)" }
                    return String.fromDatabaseValue(value)
                }
            }
        }
    }
}
