import GatewayCore
import GatewayLedger

extension PostgresStore {
    /// Sentences at most; one more says that there are others.
    private static let differencesMax = 200

    /// Each part of the union selects sentences. One statement sees one state, so pods may go on writing.
    private static let audit = PostgresStatement(
        nil, isRead: true,
        """
        WITH r AS MATERIALIZED (
            SELECT stream_id, sum(found)::bigint AS found, max(seq) AS last,
                count(*) FILTER (WHERE first_seq <> before + 1 OR found <> seq - first_seq + 1 OR is_uneven) AS breaks
            FROM (
                SELECT stream_id, seq, first_seq, cardinality(request_id) AS found,
                    lag(seq) OVER (PARTITION BY stream_id ORDER BY seq) AS before,
                    \(UsageColumns.names.map { "cardinality(\($0)) <> cardinality(request_id)" }
                        .joined(separator: " OR ")) AS is_uneven
                FROM {s}.usage_batch
            ) b GROUP BY 1
        ), g AS MATERIALIZED (\(FoldSQL.recount(positions: "{s}.fold_position"))),
        t AS MATERIALIZED (\(FoldSQL.totals(of: "g", saturating: true)))
        SELECT sentence FROM (
            \(PostgresStore.streams)
            UNION ALL
            \(PostgresStore.comparison("usage_total", with: "t", keys: ["payer_id", "route_id"]))
            UNION ALL
            \(PostgresStore.comparison("usage_daily", with: "g", keys: ["day", "payer_id", "route_id"]))
            UNION ALL
            \(PostgresStore.references)
        ) a LIMIT \(PostgresStore.differencesMax + 1)
        """)

    /// I1 and I2: rows are exactly 1...applied, and nothing is folded beyond.
    private static let streams = """
        SELECT format('Stream %s stands at %s, but has %s rows and %s that retention dropped, the last of them %s.',
            p.stream_id, p.applied, coalesce(r.found, 0), coalesce(f.expired, 0), coalesce(r.last, f.expired, 0)) AS sentence
        FROM {s}.stream p LEFT JOIN r USING (stream_id) LEFT JOIN {s}.fold_position f USING (stream_id)
        WHERE coalesce(r.found, 0) + coalesce(f.expired, 0) <> p.applied
            OR coalesce(r.last, f.expired, 0) <> p.applied
        UNION ALL
        SELECT format('Stream %s has %s batches of rows that do not begin where the one before them ends, or whose columns '
            'differ in length.', stream_id, breaks)
        FROM r WHERE breaks > 0
        UNION ALL
        SELECT format('Stream %s is folded up to %s, beyond its %s rows.', stream_id, f.folded, p.applied)
        FROM {s}.fold_position f LEFT JOIN {s}.stream p USING (stream_id) WHERE p.applied IS NULL OR f.folded > p.applied
        UNION ALL
        SELECT format('%s rows belong to stream %s, which is missing.', r.found, r.stream_id)
        FROM r LEFT JOIN {s}.stream p USING (stream_id) WHERE p.stream_id IS NULL
        """

    /// Stored sums against those of the rows, both ways.
    private static func comparison(_ table: String, with recount: String, keys: [String]) -> String {
        let hasDay = keys.count == 3
        let pairs = FoldSQL.sums.map { "('\($0)', s.\($0), w.\($0))" }.joined(separator: ", ")
        return """
            SELECT format('\(table)\(hasDay ? " of day %s" : "%s"), payer %s, route %s: %s is %s, the rows add up to %s.',
                \(hasDay ? "day" : "''"), payer_id, route_id, v.name, coalesce(v.stored, 0), coalesce(v.wanted, 0))
            FROM {s}.\(table) s FULL JOIN \(recount) w USING (\(keys.joined(separator: ", ")))
            CROSS JOIN LATERAL (VALUES \(pairs)) v (name, stored, wanted)
            WHERE coalesce(v.stored, 0) <> coalesce(v.wanted, 0)
            """
    }

    private static let references = """
        SELECT format('Request %s, attempt %s, has %s rows instead of 1 (stream %s, sequence %s and %s).', request_id,
            bits >> 48 & 255, count(*), min(stream_id), min(seq), max(seq))
        FROM \(UsageColumns.rows(["request_id", "bits"])) u GROUP BY request_id, bits >> 48 & 255 HAVING count(*) > 1
        UNION ALL
        SELECT format('%s rows name payer %s, which is missing.', count(*), u.payer_id)
        FROM \(UsageColumns.rows(["payer_id"])) u LEFT JOIN {s}.payer p USING (payer_id) WHERE p.payer_id IS NULL GROUP BY u.payer_id
        UNION ALL
        SELECT format('%s rows name route %s, which is missing.', count(*), u.route_id)
        FROM \(UsageColumns.rows(["route_id"])) u LEFT JOIN {s}.route r USING (route_id) WHERE r.route_id IS NULL GROUP BY u.route_id
        UNION ALL
        SELECT format('The change log has %s entries between %s and %s, and its head stands at %s.', c.found, c.first,
            c.last, h.position)
        FROM {s}.change_head h, (
            SELECT count(*) AS found, min(position) AS first, max(position) AS last FROM {s}.change
        ) c
        WHERE c.found > 0 AND (c.found <> c.last - c.first + 1 OR c.last <> h.position)
        """

    package func verify() async throws(LedgerError) -> [String] {
        let rows = try await self.run(Self.audit, on: self.reader, timeout: .seconds(3600))
        var sentences = (0..<min(rows.count, Self.differencesMax)).map { rows.text($0, 0) }
        if rows.count > Self.differencesMax {
            sentences.append("There are more differences than the \(Self.differencesMax) listed.")
        }
        return sentences
    }
}
