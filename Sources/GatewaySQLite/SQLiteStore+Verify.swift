import GRDB
import GatewayCore
import GatewayLedger

extension SQLiteStore {
    package func rebuildCounters() async throws(LedgerError) {
        try await self.write { database in
            for table in ["usage_total", "usage_daily", "usage_block"] {
                try SQLStatement.run(database, "DELETE FROM \(table)")
            }
            try self.reached(.streamMoved)
            var summary = UsageSummary()
            var blocks = UsageBlocks()
            let all = (first: Place(id: 0), last: Place(id: .max))
            try Aggregates.forEachRow(database, from: all.first, through: all.last) { row in
                summary.add(row)
                try blocks.add(
                    row.place, startedAt: row.startedAt, requestHigh: row.requestHigh, in: database)
            }
            try blocks.flush(to: database)
            try Aggregates.addExpired(database, to: &summary)
            try self.reached(.blocksWidened)
            try SQLStatement.run(database, "UPDATE stream SET folded = applied")
            try Aggregates.add(summary, to: database) { step in try self.reached(step) }
        }
    }

    /// One consistent state is checked, so a pod may go on writing meanwhile.
    package func verify() async throws(LedgerError) -> [String] {
        try await self.read { database in
            var audit = SQLiteAudit(database: database)
            try audit.run()
            return audit.differences
        }
    }
}

/// Recounts the file. Memory grows with the number of sums, not with that of rows.
struct SQLiteAudit {
    private let database: Database
    private(set) var differences: [String] = []

    /// Sentences at most; one more says that there are others.
    private static let differencesMax = 200

    init(database: Database) { self.database = database }

    mutating func run() throws {
        try self.checkFile()
        let folded = try self.checkStreams()
        var summary = try self.checkBlocks(folded: folded)
        try Aggregates.addExpired(self.database, to: &summary)
        try self.compare(summary.totals, table: "usage_total", keys: "0, payer_id, route_id")
        try self.compare(summary.daily, table: "usage_daily", keys: "day, payer_id, route_id")
        try self.checkDuplicates()
        try self.checkReferences()
    }

    private mutating func report(_ sentence: String) {
        if self.differences.count < Self.differencesMax {
            self.differences.append(sentence)
        } else if self.differences.count == Self.differencesMax {
            self.differences.append("There are more differences than the \(Self.differencesMax) listed.")
        }
    }

    /// SQLite's own check of its pages.
    private mutating func checkFile() throws {
        let lines = try SQLStatement.all(self.database, "PRAGMA quick_check(10)", []) { $0.text(0) }
        for line in lines where line != "ok" { self.report("The file is damaged: \(line).") }
    }

    /// Rows must be exactly expired + 1...applied of each stream.
    /// - Returns: up to where each stream is folded.
    private mutating func checkStreams() throws -> [Int64: Int64] {
        let streams = try SQLStatement.all(
            self.database, "SELECT id, applied, folded, expired FROM stream ORDER BY id", []
        ) {
            (id: $0.integer(0), applied: $0.integer(1), folded: $0.integer(2), expired: $0.integer(3))
        }
        for stream in streams {
            let rows = try SQLStatement.first(
                self.database, "SELECT count(*), max(id) FROM usage WHERE id BETWEEN ?1 AND ?2",
                .integer(Place(streamID: stream.id, sequence: 0).id),
                .integer(Place(streamID: stream.id, sequence: Place.sequenceMax).id)
            ) { (count: $0.integer(0), last: $0.optionalInteger(1).map { Place(id: $0).sequence } ?? stream.expired) }
            guard let rows, rows.count + stream.expired != stream.applied || rows.last != stream.applied else {
                continue
            }
            let gone = stream.expired == 0 ? "" : " and \(stream.expired) that retention deleted"
            self.report(
                "Stream \(stream.id) stands at \(stream.applied), but has \(rows.count) rows\(gone), the last of them "
                    + "\(rows.last).")
        }
        let strays = try SQLStatement.first(
            self.database, "SELECT count(*) FROM usage WHERE id >> 40 NOT IN (SELECT id FROM stream)"
        ) { $0.integer(0) }
        if let strays, strays > 0 { self.report("\(strays) rows belong to streams that are missing, instead of 0.") }
        return Dictionary(uniqueKeysWithValues: streams.map { ($0.id, $0.folded) })
    }

