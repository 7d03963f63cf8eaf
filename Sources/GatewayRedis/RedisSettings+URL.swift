extension RedisSettings {
    /// Parses `redis://`, `rediss://` (TLS) and `unix://` addresses as redis-py does
    /// (redis.io, "redis-py: Redis.from_url"): `redis://user:password@host:6379/0`, a lone part before `@` being the
    /// user, percent signs decoded, and the parameters `db`, `username`, `password` and `ssl_cert_reqs`, `ssl_ca_certs`.
    /// - Throws: `.settings`. The text never repeats the address, because it holds the password.
    package init(url: String) throws(RedisError) {
        self.init()
        guard let mark = url.firstRange(of: "://") else { throw Self.unreadable }
        let scheme = url[..<mark.lowerBound].lowercased()
        guard ["redis", "rediss", "unix"].contains(scheme) else { throw Self.unreadable }
        self.usesTLS = scheme == "rediss"
        var rest = url[mark.upperBound...]
        if let fragment = rest.firstIndex(of: "#") { rest = rest[..<fragment] }
        var parameters = rest[rest.endIndex...]
        if let question = rest.firstIndex(of: "?") {
            parameters = rest[rest.index(after: question)...]
            rest = rest[..<question]
        }
        let slash = rest.firstIndex(of: "/") ?? rest.endIndex
        try self.takeAuthority(rest[..<slash], isSocket: scheme == "unix")
        let path = rest[slash...]
        if scheme == "unix" {
            guard path.utf8.count > 1 else { throw Self.unreadable }
            self.socketPath = try Self.decoded(path)
        } else if path.utf8.count > 1 {
            try self.takeDatabase(String(path.dropFirst()))
        }
        for parameter in parameters.split(separator: "&") { try self.takeParameter(parameter) }
    }

    static let unreadable = RedisError(
        .settings,
        "The address of Redis cannot be read: write redis://user:password@host:6379/0, or rediss:// for TLS, and write "
            + "other signs than letters and digits in user or password as % and two hexadecimal digits.")

    private mutating func takeAuthority(_ authority: Substring, isSocket: Bool) throws(RedisError) {
        var place = authority
        if let at = authority.lastIndex(of: "@") {
            let parts = authority[..<at].split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            if !parts[0].isEmpty { self.user = try Self.decoded(parts[0]) }
            if parts.count > 1, !parts[1].isEmpty { self.password = try Self.decoded(parts[1]) }
            place = authority[authority.index(after: at)...]
        }
        if isSocket || place.isEmpty { return }
        self.endpoint = try Self.endpoint(place, portDefault: Self.portDefault)
    }

    /// `host`, `host:port` or `[address]:port`, the port being that of sentinels if there is none.
    package static func sentinelEndpoint(_ text: String) throws(RedisError) -> Endpoint {
        try Self.endpoint(text[...], portDefault: Self.sentinelPortDefault)
    }

    /// `host`, `host:port` or `[address]:port`.
    static func endpoint(_ text: Substring, portDefault: Int) throws(RedisError) -> Endpoint {
        var (host, port) = (text, text[text.endIndex...])
        if text.hasPrefix("[") {
            guard let close = text.firstIndex(of: "]") else { throw Self.unreadable }
            host = text[text.index(after: text.startIndex)..<close]
            port = text[text.index(after: close)...]
            guard port.isEmpty || port.hasPrefix(":") else { throw Self.unreadable }
            port = port.dropFirst()
        } else if let colon = text.lastIndex(of: ":") {
            host = text[..<colon]
            port = text[text.index(after: colon)...]
        }
        guard !host.isEmpty, let number = port.isEmpty ? portDefault : Int(port), (1...65_535).contains(number) else {
            throw Self.unreadable
        }
        return Endpoint(host: try Self.decoded(host), port: number)
    }

    private mutating func takeDatabase(_ text: String) throws(RedisError) {
        guard let number = Int(text), (0...Self.databasesMax).contains(number) else {
            throw RedisError(.settings, "The address of Redis ends with no database's number: write such as /0.")
        }
        self.database = number
    }

    private mutating func takeParameter(_ parameter: Substring) throws(RedisError) {
        let parts = parameter.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        let value = parts.count > 1 ? try Self.decoded(parts[1]) : ""
        switch parts[0] {
        case "db": try self.takeDatabase(value)
        case "username": self.user = value
        case "password": self.password = value
        case "ssl_cert_reqs": self.verifiesCertificate = value.lowercased() != "none"
        case "ssl_ca_certs": self.authorityFile = value
        default:
            // Others tune a client that is not ours, such as its pool and its timeouts.
            return
        }
    }

    private static func decoded(_ text: Substring) throws(RedisError) -> String {
        guard text.utf8.contains(UInt8(ascii: "%")) else { return String(text) }
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard rest.count >= 2, let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16) else {
                throw Self.unreadable
            }
            bytes.append(value)
            rest = rest.dropFirst(2)
        }
        guard let text = String(validating: bytes, as: UTF8.self) else { throw Self.unreadable }
        return text
    }
}
