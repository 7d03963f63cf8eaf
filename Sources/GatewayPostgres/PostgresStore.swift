import GatewayCore
import GatewayLedger
import Synchronization

/// The fleet's store on PostgreSQL 13 or newer. Any number of pods share one schema; none leads. Every call is one
/// statement that commits by itself, every change of state is a compare-and-set `UPDATE` whose `RETURNING` drives the
/// rest of the statement, so nothing is held over a round trip and a stopped pod blocks nobody.
///
/// Two connections: one for what the pod writes by itself, one for what callers and administrators ask.
package final class PostgresStore: Sendable {
    package let settings: PostgresSettings
    /// Ships, folds, beats and leases: short statements only, because a beat must not wait.
    let writer: PostgresConnection
    /// Keys, models, usage rows, all other reading, and maintenance.
    let reader: PostgresConnection
    let payerIDs = IdentityCache<PayerIdentity>()
    let routeIDs = IdentityCache<RouteIdentity>()
    /// Of all connections to this server, the listener's too.
    let reach = PostgresReach()
    /// The last append's answer: somebody has folded a moment ago. Taken by the next `foldIfDue`.
    let foldIsEarly = Atomic<Bool>(false)
    private let news: (stream: AsyncStream<Int64>, continuation: AsyncStream<Int64>.Continuation)
    private let standingWarnings = Mutex<[String]>([])

    /// Heads of the change log as answers show them, the newest only; for one reader.
    package var changeNews: AsyncStream<Int64> { self.news.stream }
    /// Connections open now, without the listener's.
    package var connections: Int32 { self.writer.connections + self.reader.connections }
    /// Whether the server could not be reached when it was tried last, on either connection: then a call need not wait to
    /// learn it.
    package var isAway: Bool { self.writer.isFailing && self.reader.isFailing }
    /// What an operator should know, such as a server that does not sync its log.
    package var warnings: [String] { self.settings.notes + self.standingWarnings.withLock { $0 } }

    /// Oldest server that is supported, as `PQserverVersion` counts.
    package static let serverVersionMin: Int32 = 130_000

    /// Opens no connection yet.
    package init(
        _ settings: PostgresSettings, random: any RandomNumberGenerator & Sendable = SystemRandomNumberGenerator()
    ) throws(LedgerError) {
        self.settings = settings
        do {
            self.writer = try PostgresConnection(settings, reach: self.reach, random: random)
            self.reader = try PostgresConnection(settings, reach: self.reach, random: random)
        } catch {
            throw error.ledgerError
        }
        self.news = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// Connects, checks the server, brings the schema up to date and makes the partitions that rows need today.
    /// - Parameters:
    ///   - patience: how long a server that starts, recovers or cannot be reached is tried again.
    ///   - pause: waits between two tries; injected, so that tests need not.
    /// - Returns: migrations that this call applied.
    /// - Throws: `PostgresError` with what to do about it.
    @discardableResult
    package func open(
        patience: Duration, pause: @Sendable (Duration) async -> Void
    ) async throws(PostgresError) -> [Int32] {
        let end = MonotonicTime.now.advanced(by: patience)
        var wait = Duration.milliseconds(50)
        while true {
            do {
                let facts = try await self.writer.server()
                try self.check(facts)
                let applied = try await Migrator(connection: self.writer, schema: self.settings.schema).migrate()
                _ = try await self.makePartitions()
                return applied
            } catch {
                guard error.isTransient, MonotonicTime.now < end else { throw error }
                await pause(wait)
                wait = min(wait * 2, .seconds(1))
                await self.writer.retryNow()
            }
        }
    }

    private func check(_ facts: ServerFacts) throws(PostgresError) {
        if facts.version < Self.serverVersionMin {
            throw PostgresError(
                .settings,
                "PostgreSQL at \(self.settings.target) is version \(facts.version / 10_000); 13 or newer is needed.")
        }
        if facts.encoding != "UTF8" {
            throw PostgresError(
                .settings,
                "The database at \(self.settings.target) is encoded in \(facts.encoding); create one with UTF8.")
        }
        if facts.isReadOnly {
            throw PostgresError(state: "25006", text: "\(self.settings.target) is read-only")
        }
        var warnings: [String] = []
        if !facts.isFsyncOn {
            warnings.append("PostgreSQL runs with fsync = off: a crash of its machine loses or damages the ledger.")
        }
        if !facts.isCommitSynchronous {
            warnings.append(
                "PostgreSQL runs with synchronous_commit = off: a crash of its machine loses the last rows of the "
                    + "ledger, which journals may have dropped already.")
        }
        self.standingWarnings.withLock { $0 = warnings }
    }

    /// Closes both connections; the next call opens them again.
    package func close() async {
        await self.writer.close()
        await self.reader.close()
    }

    /// Tells `changeNews` of a head; used by every answer and by the listener.
    package func saw(changeHead: Int64) { self.news.continuation.yield(changeHead) }

    // MARK: statements

    /// Runs a statement and turns its errors into the ledger's.
    func run(
        _ statement: PostgresStatement, _ parameters: PostgresParameters = .none, on connection: PostgresConnection,
        timeout: Duration? = nil
    ) async throws(LedgerError) -> PostgresRows {
        do {
            return try await connection.run(statement, parameters, timeout: timeout)
        } catch {
            throw error.ledgerError
        }
    }

    /// Runs a statement that the server may ask to be repeated (a deadlock with somebody else's statement, or a
    /// serialization failure on servers that are stricter than PostgreSQL's default).
    func repeated(
        _ statement: PostgresStatement, _ parameters: PostgresParameters, on connection: PostgresConnection,
        timeout: Duration? = nil, generation: Int? = nil
    ) async throws(PostgresError) -> PostgresRows {
        var attempt = 0
        while true {
            do {
                return try await connection.run(
                    statement, parameters, timeout: timeout, generation: generation)
            } catch {
                attempt += 1
                guard attempt < 5, error.kind == .deadlock || error.kind == .serialization else { throw error }
            }
        }
    }
}
