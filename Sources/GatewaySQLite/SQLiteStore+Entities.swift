import GRDB
import GatewayCore
import GatewayLedger

extension SQLiteStore: EntityStore {
    private static let columns =
        "kind, id, alias, email, role, parent, member, fields, created_by, created_at, updated_at, revision"

    package func write(_ writes: [EntityWrite]) async throws(LedgerError) {
        try await self.write { database in
            for write in writes {
                let isDone =
                    switch write {
                    case .insert(let record): try Self.insert(database, record)
                    case .replace(let record): try Self.replace(database, record)
                    case .delete(let id): try Self.delete(database, id)
                    }
                if isDone { try Self.logChange(database, .entity, reference: write.id.reference) }
            }
        }
    }

    private static func insert(_ database: Database, _ record: EntityRecord) throws -> Bool {
        guard try Self.find(database, record.id) == nil else {
            throw LedgerError.conflict("Another \(record.id.kind.name) has the same identifier: choose another.")
        }
        try SQLStatement.run(
            database,
            "INSERT INTO entity (\(Self.columns)) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, 1)",
            .integer(Int64(record.id.kind.rawValue)), .text(record.id.text), .optional(record.alias),
            .optional(record.email), .optional(record.role), .optional(record.parent), .optional(record.member),
            .text(record.fields), .text(record.createdBy), .integer(record.createdAt.rawValue),
            .integer(record.updatedAt.rawValue))
        return true
    }

    private static func replace(_ database: Database, _ record: EntityRecord) throws -> Bool {
        try SQLStatement.run(
            database,
            """
            UPDATE entity SET alias = ?3, email = ?4, role = ?5, parent = ?6, member = ?7, fields = ?8,
                updated_at = ?9, revision = revision + 1
            WHERE kind = ?1 AND id = ?2 AND revision = ?10
            """,
            .integer(Int64(record.id.kind.rawValue)), .text(record.id.text), .optional(record.alias),
            .optional(record.email), .optional(record.role), .optional(record.parent), .optional(record.member),
            .text(record.fields), .integer(record.updatedAt.rawValue), .integer(record.revision))
        guard database.changesCount == 1 else {
            throw LedgerError.conflict("The \(record.id.kind.name) was changed meanwhile: read it again and repeat.")
        }
        return true
    }

    private static func delete(_ database: Database, _ id: EntityID) throws -> Bool {
        try SQLStatement.run(
            database, "DELETE FROM entity WHERE kind = ?1 AND id = ?2", .integer(Int64(id.kind.rawValue)),
            .text(id.text))
        return database.changesCount == 1
    }

    package func entity(_ id: EntityID) async throws(LedgerError) -> EntityRecord? {
        try await self.read { try Self.find($0, id) }
    }

    package func entities(_ query: EntityQuery) async throws(LedgerError) -> (records: [EntityRecord], total: Int) {
        var conditions = ["kind = ?"]
        var values: [SQLValue] = [.integer(Int64(query.kind.rawValue))]
        let filters = [
            ("parent", query.parent), ("member", query.member), ("alias", query.alias), ("email", query.email),
            ("role", query.role),
        ]
        for case (let column, let value?) in filters {
            conditions.append("\(column) = ?")
            values.append(.text(value))
        }
        if let ids = query.ids {
            conditions.append("id IN (\(ids.map { _ in "?" }.joined(separator: ", ")))")
            values += ids.map { .text($0) }
        }
        if let search = query.search {
            conditions.append("(instr(id, ?) OR instr(ifnull(alias, ''), ?) OR instr(ifnull(email, ''), ?))")
            values += [.text(search), .text(search), .text(search)]
        }
        let filter = (text: conditions.joined(separator: " AND "), values: values)
        return try await self.read { database in
            let count = try SQLStatement.all(
                database, "SELECT count(*) FROM entity WHERE \(filter.text)", filter.values
            ) { $0.integer(0) }
            let records = try SQLStatement.all(
                database,
                """
                SELECT \(Self.columns) FROM entity WHERE \(filter.text)
                ORDER BY created_at DESC, id DESC LIMIT ? OFFSET ?
                """,
                filter.values + [.integer(Int64(max(0, query.limit))), .integer(Int64(max(0, query.offset)))],
                read: Self.record)
            return (records, Int(count.first ?? 0))
        }
    }

    package func entities(after last: EntityID?, limit: Int) async throws(LedgerError) -> [EntityRecord] {
        try await self.read { database in
            try SQLStatement.all(
                database,
                "SELECT \(Self.columns) FROM entity WHERE (kind, id) > (?1, ?2) ORDER BY kind, id LIMIT ?3",
                [
                    .integer(Int64(last?.kind.rawValue ?? 0)), .text(last?.text ?? ""), .integer(Int64(max(0, limit))),
                ], read: Self.record)
        }
    }

    private static func find(_ database: Database, _ id: EntityID) throws -> EntityRecord? {
        try SQLStatement.first(
            database, "SELECT \(Self.columns) FROM entity WHERE kind = ?1 AND id = ?2",
            .integer(Int64(id.kind.rawValue)), .text(id.text), read: Self.record)
    }

    private static func record(_ row: SQLStatement) throws -> EntityRecord {
        guard let kind = EntityKind(rawValue: UInt8(clamping: row.integer(0))) else {
            throw LedgerError.corrupt("An entity of kind \(row.integer(0)) was written by a newer version.")
        }
        return EntityRecord(
            id: EntityID(kind, row.text(1)), alias: row.optionalText(2), email: row.optionalText(3),
            role: row.optionalText(4), parent: row.optionalText(5), member: row.optionalText(6), fields: row.text(7),
            createdBy: row.text(8), createdAt: UnixMicroseconds(rawValue: row.integer(9)),
            updatedAt: UnixMicroseconds(rawValue: row.integer(10)), revision: row.integer(11))
    }
}
