/// The accounts that a call has to pass, in the order in which refusals are told. Immutable; shared by all calls of one
/// key, customer or deployment.
package final class AccountPath: Sendable {
    /// Nothing in it is counted: the path holds its accounts, and who uses a step holds the path.
    struct Step: Sendable {
        let account: Unmanaged<EscrowAccount>
        let unit: EscrowUnit
        let isStrict: Bool
        let isRate: Bool
    }
    let steps: [Step]
    package let accounts: [EscrowAccount]
    /// Whether a budget on the way must never be passed.
    package let isStrict: Bool

    /// - Parameters:
    ///   - terms: at most `AdmissionTicket.stepsMax` with all other paths of a call.
    ///   - at: monotonic nanoseconds.
    package init(_ terms: [EscrowTerms], registry: EscrowRegistry, at: UInt64) {
        let accounts = terms.map { registry.account($0, at: at) }
        self.accounts = accounts
        self.steps = zip(terms, accounts).map { terms, account in
            Step(
                account: .passUnretained(account), unit: terms.unit, isStrict: terms.isStrict, isRate: terms.isRate)
        }
        self.isStrict = terms.contains { $0.unit == .money && $0.isStrict }
    }

    package var isEmpty: Bool { self.steps.isEmpty }
}
