import GatewayCore
import GatewayLedger

extension PostgresStore: ResponseStore {
    private static let responseColumns =
        "id, owner, previous_id, content, deployment_id, account, created_at, expires_at"
    private static let idHash = "sha256(convert_to($1, 'UTF8'))"

    /// Where a response is kept decides which of its columns are empty, so that arrays without NULLs do for content.
    private static let insertResponses = PostgresStatement(
        "response_insert", hasColumns: false,
        """
        INSERT INTO {s}.stored_response (id_hash, \(PostgresStore.responseColumns))
        SELECT sha256(convert_to(x.id, 'UTF8')), x.id, x.owner, x.previous_id,
            CASE WHEN x.deployment_id IS NULL THEN x.content END, x.deployment_id, x.account, x.created_at,
            x.expires_at
        FROM unnest(
            $1::text[], $2::text[], $3::text[], $4::bytea[], $5::text[], $6::text[], $7::bigint[], $8::bigint[]
        ) AS x(\(PostgresStore.responseColumns))
        ORDER BY 1
        ON CONFLICT (id_hash) DO NOTHING
        """)
    /// Finds the turns first, by their sizes alone: contents that are not given are not read.
    private static let conversation = PostgresStatement(
        "response_conversation", isRead: true,
        """
        WITH RECURSIVE t AS (
            SELECT r.id_hash, r.owner, r.previous_id, 1 AS turn, coalesce(length(r.content), 0)::bigint AS bytes
            FROM {s}.stored_response r
            WHERE r.id_hash = \(PostgresStore.idHash) AND ($2::text IS NULL OR r.owner = $2) AND r.expires_at > $3
            UNION ALL
            SELECT r.id_hash, r.owner, r.previous_id, t.turn + 1, t.bytes + coalesce(length(r.content), 0)
            FROM t JOIN {s}.stored_response r ON r.id_hash = sha256(convert_to(t.previous_id, 'UTF8'))
                AND r.owner = t.owner AND r.expires_at > $3
            WHERE t.turn <= $4 AND (t.turn = 1 OR t.bytes <= $5)
        )
        SELECT r.id, r.owner, r.previous_id, CASE WHEN g.is_given THEN r.content END, r.deployment_id, r.account,
            r.created_at, r.expires_at, g.is_given
        FROM (SELECT id_hash, turn, turn = 1 OR turn <= $4 AND bytes <= $5 AS is_given FROM t) g
        JOIN {s}.stored_response r USING (id_hash)
        ORDER BY g.turn
        """)
    private static let removeResponse = PostgresStatement(
        "response_delete",
        """
        WITH d AS (
            DELETE FROM {s}.stored_response WHERE id_hash = \(PostgresStore.idHash)
                AND ($2::text IS NULL OR owner = $2) RETURNING 1
        )
        SELECT count(*) FROM d
        """)
    private static let endedRowsMax: Int64 = 1000
    private static let removeEnded = PostgresStatement(
        nil,
        """
        WITH d AS (
            DELETE FROM {s}.stored_response WHERE id_hash IN (
                SELECT id_hash FROM {s}.stored_response WHERE expires_at <= $1 ORDER BY id_hash LIMIT $2
                FOR UPDATE SKIP LOCKED
            ) RETURNING 1
        )
        SELECT count(*) FROM d
        """)

    package func insert(_ responses: [StoredResponse]) async throws(LedgerError) {
        if responses.isEmpty { return }
        var parameters = PostgresParameters()
        parameters.textArray(responses) { $0.id }
        parameters.textArray(responses) { $0.owner }
        parameters.textArray(responses) { $0.previousID }
        parameters.bytesArray(responses) { if case .content(let bytes) = $0.place { bytes } else { [] } }
        parameters.textArray(responses) { if case .deployment(let id, _) = $0.place { id } else { nil } }
        parameters.textArray(responses) { if case .deployment(_, let account) = $0.place { account } else { nil } }
        parameters.int8Array(responses) { $0.createdAt.rawValue }
        parameters.int8Array(responses) { $0.expiresAt.rawValue }
        do {
            _ = try await self.repeated(Self.insertResponses, parameters, on: self.reader)
        } catch {
            throw error.ledgerError
        }
    }

    package func conversation(
        _ id: String, owner: String?, now: UnixMicroseconds, turnsMax: Int, bytesMax: Int
    ) async throws(LedgerError) -> StoredConversation {
        var parameters = PostgresParameters()
        parameters.text(id)
        parameters.text(owner)
        parameters.int8(now.rawValue)
        parameters.int8(Int64(turnsMax))
        parameters.int8(Int64(bytesMax))
        let rows = try await self.run(Self.conversation, parameters, on: self.reader)
        var conversation = StoredConversation(turns: [], isCut: false)
        for row in 0..<rows.count {
            guard rows.bool(row, 8) else {
                conversation.isCut = true
                break
            }
            let place: StoredResponse.Place =
                if let deploymentID = rows.optionalText(row, 4) {
                    .deployment(id: deploymentID, account: rows.text(row, 5))
                } else {
                    .content(rows.bytes(row, 3))
                }
            conversation.turns.append(
                StoredResponse(
                    id: rows.text(row, 0), owner: rows.text(row, 1), previousID: rows.optionalText(row, 2),
                    place: place, createdAt: UnixMicroseconds(rawValue: rows.integer(row, 6)),
                    expiresAt: UnixMicroseconds(rawValue: rows.integer(row, 7))))
        }
        return conversation
    }

    package func deleteResponse(_ id: String, owner: String?) async throws(LedgerError) -> Bool {
        var parameters = PostgresParameters()
        parameters.text(id)
        parameters.text(owner)
        do {
            return try await self.repeated(Self.removeResponse, parameters, on: self.reader).integer(0, 0) > 0
        } catch {
            throw error.ledgerError
        }
    }

    package func deleteResponses(endedBy now: UnixMicroseconds) async throws(LedgerError) -> Int64 {
        var deleted: Int64 = 0
        while !Task.isCancelled {
            var parameters = PostgresParameters()
            parameters.int8(now.rawValue)
            parameters.int8(Self.endedRowsMax)
            do {
                let count = try await self.repeated(Self.removeEnded, parameters, on: self.reader).integer(0, 0)
                deleted += count
                if count < Self.endedRowsMax { break }
            } catch {
                throw error.ledgerError
            }
        }
        return deleted
    }
}
