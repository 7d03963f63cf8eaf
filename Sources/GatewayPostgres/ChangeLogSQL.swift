/// How a mutation enters the change log, in the statement that makes it.
enum ChangeLogSQL {
    /// Common table expressions behind one called `k`, whose rows have a column `reference` and come from a `RETURNING`.
    /// The head's row makes positions free of gaps in the order of commits; it is locked for the rest of the statement
    /// only, and not at all when nothing changed.
    /// - Parameter order: what positions go by when there are several.
    static func entries(_ kind: String, order: String = "reference") -> String {
        """
        n AS (SELECT reference, row_number() OVER (ORDER BY \(order)) AS place, count(*) OVER () AS amount FROM k),
        h AS (
            UPDATE {s}.change_head SET position = position + (SELECT max(amount) FROM n)
            WHERE id = 1 AND EXISTS (SELECT FROM n) RETURNING position
        ), i AS (
            INSERT INTO {s}.change (position, kind, reference, at)
            SELECT h.position - n.amount + n.place, '\(kind)', n.reference, clock_timestamp() FROM h, n
            RETURNING position
        ), w AS MATERIALIZED (
            SELECT pg_notify('martlet', q.position::text) FROM (SELECT max(position) AS position FROM i) q
            WHERE q.position IS NOT NULL
        )
        """
    }

    /// The last part: the new head (NULL: nothing changed), and one row for `w`, without which nobody is notified.
    static let answer = "(SELECT max(position) FROM i), (SELECT count(*) FROM w)"
}
