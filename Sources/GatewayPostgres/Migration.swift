/// One step of the schema. Released text is never edited; a change is another migration, and it is additive: programs
/// of the version before run beside it.
struct Migration: Sendable {
    let version: Int32
    /// The oldest program, by the newest migration that it knows, that can work with the schema after this step.
    let compatibleFrom: Int32
    /// Statements with `{s}` for the schema, run in one transaction.
    let text: String

    static let all = [
        Migration(version: 1, compatibleFrom: 1, text: Self.ledger),
        Migration(version: 2, compatibleFrom: 1, text: Self.keys),
        Migration(version: 3, compatibleFrom: 1, text: Self.fleet),
        Migration(version: 5, compatibleFrom: 1, text: Self.entities),
        Migration(version: 6, compatibleFrom: 1, text: Self.lookups),
        Migration(version: 7, compatibleFrom: 1, text: Self.leanRows),
        Migration(version: 8, compatibleFrom: 1, text: Self.fence),
        Migration(version: 9, compatibleFrom: 1, text: Self.escrow),
        Migration(version: 10, compatibleFrom: 1, text: Self.responses),
        Migration(version: 11, compatibleFrom: 1, text: Self.forgetting),
        Migration(version: 12, compatibleFrom: 1, text: Self.batches),
    ]

    /// Usage rows, and what is derived from them. What a provider reports may be any integer: a row that a journal holds
    /// must never be refused, because it would block every row behind it. Times of pods are microseconds since 1970,
    /// times of the database are `timestamptz`. Foreign keys from `usage` would cost a look-up per row; `verify` looks
    /// for dangling references instead.
    private static let ledger = """
        CREATE TABLE {s}.stream (
            stream_id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            journal uuid NOT NULL UNIQUE,
            epoch bigint NOT NULL CHECK (epoch > 0),
            applied bigint NOT NULL CHECK (applied >= 0),
            beat_at timestamptz NOT NULL,
            state smallint NOT NULL CHECK (state BETWEEN 0 AND 3),
            pod_name text
        ) WITH (fillfactor = 20);

        CREATE TABLE {s}.payer (
            payer_id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            content bytea NOT NULL UNIQUE CHECK (length(content) = 32),
            key_id uuid NOT NULL,
            digest bytea NOT NULL CHECK (length(digest) = 32),
            user_id text COLLATE "C",
            team_id text COLLATE "C"
        );
        CREATE INDEX payer_key ON {s}.payer (key_id);
        CREATE INDEX payer_digest ON {s}.payer (digest);
        CREATE INDEX payer_user ON {s}.payer USING hash (user_id);
        CREATE INDEX payer_team ON {s}.payer USING hash (team_id);

        CREATE TABLE {s}.route (
            route_id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            content bytea NOT NULL UNIQUE CHECK (length(content) = 32),
            model_group text COLLATE "C" NOT NULL,
            model text COLLATE "C" NOT NULL,
            provider text COLLATE "C" NOT NULL,
            deployment_id text COLLATE "C" NOT NULL,
            price_version text COLLATE "C" NOT NULL
        );
        CREATE INDEX route_group ON {s}.route USING hash (model_group);

        CREATE TABLE {s}.usage (
            applied_at timestamptz NOT NULL,
            seq bigint NOT NULL CHECK (seq > 0),
            started_at bigint NOT NULL,
            duration bigint NOT NULL,
            first_byte bigint NOT NULL,
            bits bigint NOT NULL CHECK (bits >= 0),
            input bigint NOT NULL,
            output bigint NOT NULL,
            cost bigint NOT NULL,
            stream_id int NOT NULL,
            payer_id int NOT NULL,
            route_id int NOT NULL,
            request_id uuid NOT NULL,
            cached_input bigint,
            reasoning_output bigint,
            cache_write_input bigint,
            cache_write_long_input bigint,
            audio_input bigint,
            image_input bigint,
            audio_output bigint,
            image_output bigint,
            end_user text COLLATE "C"
        ) PARTITION BY RANGE (applied_at);
        CREATE INDEX usage_started ON {s}.usage USING brin (started_at)
            WITH (pages_per_range = 32, autosummarize = on);
        CREATE INDEX usage_request ON {s}.usage USING brin (request_id)
            WITH (pages_per_range = 32, autosummarize = on);
        CREATE TABLE {s}.usage_default PARTITION OF {s}.usage DEFAULT;
        CREATE UNIQUE INDEX usage_default_place ON {s}.usage_default (stream_id, seq);

        CREATE TABLE {s}.fold_shard (shard int PRIMARY KEY, folded_at timestamptz NOT NULL) WITH (fillfactor = 20);
        INSERT INTO {s}.fold_shard VALUES (0, clock_timestamp());
        CREATE TABLE {s}.fold_position (
            stream_id int PRIMARY KEY,
            folded bigint NOT NULL CHECK (folded >= 0),
            expired bigint NOT NULL DEFAULT 0 CHECK (expired BETWEEN 0 AND folded)
        ) WITH (fillfactor = 20);

        \(Self.sums("usage_total", hasDay: false));
        \(Self.sums("usage_daily", hasDay: true));
        \(Self.sums("expired_daily", hasDay: true));
        """

