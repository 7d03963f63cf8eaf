import GRDB
import GatewayCore
import GatewayLedger
import Glibc
import Synchronization

/// The ledger and the keys of one pod in one SQLite file, with nothing beside it to install or to run.
///
/// One connection writes, on a thread that gives way to event loops; two read beside it (WAL). A call that returned is on the disk
/// (`synchronous = FULL`). Other processes may read the file at any time, `openReadOnly` included.
///
///     append ─┬─ compare-and-set of stream.applied (and folded)     nothing changed: rejected
///             ├─ usage, usage_detail        one row per attempt, in the order of the primary key
///             ├─ usage_block                time and request range of each 4,096 rows
///             └─ usage_total, usage_daily   sums by payer and route; a pure function of usage
package final class SQLiteStore: Sendable {
    let path: String
    let clock: any WallClock
    let options: SQLiteOptions
    let pool: DatabasePool
    /// Where writing transactions run. `nil`: opened for reading.
    private let threads: Threads?
    /// Row numbers of payers and routes. Only touched on the writer's queue, so the lock never waits.
    let identities = Mutex(IdentityTable())
    let rates = LocalRates()

    /// Keeps so many entries of the change log; a reader further behind reads everything anew.
    static let changesMax: Int64 = 100_000

    private init(
        path: String, clock: any WallClock, options: SQLiteOptions, pool: DatabasePool, threads: Threads?
    ) {
        self.path = path
        self.clock = clock
        self.options = options
        self.pool = pool
        self.threads = threads
    }

    /// Opens the file for writing, makes it (readable by its owner only) if it is not there, and migrates it.
    /// - Throws: `.unavailable` (disk, permissions, lock), `.corrupt` (damaged, foreign), `.conflict` (newer schema).
    package static func open(
        path: String, clock: any WallClock, options: SQLiteOptions = SQLiteOptions()
    ) throws(LedgerError) -> SQLiteStore {
        do {
            try Self.createFile(path)
            let pool = try DatabasePool(path: path, configuration: Self.configuration(path, options, isReadOnly: false))
            try pool.writeWithoutTransaction { database in
                // Here, because GRDB sets NORMAL when it turns WAL on: a lost tail would be a call unpaid.
                try database.execute(sql: "PRAGMA synchronous = FULL")
                try Migrator(path: path).migrate(database, at: clock.now())
            }
            return SQLiteStore(
                path: path, clock: clock, options: options, pool: pool,
                threads: try Threads())
        } catch {
            throw SQLiteFailure.ledgerError(error, path: path)
        }
    }

    /// Opens an existing ledger for reading, while a pod writes it or not. Writing calls are `.unavailable`.
    /// - Throws: `.notFound`: no such file; otherwise as `open`.
    package static func openReadOnly(
        path: String, clock: any WallClock, options: SQLiteOptions = SQLiteOptions()
    ) throws(LedgerError) -> SQLiteStore {
        guard access(path, F_OK) == 0 else {
            throw .notFound("There is no ledger at \(path): name the data directory of a pod that has served.")
        }
        do {
            let pool = try DatabasePool(path: path, configuration: Self.configuration(path, options, isReadOnly: true))
            try pool.read { database in try Migrator(path: path).check(database) }
            return SQLiteStore(path: path, clock: clock, options: options, pool: pool, threads: nil)
        } catch {
            throw SQLiteFailure.ledgerError(error, path: path)
        }
    }

    /// Ends the connections, after the calls under way. Later calls are `.unavailable`.
    package func close() throws(LedgerError) {
        do {
            if !self.pool.configuration.readonly {
                // GRDB closes the writer before the readers, and SQLite lets only a writer fold the WAL into the file.
                // Another process may be reading; then the WAL stays, complete.
                try self.pool.barrierWriteWithoutTransaction { database in
                    _ = try SQLStatement.first(database, "PRAGMA wal_checkpoint(TRUNCATE)") { $0.integer(0) }
                }
            }
            try self.pool.close()
        } catch {
            throw SQLiteFailure.ledgerError(error, path: self.path)
        }
    }

    /// The file holds digests of keys and who spent what, so nobody else reads it; SQLite gives its side files the same mode.
    /// An existing file is not touched: closing any descriptor of it would drop the locks that SQLite holds elsewhere
    /// in this process (fcntl(2), "Advisory record locking").
    private static func createFile(_ path: String) throws {
        let descriptor = Glibc.open(path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0o600)
        if descriptor >= 0 {
            Glibc.close(descriptor)
        } else if errno != EEXIST {
            throw LedgerError.unavailable(
                "The ledger \(path) cannot be made (\(String(cString: strerror(errno)))): "
                    + "its directory must exist and be writable.")
        }
    }

    private static func configuration(
        _ path: String, _ options: SQLiteOptions, isReadOnly: Bool
    ) -> Configuration {
        var configuration = Configuration()
        configuration.label = "martlet.ledger"
        configuration.readonly = isReadOnly
        configuration.foreignKeysEnabled = true
        configuration.maximumReaderCount = 2
        configuration.busyMode = .timeout(Double(options.busyTimeoutMilliseconds) / 1000)
        configuration.prepareDatabase { database in
            // Two MiB of cache per connection hold what is hot: the ends of the tables and the sums of the day.
            try database.execute(sql: "PRAGMA cache_size = -2048")
            if database.configuration.readonly { return }
            // Before GRDB changes anything: a file that is not ours stays as it is.
            try Migrator(path: path).validate(database)
            // Takes effect in an empty file only, so it comes before the switch to WAL.
            try database.execute(sql: "PRAGMA page_size = 4096")
            try database.execute(sql: "PRAGMA journal_size_limit = 67108864")
            if let pagesMax = options.pagesMax {
                try database.execute(sql: "PRAGMA max_page_count = \(pagesMax)")
            }
        }
        return configuration
    }

    /// Runs `body` in one transaction on the writing connection: all of it is on the disk afterwards, or none.
    /// - Parameter isBehind: whether it should be done soon, though calls wait for it here and there.
    func write<T: Sendable>(
        isBehind: Bool = false, _ body: @Sendable (Database) throws -> T
    ) async throws(LedgerError) -> T {
        let thread = isBehind ? self.threads?.hurried : self.threads?.ordinary
        do {
            return try await withTaskExecutorPreference(thread) { try self.writeNow(body) }
        } catch {
            throw SQLiteFailure.ledgerError(error, path: self.path)
        }
    }

    /// Blocks this thread until earlier writes have ended and this one has.
    private func writeNow<T>(_ body: (Database) throws -> T) throws -> T {
        try self.pool.writeWithoutTransaction { database in
            do {
                var result: T?
                try database.inTransaction(.immediate) {
                    result = try body(database)
                    return .commit
                }
                guard let result else { throw LedgerError.unavailable("The transaction gave no result.") }
                return result
            } catch {
                // Row numbers given out in the transaction are void now, in the same turn of the queue.
                self.identities.withLock { $0.removeAll() }
                throw error
            }
        }
    }

    /// Runs `body` on one unmoving state of the file, beside the writer.
    func read<T: Sendable>(_ body: @Sendable (Database) throws -> T) async throws(LedgerError) -> T {
        do {
            return try await self.pool.read(body)
        } catch {
            throw SQLiteFailure.ledgerError(error, path: self.path)
        }
    }

    /// Only one writes at a time; they differ in what they leave to event loops.
    private struct Threads {
        let ordinary: BackgroundThread
        let hurried: BackgroundThread

        init() throws(LedgerError) {
            self.ordinary = try BackgroundThread(name: "ledger", share: .least)
            self.hurried = try BackgroundThread(name: "ledger backlog", share: .quarter)
        }
    }

    func reached(_ step: WriteStep) throws { try self.options.onWriteStep?(step) }
}
