import GatewayCore

/// The small fields of a usage row in one integer, as all stores keep them: seven columns less to send, bind and check
/// for each row. SQLite's view `usage_rows` spells them out, so the layout is repeated in its schema and never changes.
///
///     bits  0...15  flags           32...35  kind        44      is_stream
///          16...31  status          36...39  outcome     48...55 attempt
///                                   40...43  service tier
///
/// The attempt is on top because it is nearly always 0, and SQLite stores what is below 2^47 in six bytes.
package struct UsageBits {
    package let rawValue: Int64

    @inlinable package init(rawValue: Int64) { self.rawValue = rawValue }

    @inlinable package init(_ event: borrowing UsageEvent) {
        let low = UInt64(event.flags.rawValue) | UInt64(event.status) << 16
        let middle =
            UInt64(event.kind.rawValue) << 32 | UInt64(event.outcome.rawValue) << 36
            | UInt64(event.serviceTier.rawValue) << 40
        let high = (event.isStream ? 1 << 44 : 0 as UInt64) | UInt64(event.attempt) << 48
        self.rawValue = Int64(bitPattern: low | middle | high)
    }

    @usableFromInline func field(_ shift: UInt64, mask: UInt64) -> UInt64 {
        UInt64(bitPattern: self.rawValue) >> shift & mask
    }

    @inlinable package var flags: UsageFlags { UsageFlags(rawValue: UInt16(truncatingIfNeeded: self.rawValue)) }
    @inlinable package var status: UInt16 { UInt16(truncatingIfNeeded: self.field(16, mask: 0xFFFF)) }
    /// `nil`: a number that this version does not know; so for the next two.
    @inlinable package var kind: CallKind? { CallKind(rawValue: UInt8(self.field(32, mask: 15))) }
    @inlinable package var outcome: AttemptOutcome? { AttemptOutcome(rawValue: UInt8(self.field(36, mask: 15))) }
    @inlinable package var serviceTier: ServiceTier? { ServiceTier(rawValue: UInt8(self.field(40, mask: 15))) }
    @inlinable package var isStream: Bool { self.field(44, mask: 1) == 1 }
    @inlinable package var attempt: UInt8 { UInt8(self.field(48, mask: 255)) }
}
