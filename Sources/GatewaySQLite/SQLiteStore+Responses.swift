import GRDB
import GatewayCore
import GatewayLedger

extension SQLiteStore: ResponseStore {
    private static let responseColumns =
        "id, owner, previous_id, content, deployment_id, account, created_at, expires_at"
    /// Rows that one transaction deletes, so that appends wait for milliseconds at most.
    private static let endedRowsMax: Int64 = 256

    package func insert(_ responses: [StoredResponse]) async throws(LedgerError) {
        // Answers wait for it.
        try await self.write(isBehind: true) { database in
            for response in responses {
                var values: [SQLValue] = [
                    .text(response.id), .text(response.owner), .optional(response.previousID),
                ]
                switch response.place {
                case .content(let bytes): values += [.blob(bytes), .null, .null]
                case .deployment(let id, let account): values += [.null, .text(id), .text(account)]
                }
                values += [.integer(response.createdAt.rawValue), .integer(response.expiresAt.rawValue)]
                let statement = try SQLStatement(
                    database,
                    """
                    INSERT INTO stored_response (\(Self.responseColumns)) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
                    ON CONFLICT (id) DO NOTHING
                    """)
                try statement.bindAll(values)
                try statement.finish()
            }
        }
    }

    package func conversation(
        _ id: String, owner: String?, now: UnixMicroseconds, turnsMax: Int, bytesMax: Int
    ) async throws(LedgerError) -> StoredConversation {
        try await self.read { database in
            var conversation = StoredConversation(turns: [], isCut: false)
            var (next, owner, bytes) = (Optional(id), owner, 0)
            while let id = next {
                let turn = try SQLStatement.first(
                    database,
                    """
                    SELECT \(Self.responseColumns) FROM stored_response
                    WHERE id = ?1 AND (?2 IS NULL OR owner = ?2) AND expires_at > ?3
                    """, .text(id), .optional(owner), .integer(now.rawValue), read: Self.response)
                guard let turn else { break }
                if case .content(let content) = turn.place { bytes += content.count }
                if !conversation.turns.isEmpty, conversation.turns.count >= turnsMax || bytes > bytesMax {
                    conversation.isCut = true
                    break
                }
                conversation.turns.append(turn)
                (next, owner) = (turn.previousID, turn.owner)
            }
            return conversation
        }
    }

    private static func response(_ row: SQLStatement) -> StoredResponse {
        let place: StoredResponse.Place =
            if let deploymentID = row.optionalText(4) {
                .deployment(id: deploymentID, account: row.text(5))
            } else {
                .content(row.bytes(3))
            }
        return StoredResponse(
            id: row.text(0), owner: row.text(1), previousID: row.optionalText(2), place: place,
            createdAt: UnixMicroseconds(rawValue: row.integer(6)),
            expiresAt: UnixMicroseconds(rawValue: row.integer(7)))
    }

    package func deleteResponse(_ id: String, owner: String?) async throws(LedgerError) -> Bool {
        try await self.write(isBehind: true) { database in
            try SQLStatement.run(
                database, "DELETE FROM stored_response WHERE id = ?1 AND (?2 IS NULL OR owner = ?2)", .text(id),
                .optional(owner))
            return database.changesCount > 0
        }
    }

    package func deleteResponses(endedBy now: UnixMicroseconds) async throws(LedgerError) -> Int64 {
        var deleted: Int64 = 0
        while !Task.isCancelled {
            let count = try await self.write { database in
                try SQLStatement.run(
                    database,
                    """
                    DELETE FROM stored_response WHERE id IN (
                        SELECT id FROM stored_response WHERE expires_at <= ?1 LIMIT ?2
                    )
                    """, .integer(now.rawValue), .integer(Self.endedRowsMax))
                return Int64(database.changesCount)
            }
            deleted += count
            if count < Self.endedRowsMax { break }
        }
        return deleted
    }
}
