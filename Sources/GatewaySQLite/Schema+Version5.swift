extension Schema {
    /// What retention has deleted: up to where each stream's rows are gone, and what they had added to the sums.
    static let version5 = [
        """
        ALTER TABLE stream ADD COLUMN expired INTEGER NOT NULL DEFAULT 0 CHECK (expired BETWEEN 0 AND folded)
        """,
        """
        CREATE TABLE expired_daily (
            day INTEGER NOT NULL,
            payer_id INTEGER NOT NULL,
            route_id INTEGER NOT NULL,
            spend INTEGER NOT NULL,
            input_tokens INTEGER NOT NULL,
            cached_tokens INTEGER NOT NULL,
            output_tokens INTEGER NOT NULL,
            reasoning_tokens INTEGER NOT NULL,
            requests INTEGER NOT NULL CHECK (requests > 0),
            errors INTEGER NOT NULL CHECK (errors BETWEEN 0 AND requests),
            PRIMARY KEY (day, payer_id, route_id)
        ) STRICT, WITHOUT ROWID
        """,
    ]
}
