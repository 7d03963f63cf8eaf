import GatewayAdmission
import GatewayCore

/// A pod's right to exchange slices: of its stream, at this turn. Every exchange is another turn, so that one whose
/// answer was lost can be told from one that never came about, and a former process is fenced.
package struct EscrowSession: Sendable, Equatable {
    package var streamID: Int64
    package var turn: Int64

    package init(streamID: Int64, turn: Int64) {
        self.streamID = streamID
        self.turn = turn
    }
}

/// Outcome of an exchange.
package enum EscrowOutcome: Sendable, Equatable {
    /// Carried out, for those accounts that the store knows; the session is one turn further.
    case done([EscrowGrant], now: UnixMicroseconds)
    /// Nothing was done: somebody else has taken a turn since. Read the leases anew with `resyncEscrow`.
    case fenced
}

/// An account as the store keeps it, for reports.
package struct EscrowStanding: Sendable, Equatable {
    package var accountID: Int64
    package var name: String
    package var generation: Int64
    package var limit: Int64
    /// What pods hold or have consumed.
    package var outstanding: Int64
    /// Of it: consumption that pods have reported.
    package var spent: Int64
    /// Microseconds; `Int64.max`: never.
    package var windowEnd: Int64

    package init(
        accountID: Int64, name: String, generation: Int64, limit: Int64, outstanding: Int64, spent: Int64,
        windowEnd: Int64
    ) {
        self.accountID = accountID
        self.name = name
        self.generation = generation
        self.limit = limit
        self.outstanding = outstanding
        self.spent = spent
        self.windowEnd = windowEnd
    }
}

/// What is to be done with the slices of a stream whose pod is gone.
package enum EscrowClosing: Sendable, Equatable {
    /// Its rows are all in the store: what they do not account for is free again.
    case everything
    /// As `everything`, but should its journal come back, its later rows are still taken.
    case writtenOff
    /// Places for calls only: the calls have ended with the pod.
    case permits
}

/// For how long the escrow keeps what is over.
package struct EscrowRetention: Sendable, Equatable {
    /// Of windows after their end, and of rates after their last use: far longer than any call or silence of a pod that
    /// comes back.
    package var windows: Duration
    /// Of accounts after the end of their last window. What was left in it does not roll over any more.
    package var accounts: Duration

    package init(windows: Duration = .seconds(7 * 86_400), accounts: Duration = .seconds(400 * 86_400)) {
        self.windows = windows
        self.accounts = accounts
    }

    /// What `EscrowStore.forgetEscrow` says of so many things.
    package static func report(windows: Int64, accounts: Int64, rates: Int64) -> [String] {
        let kinds = [
            (windows, "windows of budgets that were over"), (accounts, "budgets that were not used any more"),
            (rates, "rates that were not used any more"),
        ]
        return kinds.filter { $0.0 > 0 }.map { "Forgot \($0.0) \($0.1)." }
    }
}

/// Slices of budgets and limits for all pods. Of an account the store keeps `outstanding`, everything that pods hold or
/// have consumed in the present window, and never lets a grant raise it above the limit.
///
/// Invariant, in every committed state and for every generation of an account:
/// `outstanding = spent + sum over leases of (granted - settled)`.
/// Every conformance passes `EscrowStoreConformance`.
package protocol EscrowStore: Sendable {
    /// Begins the turns of the pod that writes `journal`, and closes the leases that a former process left. Everything in
    /// the journal must have been stored before.
    func openEscrow(_ journal: JournalID) async throws(LedgerError) -> EscrowSession
    /// Makes those accounts that are not there yet. What has been spent in the window already, as far as it has been
    /// folded, counts as spent.
    /// - Parameter now: the present as the pod reckons; decides about the first window only.
    /// - Throws: `.corrupt` when two accounts have one identifier.
    func addAccounts(_ terms: [EscrowTerms], now: UnixMicroseconds) async throws(LedgerError)
    /// Hands back, reports and asks, for all accounts of `entries` (each once), all at once. Accounts that are not there
    /// are missing in the answer, and nothing was done for them.
    /// - Parameters:
    ///   - share: a pod gets at most this part (1/share) of what is left, unless a call needs more.
    ///   - sequence: last settlement in the pod's journal; slices that begin now count what comes after it.
    ///   - position: of the change log, to which the pod's terms are at least up to date.
    func exchange(
        _ entries: [EscrowEntry], in session: EscrowSession, share: Int64, sequence: Int64, position: Int64
    ) async throws(LedgerError) -> EscrowOutcome
    /// Ends all turns under way and says what this pod holds.
    func resyncEscrow(_ streamID: Int64) async throws(LedgerError) -> (EscrowSession, [EscrowLease])
    /// Accounts of which this stream holds slices and which somebody else wants.
    func pressedAccounts(_ streamID: Int64) async throws(LedgerError) -> (accounts: [Int64], now: UnixMicroseconds)
    /// As `exchange`, for rates: windows are numbered by the store's clock, and nothing survives them.
    func exchangeRates(
        _ entries: [EscrowEntry], windows: [LimitTerms.Window], share: Int64
    ) async throws(LedgerError) -> (grants: [EscrowGrant], now: UnixMicroseconds)
    /// Closes the leases of streams that are written off or closed, and gives back the permits of those that are silent.
    /// - Returns: one sentence for each thing done.
    func reclaimEscrow() async throws(LedgerError) -> [String]
    /// Forgets windows, rates and accounts that have been over for long and of which nobody holds anything; the window
    /// before an account's present one stays, because it may roll over. What a pod says later of a forgotten window is
    /// ignored, and an account that is wanted again is made anew by `addAccounts`.
    /// - Returns: one sentence for each kind of thing that was forgotten.
    func forgetEscrow(_ retention: EscrowRetention) async throws(LedgerError) -> [String]
    func standings(of accounts: [Int64]) async throws(LedgerError) -> [EscrowStanding]
    /// Begins the account's window anew, as an administrator wants it; unknown ones are ignored.
    func resetAccount(_ account: Int64) async throws(LedgerError)
    /// Checks the invariant; one sentence per difference, empty when exact.
    func verifyEscrow() async throws(LedgerError) -> [String]
}
