import Foundation
import GatewayConfiguration
import GatewayCore
import GatewayLedger
import GatewayPostgres
import GatewaySQLite
import Logging

/// Where a pod keeps its ledger, keys and models: PostgreSQL, shared with other pods, or SQLite, for itself alone.
struct Stores: Sendable {
    let ledger: any LedgerStore
    let keys: any KeyStore
    let models: any ModelStore
    let entities: any EntityStore
    let escrow: any EscrowStore
    let responses: any ResponseStore
    /// `nil`: SQLite.
    let postgres: PostgresStore?
    private let sqlite: SQLiteStore?

    private init(sqlite: SQLiteStore) {
        (self.ledger, self.keys, self.models, self.entities) = (sqlite, sqlite, sqlite, sqlite)
        (self.escrow, self.responses) = (sqlite, sqlite)
        self.sqlite = sqlite
        self.postgres = nil
    }

    private init(postgres: PostgresStore) {
        (self.ledger, self.keys, self.models, self.entities) = (postgres, postgres, postgres, postgres)
        (self.escrow, self.responses) = (postgres, postgres)
        self.sqlite = nil
        self.postgres = postgres
    }

    /// How long a database that starts, recovers or cannot be reached is waited for at start.
    private static let patience = Duration.seconds(600)

    /// As above, for a command that somebody waits for.
    private static let commandPatience = Duration.seconds(10)

    /// Opens the store for a pod that is about to serve.
    static func open(settings: Settings, clock: any WallClock, logger: Logger) async throws -> Stores {
        try await self.open(settings: settings, patience: self.patience, clock: clock, logger: logger)
    }

    /// Opens the store for a command that writes, beside running pods or without any.
    static func openForCommand(settings: Settings, clock: any WallClock, logger: Logger) async throws -> Stores {
        let file = DataPaths(directory: settings.dataDirectory).database
        guard settings.database != nil || FileManager.default.fileExists(atPath: file) else {
            throw StartError(
                message: "There is no ledger: \(file) does not exist and no PostgreSQL is configured. Name the data "
                    + "directory with --data, or the configuration with --config.")
        }
        return try await self.open(settings: settings, patience: self.commandPatience, clock: clock, logger: logger)
    }

    private static func open(
        settings: Settings, patience: Duration, clock: any WallClock, logger: Logger
    ) async throws -> Stores {
        guard let database = settings.database else {
            return Stores(
                sqlite: try SQLiteStore.open(
                    path: DataPaths(directory: settings.dataDirectory).database, clock: clock))
        }
        let store = try PostgresStore(database)
        logger.info("The ledger is in PostgreSQL", metadata: ["db.target": "\(database.target)"])
        do throws(PostgresError) {
            let applied = try await store.open(patience: patience) { wait in
                // A cancelled wait only makes the next try come sooner.
                try? await Task.sleep(for: wait)
            }
            if !applied.isEmpty {
                logger.notice("The schema was brought up to date", metadata: ["db.migrations": "\(applied)"])
            }
        } catch {
            throw StartError(message: "PostgreSQL: \(error.message)")
        }
        for warning in store.warnings { logger.warning("\(warning)") }
        return Stores(postgres: store)
    }

    /// Opens the store for a look at it, beside a running pod or without one.
    static func openForReading(settings: Settings, clock: any WallClock) async throws -> Stores {
        guard let database = settings.database else {
            return Stores(
                sqlite: try SQLiteStore.openReadOnly(
                    path: DataPaths(directory: settings.dataDirectory).database, clock: clock))
        }
        return Stores(postgres: try PostgresStore(database))
    }

    /// Deletes old rows of SQLite, step by step. PostgreSQL's are the fleet's to drop.
    /// - Returns: rows deleted.
    func dropRows(startedBefore cutoff: UnixMicroseconds) async throws(LedgerError) -> Int64 {
        try await self.sqlite?.dropRows(startedBefore: cutoff) ?? 0
    }

    func close() async throws {
        try self.sqlite?.close()
        await self.postgres?.close()
    }
}
