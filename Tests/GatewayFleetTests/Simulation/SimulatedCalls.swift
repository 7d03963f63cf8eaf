import GatewayCore
import GatewayLedger
import Synchronization
import TestSupport

/// What really happened at the provider: every attempt, and what of it must be found in the ledger.
final class SimulatedCalls: Sendable {
    private struct Attempt {
        var pod: Int
        var isSettled = false
        /// On the disk for sure.
        var isIntentDurable = false
        var isSettlementDurable = false
        /// Its machine was lost since.
        var wasLost = false
    }

    private let attempts = Mutex<[Int: Attempt]>([:])
    /// By pod: attempts that are not on the disk wholly.
    private let pending = Mutex<[Int: Set<Int>]>([:])

    var count: Int { self.attempts.withLock { $0.count } }

    func begin(pod: Int) -> Int {
        let number = self.attempts.withLock { attempts in
            attempts[attempts.count + 1] = Attempt(pod: pod)
            return attempts.count
        }
        self.pending.withLock { _ = $0[pod, default: []].insert(number) }
        return number
    }

    /// The journal refused the attempt, so it never went out.
    func refuse(_ number: Int) { self.attempts.withLock { $0[number]?.pod = -1 } }

    func settle(_ number: Int) { self.attempts.withLock { $0[number]?.isSettled = true } }

    /// Attempts of the pod whose records exist now: what a sync that ends later has brought to the disk.
    func recorded(pod: Int) -> [(number: Int, isSettled: Bool)] {
        let numbers = self.pending.withLock { $0[pod] ?? [] }
        return self.attempts.withLock { attempts in
            numbers.compactMap { number in attempts[number].map { (number, $0.isSettled) } }
        }
    }

    func markDurable(_ recorded: [(number: Int, isSettled: Bool)], pod: Int) {
        self.pending.withLock { $0[pod]?.subtract(recorded.filter(\.isSettled).map(\.number)) }
        self.attempts.withLock { attempts in
            for (number, isSettled) in recorded {
                attempts[number]?.isIntentDurable = true
                if isSettled { attempts[number]?.isSettlementDurable = true }
            }
        }
    }

    func loseMachine(pod: Int) {
        // What a later run of the pod syncs is not theirs.
        self.pending.withLock { $0[pod] = nil }
        self.attempts.withLock { attempts in
            for number in attempts.keys where attempts[number]?.pod == pod { attempts[number]?.wasLost = true }
        }
    }

    /// Compares with all rows of the ledger; one sentence for each difference.
    func differences(from rows: [UsageEvent]) -> [String] {
        let attempts = self.attempts.withLock { $0 }
        var found: [Int: UsageEvent] = [:]
        var differences: [String] = []
        for row in rows {
            let number = Int(row.requestID.bits.low & 0xFFFF_FFFF)
            if found.updateValue(row, forKey: number) != nil { differences.append("I1: call \(number) stands twice") }
            guard let attempt = attempts[number], attempt.pod >= 0 else {
                differences.append("I1: call \(number) stands in the ledger and was never made")
                continue
            }
            let isOrphan = row.outcome == .podDied
            if !isOrphan, !attempt.isSettled { differences.append("call \(number) was settled by nobody") }
            let cost: Int64 = isOrphan ? 1000 : Int64(number) * 10
            if row.cost.rawValue != cost {
                differences.append("call \(number) costs \(row.cost.rawValue), not \(cost)")
            }
            let mustBeSettled = attempt.isSettled && (!attempt.wasLost || attempt.isSettlementDurable)
            if isOrphan, mustBeSettled { differences.append("the settlement of call \(number) was lost") }
        }
        for (number, attempt) in attempts where found[number] == nil && attempt.pod >= 0 {
            if !attempt.wasLost || attempt.isIntentDurable { differences.append("I1: call \(number) was lost") }
        }
        return differences
    }
}
