import GatewayCore

/// What the agent does with a pool between calls: reckon what to tell the store, and take its answers over.
extension EscrowPool {
    /// New terms of the same account; a lower limit makes this pod hand back what it does not need.
    package mutating func take(_ terms: EscrowTerms, at: UInt64) {
        guard terms != self.terms else { return }
        if terms.limit < self.terms.limit { self.pressureUntil = at &+ Self.pressureLasts }
        self.terms = terms
        (self.knownUntil, self.dryStreak) = (0, 0)
    }

    /// Another pod wants more than the store has.
    package mutating func notePressure(at: UInt64) { self.pressureUntil = at &+ Self.pressureLasts }

    /// What to tell the store now. `nil`: nothing. What is handed back is gone from the slice at once, so that no call
    /// can take it meanwhile.
    /// - Parameter isTick: a regular round; otherwise only what somebody waits for is worth a statement.
    package mutating func proposal(
        _ around: EscrowSurroundings, now: UnixMicroseconds, isTick: Bool
    ) -> EscrowEntry? {
        guard !self.isInFlight else { return nil }
        if self.isSliding { return self.slidingProposal(around, isTick: isTick) }
        self.roll(now: now)
        if isTick { self.measure(at: around.now) }
        var entry = EscrowEntry(accountID: self.terms.id, limit: self.terms.limit)
        (entry.windowStart, entry.windowEnd) = self.terms.bounds(at: now)
        entry.rolloverMax = self.terms.rolloverMax
        let isPressed = around.now < self.pressureUntil
        let target = self.target(around, isPressed: isPressed)
        self.isExact = target == 0 && !around.isAlone
        self.ask(&entry, target: target, around)
        if let index = self.retired.firstIndex(where: { $0.free != 0 || $0.calls == 0 }) {
            self.returnRetired(index, in: &entry, around)
        } else if self.current.generation > 0 {
            entry.generation = self.current.generation
            self.giveBack(&entry, target: target, isTick: isTick, around)
            self.report(&entry, isPressed: isPressed, isTick: isTick, around)
        }
        // Calls that went on while the store was away have consumed before the slice begins.
        if self.current.first < .max { entry.start = self.current.first - 1 }
        let isWorthIt = entry.most > 0 || entry.give != 0 || entry.settle != 0 || entry.closes
        guard isWorthIt else { return nil }
        self.isInFlight = true
        return entry
    }

    /// What this pod wants to have free: a little more than it will use until the next answer but one; nothing beyond
    /// the waiting calls where little is left.
    func target(_ around: EscrowSurroundings, isPressed: Bool) -> Int64 {
        if self.terms.isWatched { return 0 }
        let left = self.standing.map { max(0, $0.limit - $0.outstanding) } ?? self.terms.limit
        if around.isAlone { return left }
        if isPressed || self.isLeaving { return 0 }
        let remaining = Double(left)
        if remaining < 8 * self.typical * Double(around.pods) { return 0 }
        // One call at least, so that rare calls need not wait either.
        let wanted = max(self.perSecond * (2 * around.tickSeconds + 0.4), self.typical)
        // No more than every pod can have of what is left.
        return Int64(min(wanted.rounded(.up), remaining / Double(around.pods)))
    }

    private mutating func ask(_ entry: inout EscrowEntry, target: Int64, _ around: EscrowSurroundings) {
        if self.terms.isWatched {
            // Only for the number of the window: what calls cost is told afterwards.
            if self.current.generation > 0 { (self.needSum, self.needLeast) = (0, 0) }
            guard self.current.generation == 0, around.now >= self.nextAskAt, !self.isUnused(at: around.now) else {
                return
            }
            entry.most = 1
            (self.needSum, self.needLeast) = (0, 0)
            self.nextAskAt = around.now &+ Self.askPause
            return
        }
        let free = max(0, self.current.free)
        if self.needSum > 0, around.now < self.knownUntil, self.isBeyondReach(self.needLeast) {
            // Those that waited are refused when they try again.
            (self.needSum, self.needLeast) = (0, 0)
        }
        if self.needSum > 0, self.needLeast > free {
            guard around.now >= self.nextAskAt else { return }
            // The smallest of those that wait: where little is left, the large must not keep it from the small.
            entry.least = self.needLeast - free
            entry.most = max(entry.least, max(self.needSum, target) - free)
            entry.takesRest = !self.terms.isStrict
        } else if free < target / 2, around.now >= self.nextAskAt, !self.isUnused(at: around.now) {
            entry.most = target - free
        } else {
            if self.needLeast <= free { (self.needSum, self.needLeast) = (0, 0) }
            return
        }
        self.nextAskAt = around.now &+ max(Self.askPause, Self.askPausePerPod &* UInt64(max(0, around.pods)))
        (self.needSum, self.needLeast) = (0, 0)
    }

