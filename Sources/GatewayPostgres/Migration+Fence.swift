extension Migration {
    /// Who may commit for the whole fleet when one pod writes for all (the Redis transport).
    static let fence = """
        CREATE TABLE {s}.writer_fence (
            id int PRIMARY KEY CHECK (id = 1),
            ledger_id uuid NOT NULL,
            token bigint NOT NULL CHECK (token >= 0),
            holder text COLLATE "C" NOT NULL,
            taken_at timestamptz NOT NULL,
            commits bigint NOT NULL CHECK (commits >= 0)
        ) WITH (fillfactor = 20);
        INSERT INTO {s}.writer_fence VALUES (1, gen_random_uuid(), 0, '', clock_timestamp(), 0);
        """
}
