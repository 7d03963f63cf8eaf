import Foundation
import GatewayCore
import GatewayPostgres
import GatewayRouting

/// Reads everything beside models and routing. Order, later wins: LiteLLM's variables, LiteLLM's sections, `martlet:`,
/// `MARTLET_` variables, flags.
struct SettingsReader {
    let root: ConfigurationNode
    let environment: [String: String]
    let overrides: CommandLineOverrides

    private var lookup: VariableLookup { VariableLookup(environment: self.environment) }

    func apply(to settings: inout Settings, into diagnostics: inout DiagnosticCollector) {
        self.applyVariables(to: &settings, into: &diagnostics)
        self.applySections(to: &settings)
        settings.fleet.retention = self.retention(into: &diagnostics)
        for option in ConfigurationSchema.martletOptions {
            guard let scalar = self.root["martlet"]?[option.name]?.scalar else { continue }
            option.apply(scalar, to: &settings)
        }
        settings.responses.retention = .seconds(settings.responseRetentionDays * 86_400)
        self.applyTimeZone(to: &settings, into: &diagnostics)
        self.applyLogLevel(to: &settings, into: &diagnostics)
        self.applyListener(to: &settings, into: &diagnostics)
        settings.masterKey = self.masterKey(into: &diagnostics)
        settings.saltKey = self.saltKey(into: &diagnostics)
        settings.formerSaltKey = self.lookup.value("MARTLET_FORMER_SALT_KEY").map { Secret($0.value) }
        settings.database = self.database(into: &diagnostics)
        settings.redis = RedisReader(root: self.root, lookup: self.lookup)
            .read(hasDatabase: settings.database != nil, into: &diagnostics)
        settings.redisTransport.directAfter =
            settings.redisDirectAfterSeconds == 0 ? nil : .seconds(settings.redisDirectAfterSeconds)
        settings.storesModels = StoredModelReader.isOn(root: self.root, environment: self.environment)
        self.checkTogether(settings, into: &diagnostics)
    }

    private func applyVariables(
        to settings: inout Settings, into diagnostics: inout DiagnosticCollector
    ) {
        let places: [(String, WritableKeyPath<Settings, Duration>)] = [
            ("GRACEFUL_SHUTDOWN_TIMEOUT", \.dataPlane.drainTimeout),
            ("KEEPALIVE_TIMEOUT", \.dataPlane.keepAliveTimeout),
        ]
        for (name, path) in places {
            guard let (used, value) = self.lookup.value(name) else { continue }
            let scalar = ConfigurationScalar(text: value, isPlain: false, isFromEnvironment: true)
            let node = ConfigurationNode(content: .scalar(scalar), position: .environment)
            guard let duration = node.seconds else {
                diagnostics.error(
                    .environment, used, "the variable \(used) is not a number of seconds",
                    mend: "write such as 30")
                continue
            }
            settings[keyPath: path] = duration
        }
        if let (used, value) = self.lookup.value("SSL_VERIFY"),
            ConfigurationScalar(text: value, isPlain: false).boolean == false
        {
            diagnostics.warning(
                .environment, used, "\(used) turns the check of providers' certificates off",
                mend: "unset it")
        }
    }

    private func applySections(to settings: inout Settings) {
        let litellm = self.root["litellm_settings"]
        let timeout =
            self.root["router_settings"]?["timeout"]?.seconds ?? litellm?["request_timeout"]?.seconds
        if let timeout { settings.dataPlane.totalTimeout = timeout }
        if let isJSON = litellm?["json_logs"]?.scalar?.boolean { settings.logsAreJSON = isJSON }
        if let status = litellm?["budget_exceeded_status_code"]?.scalar?.integer {
            settings.budgetExceededStatus = status
        }
        settings.governance.proxyBudget = litellm?["max_budget"]?.scalar?.number
        settings.governance.proxyBudgetDuration = litellm?["budget_duration"]?.scalar?.text
        if let count = self.root["general_settings"]?["global_max_parallel_requests"]?.scalar?.integer, count > 0 {
            settings.governance.parallelRequestsMax = count
        }
        settings.governance.budgetsRollOver = litellm?["budget_rollover"]?.scalar?.boolean ?? false
        settings.governance.limitsSlide =
            self.root["general_settings"]?["rate_limit_window"]?.scalar?.text == "sliding"
        settings.governance.tokenUnit =
            switch self.root["general_settings"]?["token_rate_limit_type"]?.scalar?.text {
            case "input": .inputTokens
            case "output": .outputTokens
            default: .tokens
            }
        settings.governance.customerBudgetID = litellm?["max_end_user_budget_id"]?.scalar?.text
        if let binds = self.root["general_settings"]?["apply_user_budget_to_team_keys"]?.scalar?.boolean {
            settings.governance.userBudgetBindsTeamKeys = binds
        }
        if let isRequired = litellm?["require_auth_for_metrics_endpoint"]?.scalar?.boolean {
            settings.metricsRequireKey = isRequired
        }
        if let mebibytes = self.root["general_settings"]?["max_request_size_mb"]?.scalar?.number,
            mebibytes > 0, mebibytes <= 4096
        {
            settings.dataPlane.requestBodyBytesMax = max(1024, Int((mebibytes * 1_048_576).rounded()))
        }
    }

