import GatewayCore
import GatewayLedger
import GatewayPostgres
import TestSupport
import Testing

@Suite("A fold that many pods share")
struct FoldSharingTests {
    @Test("is left to others that have folded a moment ago, and must be asked for again")
    func foldsWhenDue() async throws {
        let database = try await PostgresBench.database()
        let store = try await PostgresBench.store(database)
        let start = try await store.takeStream(LedgerSample.journal(1))
        _ = try await store.append(LedgerSample.events(10), at: start)
        try await PostgresBench.query("UPDATE martlet.fold_shard SET folded_at = now() + interval '9 s'", in: database)
        #expect(try await store.foldIfDue())
        #expect(try await store.counter(.total) == .zero)
        try await PostgresBench.query("UPDATE martlet.fold_shard SET folded_at = now() - interval '2 s'", in: database)
        #expect(try await !store.foldIfDue())
        #expect(try await store.counter(.total).requests == 10)
        #expect(try await store.verify() == [])
        // Its own fold was a moment ago; who has to know that all is counted does not wait.
        _ = try await store.append(
            LedgerSample.events(5, from: 10),
            at: StreamPosition(
                journal: start.journal, streamID: start.streamID, epoch: start.epoch, applied: 10))
        #expect(try await store.fold() == 5)
        #expect(
            try await PostgresBench.query(
                "SELECT now() - folded_at < interval '1 min' FROM martlet.fold_shard", in: database)
                == "t")
    }

    @Test("is left to the pod that is at it, while one that must be whole waits for that pod")
    func foldsBesideAnother() async throws {
        let database = try await PostgresBench.database()
        let store = try await PostgresBench.store(database)
        let start = try await store.takeStream(LedgerSample.journal(1))
        _ = try await store.append(LedgerSample.events(10), at: start)
        try await PostgresBench.query("UPDATE martlet.fold_shard SET folded_at = now() - interval '1 h'", in: database)
        let holder = Task {
            try await PostgresBench.query(
                "BEGIN; SELECT FROM martlet.fold_shard FOR UPDATE; SELECT pg_sleep(1.5); ROLLBACK", in: database)
        }
        while try await PostgresBench.query(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = '\(database)' AND wait_event = 'PgSleep'",
            in: "postgres") == "0"
        {
            await PostgresBench.pause(.milliseconds(5))
        }
        #expect(try await store.foldIfDue())
        #expect(try await store.counter(.total) == .zero)
        #expect(try await store.fold() == 10)
        _ = try await holder.value
        #expect(try await store.verify() == [])
    }

    @Test("counts what the pod that it waited for had not seen")
    func foldsAfterAnother() async throws {
        let database = try await PostgresBench.database()
        let store = try await PostgresBench.store(database)
        let start = try await store.takeStream(LedgerSample.journal(1))
        _ = try await store.append(LedgerSample.events(10), at: start)
        // Moves the position as a fold does that saw only four rows, and ends when the other one waits for it.
        let holder = Task {
            try await PostgresBench.query(
                """
                SET statement_timeout = '60s'; BEGIN;
                SELECT FROM martlet.fold_shard FOR UPDATE; UPDATE martlet.fold_position SET folded = 4;
                DO $$ BEGIN
                    PERFORM pg_advisory_lock(1);
                    WHILE NOT EXISTS (
                        SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
                    ) LOOP PERFORM pg_stat_clear_snapshot(); END LOOP;
                END $$; COMMIT
                """, in: database)
        }
        while try await PostgresBench.query(
            "SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database "
                + "WHERE d.datname = '\(database)' AND locktype = 'advisory'", in: "postgres") == "0"
        {
            await PostgresBench.pause(.milliseconds(5))
        }
        #expect(try await store.fold() == 6)
        #expect(try await store.counter(.total).requests == 6)
        _ = try await holder.value
        await store.close()
    }
}
