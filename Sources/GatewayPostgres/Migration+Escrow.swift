extension Migration {
    /// Budgets and limits. Foreign keys would make a grant look up what the statement has just locked.
    static let escrow = """
        CREATE TABLE {s}.account (
            account_id bigint PRIMARY KEY,
            name text COLLATE "C" NOT NULL,
            unit smallint NOT NULL CHECK (unit BETWEEN 0 AND 1),
            kind smallint NOT NULL,
            subject text COLLATE "C" NOT NULL,
            generation bigint NOT NULL CHECK (generation > 0),
            window_start bigint NOT NULL,
            window_end bigint NOT NULL CHECK (window_end > window_start),
            limit_amount bigint NOT NULL CHECK (limit_amount >= 0),
            terms_position bigint NOT NULL,
            outstanding bigint NOT NULL,
            spent bigint NOT NULL,
            pressure_until timestamptz NOT NULL
        ) WITH (fillfactor = 50);
        CREATE TABLE {s}.account_past (
            account_id bigint NOT NULL,
            generation bigint NOT NULL,
            window_start bigint NOT NULL,
            window_end bigint NOT NULL,
            limit_amount bigint NOT NULL,
            outstanding bigint NOT NULL,
            spent bigint NOT NULL,
            PRIMARY KEY (account_id, generation)
        ) WITH (fillfactor = 50);
        CREATE TABLE {s}.account_lease (
            stream_id int NOT NULL,
            account_id bigint NOT NULL,
            generation bigint NOT NULL,
            granted bigint NOT NULL,
            settled bigint NOT NULL,
            start_seq bigint NOT NULL,
            PRIMARY KEY (stream_id, account_id, generation)
        ) WITH (fillfactor = 50);
        CREATE TABLE {s}.escrow_stream (
            stream_id int PRIMARY KEY,
            turn bigint NOT NULL CHECK (turn > 0)
        ) WITH (fillfactor = 20);
        CREATE UNLOGGED TABLE {s}.rate (
            account_id bigint PRIMARY KEY,
            number bigint NOT NULL,
            buckets bigint[] NOT NULL,
            pressure_until timestamptz NOT NULL
        ) WITH (fillfactor = 30)
        """

    /// Windows before `past_from` are forgotten. `expires_at`, microseconds: nothing of a rate counts any more; NULL: no
    /// program that knows the column has used it.
    static let forgetting = """
        ALTER TABLE {s}.account ADD COLUMN past_from bigint NOT NULL DEFAULT 0;
        ALTER TABLE {s}.rate ADD COLUMN expires_at bigint
        """
}
