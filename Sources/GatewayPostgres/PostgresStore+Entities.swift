import GatewayCore
import GatewayLedger

extension PostgresStore: EntityStore {
    private static let entityColumns =
        "kind, id, alias, email, role, parent, member, fields, created_by, created_at, updated_at, revision"
    /// Kinds of newer versions are none of this program's business.
    private static let isKnownKind = "kind <= \(EntityKind.allCases.map(\.rawValue).max() ?? 0)"

    /// All writes in one statement. Rows are locked in the order of their keys, so that two statements wait for each
    /// other one way only; a replaced row must still stand at its revision when the lock is there, else the division
    /// fails and nothing is carried out.
    private static let writeEntities = PostgresStatement(
        "entity_write",
        """
        WITH a AS MATERIALIZED (
            SELECT x.*, sha256(convert_to(x.id, 'UTF8')) AS hash FROM unnest(
                $1::int[], $2::int[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
                $9::text[], $10::text[], $11::text[], $12::bigint[], $13::bigint[], $14::bigint[]
            ) WITH ORDINALITY AS x(
                op, kind, id, reference, alias, email, role, parent, member, fields, created_by, created_at,
                updated_at, revision, place)
        ), l AS MATERIALIZED (
            SELECT e.kind, e.id_hash FROM {s}.entity e JOIN a ON e.kind = a.kind AND e.id_hash = a.hash
            WHERE a.op > 0 ORDER BY e.kind, e.id_hash FOR UPDATE OF e
        ), u AS (
            UPDATE {s}.entity e SET alias = a.alias, email = a.email, role = a.role, parent = a.parent,
                member = a.member, fields = a.fields, updated_at = a.updated_at, revision = e.revision + 1
            FROM a JOIN l ON l.kind = a.kind AND l.id_hash = a.hash
            WHERE a.op = 1 AND e.kind = a.kind AND e.id_hash = a.hash AND e.revision = a.revision
            RETURNING e.kind, e.id_hash
        ), d AS (
            DELETE FROM {s}.entity e USING a JOIN l ON l.kind = a.kind AND l.id_hash = a.hash
            WHERE a.op = 2 AND e.kind = a.kind AND e.id_hash = a.hash
            RETURNING e.kind, e.id_hash
        ), s AS (
            INSERT INTO {s}.entity (id_hash, \(PostgresStore.entityColumns))
            SELECT hash, kind, id, alias, email, role, parent, member, fields, created_by, created_at, updated_at, 1
            FROM a WHERE op = 0 ORDER BY kind, hash
            RETURNING kind, id_hash
        ), k AS (
            SELECT a.reference, a.place AS asked
            FROM (SELECT * FROM u UNION ALL SELECT * FROM d UNION ALL SELECT * FROM s) c
            JOIN a ON a.kind = c.kind AND a.hash = c.id_hash
        ), \(ChangeLogSQL.entries("entity", order: "asked"))
        SELECT CASE WHEN q.found = q.due THEN q.found ELSE 1 / (q.found - q.found) END, \(ChangeLogSQL.answer)
        FROM (SELECT (SELECT count(*) FROM u) AS found, (SELECT count(*) FROM a WHERE op = 1) AS due) q
        """)

    package func write(_ writes: [EntityWrite]) async throws(LedgerError) {
        if writes.isEmpty { return }
        precondition(Set(writes.map(\.id)).count == writes.count, "each write must name another entity")
        do {
            let rows = try await self.repeated(Self.writeEntities, Self.parameters(writes), on: self.reader)
            if let head = rows.optionalInteger(0, 1) { self.saw(changeHead: head) }
        } catch {
            switch error.kind {
            case .uniqueViolation: throw .conflict("Another one has the same identifier: choose another.")
            case .selfCheck: throw .conflict("It was changed meanwhile: read it again and repeat.")
            default: throw error.ledgerError
            }
        }
    }

    private static func parameters(_ writes: [EntityWrite]) -> PostgresParameters {
        var parameters = PostgresParameters()
        let operations: [Int32] = writes.map { write in
            switch write {
            case .insert: 0
            case .replace: 1
            case .delete: 2
            }
        }
        let records: [EntityRecord?] = writes.map { write in
            switch write {
            case .insert(let record), .replace(let record): record
            case .delete: nil
            }
        }
        parameters.int4Array(operations) { $0 }
        parameters.int4Array(writes) { Int32($0.id.kind.rawValue) }
        parameters.textArray(writes) { $0.id.text }
        parameters.textArray(writes) { $0.id.reference }
        parameters.textArray(records) { $0?.alias }
        parameters.textArray(records) { $0?.email }
        parameters.textArray(records) { $0?.role }
        parameters.textArray(records) { $0?.parent }
        parameters.textArray(records) { $0?.member }
        parameters.textArray(records) { $0?.fields }
        parameters.textArray(records) { $0?.createdBy }
        parameters.int8Array(records) { $0?.createdAt.rawValue ?? 0 }
        parameters.int8Array(records) { $0?.updatedAt.rawValue ?? 0 }
        parameters.int8Array(records) { $0?.revision ?? 0 }
        return parameters
    }

