import CPostgres
import Glibc

extension PostgresSettings {
    /// Parses `postgres://`, `postgresql://` or libpq's `keyword=value` text (libpq, "Connection Strings"), several
    /// hosts and every parameter that the installed libpq knows included. Parameters that Prisma or a driver in another
    /// language put there are understood or ignored with a note.
    /// - Throws: `.settings`. The text never repeats the address, because it holds the password.
    package init(url: String, schema: String? = nil) throws(PostgresError) {
        self.init(keywords: [], schema: schema ?? Self.schemaDefault)
        let address = url.hasPrefix("postgres://") || url.hasPrefix("postgresql://")
        let text = address ? try self.takingForeignParameters(url, keepsSchema: schema != nil) : url
        self.keywords = try Self.libpqKeywords(text)
        guard self.keywords.contains(where: { ["host", "hostaddr", "service", "dbname"].contains($0.name) }) else {
            throw PostgresError(
                .settings,
                "DATABASE_URL names neither a host nor a database: write postgresql://user:password@host/name.")
        }
        try self.complete()
    }

    /// `DATABASE_URL`, or LiteLLM's `DATABASE_HOST`, `DATABASE_PORT`, `DATABASE_USERNAME` (or `DATABASE_USER`),
    /// `DATABASE_PASSWORD`, `DATABASE_NAME` and `DATABASE_SCHEMA`. A `MARTLET_` twin of each wins.
    /// - Returns: `nil` when none is set: there is no database.
    package init?(environment: [String: String]) throws(PostgresError) {
        func value(_ name: String) -> String? {
            let value = environment["MARTLET_\(name)"] ?? environment[name]
            return value?.isEmpty == true ? nil : value
        }
        if let url = value("DATABASE_URL") {
            try self.init(url: url, schema: environment["MARTLET_DATABASE_SCHEMA"])
            return
        }
        guard let host = value("DATABASE_HOST") else { return nil }
        self.init(keywords: [("host", host)], schema: environment["MARTLET_DATABASE_SCHEMA"] ?? Self.schemaDefault)
        guard let name = value("DATABASE_NAME") else {
            throw PostgresError(.settings, "DATABASE_HOST is set, but DATABASE_NAME is not: set it, or DATABASE_URL.")
        }
        self.keywords.append(("dbname", name))
        if let port = value("DATABASE_PORT") { self.keywords.append(("port", port)) }
        if let user = value("DATABASE_USERNAME") ?? value("DATABASE_USER") { self.keywords.append(("user", user)) }
        if let password = value("DATABASE_PASSWORD") { self.keywords.append(("password", password)) }
        if value("DATABASE_SCHEMA") != nil && environment["MARTLET_DATABASE_SCHEMA"] == nil {
            self.notes.append(
                "DATABASE_SCHEMA names the schema of LiteLLM's tables; ours is \(self.schema) "
                    + "(MARTLET_DATABASE_SCHEMA).")
        }
        try self.complete()
    }

    /// Cuts out of an address what libpq does not know.
    private mutating func takingForeignParameters(
        _ url: String, keepsSchema: Bool
    ) throws(PostgresError) -> String {
        guard let mark = url.firstIndex(of: "?") else { return url }
        let known = Self.knownKeywords
        var kept: [Substring] = []
        for parameter in url[url.index(after: mark)...].split(separator: "&") {
            let parts = parameter.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let (name, value) = (String(parts[0]), parts.count > 1 ? String(parts[1]) : "")
            if known.contains(name) || name == "ssl" {
                kept.append(parameter)
            } else {
                try self.takeForeign(name, value)
            }
        }
        return url[..<mark] + (kept.isEmpty ? "" : "?" + kept.joined(separator: "&"))
    }

    private mutating func takeForeign(_ name: String, _ value: String) throws(PostgresError) {
        let isOn = ["true", "1", "on", "yes"].contains(value)
        switch name {
        case "pgbouncer":
            if isOn { self.preparesStatements = false }
        case "statement_cache", "statement_cache_size", "prepare_threshold", "prepareThreshold":
            if ["off", "0", "false"].contains(value) { self.preparesStatements = false }
        case "statement_timeout", "socket_timeout":
            // Prisma's socket_timeout is in seconds, PostgreSQL's statement_timeout in milliseconds.
            guard let number = Int64(value), number > 0, number < 86_400_000 else { return }
            self.statementTimeout = name == "socket_timeout" ? .seconds(number) : .milliseconds(number)
        case "martlet_schema": self.schema = value
        case "schema":
            self.notes.append(
                "The parameter schema=\(value) of DATABASE_URL names the schema of LiteLLM's tables; ours is "
                    + "\(self.schema) (martlet_schema).")
        case "connection_limit", "pool_timeout":
            self.notes.append("The parameter \(name) of DATABASE_URL is not needed: a pod opens at most 3 connections.")
        default:
            self.notes.append("The parameter \(name) of DATABASE_URL is not known and ignored.")
        }
    }

    /// What is set when the operator says nothing else, and what our own code relies on.
    private mutating func complete() throws(PostgresError) {
        func has(_ name: String) -> Bool { self.keywords.contains { $0.name == name } }
        if let given = self.value(of: "connect_timeout").flatMap(Int64.init), given > 0 {
            self.connectTimeout = .seconds(given)
        }
        if self.schema.isEmpty || self.schema.utf8.count > 63 || self.schema.utf8.contains(0) {
            throw PostgresError(.settings, "The schema's name must have 1 to 63 bytes.")
        }
        let severalHosts = self.value(of: "host")?.contains(",") ?? false
        let defaults = [
            ("application_name", "martlet"), ("keepalives_idle", "30"), ("keepalives_interval", "10"),
            ("keepalives_count", "3"), ("tcp_user_timeout", "30000"),
            ("target_session_attrs", severalHosts ? "read-write" : "any"),
        ]
        for (name, value) in defaults where !has(name) { self.keywords.append((name, value)) }
        self.keywords.removeAll { $0.name == "client_encoding" || $0.name == "connect_timeout" }
        self.keywords.append(("client_encoding", "UTF8"))
        let seconds = max(2, self.connectTimeout.components.seconds)
        self.keywords.append(("connect_timeout", String(seconds)))
    }

    /// The keywords of the installed libpq.
    private static var knownKeywords: Set<String> {
        guard let options = PQconndefaults() else { return [] }
        defer { PQconninfoFree(options) }
        return Set(Self.pairs(options, onlySet: false).map(\.name))
    }

    private static func libpqKeywords(_ text: String) throws(PostgresError) -> [(name: String, value: String)] {
        var message: UnsafeMutablePointer<CChar>?
        guard let options = PQconninfoParse(text, &message) else {
            // libpq's own message may repeat the password.
            if let message { PQfreemem(message) }
            throw PostgresError(
                .settings,
                "DATABASE_URL cannot be read: write postgresql://user:password@host:port/name, and write other signs "
                    + "than letters and digits in user or password as % and two hexadecimal digits.")
        }
        defer { PQconninfoFree(options) }
        return Self.pairs(options, onlySet: true)
    }

    private static func pairs(
        _ options: UnsafeMutablePointer<PQconninfoOption>, onlySet: Bool
    ) -> [(name: String, value: String)] {
        var pairs: [(name: String, value: String)] = []
        var option = options
        while let keyword = option.pointee.keyword {
            if let value = option.pointee.val {
                pairs.append((String(cString: keyword), String(cString: value)))
            } else if !onlySet {
                pairs.append((String(cString: keyword), ""))
            }
            option += 1
        }
        return pairs
    }
}
