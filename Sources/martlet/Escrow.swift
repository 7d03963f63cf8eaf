import GatewayAdmission
import GatewayCore
import GatewayFleet
import GatewayLedger
import Logging
import NIOCore

/// Budgets and limits of this pod: what calls look at, and the agent that keeps its slices.
struct Escrow: Sendable {
    let registry: EscrowRegistry
    private let agent: EscrowAgent

    /// A pod stops to use its slices this long before other pods may get them, a fifth of `holdFor` at most.
    private static let trustMargin = Duration.seconds(60)

    /// Takes the pod's turn; everything in its journal has been stored before.
    /// - Parameter holdFor: other pods get what a silent one held after this time.
    static func open(
        ledger: Ledger, membership: FleetMembership?, holdFor: Duration,
        position: @escaping @Sendable () -> Int64, clock: any WallClock, logger: Logger
    ) async throws(LedgerError) -> Escrow {
        let bell = EscrowBell()
        let registry = EscrowRegistry(onNeed: { bell.ring() })
        let (journal, shipper) = (ledger.journal, ledger.shipper)
        let isAlone = membership == nil
        let agent = EscrowAgent(
            registry: registry, store: ledger.stores.escrow, journal: journal.journalID,
            configuration: EscrowConfiguration(
                trustsFor: isAlone ? nil : holdFor - min(Self.trustMargin, holdFor / 5)),
            isAlone: isAlone, clock: clock, nanoseconds: { NIODeadline.now().uptimeNanoseconds }, time: .system,
            bell: bell, logger: logger,
            facts: {
                EscrowFacts(
                    pods: membership?.fleet.health.pods ?? 1, sequence: journal.lastSequence,
                    applied: shipper.status.applied ?? 0, position: position())
            }, ship: { () async throws(LedgerError) in try await shipper.shipPending() })
        try await agent.open()
        return Escrow(registry: registry, agent: agent)
    }

    /// Runs until the task is cancelled.
    func run() async { await self.agent.run() }

    /// Hands everything back, after the last call has been settled.
    func drain() async { await self.agent.drain() }
}
