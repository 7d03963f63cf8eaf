import GatewayCore

/// What a pod asks, hands back and reports of one account, in one statement with all others.
package struct EscrowEntry: Hashable, Sendable {
    package var accountID: Int64
    /// The generation (window number) that `give`, `settle` and `closes` are about. 0: none.
    package var generation: Int64 = 0
    /// Handed back of the slice. Negative: a debt that has been made already, added to the slice whatever the limit.
    package var give: Int64 = 0
    /// Consumption that is added to what the store knows of this slice, all of it in usage rows up to `cut`.
    package var settle: Int64 = 0
    /// Sequence number in the stream up to which consumption is reported. -1: unchanged.
    package var cut: Int64 = -1
    /// The pod hands all of its slice back and has reported all consumption: its lease ends.
    package var closes = false
    /// Should the slice begin with this: its first consumption comes after this place of the stream. `Int64.max`: there
    /// is none yet.
    package var start = Int64.max
    /// Less than this is of no use to the pod; 0: anything is.
    package var least: Int64 = 0
    /// What the pod would like to have. 0: it asks for nothing.
    package var most: Int64 = 0
    /// When less than `least` is left, the rest is welcome.
    package var takesRest = false
    /// The terms as this pod knows them.
    package var limit: Int64
    /// The window that holds the present, as this pod reckons; `end` is `Int64.max` when it never ends. Microseconds.
    package var windowStart: Int64 = 0
    package var windowEnd: Int64 = .max
    /// So much of what the window before did not use is added to the limit at most. 0: nothing.
    package var rolloverMax: Int64 = 0
    /// Of a sliding limit: what stays with the pod of `give`, or is a debt; counted in the present slice, whatever the
    /// limit.
    package var kept: Int64 = 0
    /// Of a sliding limit: what calls have given up of slices before, each slice once.
    package var corrections: [EscrowCorrection] = []

    package init(accountID: Int64, limit: Int64) {
        self.accountID = accountID
        self.limit = limit
    }
}

/// So much less was used of a slice of a sliding limit.
package struct EscrowCorrection: Hashable, Sendable {
    package var generation: Int64
    package var amount: Int64

    package init(generation: Int64, amount: Int64) {
        self.generation = generation
        self.amount = amount
    }
}

/// The store's answer to an `EscrowEntry`.
package struct EscrowGrant: Hashable, Sendable {
    package var accountID: Int64
    /// The generation that stands now; the grant is of it.
    package var generation: Int64
    /// Added to the pod's slice.
    package var granted: Int64
    /// The limit in force, with what has rolled over.
    package var limit: Int64
    /// What all pods together hold or have consumed.
    package var outstanding: Int64
    /// Of it: consumption that has been reported.
    package var spent: Int64
    /// Microseconds; `Int64.max`: never. Of a sliding limit: when the oldest of what is counted leaves the window.
    package var windowEnd: Int64
    /// Somebody wanted more than there was within the last moments.
    package var isUnderPressure: Bool

    package init(
        accountID: Int64, generation: Int64, granted: Int64, limit: Int64, outstanding: Int64, spent: Int64,
        windowEnd: Int64, isUnderPressure: Bool
    ) {
        self.accountID = accountID
        self.generation = generation
        self.granted = granted
        self.limit = limit
        self.outstanding = outstanding
        self.spent = spent
        self.windowEnd = windowEnd
        self.isUnderPressure = isUnderPressure
    }
}

/// A pod's slice as the store knows it.
package struct EscrowLease: Hashable, Sendable {
    package var accountID: Int64
    package var generation: Int64
    /// Everything ever added less what was handed back; consumption is part of it.
    package var granted: Int64
    /// Consumption reported so far.
    package var settled: Int64

    package init(accountID: Int64, generation: Int64, granted: Int64, settled: Int64) {
        self.accountID = accountID
        self.generation = generation
        self.granted = granted
        self.settled = settled
    }
}

/// What the fleet looks like to one who asks for a slice.
package struct EscrowSurroundings: Hashable, Sendable {
    /// Monotonic nanoseconds.
    package var now: UInt64
    /// Pods that are alive, this one included.
    package var pods: Int64
    /// Nobody else can ever ask: everything may be taken at once.
    package var isAlone: Bool
    /// Seconds between two rounds.
    package var tickSeconds: Double
    /// Last settlement in this pod's journal, read before this round.
    package var sequence: Int64
    /// Last settlement that is in the store.
    package var applied: Int64

    package init(now: UInt64, pods: Int64, isAlone: Bool, tickSeconds: Double, sequence: Int64, applied: Int64) {
        self.now = now
        self.pods = pods
        self.isAlone = isAlone
        self.tickSeconds = tickSeconds
        self.sequence = sequence
        self.applied = applied
    }
}
