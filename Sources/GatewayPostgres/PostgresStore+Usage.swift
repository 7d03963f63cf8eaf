import GatewayCore
import GatewayLedger

extension PostgresStore {
    /// How far the clock of a pod may be ahead of the server's: no row came earlier before it began than this.
    private static let skewMicroseconds: Int64 = 86_400_000_000

    /// Whole batches are left out by what they say of their rows: times and requests by ranges of pages (BRIN), payers by
    /// the batch's own array, which is read for it; a query for a key or user should therefore name a time as well. Days
    /// before the time asked for are not looked at.
    package func usage(_ query: UsageQuery) async throws(LedgerError) -> [UsageRow] {
        guard query.limit > 0 else { return [] }
        var parameters = PostgresParameters()
        var conditions: [String] = []
        func add(_ condition: (String) -> String) { conditions.append(condition("$\(parameters.types.count)")) }
        var batches = "{s}.usage_batch"
        if let requestID = query.requestID {
            parameters.uuid(requestID.bits)
            let wanted = "$\(parameters.types.count)"
            parameters.int8(Self.earliest(requestID.bits.milliseconds.map { $0 * 1000 } ?? .min))
            batches = "{s}.batches_of_request(\(wanted), \(Self.time("$\(parameters.types.count)")))"
            conditions.append("u.request_id = \(wanted)")
        }
        if let from = query.startedFrom {
            parameters.int8(from.rawValue)
            add { "u.started_at >= \($0) AND u.started_to >= \($0)" }
            parameters.int8(Self.earliest(from.rawValue))
            add { "u.applied_at >= \(Self.time($0))" }
        }
        if let before = query.startedBefore {
            parameters.int8(before.rawValue)
            add { "u.started_at < \($0) AND u.started_from < \($0)" }
        }
        if let after = query.after {
            parameters.int8(after.streamID)
            let stream = "$\(parameters.types.count)"
            parameters.int8(after.sequence)
            add { sequence in
                let row = "(u.stream_id, u.seq) \(query.newestFirst ? "<" : ">") (\(stream), \(sequence))"
                // The batch that the walk stands in ends so far on at most.
                return query.newestFirst
                    ? "\(row) AND (u.stream_id, u.batch_last) < (\(stream), \(sequence) + \(UsageColumns.batchRowsMax)) "
                        + "AND (u.stream_id, u.batch_first) < (\(stream), \(sequence))"
                    : "\(row) AND (u.stream_id, u.batch_last) > (\(stream), \(sequence))"
            }
        }
        // Last, because it reads what a batch holds.
        if let digest = query.digest {
            parameters.bytes(digest.bytes)
            add { Self.paid(by: "digest = \($0)") }
        }
        if let userID = query.userID {
            parameters.text(userID)
            add { Self.paid(by: "user_id = \($0)") }
        }
        let direction = query.newestFirst ? "DESC" : "ASC"
        let calls = UsageColumns.orderedRows(UsageColumns.names, of: batches, direction: direction)
        parameters.int8(Int64(query.limit))
        // Prepared by nobody: the best plan depends on the values, and an old one may not fit a day's new table.
        let statement = PostgresStatement(
            nil, isRead: true,
            """
            SELECT \(UsageColumns.selection)
            FROM (
                SELECT * FROM \(calls) u
                \(conditions.isEmpty ? "" : "WHERE " + conditions.joined(separator: " AND "))
                ORDER BY u.stream_id \(direction), u.batch_last \(direction), u.seq \(direction) LIMIT $\(parameters.types.count)
            ) u
            LEFT JOIN {s}.payer p USING (payer_id) LEFT JOIN {s}.route r USING (route_id)
            ORDER BY u.stream_id \(direction), u.seq \(direction)
            """)
        return try UsageColumns.rows(
            await self.run(statement, parameters, on: self.reader, timeout: .seconds(30)))
    }

    /// - Parameter condition: of the table `payer`.
    private static func paid(by condition: String) -> String {
        let payers = "ARRAY(SELECT payer_id FROM {s}.payer WHERE \(condition))"
        return "u.payer_id = ANY (\(payers)) AND u.payers && \(payers)"
    }

    /// When the row of a call that began at `microseconds` came at the earliest; whole days, so that plans are alike.
    private static func earliest(_ microseconds: Int64) -> Int64 {
        // PostgreSQL's times end in 4713 BC and 294276 AD.
        let bounded = min(max(microseconds, 0), 250_000 * 365 * 86_400_000_000)
        return max(0, bounded - self.skewMicroseconds) / 86_400_000_000
    }

    /// The begin of a day, by its number since 1970, in UTC; what came in the last day is looked at in any case.
    private static func time(_ day: String) -> String {
        "least(to_timestamp(\(day)::float8 * 86400), now() - interval '1 day')"
    }
}
