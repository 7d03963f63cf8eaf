/// Writes text into raw memory without making strings.
package enum HTTPText {
    /// The longest decimal: 19 digits and a sign.
    package static let decimalBytesMax = 20

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
