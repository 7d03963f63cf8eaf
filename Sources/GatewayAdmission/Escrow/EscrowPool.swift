import GatewayCore

/// The arithmetic of one account on one pod: what of its slice calls may take, what to ask the store for, what to hand
/// back. A value without clock, lock or store.
///
///     reserve ─ fits the slice ─────────────► taken ── settle ──► consumed, the rest is free again
///        │
///        ├─ there may be more elsewhere ────► short: ask, the call waits ── grant ──► reserve again
///        └─ less is left than it wants ─────► dry: refused, until it is worth asking again
package struct EscrowPool: Sendable {
    package enum Verdict: Hashable, Sendable {
        /// So much was reserved, of this generation; below 0: the store has not given one yet.
        case taken(amount: Int64, generation: Int64)
        /// Not enough here, perhaps enough elsewhere: wait for the next answer.
        case short
        /// Nothing is left for this call.
        case dry
    }

    package internal(set) var terms: EscrowTerms
    package internal(set) var current = EscrowSlice()
    /// Slices of former windows whose calls still run or whose rest has not been handed back.
    package internal(set) var retired: [EscrowSlice] = []
    /// Given to a slice last; they go down from -1.
    private var lastName: Int64 = 0
    /// When the current slice's window ends, microseconds. 0: it is a rate's and has not begun.
    package internal(set) var windowEnd = Int64.max
    /// The last answer. `nil`: none came yet.
    package internal(set) var standing: EscrowGrant?

    var needSum: Int64 = 0
    var needLeast: Int64 = 0
    var isInFlight = false
    var pressureUntil: UInt64 = 0
    /// What the last answer said of the store and the other pods is believed until then.
    var knownUntil: UInt64 = 0
    /// The most that other pods may still hand back, as of the last answer.
    var elsewhere: Int64 = 0
    var dryStreak = 0
    var nextAskAt: UInt64 = 0
    var nextGiveAt: UInt64 = 0
    /// So little is left that nothing is kept beyond what calls have reserved.
    var isExact = false
    var usedAt: UInt64 = 0
    var reportedAt: UInt64 = 0
    var isLeaving = false
    /// The last answer was the one by which reported spend passed the soft limit: nobody else had that one.
    var hasPassedSoftLimit = false

    // Demand
    var flow: Int64 = 0
    var flowSince: UInt64 = 0
    var perSecond = 0.0
    var typical = 0.0

    /// Of an account that is no sliding limit unused.
    var sliding = SlidingState()
    let isSliding: Bool

    package init(_ terms: EscrowTerms) {
        self.terms = terms
        self.isSliding = terms.isSliding
        if terms.isRate { self.windowEnd = 0 }
    }

    /// In force in the present window, with what has rolled over into it as far as this pod knows.
    var limit: Int64 {
        self.terms.rolloverMax == 0 ? self.terms.limit : max(self.terms.limit, self.standing?.limit ?? 0)
    }

    static let second: UInt64 = 1_000_000_000
    /// Two asks of one account are this far apart at least, and as many times 5 ms as there are pods, so that one row
    /// is locked at most 200 times a second for asking.
    static let askPause: UInt64 = 50_000_000
    static let askPausePerPod: UInt64 = 5_000_000
    /// Between two small parts that are handed back.
    static let givePause: UInt64 = 100_000_000
    static let pressureLasts: UInt64 = 2_000_000_000
    /// For how long an answer is believed: permits come back with every call, budgets with a raise or a reset only.
    static let knownLeast: UInt64 = 250_000_000
    static let knownMost: UInt64 = 5_000_000_000
    /// A slice that no call has touched for this long is handed back whole.
    static let idleAfter: UInt64 = 30_000_000_000
    /// How often consumption is reported of an account that has nothing else to say.
    static let reportEvery: UInt64 = 5_000_000_000
    static let retiredMax = 64

    // MARK: calls

    /// Takes `amount` for a call, all or nothing; an `expected` budget gives its rest to a call that wants more.
    /// - Parameters:
    ///   - now: the store's time as this pod reckons.
    ///   - at: monotonic nanoseconds.
    ///   - podsWithoutStore: pods that were alive when the store stopped to answer; 0: it answers.
    ///   - hasWaited: for as long as it may: the rest is given though the store may have more.
    package mutating func reserve(
        _ amount: Int64, now: UnixMicroseconds, at: UInt64, podsWithoutStore: Int64 = 0, hasWaited: Bool = false
    ) -> Verdict {
        self.roll(now: now)
        self.usedAt = at
        let limit = self.limit
        if self.terms.isWatched {
            // The store begins an account with what its rows say, so that what calls cost before would count twice.
            if self.current.generation > 0 || hasWaited || podsWithoutStore > 0 { return self.take(0) }
            (self.needSum, self.needLeast) = (1, 1)
            return .short
        }
        // Before the store has answered in this window nobody knows what has rolled over into it.
        let most = self.standing == nil ? self.terms.limit + self.terms.rolloverMax : limit
        guard most > 0, !self.terms.isStrict || amount <= most else { return .dry }
        // More than the whole budget is as good as all of it.
        let amount = min(amount, most)
        self.flow = min(self.flow + amount, EscrowTerms.limitMax)
        self.typical += (Double(amount) - self.typical) / 8
        if self.isSliding { return self.reserveSliding(amount, at: at, podsWithoutStore: podsWithoutStore) }
        let free = self.current.free
        if free >= amount { return self.take(amount) }
        if podsWithoutStore > 0, amount <= free + self.allowance(pods: podsWithoutStore) { return self.take(amount) }
        if at < self.knownUntil {
            if !self.terms.isStrict, free > 0, self.leftAtStore == 0 { return self.take(free) }
            if self.isBeyondReach(amount) { return .dry }
        }
        if hasWaited, !self.terms.isStrict, free > 0 { return self.take(free) }
        self.need(amount)
        return .short
    }

    /// Notes that a call waits for so much. While the store is away nothing takes it off again, so the sum has an end.
    mutating func need(_ amount: Int64) {
        self.needSum = min(self.needSum + amount, EscrowTerms.limitMax)
        self.needLeast = self.needLeast == 0 ? amount : min(self.needLeast, amount)
    }

    /// Whether even all that the store and the other pods have, as of the last answer, is less than a call wants; or
    /// whether there is nothing at all, where a call gets the rest.
    func isBeyondReach(_ amount: Int64) -> Bool {
        (self.terms.isStrict ? amount : 1) > self.current.free + self.leftAtStore + self.elsewhere
    }

    private mutating func take(_ amount: Int64) -> Verdict {
        self.current.reserved += amount
        self.current.calls += 1
        return .taken(
            amount: amount,
            generation: self.current.generation > 0 ? self.current.generation : self.nameOfCurrent())
    }

    /// What a call is told of a slice that has no window yet: when it ends, the slice may have one, or be retired.
    private mutating func nameOfCurrent() -> Int64 {
        if self.current.lastName == 0 {
            self.lastName -= 1
            self.current.give(name: self.lastName)
        }
        return self.current.lastName
    }

    /// What this pod may take beyond its slice while the store is away: its share of what was left, for rates and for
    /// budgets that need not be strict. It is a debt that the store is told of later; should the pod die before, its
    /// rows tell it, which are looked at only where there is a lease.
    private func allowance(pods: Int64) -> Int64 {
        guard self.terms.isRate || !self.terms.isStrict && self.current.hasLease else { return 0 }
        return (self.standing.map { max(0, $0.limit - $0.outstanding) } ?? self.terms.limit) / pods
    }

    /// Turns a part of a reservation into consumption, or gives it up.
    /// - Parameters:
    ///   - reserved: of the reservation, no longer held.
    ///   - consumed: added to consumption.
    ///   - sequence: place of the settlement in the journal.
    ///   - ends: whether the call is over.
    package mutating func settle(
        generation: Int64, reserved: Int64, consumed: Int64, sequence: Int64, ends: Bool
    ) {
        if self.isSliding {
            return self.settleSliding(generation: generation, reserved: reserved, consumed: consumed, ends: ends)
        }
        if self.current.isCalled(generation) {
            self.current.settle(reserved: reserved, consumed: consumed, sequence: sequence, ends: ends)
            return
        }
        // A rate's former window is nobody's business any more.
        guard let index = self.retired.firstIndex(where: { $0.isCalled(generation) }) else { return }
        self.retired[index].settle(reserved: reserved, consumed: consumed, sequence: sequence, ends: ends)
    }

    /// What nobody held when the store answered last; 0: it has not answered.
    var leftAtStore: Int64 { self.standing.map { max(0, $0.limit - $0.outstanding) } ?? 0 }

    /// Leaves a window that is over behind.
    @inline(__always)
    mutating func roll(now: UnixMicroseconds) { if now.rawValue >= self.windowEnd { self.rollOn(now: now) } }

    private mutating func rollOn(now: UnixMicroseconds) {
        switch self.terms.window {
        case .rate(let window) where window.isSliding: return
        case .rate(let window):
            let number = window.number(at: now)
            guard number > self.current.generation else { return }
            self.current = EscrowSlice()
            self.current.generation = number
            self.windowEnd = (number + 1) * window.bucketMicroseconds
            self.standing = nil
            (self.knownUntil, self.dryStreak, self.pressureUntil) = (0, 0, 0)
        case .budget:
            self.retireCurrent()
            self.windowEnd = .max
            self.standing = nil
            (self.knownUntil, self.dryStreak) = (0, 0)
        }
    }

    mutating func retireCurrent() {
        if self.current.generation > 0, !self.current.isEmpty {
            // One that is forgotten stays out until the pod starts anew.
            if self.retired.count >= Self.retiredMax, let index = self.retired.firstIndex(where: { $0.calls == 0 }) {
                self.retired.remove(at: index)
            }
            self.retired.append(self.current)
        }
        self.current = EscrowSlice()
    }
}
