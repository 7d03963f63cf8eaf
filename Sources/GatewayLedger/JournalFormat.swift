import CMartlet
import GatewayCore

/// The journal's file format, version 1. All integers are little-endian.
///
///     DATA/journal/journal.id                     the journal's UUID as text and a newline
///     DATA/journal/journal.lock                   held by the owner; its process id as text
///     DATA/journal/00000000000000000001.segment   records, then zeros; serials 1, 2, 3 ...
///     DATA/journal/1.spare                        zeros, allocated for the next segment
///
///     record  = length: u32 (of the body) | crc: u32 (CRC-32C of the body) | body
///     body    = type: u8 | payload
///     header  = magic: u64 | version: u8 | journal id: 16 | serial: u64 | sequence of its first settlement: i64
///     payer   = key id: 16 | digest: 32 | user: text? | team: text?
///     route   = model group: text | model: text | provider: text | deployment: text | price version: text
///     intent  = request: 16 | attempt: u8 | kind: u8 | bits: u8 (1 stream, 2 unpriced) | payer: varint
///               | route: varint | started: i64 | orphan cost: signed | orphan usage
///     settled = sequence: i64 | request: 16 | attempt: u8 | kind: u8 | tier: u8 | outcome: u8
///               | bits: u8 (1 stream, 2 end user given) | flags: u16 | status: u16 | payer: varint | route: varint
///               | started: i64 | duration: signed | first byte: signed | cost: signed | usage
///               | end user: text, if given
///     durable = serial: varint | offset: varint | sequence: varint (all before this place is on the disk)
///     end     = nothing; the segment is complete
///     usage   = mask: u16 (a bit for each field that is not 0, in the order of `TokenUsage`) | those fields: signed
///     text    = length: varint | UTF-8;   text? = length + 1, or 0 for nil
///     varint  = 7 bits a byte, lowest first (as in LEB128);  signed = zigzag, then varint
///
/// A length of 0 ends a segment that is still written. Payers and routes are numbered 0, 1, 2 ... in the order of their
/// records, anew in every segment, so that a segment can be read alone and an old one removed.
///
/// The CRC of every record but the header starts from a value made of the journal's id and the segment's serial: a
/// record that was left over by another file, or that a caller smuggles in as text, is not taken for one of ours.
///
/// `durable` tells damage from an interrupted write. What lies before the place it names had been synced, so a hole
/// there is damage and the journal does not open. What lies behind may be there in part after a power cut, in any
/// order, because the kernel writes pages as it likes: there a hole is where the journal ends.
package enum JournalFormat {
    package static let version: UInt8 = 1
    /// `MARTLETJ`.
    package static let magic: UInt64 = 0x4A54_454C_5452_414D
    /// Length and CRC.
    package static let prefixBytes = 8
    package static let headerBytes = 8 + 1 + 8 + 1 + 16 + 8 + 8
    package static let endBytes = 9
    /// Longest text of a payer or a route; longer ones are cut at a character.
    package static let nameBytesMax = 1024
    /// Longest end user; longer ones are cut at a character.
    package static let endUserBytesMax = 512
    package static let intentBytesMax = 192
    /// Without its end user at most 204 bytes.
    package static let settlementBytesMax = 720
    package static let durableBytesMax = 48
    package static let bodyBytesMax = 32_768

    package static let lockName = "journal.lock"
    package static let identityName = "journal.id"
    package static let segmentSuffix = ".segment"
    /// A file that was allocated ahead of time and is not part of the journal yet.
    package static let spareSuffix = ".spare"

    package enum RecordType: UInt8 {
        case header = 1
        case payer
        case route
        case intent
        case settlement
        case carriedIntent
        case durable
        case end
    }

    /// Name of the segment file with this serial.
    package static func segmentName(_ serial: UInt64) -> String {
        let digits = String(serial)
        return String(repeating: "0", count: max(0, 20 - digits.utf8.count)) + digits + Self.segmentSuffix
    }

    /// The serial in a segment file's name. `nil`: not such a name.
    package static func serial(ofSegmentName name: String) -> UInt64? {
        guard name.hasSuffix(Self.segmentSuffix), name.utf8.count == 20 + Self.segmentSuffix.utf8.count else {
            return nil
        }
        guard let serial = UInt64(name.dropLast(Self.segmentSuffix.utf8.count)), serial > 0 else { return nil }
        return serial
    }

    /// What the CRC of a segment's records starts from.
    package static func seed(journalID: JournalID, serial: UInt64) -> UInt32 {
        var words = (journalID.bits.high.littleEndian, journalID.bits.low.littleEndian, serial.littleEndian)
        return withUnsafeBytes(of: &words) { cmartlet_crc32c(0, $0.baseAddress, $0.count) }
    }

    /// Bytes of a payer's record at most.
    static func definitionBytes(_ payer: PayerIdentity) -> Int {
        Self.prefixBytes + 1 + 48 + Self.textBytes(payer.userID) + Self.textBytes(payer.teamID)
    }

    /// Bytes of a route's record at most.
    static func definitionBytes(_ route: RouteIdentity) -> Int {
        Self.prefixBytes + 1 + Self.textBytes(route.modelGroup) + Self.textBytes(route.model)
            + Self.textBytes(route.provider) + Self.textBytes(route.deploymentID) + Self.textBytes(route.priceVersion)
    }

    @inline(__always)
    private static func textBytes(_ text: String?) -> Int {
        3 + min(text?.utf8.count ?? 0, Self.nameBytesMax)
    }
}
