import GatewayConfiguration
import GatewayCore
import GatewayLedger
import GatewaySQLite
import Logging

/// Journal and store of a pod, recovered.
struct Ledger {
    let journal: Journal
    let store: SQLiteStore
    let shipper: LedgerShipper

    /// Opens both and ships what a former process left, so that spend is exact before the first call.
    static func open(settings: Settings, clock: any WallClock, logger: Logger) async throws(LedgerError) -> Ledger {
        let paths = DataPaths(directory: settings.dataDirectory)
        try paths.create()
        let ledger = settings.ledger
        let (journal, recovery) = try Journal.open(
            directory: paths.journal,
            configuration: JournalConfiguration(
                segmentBytes: ledger.journalSegmentBytes, bytesMax: ledger.journalBytesMax,
                syncInterval: ledger.syncInterval),
            clock: clock)
        for note in recovery.notes { logger.notice("Journal: \(note)") }
        if recovery.orphanedIntents > 0 {
            logger.notice(
                "Attempts that a killed process had in flight were settled as orphaned",
                metadata: ["ledger.orphaned": "\(recovery.orphanedIntents)"])
        }
        let store = try SQLiteStore.open(path: paths.database, clock: clock)
        let shipper = LedgerShipper(
            journal: journal, store: store, configuration: LedgerShipperConfiguration(tick: ledger.tickInterval),
            sleep: { try await Task.sleep(for: $0) })
        try await shipper.shipNow()
        return Ledger(journal: journal, store: store, shipper: shipper)
    }
}