    private static func sums(_ table: String, hasDay: Bool) -> String {
        """
        CREATE TABLE {s}.\(table) (
            \(hasDay ? "day int NOT NULL," : "")
            payer_id int NOT NULL,
            route_id int NOT NULL,
            spend bigint NOT NULL,
            input_tokens bigint NOT NULL,
            cached_tokens bigint NOT NULL,
            output_tokens bigint NOT NULL,
            reasoning_tokens bigint NOT NULL,
            requests bigint NOT NULL CHECK (requests > 0),
            errors bigint NOT NULL CHECK (errors BETWEEN 0 AND requests),
            PRIMARY KEY (\(hasDay ? "day, " : "")payer_id, route_id)
        ) WITH (fillfactor = 40)
        """
    }

    /// Text that must be unique has its SHA-256 beside it, because an index entry is bounded and a name is not.
    private static let keys = """
        CREATE TABLE {s}.change_head (
            id int PRIMARY KEY CHECK (id = 1),
            position bigint NOT NULL CHECK (position >= 0)
        ) WITH (fillfactor = 20);
        INSERT INTO {s}.change_head VALUES (1, 0);
        CREATE TABLE {s}.change (
            position bigint PRIMARY KEY,
            kind text NOT NULL,
            reference text COLLATE "C" NOT NULL,
            at timestamptz NOT NULL
        );
        CREATE INDEX change_at ON {s}.change USING brin (at);

        CREATE TABLE {s}.virtual_key (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            key_id uuid NOT NULL,
            digest bytea NOT NULL CHECK (length(digest) = 32),
            alias_hash bytea CHECK ((alias_hash IS NULL) = (alias IS NULL)),
            key_name text COLLATE "C" NOT NULL,
            alias text COLLATE "C",
            models text[] COLLATE "C" NOT NULL,
            max_budget bigint,
            budget_duration text COLLATE "C",
            expires_at bigint,
            is_blocked boolean NOT NULL,
            user_id text COLLATE "C",
            team_id text COLLATE "C",
            metadata text COLLATE "C" NOT NULL,
            other_fields text COLLATE "C" NOT NULL,
            created_by text COLLATE "C" NOT NULL,
            created_at bigint NOT NULL,
            updated_at bigint NOT NULL,
            CONSTRAINT virtual_key_key_id UNIQUE (key_id),
            CONSTRAINT virtual_key_digest UNIQUE (digest),
            CONSTRAINT virtual_key_alias UNIQUE (alias_hash)
        );
        CREATE INDEX virtual_key_created ON {s}.virtual_key (created_at, id);
        CREATE INDEX virtual_key_user ON {s}.virtual_key USING hash (user_id);
        CREATE INDEX virtual_key_team ON {s}.virtual_key USING hash (team_id);

        CREATE TABLE {s}.setting (
            name_hash bytea PRIMARY KEY,
            name text COLLATE "C" NOT NULL,
            value text COLLATE "C" NOT NULL
        );
        """

    private static let fleet = """
        CREATE TABLE {s}.pod (
            pod_id uuid PRIMARY KEY,
            name text COLLATE "C" NOT NULL,
            process_id int NOT NULL,
            version text COLLATE "C" NOT NULL,
            started_at bigint NOT NULL,
            journal uuid NOT NULL,
            applied bigint NOT NULL,
            change_position bigint NOT NULL,
            journal_bytes bigint NOT NULL,
            connections int NOT NULL,
            beat_at timestamptz NOT NULL
        ) WITH (fillfactor = 20);
        CREATE TABLE {s}.job_lease (
            job_hash bytea PRIMARY KEY,
            job text COLLATE "C" NOT NULL,
            holder uuid NOT NULL,
            epoch bigint NOT NULL,
            until timestamptz NOT NULL
        ) WITH (fillfactor = 20);

        CREATE TABLE {s}.model (
            id_hash bytea CONSTRAINT model_id PRIMARY KEY,
            model_id text COLLATE "C" NOT NULL,
            model_name text COLLATE "C" NOT NULL,
            parameters text COLLATE "C" NOT NULL,
            info text COLLATE "C" NOT NULL,
            created_by text COLLATE "C" NOT NULL,
            created_at bigint NOT NULL,
            updated_at bigint NOT NULL
        );
        CREATE TABLE {s}.credential (
            name_hash bytea CONSTRAINT credential_name PRIMARY KEY,
            name text COLLATE "C" NOT NULL,
            credential_values text COLLATE "C" NOT NULL,
            info text COLLATE "C" NOT NULL,
            created_at bigint NOT NULL,
            updated_at bigint NOT NULL
        );
        """
}
