import GatewayCore
import GatewayLedger
import GatewayPostgres
import TestSupport
import Testing

@Suite("A look-up of usage rows in PostgreSQL")
struct UsageLookupTests {
    private static let rows = 100_000
    private static let batch = 250

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
        for first in stride(from: 0, to: Self.rows, by: Self.batch) {
            _ = try await store.append(Array(events[first..<first + Self.batch]), at: position)
            position.applied += Int64(Self.batch)
        }
        _ = try await store.maintain(retention: nil)
        return (store, events)
    }

    private static func partitions(_ database: String) async throws -> [Substring] {
        try await PostgresBench.query(
            "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
                + "WHERE i.inhparent = 'martlet.usage_batch'::regclass", in: database
        ).split(separator: "\n")
    }

    /// Pages that were read of what batches hold. Sessions tell what they did when they end.
    private func pagesRead(_ database: String) async throws -> Int {
        let text = try await PostgresBench.query(
            "SELECT sum(toast_blks_read + toast_blks_hit) FROM pg_statio_all_tables "
                + "WHERE schemaname = 'martlet' AND relname LIKE 'usage\\_%'", in: database)
        return try #require(Int(text))
    }

    @Test("by request reads one batch, without statistics, and finds rows of any age and kind of identifier")
    func byRequest() async throws {
        let database = try await PostgresBench.database()
        let (filler, events) = try await self.filled(database)
        await filler.close()
        let before = try await self.pagesRead(database)
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
        // Of 400 batches and more each look-up reads the one: its 19 columns lie on about ten pages.
        let pages = try await self.pagesRead(database) - before
        #expect(pages > 0 && pages < 7 * 60, "\(pages) pages")
        let plan = try await PostgresBench.query(
            "SET enable_seqscan = off; EXPLAIN (ANALYZE, BUFFERS) SELECT * FROM martlet.batches_of_request("
                + "'\(events[77].requestID.text)', now() - interval '1 day')", in: database)
        #expect(!plan.contains("Seq Scan"), "\(plan)")
    }

    @Test("by key and time reads batches of that time, with statistics")
    func byKeyAndTime() async throws {
        let database = try await PostgresBench.database()
        let (filler, events) = try await self.filled(database)
        await filler.close()
        try await PostgresBench.query("ANALYZE martlet.usage", in: database)
        let before = try await self.pagesRead(database)
        let store = try await PostgresBench.store(database)
        let found = try await store.usage(
            UsageQuery(
                digest: events[7].payer.digest, startedFrom: events[5000].startedAt,
                startedBefore: events[6000].startedAt, newestFirst: true, limit: 1000))
        #expect(found.count == 20 && found.allSatisfy { $0.event.payer.digest == events[7].payer.digest })
        await store.close()
        let pages = try await self.pagesRead(database) - before
        #expect(pages > 0 && pages < 5 * 60, "\(pages) pages")
    }

    @Test("a page of a walk reads the batches it needs, with statistics and without", arguments: [false, true])
    func pageOfAWalk(hasStatistics: Bool) async throws {
        let database = try await PostgresBench.database()
        let (filler, events) = try await self.filled(database)
        await filler.close()
        if hasStatistics { try await PostgresBench.query("ANALYZE", in: database) }
        let before = try await self.pagesRead(database)
        let store = try await PostgresBench.store(database)
        let place = (streamID: Int64(1), sequence: Int64(Self.rows / 2))
        for newestFirst in [false, true] {
            let page = try await store.usage(UsageQuery(after: place, newestFirst: newestFirst, limit: 300))
            let first = Int(place.sequence) + (newestFirst ? -2 : 0)
            #expect(page.map(\.event.requestID) == (0..<300).map { events[first + (newestFirst ? -$0 : $0)].requestID })
        }
        await store.close()
        // Two or three batches of about 60 pages each, of 400.
        let pages = try await self.pagesRead(database) - before
        #expect(pages > 0 && pages < 7 * 60, "\(pages) pages")
    }

    @Test("walks in pages over what came in appends of any size, and a refused part leaves no trace")
    func pages() async throws {
        let database = try await PostgresBench.database()
        let store = try await PostgresBench.store(database)
        let token = try #require(try await store.takeWriterFence(after: 0, holder: "test"))
        var batches: [LedgerBatch] = []
        for (number, count) in [2500, 1000, 700, 1001].enumerated() {
            let position = try await store.takeStream(LedgerSample.journal(UInt64(number + 1)))
            let events = LedgerSample.events(count, from: Int64(number) * 10_000)
            batches.append(LedgerBatch(position: position, events: events))
        }
        batches[2].position.epoch += 1
        let outcomes = try #require(try await store.append(batches, token: token))
        #expect(outcomes == [.applied(2500), .applied(1000), .rejected(epoch: 1, applied: 0), .applied(1001)])
        var position = batches[0].position
        position.applied = 2500
        #expect(
            try await store.append(LedgerSample.events(3333, from: 100_000), at: position) == .applied(5833))
        let all = try await LedgerSample.allRows(store)
        #expect(all.count == 5833 + 1000 + 1001)
        #expect(all.map(\.sequence) == Array(1...5833) + Array(1...1000) + Array(1...1001))
        #expect(all[2499].event.cost == LedgerSample.events(2500)[2499].cost)
        #expect(all[5832].event.cost == LedgerSample.events(3333, from: 100_000)[3332].cost)
        for newestFirst in [false, true] {
            var walked: [UsageRow] = []
            var query = UsageQuery(newestFirst: newestFirst, limit: 777)
            while true {
                let page = try await store.usage(query)
                walked += page
                guard let last = page.last else { break }
                query.after = (last.streamID, last.sequence)
            }
            let numbers = (newestFirst ? walked.reversed() : walked).map { [$0.streamID, $0.sequence] }
            #expect(numbers == all.map { [$0.streamID, $0.sequence] }, "newest first: \(newestFirst)")
        }
        let sizes = "SELECT max(cardinality(request_id)), count(*) FROM martlet.usage_batch"
        #expect(try await PostgresBench.query(sizes, in: database) == "1000|10")
        #expect(try await store.fold() == 7834)
        #expect(try await store.verify() == [])
        await store.close()
    }
}
