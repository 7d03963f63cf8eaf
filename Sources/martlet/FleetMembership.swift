import Foundation
import GatewayConfiguration
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
    /// `nil`: journals of dead pods are left alone.
    private let adoption: (adopter: JournalAdopter, root: String, interval: Duration)?

    /// - Parameter reader: of the change log, not started yet.
    /// - Throws: `LedgerError` when the settings cannot make a connection.
    static func make(
        store: PostgresStore, reader: ChangeLogReader, registry: KeyRegistry, identity: FleetIdentity,
        settings: Settings, journal: Journal, shipper: LedgerShipper, clock: any WallClock, logger: Logger
    ) throws(LedgerError) -> FleetMembership {
        let configuration = FleetConfiguration(settings.fleet)
        let listener = try PostgresListener(
            store,
            pause: { wait in
                // A cancelled wait only makes the next try come sooner.
                try? await Task.sleep(for: wait)
            }, report: { logger.notice("\($0)") })
        let fleet = Fleet(
            identity: identity, store: store, reader: reader, news: store.changeNews,
            configuration: configuration,
            extraJobs: [Self.reclaiming(store), Self.forgetting(store), Self.deleting(store, clock)],
            time: .system,
            generator: { SystemRandomNumberGenerator() }, logger: logger,
            facts: {
                PodFacts(
                    applied: shipper.status.applied ?? 0, journalBytes: Int64(journal.depthBytes),
                    connections: store.connections + listener.connections)
            })
        let spend = SpendRefresher(
            directory: registry.directory, ledger: store, generator: SystemRandomNumberGenerator(), logger: logger,
            sleep: FleetTime.system.sleep)
        let adoption = settings.fleet.adoptionDirectory.map { root in
            let adopter = JournalAdopter(
                ledger: store, fleet: store, own: journal.journalID,
                configuration: JournalConfiguration(settings.ledger), deadAfter: configuration.deadAfter, clock: clock,
                time: .system, logger: logger)
            return (adopter, root, configuration.adoptInterval)
        }
        return FleetMembership(fleet: fleet, listener: listener, spend: spend, adoption: adoption)
    }

    /// Gives back what pods held that are given up.
    private static func reclaiming(_ store: PostgresStore) -> PeriodicJob {
        PeriodicJob(name: "escrow", interval: .seconds(5)) { _ throws(LedgerError) in
            try await store.reclaimEscrow()
        }
    }

    /// Forgets windows of budgets that were over long ago.
    private static func forgetting(_ store: PostgresStore) -> PeriodicJob {
        PeriodicJob(name: "windows", interval: .seconds(3600)) { _ throws(LedgerError) in
            try await store.forgetEscrow(EscrowRetention())
        }
    }

    /// Deletes responses that were kept long enough.
    private static func deleting(_ store: PostgresStore, _ clock: any WallClock) -> PeriodicJob {
        PeriodicJob(name: "responses", interval: .seconds(3600)) { _ throws(LedgerError) in
            let count = try await store.deleteResponses(endedBy: clock.now())
            return count > 0 ? ["Deleted \(count) responses that were kept long enough."] : []
        }
    }

    /// Runs until the task is cancelled.
    func run() async {
        await withTaskCancellationHandler {
            await withTaskGroup(of: Void.self) { group in
                group.addTask { await self.fleet.run() }
                group.addTask { await self.listener.run() }
                group.addTask { await self.spend.run() }
                if let (adopter, root, interval) = self.adoption {
                    group.addTask {
                        await adopter.run(root: root, interval: interval, generator: SystemRandomNumberGenerator())
                    }
                }
                await group.waitForAll()
            }
        } onCancel: {
            self.listener.stop()
        }
    }
}

extension FleetConfiguration {
    init(_ settings: FleetSettings) {
        self.init(
            deadAfter: settings.deadAfter, holdFor: settings.holdFor, grace: settings.grace,
            retention: settings.retention)
    }
}

extension JournalConfiguration {
    init(_ settings: LedgerSettings) {
        self.init(
            segmentBytes: settings.journalSegmentBytes, bytesMax: settings.journalBytesMax,
            syncInterval: settings.syncInterval)
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
