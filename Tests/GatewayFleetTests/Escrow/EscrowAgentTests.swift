import GatewayAdmission
import GatewayCore
import GatewayFleet
import GatewayLedger
import Logging
import Synchronization
import TestSupport
import Testing

/// Fails the first exchange of rates.
private final class BrokenRates: EscrowStore {
    private let store: any EscrowStore
    private let hasFailed = Atomic<Bool>(false)

    init(_ store: any EscrowStore) { self.store = store }

    func openEscrow(_ journal: JournalID) async throws(LedgerError) -> EscrowSession {
        try await self.store.openEscrow(journal)
    }
    func addAccounts(_ terms: [EscrowTerms], now: UnixMicroseconds) async throws(LedgerError) {
        try await self.store.addAccounts(terms, now: now)
    }
    func exchange(
        _ entries: [EscrowEntry], in session: EscrowSession, share: Int64, sequence: Int64, position: Int64
    ) async throws(LedgerError) -> EscrowOutcome {
        try await self.store.exchange(entries, in: session, share: share, sequence: sequence, position: position)
    }
    func resyncEscrow(_ streamID: Int64) async throws(LedgerError) -> (EscrowSession, [EscrowLease]) {
        try await self.store.resyncEscrow(streamID)
    }
    func pressedAccounts(
        _ streamID: Int64
    ) async throws(LedgerError) -> (accounts: [Int64], now: UnixMicroseconds) {
        try await self.store.pressedAccounts(streamID)
    }
    func exchangeRates(
        _ entries: [EscrowEntry], windows: [LimitTerms.Window], share: Int64
    ) async throws(LedgerError) -> (grants: [EscrowGrant], now: UnixMicroseconds) {
        if !self.hasFailed.exchange(true, ordering: .relaxed) { throw .unavailable("the statement was lost") }
        return try await self.store.exchangeRates(entries, windows: windows, share: share)
    }
    func reclaimEscrow() async throws(LedgerError) -> [String] { try await self.store.reclaimEscrow() }
    func forgetEscrow(_ retention: EscrowRetention) async throws(LedgerError) -> [String] {
        try await self.store.forgetEscrow(retention)
    }
    func standings(of accounts: [Int64]) async throws(LedgerError) -> [EscrowStanding] {
        try await self.store.standings(of: accounts)
    }
    func resetAccount(_ account: Int64) async throws(LedgerError) { try await self.store.resetAccount(account) }
    func verifyEscrow() async throws(LedgerError) -> [String] { try await self.store.verifyEscrow() }
}

private final class Monotonic: Sendable {
    let nanoseconds = Atomic<UInt64>(1_000_000_000_000)
}

@Suite("An escrow agent")
struct EscrowAgentTests {
    @Test("asks again for every limit of a round whose first statement of several failed")
    func roundOfSeveralStatements() async throws {
        let (clock, ledger) = (ManualWallClock(), MemoryLedgerStore())
        let store = BrokenRates(MemoryEscrowStore(ledger: ledger, clock: clock))
        let registry = EscrowRegistry(onNeed: {})
        let elapsed = Monotonic()
        let now: @Sendable () -> UInt64 = { elapsed.nanoseconds.load(ordering: .relaxed) }
        let agent = EscrowAgent(
            registry: registry, store: store, journal: LedgerSample.journal(1),
            configuration: EscrowConfiguration(trustsFor: nil, batchMax: 1), isAlone: false, clock: clock,
            nanoseconds: now, time: FleetTime(now: { .zero }, sleep: { _ in }), bell: EscrowBell(),
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
            facts: { EscrowFacts(pods: 1, sequence: 0, applied: 0, position: 1) },
            ship: { () async throws(LedgerError) in })
        _ = try await ledger.takeStream(LedgerSample.journal(1))
        try await agent.open()
        let terms = (1...3).map { number in
            EscrowTerms(
                LimitTerms(subject: Subject(.key, "k\(number)"), unit: .requests, window: .day, value: 100))
        }
        let demand = CallDemand(costMax: 0, costExpected: 0, inputTokens: 0, outputTokens: 0)
        let paths = terms.map { AccountPath([$0], registry: registry, at: now()) }
        /// Of the three limits, how many let a call go on.
        func admitted() -> Int {
            paths.count { path in
                var ticket = AdmissionTicket()
                guard case .admitted = ticket.admit(path, demand, now: clock.now(), at: now()) else { return false }
                ticket.finish()
                return true
            }
        }
        #expect(admitted() == 0)
        await agent.round(isTick: false)
        for _ in 0..<3 {
            if admitted() == 3 { return }
            clock.advance(by: .seconds(1))
            elapsed.nanoseconds.wrappingAdd(1_000_000_000, ordering: .relaxed)
            await agent.round(isTick: true)
        }
        #expect(admitted() == 3)
    }
}
