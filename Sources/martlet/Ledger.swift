import GatewayConfiguration
import GatewayCore
import GatewayLedger
import Logging

/// Journal and stores of a pod, recovered.
struct Ledger {
    let journal: Journal
    let stores: Stores
    let shipper: LedgerShipper
    /// Where shipping runs.
    let thread: BackgroundThread

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
        let shipper = LedgerShipper(
            journal: journal, store: stores.ledger,
            configuration: LedgerShipperConfiguration(tick: ledger.tickInterval),
            sleep: { try await Task.sleep(for: $0) })
        try await shipper.shipNow()
        return Ledger(
            journal: journal, stores: stores, shipper: shipper,
            thread: try BackgroundThread(name: "shipper", share: .least))
    }
}
