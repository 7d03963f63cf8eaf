import GRDB
import GRDBSQLite
import GatewayLedger

/// The two tables of sums and how rows get into them.
enum Aggregates {
    /// Adds the sums of new rows. Belongs into the transaction that moves the stream's `folded` over those rows.
    static func add(_ summary: UsageSummary, to database: Database, reached: (WriteStep) throws -> Void) throws {
        let totals = try SQLStatement(database, Self.totals.text)
        for (group, sums) in summary.totals {
            try Self.add(sums, to: group, Self.totals, totals, in: database)
        }
        try reached(.totalsAdded)
        let daily = try SQLStatement(database, Self.daily.text)
        for (group, sums) in summary.daily {
            try Self.add(sums, to: group, Self.daily, daily, in: database)
        }
        try reached(.dailyAdded)
    }

    /// Keeps the sums of rows that are about to be deleted.
    static func keep(_ summary: UsageSummary, in database: Database) throws {
        let statement = try SQLStatement(database, Self.expired.text)
        for (group, sums) in summary.daily { try Self.add(sums, to: group, Self.expired, statement, in: database) }
    }

    /// Adds the sums of rows that retention has deleted.
    static func addExpired(_ database: Database, to summary: inout UsageSummary) throws {
        let columns = UsageSums.columns.joined(separator: ", ")
        let kept = try SQLStatement.all(
            database, "SELECT day, payer_id, route_id, \(columns) FROM expired_daily ORDER BY 1, 2, 3", []
        ) { row in
            (
                group: UsageGroup(day: row.integer(0), payer: row.integer(1), route: row.integer(2)),
                sums: UsageSums(row, first: 3)
            )
        }
        for (group, sums) in kept { summary.add(sums, to: group) }
    }

    /// Sums up rows of `usage` between two places, both included, in their order.
    static func summarize(_ database: Database, from first: Place, through last: Place) throws -> UsageSummary {
        var summary = UsageSummary()
        try Self.forEachRow(database, from: first, through: last) { row in summary.add(row) }
        return summary
    }

    /// What sums are made of.
    struct Row {
        var place: Place
        var startedAt: Int64
        var payer: Int64
        var route: Int64
        var bits: UsageBits
        var input: Int64
        var cached: Int64
        var output: Int64
        var reasoning: Int64
        var cost: Int64
        var requestHigh: Int64
    }

    static func forEachRow(
        _ database: Database, from first: Place, through last: Place, _ body: (Row) throws -> Void
    ) throws {
        let statement = try SQLStatement(
            database,
            """
            SELECT id, started_at, payer_id, route_id, bits, input, cached_input, output, reasoning_output, cost,
            request_high FROM usage WHERE id BETWEEN ?1 AND ?2 ORDER BY id
            """)
        try statement.bindAll([.integer(first.id), .integer(last.id)])
        defer { statement.reset() }
        while try statement.step() {
            try body(
                Row(
                    place: Place(id: statement.integer(0)), startedAt: statement.integer(1),
                    payer: statement.integer(2), route: statement.integer(3),
                    bits: UsageBits(rawValue: statement.integer(4)), input: statement.integer(5),
                    cached: statement.integer(6), output: statement.integer(7), reasoning: statement.integer(8),
                    cost: statement.integer(9), requestHigh: statement.integer(10)))
        }
    }

    /// Adds one group. A sum beyond Int64 becomes a float in SQLite, which a STRICT table refuses; only then the
    /// dearer text runs that stops at the ends, as `UsageSums` does.
    private static func add(
        _ sums: UsageSums, to group: UsageGroup, _ table: Table, _ statement: SQLStatement, in database: Database
    ) throws {
        do {
            try Self.run(statement, group, hasDay: table.hasDay, sums)
        } catch let error as DatabaseError where error.extendedResultCode == .SQLITE_CONSTRAINT_DATATYPE {
            try Self.run(try SQLStatement(database, table.saturatingText), group, hasDay: table.hasDay, sums)
        }
    }

    private static func run(_ statement: SQLStatement, _ group: UsageGroup, hasDay: Bool, _ sums: UsageSums) throws {
        var parameter: Int32 = 1
        if hasDay {
            sqlite3_bind_int64(statement.handle, parameter, group.day)
            parameter += 1
        }
        sqlite3_bind_int64(statement.handle, parameter, group.payer)
        sqlite3_bind_int64(statement.handle, parameter + 1, group.route)
        parameter += 2
        sums.forEachValue { value in
            sqlite3_bind_int64(statement.handle, parameter, value)
            parameter += 1
        }
        try statement.finish()
    }

    private static let totals = Table(name: "usage_total", keys: ["payer_id", "route_id"])
    private static let daily = Table(name: "usage_daily", keys: ["day", "payer_id", "route_id"])
    private static let expired = Table(name: "expired_daily", keys: ["day", "payer_id", "route_id"])

    /// The upserts of one table.
    private struct Table {
        let text: String
        let saturatingText: String
        let hasDay: Bool

        init(name: String, keys: [String]) {
            self.hasDay = keys.first == "day"
            self.text = Self.upsert(name, keys: keys) { "\($0) + excluded.\($0)" }
            self.saturatingText = Self.upsert(name, keys: keys) { column in
                "CASE WHEN typeof(\(column) + excluded.\(column)) = 'integer' THEN \(column) + excluded.\(column) "
                    + "WHEN \(column) < 0 THEN -9223372036854775807 - 1 ELSE 9223372036854775807 END"
            }
        }

        private static func upsert(_ table: String, keys: [String], sum: (String) -> String) -> String {
            let columns = keys + UsageSums.columns
            let places = (1...columns.count).map { "?\($0)" }
            let updates = UsageSums.columns.map { "\($0) = \(sum($0))" }
            return "INSERT INTO \(table) (\(columns.joined(separator: ", "))) "
                + "VALUES (\(places.joined(separator: ", "))) "
                + "ON CONFLICT (\(keys.joined(separator: ", "))) DO UPDATE SET \(updates.joined(separator: ", "))"
        }
    }
}

extension UsageSummary {
    @inline(__always)
    mutating func add(_ row: Aggregates.Row) {
        self.add(
            startedAt: row.startedAt, payer: row.payer, route: row.route, cost: row.cost, input: row.input,
            cached: row.cached, output: row.output, reasoning: row.reasoning,
            isError: row.bits.flags.contains(.error))
    }
}
