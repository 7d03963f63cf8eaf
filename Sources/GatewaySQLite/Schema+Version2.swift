extension Schema {
    /// Models and credentials of the management API, and their kinds in the change log. A CHECK cannot be altered in
    /// SQLite, so the log is copied into a table with a wider one.
    static let version2 = [
        """
        CREATE TABLE stored_model (
            id INTEGER PRIMARY KEY,
            model_id TEXT NOT NULL UNIQUE,
            model_name TEXT NOT NULL,
            parameters TEXT NOT NULL,
            info TEXT NOT NULL,
            created_by TEXT NOT NULL,
            created_at INTEGER NOT NULL,
            updated_at INTEGER NOT NULL
        ) STRICT;
        CREATE INDEX stored_model_created ON stored_model (created_at, model_id)
        """,
        """
        CREATE TABLE stored_credential (
            id INTEGER PRIMARY KEY,
            name TEXT NOT NULL UNIQUE,
            sealed_values TEXT NOT NULL,
            info TEXT NOT NULL,
            created_at INTEGER NOT NULL,
            updated_at INTEGER NOT NULL
        ) STRICT
        """,
        """
        CREATE TABLE change_of_version2 (
            position INTEGER PRIMARY KEY CHECK (position > 0),
            kind TEXT NOT NULL CHECK (kind IN ('key', 'setting', 'model', 'credential')),
            reference TEXT NOT NULL
        ) STRICT;
        INSERT INTO change_of_version2 (position, kind, reference) SELECT position, kind, reference FROM change;
        DROP TABLE change;
        ALTER TABLE change_of_version2 RENAME TO change
        """,
    ]
}
