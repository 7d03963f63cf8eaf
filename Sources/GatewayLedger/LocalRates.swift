import GatewayAdmission
import GatewayCore
import Synchronization

/// Rates of a pod that shares them with nobody, in memory: windows begin anew with the process.
package final class LocalRates: Sendable {
    private struct Rate: Sendable {
        var number: Int64 = 0
        /// When nothing of it counts any more, microseconds.
        var end: Int64 = 0
        var buckets: [Int64] = []
        var pressureUntil: Int64 = 0
    }
    private let rates = Mutex<[Int64: Rate]>([:])
    /// Rates beyond this number make room by forgetting those of past windows.
    private static let ratesMax = 100_000

    package init() {}

    /// As `EscrowStore.exchangeRates`.
    package func exchange(
        _ entries: [EscrowEntry], windows: [LimitTerms.Window], share: Int64, now: UnixMicroseconds
    ) -> [EscrowGrant] {
        self.rates.withLock { rates in
            if rates.count > Self.ratesMax {
                rates = rates.filter { $0.value.end > now.rawValue }
            }
            return zip(entries, windows).map { entry, window in
                Self.apply(entry, window: window, share: share, now: now, to: &rates[entry.accountID, default: Rate()])
            }
        }
    }

    private static func apply(
        _ entry: EscrowEntry, window: LimitTerms.Window, share: Int64, now: UnixMicroseconds, to rate: inout Rate
    ) -> EscrowGrant {
        let number = max(rate.number, window.number(at: now))
        let count = window.bucketCount
        let shift = Int(min(number - rate.number, Int64(count)))
        let kept = Array(repeating: 0, count: shift) + rate.buckets
        rate.buckets = (0..<count).map { $0 < kept.count ? kept[$0] : 0 }
        (rate.number, rate.end) = (number, (number + Int64(count)) * window.bucketMicroseconds)
        let isCurrent = entry.generation == number || window.isSliding
        if let index = Self.index(of: entry.generation, at: number, count) { rate.buckets[index] -= entry.give }
        for correction in entry.corrections {
            guard let index = Self.index(of: correction.generation, at: number, count) else { continue }
            rate.buckets[index] -= correction.amount
        }
        rate.buckets[0] += entry.kept
        let free = entry.limit - rate.buckets.reduce(0, +)
        let granted = isCurrent ? EscrowAccountRow.granted(entry, free: free, share: share) : 0
        rate.buckets[0] += granted
        if entry.most > 0, granted < entry.least { rate.pressureUntil = now.rawValue + 2_000_000 }
        let oldest = Int64(rate.buckets.lastIndex { $0 > 0 } ?? 0)
        return EscrowGrant(
            accountID: entry.accountID, generation: number, granted: granted, limit: entry.limit,
            outstanding: entry.limit - free + granted, spent: 0,
            windowEnd: (number - oldest + Int64(count)) * window.bucketMicroseconds,
            isUnderPressure: rate.pressureUntil > now.rawValue)
    }

    /// Where a window or slice stands among those that are counted. `nil`: it is over, or yet to come.
    private static func index(of generation: Int64, at number: Int64, _ count: Int) -> Int? {
        let past = number - generation
        return generation > 0 && (0..<Int64(count)).contains(past) ? Int(past) : nil
    }
}
