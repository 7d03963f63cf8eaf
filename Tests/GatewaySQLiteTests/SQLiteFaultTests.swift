import GRDB
import GatewayCore
import GatewayLedger
import GatewaySQLite
import Glibc
import Synchronization
import TestSupport
import Testing

@Suite("A SQLite store in trouble", .ownThread)
struct SQLiteFaultTests {
    private struct InjectedFailure: Error {}

    /// Fails at one step, at its n-th visit, once.
    private final class Trap: Sendable {
        private let step: WriteStep
        private let visits: Mutex<Int>

        init(_ step: WriteStep, visit: Int) {
            self.step = step
            self.visits = Mutex(visit)
        }

        var hook: @Sendable (WriteStep) throws -> Void {
            { step in
                let fires = self.visits.withLock { left in
                    if step == self.step { left -= 1 }
                    return step == self.step && left == 0
                }
                if fires { throw InjectedFailure() }
            }
        }
    }

    @Test("stores a batch whole or not at all, whichever step fails", arguments: WriteStep.allCases, [1, 2, 3])
    func appendsAtomically(failing step: WriteStep, visit: Int) async throws {
        let ledger = try TemporaryLedger()
        let store = try ledger.open(SQLiteOptions(onWriteStep: Trap(step, visit: visit).hook))
        var position = try await store.takeStream(LedgerSample.journal(1))
        var failures = 0
        while position.applied < 200 {
            let events = LedgerSample.events(50, from: position.applied)
            do {
                #expect(try await store.append(events, at: position) == .applied(position.applied + 50))
                position.applied += 50
            } catch {
                failures += 1
                guard case .unavailable = error else {
                    Issue.record("\(error) instead of unavailable")
                    return
                }
                // As after a crash: another opener finds the state before the batch.
                let other = try ledger.openReadOnly()
                #expect(try await other.verify() == [])
                #expect(try await other.counter(.total).requests == position.applied)
                try other.close()
            }
        }
        #expect(failures == 1)
        #expect(try await store.counter(.total).requests == 200)
        #expect(try await store.verify() == [])
    }

    @Test("folds whole or not at all", arguments: [WriteStep.streamMoved, .totalsAdded, .dailyAdded])
    func foldsAtomically(failing step: WriteStep) async throws {
        let ledger = try TemporaryLedger()
        let lazy = try ledger.open(SQLiteOptions(foldsOnAppend: false))
        let position = try await lazy.takeStream(LedgerSample.journal(1))
        _ = try await lazy.append(LedgerSample.events(300), at: position)
        try lazy.close()
        let store = try ledger.open(SQLiteOptions(onWriteStep: Trap(step, visit: 1).hook))
        await #expect(throws: LedgerError.self) { try await store.fold() }
        #expect(try await store.counter(.total) == .zero)
        #expect(try await store.fold() == 300)
        #expect(try await store.counter(.total).requests == 300)
        #expect(try await store.verify() == [])
    }

    @Test("rebuilds whole or not at all", arguments: WriteStep.allCases.filter { $0 != .rowsInserted })
    func rebuildsAtomically(failing step: WriteStep) async throws {
        let ledger = try TemporaryLedger()
        // The append passes the step first.
        let store = try ledger.open(SQLiteOptions(onWriteStep: Trap(step, visit: 2).hook))
        let position = try await store.takeStream(LedgerSample.journal(1))
        _ = try await store.append(LedgerSample.events(300), at: position)
        await #expect(throws: LedgerError.self) { try await store.rebuildCounters() }
        #expect(try await store.verify() == [])
        try await store.rebuildCounters()
        #expect(try await store.verify() == [])
    }

    @Test("says that the disk is full, stays whole, and goes on when there is room")
    func survivesFullDisk() async throws {
        let ledger = try TemporaryLedger()
        var store = try ledger.open(SQLiteOptions(pagesMax: 90))
        var position = try await store.takeStream(LedgerSample.journal(1))
        var message: String?
        while message == nil {
            do {
                _ = try await store.append(LedgerSample.events(400, from: position.applied), at: position)
                position.applied += 400
            } catch {
                guard case .unavailable(let text) = error else {
                    Issue.record("\(error) instead of unavailable")
                    return
                }
                message = text
            }
        }
        #expect(message?.contains("free disk space") == true)
        #expect(message?.contains(ledger.path) == true)
        #expect(try await store.verify() == [])
        #expect(try await store.counter(.total).requests == position.applied)
        try store.close()
        store = try ledger.open()
        let again = try await store.takeStream(LedgerSample.journal(1))
        #expect(again.applied == position.applied)
        _ = try await store.append(LedgerSample.events(400, from: position.applied), at: again)
        #expect(try await store.verify() == [])
    }

