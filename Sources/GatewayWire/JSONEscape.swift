import GatewayCore

/// Escapes in JSON strings (RFC 8259, section 7).
enum JSONEscape {
    /// The UTF-16 code unit of the four hexadecimal digits at `position`, which must be there. `nil`: not digits.
    @inline(__always)
    static func codeUnit(_ base: UnsafeRawPointer, _ position: Int) -> UInt16? {
        var unit: UInt16 = 0
        for offset in 0..<4 {
            guard let digit = hexValue(ByteScan.byte(base, position &+ offset)) else { return nil }
            unit = unit &<< 4 | UInt16(digit)
        }
        return unit
    }

    /// How many of the six bytes of `\uXXXX` are saved when it is written in UTF-8; half a surrogate pair becomes two.
    @inline(__always)
    static func overhead(ofUnit unit: UInt16) -> Int {
        switch unit {
        case 0..<0x80: 5
        case 0x80..<0x800, 0xD800..<0xE000: 4
        default: 3
        }
    }

    /// The byte that the letter of a two-byte escape stands for. `nil`: no such escape (or `u`).
    static func byte(ofLetter letter: UInt8) -> UInt8? {
        switch letter {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): letter
        case UInt8(ascii: "b"): 0x08
        case UInt8(ascii: "f"): 0x0C
        case UInt8(ascii: "n"): 0x0A
        case UInt8(ascii: "r"): 0x0D
        case UInt8(ascii: "t"): 0x09
        default: nil
        }
    }
}