    // MARK: reading

    private static let entityByID = PostgresStatement(
        "entity", isRead: true,
        """
        SELECT \(PostgresStore.entityColumns) FROM {s}.entity
        WHERE kind = $1 AND id_hash = sha256(convert_to($2, 'UTF8'))
        """)
    private static let entitiesAfter = PostgresStatement(
        "entities_after", isRead: true,
        """
        SELECT \(PostgresStore.entityColumns) FROM {s}.entity
        WHERE (kind, id_hash) > ($1::int, CASE WHEN $1 = 0 THEN ''::bytea ELSE sha256(convert_to($2, 'UTF8')) END)
            AND \(PostgresStore.isKnownKind)
        ORDER BY kind, id_hash LIMIT $3
        """)

    package func entity(_ id: EntityID) async throws(LedgerError) -> EntityRecord? {
        var parameters = PostgresParameters()
        parameters.int4(Int32(id.kind.rawValue))
        parameters.text(id.text)
        return try Self.entities(await self.run(Self.entityByID, parameters, on: self.reader)).first
    }

    package func entities(after last: EntityID?, limit: Int) async throws(LedgerError) -> [EntityRecord] {
        var parameters = PostgresParameters()
        parameters.int4(Int32(last?.kind.rawValue ?? 0))
        parameters.text(last?.text ?? "")
        parameters.int8(Int64(max(0, limit)))
        return try Self.entities(await self.run(Self.entitiesAfter, parameters, on: self.reader))
    }

    package func entities(_ query: EntityQuery) async throws(LedgerError) -> (records: [EntityRecord], total: Int) {
        var parameters = PostgresParameters()
        parameters.int4(Int32(query.kind.rawValue))
        var conditions = ["kind = $1"]
        func add(_ condition: (String) -> String) { conditions.append(condition("$\(parameters.types.count)")) }
        let filters = [
            ("parent", query.parent), ("member", query.member), ("alias", query.alias), ("email", query.email),
            ("role", query.role),
        ]
        for case (let column, let value?) in filters {
            parameters.text(value)
            add { "\(column) = \($0)" }
        }
        if let ids = query.ids {
            parameters.textArray(ids) { $0 }
            add { "id_hash IN (SELECT sha256(convert_to(x, 'UTF8')) FROM unnest(\($0)::text[]) x)" }
        }
        if let search = query.search {
            parameters.text(search)
            add { "(strpos(id, \($0)) > 0 OR strpos(alias, \($0)) > 0 OR strpos(email, \($0)) > 0)" }
        }
        let condition = conditions.joined(separator: " AND ")
        let count = PostgresStatement(nil, isRead: true, "SELECT count(*) FROM {s}.entity WHERE \(condition)")
        let total = try await self.run(count, parameters, on: self.reader).integer(0, 0)
        parameters.int8(Int64(max(0, query.limit)))
        let limit = parameters.types.count
        parameters.int8(Int64(max(0, query.offset)))
        let page = PostgresStatement(
            nil, isRead: true,
            "SELECT \(Self.entityColumns) FROM {s}.entity WHERE \(condition) "
                + "ORDER BY created_at DESC, id DESC LIMIT $\(limit) OFFSET $\(limit + 1)")
        return (try Self.entities(await self.run(page, parameters, on: self.reader)), Int(total))
    }

    private static func entities(_ rows: PostgresRows) throws(LedgerError) -> [EntityRecord] {
        var records: [EntityRecord] = []
        for row in 0..<rows.count {
            guard let kind = EntityKind(rawValue: UInt8(clamping: rows.integer(row, 0))) else {
                throw .corrupt("An entity of kind \(rows.integer(row, 0)) was written by a newer version.")
            }
            records.append(
                EntityRecord(
                    id: EntityID(kind, rows.text(row, 1)), alias: rows.optionalText(row, 2),
                    email: rows.optionalText(row, 3), role: rows.optionalText(row, 4),
                    parent: rows.optionalText(row, 5), member: rows.optionalText(row, 6), fields: rows.text(row, 7),
                    createdBy: rows.text(row, 8), createdAt: UnixMicroseconds(rawValue: rows.integer(row, 9)),
                    updatedAt: UnixMicroseconds(rawValue: rows.integer(row, 10)), revision: rows.integer(row, 11)))
        }
        return records
    }
}
