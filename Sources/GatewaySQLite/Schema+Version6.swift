extension Schema {
    /// Budgets, and what of them is out; rates live in memory.
    static let version6 = [
        """
        CREATE TABLE account (
            account_id INTEGER PRIMARY KEY,
            name TEXT NOT NULL,
            unit INTEGER NOT NULL CHECK (unit BETWEEN 0 AND 1),
            kind INTEGER NOT NULL,
            subject TEXT NOT NULL,
            generation INTEGER NOT NULL CHECK (generation > 0),
            window_start INTEGER NOT NULL,
            window_end INTEGER NOT NULL CHECK (window_end > window_start),
            limit_amount INTEGER NOT NULL CHECK (limit_amount >= 0),
            terms_position INTEGER NOT NULL,
            outstanding INTEGER NOT NULL,
            spent INTEGER NOT NULL,
            pressure_until INTEGER NOT NULL
        ) STRICT;
        CREATE TABLE account_past (
            account_id INTEGER NOT NULL,
            generation INTEGER NOT NULL,
            window_start INTEGER NOT NULL,
            window_end INTEGER NOT NULL,
            limit_amount INTEGER NOT NULL,
            outstanding INTEGER NOT NULL,
            spent INTEGER NOT NULL,
            PRIMARY KEY (account_id, generation)
        ) STRICT, WITHOUT ROWID;
        CREATE TABLE account_lease (
            stream_id INTEGER NOT NULL,
            account_id INTEGER NOT NULL,
            generation INTEGER NOT NULL,
            granted INTEGER NOT NULL,
            settled INTEGER NOT NULL,
            start_seq INTEGER NOT NULL,
            PRIMARY KEY (stream_id, account_id, generation)
        ) STRICT, WITHOUT ROWID;
        CREATE TABLE escrow_stream (
            stream_id INTEGER PRIMARY KEY,
            turn INTEGER NOT NULL CHECK (turn > 0)
        ) STRICT
        """
    ]
}
