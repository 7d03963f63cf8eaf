import GatewayLedger
import GatewayPostgres
import TestSupport
import Testing

@Suite("Migrations of PostgreSQL", .serialized)
struct MigrationTests {
    private static let versions: [Int32] = [1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12]

    /// - Returns: every version that some store applied.
    private func race(_ count: Int, on database: String) async throws -> [Int32] {
        try await withThrowingTaskGroup(of: [Int32].self) { group in
            for _ in 0..<count {
                let store = try await PostgresBench.store(database)
                group.addTask {
                    let applied = try await store.open(patience: .seconds(20), pause: PostgresBench.pause)
                    await store.close()
                    return applied
                }
            }
            return try await group.reduce(into: []) { $0 += $1 }
        }
    }

    @Test("are applied once each by 16 pods that start at once")
    func raceOnEmptyDatabase() async throws {
        for _ in 0..<3 {
            let database = try await PostgresBench.emptyDatabase()
            #expect(try await self.race(16, on: database).sorted() == Self.versions)
            #expect(try await PostgresBench.store(database).verify() == [])
            let partitions = try await PostgresBench.query(
                "SELECT count(*) FROM pg_inherits WHERE inhparent = 'martlet.usage_batch'::regclass", in: database)
            #expect(partitions == "4")
        }
    }

    @Test("go on from where an older program left")
    func raceOnHalfMigratedDatabase() async throws {
        let database = try await PostgresBench.database()
        try await PostgresBench.query(
            """
            DROP TABLE martlet.pod, martlet.job_lease, martlet.model, martlet.credential;
            DELETE FROM martlet.migration WHERE version = 3;
            """, in: database)
        #expect(try await self.race(16, on: database) == [3])
        #expect(try await PostgresBench.store(database).models() == [])
    }

    /// As the steps before version 12 left it: a row for each call, in partitions.
    private static let rowTable = """
        DROP VIEW martlet.usage CASCADE;
        DROP TABLE martlet.usage_batch CASCADE;
        DROP FUNCTION martlet.insert_usage_row;
        DELETE FROM martlet.migration WHERE version = 12;
        CREATE TABLE martlet.usage (
            applied_at timestamptz NOT NULL, seq bigint NOT NULL, started_at bigint NOT NULL, duration bigint NOT NULL,
            first_byte bigint NOT NULL, bits bigint NOT NULL, input bigint NOT NULL, output bigint NOT NULL,
            cost bigint NOT NULL, stream_id int NOT NULL, payer_id int NOT NULL, route_id int NOT NULL,
            request_id uuid NOT NULL, cached_input bigint, reasoning_output bigint, cache_write_input bigint,
            cache_write_long_input bigint, audio_input bigint, image_input bigint, audio_output bigint,
            image_output bigint, end_user text COLLATE "C"
        ) PARTITION BY RANGE (applied_at);
        CREATE TABLE martlet.usage_default PARTITION OF martlet.usage DEFAULT;
        CREATE UNIQUE INDEX usage_default_place ON martlet.usage_default (stream_id, seq);
        CREATE TABLE martlet.usage_20260102 PARTITION OF martlet.usage
            FOR VALUES FROM ('2026-01-02 00:00:00+00') TO ('2026-01-03 00:00:00+00');
        CREATE UNIQUE INDEX usage_20260102_place ON martlet.usage_20260102 (stream_id, seq);
        CREATE FUNCTION martlet.usage_of_request(wanted uuid, since timestamptz) RETURNS SETOF martlet.usage
        LANGUAGE sql STABLE AS $$ SELECT * FROM martlet.usage WHERE request_id = wanted AND applied_at >= since $$;
        """
    private static let columns = """
        applied_at, seq, started_at, duration, first_byte, bits, input, output, cost, stream_id, payer_id, route_id,
            request_id, cached_input, reasoning_output, cache_write_input, cache_write_long_input, audio_input,
            image_input, audio_output, image_output, end_user
        """

