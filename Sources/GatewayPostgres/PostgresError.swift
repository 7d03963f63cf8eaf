import GatewayLedger

/// What went wrong at the database, sorted by what the caller may do. The text is for an operator: it never holds the
/// password or a value of a row.
package struct PostgresError: Error, Sendable, Equatable {
    package enum Kind: String, Sendable, CaseIterable {
        /// No connection came about; nothing was sent. Repeat later.
        case unreachable
        /// The connection broke after the statement was sent: it may have taken effect. Repeat what is idempotent.
        case connectionLost
        /// The server starts, stops or recovers (57P01, 57P02, 57P03). Wait and repeat.
        case startingUp
        /// 53300: the server has no connection left.
        case tooManyConnections
        /// 28xxx: name or password is wrong.
        case credentials
        /// 3D000: the database does not exist.
        case noDatabase
        /// 42501: a right is missing.
        case permission
        /// 25006: a standby, or a database that is set to read-only.
        case readOnly
        /// 40001. Repeat at once.
        case serialization
        /// 40P01. Repeat at once.
        case deadlock
        /// 57014, 55P03, or no answer within the statement's time: it may have taken effect. Repeat.
        case timeout
        /// 53xxx: out of disk, memory or another resource. Repeat later.
        case resources
        /// 23505; `constraint` names which.
        case uniqueViolation
        /// Any other constraint (23xxx).
        case integrity
        /// 22003: a sum does not fit.
        case outOfRange
        /// 22012: how our statements stop themselves when what they read contradicts itself.
        case selfCheck
        /// 26000, 42P05: a pooler gave the session to somebody else. Prepare nothing.
        case statementCache
        /// 42P01, 3F000 and the like: the schema is missing or older than the program.
        case missingSchema
        /// 42P06, 42P07, 42710, 42701: it exists already.
        case alreadyExists
        /// The settings cannot work, whatever the server does.
        case settings
        /// Anything else.
        case other
    }

    package var kind: Kind
    /// SQLSTATE. `nil`: the error did not come from the server.
    package var state: String?
    /// Name of the violated constraint. `nil`: none is.
    package var constraint: String?
    package var message: String

    package init(_ kind: Kind, _ message: String, state: String? = nil, constraint: String? = nil) {
        self.kind = kind
        self.message = message
        self.state = state
        self.constraint = constraint
    }

    /// Whether a connection can be kept after it.
    var endsConnection: Bool {
        switch self.kind {
        case .unreachable, .connectionLost, .startingUp, .tooManyConnections, .credentials, .noDatabase, .readOnly,
            .settings:
            true
        case .timeout, .permission, .serialization, .deadlock, .resources, .uniqueViolation, .integrity, .outOfRange,
            .selfCheck, .statementCache, .missingSchema, .alreadyExists, .other:
            false
        }
    }

    /// Whether the server may answer otherwise without anybody doing something to it or to us.
    package var isTransient: Bool {
        switch self.kind {
        case .unreachable, .connectionLost, .startingUp, .tooManyConnections, .serialization, .deadlock, .timeout,
            .resources, .readOnly, .statementCache:
            true
        case .credentials, .noDatabase, .permission, .uniqueViolation, .integrity, .outOfRange, .selfCheck,
            .missingSchema, .alreadyExists, .settings, .other:
            false
        }
    }

    /// What the stores throw. Cases that a statement gives a meaning of its own are caught before.
    package var ledgerError: LedgerError {
        switch self.kind {
        case .unreachable, .connectionLost, .startingUp, .tooManyConnections, .credentials, .noDatabase, .permission,
            .readOnly, .serialization, .deadlock, .timeout, .resources, .statementCache, .settings, .missingSchema:
            .unavailable(self.message)
        case .uniqueViolation: .conflict(self.message)
        case .integrity, .outOfRange, .selfCheck, .alreadyExists, .other: .corrupt(self.message)
        }
    }

    /// Sorts an error of the server.
    /// - Parameters:
    ///   - state: the five characters of PostgreSQL's appendix A, "PostgreSQL Error Codes".
    ///   - text: the primary message only: detail and hint may repeat values of rows.
    package init(state: String, text: String, constraint: String? = nil) {
        let kind = Self.kind(of: state)
        // Class 22 repeats the value in its primary message.
        let said = state.hasPrefix("22") ? "a value was refused" : text
        let mend = Self.mend(kind)
        self.init(
            kind, "PostgreSQL: \(said) (SQLSTATE \(state))." + (mend.isEmpty ? "" : " \(mend)"), state: state,
            constraint: constraint)
    }

    private static func kind(of state: String) -> Kind {
        switch state {
        case "57P01", "57P02", "57P03", "57P05": .startingUp
        case "53300": .tooManyConnections
        case "3D000", "57P04": .noDatabase
        case "42501": .permission
        case "25006", "25P02": .readOnly
        case "40001": .serialization
        case "40P01": .deadlock
        case "40003": .connectionLost
        case "57014", "55P03": .timeout
        case "23505": .uniqueViolation
        case "22003": .outOfRange
        case "22012": .selfCheck
        case "26000", "42P05": .statementCache
        case "42P01", "3F000", "42703", "42883": .missingSchema
        case "42P06", "42P07", "42710", "42701": .alreadyExists
        default:
            switch state.prefix(2) {
            case "08": .connectionLost
            case "28": .credentials
            case "53", "58": .resources
            case "23": .integrity
            default: .other
            }
        }
    }

    private static func mend(_ kind: Kind) -> String {
        switch kind {
        case .tooManyConnections:
            "Raise max_connections, put a pooler before the server, or run fewer pods (each needs up to 3)."
        case .credentials: "Check the user name, the password and pg_hba.conf."
        case .noDatabase: "Create the database, or correct its name in DATABASE_URL."
        case .permission: "Grant the user CREATE on the database, or make it the owner of the schema."
        case .readOnly:
            "This server takes no writes: name the primary in DATABASE_URL, or list all hosts with "
                + "target_session_attrs=read-write."
        case .missingSchema: "The schema is missing or older than this program: run `martlet migrate`."
        case .startingUp: "The server is starting or stopping; it is tried again."
        case .unreachable, .connectionLost, .serialization, .deadlock, .timeout, .resources, .uniqueViolation,
            .integrity, .outOfRange, .selfCheck, .statementCache, .alreadyExists, .settings, .other:
            ""
        }
    }
}
