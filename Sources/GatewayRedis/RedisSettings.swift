/// Where Redis is and how to talk to it; made by `RedisSettings.init(url:)` or by the configuration.
package struct RedisSettings: Sendable, Hashable {
    package struct Endpoint: Sendable, Hashable {
        package var host: String
        package var port: Int

        package init(host: String, port: Int) {
            self.host = host
            self.port = port
        }

        package var text: String {
            self.host.contains(":") ? "[\(self.host)]:\(self.port)" : "\(self.host):\(self.port)"
        }
    }

    /// Whom to ask for the primary's address (redis.io, "Guidelines for Redis clients with support for Sentinel").
    package struct Sentinel: Sendable, Hashable {
        /// Tried in turn.
        package var endpoints: [Endpoint]
        /// The name that the sentinels know the primary by.
        package var service: String
        /// `nil`: none is needed.
        package var password: String?

        package init(endpoints: [Endpoint], service: String, password: String?) {
            self.endpoints = endpoints
            self.service = service
            self.password = password
        }
    }

    /// Not used with `sentinel` or `socketPath`.
    package var endpoint = Endpoint(host: "localhost", port: Self.portDefault)
    /// A socket in the file system. `nil`: TCP.
    package var socketPath: String?
    /// `nil`: the server at `endpoint` is the one.
    package var sentinel: Sentinel?
    /// `nil`: the server's default user.
    package var user: String?
    /// Never printed. `nil`: none is needed.
    package var password: String?
    package var database = 0
    package var usesTLS = false
    /// Whether the server's certificate must be good for its name.
    package var verifiesCertificate = true
    /// PEM file of the authorities that are trusted. `nil`: the system's.
    package var authorityFile: String?
    /// Goes before every key. Empty: nothing does.
    package var namespace = ""
    /// For one attempt at one address, TLS and greeting included.
    package var connectTimeout: Duration = .seconds(3)
    /// From sending commands to their last answer.
    package var commandTimeout: Duration = .seconds(3)
    /// The longest pause between two attempts to connect.
    package var backoffMax: Duration = .seconds(2)

    package static let portDefault = 6379
    package static let sentinelPortDefault = 26_379
    package static let databasesMax = 65_535

    package init() {}

    /// Where it is, for logs; never the password.
    package var target: String {
        let place: String
        if let sentinel = self.sentinel {
            place = "\(sentinel.service) of sentinels \(sentinel.endpoints.map(\.text).joined(separator: ","))"
        } else {
            place = self.socketPath ?? self.endpoint.text
        }
        return self.database == 0 ? place : "\(place)/\(self.database)"
    }
}
