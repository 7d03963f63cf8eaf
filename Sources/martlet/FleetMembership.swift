import Foundation
import GatewayControlPlane
import GatewayCore
import GatewayFleet
import GatewayLedger
import GatewayPostgres
import Logging

/// This pod's part in a fleet on one PostgreSQL: beats, the change log, periodic jobs, and what others spend.
struct FleetMembership: Sendable {
    let fleet: Fleet
    private let listener: PostgresListener
    private let spend: SpendRefresher

    /// - Parameter reader: of the change log, not started yet.
    /// - Throws: `LedgerError` when the settings cannot make a connection.
    static func make(
        store: PostgresStore, reader: ChangeLogReader, registry: KeyRegistry, identity: FleetIdentity,
        journal: Journal, shipper: LedgerShipper, logger: Logger
    ) throws(LedgerError) -> FleetMembership {
        let listener = try PostgresListener(
            store,
            pause: { wait in
                // A cancelled wait only makes the next try come sooner.
                try? await Task.sleep(for: wait)
            }, report: { logger.notice("\($0)") })
        let fleet = Fleet(
            identity: identity, store: store, reader: reader, news: store.changeNews,
            configuration: FleetConfiguration(), extraJobs: [], time: .system,
            generator: { SystemRandomNumberGenerator() }, logger: logger,
            facts: {
                PodFacts(
                    applied: shipper.status.applied ?? 0, journalBytes: Int64(journal.depthBytes),
                    connections: store.connections + listener.connections)
            })
        let spend = SpendRefresher(
            directory: registry.directory, ledger: store, generator: SystemRandomNumberGenerator(), logger: logger,
            sleep: FleetTime.system.sleep)
        return FleetMembership(fleet: fleet, listener: listener, spend: spend)
    }

    /// Runs until the task is cancelled.
    func run() async {
        await withTaskCancellationHandler {
            await withTaskGroup(of: Void.self) { group in
                group.addTask { await self.fleet.run() }
                group.addTask { await self.listener.run() }
                group.addTask { await self.spend.run() }
                await group.waitForAll()
            }
        } onCancel: {
            self.listener.stop()
        }
    }
}

extension FleetTime {
    static let system = FleetTime(
        now: {
            var time = timespec()
            clock_gettime(CLOCK_BOOTTIME, &time)
            return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
        }, sleep: { try await Task.sleep(for: $0) })
}
