extension Schema {
    /// Responses that callers may ask for again. `content` is what was asked and answered; without it the provider of
    /// `deployment_id` keeps both.
    static let version9 = [
        """
        CREATE TABLE stored_response (
            id TEXT PRIMARY KEY CHECK (id <> ''),
            owner TEXT NOT NULL,
            previous_id TEXT,
            content BLOB,
            deployment_id TEXT,
            account TEXT,
            created_at INTEGER NOT NULL,
            expires_at INTEGER NOT NULL,
            CHECK ((content IS NULL) = (deployment_id IS NOT NULL)),
            CHECK ((account IS NULL) = (deployment_id IS NULL))
        ) STRICT;
        CREATE INDEX stored_response_end ON stored_response (expires_at)
        """
    ]
}
