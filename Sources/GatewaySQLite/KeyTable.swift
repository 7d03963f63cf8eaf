import GRDB
import GatewayCore
import GatewayLedger

/// Rows of `virtual_key` and of the models that belong to each.
enum KeyTable {
    private static let columns = [
        "key_id", "digest", "key_name", "alias", "max_budget", "budget_duration", "expires_at", "is_blocked", "user_id",
        "team_id", "metadata", "other_fields", "created_by", "created_at", "updated_at",
    ]

    private static func values(_ key: KeyRecord) -> [SQLValue] {
        [
            .blob(key.keyID.bits.bytes), .blob(key.digest.bytes), .text(key.keyName), .optional(key.alias),
            .optional(key.maxBudget?.rawValue), .optional(key.budgetDuration), .optional(key.expiresAt?.rawValue),
            .integer(key.isBlocked ? 1 : 0), .optional(key.userID), .optional(key.teamID), .text(key.metadata),
            .text(key.otherFields), .text(key.createdBy), .integer(key.createdAt.rawValue),
            .integer(key.updatedAt.rawValue),
        ]
    }

    /// - Throws: `.conflict`, saying which of the unique fields another key has. Values are not repeated: an alias can
    ///   be anything.
    static func refuseTaken(_ database: Database, _ key: KeyRecord, ownRow: Int64?) throws {
        let checks: [(String, SQLValue)] = [
            ("key_id", .blob(key.keyID.bits.bytes)), ("digest", .blob(key.digest.bytes)),
            ("alias", .optional(key.alias)),
        ]
        for (column, value) in checks {
            let other = try SQLStatement.first(
                database, "SELECT id FROM virtual_key WHERE \(column) = ?1 AND id IS NOT ?2", value, .optional(ownRow)
            ) { _ in true }
            if other != nil { throw LedgerError.conflict("Another key has the same \(column): choose another.") }
        }
    }

    /// - Returns: the new row's number.
    static func insert(_ database: Database, _ key: KeyRecord) throws -> Int64 {
        let places = Self.columns.map { _ in "?" }.joined(separator: ", ")
        let statement = try SQLStatement(
            database, "INSERT INTO virtual_key (\(Self.columns.joined(separator: ", "))) VALUES (\(places))")
        try statement.bindAll(Self.values(key))
        try statement.finish()
        return database.lastInsertedRowID
    }

    static func update(_ database: Database, _ key: KeyRecord, row: Int64) throws {
        let assignments = Self.columns.map { "\($0) = ?" }.joined(separator: ", ")
        let statement = try SQLStatement(database, "UPDATE virtual_key SET \(assignments) WHERE id = ?")
        try statement.bindAll(Self.values(key) + [.integer(row)])
        try statement.finish()
    }

    static func insertModels(_ database: Database, _ models: [String], row: Int64) throws {
        for (position, model) in models.enumerated() {
            try SQLStatement.run(
                database, "INSERT INTO virtual_key_model (virtual_key_id, position, model) VALUES (?1, ?2, ?3)",
                .integer(row), .integer(Int64(position)), .text(model))
        }
    }

    static func row(_ database: Database, _ id: VirtualKeyID) throws -> Int64? {
        try SQLStatement.first(database, "SELECT id FROM virtual_key WHERE key_id = ?1", .blob(id.bits.bytes)) {
            $0.integer(0)
        }
    }

    static func find(_ database: Database, _ condition: String, _ values: [SQLValue]) throws -> KeyRecord? {
        try Self.all(database, condition, values).first
    }

    /// - Parameter condition: our own text behind WHERE, with a place for each of `values`.
    static func all(_ database: Database, _ condition: String, _ values: [SQLValue]) throws -> [KeyRecord] {
        let sql = "SELECT id, \(Self.columns.joined(separator: ", ")) FROM virtual_key WHERE \(condition)"
        let rows = try SQLStatement.all(database, sql, values) { (id: $0.integer(0), key: try Self.record($0)) }
        return try rows.map { row in
            var key = row.key
            key.models = try SQLStatement.all(
                database, "SELECT model FROM virtual_key_model WHERE virtual_key_id = ?1 ORDER BY position",
                [.integer(row.id)]
            ) { $0.text(0) }
            return key
        }
    }

    /// Everything but the models.
    private static func record(_ row: SQLStatement) throws -> KeyRecord {
        guard let keyID = UUIDBits(bytes: row.bytes(1)), let digest = KeyDigest(bytes: row.bytes(2)) else {
            throw LedgerError.corrupt("Key row \(row.integer(0)) has an identifier or digest of the wrong length.")
        }
        return KeyRecord(
            keyID: VirtualKeyID(keyID), digest: digest, keyName: row.text(3), alias: row.optionalText(4), models: [],
            maxBudget: row.optionalInteger(5).map { NanoUSD(rawValue: $0) }, budgetDuration: row.optionalText(6),
            expiresAt: row.optionalInteger(7).map { UnixMicroseconds(rawValue: $0) }, isBlocked: row.integer(8) != 0,
            userID: row.optionalText(9), teamID: row.optionalText(10), metadata: row.text(11),
            otherFields: row.text(12), createdBy: row.text(13),
            createdAt: UnixMicroseconds(rawValue: row.integer(14)),
            updatedAt: UnixMicroseconds(rawValue: row.integer(15)))
    }
}
