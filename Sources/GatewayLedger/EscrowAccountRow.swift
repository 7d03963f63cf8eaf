import GatewayAdmission
import GatewayCore

/// One account as a store without SQL functions of its own keeps it, with the arithmetic of an exchange; what
/// PostgreSQL does in one statement.
package struct EscrowAccountRow: Sendable, Equatable {
    package var accountID: Int64
    package var generation: Int64
    package var windowStart: Int64
    package var windowEnd: Int64
    package var limit: Int64
    package var termsPosition: Int64
    package var outstanding: Int64
    package var spent: Int64
    /// Microseconds.
    package var pressureUntil: Int64

    package init(
        accountID: Int64, generation: Int64, windowStart: Int64, windowEnd: Int64, limit: Int64, termsPosition: Int64,
        outstanding: Int64, spent: Int64, pressureUntil: Int64
    ) {
        self.accountID = accountID
        self.generation = generation
        self.windowStart = windowStart
        self.windowEnd = windowEnd
        self.limit = limit
        self.termsPosition = termsPosition
        self.outstanding = outstanding
        self.spent = spent
        self.pressureUntil = pressureUntil
    }

    /// How long an ask that could not be met makes other pods hand back, microseconds.
    private static let pressureLasts: Int64 = 2_000_000

    /// Carries out what `entry` says of the present window and grants what it asks for. What it says of a former window
    /// is the caller's to carry out before, and so are the leases.
    /// - Parameter previous: the window before the present one, where `entry` lets something roll over. `nil`: there is
    ///   none.
    /// - Returns: the grant, and the window that this call has closed, with what had rolled over into it in its limit.
    package mutating func apply(
        _ entry: EscrowEntry, previous: EscrowAccountRow?, now: UnixMicroseconds, share: Int64, position: Int64
    ) -> (grant: EscrowGrant, past: EscrowAccountRow?) {
        if entry.generation == self.generation {
            self.outstanding -= entry.give
            self.spent += entry.settle
        }
        var past: EscrowAccountRow?
        if self.windowEnd <= now.rawValue, entry.windowEnd > now.rawValue {
            past = self
            past?.limit += self.carried(from: previous, most: entry.rolloverMax)
            self.generation += 1
            (self.windowStart, self.windowEnd) = (entry.windowStart, entry.windowEnd)
            (self.outstanding, self.spent) = (0, 0)
        }
        if position >= self.termsPosition {
            self.limit = entry.limit
            self.termsPosition = position
        }
        let limit = self.limit + self.carried(from: past ?? previous, most: entry.rolloverMax)
        let granted = Self.granted(entry, free: limit - self.outstanding, share: share)
        self.outstanding += granted
        if entry.most > 0, granted < entry.least { self.pressureUntil = now.rawValue + Self.pressureLasts }
        let grant = EscrowGrant(
            accountID: self.accountID, generation: self.generation, granted: granted, limit: limit,
            outstanding: self.outstanding, spent: self.spent, windowEnd: self.windowEnd,
            isUnderPressure: self.pressureUntil > now.rawValue)
        return (grant, past)
    }

    /// What the window before did not use, as far as anybody knows by now: slices that pods still hold count as used
    /// until they are handed back. Of windows between the two that nobody asked in, one counts.
    private func carried(from past: EscrowAccountRow?, most: Int64) -> Int64 {
        guard let past, most > 0 else { return 0 }
        let unused = max(0, past.limit - past.outstanding)
        return min(most, past.windowEnd >= self.windowStart ? unused : min(most, unused) + self.limit)
    }

    /// The window as it ends by an administrator's reset: nothing of it rolls over.
    package func ended(at end: Int64) -> EscrowAccountRow {
        var past = self
        (past.windowEnd, past.limit) = (end, 0)
        return past
    }

    /// How much of what is left an ask gets.
    package static func granted(_ entry: EscrowEntry, free: Int64, share: Int64) -> Int64 {
        if entry.most <= 0 || free <= 0 { return 0 }
        if free < entry.least { return entry.takesRest ? free : 0 }
        return min(free, entry.most, max(entry.least, free / max(1, share)))
    }
}
