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
        if magnitude >= 1000 { return Self.writeLargeDecimal(value, to: buffer) }
        var digits = 1
        var bound: UInt64 = 10
        while magnitude >= bound {
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

    /// Two digits each.
    private static let pairs: StaticString = """
        00010203040506070809101112131415161718192021222324252627282930313233343536373839404142434445464748495051525354\
        555657585960616263646566676869707172737475767778798081828384858687888990919293949596979899
        """

    /// Two digits at a time, from the last, and then to the front.
    private static func writeLargeDecimal(_ value: Int64, to buffer: UnsafeMutableRawBufferPointer) -> Int {
        guard let base = buffer.baseAddress else { return 0 }
        let pairs = UnsafeRawPointer(Self.pairs.utf8Start)
        var magnitude = value.magnitude
        var position = Self.decimalBytesMax
        while magnitude >= 100 {
            position &-= 2
            let pair = pairs.loadUnaligned(fromByteOffset: Int(magnitude % 100) &* 2, as: UInt16.self)
            (base + position).storeBytes(of: pair, as: UInt16.self)
            magnitude /= 100
        }
        if magnitude >= 10 {
            position &-= 2
            let pair = pairs.loadUnaligned(fromByteOffset: Int(magnitude) &* 2, as: UInt16.self)
            (base + position).storeBytes(of: pair, as: UInt16.self)
        } else {
            position &-= 1
            buffer[position] = UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: magnitude)
        }
        if value < 0 {
            position &-= 1
            buffer[position] = UInt8(ascii: "-")
        }
        let count = Self.decimalBytesMax &- position
        base.copyMemory(from: base + position, byteCount: count)
        return count
    }
}
