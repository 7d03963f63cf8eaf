import CPostgres
import GatewayCore
import Glibc
import Synchronization

/// One connection, opened at its first use and again after it broke, and closed never but by `close`. Everything runs
/// on a thread of its own, one statement at a time; each wait has a bound.
///
///     closed --run--> connecting --> open --statement--> open
///       ^                 |           | broken, or given up at its deadline
///       +----back-off-----+-----------+
package actor PostgresConnection {
    private let thread: ConnectionThread
    private let settings: PostgresSettings
    private var handle: PostgresHandle?
    private var prepared: Set<String> = []
    private var rendered: [String: String] = [:]
    private var preparesStatements: Bool
    private var random: any RandomNumberGenerator & Sendable
    private var failures = 0
    private var lastError: PostgresError?
    private var nextAttempt = MonotonicTime(nanoseconds: .min)
    /// What `reach` said when the last attempt failed.
    private var successesAtFailure = 0
    private nonisolated let reach: PostgresReach
    private nonisolated let failing = Atomic<Bool>(false)
    /// Grows with each connection made. What was learnt on an older one may be gone, as after a failover.
    private var generation = 0
    private nonisolated let openCount = Atomic<Int32>(0)
    private nonisolated let interruption: Interruption

    package nonisolated var unownedExecutor: UnownedSerialExecutor { self.thread.asUnownedSerialExecutor() }

    /// 1 while it is open, else 0.
    package nonisolated var connections: Int32 { self.openCount.load(ordering: .relaxed) }

    /// Whether the last attempt to connect failed.
    package nonisolated var isFailing: Bool { self.failing.load(ordering: .relaxed) }

    /// Opens nothing yet.
    /// - Parameters:
    ///   - reach: shared with other connections to the same server: when one of them gets through, none waits for its
    ///     back-off any more.
    ///   - random: spreads the attempts to reconnect.
    package init(
        _ settings: PostgresSettings, reach: PostgresReach = PostgresReach(),
        random: any RandomNumberGenerator & Sendable = SystemRandomNumberGenerator()
    ) throws(PostgresError) {
        self.settings = settings
        self.reach = reach
        self.random = random
        self.preparesStatements = settings.preparesStatements
        self.thread = try ConnectionThread()
        self.interruption = try Interruption()
    }

    /// Closes the connection; the next statement opens another.
    package func close() {
        self.handle = nil
        self.prepared.removeAll()
        self.openCount.store(0, ordering: .relaxed)
    }

    /// Ends a wait for notifications, from any thread and for good.
    package nonisolated func interrupt() { self.interruption.raise() }

    // MARK: statements

    /// Runs one statement, in a transaction of its own.
    /// - Parameters:
    ///   - timeout: until the answer must be there. `nil`: the settings' own.
    ///   - generation: of the connection that the values were learnt on; on another one `.unreachable` is thrown and
    ///     nothing is sent. `nil`: any.
    func run(
        _ statement: PostgresStatement, _ parameters: PostgresParameters = .none, timeout: Duration? = nil,
        generation: Int? = nil
    ) throws(PostgresError) -> PostgresRows {
        if let generation, try self.openGeneration() != generation {
            throw PostgresError(.unreachable, "The connection to PostgreSQL was made anew: repeat.")
        }
        do {
            return PostgresRows(try self.attempt(statement, parameters, timeout: timeout))
        } catch {
            let isStale = error.kind == .connectionLost && statement.isRead
            guard error.kind == .statementCache || isStale else { throw error }
            // What was prepared belongs to another session now: a pooler is in between.
            if error.kind == .statementCache { self.preparesStatements = false }
            return PostgresRows(try self.attempt(statement, parameters, timeout: timeout))
        }
    }

    /// Runs several statements as one transaction in one round trip. No values can be bound.
    func runScript(_ text: String, timeout: Duration? = nil) throws(PostgresError) {
        let handle = try self.open()
        let deadline = MonotonicTime.now.advanced(by: timeout ?? self.settings.statementTimeout)
        let script = self.settings.render(text)
        let result = try self.kept { () throws(PostgresError) in
            try handle.send { PQsendQuery($0, script) == 1 }
            return try handle.result(by: deadline)
        }
        PQclear(result)
    }

    private func attempt(
        _ statement: PostgresStatement, _ parameters: PostgresParameters, timeout: Duration?
    ) throws(PostgresError) -> OpaquePointer {
        let handle = try self.open()
        let deadline = MonotonicTime.now.advanced(by: timeout ?? self.settings.statementTimeout)
        let text = self.text(of: statement)
        return try self.kept { () throws(PostgresError) in
            guard let name = statement.name, self.preparesStatements else {
                try handle.send(text, parameters)
                return try handle.result(by: deadline)
            }
            if !self.prepared.contains(name) {
                try handle.prepare(name, text, parameters.types)
                PQclear(try handle.result(of: PGRES_COMMAND_OK, by: deadline))
                self.prepared.insert(name)
            }
            try handle.send(prepared: name, parameters)
            return try handle.result(of: statement.hasColumns ? PGRES_TUPLES_OK : PGRES_COMMAND_OK, by: deadline)
        }
    }

    private func text(of statement: PostgresStatement) -> String {
        if let known = self.rendered[statement.text] { return known }
        let text = self.settings.render(statement.text)
        self.rendered[statement.text] = text
        return text
    }

    /// Drops the connection when it is of no use any more.
    private func kept<Value>(_ body: () throws(PostgresError) -> Value) throws(PostgresError) -> Value {
        do {
            return try body()
        } catch {
            if error.endsConnection || self.handle?.isBroken ?? true { self.close() }
            throw error
        }
    }

    // MARK: connecting

    /// The open connection, or a new one. While the back-off lasts the former error is thrown at once, so that callers
    /// do not queue up behind a server that is away.
    private func open() throws(PostgresError) -> PostgresHandle {
        if let handle = self.handle {
            if handle.isAlive { return handle }
            self.close()
        }
        if let error = self.lastError, MonotonicTime.now < self.nextAttempt,
            self.reach.successes == self.successesAtFailure
        {
            throw error
        }
        do {
            let handle = try PostgresHandle(self.settings)
            try handle.greet(by: MonotonicTime.now.advanced(by: self.settings.connectTimeout))
            if handle.isBehindPooler { self.preparesStatements = false }
            self.handle = handle
            self.generation += 1
            self.failures = 0
            self.lastError = nil
            self.reach.noteSuccess()
            self.failing.store(false, ordering: .relaxed)
            self.openCount.store(1, ordering: .relaxed)
            return handle
        } catch {
            self.failures = min(self.failures + 1, 16)
            let ceiling = min(self.settings.backoffMax.wholeMicroseconds, 25_000 << Int64(self.failures))
            let pause = Int64.random(in: (ceiling / 2)...ceiling, using: &self.random)
            self.nextAttempt = MonotonicTime.now.advanced(by: .microseconds(pause))
            self.lastError = error
            self.successesAtFailure = self.reach.successes
            self.failing.store(true, ordering: .relaxed)
            throw error
        }
    }

    /// Forgets the back-off, so that the next statement tries to connect.
    func retryNow() { self.lastError = nil }

    /// Opens the connection, if it is not, and gives its number.
    func openGeneration() throws(PostgresError) -> Int {
        _ = try self.open()
        return self.generation
    }

    // MARK: notifications

    /// Whether notifications can arrive: not behind a pooler, which gives the session to others.
    func canListen() throws(PostgresError) -> Bool { try !self.open().isBehindPooler }

    /// Waits for the next notification on any channel listened to.
    /// - Returns: its payload. `nil`: interrupted, for good.
    func nextNotification() throws(PostgresError) -> String? {
        guard let handle = self.handle else { throw PostgresError(.connectionLost, "The connection is closed.") }
        return try self.kept { () throws(PostgresError) in
            try handle.nextNotification(interruption: self.interruption)
        }
    }

    /// What the server is and how it is set; read once after connecting.
    func server() throws(PostgresError) -> ServerFacts { try self.open().facts }
}

/// What several connections to one server know together: whether somebody gets through.
package final class PostgresReach: Sendable {
    private let count = Atomic<Int>(0)

    package init() {}

    /// Connections made so far.
    package var successes: Int { self.count.load(ordering: .acquiring) }

    func noteSuccess() { self.count.wrappingAdd(1, ordering: .acquiringAndReleasing) }
}

/// A pipe that ends a wait.
final class Interruption: Sendable {
    let readEnd: Int32
    private let writeEnd: Int32

    init() throws(PostgresError) {
        guard let ends = makePipe() else {
            throw PostgresError(.unreachable, "The system gave no pipe for a database connection (\(errno)).")
        }
        (self.readEnd, self.writeEnd) = ends
    }

    deinit {
        Glibc.close(self.readEnd)
        Glibc.close(self.writeEnd)
    }

    /// The byte stays in the pipe, so every later wait ends at once as well.
    func raise() {
        var byte: UInt8 = 1
        _ = write(self.writeEnd, &byte, 1)
    }
}
