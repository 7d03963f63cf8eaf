/// Sets of ASCII bytes as 128-bit maps.
enum ByteClass {
    /// `tchar` of RFC 9110, section 5.6.2.
    @inline(__always)
    static func isToken(_ byte: UInt8) -> Bool { Self.contains(Self.tokenLow, Self.tokenHigh, byte) }

    /// What `host [":" port]` may hold (RFC 3986, section 3.2.2), IP literals in brackets included.
    @inline(__always)
    static func isHost(_ byte: UInt8) -> Bool { Self.contains(Self.hostLow, Self.hostHigh, byte) }

    @inline(__always)
    static func isDigit(_ byte: UInt8) -> Bool { byte &- 0x30 < 10 }

    @inline(__always)
    static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }

    @inline(__always)
    private static func contains(_ low: UInt64, _ high: UInt64, _ byte: UInt8) -> Bool {
        let word = byte & 0x40 == 0 ? low : high
        return byte < 0x80 && (word &>> UInt64(byte & 63)) & 1 == 1
    }

    // Digits and !#$%&'*+-.
    private static let tokenLow: UInt64 = 0x03FF_6CFA_0000_0000
    // Letters and ^_`|~
    private static let tokenHigh: UInt64 = 0x57FF_FFFF_C7FF_FFFE
    // Digits and !$%&'()*+,-.:;=
    private static let hostLow: UInt64 = 0x2FFF_7FF2_0000_0000
    // Letters and [ ] _ ~
    private static let hostHigh: UInt64 = 0x47FF_FFFE_AFFF_FFFE
}
