import GatewayLedger
import GatewayPostgres
import TestSupport
import Testing

@Suite("Migrations of PostgreSQL", .serialized)
struct MigrationTests {
    private static let versions: [Int32] = [1, 2, 3, 5, 6, 7, 8, 9, 10, 11]

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
                "SELECT count(*) FROM pg_inherits WHERE inhparent = 'martlet.usage'::regclass", in: database)
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
