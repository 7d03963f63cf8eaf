import CPostgres
import Glibc

/// What the server said of itself when the connection was made.
struct ServerFacts: Sendable {
    /// Such as 150018 for 15.18.
    var version: Int32 = 0
    var encoding = ""
    /// A standby, or set so that every transaction is read-only.
    var isReadOnly = false
    var isFsyncOn = true
    var isCommitSynchronous = true
}

/// libpq's connection and the waiting around it. Belongs to one `PostgresConnection` and its thread.
final class PostgresHandle {
    private let connection: OpaquePointer
    private(set) var facts = ServerFacts()
    /// The session behind the address is not the one that greeted us: PgBouncer and its like make up their own.
    private(set) var isBehindPooler = false
    /// An answer did not come in time; when it does, nobody could tell it from the next one.
    private var isGivenUp = false

    /// libpq bounds each host's attempt by `connect_timeout`, names are resolved by the system's resolver.
    init(_ settings: PostgresSettings) throws(PostgresError) {
        var names: [UnsafePointer<CChar>?] = []
        var values: [UnsafePointer<CChar>?] = []
        for (name, value) in settings.keywords {
            names.append(UnsafePointer(strdup(name)))
            values.append(UnsafePointer(strdup(value)))
        }
        names.append(nil)
        values.append(nil)
        defer { for text in names + values { free(UnsafeMutablePointer(mutating: text)) } }
        guard let connection = PQconnectdbParams(names, values, 0) else {
            throw PostgresError(.unreachable, "No memory is left for a database connection.")
        }
        self.connection = connection
        guard PQstatus(connection) == CONNECTION_OK else {
            throw Self.connectFailure(connection, target: settings.target)
        }
        PQsetnonblocking(connection, 1)
        // Notices are for a terminal.
        PQsetNoticeReceiver(connection, { _, _ in }, nil)
    }

    deinit { PQfinish(self.connection) }

    /// libpq gives no SQLSTATE for a failed attempt, only text.
    private static func connectFailure(_ connection: OpaquePointer, target: String) -> PostgresError {
        let text = Self.oneLine(String(cString: PQerrorMessage(connection)))
        let rules: [(PostgresError.Kind, [String], String)] = [
            (.startingUp, ["starting up", "shutting down", "in recovery mode", "not yet accepting"], "57P03"),
            (
                .tooManyConnections,
                [
                    "too many clients", "remaining connection slots", "too many connections",
                    "no more connections allowed",
                ], "53300"
            ),
            (.readOnly, ["session is read-only", "server is in hot standby"], "25006"),
            (.noDatabase, ["database \"", "no such database"], "3D000"),
            (
                .credentials,
                [
                    "password authentication failed", "no pg_hba.conf entry", "authentication failed",
                    "role \"", "no password supplied", "SASL",
                ], "28000"
            ),
        ]
        for (kind, signs, state) in rules where signs.contains(where: { text.contains($0) }) {
            var error = PostgresError(state: state, text: "cannot connect to \(target): \(text)")
            error.kind = kind
            return error
        }
        return PostgresError(
            .unreachable, "PostgreSQL cannot be reached at \(target): \(text). Check the address and the network.")
    }

    private static func oneLine(_ text: String) -> String {
        String(text.split(whereSeparator: \.isNewline).joined(separator: "; ").prefix(500))
    }

    var isBroken: Bool { self.isGivenUp || PQstatus(self.connection) != CONNECTION_OK }

    /// Looks whether the server has closed an idle connection, so that a statement is not wasted on it.
    var isAlive: Bool {
        var entry = pollfd(fd: PQsocket(self.connection), events: Int16(POLLIN), revents: 0)
        if poll(&entry, 1, 0) > 0 {
            guard PQconsumeInput(self.connection) == 1 else { return false }
            while let notification = PQnotifies(self.connection) { PQfreemem(notification) }
            // A server that ends a session says so before it closes.
            entry.revents = 0
            if poll(&entry, 1, 0) > 0, PQconsumeInput(self.connection) != 1 { return false }
        }
        return !self.isBroken
    }

    /// Reads `facts`.
    func greet(by deadline: MonotonicTime) throws(PostgresError) {
        let text = """
            SELECT pg_backend_pid(), current_setting('server_encoding'),
                pg_is_in_recovery() OR current_setting('default_transaction_read_only') = 'on',
                current_setting('fsync') = 'on', current_setting('synchronous_commit') <> 'off'
            """
        try self.send(text, .none)
        let rows = PostgresRows(try self.result(by: deadline))
        self.isBehindPooler = rows.integer(0, 0) != Int64(PQbackendPID(self.connection))
        self.facts = ServerFacts(
            version: PQserverVersion(self.connection), encoding: rows.text(0, 1), isReadOnly: rows.bool(0, 2),
            isFsyncOn: rows.bool(0, 3), isCommitSynchronous: rows.bool(0, 4))
        if !self.isBehindPooler, self.facts.version >= 140_000 { try self.watchForUs(by: deadline) }
    }

    /// From now on the server stops a statement, also one that waits for a lock, within a second after we have hung up.
    /// Before PostgreSQL 14 and behind a pooler it goes on until it is done.
    private func watchForUs(by deadline: MonotonicTime) throws(PostgresError) {
        try self.send("SET client_connection_check_interval = 1000", .none)
        do {
            PQclear(try self.result(by: deadline))
        } catch {
            // A server on another system than Linux may not be able to.
            if error.endsConnection || self.isBroken { throw error }
        }
    }

    // MARK: sending

    func send(_ start: (OpaquePointer) -> Bool) throws(PostgresError) {
        guard start(self.connection) else { throw self.lost() }
    }

