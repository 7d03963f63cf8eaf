import GatewayAdmission
import GatewayCore
import GatewayLedger
import Synchronization
import TestSupport

/// Loses statements and answers of another store at random.
final class FaultyEscrowStore: EscrowStore {
    private struct State {
        var random: SeededGenerator
        var isAway = false
        var lostAnswers = 0
    }
    private let store: any EscrowStore
    private let state: Mutex<State>

    init(_ store: any EscrowStore, seed: UInt64) {
        self.store = store
        self.state = Mutex(State(random: SeededGenerator(seed: seed)))
    }

    var isAway: Bool {
        get { self.state.withLock { $0.isAway } }
        set { self.state.withLock { $0.isAway = newValue } }
    }
    var lostAnswers: Int { self.state.withLock { $0.lostAnswers } }

    private func run<Value>(
        _ body: () async throws(LedgerError) -> Value
    ) async throws(LedgerError) -> Value {
        let (isLost, hasNoAnswer) = self.state.withLock { state in
            let part = Int.random(in: 0..<100, using: &state.random)
            return (state.isAway || part < 3, part >= 95)
        }
        if isLost { throw .unavailable("the statement was lost") }
        let value = try await body()
        if hasNoAnswer {
            self.state.withLock { $0.lostAnswers += 1 }
            throw .unavailable("the answer was lost")
        }
        return value
    }

    func openEscrow(_ journal: JournalID) async throws(LedgerError) -> EscrowSession {
        try await self.run { () async throws(LedgerError) in try await self.store.openEscrow(journal) }
    }
    func addAccounts(_ terms: [EscrowTerms], now: UnixMicroseconds) async throws(LedgerError) {
        try await self.run { () async throws(LedgerError) in try await self.store.addAccounts(terms, now: now) }
    }
    func exchange(
        _ entries: [EscrowEntry], in session: EscrowSession, share: Int64, sequence: Int64, position: Int64
    ) async throws(LedgerError) -> EscrowOutcome {
        try await self.run { () async throws(LedgerError) in
            try await self.store.exchange(entries, in: session, share: share, sequence: sequence, position: position)
        }
    }
    func resyncEscrow(_ streamID: Int64) async throws(LedgerError) -> (EscrowSession, [EscrowLease]) {
        try await self.run { () async throws(LedgerError) in try await self.store.resyncEscrow(streamID) }
    }
    func pressedAccounts(
        _ streamID: Int64
    ) async throws(LedgerError) -> (accounts: [Int64], now: UnixMicroseconds) {
        try await self.run { () async throws(LedgerError) in try await self.store.pressedAccounts(streamID) }
    }
    func exchangeRates(
        _ entries: [EscrowEntry], windows: [LimitTerms.Window], share: Int64
    ) async throws(LedgerError) -> (grants: [EscrowGrant], now: UnixMicroseconds) {
        try await self.run { () async throws(LedgerError) in
            try await self.store.exchangeRates(entries, windows: windows, share: share)
        }
    }
    func reclaimEscrow() async throws(LedgerError) -> [String] { try await self.store.reclaimEscrow() }
    func forgetEscrow(_ retention: EscrowRetention) async throws(LedgerError) -> [String] {
        try await self.run { () async throws(LedgerError) in try await self.store.forgetEscrow(retention) }
    }
    func standings(of accounts: [Int64]) async throws(LedgerError) -> [EscrowStanding] {
        try await self.store.standings(of: accounts)
    }
    func resetAccount(_ account: Int64) async throws(LedgerError) { try await self.store.resetAccount(account) }
    func verifyEscrow() async throws(LedgerError) -> [String] { try await self.store.verifyEscrow() }
}
