/// One pod's part of one account in one generation.
///
///     granted = reported + unreported consumption + reserved + free
package struct EscrowSlice: Hashable, Sendable {
    /// The store's window number; 0: none yet.
    package var generation: Int64 = 0
    /// What calls that were taken before the store had given a window call it instead: numbers below 0, down from the
    /// first to the last. 0: there is no such call.
    private var firstName: Int64 = 0
    private(set) var lastName: Int64 = 0
    /// Everything ever added less what was handed back.
    package var granted: Int64 = 0
    /// What settled calls have cost since the slice began.
    package var consumed: Int64 = 0
    /// What running calls may cost.
    package var reserved: Int64 = 0
    /// Calls that run; one may have used up its reservation and go on to consume.
    package var calls: Int64 = 0
    /// Of `consumed`: what the store knows.
    package var settled: Int64 = 0
    /// Everything up to this place of the stream is in `consumedAtCut`. -1: no report is being made.
    private(set) var cut: Int64 = -1
    private var consumedAtCut: Int64 = 0
    /// Place of the first consumption in the stream. `Int64.max`: there is none.
    private(set) var first = Int64.max
    /// Place of the last one that is counted. 0: there is none.
    private var last: Int64 = 0
    /// Consumption in a slice that the store has been told to close; it has no rest. -1: it has not.
    private var closing: Int64 = -1

    package var free: Int64 { self.granted - self.consumed - self.reserved }
    /// Whether the store surely has a lease for it.
    var hasLease: Bool { self.generation > 0 && self.closing < 0 && (self.granted != 0 || self.settled != 0) }
    var isEmpty: Bool { self.granted == 0 && self.consumed == 0 && self.calls == 0 }

    mutating func give(name: Int64) { (self.firstName, self.lastName) = (name, name) }

    /// Whether a call that was told `generation` is one of this slice.
    func isCalled(_ generation: Int64) -> Bool {
        generation == self.generation
            || generation < 0 && self.lastName <= generation && generation <= self.firstName
    }

    /// As `EscrowPool.settle`.
    mutating func settle(reserved: Int64, consumed: Int64, sequence: Int64, ends: Bool) {
        self.reserved -= reserved
        self.consume(consumed, at: sequence)
        if ends { self.calls -= 1 }
    }

    private mutating func consume(_ amount: Int64, at sequence: Int64) {
        self.consumed += amount
        if amount > 0 {
            self.first = min(self.first, sequence)
            if sequence < .max { self.last = max(self.last, sequence) }
        }
        // Written to the journal before the cut was made, counted here after it.
        if sequence <= self.cut { self.consumedAtCut += amount }
    }

    /// A report that has become whole: consumption up to a place of the stream that the store has. `nil`: none yet.
    /// A settlement is journaled before it is counted here; one that is counted late finds the cut standing.
    /// - Parameter sequence: of the journal, read before; calls may have settled since.
    mutating func report(sequence: Int64, applied: Int64) -> (amount: Int64, cut: Int64)? {
        if self.cut >= 0 {
            guard applied >= self.cut else { return nil }
            return (self.consumedAtCut - self.settled, self.cut)
        }
        if self.consumed != self.settled {
            self.cut = max(sequence, self.last)
            self.consumedAtCut = self.consumed
        }
        return nil
    }

    mutating func reported(_ amount: Int64) {
        self.settled += amount
        self.cut = -1
    }

    /// Calls of a slice that has no window of its own.
    mutating func take(over other: EscrowSlice) {
        self.consumed += other.consumed
        self.reserved += other.reserved
        self.calls += other.calls
        self.first = min(self.first, other.first)
        self.last = max(self.last, other.last)
        guard other.lastName < 0 else { return }
        if self.firstName == 0 { self.firstName = other.firstName }
        self.lastName = other.lastName
    }

    // MARK: the end

    /// No call runs, everything has been reported or is now, nothing is left.
    mutating func beginClosing() { (self.closing, self.first) = (self.consumed, .max) }

    mutating func keepOpen() { self.closing = -1 }

    /// The store has closed the slice. What calls have taken since, while the store was away, is a debt of a new one.
    mutating func endClosing() {
        guard self.closing >= 0 else { return }
        self.consumed -= self.closing
        (self.granted, self.settled, self.cut, self.closing) = (0, 0, -1, -1)
        if self.isEmpty { self = EscrowSlice() }
    }

    /// Takes over what the store has after an answer was lost. `nil`: the store has closed it, or never had it.
    mutating func adopt(_ lease: EscrowLease?) {
        guard let lease else {
            if self.closing >= 0 { return self.endClosing() }
            (self.granted, self.settled, self.cut) = (0, 0, -1)
            return
        }
        self.granted = lease.granted
        if lease.settled != self.settled { self.cut = -1 }
        self.settled = lease.settled
        self.closing = -1
    }
}
