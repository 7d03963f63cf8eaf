import GatewayCore
import GatewayLedger
import GatewaySQLite
import TestSupport
import Testing

@Suite("Retention in SQLite", .ownThread)
struct SQLiteRetentionTests {
    private static let blockRows: Int64 = 4096

    /// `count` rows, a millisecond apart, with those of two streams interleaved.
    private func fill(_ store: SQLiteStore, _ counts: [Int]) async throws {
        var first: Int64 = 0
        for (index, count) in counts.enumerated() {
            var position = try await store.takeStream(LedgerSample.journal(UInt64(index + 1)))
            var left = count
            while left > 0 {
                let part = min(left, 1500)
                _ = try await store.append(LedgerSample.events(part, from: first), at: position)
                first += Int64(part)
                position.applied += Int64(part)
                left -= part
            }
        }
    }

    private func state(_ store: SQLiteStore) async throws -> (UsageCounter, [VirtualKeyID: NanoUSD], UsageCounter) {
        (
            try await store.counter(.total), try await store.keySpend(),
            try await store.counter(.modelGroup("a"))
        )
    }

    private func time(ofEvent number: Int64) -> UnixMicroseconds {
        LedgerSample.event(number, payer: LedgerSample.payer(1), route: LedgerSample.route("a")).startedAt
    }

    @Test("deletes rows from the begin of each stream, and every sum stays", arguments: [true, false])
    func sumsStay(foldsOnAppend: Bool) async throws {
        let ledger = try TemporaryLedger()
        let store = try ledger.open(SQLiteOptions(foldsOnAppend: foldsOnAppend))
        try await self.fill(store, [9000, 5000, 10])
        if !foldsOnAppend {
            // Rows that are not in the sums must stay.
            #expect(try await store.dropRows(startedBefore: UnixMicroseconds(rawValue: .max)) == 0)
            _ = try await store.fold()
        }
        let before = try await self.state(store)
        #expect(try await store.dropRows(startedBefore: self.time(ofEvent: 0)) == 0)
        // All of the first stream is older, but only the first block of the second.
        let dropped = try await store.dropRows(startedBefore: self.time(ofEvent: 9000 + 4500))
        #expect(dropped == 9000 + Self.blockRows - 1)
        for _ in 0..<2 {
            #expect(try await store.verify() == [])
            #expect(try await self.state(store) == before)
            try await store.rebuildCounters()
        }
        let rows = try await LedgerSample.allRows(store)
        #expect(rows.map(\.streamID).min() == 2 && Int64(rows.count) == 14_010 - dropped)
        #expect(
            try await store.standing(of: LedgerSample.journal(1))
                == StreamStanding(streamID: 1, applied: 9000, expired: 9000))
        #expect(
            try await store.usage(
                UsageQuery(requestID: LedgerSample.requestID(20), newestFirst: false, limit: 5)
            ).isEmpty)
        #expect(
            try await store.usage(
                UsageQuery(requestID: LedgerSample.requestID(13_999), newestFirst: false, limit: 5)
            ).count == 1)
        // All of it, and a stream whose rows are all gone goes on.
        _ = try await store.dropRows(startedBefore: UnixMicroseconds(rawValue: .max))
        #expect(try await LedgerSample.allRows(store).isEmpty)
        let position = try await store.takeStream(LedgerSample.journal(1))
        #expect(position.applied == 9000)
        _ = try await store.append(LedgerSample.events(7, from: 20_000), at: position)
        _ = try await store.fold()
        #expect(try await store.verify() == [])
        #expect(try await store.counter(.total).requests == before.0.requests + 7)
        #expect(try await LedgerSample.allRows(store).map(\.sequence) == Array(9001...9007))
    }

    @Test("sees a missing row behind the deleted ones")
    func missingRow() async throws {
        let ledger = try TemporaryLedger()
        let store = try ledger.open()
        try await self.fill(store, [9000])
        _ = try await store.dropRows(startedBefore: self.time(ofEvent: 5000))
        #expect(try await store.verify() == [])
        try store.close()
        try ledger.execute("DELETE FROM usage WHERE id = (SELECT min(id) FROM usage)")
        #expect(try await !ledger.open().verify().isEmpty)
    }
}
