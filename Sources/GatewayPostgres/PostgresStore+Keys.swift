import GatewayCore
import GatewayLedger

extension PostgresStore: KeyStore {
    private static let columns = [
        "key_id", "digest", "alias", "key_name", "models", "max_budget", "budget_duration", "expires_at", "is_blocked",
        "user_id", "team_id", "metadata", "other_fields", "created_by", "created_at", "updated_at",
    ]

    private static func parameters(_ key: KeyRecord) -> PostgresParameters {
        var parameters = PostgresParameters()
        parameters.uuid(key.keyID.bits)
        parameters.bytes(key.digest.bytes)
        parameters.text(key.alias)
        parameters.text(key.keyName)
        parameters.textArray(key.models) { $0 }
        parameters.int8(key.maxBudget?.rawValue)
        parameters.text(key.budgetDuration)
        parameters.int8(key.expiresAt?.rawValue)
        parameters.bool(key.isBlocked)
        parameters.text(key.userID)
        parameters.text(key.teamID)
        parameters.text(key.metadata)
        parameters.text(key.otherFields)
        parameters.text(key.createdBy)
        parameters.int8(key.createdAt.rawValue)
        parameters.int8(key.updatedAt.rawValue)
        return parameters
    }

    private static func record(_ rows: PostgresRows, _ row: Int) throws(LedgerError) -> KeyRecord {
        let keyID = VirtualKeyID(rows.uuid(row, 0))
        guard let digest = KeyDigest(bytes: rows.bytes(row, 1)) else {
            throw .corrupt("The key \(keyID.text) has a digest that is not 32 bytes long.")
        }
        return KeyRecord(
            keyID: keyID, digest: digest, keyName: rows.text(row, 3), alias: rows.optionalText(row, 2),
            models: rows.texts(row, 4), maxBudget: rows.optionalInteger(row, 5).map { NanoUSD(rawValue: $0) },
            budgetDuration: rows.optionalText(row, 6),
            expiresAt: rows.optionalInteger(row, 7).map { UnixMicroseconds(rawValue: $0) },
            isBlocked: rows.bool(row, 8), userID: rows.optionalText(row, 9), teamID: rows.optionalText(row, 10),
            metadata: rows.text(row, 11), otherFields: rows.text(row, 12), createdBy: rows.text(row, 13),
            createdAt: UnixMicroseconds(rawValue: rows.integer(row, 14)),
            updatedAt: UnixMicroseconds(rawValue: rows.integer(row, 15)))
    }

    private static func records(_ rows: PostgresRows) throws(LedgerError) -> [KeyRecord] {
        var records: [KeyRecord] = []
        for row in 0..<rows.count { records.append(try Self.record(rows, row)) }
        return records
    }

    /// Which field another key has. Its value is not repeated: an alias can be anything.
    private static func conflict(_ error: PostgresError) -> LedgerError {
        guard error.kind == .uniqueViolation, let constraint = error.constraint else { return error.ledgerError }
        let field = constraint.hasPrefix("virtual_key_") ? String(constraint.dropFirst(12)) : constraint
        return .conflict("Another key has the same \(field): choose another.")
    }

    // MARK: mutations

    private static let insertKey = PostgresStatement(
        "key_insert",
        """
        WITH k AS (
            INSERT INTO {s}.virtual_key (\(PostgresStore.columns.joined(separator: ", ")), alias_hash)
            VALUES (\((1...16).map { "$\($0)" }.joined(separator: ", ")), sha256(convert_to($3, 'UTF8')))
            RETURNING key_id::text AS reference
        ), \(ChangeLogSQL.entries("key"))
        SELECT (SELECT count(*) FROM k), \(ChangeLogSQL.answer)
        """)
    private static let updateKey = PostgresStatement(
        "key_update",
        """
        WITH k AS (
            UPDATE {s}.virtual_key SET
                \(PostgresStore.columns.indices.map { "\(PostgresStore.columns[$0]) = $\($0 + 1)" }.joined(separator: ", ")),
                alias_hash = sha256(convert_to($3, 'UTF8'))
            WHERE key_id = $1 RETURNING key_id::text AS reference
        ), \(ChangeLogSQL.entries("key"))
        SELECT (SELECT count(*) FROM k), \(ChangeLogSQL.answer)
        """)
    /// Rows are locked in the order of their identifiers, so that two deletions wait for each other one way only.
    private static let deleteKeys = PostgresStatement(
        "key_delete",
        """
        WITH l AS MATERIALIZED (
            SELECT id FROM {s}.virtual_key WHERE digest = ANY ($1) ORDER BY key_id FOR UPDATE
        ), k AS (
            DELETE FROM {s}.virtual_key v USING l WHERE v.id = l.id
            RETURNING key_id::text AS reference, array_position($1, digest) AS asked,
                \(PostgresStore.columns.map { "v.\($0)" }.joined(separator: ", "))
        ), \(ChangeLogSQL.entries("key", order: "asked"))
        SELECT \(PostgresStore.columns.map { "k.\($0)" }.joined(separator: ", ")), \(ChangeLogSQL.answer)
        FROM k ORDER BY asked
        """)

    package func insert(_ key: KeyRecord) async throws(LedgerError) {
        do {
            let rows = try await self.repeated(Self.insertKey, Self.parameters(key), on: self.reader)
            self.sawHead(rows, column: 1)
        } catch {
            throw Self.conflict(error)
        }
    }

    package func update(_ key: KeyRecord) async throws(LedgerError) {
        let rows: PostgresRows
        do {
            rows = try await self.repeated(Self.updateKey, Self.parameters(key), on: self.reader)
        } catch {
            throw Self.conflict(error)
        }
        guard rows.integer(0, 0) == 1 else { throw .notFound("There is no key \(key.keyID.text).") }
        self.sawHead(rows, column: 1)
    }