    func prepare(_ name: String, _ text: String, _ types: [UInt32]) throws(PostgresError) {
        try self.send { PQsendPrepare($0, name, text, Int32(types.count), types) == 1 }
    }

    func send(_ text: String, _ parameters: PostgresParameters) throws(PostgresError) {
        try self.send { connection in
            Self.withPointers(parameters) { count, values, lengths, formats in
                PQsendQueryParams(connection, text, count, parameters.types, values, lengths, formats, 1) == 1
            }
        }
    }

    func send(prepared name: String, _ parameters: PostgresParameters) throws(PostgresError) {
        try self.send { connection in
            Self.withPointers(parameters) { count, values, lengths, formats in
                PQsendQueryPrepared(connection, name, count, values, lengths, formats, 1) == 1
            }
        }
    }

    private static func withPointers(
        _ parameters: PostgresParameters,
        _ body: (Int32, [UnsafePointer<CChar>?], [Int32], [Int32]) -> Bool
    ) -> Bool {
        parameters.bytes.withUnsafeBytes { bytes in
            // libpq takes a null pointer for NULL, so an empty value needs some other address.
            let empty: StaticString = ""
            let base = bytes.baseAddress ?? UnsafeRawPointer(empty.utf8Start)
            let values = parameters.starts.map { start in
                start < 0 ? nil : (base + start).assumingMemoryBound(to: CChar.self)
            }
            let formats = [Int32](repeating: 1, count: values.count)
            return body(Int32(values.count), values, parameters.lengths, formats)
        }
    }

    // MARK: receiving

    /// The last result of what was sent; earlier ones, as of a script, are passed over.
    /// - Throws: the first error among them; `.timeout` when the deadline passed, with which the connection is given up.
    ///   A request to cancel would need a connection of its own, and libpq's waits for a server that hangs without
    ///   bound; the server is told to watch for us instead (`watchForUs`).
    func result(by deadline: MonotonicTime) throws(PostgresError) -> OpaquePointer {
        var last: OpaquePointer?
        var failure: PostgresError?
        while true {
            guard try self.waitForResult(by: deadline) else {
                self.isGivenUp = true
                if let last { PQclear(last) }
                throw PostgresError(.timeout, "PostgreSQL did not answer in time; repeat later.")
            }
            guard let result = PQgetResult(self.connection) else { break }
            switch PQresultStatus(result) {
            case PGRES_COMMAND_OK, PGRES_TUPLES_OK, PGRES_EMPTY_QUERY:
                if let former = last { PQclear(former) }
                last = result
            default:
                if failure == nil { failure = self.failure(result) }
                PQclear(result)
            }
        }
        if let failure {
            if let last { PQclear(last) }
            throw failure
        }
        guard let last else { throw self.lost() }
        return last
    }

    /// As `result(by:)`, of one statement whose kind of answer is known: another kind is the answer to something else, whose
    /// columns would be read as zeros.
    func result(of status: ExecStatusType, by deadline: MonotonicTime) throws(PostgresError) -> OpaquePointer {
        let result = try self.result(by: deadline)
        guard PQresultStatus(result) == status else {
            PQclear(result)
            throw PostgresError(
                .connectionLost,
                "PostgreSQL's answers are out of step with what was asked, so the connection is made anew. Look for "
                    + "something between that repeats or drops messages.")
        }
        return result
    }

    /// - Returns: `false` when the deadline passed.
    private func waitForResult(by deadline: MonotonicTime) throws(PostgresError) -> Bool {
        var isFlushed = false
        while true {
            if !isFlushed {
                switch PQflush(self.connection) {
                case 0: isFlushed = true
                case 1: break
                default: throw self.lost()
                }
            }
            if isFlushed && PQisBusy(self.connection) == 0 { return true }
            let events = isFlushed ? POLLIN : POLLIN | POLLOUT
            var entry = pollfd(fd: PQsocket(self.connection), events: Int16(events), revents: 0)
            let count = poll(&entry, 1, deadline.millisecondsLeft)
            if count == 0 { return false }
            if count < 0 && errno != EINTR { throw self.lost() }
            if entry.revents & Int16(POLLIN | POLLHUP | POLLERR) != 0, PQconsumeInput(self.connection) != 1 {
                throw self.lost()
            }
        }
    }

    private func failure(_ result: OpaquePointer) -> PostgresError {
        func field(_ code: Character) -> String? {
            PQresultErrorField(result, Int32(code.asciiValue ?? 0)).map { String(cString: $0) }
        }
        guard let state = field("C") else { return self.lost() }
        return PostgresError(state: state, text: Self.oneLine(field("M") ?? "error"), constraint: field("n"))
    }

    private func lost() -> PostgresError {
        let text = Self.oneLine(String(cString: PQerrorMessage(self.connection)))
        return PostgresError(
            .connectionLost, "The connection to PostgreSQL broke: \(text.isEmpty ? "no reason was given" : text).")
    }

    /// - Returns: `nil` when interrupted.
    func nextNotification(interruption: Interruption) throws(PostgresError) -> String? {
        while true {
            if let notification = PQnotifies(self.connection) {
                defer { PQfreemem(notification) }
                return String(cString: notification.pointee.extra)
            }
            var entries = [
                pollfd(fd: PQsocket(self.connection), events: Int16(POLLIN), revents: 0),
                pollfd(fd: interruption.readEnd, events: Int16(POLLIN), revents: 0),
            ]
            if poll(&entries, 2, -1) < 0 && errno != EINTR { throw self.lost() }
            if entries[1].revents != 0 { return nil }
            if entries[0].revents != 0, PQconsumeInput(self.connection) != 1 { throw self.lost() }
            if self.isBroken { throw self.lost() }
        }
    }
}
