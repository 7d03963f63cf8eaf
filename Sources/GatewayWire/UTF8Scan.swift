/// Validation of UTF-8 (RFC 3629).
enum UTF8Scan {
    /// Skips the run of multi-byte characters at `start`. Gives the offset of the first ASCII byte behind it or `end`;
    /// `~offset`, which is negative, of a character that is malformed or cut.
    static func skipMultibyte(_ base: UnsafeRawPointer, _ start: Int, _ end: Int) -> Int {
        var position = start
        while position < end {
            let lead = ByteScan.byte(base, position)
            if lead < 0x80 { break }
            // Most text that is not ASCII has characters of three or two bytes.
            if end &- position >= 4 {
                let word = base.loadUnaligned(fromByteOffset: position, as: UInt32.self).littleEndian
                if word & 0x00C0_C0F0 == 0x0080_80E0, Self.isWellFormed3(lead, UInt8(truncatingIfNeeded: word &>> 8)) {
                    position &+= 3
                    continue
                }
                if word & 0xC0E0 == 0x80C0, lead >= 0xC2 {
                    position &+= 2
                    continue
                }
            }
            let count = Self.characterCount(base, position, end)
            if count == 0 { return ~position }
            position &+= count
        }
        return position
    }

    /// Neither overlong nor a surrogate.
    @inline(__always)
    private static func isWellFormed3(_ lead: UInt8, _ second: UInt8) -> Bool {
        !(lead == 0xE0 && second < 0xA0) && !(lead == 0xED && second >= 0xA0)
    }

    /// Bytes of the character that starts at `position` with a byte above 0x7F; 0: malformed or cut.
    private static func characterCount(_ base: UnsafeRawPointer, _ position: Int, _ end: Int) -> Int {
        let lead = ByteScan.byte(base, position)
        let count: Int
        switch lead {
        case 0xC2...0xDF: count = 2
        case 0xE0...0xEF: count = 3
        case 0xF0...0xF4: count = 4
        default: return 0
        }
        guard end &- position >= count else { return 0 }
        for offset in 1..<count where ByteScan.byte(base, position &+ offset) & 0xC0 != 0x80 { return 0 }
        let second = ByteScan.byte(base, position &+ 1)
        switch lead {
        case 0xE0...0xEF: return Self.isWellFormed3(lead, second) ? 3 : 0
        case 0xF0: return second >= 0x90 ? 4 : 0
        case 0xF4: return second < 0x90 ? 4 : 0
        default: return count
        }
    }
}
