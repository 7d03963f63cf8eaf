import Foundation
import GatewayConfiguration
import GatewayCore
import GatewayFleet
import GatewayLedger
import GatewayRedis
import Logging

/// Journal and stores of a pod, recovered.
struct Ledger {
    let journal: Journal
    let stores: Stores
    let shipper: LedgerShipper
    /// Where shipping runs.
    let thread: BackgroundThread
    /// `nil`: rows go straight into the store.
    let transport: RedisTransport?
    /// Where the pod writes for the fleet, when its turn has come. `nil`: there is no transport.
    let writerThread: BackgroundThread?

    /// Opens both and ships what a former process left, so that spend is exact before the first call.
    static func open(settings: Settings, clock: any WallClock, logger: Logger) async throws -> Ledger {
        let paths = DataPaths(directory: settings.dataDirectory)
        try paths.create()
        let ledger = settings.ledger
        let (journal, recovery) = try Journal.open(
            directory: paths.journal, configuration: JournalConfiguration(ledger), clock: clock)
        for note in recovery.notes { logger.notice("Journal: \(note)") }
        if recovery.orphanedIntents > 0 {
            logger.notice(
                "Attempts that a killed process had in flight were settled as orphaned",
                metadata: ["ledger.orphaned": "\(recovery.orphanedIntents)"])
        }
        let stores = try await Stores.open(settings: settings, clock: clock, logger: logger)
        let transport = try await Self.transport(settings: settings, stores: stores, clock: clock, logger: logger)
        let shipper = LedgerShipper(
            journal: journal, store: transport?.store ?? stores.ledger,
            configuration: LedgerShipperConfiguration(tick: ledger.tickInterval),
            sleep: { try await Task.sleep(for: $0) })
        let opened = Ledger(
            journal: journal, stores: stores, shipper: shipper,
            thread: try BackgroundThread(name: "shipper", share: .least), transport: transport,
            writerThread: try transport.map { _ in try BackgroundThread(name: "fleet-writer", share: .quarter) })
        // Redis has another way out, below.
        let patience = StartPatience(isPatient: stores.postgres != nil && transport == nil, logger: logger)
        do {
            try await patience.step { try await opened.shipAll() }
        } catch LedgerError.unavailable(let reason) where transport != nil {
            // Calls can be served, and the journal holds what came before; PostgreSQL has answered a moment ago.
            logger.warning(
                "What a former process left in the journal waits for Redis", metadata: ["error.message": "\(reason)"])
        }
        return opened
    }

    /// Ships everything in the journal, before the pod's jobs run or after they have ended.
    func shipAll() async throws {
        guard let transport = self.transport else { return try await self.shipper.shipNow() }
        try await transport.whileWriting { try await self.shipper.shipNow() }
    }

    private static func transport(
        settings: Settings, stores: Stores, clock: any WallClock, logger: Logger
    ) async throws -> RedisTransport? {
        guard let redis = settings.redis, let postgres = stores.postgres else { return nil }
        do {
            _ = try HiredisLibrary.load()
        } catch {
            throw StartError(message: error.message)
        }
        logger.info("Rows travel by Redis", metadata: ["redis.target": "\(redis.target)"])
        let process = ProcessInfo.processInfo
        return try await RedisTransport(
            redis, store: postgres, name: "\(process.hostName)/\(process.processIdentifier)",
            configuration: settings.redisTransport,
            time: RedisTime(now: FleetTime.system.now, sleep: FleetTime.system.sleep), clock: clock, logger: logger)
    }
}
