extension ConfigurationSchema {
    /// An environment variable with what becomes of it.
    package struct Variable: Sendable, Hashable {
        package var name: String
        /// Wins over `name`, also when it is empty, which means "not set". `nil`: none.
        package var twin: String?
        package var treatment: Treatment
    }

    package static let variables: [Variable] = join(
        [
            Variable(
                name: "LITELLM_MASTER_KEY", twin: "MARTLET_MASTER_KEY",
                treatment: .supported(
                    "The administrator's key. `general_settings.master_key` wins over the first, the twin over both."
                )),
            Variable(
                name: "LITELLM_SALT_KEY", twin: "MARTLET_SALT_KEY",
                treatment: .supported(
                    "Seals the secrets of stored models and credentials; all pods need the same. Without it the "
                        + "configured master key does.")),
            Variable(
                name: "MARTLET_FORMER_SALT_KEY", twin: nil,
                treatment: .supported("Opens secrets that were sealed before a rotation of the salt key.")),
            Variable(
                name: "STORE_MODEL_IN_DB", twin: "MARTLET_STORE_MODEL_IN_DB",
                treatment: .supported(
                    "`true` turns `general_settings.store_model_in_db` on; the twin wins over both.")),
            Variable(
                name: "LITELLM_LOG", twin: "MARTLET_LOG",
                treatment: .supported(
                    "Log level; `martlet.log_level` wins over the first, the twin over both.")),
            Variable(
                name: "SSL_VERIFY", twin: "MARTLET_SSL_VERIFY",
                treatment: .supported("Default of `ssl_verify`; the settings of the file win.")),
            Variable(
                name: "GRACEFUL_SHUTDOWN_TIMEOUT", twin: "MARTLET_GRACEFUL_SHUTDOWN_TIMEOUT",
                treatment: .supported("As `martlet.drain_timeout_seconds`, which wins.")),
            Variable(
                name: "KEEPALIVE_TIMEOUT", twin: "MARTLET_KEEPALIVE_TIMEOUT",
                treatment: .supported("As `martlet.keep_alive_timeout_seconds`, which wins.")),
            Variable(
                name: "MARTLET_HOST", twin: nil,
                treatment: .supported("As `martlet.host`, over which it wins.")),
            Variable(
                name: "MARTLET_PORT", twin: nil,
                treatment: .supported("As `martlet.port`, over which it wins.")),
            Variable(
                name: "MARTLET_DATA", twin: nil,
                treatment: .supported("As `martlet.data_directory`, over which it wins.")),
        ],
        Self.twins(
            "DATABASE_URL",
            .supported("PostgreSQL that holds the ledger, for any number of pods; without it the ledger is SQLite.")),
        Self.twins(
            "DATABASE_HOST DATABASE_PORT DATABASE_USERNAME DATABASE_USER DATABASE_PASSWORD DATABASE_NAME DATABASE_SCHEMA",
            .supported("The same in parts, when there is no `DATABASE_URL`.")),
        Self.twins(
            "DATABASE_URL_READ_REPLICA",
            .unsupported("a pod opens at most 3 connections, all to the primary; unset it")),
        Self.twins(
            "LITELLM_CONFIG_BUCKET_NAME LITELLM_CONFIG_BUCKET_TYPE LITELLM_CONFIG_BUCKET_OBJECT_KEY",
            .unsupported("mount the configuration as a file")),
        Self.twins(
            "SERVER_ROOT_PATH", .unsupported("let the proxy in front cut the path off, then unset it")),
        Self.twins(
            "REDIS_URL", .supported("Redis of `use_redis_transaction_buffer`, `rediss://` with TLS.")),
        Self.twins(
            """
            REDIS_HOST REDIS_PORT REDIS_USERNAME REDIS_PASSWORD REDIS_DB REDIS_SSL REDIS_SENTINEL_NODES
            REDIS_SERVICE_NAME REDIS_SENTINEL_PASSWORD
            """,
            .supported("The same in parts; an address wins over them, and so does `litellm_settings.cache_params`.")),
        Self.twins(
            "REDIS_CLUSTER_NODES",
            .supported("Refused with `use_redis_transaction_buffer`: clusters are not supported.")),
        Self.twins(
            "UI_USERNAME UI_PASSWORD PROXY_BASE_URL PROXY_ADMIN_ID LITELLM_LICENSE",
            .withoutEffect("there is no UI in this version")),
        Self.twins(
            """
            LITELLM_MODE NUM_WORKERS PROMETHEUS_MULTIPROC_DIR USE_PRISMA_MIGRATE DISABLE_SCHEMA_UPDATE
            MAX_REQUESTS_BEFORE_RESTART
            """, .withoutEffect("one process serves all and migrates by itself")),
        Self.twins(
            "LITELLM_RATE_LIMIT_WINDOW_SIZE LITELLM_TPM_TOKEN_RESERVATION_ENABLED",
            .withoutEffect("minutes and days are fixed windows, and tokens are always reserved")),
        Self.twins(
            "LITELLM_MAX_STREAMING_DURATION_SECONDS",
            .withoutEffect("use `router_settings.stream_timeout`")),
        Self.twins("SMTP_HOST SLACK_WEBHOOK_URL", .withoutEffect("alerts are made from /metrics")),
        Self.twins(
            "MICROSOFT_CLIENT_ID GOOGLE_CLIENT_ID GENERIC_CLIENT_ID",
            .withoutEffect("there is no UI to sign in to in this version")))

    /// Rows for variables whose twin has `MARTLET_` before their name, in place of `LITELLM_` if they have it.
    private static func twins(_ names: String, _ treatment: Treatment) -> [Variable] {
        names.split { $0 == " " || $0 == "\n" }.map { name in
            let base = name.hasPrefix("LITELLM_") ? name.dropFirst("LITELLM_".count) : name
            return Variable(name: String(name), twin: "MARTLET_\(base)", treatment: treatment)
        }
    }

    /// A flag of `martlet serve` for the documentation.
    struct Flag: Sendable, Hashable {
        var name: String
        var summary: String
    }

    static let flags: [Flag] = [
        Flag(
            name: "--config FILE",
            summary: "The configuration. Without it, the environment's API keys configure."),
        Flag(name: "--host ADDRESS", summary: "As `martlet.host`, over which it wins."),
        Flag(name: "--port N", summary: "As `martlet.port`, over which it wins."),
        Flag(name: "--data DIR", summary: "As `martlet.data_directory`, over which it wins."),
        Flag(name: "--threads N", summary: "As `martlet.event_loops`, over which it wins."),
        Flag(name: "--log-level LEVEL", summary: "As `martlet.log_level`, over which it wins."),
    ]
}

/// The process's variables with twins applied.
struct VariableLookup: Sendable {
    let environment: [String: String]

    /// `nil`: not set, or empty.
    func value(of variable: ConfigurationSchema.Variable) -> (name: String, value: String)? {
        if let twin = variable.twin, let value = self.environment[twin] {
            return value.isEmpty ? nil : (twin, value)
        }
        guard let value = self.environment[variable.name], !value.isEmpty else { return nil }
        return (variable.name, value)
    }

    /// Looks `name` up in the schema's table. `nil`: not set, or empty.
    func value(_ name: String) -> (name: String, value: String)? {
        guard let variable = ConfigurationSchema.variables.first(where: { $0.name == name }) else {
            return nil
        }
        return self.value(of: variable)
    }
}