    /// One pass over the rows: each must lie in its block's ranges. Sums up those that are folded on the way.
    private mutating func checkBlocks(folded: [Int64: Int64]) throws -> UsageSummary {
        var summary = UsageSummary()
        var block: (number: Int64, started: ClosedRange<Int64>, request: ClosedRange<Int64>)?
        var outside: [Int64] = []
        try Aggregates.forEachRow(self.database, from: Place(id: 0), through: Place(id: .max)) { row in
            if row.place.sequence <= folded[row.place.streamID, default: 0] { summary.add(row) }
            if block?.number != row.place.block { block = try Self.block(self.database, row.place.block) }
            let isInside =
                block.map { $0.started.contains(row.startedAt) && $0.request.contains(row.requestHigh) } ?? false
            if !isInside && outside.last != row.place.block && outside.count < Self.differencesMax {
                outside.append(row.place.block)
            }
        }
        for number in outside {
            self.report("Block \(number) of the time index does not cover its rows: rebuild the counters.")
        }
        return summary
    }

    private static func block(
        _ database: Database, _ number: Int64
    ) throws -> (number: Int64, started: ClosedRange<Int64>, request: ClosedRange<Int64>)? {
        try SQLStatement.first(
            database,
            "SELECT started_min, started_max, request_min, request_max FROM usage_block WHERE block = ?1",
            .integer(number)
        ) { row in
            (number, row.integer(0)...row.integer(1), row.integer(2)...row.integer(3))
        }
    }

    /// Stored sums against those of the rows, both ways.
    private mutating func compare(
        _ wanted: [(group: UsageGroup, sums: UsageSums)], table: String, keys: String
    ) throws {
        var wanted = Dictionary(uniqueKeysWithValues: wanted.map { ($0.group, $0.sums) })
        let stored = try SQLStatement.all(
            self.database,
            "SELECT \(keys), \(UsageSums.columns.joined(separator: ", ")) FROM \(table) ORDER BY 1, 2, 3", []
        ) { row in
            (
                group: UsageGroup(day: row.integer(0), payer: row.integer(1), route: row.integer(2)),
                sums: UsageSums(row, first: 3)
            )
        }
        for entry in stored {
            let rows = wanted.removeValue(forKey: entry.group) ?? UsageSums()
            self.describe(entry.group, table: table, stored: entry.sums, rows: rows)
        }
        for (group, rows) in wanted.sorted(by: { $0.key < $1.key }) {
            self.describe(group, table: table, stored: UsageSums(), rows: rows)
        }
    }

    private mutating func describe(_ group: UsageGroup, table: String, stored: UsageSums, rows: UsageSums) {
        for (index, column) in UsageSums.columns.enumerated() where stored.values[index] != rows.values[index] {
            let day =
                table == "usage_daily"
                ? " of \(UnixMicroseconds(rawValue: group.day * 86_400_000_000).iso8601.prefix(10))" : ""
            self.report(
                "\(table)\(day), payer \(group.payer), route \(group.route): \(column) is \(stored.values[index]), "
                    + "the rows add up to \(rows.values[index]).")
        }
    }

    private mutating func checkDuplicates() throws {
        let duplicates = try SQLStatement.all(
            self.database,
            """
            SELECT request_high, request_low, bits >> 48 & 255, count(*), min(id), max(id) FROM usage
            GROUP BY 1, 2, 3 HAVING count(*) > 1 LIMIT ?1
            """, [.integer(Int64(Self.differencesMax))]
        ) { row in
            let bits = UUIDBits(high: UInt64(bitPattern: row.integer(0)), low: UInt64(bitPattern: row.integer(1)))
            return "Request \(bits.text), attempt \(row.integer(2)), has \(row.integer(3)) rows instead of 1 (sequence "
                + "\(Place(id: row.integer(4)).sequence) and \(Place(id: row.integer(5)).sequence))."
        }
        for sentence in duplicates { self.report(sentence) }
    }

    /// What foreign keys would have refused.
    private mutating func checkReferences() throws {
        let checks = [
            ("rows name a payer that is missing", "usage WHERE payer_id NOT IN (SELECT id FROM payer)"),
            ("rows name a route that is missing", "usage WHERE route_id NOT IN (SELECT id FROM route)"),
            ("rows of usage_detail have no row of usage", "usage_detail WHERE id NOT IN (SELECT id FROM usage)"),
        ]
        for (what, table) in checks {
            let count = try SQLStatement.first(self.database, "SELECT count(*) FROM \(table)") { $0.integer(0) }
            if let count, count > 0 { self.report("\(count) \(what), instead of 0.") }
        }
    }
}