    @Test("holds a prefix of its batches, whatever byte a crash cut the write-ahead log at")
    func survivesTornLog() async throws {
        let ledger = try TemporaryLedger()
        // The close moves the schema from the log into the file.
        try ledger.open().close()
        let store = try ledger.open()
        var position = try await store.takeStream(LedgerSample.journal(1))
        for _ in 0..<4 {
            _ = try await store.append(LedgerSample.events(20, from: position.applied), at: position)
            position.applied += 20
        }
        let (file, log) = (try ledger.bytes(), try ledger.bytes("-wal"))
        let frame = 24 + 4096
        var cuts: Set<Int> = [0, 1, 31, 32]
        for start in stride(from: 32, through: log.count, by: frame) {
            cuts.formUnion([start, start + 24, start + frame - 1].filter { $0 <= log.count })
        }
        var seen: Set<Int64> = []
        for cut in cuts.sorted() {
            let copy = try TemporaryLedger()
            try copy.write(file)
            try copy.write(log.prefix(cut), "-wal")
            let survivor = try copy.open()
            let applied = try await survivor.takeStream(LedgerSample.journal(1)).applied
            seen.insert(applied)
            #expect(applied % 20 == 0)
            #expect(try await survivor.counter(.total).requests == applied)
            #expect(try await survivor.verify() == [])
            try survivor.close()
        }
        #expect(seen == [0, 20, 40, 60, 80])
    }

    @Test("does not wait for another program's lock longer than its bound")
    func boundsWaiting() async throws {
        let ledger = try TemporaryLedger()
        let store = try ledger.open(SQLiteOptions(busyTimeoutMilliseconds: 1))
        var configuration = Configuration()
        configuration.allowsUnsafeTransactions = true
        let other = try DatabaseQueue(path: ledger.path, configuration: configuration)
        try await other.writeWithoutTransaction { try $0.execute(sql: "BEGIN IMMEDIATE") }
        do {
            _ = try await store.takeStream(LedgerSample.journal(1))
            Issue.record("wrote past another program's lock")
        } catch {
            guard case .unavailable(let text) = error else {
                Issue.record("\(error) instead of unavailable")
                return
            }
            #expect(text.contains("locked"))
        }
        try await other.writeWithoutTransaction { try $0.execute(sql: "ROLLBACK") }
        #expect(try await store.takeStream(LedgerSample.journal(1)).applied == 0)
    }

    @Test("refuses a file that is no database, and leaves it alone")
    func refusesGarbage() throws {
        let ledger = try TemporaryLedger()
        let bytes = (0..<9000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        try ledger.write(bytes)
        Self.expectCorrupt(naming: ledger.path) { () throws(LedgerError) in _ = try ledger.open() }
        Self.expectCorrupt(naming: ledger.path) { () throws(LedgerError) in _ = try ledger.openReadOnly() }
        #expect(try ledger.bytes() == bytes)
    }

    @Test("refuses another program's database, and leaves it alone")
    func refusesForeign() throws {
        let ledger = try TemporaryLedger()
        try ledger.execute("CREATE TABLE theirs (id INTEGER)")
        let bytes = try ledger.bytes()
        Self.expectCorrupt(naming: ledger.path) { () throws(LedgerError) in _ = try ledger.open() }
        #expect(try ledger.bytes() == bytes)
    }

    @Test("refuses a newer schema, and says what to do")
    func refusesNewer() throws {
        let ledger = try TemporaryLedger()
        try ledger.open().close()
        try ledger.execute("PRAGMA user_version = 999")
        for open in [{ try ledger.open() }, { try ledger.openReadOnly() }] {
            #expect {
                _ = try open()
            } throws: { error in
                guard case .conflict(let text)? = error as? LedgerError else { return false }
                return text.contains("999") && text.contains("upgrade")
            }
        }
    }

