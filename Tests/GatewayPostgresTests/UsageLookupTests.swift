import GatewayCore
import GatewayLedger
import GatewayPostgres
import TestSupport
import Testing

@Suite("A look-up of usage rows in PostgreSQL")
struct UsageLookupTests {
    private static let rows = 100_000

    /// Rows of many calls a second, shipped by one pod, in a table without statistics; summarized as by the upkeep.
    private func filled(_ database: String) async throws -> (PostgresStore, [UsageEvent]) {
        for table in try await Self.partitions(database) {
            try await PostgresBench.query(
                "ALTER TABLE martlet.\(table) SET (autovacuum_enabled = off)", in: database)
        }
        let store = try await PostgresBench.store(database)
        var random = SeededGenerator(seed: 5)
        let payers = (0..<50).map { PayerIdentity.sample($0) }
        let begin: Int64 = 1_763_800_000_000_000
        let events = (0..<Self.rows).map { number in
            let time = UnixMicroseconds(rawValue: begin + Int64(number) * 1000)
            var event = UsageEvent.sample(number, payer: payers[number % payers.count])
            event.requestID = RequestID(.timeOrdered(at: time, using: &random))
            event.startedAt = time
            return event
        }
        var position = try await store.takeStream(LedgerSample.journal(1))
        for first in stride(from: 0, to: Self.rows, by: 10_000) {
            _ = try await store.append(Array(events[first..<first + 10_000]), at: position)
            position.applied += 10_000
        }
        _ = try await store.maintain(retention: nil)
        return (store, events)
    }

    private static func partitions(_ database: String) async throws -> [Substring] {
        try await PostgresBench.query(
            "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
                + "WHERE i.inhparent = 'martlet.usage'::regclass", in: database
        ).split(separator: "\n")
    }

    /// Rows that sequential scans have read. Sessions tell what they did when they end.
    private func scanned(_ database: String) async throws -> String {
        try await PostgresBench.query(
            "SELECT sum(seq_tup_read) FROM pg_stat_all_tables WHERE schemaname = 'martlet' AND relname LIKE 'usage\\_%'",
            in: database)
    }

    @Test("by request reads a few pages, without statistics, and finds rows of any age and kind of identifier")
    func byRequest() async throws {
        let database = try await PostgresBench.database()
        let (filler, events) = try await self.filled(database)
        await filler.close()
        let before = try await self.scanned(database)
        let store = try await PostgresBench.store(database)
        for index in [0, 1, Self.rows / 2, Self.rows - 1] {
            let query = UsageQuery(requestID: events[index].requestID, newestFirst: false, limit: 10)
            #expect(try await store.usage(query).map(\.sequence) == [Int64(index + 1)])
        }
        // Times of pods that are behind, and identifiers without a time.
        var random = SeededGenerator(seed: 6)
        var odd = [UsageEvent.sample(1), UsageEvent.sample(2), UsageEvent.sample(3)]
        odd[0].requestID = RequestID(.random(using: &random))
        odd[1].requestID = RequestID(.timeOrdered(at: UnixMicroseconds(rawValue: 0), using: &random))
        odd[2].requestID = RequestID(.timeOrdered(at: UnixMicroseconds(rawValue: 1_000_000_000_000), using: &random))
        let position = try await store.takeStream(LedgerSample.journal(2))
        _ = try await store.append(odd, at: position)
        for (index, event) in odd.enumerated() {
            let query = UsageQuery(requestID: event.requestID, newestFirst: true, limit: 10)
            #expect(try await store.usage(query).map(\.sequence) == [Int64(index + 1)])
        }
        await store.close()
        #expect(try await self.scanned(database) == before)
        let plan = try await PostgresBench.query(
            "SET enable_seqscan = off; EXPLAIN (ANALYZE, BUFFERS) SELECT * FROM martlet.usage "
                + "WHERE request_id = '\(events[77].requestID.text)'", in: database)
        #expect(plan.contains("Bitmap Index Scan") && plan.contains("request_id_idx"), "\(plan)")
    }

    @Test("by key and time reads pages of that time, with statistics")
    func byKeyAndTime() async throws {
        let database = try await PostgresBench.database()
        let (filler, events) = try await self.filled(database)
        await filler.close()
        try await PostgresBench.query("ANALYZE martlet.usage", in: database)
        let before = try await self.scanned(database)
        let store = try await PostgresBench.store(database)
        let found = try await store.usage(
            UsageQuery(
                digest: events[7].payer.digest, startedFrom: events[5000].startedAt,
                startedBefore: events[6000].startedAt, newestFirst: true, limit: 1000))
        #expect(found.count == 20 && found.allSatisfy { $0.event.payer.digest == events[7].payer.digest })
        await store.close()
        #expect(try await self.scanned(database) == before)
    }
}