    private mutating func giveBack(
        _ entry: inout EscrowEntry, target: Int64, isTick: Bool, _ around: EscrowSurroundings
    ) {
        let free = self.current.free
        let isIdle = self.isUnused(at: around.now)
        if free < 0 {
            // Calls cost more than they had reserved: what the others have reserved stays covered.
            if isTick || entry.most > 0 { entry.give = free }
        } else if free > 0, entry.least > 0, target == 0, !around.isAlone {
            // Too little for the calls that wait here may be enough for others: all of it goes back, and all of what
            // is needed is asked for.
            entry.give = free
            entry.least += free
            entry.most += free
        } else if free > 0, entry.most == 0, isIdle || !around.isAlone {
            if isIdle || target == 0 {
                // Not what has just been granted: the calls that it is for try again in a moment.
                guard self.isLeaving || around.now >= self.nextGiveAt else { return }
                entry.give = max(0, free - self.needSum)
                self.nextGiveAt = around.now &+ Self.givePause
            } else if isTick, free > 2 * (target + Int64(self.typical)) {
                entry.give = free - target
            }
        }
        self.current.granted -= entry.give
    }

    /// Whether there is something to do before the next regular round.
    package func isBusy(at: UInt64) -> Bool {
        guard !self.isInFlight else { return false }
        return self.needSum > 0 || self.isExact && self.hasSpare && at >= self.nextGiveAt
    }

    /// Whether other pods could use what is free here.
    package var hasSpare: Bool { self.current.free > self.needSum }

    private mutating func report(
        _ entry: inout EscrowEntry, isPressed: Bool, isTick: Bool, _ around: EscrowSurroundings
    ) {
        guard self.terms.unit == .money else {
            if self.terms.unit == .permits, self.current.calls == 0, self.current.granted == 0, entry.give > 0,
                entry.most == 0
            {
                entry.closes = true
                self.current.beginClosing()
            }
            return
        }
        let isIdle = self.isUnused(at: around.now)
        let isDue =
            isTick && (isPressed || isIdle || around.now &- self.reportedAt > Self.reportEvery) || entry.give > 0
            || entry.most > 0
        guard isDue, let report = self.current.report(sequence: around.sequence, applied: around.applied) else {
            return
        }
        (entry.settle, entry.cut) = (report.amount, report.cut)
        self.reportedAt = around.now
        if isIdle, entry.most == 0, self.current.calls == 0, self.current.free == 0,
            self.current.consumed == self.current.settled + report.amount
        {
            entry.closes = true
            self.current.beginClosing()
        }
    }

    /// A slice of a former window goes back as its calls end.
    private mutating func returnRetired(
        _ index: Int, in entry: inout EscrowEntry, _ around: EscrowSurroundings
    ) {
        entry.generation = self.retired[index].generation
        entry.give = self.retired[index].free
        self.retired[index].granted -= entry.give
        guard self.terms.unit == .money else {
            entry.closes = self.retired[index].calls == 0 && entry.most == 0
            if entry.closes { self.retired[index].beginClosing() }
            return
        }
        if let report = self.retired[index].report(sequence: around.sequence, applied: around.applied) {
            (entry.settle, entry.cut) = (report.amount, report.cut)
        }
        let slice = self.retired[index]
        entry.closes =
            entry.most == 0 && slice.calls == 0 && slice.consumed == slice.settled + entry.settle
        if entry.closes { self.retired[index].beginClosing() }
    }

    mutating func measure(at: UInt64) {
        let seconds = Double(at &- self.flowSince) / Double(Self.second)
        guard seconds > 0.05 else { return }
        let recent = Double(self.flow) / seconds
        // Up at once, down slowly: a slice too large is handed back, one too small makes calls wait.
        self.perSecond = seconds > 10 ? recent : max(recent, self.perSecond + (recent - self.perSecond) / 4)
        self.flow = 0
        self.flowSince = at
    }

    /// The store's answer to the last proposal.
    package mutating func apply(_ grant: EscrowGrant, to entry: EscrowEntry, at: UInt64) {
        if self.isSliding { return self.applySliding(grant, to: entry, at: at) }
        self.isInFlight = false
        self.confirm(entry)
        if let soft = self.terms.softLimit {
            let reported = entry.generation == grant.generation ? entry.settle : 0
            self.hasPassedSoftLimit = grant.spent >= soft && grant.spent - reported < soft
        }
        if self.terms.isRate {
            self.takeBack(to: grant.generation)
            guard grant.generation == self.current.generation else { return }
        } else if grant.generation != self.current.generation {
            if self.current.generation > 0 { self.retireCurrent() }
            // This pod's clock was ahead: the window that it took for over still stands.
            if let index = self.retired.firstIndex(where: { $0.generation == grant.generation }) {
                let late = self.current
                self.current = self.retired.remove(at: index)
                self.current.take(over: late)
            }
            self.current.generation = grant.generation
        }
        self.current.granted += grant.granted
        if grant.granted > 0 { self.nextGiveAt = at &+ Self.givePause }
        // A rate's own reckoning has put it into the window that the grant is of.
        if !self.terms.isRate { self.windowEnd = grant.windowEnd }
        self.standing = grant
        if grant.isUnderPressure { self.pressureUntil = at &+ Self.pressureLasts }
        let own = self.current.granted - self.current.settled
        let canComeBack = self.terms.unit == .money
        self.elsewhere = canComeBack ? max(0, grant.outstanding - grant.spent - own) : 0
        var believed = Self.knownLeast
        if grant.granted < entry.least {
            let most =
                switch self.terms.unit {
                case .money: Self.knownMost
                case .permits: Self.givePause
                case .requests, .tokens, .inputTokens, .outputTokens: Self.second
                }
            believed = min(most, believed << UInt64(min(self.dryStreak, 8)))
            self.dryStreak += 1
        } else if grant.granted > 0 {
            self.dryStreak = 0
        }
        self.knownUntil = at &+ believed
    }

