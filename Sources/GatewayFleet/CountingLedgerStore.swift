import GatewayCore
import GatewayLedger
import Synchronization

/// Passes everything on and counts what was stored.
final class CountingLedgerStore: LedgerStore {
    private let store: any LedgerStore
    private let count = Atomic<Int64>(0)

    init(_ store: any LedgerStore) { self.store = store }

    /// Events that appends have stored and answered for.
    var events: Int64 { self.count.load(ordering: .acquiring) }

    func append(_ events: [UsageEvent], at position: StreamPosition) async throws(LedgerError) -> AppendOutcome {
        let outcome = try await self.store.append(events, at: position)
        if case .applied = outcome { self.count.wrappingAdd(Int64(events.count), ordering: .acquiringAndReleasing) }
        return outcome
    }

    func standing(of journal: JournalID) async throws(LedgerError) -> StreamStanding? {
        try await self.store.standing(of: journal)
    }
    func takeStream(_ journal: JournalID) async throws(LedgerError) -> StreamPosition {
        try await self.store.takeStream(journal)
    }
    func fold() async throws(LedgerError) -> Int { try await self.store.fold() }
    func foldIfDue() async throws(LedgerError) -> Bool { try await self.store.foldIfDue() }
    func keySpend() async throws(LedgerError) -> [VirtualKeyID: NanoUSD] { try await self.store.keySpend() }
    func counter(_ dimension: CounterDimension) async throws(LedgerError) -> UsageCounter {
        try await self.store.counter(dimension)
    }
    func usage(_ query: UsageQuery) async throws(LedgerError) -> [UsageRow] { try await self.store.usage(query) }
    func rebuildCounters() async throws(LedgerError) { try await self.store.rebuildCounters() }
    func verify() async throws(LedgerError) -> [String] { try await self.store.verify() }
}
