import GRDB
import GatewayCore
import GatewayLedger

extension SQLiteStore: KeyStore {
    package func insert(_ key: KeyRecord) async throws(LedgerError) {
        try await self.write { database in
            try KeyTable.refuseTaken(database, key, ownRow: nil)
            let row = try KeyTable.insert(database, key)
            try KeyTable.insertModels(database, key.models, row: row)
            try Self.logChange(database, .key, reference: key.keyID.text)
        }
    }

    package func update(_ key: KeyRecord) async throws(LedgerError) {
        try await self.write { database in
            guard let row = try KeyTable.row(database, key.keyID) else {
                throw LedgerError.notFound("There is no key \(key.keyID.text) to update.")
            }
            try KeyTable.refuseTaken(database, key, ownRow: row)
            try KeyTable.update(database, key, row: row)
            try SQLStatement.run(
                database, "DELETE FROM virtual_key_model WHERE virtual_key_id = ?1", .integer(row))
            try KeyTable.insertModels(database, key.models, row: row)
            try Self.logChange(database, .key, reference: key.keyID.text)
        }
    }

    package func delete(_ digests: [KeyDigest]) async throws(LedgerError) -> [KeyRecord] {
        try await self.write { database in
            var deleted: [KeyRecord] = []
            for digest in digests {
                guard let key = try KeyTable.find(database, "digest = ?", [.blob(digest.bytes)]) else { continue }
                try SQLStatement.run(database, "DELETE FROM virtual_key WHERE digest = ?1", .blob(digest.bytes))
                try Self.logChange(database, .key, reference: key.keyID.text)
                deleted.append(key)
            }
            return deleted
        }
    }

    package func key(digest: KeyDigest) async throws(LedgerError) -> KeyRecord? {
        try await self.read { try KeyTable.find($0, "digest = ?", [.blob(digest.bytes)]) }
    }

    package func key(id: VirtualKeyID) async throws(LedgerError) -> KeyRecord? {
        try await self.read { try KeyTable.find($0, "key_id = ?", [.blob(id.bits.bytes)]) }
    }

    package func keys(_ query: KeyQuery) async throws(LedgerError) -> (records: [KeyRecord], total: Int) {
        var conditions = ["1"]
        var values: [SQLValue] = []
        let filters: [(String, SQLValue?)] = [
            ("user_id = ?", query.userID.map { .text($0) }), ("team_id = ?", query.teamID.map { .text($0) }),
            ("alias = ?", query.alias.map { .text($0) }), ("digest = ?", query.digest.map { .blob($0.bytes) }),
        ]
        for case (let condition, let value?) in filters {
            conditions.append(condition)
            values.append(value)
        }
        let filter = (text: conditions.joined(separator: " AND "), values: values)
        return try await self.read { database in
            let count = try SQLStatement.all(
                database, "SELECT count(*) FROM virtual_key WHERE \(filter.text)", filter.values
            ) { $0.integer(0) }
            let records = try KeyTable.all(
                database, "\(filter.text) ORDER BY created_at DESC, id DESC LIMIT ? OFFSET ?",
                filter.values + [.integer(Int64(max(0, query.limit))), .integer(Int64(max(0, query.offset)))])
            return (records, Int(count.first ?? 0))
        }
    }

    package func setting(_ name: String) async throws(LedgerError) -> String? {
        try await self.read { try Self.setting($0, name) }
    }

    package func setSettingIfAbsent(_ name: String, value: String) async throws(LedgerError) -> String {
        try await self.write { database in
            if let standing = try Self.setting(database, name) { return standing }
            try SQLStatement.run(
                database, "INSERT INTO setting (name, value) VALUES (?1, ?2)", .text(name), .text(value))
            try Self.logChange(database, .setting, reference: name)
            return value
        }
    }

    /// Only the last `changesMax` entries are kept: a first position above `position + 1` says that older ones are
    /// gone, and the reader reads everything anew.
    package func changes(after position: Int64, limit: Int) async throws(LedgerError) -> [Change] {
        try await self.read { database in
            try SQLStatement.all(
                database, "SELECT position, kind, reference FROM change WHERE position > ?1 ORDER BY position LIMIT ?2",
                [.integer(position), .integer(Int64(max(0, limit)))]
            ) { row in
                guard let kind = Change.Kind(rawValue: row.text(1)) else {
                    throw LedgerError.corrupt("Change \(row.integer(0)) in \(self.path) is of an unknown kind.")
                }
                return Change(position: row.integer(0), kind: kind, reference: row.text(2))
            }
        }
    }

    private static func setting(_ database: Database, _ name: String) throws -> String? {
        try SQLStatement.first(database, "SELECT value FROM setting WHERE name = ?1", .text(name)) { $0.text(0) }
    }

    /// Takes the next position. Writers come one by one, so positions have no gaps; the newest entry always stays.
    static func logChange(_ database: Database, _ kind: Change.Kind, reference: String) throws {
        try SQLStatement.run(
            database,
            """
            INSERT INTO change (position, kind, reference)
            VALUES ((SELECT ifnull(max(position), 0) + 1 FROM change), ?1, ?2)
            """,
            .text(kind.rawValue), .text(reference))
        try SQLStatement.run(
            database, "DELETE FROM change WHERE position <= (SELECT max(position) FROM change) - ?1",
            .integer(Self.changesMax))
    }
}
