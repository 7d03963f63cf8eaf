import GatewayCore
import Synchronization

/// One account of this pod: its pool under a lock that is held for arithmetic only. Shared by all paths that lead
/// through it.
package final class EscrowAccount: Sendable {
    package let id: Int64
    package let unit: EscrowUnit
    package let isRate: Bool
    private let pool: Mutex<EscrowPool>
    /// Whether the agent looks at this account in its rounds.
    private let isListed = Atomic<Bool>(false)
    private let signals: EscrowSignals
    private let registry: Owner

    /// The registry holds its accounts.
    private struct Owner: Sendable { weak var registry: EscrowRegistry? }

    init(_ terms: EscrowTerms, signals: EscrowSignals, registry: EscrowRegistry) {
        self.id = terms.id
        self.unit = terms.unit
        self.isRate = terms.isRate
        self.pool = Mutex(EscrowPool(terms))
        self.signals = signals
        self.registry = Owner(registry: registry)
    }

    package var terms: EscrowTerms { self.pool.withLock { $0.terms } }

    /// A copy, for reports and tests.
    package var snapshot: EscrowPool { self.pool.withLock { $0 } }

    /// Whether the store has said how the account stands in its present window.
    package var hasAnswer: Bool { self.pool.withLock { $0.standing != nil } }

    /// What calls of this pod may take, or get from the store and the other pods, as of the last answer; all of the limit
    /// while there is none.
    package var available: Int64 {
        self.pool.withLock { pool in
            pool.standing == nil ? pool.terms.limit : max(0, pool.current.free) + pool.leftAtStore + pool.elsewhere
        }
    }

    /// Whether the store, when it answered last, had what the call wants: only the slice is late then.
    package func isAtStore(_ demand: CallDemand) -> Bool {
        self.pool.withLock { pool in
            let isStrict = pool.terms.isStrict
            return pool.leftAtStore >= (isStrict ? demand.amount(self.unit, isStrict: true) : 1)
        }
    }

    func reserve(
        _ amount: Int64, now: UnixMicroseconds, at: UInt64, hasWaited: Bool = false
    ) -> EscrowPool.Verdict {
        let podsWithoutStore = self.signals.podsWithoutStore.load(ordering: .relaxed)
        let verdict = self.pool.withLock {
            $0.reserve(amount, now: now, at: at, podsWithoutStore: podsWithoutStore, hasWaited: hasWaited)
        }
        if !self.isListed.load(ordering: .relaxed) { self.list() }
        if verdict == .short { self.signals.onNeed() }
        return verdict
    }

    /// As `reserve(_:now:at:hasWaited:)`, but dry in any other generation than the one that was got just now.
    func reserve(_ amount: Int64, now: UnixMicroseconds, at: UInt64, in generation: Int64) -> EscrowPool.Verdict {
        let verdict = self.reserve(amount, now: now, at: at)
        guard case .taken(let taken, let other) = verdict, other != generation else { return verdict }
        self.settle(generation: other, reserved: taken, consumed: 0, sequence: .max, ends: true)
        return .dry
    }

    /// As `reserve(_:now:at:hasWaited:)` of a rate, with how it stands then.
    func reserve(
        _ amount: Int64, now: UnixMicroseconds, at: UInt64, rates: inout LeastRates
    ) -> EscrowPool.Verdict {
        let podsWithoutStore = self.signals.podsWithoutStore.load(ordering: .relaxed)
        let verdict = self.pool.withLock { pool in
            let verdict = pool.reserve(amount, now: now, at: at, podsWithoutStore: podsWithoutStore)
            pool.tell(&rates, now: now)
            return verdict
        }
        if !self.isListed.load(ordering: .relaxed) { self.list() }
        if verdict == .short { self.signals.onNeed() }
        return verdict
    }

    func settle(generation: Int64, reserved: Int64, consumed: Int64, sequence: Int64, ends: Bool) {
        self.pool.withLock {
            $0.settle(
                generation: generation, reserved: reserved, consumed: consumed, sequence: sequence, ends: ends)
        }
        if !self.isListed.load(ordering: .relaxed) { self.list() }
    }

    private func list() {
        if !self.isListed.exchange(true, ordering: .acquiringAndReleasing) { self.registry.registry?.list(self) }
    }

    func read<Result: Sendable>(_ body: (borrowing EscrowPool) -> Result) -> Result {
        self.pool.withLock { body($0) }
    }

    /// For the agent.
    package func update<Result: Sendable>(_ body: (inout sending EscrowPool) -> sending Result) -> Result {
        self.pool.withLock { body(&$0) }
    }

    /// Takes the account off the agent's list if it is idle. A call that comes at this moment lists it again.
    package func unlistIfIdle(at: UInt64) -> Bool {
        self.pool.withLock { pool in
            guard pool.isIdle(at: at) else { return false }
            self.isListed.store(false, ordering: .releasing)
            return true
        }
    }
}

