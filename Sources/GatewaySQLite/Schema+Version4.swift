extension Schema {
    /// Entities of the management API. The change log's CHECK of its kinds is gone: every new kind would mean another
    /// copy of the table, and the program refuses a kind that it does not know when it reads.
    static let version4 = [
        """
        CREATE TABLE entity (
            kind INTEGER NOT NULL CHECK (kind BETWEEN 1 AND 255),
            id TEXT NOT NULL,
            alias TEXT,
            email TEXT,
            role TEXT,
            parent TEXT,
            member TEXT,
            fields TEXT NOT NULL,
            created_by TEXT NOT NULL,
            created_at INTEGER NOT NULL,
            updated_at INTEGER NOT NULL,
            revision INTEGER NOT NULL CHECK (revision > 0),
            PRIMARY KEY (kind, id)
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX entity_created ON entity (kind, created_at, id);
        CREATE INDEX entity_parent ON entity (kind, parent) WHERE parent IS NOT NULL;
        CREATE INDEX entity_member ON entity (kind, member) WHERE member IS NOT NULL;
        CREATE INDEX entity_email ON entity (kind, email) WHERE email IS NOT NULL
        """,
        """
        CREATE TABLE change_of_version4 (
            position INTEGER PRIMARY KEY CHECK (position > 0),
            kind TEXT NOT NULL,
            reference TEXT NOT NULL
        ) STRICT;
        INSERT INTO change_of_version4 (position, kind, reference) SELECT position, kind, reference FROM change;
        DROP TABLE change;
        ALTER TABLE change_of_version4 RENAME TO change
        """,
    ]
}
