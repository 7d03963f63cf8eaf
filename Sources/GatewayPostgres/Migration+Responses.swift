extension Migration {
    /// Responses that callers may ask for again. `content` is what was asked and answered, and mostly sealed, so that
    /// compressing it would be for nothing; without it the provider of `deployment_id` keeps both.
    static let responses = """
        CREATE TABLE {s}.stored_response (
            id_hash bytea CONSTRAINT stored_response_id PRIMARY KEY,
            id text COLLATE "C" NOT NULL,
            owner text COLLATE "C" NOT NULL,
            previous_id text COLLATE "C",
            content bytea,
            deployment_id text COLLATE "C",
            account text COLLATE "C",
            created_at bigint NOT NULL,
            expires_at bigint NOT NULL,
            CHECK ((content IS NULL) = (deployment_id IS NOT NULL)),
            CHECK ((account IS NULL) = (deployment_id IS NULL))
        );
        ALTER TABLE {s}.stored_response ALTER COLUMN content SET STORAGE EXTERNAL;
        CREATE INDEX stored_response_end ON {s}.stored_response (expires_at);
        """
}
