extension Migration {
    /// Finds rows by request through the index over page ranges (BRIN). Without statistics, as in the first minutes of a
    /// day's partition, the planner takes that index for useless and reads whole tables, so the function tells it not
    /// to. A tree over the column would cost each row half as much again as the row itself.
    static let lookups = """
        CREATE FUNCTION {s}.usage_of_request(wanted uuid, since timestamptz) RETURNS SETOF {s}.usage
        LANGUAGE sql STABLE ROWS 4 SET enable_seqscan = off
        AS $$ SELECT * FROM {s}.usage WHERE request_id = wanted AND applied_at >= since $$
        """

    /// Checks on every row of `usage` took a tenth of the database's time for it. The statements that write rows keep to
    /// them, and the fold's own count finds a row that stands where none may.
    static let leanRows = """
        ALTER TABLE {s}.usage DROP CONSTRAINT usage_seq_check, DROP CONSTRAINT usage_bits_check
        """
}
