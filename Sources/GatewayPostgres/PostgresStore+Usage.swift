import GatewayCore
import GatewayLedger

extension PostgresStore {
    /// Reading by time or request goes by ranges of pages (BRIN), because a tree over a column of `usage` would cost
    /// each row about as much as the row itself; a query for a key or user should therefore name a time as well.
    package func usage(_ query: UsageQuery) async throws(LedgerError) -> [UsageRow] {
        guard query.limit > 0 else { return [] }
        var parameters = PostgresParameters()
        var conditions: [String] = []
        func add(_ condition: (String) -> String) { conditions.append(condition("$\(parameters.types.count)")) }
        if let digest = query.digest {
            parameters.bytes(digest.bytes)
            add { "u.payer_id IN (SELECT payer_id FROM {s}.payer WHERE digest = \($0))" }
        }
        if let userID = query.userID {
            parameters.text(userID)
            add { "u.payer_id IN (SELECT payer_id FROM {s}.payer WHERE user_id = \($0))" }
        }
        if let requestID = query.requestID {
            parameters.uuid(requestID.bits)
            add { "u.request_id = \($0)" }
        }
        if let from = query.startedFrom {
            parameters.int8(from.rawValue)
            add { "u.started_at >= \($0)" }
        }
        if let before = query.startedBefore {
            parameters.int8(before.rawValue)
            add { "u.started_at < \($0)" }
        }
        if let after = query.after {
            parameters.int8(after.streamID)
            let stream = "$\(parameters.types.count)"
            parameters.int8(after.sequence)
            add { "(u.stream_id, u.seq) \(query.newestFirst ? "<" : ">") (\(stream), \($0))" }
        }
        // Without the fence the planner reads the whole table in its order, hoping for an early match.
        let isRare = query.requestID != nil
        let direction = query.newestFirst ? "DESC" : "ASC"
        parameters.int8(Int64(query.limit))
        // Prepared by nobody: the best plan depends on the values, and an old one may not fit a day's new table.
        let statement = PostgresStatement(
            nil, isRead: true,
            """
            WITH m AS \(isRare ? "MATERIALIZED" : "NOT MATERIALIZED") (
                SELECT * FROM {s}.usage u \(conditions.isEmpty ? "" : "WHERE " + conditions.joined(separator: " AND "))
            )
            SELECT \(UsageColumns.selection)
            FROM (
                SELECT * FROM m u ORDER BY u.stream_id \(direction), u.seq \(direction) LIMIT $\(parameters.types.count)
            ) u
            LEFT JOIN {s}.payer p USING (payer_id) LEFT JOIN {s}.route r USING (route_id)
            ORDER BY u.stream_id \(direction), u.seq \(direction)
            """)
        return try UsageColumns.rows(
            await self.run(statement, parameters, on: self.reader, timeout: .seconds(30)))
    }
}
