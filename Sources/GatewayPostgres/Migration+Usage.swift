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

    /// Columns of a call that every batch has, and those where an array stands if one row at least has something.
    private static let required = [
        ("request_id", "uuid"), ("started_at", "bigint"), ("payer_id", "int"), ("route_id", "int"),
        ("duration", "bigint"), ("first_byte", "bigint"), ("bits", "bigint"), ("input", "bigint"),
        ("output", "bigint"), ("cost", "bigint"),
    ]
    private static let optional = [
        ("cached_input", "bigint"), ("reasoning_output", "bigint"), ("cache_write_input", "bigint"),
        ("cache_write_long_input", "bigint"), ("audio_input", "bigint"), ("image_input", "bigint"),
        ("audio_output", "bigint"), ("image_output", "bigint"), ("end_user", "text"),
    ]
    private static let names = (Self.required + Self.optional).map(\.0)
    private static let figures = Self.names.joined(separator: ", ")
    private static let bounds = "started_from, started_to, request_from, request_to"

    /// For each column what `required` and `optional` make of it.
    private static func each(
        _ separator: String = ", ", required: ((String, String)) -> String, optional: ((String, String)) -> String
    ) -> String {
        (Self.required.map(required) + Self.optional.map(optional)).joined(separator: separator)
    }

    private static func calls(of batches: String) -> String {
        """
        SELECT b.applied_at, b.stream_id, b.first_seq + r.place - 1 AS seq, \(Self.names.map { "r.\($0)" }
            .joined(separator: ", "))
        FROM \(batches) b, LATERAL unnest(\(Self.names.map { "b.\($0)" }.joined(separator: ", "))) WITH ORDINALITY
            AS r(\(Self.figures), place)
        """
    }

    private static let batchTable = """
        CREATE TABLE {s}.usage_batch (
            applied_at timestamptz NOT NULL,
            first_seq bigint NOT NULL,
            seq bigint NOT NULL,
            started_from bigint NOT NULL,
            started_to bigint NOT NULL,
            request_from uuid NOT NULL,
            request_to uuid NOT NULL,
            stream_id int NOT NULL,
            \(Self.each(required: { "\($0.0) \($0.1)[] NOT NULL" }, optional: { "\($0.0) \($0.1)[]" }))
        ) PARTITION BY RANGE (applied_at);
        \(Self.names.map { "ALTER TABLE {s}.usage_batch ALTER COLUMN \($0) SET STORAGE EXTERNAL;" }
            .joined(separator: "\n"))
        CREATE INDEX usage_batch_bounds ON {s}.usage_batch USING brin (\(Self.bounds))
            WITH (pages_per_range = 4, autosummarize = on);
        CREATE TABLE {s}.usage_batch_default PARTITION OF {s}.usage_batch DEFAULT;
        CREATE UNIQUE INDEX usage_batch_default_place ON {s}.usage_batch_default (stream_id, seq);
        """

    /// A partition of the new table for each of the old one, under its name, which programs of the version before ask for.
    private static let partitions = """
        DO $do$
        DECLARE p record;
        BEGIN
            FOR p IN
                SELECT c.relname, quote_ident(c.relname) AS name, quote_ident(c.relname || '_place') AS place,
                    pg_get_expr(c.relpartbound, c.oid) AS bound
                FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
                WHERE i.inhparent = $q${s}.usage$q$::regclass AND c.relname <> 'usage_default'
            LOOP
                EXECUTE $q$ALTER TABLE {s}.$q$ || p.name || ' RENAME TO ' || quote_ident('rows_' || p.relname);
                EXECUTE $q$ALTER INDEX IF EXISTS {s}.$q$ || p.place || ' RENAME TO '
                    || quote_ident('rows_' || p.relname || '_place');
                EXECUTE $q$CREATE TABLE {s}.$q$ || p.name || $q$ PARTITION OF {s}.usage_batch $q$ || p.bound;
                EXECUTE 'CREATE UNIQUE INDEX ' || p.place || $q$ ON {s}.$q$ || p.name || ' (stream_id, seq)';
            END LOOP;
        END $do$;
        """

    /// What stands in the table of before, a thousand rows of one statement at most in a batch.
    private static let takeOver = """
        INSERT INTO {s}.usage_batch (applied_at, stream_id, first_seq, seq, \(Self.bounds), \(Self.figures))
        SELECT applied_at, stream_id, min(seq), max(seq), min(started_at), max(started_at),
            (array_agg(request_id ORDER BY request_id))[1], (array_agg(request_id ORDER BY request_id DESC))[1],
            \(Self.each(
                required: { "array_agg(\($0.0) ORDER BY seq)" },
                optional: { "CASE WHEN count(\($0.0)) > 0 THEN array_agg(\($0.0) ORDER BY seq) END" }))
        FROM (
            SELECT u.*, seq - row_number() OVER w AS island, (row_number() OVER w - 1) / 1000 AS part
            FROM {s}.usage u WINDOW w AS (PARTITION BY applied_at, stream_id ORDER BY seq)
        ) u
        GROUP BY applied_at, stream_id, island, part;
        """

    private static let rowTrigger = """
        CREATE FUNCTION {s}.insert_usage_row() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            INSERT INTO {s}.usage_batch (applied_at, stream_id, first_seq, seq, \(Self.bounds), \(Self.figures))
            VALUES (NEW.applied_at, NEW.stream_id, NEW.seq, NEW.seq, NEW.started_at, NEW.started_at, NEW.request_id,
                NEW.request_id, \(Self.each(
                    required: { "ARRAY[NEW.\($0.0)]" },
                    optional: { "CASE WHEN NEW.\($0.0) IS NOT NULL THEN ARRAY[NEW.\($0.0)] END" })));
            RETURN NEW;
        END $$;
        CREATE TRIGGER usage_inserted INSTEAD OF INSERT ON {s}.usage
            FOR EACH ROW EXECUTE FUNCTION {s}.insert_usage_row()
        """

    /// Rows of many calls as one: an array for each column (docs/decisions/0014-usage-in-batches.md). `seq` is the last
    /// row's. What stood in `usage` is taken over, and `usage` is a view from then on; programs of the version before,
    /// whose names for partitions and indexes are kept for that, write through it, a batch for each row.
    static let batches = """
        LOCK TABLE {s}.usage IN ACCESS EXCLUSIVE MODE;
        DROP FUNCTION {s}.usage_of_request;
        \(Self.batchTable)
        \(Self.partitions)
        \(Self.takeOver)
        DROP TABLE {s}.usage;
        CREATE VIEW {s}.usage AS \(Self.calls(of: "{s}.usage_batch"));
        CREATE FUNCTION {s}.batches_of_request(wanted uuid, since timestamptz) RETURNS SETOF {s}.usage_batch
        LANGUAGE sql STABLE ROWS 4 SET enable_seqscan = off
        AS $$ SELECT * FROM {s}.usage_batch
            WHERE request_from <= wanted AND request_to >= wanted AND applied_at >= since $$;
        CREATE FUNCTION {s}.usage_of_request(wanted uuid, since timestamptz) RETURNS SETOF {s}.usage
        LANGUAGE sql STABLE ROWS 4
        AS $$ SELECT * FROM (\(Self.calls(of: "{s}.batches_of_request(wanted, since)"))) u WHERE request_id = wanted $$;
        \(Self.rowTrigger)
        """
}
