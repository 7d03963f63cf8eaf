extension Migration {
    /// Users, teams, members, organizations, customers, tags, budgets and access groups. Identifiers and what members
    /// belong to may be long text, so indexes hold hashes of it.
    static let entities = """
        CREATE TABLE {s}.entity (
            kind int NOT NULL CHECK (kind BETWEEN 1 AND 255),
            id_hash bytea NOT NULL,
            id text COLLATE "C" NOT NULL,
            alias text COLLATE "C",
            email text COLLATE "C",
            role text COLLATE "C",
            parent text COLLATE "C",
            member text COLLATE "C",
            fields text COLLATE "C" NOT NULL,
            created_by text COLLATE "C" NOT NULL,
            created_at bigint NOT NULL,
            updated_at bigint NOT NULL,
            revision bigint NOT NULL CHECK (revision > 0),
            CONSTRAINT entity_id PRIMARY KEY (kind, id_hash)
        );
        CREATE INDEX entity_created ON {s}.entity (kind, created_at, id_hash);
        CREATE INDEX entity_parent ON {s}.entity USING hash (parent);
        CREATE INDEX entity_member ON {s}.entity USING hash (member);
        CREATE INDEX entity_email ON {s}.entity USING hash (email);
        """
}