    private func applyTimeZone(
        to settings: inout Settings, into diagnostics: inout DiagnosticCollector
    ) {
        guard let node = self.root["litellm_settings"]?["timezone"], let name = node.scalar?.text else { return }
        if TimeZone(identifier: name) != nil {
            settings.governance.timeZone = name
        } else {
            diagnostics.error(
                node.position, "litellm_settings.timezone", "timezone is no time zone that this machine knows",
                mend: "write such as Europe/Warsaw or Etc/UTC; Debian has the list in the package tzdata")
        }
    }

    private func applyLogLevel(
        to settings: inout Settings, into diagnostics: inout DiagnosticCollector
    ) {
        let isInFile = self.root["martlet"]?["log_level"] != nil
        var sources: [(position: SourcePosition, name: String, value: String)] = []
        if let (used, value) = self.lookup.value("LITELLM_LOG"), used != "LITELLM_LOG" || !isInFile {
            sources.append((.environment, used, value))
        }
        if let level = self.overrides.logLevel { sources.append((.commandLine, "--log-level", level)) }
        for source in sources {
            // `WARN` is how some write Python's level.
            let name = source.value.lowercased() == "warn" ? "warning" : source.value.lowercased()
            if let level = LogLevel(rawValue: name) {
                settings.logLevel = level
            } else {
                diagnostics.error(
                    source.position, source.name, "\(source.name) is not a log level",
                    mend: "use one of: \(LogLevel.allCases.map(\.rawValue).joined(separator: ", "))")
            }
        }
    }

    private func applyListener(
        to settings: inout Settings, into diagnostics: inout DiagnosticCollector
    ) {
        let variablePort = self.lookup.value("MARTLET_PORT")
        if let (name, value) = variablePort, Int(value) == nil {
            diagnostics.error(
                .environment, name, "\(name) is not a port", mend: "write a number, 0 to 65535")
        }
        if let host = self.overrides.host ?? self.lookup.value("MARTLET_HOST")?.value {
            settings.dataPlane.host = host
        }
        if let port = self.overrides.port ?? variablePort.flatMap({ Int($0.value) }) {
            let isFlag = self.overrides.port != nil
            if (0...65_535).contains(port) {
                settings.dataPlane.port = port
            } else {
                diagnostics.error(
                    isFlag ? .commandLine : .environment, isFlag ? "--port" : "MARTLET_PORT",
                    "the port is out of range",
                    mend: "use 0 to 65535")
            }
        }
        if let directory = self.overrides.dataDirectory ?? self.lookup.value("MARTLET_DATA")?.value {
            settings.dataDirectory = directory
        }
        if let threads = self.overrides.threads {
            if (0...1024).contains(threads) {
                settings.dataPlane.eventLoops = threads
            } else {
                diagnostics.error(
                    .commandLine, "--threads", "the number of threads is out of range", mend: "use 0 to 1024")
            }
        }
        if settings.dataPlane.host.isEmpty || settings.dataDirectory.isEmpty {
            diagnostics.error(
                .commandLine, "--host", "the host or the data directory is empty", mend: "name one")
        }
    }

    /// `MARTLET_MASTER_KEY`, else `general_settings.master_key`, else `LITELLM_MASTER_KEY`.
    private func masterKey(into diagnostics: inout DiagnosticCollector) -> Secret? {
        let variable = self.lookup.value("LITELLM_MASTER_KEY")
        let node = self.root["general_settings"]?["master_key"]
        let isTwin = variable.map { $0.name != "LITELLM_MASTER_KEY" } ?? false
        let position: SourcePosition
        let name: String
        let key: String
        if let node, let text = node.scalar?.text, !isTwin {
            (position, name, key) = (node.position, "general_settings.master_key", text)
        } else if let variable {
            (position, name, key) = (.environment, variable.name, variable.value)
        } else {
            return nil
        }
        guard HeaderReader.isValue(key), key.utf8.count <= 512 else {
            diagnostics.error(
                position, name,
                "the master key is empty, too long, or holds a blank or control character at fault",
                mend: "use such as sk- and 32 letters and digits")
            return nil
        }
        if key.utf8.count < 16 {
            diagnostics.warning(
                position, name, "the master key is short and can be guessed",
                mend: "use such as sk- and 32 letters and digits")
        } else if !key.hasPrefix("sk-") {
            diagnostics.warning(
                position, name, "the master key does not start with sk-",
                mend: "LiteLLM's clients expect that")
        }
        return Secret(key)
    }

