import GatewayCore

/// What a pool of a sliding limit keeps besides the rest.
struct SlidingState: Sendable {
    /// What was granted may be used until then, monotonic nanoseconds.
    var usableUntil: UInt64 = 0
    /// When the last proposal was made; what it moved was counted then or later.
    var proposedAt: UInt64 = 0
    /// When the last one that was answered was made. 0: none was.
    var answeredAt: UInt64 = 0
    /// What calls have given up of slices that are over, each slice once.
    var corrections: [EscrowCorrection] = []
    /// What calls took while the store was away.
    var takenWithoutStore = SlidingTally()
}

/// A sum over the last so many slices of one pod's own clock.
struct SlidingTally: Sendable {
    private var number: UInt64 = 0
    private var slots: [Int64] = []
    /// Slices of a window; one more is counted, because a window of any moment touches it.
    private static let parts: UInt64 = 12

    mutating func sum(at: UInt64, length: UInt64) -> Int64 {
        let number = at / max(1, length / Self.parts)
        let past = number > self.number ? number - self.number : 0
        self.number = max(number, self.number)
        if past > Self.parts {
            self.slots = []
        } else if past > 0, !self.slots.isEmpty {
            self.slots = Array((Array(repeating: 0, count: Int(past)) + self.slots).prefix(Int(Self.parts) + 1))
        }
        return self.slots.reduce(0, +)
    }

    /// After `sum` of the same moment.
    mutating func add(_ amount: Int64) {
        if self.slots.isEmpty { self.slots = [0] }
        self.slots[0] += amount
    }
}

/// Limits of any 60 seconds. The store counts by slices of time what it has handed out; a pod may use what it holds for
/// a second after it was counted, and moves the rest to the present slice before. So what pods do not use is not lost
/// with its slice, and what calls used is counted in the slice of that moment or of a second before it: the limit holds
/// for any window, because the store adds up so many slices.
///
///     granted in slice g ─ used within a second ─► stays counted in g, until the window has passed
///          │
///          └─ not used ─► moved: less in g, as much more in the present slice
///
/// A call that ends later and has used less hands the rest of its slice back there; one that has used more is counted
/// for it at that time. Answers that are lost take what they were about with them until the window has passed.
extension EscrowPool {
    private static let slidingHold = UInt64(LimitTerms.Window.slidingHoldMicroseconds) * 1000
    /// What no call has touched for so long is handed back, not moved on.
    private static let quietAfter = 2 * Self.second

    private var slidingWindow: LimitTerms.Window {
        if case .rate(let window) = self.terms.window { window } else { .slidingMinute }
    }

    mutating func reserveSliding(_ amount: Int64, at: UInt64, podsWithoutStore: Int64) -> Verdict {
        let free = at < self.sliding.usableUntil ? self.current.granted : min(0, self.current.granted)
        if free >= amount { return self.takeSliding(amount) }
        if podsWithoutStore > 0, self.mayTakeWithoutStore(amount, pods: podsWithoutStore, at: at) {
            return self.takeSliding(amount)
        }
        if at < self.knownUntil, amount > max(0, free) + self.leftAtStore { return .dry }
        self.need(amount)
        return .short
    }

    private mutating func takeSliding(_ amount: Int64) -> Verdict {
        self.current.granted -= amount
        self.current.calls += 1
        // What is taken while a proposal is under way is told from what was taken before: nobody knows yet in which
        // slice it is counted, only that it is not an earlier one.
        let generation = self.isInFlight ? -self.current.generation : self.current.generation
        return .taken(amount: amount, generation: generation)
    }

    /// An equal share of what was left when the store answered last; after a whole window, of the limit.
    private mutating func mayTakeWithoutStore(_ amount: Int64, pods: Int64, at: UInt64) -> Bool {
        let length = UInt64(self.slidingWindow.lengthMicroseconds) * 1000
        let isLongAgo = self.standing == nil || at &- self.sliding.answeredAt >= length
        let share = (isLongAgo ? self.terms.limit : self.leftAtStore) / pods
        guard self.sliding.takenWithoutStore.sum(at: at, length: length) + amount <= share else { return false }
        if self.current.granted > 0 {
            // Counted too long ago to be used.
            self.correct(self.current.generation, self.current.granted)
            self.current.granted = 0
        }
        self.sliding.takenWithoutStore.add(amount)
        return true
    }

    mutating func settleSliding(generation: Int64, reserved: Int64, consumed: Int64, ends: Bool) {
        if ends { self.current.calls -= 1 }
        let rest = reserved - consumed
        guard rest != 0 else { return }
        let present = self.isInFlight ? -self.current.generation : self.current.generation
        if rest < 0 || generation == present {
            self.current.granted += rest
        } else {
            self.correct(abs(generation), rest)
        }
    }

