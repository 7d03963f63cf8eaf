/// Writes text into raw memory without making strings.
package enum HTTPText {
    /// The longest decimal: 19 digits and a sign.
    package static let decimalBytesMax = 20

    /// The number that the digits of `range`, which must lie within `bytes`, make up. `nil`: none, more than 18, or
    /// another byte among them.
    package static func decimal(_ bytes: UnsafeRawBufferPointer, _ range: ByteRange) -> Int64? {
        guard !range.isEmpty, range.count <= 18, Int(range.end) <= bytes.count else { return nil }
        var value: Int64 = 0
        for position in range.range {
            let digit = bytes[position] &- UInt8(ascii: "0")
            guard digit < 10 else { return nil }
            value = value &* 10 &+ Int64(digit)
        }
        return value
    }

    /// Writes `value` in decimal and returns its length; `buffer` must have room for `decimalBytesMax` bytes.
    @inline(__always)
    package static func writeDecimal(_ value: Int64, to buffer: UnsafeMutableRawBufferPointer) -> Int {
        precondition(buffer.count >= Self.decimalBytesMax, "a decimal needs \(Self.decimalBytesMax) bytes")
        var magnitude = value.magnitude
        var digits = 1
        var bound: UInt64 = 10
        while digits < 19, magnitude >= bound {
            digits &+= 1
            bound = bound &* 10
        }
        let count = value < 0 ? digits &+ 1 : digits
        if value < 0 { buffer[0] = UInt8(ascii: "-") }
        var position = count
        repeat {
            position &-= 1
            buffer[position] = UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: magnitude % 10)
            magnitude /= 10
        } while magnitude > 0
        return count
    }
}
