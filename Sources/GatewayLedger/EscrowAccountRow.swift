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
    /// is the caller's to carry out, and so are the leases.
    /// - Returns: the grant, and the window that this call has closed.
    package mutating func apply(
        _ entry: EscrowEntry, now: UnixMicroseconds, share: Int64, position: Int64
    ) -> (grant: EscrowGrant, past: EscrowAccountRow?) {
        if entry.generation == self.generation {
            self.outstanding -= entry.give
            self.spent += entry.settle
        }
        var past: EscrowAccountRow?
        if self.windowEnd <= now.rawValue, entry.windowEnd > now.rawValue {
            past = self
            self.generation += 1
            (self.windowStart, self.windowEnd) = (entry.windowStart, entry.windowEnd)
            (self.outstanding, self.spent) = (0, 0)
        }
        if position >= self.termsPosition {
            self.limit = entry.limit
            self.termsPosition = position
        }
        let granted = Self.granted(entry, free: self.limit - self.outstanding, share: share)
        self.outstanding += granted
        if entry.most > 0, granted < entry.least { self.pressureUntil = now.rawValue + Self.pressureLasts }
        let grant = EscrowGrant(
            accountID: self.accountID, generation: self.generation, granted: granted, limit: self.limit,
            outstanding: self.outstanding, spent: self.spent, windowEnd: self.windowEnd,
            isUnderPressure: self.pressureUntil > now.rawValue)
        return (grant, past)
    }

    /// How much of what is left an ask gets.
    package static func granted(_ entry: EscrowEntry, free: Int64, share: Int64) -> Int64 {
        if entry.most <= 0 || free <= 0 { return 0 }
        if free < entry.least { return entry.takesRest ? free : 0 }
        return min(free, entry.most, max(entry.least, free / max(1, share)))
    }
}
