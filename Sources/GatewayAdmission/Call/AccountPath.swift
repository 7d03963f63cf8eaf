/// The accounts that a call has to pass, in the order in which refusals are told. Immutable; shared by all calls of one
/// key, customer or deployment.
package final class AccountPath: Sendable {
    struct Step: Sendable {
        let account: EscrowAccount
        let unit: EscrowUnit
        let isStrict: Bool
    }
    let steps: [Step]
    /// Whether a budget on the way must never be passed.
    package let isStrict: Bool

    /// - Parameters:
    ///   - terms: at most `AdmissionTicket.stepsMax` with all other paths of a call.
    ///   - at: monotonic nanoseconds.
    package init(_ terms: [EscrowTerms], registry: EscrowRegistry, at: UInt64) {
        self.steps = terms.map {
            Step(account: registry.account($0, at: at), unit: $0.unit, isStrict: $0.isStrict)
        }
        self.isStrict = terms.contains { $0.unit == .money && $0.isStrict }
    }

    package var accounts: [EscrowAccount] { self.steps.map(\.account) }
    package var isEmpty: Bool { self.steps.isEmpty }
}
