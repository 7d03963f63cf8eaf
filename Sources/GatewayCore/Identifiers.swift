/// 128 random or time-ordered bits, printed as a UUID. The building block of the typed identifiers.
package struct UUIDBits: Hashable, Sendable, Comparable {
    package let high: UInt64
    package let low: UInt64

    /// In the order of their bytes, as PostgreSQL compares them.
    @inlinable package static func < (a: UUIDBits, b: UUIDBits) -> Bool {
        a.high == b.high ? a.low < b.low : a.high < b.high
    }

    @inlinable package init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// A random identifier (RFC 9562, version 4).
    package static func random(using generator: inout some RandomNumberGenerator) -> UUIDBits {
        let (first, second): (UInt64, UInt64) = (generator.next(), generator.next())
        return UUIDBits(
            high: (first & 0xFFFF_FFFF_FFFF_0FFF) | 0x4000,
            low: (second & 0x3FFF_FFFF_FFFF_FFFF) | 0x8000_0000_0000_0000)
    }

    /// A time-ordered identifier (RFC 9562, version 7), so that rows of one time lie together.
    @inlinable package static func timeOrdered(
        at time: UnixMicroseconds, using generator: inout some RandomNumberGenerator
    ) -> UUIDBits {
        let milliseconds = UInt64(bitPattern: time.rawValue / 1000)
        let (first, second): (UInt64, UInt64) = (generator.next(), generator.next())
        return UUIDBits(
            high: milliseconds << 16 | 0x7000 | (first & 0x0FFF),
            low: (second & 0x3FFF_FFFF_FFFF_FFFF) | 0x8000_0000_0000_0000)
    }

    /// Milliseconds since 1970 at which a time-ordered identifier was made. `nil`: it is of another version.
    package var milliseconds: Int64? {
        self.high >> 12 & 0xF == 7 && self.low >> 62 == 2 ? Int64(self.high >> 16) : nil
    }

    /// Parses the 36-character form, upper or lower case. `nil`: any other text.
    package init?(text: some StringProtocol) {
        var value: (UInt64, UInt64) = (0, 0)
        var digits = 0
        for (index, byte) in text.utf8.enumerated() {
            if index == 8 || index == 13 || index == 18 || index == 23 {
                guard byte == UInt8(ascii: "-") else { return nil }
                continue
            }
            guard let digit = hexValue(byte), digits < 32 else { return nil }
            value = (value.0 << 4 | value.1 >> 60, value.1 << 4 | UInt64(digit))
            digits += 1
        }
        guard digits == 32, text.utf8.count == 36 else { return nil }
        self.init(high: value.0, low: value.1)
    }

    /// Writes the 36 ASCII bytes of the lower-case form; `buffer` must have room for them.
    package func writeText(to buffer: UnsafeMutableRawBufferPointer) {
        precondition(buffer.count >= 36, "a UUID needs 36 bytes")
        let first = Self.hexDigits(UInt32(truncatingIfNeeded: self.high >> 32))
        let second = Self.hexDigits(UInt32(truncatingIfNeeded: self.high))
        let third = Self.hexDigits(UInt32(truncatingIfNeeded: self.low >> 32))
        let fourth = Self.hexDigits(UInt32(truncatingIfNeeded: self.low))
        let dash = UInt8(ascii: "-")
        func store(_ value: some FixedWidthInteger & BitwiseCopyable, at offset: Int) {
            buffer.storeBytes(of: value.littleEndian, toByteOffset: offset, as: type(of: value))
        }
        store(first, at: 0)
        store(dash, at: 8)
        store(UInt32(truncatingIfNeeded: second), at: 9)
        store(dash, at: 13)
        store(UInt32(truncatingIfNeeded: second >> 32), at: 14)
        store(dash, at: 18)
        store(UInt32(truncatingIfNeeded: third), at: 19)
        store(dash, at: 23)
        store(UInt32(truncatingIfNeeded: third >> 32), at: 24)
        store(fourth, at: 28)
    }

    /// Eight hexadecimal digits at once, the first in the lowest byte: one nibble is spread into each byte, then 9 is
    /// told from a by a carry into bit 4.
    @inline(__always)
    private static func hexDigits(_ value: UInt32) -> UInt64 {
        var spread = UInt64(value.byteSwapped)
        spread = (spread | spread << 16) & 0x0000_FFFF_0000_FFFF
        spread = (spread | spread << 8) & 0x00FF_00FF_00FF_00FF
        spread = (spread >> 4 | spread << 8) & 0x0F0F_0F0F_0F0F_0F0F
        let letters = (spread &+ 0x0606_0606_0606_0606) >> 4 & 0x0101_0101_0101_0101
        return spread &+ 0x3030_3030_3030_3030 &+ letters &* 39
    }

    package var text: String {
        String(unsafeUninitializedCapacity: 36) { buffer in
            self.writeText(to: UnsafeMutableRawBufferPointer(buffer))
            return 36
        }
    }
}

