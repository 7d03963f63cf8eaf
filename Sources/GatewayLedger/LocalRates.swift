import GatewayAdmission
import GatewayCore
import Synchronization

/// Rates of a pod that shares them with nobody, in memory: windows begin anew with the process.
package final class LocalRates: Sendable {
    private struct Rate: Sendable {
        var number: Int64 = 0
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
                rates = rates.filter { $0.value.number * 10_000_000 > now.rawValue - 120_000_000 }
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
        let shift = Int(min(number - rate.number, 100))
        let kept = Array(repeating: 0, count: shift) + rate.buckets
        rate.buckets = (0..<window.bucketCount).map { $0 < kept.count ? kept[$0] : 0 }
        rate.number = number
        let isCurrent = entry.generation == number
        if isCurrent { rate.buckets[0] -= entry.give }
        let free = entry.limit - rate.buckets.reduce(0, +)
        let granted = isCurrent ? EscrowAccountRow.granted(entry, free: free, share: share) : 0
        rate.buckets[0] += granted
        if entry.most > 0, granted < entry.least { rate.pressureUntil = now.rawValue + 2_000_000 }
        return EscrowGrant(
            accountID: entry.accountID, generation: number, granted: granted, limit: entry.limit,
            outstanding: entry.limit - free + granted, spent: 0,
            windowEnd: (number + 1) * window.bucketMicroseconds,
            isUnderPressure: rate.pressureUntil > now.rawValue)
    }
}