    @Test("reports a missing file and a missing directory")
    func reportsMissing() throws {
        let ledger = try TemporaryLedger()
        #expect(throws: LedgerError.self) { try ledger.openReadOnly() }
        #expect {
            _ = try SQLiteStore.open(path: ledger.directory + "/none/file", clock: StillClock())
        } throws: { error in
            guard case .unavailable(let text)? = error as? LedgerError else { return false }
            return text.contains("directory must exist")
        }
    }

    @Test("reports damaged pages as corrupt")
    func reportsDamage() async throws {
        let ledger = try TemporaryLedger()
        var store = try ledger.open()
        let position = try await store.takeStream(LedgerSample.journal(1))
        _ = try await store.append(LedgerSample.events(2000), at: position)
        try store.close()
        #expect((try? ledger.bytes("-wal")) ?? [] == [])
        var bytes = try ledger.bytes()
        // Whole pages: SQLite has no checksums, half a page of rubbish may read as other rows (`verify` finds those).
        for index in (bytes.count / 8192 * 4096)..<bytes.count { bytes[index] = 0xA5 }
        try ledger.write(bytes)
        do {
            store = try ledger.open()
            _ = try await store.usage(UsageQuery(newestFirst: false, limit: 10_000))
            Issue.record("read damaged pages")
        } catch {
            guard case .corrupt(let text) = error else {
                Issue.record("\(error) instead of corrupt")
                return
            }
            #expect(text.contains(ledger.path))
        }
    }

    /// Each way to falsify the file must be found, in a sentence that has the words given.
    private static let tampering: [(sql: String, words: [String])] = [
        ("UPDATE usage_total SET spend = spend + 1 WHERE payer_id = 1 AND route_id = 1", ["usage_total", "spend"]),
        ("UPDATE usage_daily SET requests = requests + 1 WHERE payer_id = 1 AND route_id = 1", ["requests"]),
        ("DELETE FROM usage_daily WHERE payer_id = 2 AND route_id = 2", ["usage_daily", "is 0"]),
        ("INSERT INTO usage_total VALUES (1, 99, 5, 0, 0, 0, 0, 1, 0)", ["route 99", "add up to 0"]),
        ("DELETE FROM usage WHERE id & 1099511627775 = 17", ["stands at 100", "99 rows"]),
        ("UPDATE usage SET cost = cost - 1 WHERE id & 1099511627775 = 17", ["spend"]),
        ("UPDATE stream SET applied = 101", ["stands at 101"]),
        ("UPDATE usage SET payer_id = 4242 WHERE id & 1099511627775 = 3", ["payer that is missing"]),
        ("UPDATE usage SET started_at = 5 WHERE id & 1099511627775 = 3", ["time index"]),
        ("DELETE FROM usage_block", ["time index"]),
        ("UPDATE usage SET id = id + (5 << 40) WHERE id & 1099511627775 = 100", ["streams that are missing"]),
        (
            "UPDATE usage SET (request_high, request_low) = (SELECT request_high, request_low FROM usage LIMIT 1) "
                + "WHERE id & 1099511627775 = 9", ["instead of 1"]
        ),
    ]

    @Test("finds each falsification", arguments: Self.tampering.indices)
    func findsTampering(_ index: Int) async throws {
        let ledger = try TemporaryLedger()
        let store = try ledger.open()
        let position = try await store.takeStream(LedgerSample.journal(1))
        _ = try await store.append(LedgerSample.events(100), at: position)
        #expect(try await store.verify() == [])
        try ledger.execute(Self.tampering[index].sql)
        let differences = try await store.verify()
        #expect(!differences.isEmpty)
        for word in Self.tampering[index].words {
            #expect(differences.contains { $0.contains(word) }, "\(differences)")
        }
    }

    @Test("repairs counters by a rebuild")
    func repairsByRebuild() async throws {
        let ledger = try TemporaryLedger()
        let store = try ledger.open()
        let position = try await store.takeStream(LedgerSample.journal(1))
        _ = try await store.append(LedgerSample.events(5000), at: position)
        try ledger.execute("DELETE FROM usage_daily")
        try ledger.execute("UPDATE usage_total SET spend = -1")
        try ledger.execute("DELETE FROM usage_block WHERE block % 2 = 0")
        #expect(try await store.verify() != [])
        try await store.rebuildCounters()
        #expect(try await store.verify() == [])
    }

    @Test("refuses calls after its close")
    func refusesAfterClose() async throws {
        let ledger = try TemporaryLedger()
        let store = try ledger.open()
        try store.close()
        await #expect(throws: LedgerError.self) { try await store.keySpend() }
        await #expect(throws: LedgerError.self) { try await store.takeStream(LedgerSample.journal(1)) }
    }

    private static func expectCorrupt(naming path: String, _ body: () throws(LedgerError) -> Void) {
        do {
            try body()
            Issue.record("the file was accepted")
        } catch {
            guard case .corrupt(let text) = error else {
                Issue.record("\(error) instead of corrupt")
                return
            }
            #expect(text.contains(path))
        }
    }
}