    /// Of a slice that is earlier than the one where it was counted, the sum is too large by it for a while, never too
    /// small.
    private mutating func correct(_ generation: Int64, _ amount: Int64) {
        let oldest = self.current.generation - Int64(self.slidingWindow.bucketCount)
        guard generation > 0, generation > oldest else { return }
        if let index = self.sliding.corrections.lastIndex(where: { $0.generation == generation }) {
            self.sliding.corrections[index].amount += amount
            return
        }
        if self.sliding.corrections.count >= self.slidingWindow.bucketCount {
            self.sliding.corrections.removeAll { $0.generation <= oldest }
        }
        self.sliding.corrections.append(EscrowCorrection(generation: generation, amount: amount))
    }

    // MARK: the agent

    mutating func slidingProposal(_ around: EscrowSurroundings, isTick: Bool) -> EscrowEntry? {
        if isTick { self.measure(at: around.now) }
        var entry = EscrowEntry(accountID: self.terms.id, limit: self.terms.limit)
        let target = self.target(around, isPressed: around.now < self.pressureUntil)
        self.isExact = target == 0 && !around.isAlone
        let held = self.current.granted
        let usable = around.now < self.sliding.usableUntil ? max(0, held) : 0
        let kept = self.askSliding(&entry, usable: usable, target: target, isTick: isTick, around)
        let isOld = around.now &- self.sliding.answeredAt >= Self.slidingHold / 2
        let isWorthIt =
            entry.most > 0 || kept < usable
            || isTick && (held < 0 || held > 0 && isOld || !self.sliding.corrections.isEmpty)
        guard isWorthIt else { return nil }
        entry.generation = self.current.generation
        entry.give = max(0, held)
        entry.kept = kept + max(0, -held)
        entry.corrections = self.sliding.corrections
        self.sliding.corrections = []
        self.current.granted = kept
        self.sliding.proposedAt = around.now
        self.isInFlight = true
        return entry
    }

    /// - Returns: how much of what is here stays here.
    private mutating func askSliding(
        _ entry: inout EscrowEntry, usable: Int64, target: Int64, isTick: Bool, _ around: EscrowSurroundings
    ) -> Int64 {
        if self.needSum > 0, around.now < self.knownUntil, self.needLeast > usable + self.leftAtStore {
            // Those that waited are refused when they try again.
            (self.needSum, self.needLeast) = (0, 0)
        }
        let isQuiet = self.isLeaving || around.now > self.usedAt &+ Self.quietAfter
        let pause = max(Self.askPause, Self.askPausePerPod &* UInt64(max(0, around.pods)))
        if self.needSum > 0, self.needLeast > usable {
            guard around.now >= self.nextAskAt else { return usable }
            // Too little for the calls that wait here may be enough for others.
            let kept = self.isExact ? 0 : usable
            entry.least = self.needLeast - kept
            entry.most = max(entry.least, max(self.needSum, target) - kept)
            self.nextAskAt = around.now &+ pause
            (self.needSum, self.needLeast) = (0, 0)
            return kept
        }
        let waiting = self.needSum
        if waiting <= usable { (self.needSum, self.needLeast) = (0, 0) }
        if usable < target / 2, !isQuiet {
            guard around.now >= self.nextAskAt else { return usable }
            entry.most = target - usable
            self.nextAskAt = around.now &+ pause
            return usable
        }
        if isQuiet || target == 0 {
            guard self.isLeaving || around.now >= self.nextGiveAt, waiting < usable else { return usable }
            self.nextGiveAt = around.now &+ Self.givePause
            return self.isLeaving ? 0 : waiting
        }
        return isTick && !around.isAlone && usable > 2 * (target + Int64(self.typical)) ? target : usable
    }

    mutating func applySliding(_ grant: EscrowGrant, to entry: EscrowEntry, at: UInt64) {
        self.isInFlight = false
        self.current.generation = grant.generation
        self.current.granted += grant.granted
        self.sliding.answeredAt = self.sliding.proposedAt
        self.sliding.usableUntil = self.sliding.proposedAt &+ Self.slidingHold
        if grant.granted > 0 { self.nextGiveAt = at &+ Self.givePause }
        self.windowEnd = grant.windowEnd
        self.standing = grant
        if grant.isUnderPressure { self.pressureUntil = at &+ Self.pressureLasts }
        // Room comes back with every slice that leaves the window.
        self.knownUntil = at &+ Self.knownLeast
    }

    mutating func withdrawSliding(_ entry: EscrowEntry) {
        self.isInFlight = false
        self.current.granted += entry.give - entry.kept
        for correction in entry.corrections { self.correct(correction.generation, correction.amount) }
    }

    /// Whether or not it was carried out: what was here is not used any more, and debts are told of once more.
    mutating func loseSliding(_ entry: EscrowEntry) {
        self.isInFlight = false
        self.current.granted = min(0, self.current.granted) - (entry.give == 0 ? entry.kept : 0)
    }

    var isSlidingIdle: Bool {
        self.current.calls == 0 && self.current.granted == 0 && self.sliding.corrections.isEmpty
    }
}
