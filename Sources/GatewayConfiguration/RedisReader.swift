import GatewayRedis

/// Reads where Redis is, for `general_settings.use_redis_transaction_buffer`, from the places where LiteLLM's users have
/// it: a `MARTLET_REDIS_` variable wins over `litellm_settings.cache_params`, which wins over a `REDIS_` variable. As in
/// LiteLLM an address wins over its parts, wherever they stand.
struct RedisReader {
    let root: ConfigurationNode
    let lookup: VariableLookup

    private static let switchName = "use_redis_transaction_buffer"
    private static let place = "general_settings.\(Self.switchName)"

    /// Variables with the key of `cache_params` that says the same.
    static let variables: [(name: String, key: String)] = [
        ("REDIS_URL", "url"), ("REDIS_HOST", "host"), ("REDIS_PORT", "port"), ("REDIS_USERNAME", "username"),
        ("REDIS_PASSWORD", "password"), ("REDIS_DB", "db"), ("REDIS_SSL", "ssl"),
        ("REDIS_SENTINEL_NODES", "sentinel_nodes"), ("REDIS_SERVICE_NAME", "service_name"),
        ("REDIS_SENTINEL_PASSWORD", "sentinel_password"), ("REDIS_CLUSTER_NODES", "redis_startup_nodes"),
    ]

    static func isOn(_ root: ConfigurationNode) -> Bool {
        root["general_settings"]?[Self.switchName]?.scalar?.boolean == true
    }

    private var parameters: ConfigurationNode? { self.root["litellm_settings"]?["cache_params"] }

    /// - Returns: `nil`: the transport is not asked for, or cannot work, which is an error then.
    func read(hasDatabase: Bool, into diagnostics: inout DiagnosticCollector) -> RedisSettings? {
        guard Self.isOn(self.root) else {
            self.warnOfUseless(into: &diagnostics)
            return nil
        }
        let position = self.root["general_settings"]?[Self.switchName]?.position ?? self.root.position
        guard hasDatabase else {
            diagnostics.error(
                position, Self.place, "\(Self.switchName) needs PostgreSQL: SQLite has one pod and one writer",
                mend: "set DATABASE_URL, or remove the key")
            return nil
        }
        if self.value("REDIS_CLUSTER_NODES") != nil || self.parameters?["redis_startup_nodes"] != nil {
            diagnostics.error(
                position, Self.place, "\(Self.switchName) does not work with a cluster of Redis",
                mend: "name a server that is not part of one, by REDIS_URL or litellm_settings.cache_params")
            return nil
        }
        do throws(RedisError) {
            if let settings = try self.settings() { return settings }
            diagnostics.error(
                position, Self.place, "\(Self.switchName) is on, but no Redis is named",
                mend: "set REDIS_URL or REDIS_HOST, or litellm_settings.cache_params with type: redis")
        } catch {
            diagnostics.error(position, Self.place, error.message, mend: "correct REDIS_URL or cache_params")
        }
        return nil
    }

    /// `nil`: none is named.
    private func settings() throws(RedisError) -> RedisSettings? {
        var settings = RedisSettings()
        let url = self.value("REDIS_URL")
        let nodes = try self.sentinels()
        if let url {
            settings = try RedisSettings(url: url)
        } else if let host = self.value("REDIS_HOST") {
            settings.endpoint.host = host
            if let text = self.value("REDIS_PORT") {
                guard let port = Int(text), (1...65_535).contains(port) else {
                    throw RedisError(.settings, "The port of Redis is no number from 1 to 65535.")
                }
                settings.endpoint.port = port
            }
        } else if nodes.isEmpty {
            return nil
        }
        if !nodes.isEmpty {
            guard let service = self.value("REDIS_SERVICE_NAME") else {
                throw RedisError(.settings, "Sentinels are named, but not the service that they watch (service_name).")
            }
            settings.sentinel = .init(
                endpoints: nodes, service: service, password: self.value("REDIS_SENTINEL_PASSWORD"))
        }
        if settings.user == nil { settings.user = self.value("REDIS_USERNAME") }
        if settings.password == nil { settings.password = self.value("REDIS_PASSWORD") }
        if url == nil, let text = self.value("REDIS_DB") {
            guard let database = Int(text), (0...RedisSettings.databasesMax).contains(database) else {
                throw RedisError(.settings, "The database's number of Redis (db) is none.")
            }
            settings.database = database
        }
        if let text = self.value("REDIS_SSL"), ConfigurationScalar(text: text, isPlain: false).boolean == true {
            settings.usesTLS = true
        }
        self.takeCertificates(into: &settings)
        settings.namespace = self.parameter("namespace") ?? ""
        return settings
    }

    private func takeCertificates(into settings: inout RedisSettings) {
        if let text = self.parameter("ssl_cert_reqs")?.lowercased(), ["none", "cert_none", "false"].contains(text) {
            settings.verifiesCertificate = false
        }
        if let file = self.parameter("ssl_ca_certs") { settings.authorityFile = file }
    }

    /// A list of pairs, or the same as JSON text in a variable, or `host:port` texts.
    private func sentinels() throws(RedisError) -> [RedisSettings.Endpoint] {
        var words: [String] = []
        if let nodes = self.parameters?["sentinel_nodes"]?.sequence, !self.isTwinSet("REDIS_SENTINEL_NODES") {
            for node in nodes {
                words += (node.sequence ?? [node]).compactMap { $0.scalar?.text }
            }
        } else if let text = self.value("REDIS_SENTINEL_NODES") {
            words = text.split { "[]\"', \t\n".contains($0) }.map(String.init)
        }
        var endpoints: [RedisSettings.Endpoint] = []
        for word in words {
            if let port = Int(word), (1...65_535).contains(port), !endpoints.isEmpty {
                endpoints[endpoints.count - 1].port = port
            } else {
                endpoints.append(try RedisSettings.sentinelEndpoint(word))
            }
        }
        return endpoints
    }

    private func isTwinSet(_ name: String) -> Bool { self.lookup.value(name).map { $0.name != name } ?? false }

    private func value(_ name: String) -> String? {
        let variable = self.lookup.value(name)
        if let variable, variable.name != name { return variable.value }
        if let key = Self.variables.first(where: { $0.name == name })?.key, let text = self.parameter(key) {
            return text
        }
        return variable?.value
    }

    private func parameter(_ key: String) -> String? {
        guard let text = self.parameters?[key]?.scalar?.text, !text.isEmpty else { return nil }
        return text
    }

    private func warnOfUseless(into diagnostics: inout DiagnosticCollector) {
        for (name, _) in Self.variables {
            guard let (used, _) = self.lookup.value(name) else { continue }
            diagnostics.warning(
                .environment, used, "nothing uses \(used), because \(Self.place) is off", mend: "pods need no Redis")
        }
        guard let entry = self.root["litellm_settings"]?.mapping?.first(where: { $0.key == "cache_params" }),
            !entry.value.isOff
        else { return }
        diagnostics.warning(
            entry.keyPosition, "litellm_settings.cache_params",
            "nothing uses cache_params, because \(Self.place) is off",
            mend: "it belongs to a feature that this version does not have")
    }
}
