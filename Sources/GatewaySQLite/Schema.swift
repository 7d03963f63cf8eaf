/// The tables of version 1. Released text is never edited; a change is another migration.
///
/// Every table is STRICT. Constraints hold what our own code decides; what a provider reports (tokens, cost) may be any
/// integer, because a row that the journal holds must never be refused: it would block every row behind it.
enum Schema {
    static let version1 = [
        """
        CREATE TABLE migration (
            version INTEGER PRIMARY KEY,
            applied_at INTEGER NOT NULL
        ) STRICT
        """,
        Self.ledgerTables, Self.aggregateTables, Self.usageView, Self.keyTables,
    ]

    /// `usage.id` is `Place`. No foreign keys and no index on `usage`: each foreign key is a look-up per row and each
    /// index about as dear as the row itself; `verify` looks for dangling references instead, and `usage_block` finds
    /// rows by time and request.
    private static let ledgerTables = """
        CREATE TABLE stream (
            id INTEGER PRIMARY KEY CHECK (id BETWEEN 1 AND 4194303),
            journal BLOB NOT NULL UNIQUE CHECK (length(journal) = 16),
            epoch INTEGER NOT NULL CHECK (epoch > 0),
            applied INTEGER NOT NULL CHECK (applied BETWEEN 0 AND 1099511627775),
            folded INTEGER NOT NULL CHECK (folded BETWEEN 0 AND applied),
            taken_at INTEGER NOT NULL
        ) STRICT;

        CREATE TABLE payer (
            id INTEGER PRIMARY KEY CHECK (id > 0),
            key_id BLOB NOT NULL CHECK (length(key_id) = 16),
            digest BLOB NOT NULL CHECK (length(digest) = 32),
            user_id TEXT,
            team_id TEXT
        ) STRICT;
        CREATE UNIQUE INDEX payer_content ON payer
            (key_id, digest, ifnull('=' || user_id, ''), ifnull('=' || team_id, ''));
        CREATE INDEX payer_digest ON payer (digest);
        CREATE INDEX payer_user ON payer (user_id);
        CREATE INDEX payer_team ON payer (team_id);

        CREATE TABLE route (
            id INTEGER PRIMARY KEY CHECK (id > 0),
            model_group TEXT NOT NULL,
            model TEXT NOT NULL,
            provider TEXT NOT NULL,
            deployment_id TEXT NOT NULL,
            price_version TEXT NOT NULL,
            UNIQUE (model_group, model, provider, deployment_id, price_version)
        ) STRICT;

        CREATE TABLE usage (
            id INTEGER PRIMARY KEY CHECK (id > 0),
            request_high INTEGER NOT NULL,
            request_low INTEGER NOT NULL,
            started_at INTEGER NOT NULL,
            payer_id INTEGER NOT NULL CHECK (payer_id > 0),
            route_id INTEGER NOT NULL CHECK (route_id > 0),
            duration INTEGER NOT NULL,
            first_byte INTEGER NOT NULL,
            bits INTEGER NOT NULL CHECK (bits BETWEEN 0 AND 72057594037927935),
            input INTEGER NOT NULL,
            cached_input INTEGER NOT NULL,
            output INTEGER NOT NULL,
            reasoning_output INTEGER NOT NULL,
            cost INTEGER NOT NULL,
            end_user TEXT
        ) STRICT;

        CREATE TABLE usage_detail (
            id INTEGER PRIMARY KEY REFERENCES usage (id),
            cache_write_input INTEGER NOT NULL,
            cache_write_long_input INTEGER NOT NULL,
            audio_input INTEGER NOT NULL,
            image_input INTEGER NOT NULL,
            audio_output INTEGER NOT NULL,
            image_output INTEGER NOT NULL
        ) STRICT;

        CREATE TABLE usage_block (
            block INTEGER PRIMARY KEY CHECK (block > 0),
            started_min INTEGER NOT NULL,
            started_max INTEGER NOT NULL CHECK (started_max >= started_min),
            request_min INTEGER NOT NULL,
            request_max INTEGER NOT NULL CHECK (request_max >= request_min)
        ) STRICT
        """

    /// Both are a pure function of the rows up to each stream's `folded`. Foreign keys would make an upsert half as
    /// dear again, and say no more than the comparison of `verify`.
    private static let aggregateTables = """
        CREATE TABLE usage_total (
            payer_id INTEGER NOT NULL,
            route_id INTEGER NOT NULL,
            spend INTEGER NOT NULL,
            input_tokens INTEGER NOT NULL,
            cached_tokens INTEGER NOT NULL,
            output_tokens INTEGER NOT NULL,
            reasoning_tokens INTEGER NOT NULL,
            requests INTEGER NOT NULL CHECK (requests > 0),
            errors INTEGER NOT NULL CHECK (errors BETWEEN 0 AND requests),
            PRIMARY KEY (payer_id, route_id)
        ) STRICT, WITHOUT ROWID;

        CREATE TABLE usage_daily (
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
        """