    @Test("take over the rows of an older program, whose pods go on writing theirs")
    func takeOverRows() async throws {
        let database = try await PostgresBench.database()
        var events = LedgerSample.events(3000)
        events[7].usage.cachedInput = 70
        events[8].endUser = "erin"
        let filler = try await PostgresBench.store(database)
        var position = try await filler.takeStream(LedgerSample.journal(1))
        for first in stride(from: 0, to: 3000, by: 1500) {
            _ = try await filler.append(Array(events[first..<first + 1500]), at: position)
            position.applied += 1500
        }
        _ = try await filler.fold()
        let rows = try await LedgerSample.allRows(filler)
        let sums = try await filler.counter(.total)
        await filler.close()
        try await PostgresBench.query(
            """
            CREATE TABLE public.kept AS SELECT \(Self.columns) FROM martlet.usage;
            UPDATE public.kept SET applied_at = '2026-01-02 12:00:00+00' WHERE seq <= 1500;
            \(Self.rowTable)
            INSERT INTO martlet.usage (\(Self.columns)) SELECT \(Self.columns) FROM public.kept;
            """, in: database)
        #expect(try await self.race(8, on: database) == [12])
        let store = try await PostgresBench.store(database)
        let taken = try await LedgerSample.allRows(store)
        #expect(
            taken.map { "\($0.event)" } == rows.map { "\($0.event)" } && taken.map(\.sequence) == rows.map(\.sequence))
        #expect(try await store.verify() == [])
        let lookup = UsageQuery(requestID: rows[2222].event.requestID, newestFirst: true, limit: 5)
        #expect(try await store.usage(lookup).map(\.sequence) == [2223])
        let batches = "SELECT count(*), max(cardinality(request_id)) FROM martlet.usage_batch"
        #expect(try await PostgresBench.query(batches, in: database) == "4|1000")
        #expect(
            try await PostgresBench.query("SELECT count(*) FROM martlet.usage_20260102", in: database) == "2")

        // The older program's statements: a day's partition, rows, a look-up.
        try await PostgresBench.query(
            """
            CREATE TABLE IF NOT EXISTS martlet.usage_20260102 PARTITION OF martlet.usage
                FOR VALUES FROM ('2026-01-02 00:00:00+00') TO ('2026-01-03 00:00:00+00');
            CREATE UNIQUE INDEX IF NOT EXISTS usage_20260102_place ON martlet.usage_20260102 (stream_id, seq);
            WITH f AS (UPDATE martlet.stream SET applied = 3002 WHERE applied = 3000 RETURNING stream_id)
            INSERT INTO martlet.usage (\(Self.columns))
            SELECT now(), 3000 + t.place, started_at, duration, first_byte, bits, input, output, cost, f.stream_id,
                payer_id, route_id, gen_random_uuid(), cached_input, reasoning_output, cache_write_input,
                cache_write_long_input, audio_input, image_input, audio_output, image_output, end_user
            FROM f, public.kept k, generate_series(1, 2) t (place) WHERE k.seq = 8;
            """, in: database)
        #expect(try await store.fold() == 2)
        #expect(try await store.verify() == [])
        #expect(try await store.counter(.total).requests == sums.requests + 2)
        let last = try await store.usage(UsageQuery(newestFirst: true, limit: 2))
        #expect(last.map(\.sequence) == [3002, 3001] && last.allSatisfy { $0.event.usage.cachedInput == 70 })
        let found = try await PostgresBench.query(
            "SELECT count(*) FROM martlet.usage_of_request('\(rows[2222].event.requestID.text)', '-infinity')",
            in: database)
        #expect(found == "1")
        await store.close()
    }

    @Test("leave a schema alone that is up to date")
    func doNothingTwice() async throws {
        #expect(try await self.race(4, on: PostgresBench.database()) == [])
    }

    @Test("work with a newer schema that says it is compatible, and refuse another")
    func meetNewerSchemas() async throws {
        let database = try await PostgresBench.database()
        try await PostgresBench.query(
            "INSERT INTO martlet.migration VALUES (98, 2, now())", in: database)
        #expect(try await self.race(1, on: database) == [])
        try await PostgresBench.query("INSERT INTO martlet.migration VALUES (99, 98, now())", in: database)
        let store = try await PostgresBench.store(database)
        let error = await #expect(throws: PostgresError.self) {
            try await store.open(patience: .zero, pause: PostgresBench.pause)
        }
        #expect(error?.kind == .settings)
        #expect(error?.message.contains("newer version") == true)
    }

    @Test("live in a schema of their own beside others")
    func keepSchemasApart() async throws {
        let database = try await PostgresBench.database()
        let other = try await PostgresBench.store(database, parameters: "martlet_schema=Other%20\"One")
        #expect(try await other.open(patience: .seconds(5), pause: PostgresBench.pause) == Self.versions)
        _ = try await other.setSettingIfAbsent("name", value: "value")
        #expect(try await PostgresBench.store(database).setting("name") == nil)
    }

    @Test("say what to grant when a right is missing")
    func tellMissingRight() async throws {
        let database = try await PostgresBench.emptyDatabase()
        let server = try await PostgresBench.server()
        try await PostgresBench.query(
            "CREATE ROLE guest_\(database) LOGIN PASSWORD 'guest'; REVOKE CREATE ON DATABASE \(database) FROM PUBLIC",
            in: database)
        let store = try PostgresStore(
            PostgresSettings(url: "postgresql://guest_\(database):guest@127.0.0.1:\(server.port)/\(database)"))
        let error = await #expect(throws: PostgresError.self) {
            try await store.open(patience: .zero, pause: PostgresBench.pause)
        }
        #expect(error?.kind == .permission)
        #expect(error?.message.contains("Grant") == true)
    }
}
