/// The text of the fold and of what shares its parts.
///
/// Rows are grouped once by day, payer and route; totals are those groups added up. Both tables are upserted in the
/// order of their keys. A sum that leaves the range of `bigint` (a provider's broken figure) fails the plain form with
/// 22003, and the caller runs the saturating one, which stops at the ends.
enum FoldSQL {
    static let sums = [
        "spend", "input_tokens", "cached_tokens", "output_tokens", "reasoning_tokens", "requests", "errors",
    ]
    private static let sources = [
        "cost", "input", "coalesce(cached_input, 0)", "output", "coalesce(reasoning_output, 0)",
    ]
    /// What sums are made of.
    static let columns = [
        "started_at", "payer_id", "route_id", "bits", "cost", "input", "cached_input", "output", "reasoning_output",
    ]
    /// Rounded down, so that times before 1970 fall into the right day too.
    static let day =
        "(started_at / 86400000000 - CASE WHEN started_at % 86400000000 < 0 THEN 1 ELSE 0 END)::int"

    static func clamp(_ sum: String) -> String {
        "greatest(least(\(sum), 9223372036854775807), -9223372036854775808)::bigint"
    }

    /// `SELECT day, payer_id, route_id, <sums> FROM source GROUP BY 1, 2, 3`
    static func groups(of source: String, saturating: Bool) -> String {
        let figures = Self.sources.map { saturating ? Self.clamp("sum(\($0))") : "sum(\($0))::bigint" }
        let columns = zip(figures + ["count(*)", "count(*) FILTER (WHERE bits & 8 <> 0)"], Self.sums)
            .map { "\($0) AS \($1)" }
        return "SELECT \(Self.day) AS day, payer_id, route_id, \(columns.joined(separator: ", ")) FROM \(source) "
            + "GROUP BY 1, 2, 3"
    }

    /// `SELECT payer_id, route_id, <sums> FROM groups GROUP BY 1, 2`
    static func totals(of groups: String, saturating: Bool) -> String {
        let columns = Self.sums.map { column in
            "\(saturating ? Self.clamp("sum(\(column))") : "sum(\(column))::bigint") AS \(column)"
        }
        return "SELECT payer_id, route_id, \(columns.joined(separator: ", ")) FROM \(groups) GROUP BY 1, 2"
    }

    /// Adds what `source` selects to the sums of a table.
    static func upsert(_ table: String, from source: String, saturating: Bool) -> String {
        let keys = (table.hasSuffix("daily") ? ["day"] : []) + ["payer_id", "route_id"]
        let columns = (keys + Self.sums).joined(separator: ", ")
        let updates = Self.sums.map { column in
            saturating
                ? "\(column) = \(Self.clamp("t.\(column)::numeric + excluded.\(column)"))"
                : "\(column) = t.\(column) + excluded.\(column)"
        }
        return "INSERT INTO {s}.\(table) AS t (\(columns)) SELECT \(columns) FROM \(source) "
            + "ORDER BY \(keys.joined(separator: ", ")) "
            + "ON CONFLICT (\(keys.joined(separator: ", "))) DO UPDATE SET \(updates.joined(separator: ", "))"
    }

    /// Rows of one stream that one fold takes at most: with 64 pods behind, about a second's work.
    static let rowsPerStreamMax = 5000

    /// Between two folds of a fleet at least: more rows in one fold mean fewer updates of sums, which are most of its
    /// cost.
    /// A time in the future is of a clock that was set back, and holds nobody up for long.
    static let isEarly =
        "folded_at BETWEEN clock_timestamp() - interval '1 second' AND clock_timestamp() + interval '10 seconds'"

    /// The fold (reference for the race it avoids: the shard's lock is economy only; what counts is that `folded` moves
    /// by compare-and-set and that only rows of a moved stream are read). It checks itself: streams have no gaps, so as
    /// many rows must be read as the positions advance, else the division fails and everything rolls back.
    /// The answer is the number of rows, and whether rows may be left: some stream has more than one fold takes, or it
    /// waited for a fold that was under way. The positions that it had read before are old then, and the compare-and-set
    /// leaves out what moved.
    /// - Parameters:
    ///   - isRecent: looks at partitions of the last hour only; with a backlog the check fails and the caller runs the
    ///     other form.
    static func fold(isRecent: Bool, saturating: Bool) -> PostgresStatement {
        let bound = isRecent ? "AND u.applied_at >= now() - interval '1 hour'" : ""
        let rows = UsageColumns.rows(Self.columns)
        return PostgresStatement(
            nil,
            """
            WITH s AS MATERIALIZED (
                UPDATE {s}.fold_shard SET folded_at = clock_timestamp()
                WHERE shard = (SELECT shard FROM {s}.fold_shard WHERE shard = 0 FOR UPDATE) RETURNING shard
            ), w AS MATERIALIZED (
                SELECT f.stream_id, f.folded AS low, least(p.applied, f.folded + \(Self.rowsPerStreamMax)) AS high,
                    p.applied
                FROM s, {s}.fold_position f JOIN {s}.stream p USING (stream_id) WHERE p.applied > f.folded
            ), m AS MATERIALIZED (
                UPDATE {s}.fold_position f SET folded = w.high FROM w
                WHERE f.stream_id = w.stream_id AND f.folded = w.low RETURNING f.stream_id, w.low, w.high
            ), e AS MATERIALIZED (
                SELECT r.* FROM m, LATERAL (
                    SELECT \(Self.columns.map { "u.\($0)" }.joined(separator: ", "))
                    FROM \(rows) u
                    WHERE u.stream_id = m.stream_id AND u.seq > m.low AND u.seq <= m.high \(bound)
                        AND u.batch_last > m.low AND u.batch_last < m.high + \(UsageColumns.batchRowsMax)
                        AND u.batch_first <= m.high
                    OFFSET 0
                ) r
            ), g AS MATERIALIZED (\(Self.groups(of: "e", saturating: saturating))),
            t AS (\(Self.totals(of: "g", saturating: saturating))),
            d1 AS (\(Self.upsert("usage_daily", from: "g", saturating: saturating))),
            d2 AS (\(Self.upsert("usage_total", from: "t", saturating: saturating)))
            SELECT CASE WHEN q.found = q.due THEN q.found ELSE 1 / (q.found - q.found) END,
                EXISTS (SELECT FROM w WHERE high < applied) OR (SELECT count(*) FROM m) < (SELECT count(*) FROM w)
            FROM (SELECT (SELECT count(*) FROM e) AS found,
                (SELECT coalesce(sum(high - low), 0)::bigint FROM m) AS due) q
            """)
    }

    /// Sums of what retention dropped and of the rows up to each stream's `folded`, grouped by day, payer and route.
    /// - Parameter positions: a relation with `stream_id` and `folded`.
    static func recount(positions: String) -> String {
        let rows = Self.groups(
            of: "\(UsageColumns.rows(Self.columns)) u JOIN \(positions) f USING (stream_id) WHERE u.seq <= f.folded",
            saturating: true)
        let columns = Self.sums.map { "\(Self.clamp("sum(\($0))")) AS \($0)" }.joined(separator: ", ")
        let list = "day, payer_id, route_id, " + Self.sums.joined(separator: ", ")
        return "SELECT day, payer_id, route_id, \(columns) FROM (\(rows) UNION ALL "
            + "SELECT \(list) FROM {s}.expired_daily) a GROUP BY 1, 2, 3"
    }
}
