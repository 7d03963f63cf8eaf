import GatewayCore

/// The small fields of a usage row in one integer: seven columns less to bind and to check for each row. The view
/// `usage_rows` spells them out, so the layout below is repeated in the schema and never changes.
///
///     bits  0...15  flags           32...35  kind        44      is_stream
///          16...31  status          36...39  outcome     48...55 attempt
///                                   40...43  service tier
///
/// The attempt is on top because it is nearly always 0, and SQLite stores what is below 2^47 in six bytes.
struct UsageBits {
    let rawValue: Int64

    init(rawValue: Int64) { self.rawValue = rawValue }

    @inline(__always)
    init(_ event: borrowing UsageEvent) {
        let low = UInt64(event.flags.rawValue) | UInt64(event.status) << 16
        let middle =
            UInt64(event.kind.rawValue) << 32 | UInt64(event.outcome.rawValue) << 36
            | UInt64(event.serviceTier.rawValue) << 40
        let high = (event.isStream ? 1 << 44 : 0 as UInt64) | UInt64(event.attempt) << 48
        self.rawValue = Int64(bitPattern: low | middle | high)
    }

    private func field(_ shift: UInt64, mask: UInt64) -> UInt64 { UInt64(bitPattern: self.rawValue) >> shift & mask }

    var flags: UsageFlags { UsageFlags(rawValue: UInt16(truncatingIfNeeded: self.rawValue)) }
    var status: UInt16 { UInt16(truncatingIfNeeded: self.field(16, mask: 0xFFFF)) }
    /// `nil`: a number that this version does not know; so for the next two.
    var kind: CallKind? { CallKind(rawValue: UInt8(self.field(32, mask: 15))) }
    var outcome: AttemptOutcome? { AttemptOutcome(rawValue: UInt8(self.field(36, mask: 15))) }
    var serviceTier: ServiceTier? { ServiceTier(rawValue: UInt8(self.field(40, mask: 15))) }
    var isStream: Bool { self.field(44, mask: 1) == 1 }
    var attempt: UInt8 { UInt8(self.field(48, mask: 255)) }
}
