import GatewayAdmission
import GatewayCore
import GatewayLedger
import Logging
import Synchronization

/// Times and sizes of the escrow.
package struct EscrowConfiguration: Sendable, Equatable {
    /// Between two regular rounds.
    package var tick: Duration
    /// Between two rounds while calls wait.
    package var pause: Duration
    /// Slices are no longer used when the store has been silent for this long: it gives them to others after
    /// `FleetConfiguration.holdFor`, and calls under way have to end before. `nil`: nobody else can ever get them.
    package var trustsFor: Duration?
    /// Most accounts in one statement.
    package var batchMax: Int

    package init(
        tick: Duration = .milliseconds(250), pause: Duration = .milliseconds(50), trustsFor: Duration?,
        batchMax: Int = 500
    ) {
        self.tick = tick
        self.pause = pause
        self.trustsFor = trustsFor
        self.batchMax = batchMax
    }
}

/// What the agent has to know of its pod, read anew for each round; must be quick.
package struct EscrowFacts: Sendable, Equatable {
    /// Pods that are alive, this one included.
    package var pods: Int
    /// Last settlement in the journal.
    package var sequence: Int64
    /// Last settlement known to be in the store.
    package var applied: Int64
    /// Of the change log, to which terms are up to date.
    package var position: Int64

    package init(pods: Int, sequence: Int64, applied: Int64, position: Int64) {
        self.pods = pods
        self.sequence = sequence
        self.applied = applied
        self.position = position
    }
}

