/// Brings the schema up to date. Any number of pods may do so at once, without a lock: the transaction of each step
/// begins with the row that names it, so all but one wait at the unique key and then find the step done.
struct Migrator: Sendable {
    let connection: PostgresConnection
    let schema: String
    let migrations: [Migration]

    init(connection: PostgresConnection, schema: String, migrations: [Migration] = Migration.all) {
        self.connection = connection
        self.schema = schema
        self.migrations = migrations
    }

    private static let attemptsMax = 50

    private static let existence = PostgresStatement(
        nil, isRead: true,
        """
        SELECT count(*) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = $1 AND c.relname = 'migration'
        """)
    private static let standing = PostgresStatement(
        nil, isRead: true, "SELECT version, compatible_from FROM {s}.migration ORDER BY version")
    /// `IF NOT EXISTS` does not keep two that create at the same time apart; the loser repeats.
    private static let foundation = """
        CREATE SCHEMA IF NOT EXISTS {s};
        CREATE TABLE IF NOT EXISTS {s}.migration (
            version int PRIMARY KEY,
            compatible_from int NOT NULL,
            applied_at timestamptz NOT NULL
        )
        """

    /// - Returns: versions that this call applied, none when the schema was up to date.
    /// - Throws: `.missingSchema` when the schema is of a newer program that this one cannot work with; `.permission`
    ///   with what to grant.
    func migrate() async throws(PostgresError) -> [Int32] {
        var applied: [Int32] = []
        if try await !self.exists() { try await self.repeating(Self.foundation) }
        while true {
            let known = try await self.versions()
            try self.refuseNewer(known)
            guard
                let next = self.migrations.first(where: { migration in
                    !known.contains { $0.version == migration.version }
                })
            else { return applied }
            if try await self.apply(next) { applied.append(next.version) }
        }
    }

    private func exists() async throws(PostgresError) -> Bool {
        var parameters = PostgresParameters()
        parameters.text(self.schema)
        return try await self.connection.run(Self.existence, parameters).integer(0, 0) > 0
    }

    private func versions() async throws(PostgresError) -> [(version: Int32, compatibleFrom: Int32)] {
        let rows = try await self.connection.run(Self.standing)
        return (0..<rows.count).map { row in
            (Int32(truncatingIfNeeded: rows.integer(row, 0)), Int32(truncatingIfNeeded: rows.integer(row, 1)))
        }
    }

    private func refuseNewer(_ known: [(version: Int32, compatibleFrom: Int32)]) throws(PostgresError) {
        let own = self.migrations.last?.version ?? 0
        guard let newest = known.last, let needed = known.map(\.compatibleFrom).max(), needed > own else { return }
        throw PostgresError(
            .settings,
            "The schema \(self.schema) stands at version \(newest.version) and needs a program that knows version "
                + "\(needed); this one knows \(own). Run a newer version of the program.")
    }

    /// - Returns: `false` when another pod has done it meanwhile.
    private func apply(_ migration: Migration) async throws(PostgresError) -> Bool {
        let script = """
            INSERT INTO {s}.migration (version, compatible_from, applied_at)
            VALUES (\(migration.version), \(migration.compatibleFrom), clock_timestamp());
            \(migration.text)
            """
        do {
            // A step may rewrite what a large installation holds.
            try await self.connection.runScript(script, timeout: .seconds(3600))
            return true
        } catch {
            switch error.kind {
            case .uniqueViolation, .deadlock, .serialization: return false
            default: throw error
            }
        }
    }

    private func repeating(_ script: String) async throws(PostgresError) {
        var attempt = 0
        while true {
            do {
                return try await self.connection.runScript(script, timeout: .seconds(60))
            } catch {
                attempt += 1
                switch error.kind {
                case .uniqueViolation, .alreadyExists, .deadlock, .serialization:
                    if attempt >= Self.attemptsMax { throw error }
                case .permission:
                    // The schema may exist, made by an administrator.
                    throw PostgresError(
                        .permission,
                        "\(error.message) Or create the schema \(self.schema) and make the user its owner.",
                        state: error.state)
                default: throw error
                }
            }
        }
    }
}
