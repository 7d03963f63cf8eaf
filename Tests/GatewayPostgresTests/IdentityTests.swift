import GatewayCore
import GatewayLedger
import GatewayPostgres
import TestSupport
import Testing

@Suite("A payer or route in PostgreSQL")
struct IdentityTests {
    /// Every segment of a journal gives back objects of its own.
    @Test("is looked up once by a pod, whichever object names it")
    func isLookedUpOnce() async throws {
        let database = try await PostgresBench.database()
        let store = try await PostgresBench.store(database)
        var position = try await store.takeStream(LedgerSample.journal(1))
        let payers = 0..<20
        for round in 0..<2 {
            if round == 1 {
                // What asks now fails.
                try await PostgresBench.query(
                    "ALTER TABLE martlet.payer RENAME TO payer_away; ALTER TABLE martlet.route RENAME TO route_away",
                    in: database)
            }
            let events = payers.map { number in
                UsageEvent.sample(
                    1 + round * payers.count + number, payer: .sample(number), route: .sample(number % 3))
            }
            let outcome = try await store.append(events, at: position)
            position.applied += Int64(events.count)
            #expect(outcome == .applied(position.applied))
        }
        try await PostgresBench.query(
            "ALTER TABLE martlet.payer_away RENAME TO payer; ALTER TABLE martlet.route_away RENAME TO route",
            in: database)
        _ = try await store.fold()
        #expect(try await store.verify() == [])
        for number in payers where number % 3 != 0 {
            #expect(try await store.counter(.user("user-\(number)")).requests == 2)
        }
        await store.close()
    }

    @Test("is looked up anew after the connection was made anew")
    func isForgottenWithTheConnection() async throws {
        let database = try await PostgresBench.database()
        let store = try await PostgresBench.store(database)
        var position = try await store.takeStream(LedgerSample.journal(1))
        let payer = PayerIdentity.sample(1)
        _ = try await store.append([.sample(1, payer: payer)], at: position)
        position.applied = 1
        // As a server that a failover has put in the other's place, which gave the payer another number.
        try await PostgresBench.query(
            "UPDATE martlet.usage_batch SET payer_id = '{77}'; DELETE FROM martlet.payer", in: database)
        try await PostgresBench.query(
            """
            SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid()
            """, in: database)
        while true {
            do {
                _ = try await store.append([.sample(2, payer: payer)], at: position)
                break
            } catch {
                guard case .unavailable = error else { throw error }
            }
        }
        let found = try await PostgresBench.query(
            "SELECT count(*) FROM martlet.usage JOIN martlet.payer USING (payer_id) WHERE seq = 2", in: database)
        #expect(found == "1")
        await store.close()
    }
}
