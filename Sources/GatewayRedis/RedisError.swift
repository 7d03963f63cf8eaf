import GatewayLedger

/// What went wrong at Redis, sorted by what the caller may do. The text is for an operator: it never holds a password or
/// a value.
package struct RedisError: Error, Sendable, Equatable {
    package enum Kind: String, Sendable, CaseIterable {
        /// No connection came about; nothing was sent.
        case unreachable
        /// The connection broke, or no answer came in time: what was sent may have taken effect.
        case connectionLost
        /// Name, password or a right is missing (WRONGPASS, NOAUTH, NOPERM).
        case refused
        /// A replica, a server that loads, or one without room (READONLY, LOADING, MASTERDOWN, OOM, MISCONF, BUSY).
        case unfit
        /// The settings cannot work, whatever the server does.
        case settings
        /// Anything else that the server said.
        case other
    }

    package var kind: Kind
    package var message: String

    package init(_ kind: Kind, _ message: String) {
        self.kind = kind
        self.message = message
    }

    /// Sorts an error of the server by its first word (redis.io, "Redis serialization protocol", simple errors). The
    /// rest of the text may repeat what was sent, so only that word is kept.
    init(reply text: String, target: String) {
        let code = text.prefix { $0 != " " }
        let word = code.utf8.allSatisfy { (65...90).contains($0) } ? String(code.prefix(32)) : "ERR"
        let kind: Kind
        let mend: String
        switch word {
        case "WRONGPASS", "NOAUTH", "NOPERM":
            (kind, mend) = (.refused, "check REDIS_USERNAME, REDIS_PASSWORD and the server's access list")
        case "READONLY", "MASTERDOWN":
            (kind, mend) = (.unfit, "it is a replica: name the primary, or the sentinels")
        case "LOADING", "BUSY", "TRYAGAIN": (kind, mend) = (.unfit, "it is tried again")
        case "OOM": (kind, mend) = (.unfit, "raise maxmemory, or give the queue a server of its own")
        case "MISCONF": (kind, mend) = (.unfit, "the server cannot write its snapshot: look at its log")
        case "MOVED", "ASK", "CROSSSLOT", "CLUSTERDOWN":
            (kind, mend) = (.settings, "clusters are not supported: name a server that is not part of one")
        default: (kind, mend) = (.other, "look at the server's log")
        }
        self.init(kind, "Redis at \(target) answered \(word); \(mend).")
    }

    /// Whether a connection must not be kept after it.
    var endsConnection: Bool {
        switch self.kind {
        case .unreachable, .connectionLost, .refused, .unfit, .settings: true
        case .other: false
        }
    }
}
