import GatewayCore
import GatewayLedger
import Synchronization
import TestSupport

/// The store's model, with checks of what must hold at each call (ledger-sync, section 3.3).
final class SimulatedStore: Sendable {
    let ledger = MemoryLedgerStore()
    let log: MemoryChangeLog
    let fleet: MemoryFleetStore
    /// Versions of the named things that change.
    let versions = Mutex<[String: Int]>([:])
    private let epochs = Mutex<[JournalID: Int64]>([:])
    private let faults = Mutex<[String]>([])

    init(clock: any WallClock) {
        self.log = MemoryChangeLog(clock: clock)
        self.fleet = MemoryFleetStore(clock: clock, ledger: self.ledger, log: self.log)
    }

    /// Invariants that were broken, as sentences.
    var broken: [String] { self.faults.withLock { $0 } }
    func isBroken(_ sentence: String) { self.faults.withLock { $0.append(sentence) } }

    /// Changes one thing, as an admin's transaction does.
    func change(_ name: String) {
        self.versions.withLock { $0[name, default: 0] += 1 }
        self.log.append(.setting, name)
    }

    func standing(of journal: JournalID) async throws(LedgerError) -> StreamStanding? {
        try await self.fleet.standing(of: journal)
    }
    func takeStream(_ journal: JournalID) async throws(LedgerError) -> StreamPosition {
        let position = try await self.fleet.takeStream(journal)
        self.epochs.withLock { epochs in
            if let former = epochs[journal], position.epoch <= former {
                self.isBroken("I3: the epoch of \(journal.text) went from \(former) to \(position.epoch)")
            }
            epochs[journal] = max(epochs[journal] ?? 0, position.epoch)
        }
        return position
    }

    func append(_ events: [UsageEvent], at position: StreamPosition) async throws(LedgerError) -> AppendOutcome {
        let newest = self.epochs.withLock { $0[position.journal] ?? 0 }
        let outcome = try await self.fleet.append(events, at: position)
        if case .applied = outcome, position.epoch < newest {
            self.isBroken("I3: epoch \(position.epoch) appended although \(newest) had been given out")
        }
        return outcome
    }
}