    /// `MARTLET_DATABASE_URL`, else `general_settings.database_url`, else LiteLLM's variables. An empty twin means none.
    private func database(into diagnostics: inout DiagnosticCollector) -> PostgresSettings? {
        var environment = self.environment
        var position = SourcePosition.environment
        var name = self.lookup.value("DATABASE_URL")?.name ?? "DATABASE_HOST"
        if environment["MARTLET_DATABASE_URL"] == nil, let node = self.root["general_settings"]?["database_url"],
            let text = node.scalar?.text, !text.isEmpty
        {
            environment["MARTLET_DATABASE_URL"] = text
            (position, name) = (node.position, "general_settings.database_url")
        } else if environment["MARTLET_DATABASE_URL"] == "" {
            return nil
        }
        do throws(PostgresError) {
            guard let database = try PostgresSettings(environment: environment) else { return nil }
            for note in database.notes { diagnostics.warning(position, name, note, mend: nil) }
            return database
        } catch {
            diagnostics.error(position, name, error.message, mend: "write postgresql://user:password@host:5432/name")
            return nil
        }
    }

    /// `general_settings.maximum_spend_logs_retention_period`: a number and `s`, `m`, `h`, `d` or `w`; a bare number is
    /// seconds.
    private func retention(into diagnostics: inout DiagnosticCollector) -> Duration? {
        let name = "maximum_spend_logs_retention_period"
        guard let node = self.root["general_settings"]?[name], let text = node.scalar?.text, !text.isEmpty else {
            return nil
        }
        let units: [String: Int64] = ["": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800]
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        let secondsMax: Int64 = 100 * 366 * 86_400
        guard digits.utf8.count <= 10, let amount = Int64(digits),
            let unit = units[String(text.dropFirst(digits.count))],
            amount >= 1, amount <= secondsMax / unit, amount * unit >= 3600
        else {
            diagnostics.error(
                node.position, "general_settings.\(name)", "\(name) is no length of time from an hour to 100 years",
                mend: "write such as 30d or 24h")
            return nil
        }
        return .seconds(amount * unit)
    }

    private func saltKey(into diagnostics: inout DiagnosticCollector) -> Secret? {
        guard let (name, key) = self.lookup.value("LITELLM_SALT_KEY") else { return nil }
        if key.utf8.count < 16 {
            diagnostics.warning(
                .environment, name, "the salt key is short and can be guessed",
                mend: "use such as 32 random letters and digits; see `martlet credentials rotate`")
        }
        return Secret(key)
    }

    /// Rules between values.
    private func checkTogether(_ settings: Settings, into diagnostics: inout DiagnosticCollector) {
        let martlet = self.root["martlet"]
        let position = martlet?.position ?? SourcePosition(file: self.root.position.file)
        func place(_ key: String) -> SourcePosition { martlet?[key]?.position ?? position }
        let plane = settings.dataPlane
        if (plane.certificateFile == nil) != (plane.keyFile == nil) {
            let key = plane.certificateFile == nil ? "tls_key_file" : "tls_certificate_file"
            diagnostics.error(
                place(key), "martlet.\(key)", "TLS needs a certificate and its key",
                mend: "set both tls_certificate_file and tls_key_file, or neither")
        }
        if settings.ledger.journalSegmentBytes > settings.ledger.journalBytesMax / 4 {
            diagnostics.error(
                place("journal_segment_bytes"), "martlet.journal_segment_bytes",
                "journal_segment_bytes is more than a quarter of journal_bytes_max",
                mend: "make segments smaller or the journal larger")
        }
        if settings.fleet.adoptionDirectory != nil, settings.database == nil {
            diagnostics.error(
                place("adopt_journals_from"), "martlet.adopt_journals_from",
                "adopt_journals_from needs PostgreSQL: with SQLite there is one pod, with one journal",
                mend: "remove it, or set DATABASE_URL")
        }
        if plane.requestBodyBytesMax > plane.requestBodiesBytesMax {
            diagnostics.error(
                place("request_bodies_bytes_max"), "martlet.request_bodies_bytes_max",
                "request_bodies_bytes_max is less than request_body_bytes_max",
                mend: "one body must fit into the room for all")
        }
    }
}