    package func delete(_ digests: [KeyDigest]) async throws(LedgerError) -> [KeyRecord] {
        var parameters = PostgresParameters()
        parameters.bytesArray(digests) { $0.bytes }
        let rows: PostgresRows
        do {
            rows = try await self.repeated(Self.deleteKeys, parameters, on: self.reader)
        } catch {
            throw error.ledgerError
        }
        if !rows.isEmpty { self.sawHead(rows, column: 16) }
        return try Self.records(rows)
    }

    private func sawHead(_ rows: PostgresRows, column: Int) {
        if let head = rows.optionalInteger(0, column) { self.saw(changeHead: head) }
    }

    // MARK: reading

    private static func select(_ condition: String) -> String {
        "SELECT \(Self.columns.joined(separator: ", ")) FROM {s}.virtual_key WHERE \(condition)"
    }

    private static let keyByDigest = PostgresStatement(
        "key_by_digest", isRead: true, PostgresStore.select("digest = $1"))
    private static let keyByID = PostgresStatement("key_by_id", isRead: true, PostgresStore.select("key_id = $1"))

    package func key(digest: KeyDigest) async throws(LedgerError) -> KeyRecord? {
        var parameters = PostgresParameters()
        parameters.bytes(digest.bytes)
        return try Self.records(await self.run(Self.keyByDigest, parameters, on: self.reader)).first
    }

    package func key(id: VirtualKeyID) async throws(LedgerError) -> KeyRecord? {
        var parameters = PostgresParameters()
        parameters.uuid(id.bits)
        return try Self.records(await self.run(Self.keyByID, parameters, on: self.reader)).first
    }

    package func keys(_ query: KeyQuery) async throws(LedgerError) -> (records: [KeyRecord], total: Int) {
        var parameters = PostgresParameters()
        var conditions = ["true"]
        func add(_ condition: (String) -> String) { conditions.append(condition("$\(parameters.types.count)")) }
        if let userID = query.userID {
            parameters.text(userID)
            add { "user_id = \($0)" }
        }
        if let teamID = query.teamID {
            parameters.text(teamID)
            add { "team_id = \($0)" }
        }
        if let alias = query.alias {
            parameters.text(alias)
            add { "alias_hash = sha256(convert_to(\($0), 'UTF8'))" }
        }
        if let digest = query.digest {
            parameters.bytes(digest.bytes)
            add { "digest = \($0)" }
        }
        let condition = conditions.joined(separator: " AND ")
        let count = PostgresStatement(
            nil, isRead: true, "SELECT count(*) FROM {s}.virtual_key WHERE \(condition)")
        let total = try await self.run(count, parameters, on: self.reader).integer(0, 0)
        parameters.int8(Int64(max(0, query.limit)))
        let limit = parameters.types.count
        parameters.int8(Int64(max(0, query.offset)))
        let page = PostgresStatement(
            nil, isRead: true,
            Self.select("\(condition) ORDER BY created_at DESC, id DESC LIMIT $\(limit) OFFSET $\(limit + 1)"))
        return (try Self.records(await self.run(page, parameters, on: self.reader)), Int(total))
    }

    // MARK: settings and changes

    private static let settingValue = PostgresStatement(
        "setting", isRead: true, "SELECT value FROM {s}.setting WHERE name_hash = sha256(convert_to($1, 'UTF8'))")
    private static let insertSetting = PostgresStatement(
        "setting_insert",
        """
        WITH k AS (
            INSERT INTO {s}.setting (name_hash, name, value) VALUES (sha256(convert_to($1, 'UTF8')), $1, $2)
            ON CONFLICT DO NOTHING RETURNING name AS reference
        ), \(ChangeLogSQL.entries("setting"))
        SELECT (SELECT count(*) FROM k), \(ChangeLogSQL.answer)
        """)

    package func setting(_ name: String) async throws(LedgerError) -> String? {
        var parameters = PostgresParameters()
        parameters.text(name)
        let rows = try await self.run(Self.settingValue, parameters, on: self.reader)
        return rows.isEmpty ? nil : rows.text(0, 0)
    }

    package func setSettingIfAbsent(_ name: String, value: String) async throws(LedgerError) -> String {
        var parameters = PostgresParameters()
        parameters.text(name)
        parameters.text(value)
        let rows = try await self.run(Self.insertSetting, parameters, on: self.reader)
        self.sawHead(rows, column: 1)
        if rows.integer(0, 0) == 1 { return value }
        guard let standing = try await self.setting(name) else {
            throw .unavailable("The setting was taken away while it was being set: repeat.")
        }
        return standing
    }

    private static let changesAfter = PostgresStatement(
        "changes", isRead: true,
        "SELECT position, kind, reference FROM {s}.change WHERE position > $1 ORDER BY position LIMIT $2")

    /// Entries older than a week are gone: a first position above `position + 1` says so, and the reader reads
    /// everything anew.
    package func changes(after position: Int64, limit: Int) async throws(LedgerError) -> [Change] {
        var parameters = PostgresParameters()
        parameters.int8(position)
        parameters.int8(Int64(max(0, limit)))
        let rows = try await self.run(Self.changesAfter, parameters, on: self.reader)
        var changes: [Change] = []
        for row in 0..<rows.count {
            // A kind that a newer pod has written: nothing that this version caches, and a hole would mean that
            // entries are gone.
            let kind = Change.Kind(rawValue: rows.text(row, 1)) ?? .setting
            changes.append(Change(position: rows.integer(row, 0), kind: kind, reference: rows.text(row, 2)))
        }
        return changes
    }
}