/// What accounts look at and say without their registry.
final class EscrowSignals: Sendable {
    let podsWithoutStore = Atomic<Int64>(0)
    let onNeed: @Sendable () -> Void

    init(onNeed: @escaping @Sendable () -> Void) { self.onNeed = onNeed }
}

/// All accounts that this pod has met, and which of them its agent has to look at.
package final class EscrowRegistry: Sendable {
    private struct State: Sendable {
        /// Held, not weakly referenced: that would make each count of a holder take the runtime's slow way.
        var accounts: [Int64: EscrowAccount] = [:]
        var purgeAt = 1024
        var listed: [EscrowAccount] = []

        /// Nobody but the table holds it: no path leads through it, no call has reserved there, the agent has nothing
        /// to do with it.
        mutating func isUnused(_ id: Int64) -> Bool {
            guard let index = self.accounts.index(forKey: id) else { return true }
            return isKnownUniquelyReferenced(&self.accounts.values[index])
        }

        mutating func purge() {
            for id in Array(self.accounts.keys) where self.isUnused(id) { self.accounts[id] = nil }
            self.purgeAt = max(1024, 2 * self.accounts.count)
        }
    }
    private let state = Mutex(State())
    private let signals: EscrowSignals
    private let wakers = Mutex<[@Sendable () -> Void]>([])
    private let waiting = Atomic<Int>(0)
    private let offset = Atomic<Int64>(0)
    private let trusted = Atomic<UInt64>(.max)
    private let softPassings = Mutex<[SubjectKind: Int64]>([:])

    /// - Parameter onNeed: called, on any thread and often, when a call waits for the store; must be quick.
    package init(onNeed: @escaping @Sendable () -> Void) { self.signals = EscrowSignals(onNeed: onNeed) }

    // MARK: what calls ask

    /// What has to be added to this pod's clock to have the store's, microseconds.
    package var storeOffsetMicroseconds: Int64 { self.offset.load(ordering: .relaxed) }

    /// Whether slices of budgets may still be used: after too long a silence the store may have given them to others.
    package func isTrusted(at: UInt64) -> Bool { at < self.trusted.load(ordering: .relaxed) }

    /// Pods that were alive when the store stopped to answer; 0: it answers.
    package var podsWithoutStore: Int64 { self.signals.podsWithoutStore.load(ordering: .relaxed) }

    /// Calls that wait for an answer of the store, over all event loops.
    package func countWaiting(_ change: Int) { self.waiting.wrappingAdd(change, ordering: .relaxed) }

    /// Has `wake` called whenever the store has answered and calls wait; on any thread, must be quick.
    package func onAnswer(_ wake: @escaping @Sendable () -> Void) { self.wakers.withLock { $0.append(wake) } }

    // MARK: what the agent tells

    package func answered() {
        guard self.waiting.load(ordering: .relaxed) > 0 else { return }
        for wake in self.wakers.withLock({ $0 }) { wake() }
    }

    package func setStoreOffset(microseconds: Int64) { self.offset.store(microseconds, ordering: .relaxed) }

    /// - Parameter until: monotonic nanoseconds.
    package func trust(until: UInt64) { self.trusted.store(until, ordering: .relaxed) }

    package func setStoreAway(pods: Int64) { self.signals.podsWithoutStore.store(max(0, pods), ordering: .relaxed) }

    /// A soft limit was passed, and this pod is the one that tells.
    package func countSoftPassing(_ kind: SubjectKind) { self.softPassings.withLock { $0[kind, default: 0] += 1 } }

    /// How often, by whose limit, since the pod's start.
    package var softPassingCounts: [SubjectKind: Int64] { self.softPassings.withLock { $0 } }

    func list(_ account: EscrowAccount) { self.state.withLock { $0.listed.append(account) } }

    /// The account of `terms`, made at first sight; terms of a known one are brought up to date.
    /// - Parameter at: monotonic nanoseconds.
    package func account(_ terms: EscrowTerms, at: UInt64) -> EscrowAccount {
        let account = self.state.withLock { state in
            if let known = state.accounts[terms.id] { return known }
            if state.accounts.count >= state.purgeAt { state.purge() }
            let made = EscrowAccount(terms, signals: self.signals, registry: self)
            state.accounts[terms.id] = made
            return made
        }
        account.update { $0.take(terms, at: at) }
        return account
    }

    /// `nil`: nobody uses it.
    package func account(id: Int64) -> EscrowAccount? {
        self.state.withLock { $0.isUnused(id) ? nil : $0.accounts[id] }
    }

    /// Accounts that a round looks at; those that have become idle leave the list.
    package func listed(at: UInt64) -> [EscrowAccount] {
        let listed = self.state.withLock { state in
            defer { state.listed = [] }
            return state.listed
        }
        let kept = listed.filter { !$0.unlistIfIdle(at: at) }
        self.state.withLock { $0.listed.append(contentsOf: kept) }
        return kept
    }
}
