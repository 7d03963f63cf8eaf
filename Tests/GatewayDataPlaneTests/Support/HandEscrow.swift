import GatewayAdmission
import GatewayCore
import NIOCore
import TestSupport

/// Slices that a test gives by hand, in place of a store.
struct HandEscrow: Sendable {
    let registry = EscrowRegistry(onNeed: {})

    static func budget(
        _ subject: Subject, _ dollarsNano: Int64, _ mode: BudgetMode = .expected, label: String = "1d"
    ) -> EscrowTerms {
        EscrowTerms(
            BudgetTerms(
                subject: subject, label: label, limit: NanoUSD(rawValue: dollarsNano),
                window: label.isEmpty ? .lifetime : .calendar(.day, count: 1, timeZone: "Etc/UTC"), mode: mode,
                softLimit: nil))
    }

    static func rate(_ subject: Subject, _ value: Int64, _ unit: LimitTerms.Unit = .requests) -> EscrowTerms {
        EscrowTerms(LimitTerms(subject: subject, unit: unit, window: .day, value: value))
    }

    private static let now = ManualWallClock().now()

    /// The store's answer: this pod may use `slice`, and of the limit nothing else is left. Believed for an hour.
    func grant(_ slice: Int64, of terms: EscrowTerms) {
        let at = NIODeadline.now().uptimeNanoseconds
        self.registry.account(terms, at: at).update { pool in
            let around = EscrowSurroundings(
                now: at, pods: 4, isAlone: false, tickSeconds: 0.25, sequence: 0, applied: 0)
            _ = pool.reserve(1, now: Self.now, at: at)
            guard let entry = pool.proposal(around, now: Self.now, isTick: false) else { return }
            let generation: Int64 =
                if case .rate(let window) = terms.window { window.number(at: Self.now) } else { 1 }
            pool.apply(
                EscrowGrant(
                    accountID: terms.id, generation: generation, granted: slice, limit: terms.limit,
                    outstanding: terms.limit, spent: terms.limit - slice, windowEnd: .max, isUnderPressure: false),
                to: entry, at: at + 3_600_000_000_000)
        }
        self.registry.answered()
    }

    func pool(_ terms: EscrowTerms) -> EscrowPool {
        self.registry.account(terms, at: NIODeadline.now().uptimeNanoseconds).snapshot
    }

    /// Nothing runs, and nothing is reserved.
    func isAtRest(_ terms: EscrowTerms) -> Bool {
        let slice = self.pool(terms).current
        return slice.reserved == 0 && slice.calls == 0
    }
}