/// Keeps this pod's slices: asks when calls wait, ahead of need otherwise, hands back what others want, reports what was
/// consumed.
///
///     no session ─ resync ─► session ─ exchange ─► done: next turn
///         ▲                    │
///         └─ fenced, no answer ┘   what was under way is void; the store says what this pod holds
package actor EscrowAgent {
    private let registry: EscrowRegistry
    private let store: any EscrowStore
    private let journal: JournalID
    private let configuration: EscrowConfiguration
    private let isAlone: Bool
    private let clock: any WallClock
    private let nanoseconds: @Sendable () -> UInt64
    private let time: FleetTime
    private let logger: Logger
    private let facts: @Sendable () -> EscrowFacts
    private let ship: @Sendable () async throws(LedgerError) -> Void
    private let bell: EscrowBell

    private var session: EscrowSession?
    private var streamID: Int64 = 0
    private var failures = 0
    /// Exchanges of budgets and of rates that were sent, and accounts in them.
    package private(set) var statements = 0
    package private(set) var operations = 0

    private static let roundPause = Duration.milliseconds(2)
    /// Rounds of a drain: hand back, report what has been shipped meanwhile, close.
    private static let drainRoundsMax = 8

    /// - Parameters:
    ///   - isAlone: nobody shares the store.
    ///   - nanoseconds: the monotonic clock that calls use.
    ///   - bell: rung by `registry` when a call waits.
    ///   - ship: brings the journal into the store.
    package init(
        registry: EscrowRegistry, store: any EscrowStore, journal: JournalID, configuration: EscrowConfiguration,
        isAlone: Bool, clock: any WallClock, nanoseconds: @escaping @Sendable () -> UInt64, time: FleetTime,
        bell: EscrowBell, logger: Logger, facts: @escaping @Sendable () -> EscrowFacts,
        ship: @escaping @Sendable () async throws(LedgerError) -> Void
    ) {
        self.registry = registry
        self.store = store
        self.journal = journal
        self.configuration = configuration
        self.isAlone = isAlone
        self.clock = clock
        self.nanoseconds = nanoseconds
        self.time = time
        self.bell = bell
        self.logger = logger
        self.facts = facts
        self.ship = ship
    }

    /// Takes the pod's turn, before the first call and after everything in its journal has been stored.
    package func open() async throws(LedgerError) {
        let session = try await self.store.openEscrow(self.journal)
        self.session = session
        self.streamID = session.streamID
        self.heard(sentAt: self.nanoseconds())
    }

    /// Runs until the task is cancelled; hands nothing back then: `drain` does.
    package func run() async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.ringRegularly() }
            group.addTask {
                for await _ in self.bell.bell.rings {
                    await self.round(isTick: self.bell.takeTick())
                    // Calls that come meanwhile are in the next round together.
                    do { try await self.time.sleep(self.pauseAfterRound) } catch { return }
                }
            }
            await group.waitForAll()
        }
    }

    private func ringRegularly() async {
        var sinceTick = Duration.zero
        while !Task.isCancelled {
            let pause = self.isBusy ? self.configuration.pause : self.configuration.tick
            do { try await self.time.sleep(pause) } catch { return }
            sinceTick += pause
            if sinceTick >= self.configuration.tick {
                sinceTick = .zero
                self.bell.ring(isTick: true)
            } else {
                self.bell.ring(isTick: false)
            }
        }
    }

    private var pauseAfterRound: Duration { self.failures == 0 ? Self.roundPause : self.configuration.tick }

    /// Whether a round is due before the next regular one: calls wait, or there is something that others need.
    package var isBusy: Bool {
        let at = self.nanoseconds()
        return self.failures == 0 && self.registry.listed(at: at).contains { $0.update { $0.isBusy(at: at) } }
    }

    // MARK: rounds

    /// One round: everything that is worth a statement now. Failures are tried again with the next.
    package func round(isTick: Bool) async {
        let sentAt = self.nanoseconds()
        do throws(LedgerError) {
            if self.session == nil { try await self.resync() }
            if isTick, !self.isAlone { try await self.lookForPressure() }
            try await self.exchange(isTick: isTick)
            if self.failures > 0 { self.logger.notice("Slices of budgets can be exchanged again") }
            self.failures = 0
            self.registry.setStoreAway(pods: 0)
            self.heard(sentAt: sentAt)
        } catch {
            self.failures += 1
            // What was sent may or may not have been carried out.
            self.session = nil
            self.registry.setStoreAway(pods: Int64(self.facts().pods))
            if self.failures == 1 {
                self.logger.warning(
                    "Slices of budgets cannot be exchanged",
                    metadata: [LogKey.errorMessage.rawValue: "\(error.message)"])
            }
        }
        self.registry.answered()
    }

    /// The store answered what was sent then: it cannot have given this pod's slices away.
    private func heard(sentAt: UInt64) {
        guard let trustsFor = self.configuration.trustsFor else { return }
        let (seconds, attoseconds) = trustsFor.components
        self.registry.trust(until: sentAt &+ UInt64(seconds) &* 1_000_000_000 &+ UInt64(attoseconds / 1_000_000_000))
    }

    private func surroundings(_ facts: EscrowFacts) -> EscrowSurroundings {
        EscrowSurroundings(
            now: self.nanoseconds(), pods: Int64(max(1, facts.pods)), isAlone: self.isAlone,
            tickSeconds: Double(self.configuration.tick.components.seconds)
                + Double(self.configuration.tick.components.attoseconds) * 1e-18,
            sequence: facts.sequence, applied: facts.applied)
    }

    private var storeTime: UnixMicroseconds {
        UnixMicroseconds(rawValue: self.clock.now().rawValue + self.registry.storeOffsetMicroseconds)
    }

    private struct Proposal {
        let account: EscrowAccount
        let entry: EscrowEntry
    }

    private func exchange(isTick: Bool) async throws(LedgerError) {
        let facts = self.facts()
        let around = self.surroundings(facts)
        let now = self.storeTime
        var budgets: [Proposal] = []
        var rates: [Proposal] = []
        for account in self.registry.listed(at: around.now) {
            guard let entry = account.update({ $0.proposal(around, now: now, isTick: isTick) }) else { continue }
            if account.isRate {
                rates.append(Proposal(account: account, entry: entry))
            } else {
                budgets.append(Proposal(account: account, entry: entry))
            }
        }
        // Should one batch fail, the others are void with it: `resync` comes before the next round.
        do throws(LedgerError) {
            for start in stride(from: 0, to: budgets.count, by: self.configuration.batchMax) {
                // After a fence the store has said anew what this pod holds, and the rest was reckoned before.
                guard
                    try await self.exchangeBudgets(Array(budgets[start...].prefix(self.configuration.batchMax)), facts)
                else { break }
            }
        } catch {
            for rate in rates { rate.account.update { $0.withdraw(rate.entry) } }
            throw error
        }
        for start in stride(from: 0, to: rates.count, by: self.configuration.batchMax) {
            do throws(LedgerError) {
                try await self.exchangeRates(Array(rates[start...].prefix(self.configuration.batchMax)), facts)
            } catch {
                // Nothing but an answer would let these ask again.
                for rate in rates[start...].dropFirst(self.configuration.batchMax) {
                    rate.account.update { $0.withdraw(rate.entry) }
                }
                throw error
            }
        }
    }

    private func share(_ facts: EscrowFacts) -> Int64 { self.isAlone ? 1 : Int64(min(16, max(4, 2 * facts.pods))) }

    /// - Returns: `false`: somebody else has taken this pod's turn meanwhile, and it has taken it again.
    private func exchangeBudgets(_ proposals: [Proposal], _ facts: EscrowFacts) async throws(LedgerError) -> Bool {
        var proposals = proposals
        // Once more for accounts that the store did not take: they are new, or their window has just been closed.
        for attempt in 0..<2 {
            guard let session = self.session, !proposals.isEmpty else { break }
            self.statements += 1
            self.operations += proposals.count
            let outcome = try await self.store.exchange(
                proposals.map(\.entry), in: session, share: self.share(facts), sequence: facts.sequence,
                position: facts.position)
            guard case .done(let grants, let now) = outcome else {
                self.session = nil
                try await self.resync()
                return false
            }
            self.session?.turn += 1
            self.heard(now: now)
            proposals = self.apply(grants, to: proposals)
            guard !proposals.isEmpty, attempt == 0 else { break }
            // What has been spent already counts, and some of it may be in this pod's journal only.
            if facts.applied < facts.sequence { try await self.ship() }
            try await self.store.addAccounts(proposals.map(\.account.terms), now: now)
        }
        for proposal in proposals { proposal.account.update { $0.withdraw(proposal.entry) } }
        return true
    }

    /// - Returns: proposals that got no answer.
    private func apply(_ grants: [EscrowGrant], to proposals: [Proposal]) -> [Proposal] {
        let at = self.nanoseconds()
        let byAccount = Dictionary(grants.map { ($0.accountID, $0) }) { first, _ in first }
        return proposals.filter { proposal in
            guard let grant = byAccount[proposal.account.id] else { return true }
            let hasPassed = proposal.account.update { pool in
                pool.apply(grant, to: proposal.entry, at: at)
                return pool.takeSoftPassing()
            }
            if hasPassed { self.tellSoftPassing(proposal.account.terms, spent: grant.spent) }
            return false
        }
    }

    private func tellSoftPassing(_ terms: EscrowTerms, spent: Int64) {
        self.registry.countSoftPassing(terms.subject.kind)
        self.logger.warning(
            "A soft budget was passed",
            metadata: [
                LogKey.subjectKind.rawValue: "\(terms.subject.kind.name)",
                LogKey.subjectID.rawValue:
                    "\(terms.subject.id.split(separator: "\n").joined(separator: ", ").prefix(256))",
                LogKey.budgetWindow.rawValue: "\(terms.windowName ?? "lifetime")",
                LogKey.budgetSoftLimit.rawValue: "\(NanoUSD(rawValue: terms.softLimit ?? 0).decimalText)",
                LogKey.budgetSpent.rawValue: "\(NanoUSD(rawValue: spent).decimalText)",
            ])
    }

    private func exchangeRates(_ proposals: [Proposal], _ facts: EscrowFacts) async throws(LedgerError) {
        self.statements += 1
        self.operations += proposals.count
        do throws(LedgerError) {
            let windows = proposals.map { proposal -> LimitTerms.Window in
                if case .rate(let window) = proposal.account.terms.window { window } else { .minute }
            }
            let (grants, now) = try await self.store.exchangeRates(
                proposals.map(\.entry), windows: windows, share: self.share(facts))
            self.heard(now: now)
            for proposal in self.apply(grants, to: proposals) {
                proposal.account.update { $0.withdraw(proposal.entry) }
            }
        } catch {
            // Whether or not it was carried out: what was asked for is not used in this window, what was handed back
            // is gone, so the limit holds.
            for proposal in proposals { proposal.account.update { $0.lose(proposal.entry) } }
            throw error
        }
    }

    private func heard(now: UnixMicroseconds) {
        self.registry.setStoreOffset(microseconds: now.rawValue - self.clock.now().rawValue)
    }

    /// Learns which of the slices here others wait for; those that nothing is left of need not be looked at.
    private func lookForPressure() async throws(LedgerError) {
        let hasSpare = self.registry.listed(at: self.nanoseconds()).contains { account in
            !account.isRate && account.update { $0.hasSpare }
        }
        guard hasSpare else { return }
        let (accounts, now) = try await self.store.pressedAccounts(self.streamID)
        self.heard(now: now)
        let at = self.nanoseconds()
        for id in accounts { self.registry.account(id: id)?.update { $0.notePressure(at: at) } }
    }

    // MARK: recovery

    /// Ends what is under way and takes over what the store says this pod holds.
    private func resync() async throws(LedgerError) {
        let (session, leases) = try await self.store.resyncEscrow(self.streamID)
        let byAccount = Dictionary(grouping: leases, by: \.accountID)
        for account in self.registry.listed(at: self.nanoseconds()) where !account.isRate {
            account.update { $0.resync(byAccount[account.id] ?? []) }
        }
        self.session = session
        try await self.handBackUnknown(leases)
    }

    /// Slices of accounts that this process has no use for any more.
    private func handBackUnknown(_ leases: [EscrowLease]) async throws(LedgerError) {
        let unknown = leases.filter { self.registry.account(id: $0.accountID) == nil }
        let facts = self.facts()
        // Each account once in a statement.
        var seen: Set<Int64> = []
        let entries = unknown.filter { seen.insert($0.accountID).inserted && $0.granted != $0.settled }.map { lease in
            var entry = EscrowEntry(accountID: lease.accountID, limit: 0)
            (entry.generation, entry.give, entry.closes) = (lease.generation, lease.granted - lease.settled, true)
            // The window stays as it is.
            entry.windowEnd = 0
            return entry
        }
        guard !entries.isEmpty, let session = self.session else { return }
        // An old position, so that the limit is not taken over.
        let outcome = try await self.store.exchange(
            entries, in: session, share: 1, sequence: facts.sequence, position: -2)
        if case .done = outcome { self.session?.turn += 1 } else { self.session = nil }
    }

    /// Hands everything back, after the last call has been settled.
    package func drain() async {
        for account in self.registry.listed(at: self.nanoseconds()) { account.update { $0.leave() } }
        for _ in 0..<Self.drainRoundsMax {
            await self.round(isTick: true)
            guard self.failures == 0 else { return }
            // A failure shows at the next try to ship, which says so.
            try? await self.ship()
            if self.registry.listed(at: self.nanoseconds()).isEmpty { return }
        }
    }
}

/// Wakes the agent; rings that it has not heard yet are one.
package final class EscrowBell: Sendable {
    let bell = Bell()
    private let mustTick = Atomic<Bool>(false)

    package init() {}

    /// A call waits.
    package func ring() { self.bell.ring() }

    func ring(isTick: Bool) {
        if isTick { self.mustTick.store(true, ordering: .releasing) }
        self.bell.ring()
    }

    func takeTick() -> Bool { self.mustTick.exchange(false, ordering: .acquiringAndReleasing) }
}