    /// This pod's clock was ahead: the window of a rate that it took for over still stands. Nothing can have been taken in
    /// the one that has not begun.
    private mutating func takeBack(to generation: Int64) {
        guard generation < self.current.generation, self.current.granted == 0, self.current.consumed == 0,
            case .rate(let window) = self.terms.window
        else { return }
        self.current = EscrowSlice()
        self.current.generation = generation
        self.windowEnd = (generation + 1) * window.bucketMicroseconds
    }

    /// Whether the last answer told that the soft limit was passed; said once. Of all pods the one is told whose report
    /// brought it about.
    package mutating func takeSoftPassing() -> Bool {
        defer { self.hasPassedSoftLimit = false }
        return self.hasPassedSoftLimit
    }

    /// No call has touched the slice for a while, or none ever will.
    private func isUnused(at: UInt64) -> Bool {
        self.isLeaving || at > self.usedAt &+ Self.idleAfter
    }

    private mutating func confirm(_ entry: EscrowEntry) {
        guard entry.generation > 0 else { return }
        if entry.generation == self.current.generation {
            if entry.cut >= 0 { self.current.reported(entry.settle) }
            if entry.closes { self.current.endClosing() }
        } else if let index = self.retired.firstIndex(where: { $0.generation == entry.generation }) {
            if entry.cut >= 0 { self.retired[index].reported(entry.settle) }
            if entry.closes { self.retired.remove(at: index) }
        }
    }

    /// The last proposal was certainly not carried out.
    package mutating func withdraw(_ entry: EscrowEntry) {
        if self.isSliding { return self.withdrawSliding(entry) }
        self.isInFlight = false
        guard entry.generation > 0 else { return }
        if entry.generation == self.current.generation {
            self.current.granted += entry.give
            self.current.keepOpen()
        } else if let index = self.retired.firstIndex(where: { $0.generation == entry.generation }) {
            self.retired[index].granted += entry.give
            self.retired[index].keepOpen()
        }
    }

    /// Nobody knows whether the last proposal was carried out, and nobody will: only for rates, whose windows end.
    package mutating func lose(_ entry: EscrowEntry) {
        if self.isSliding { return self.loseSliding(entry) }
        self.isInFlight = false
    }

    /// What the store says this pod holds, after an answer was lost or the leases were written off. Slices that the
    /// store does not know were closed, or never came about.
    package mutating func resync(_ leases: [EscrowLease]) {
        self.isInFlight = false
        for index in self.retired.indices.reversed() {
            let generation = self.retired[index].generation
            self.retired[index].adopt(leases.first { $0.generation == generation })
            if self.retired[index].isEmpty { self.retired.remove(at: index) }
        }
        if self.current.generation > 0 {
            let generation = self.current.generation
            self.current.adopt(leases.first { $0.generation == generation })
            if self.current.isEmpty { self.current = EscrowSlice() }
        }
        for lease in leases.sorted(by: { $0.generation < $1.generation })
        where lease.generation > self.current.generation
            && !self.retired.contains(where: { $0.generation == lease.generation })
        {
            // A slice without a window has become this one.
            if self.current.generation > 0 { self.retireCurrent() }
            self.current.generation = lease.generation
            self.current.consumed += lease.settled
            self.current.adopt(lease)
        }
        (self.knownUntil, self.dryStreak) = (0, 0)
    }

    /// Nothing is held, asked or running: the account can be forgotten.
    package func isIdle(at: UInt64) -> Bool {
        !self.isInFlight && self.needSum == 0 && self.retired.isEmpty && self.isUnused(at: at)
            && (self.isSliding
                ? self.isSlidingIdle : self.terms.isRate ? self.current.calls == 0 : self.current.isEmpty)
    }

    /// At the end of a drain: everything goes back as soon as it can.
    package mutating func leave() {
        self.isLeaving = true
        (self.needSum, self.needLeast) = (0, 0)
    }
}