/// An identifier comparable only with its own kind, so a key can never be passed where a request is meant.
package struct ID<Kind>: Hashable, Sendable {
    package let bits: UUIDBits

    @inlinable package init(_ bits: UUIDBits) { self.bits = bits }

    package init?(text: some StringProtocol) {
        guard let bits = UUIDBits(text: text) else { return nil }
        self.bits = bits
    }

    package var text: String { self.bits.text }
}

package enum RequestTag {}
package enum VirtualKeyTag {}
package enum JournalTag {}

/// One call of a caller; all its upstream attempts share it.
package typealias RequestID = ID<RequestTag>
/// A virtual key, stable over regeneration of its secret.
package typealias VirtualKeyID = ID<VirtualKeyTag>
/// One journal directory; the identity of a stream in the ledger.
package typealias JournalID = ID<JournalTag>

extension ID where Kind == VirtualKeyTag {
    /// The identity under which calls made with the master key are booked.
    package static var masterKey: VirtualKeyID { VirtualKeyID(UUIDBits(high: 0, low: 0)) }
}

/// SHA-256 of a secret key. Safe to store and log; the secret itself never is.
package struct KeyDigest: Hashable, Sendable {
    package let words: (UInt64, UInt64, UInt64, UInt64)

    package init(_ words: (UInt64, UInt64, UInt64, UInt64)) { self.words = words }

    /// `nil`: not exactly 32 bytes.
    package init?(bytes: some Collection<UInt8>) {
        guard bytes.count == 32 else { return nil }
        var words: [UInt64] = [0, 0, 0, 0]
        for (index, byte) in bytes.enumerated() { words[index / 8] = words[index / 8] << 8 | UInt64(byte) }
        self.words = (words[0], words[1], words[2], words[3])
    }

    /// `nil`: not exactly 64 hexadecimal digits.
    package init?(hex: some StringProtocol) {
        var words: [UInt64] = [0, 0, 0, 0]
        guard hex.utf8.count == 64 else { return nil }
        for (index, byte) in hex.utf8.enumerated() {
            guard let digit = hexValue(byte) else { return nil }
            words[index / 16] = words[index / 16] << 4 | UInt64(digit)
        }
        self.words = (words[0], words[1], words[2], words[3])
    }

    package var bytes: [UInt8] {
        [self.words.0, self.words.1, self.words.2, self.words.3].flatMap { word in
            (0..<8).map { UInt8(truncatingIfNeeded: word >> UInt64(56 - $0 * 8)) }
        }
    }

    /// 64 lower-case hexadecimal digits, as LiteLLM prints it.
    package var hex: String {
        String(decoding: self.bytes.flatMap { [hexDigit($0 >> 4), hexDigit($0 & 15)] }, as: UTF8.self)
    }

    /// Takes the same time whatever differs.
    package static func == (a: KeyDigest, b: KeyDigest) -> Bool {
        let difference =
            (a.words.0 ^ b.words.0) | (a.words.1 ^ b.words.1) | (a.words.2 ^ b.words.2) | (a.words.3 ^ b.words.3)
        return difference == 0
    }

    /// The digest is uniformly distributed already, so its first word is hash enough.
    package func hash(into hasher: inout Hasher) { hasher.combine(self.words.0) }
}

@inlinable package func hexDigit(_ value: UInt8) -> UInt8 {
    value < 10 ? UInt8(ascii: "0") &+ value : UInt8(ascii: "a") &+ (value &- 10)
}

@inlinable package func hexValue(_ byte: UInt8) -> UInt8? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): byte &- UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): byte &- UInt8(ascii: "a") &+ 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): byte &- UInt8(ascii: "A") &+ 10
    default: nil
    }
}
