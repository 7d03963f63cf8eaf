import GatewayCore
import GatewayLedger
import Synchronization

/// Usage rows in memory, read only: what the control plane asks of a ledger.
final class FixedLedger: LedgerStore {
    private let rows = Mutex<[UsageRow]>([])
    private let isDown = Mutex(false)

    func setDown(_ isDown: Bool) { self.isDown.withLock { $0 = isDown } }

    func add(_ events: [UsageEvent]) {
        self.rows.withLock { rows in
            for event in events {
                rows.append(UsageRow(streamID: 1, sequence: Int64(rows.count + 1), event: event))
            }
        }
    }

    private func all() throws(LedgerError) -> [UsageRow] {
        if self.isDown.withLock({ $0 }) { throw .unavailable("the test took the ledger away") }
        return self.rows.withLock { $0 }
    }

    func keySpend() async throws(LedgerError) -> [VirtualKeyID: NanoUSD] {
        var spend: [VirtualKeyID: NanoUSD] = [:]
        for row in try self.all() { spend[row.event.payer.keyID, default: .zero] += row.event.cost }
        return spend
    }

    func counter(_ dimension: CounterDimension) async throws(LedgerError) -> UsageCounter {
        var counter = UsageCounter.zero
        for row in try self.all() {
            switch dimension {
            case .total: break
            case .key(let keyID): if row.event.payer.keyID != keyID { continue }
            case .user(let user): if row.event.payer.userID != user { continue }
            case .team(let team): if row.event.payer.teamID != team { continue }
            case .modelGroup(let group): if row.event.route.modelGroup != group { continue }
            }
            counter.spend += row.event.cost
            counter.requests += 1
        }
        return counter
    }

    func usage(_ query: UsageQuery) async throws(LedgerError) -> [UsageRow] {
        let rows = try self.all()
        let found = rows.filter { row in
            let event = row.event
            return (query.digest == nil || query.digest == event.payer.digest)
                && (query.requestID == nil || query.requestID == event.requestID)
                && (query.userID == nil || query.userID == event.payer.userID)
                && (query.startedFrom.map { event.startedAt >= $0 } ?? true)
                && (query.startedBefore.map { event.startedAt < $0 } ?? true)
                && (query.after.map { (row.streamID, row.sequence) > $0 } ?? true)
        }
        return Array((query.newestFirst ? found.reversed() : found).prefix(query.limit))
    }

    private static let readOnly = LedgerError.unavailable("the control plane only reads the ledger")

    func standing(of journal: JournalID) async throws(LedgerError) -> StreamStanding? {
        nil
    }
    func takeStream(_ journal: JournalID) async throws(LedgerError) -> StreamPosition { throw Self.readOnly }

    func append(_ events: [UsageEvent], at position: StreamPosition) async throws(LedgerError) -> AppendOutcome {
        throw Self.readOnly
    }

    func fold() async throws(LedgerError) -> Int { throw Self.readOnly }
    func rebuildCounters() async throws(LedgerError) { throw Self.readOnly }
    func verify() async throws(LedgerError) -> [String] { throw Self.readOnly }
}