    /// For people with a SQLite shell: every field under its own name, as text where it is a code.
    static let usageView = """
        CREATE VIEW usage_rows AS
        SELECT
            u.id >> 40 AS stream,
            u.id & 1099511627775 AS sequence,
            printf('%08x-%04x-%04x-%04x-%012x', u.request_high >> 32 & 4294967295, u.request_high >> 16 & 65535,
                u.request_high & 65535, u.request_low >> 48 & 65535, u.request_low & 281474976710655) AS request_id,
            u.bits >> 48 & 255 AS attempt,
            strftime('%Y-%m-%dT%H:%M:%S', u.started_at / 1000000, 'unixepoch')
                || printf('.%06dZ', u.started_at % 1000000) AS started_at,
            lower(hex(p.key_id)) AS key_id,
            lower(hex(p.digest)) AS api_key,
            p.user_id, p.team_id,
            r.model_group, r.model, r.provider, r.deployment_id, r.price_version,
            CASE u.bits >> 32 & 15
                WHEN 0 THEN 'acompletion' WHEN 1 THEN 'atext_completion' WHEN 2 THEN 'aembedding'
                ELSE 'kind ' || (u.bits >> 32 & 15) END AS call_type,
            u.bits >> 44 & 1 AS is_stream,
            u.duration AS duration_microseconds,
            CASE WHEN u.first_byte >= 0 THEN u.first_byte END AS first_byte_microseconds,
            u.input AS input_tokens,
            u.cached_input AS cached_input_tokens,
            ifnull(d.cache_write_input, 0) AS cache_write_input_tokens,
            ifnull(d.cache_write_long_input, 0) AS cache_write_long_input_tokens,
            ifnull(d.audio_input, 0) AS audio_input_tokens,
            ifnull(d.image_input, 0) AS image_input_tokens,
            u.output AS output_tokens,
            u.reasoning_output AS reasoning_output_tokens,
            ifnull(d.audio_output, 0) AS audio_output_tokens,
            ifnull(d.image_output, 0) AS image_output_tokens,
            CASE u.bits >> 40 & 15
                WHEN 0 THEN 'standard' WHEN 1 THEN 'flex' WHEN 2 THEN 'priority' WHEN 3 THEN 'batch'
                ELSE 'tier ' || (u.bits >> 40 & 15) END AS service_tier,
            u.cost AS cost_nanos,
            u.cost / 1e9 AS cost_usd,
            u.bits >> 16 & 65535 AS status,
            CASE u.bits >> 36 & 15
                WHEN 0 THEN 'finished' WHEN 1 THEN 'caller_left' WHEN 2 THEN 'upstream_refused'
                WHEN 3 THEN 'upstream_cut' WHEN 4 THEN 'connect_failed' WHEN 5 THEN 'timed_out'
                WHEN 6 THEN 'pod_died' WHEN 7 THEN 'draining' WHEN 8 THEN 'response_invalid'
                ELSE 'outcome ' || (u.bits >> 36 & 15) END AS outcome,
            rtrim(
                CASE WHEN u.bits & 1 THEN 'measured,' ELSE '' END || CASE WHEN u.bits & 2 THEN 'estimated,' ELSE '' END
                || CASE WHEN u.bits & 4 THEN 'orphaned,' ELSE '' END || CASE WHEN u.bits & 8 THEN 'error,' ELSE '' END
                || CASE WHEN u.bits & 16 THEN 'unpriced,' ELSE '' END, ',') AS flags,
            u.end_user
        FROM usage u
        LEFT JOIN payer p ON p.id = u.payer_id
        LEFT JOIN route r ON r.id = u.route_id
        LEFT JOIN usage_detail d ON d.id = u.id
        """

    private static let keyTables = """
        CREATE TABLE virtual_key (
            id INTEGER PRIMARY KEY,
            key_id BLOB NOT NULL UNIQUE CHECK (length(key_id) = 16),
            digest BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),
            key_name TEXT NOT NULL,
            alias TEXT UNIQUE,
            max_budget INTEGER,
            budget_duration TEXT,
            expires_at INTEGER,
            is_blocked INTEGER NOT NULL CHECK (is_blocked IN (0, 1)),
            user_id TEXT,
            team_id TEXT,
            metadata TEXT NOT NULL,
            other_fields TEXT NOT NULL,
            created_by TEXT NOT NULL,
            created_at INTEGER NOT NULL,
            updated_at INTEGER NOT NULL
        ) STRICT;
        CREATE INDEX virtual_key_created ON virtual_key (created_at, id);
        CREATE INDEX virtual_key_user ON virtual_key (user_id);
        CREATE INDEX virtual_key_team ON virtual_key (team_id);

        CREATE TABLE virtual_key_model (
            virtual_key_id INTEGER NOT NULL REFERENCES virtual_key (id) ON DELETE CASCADE,
            position INTEGER NOT NULL CHECK (position >= 0),
            model TEXT NOT NULL,
            PRIMARY KEY (virtual_key_id, position)
        ) STRICT, WITHOUT ROWID;

        CREATE TABLE setting (
            name TEXT PRIMARY KEY NOT NULL,
            value TEXT NOT NULL
        ) STRICT, WITHOUT ROWID;

        CREATE TABLE change (
            position INTEGER PRIMARY KEY CHECK (position > 0),
            kind TEXT NOT NULL CHECK (kind IN ('key', 'setting')),
            reference TEXT NOT NULL
        ) STRICT
        """
}
