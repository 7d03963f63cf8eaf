/// Values of number tokens that have been validated.
enum JSONNumber {
    /// Above it a double, as many writers use, no longer holds every integer.
    static let countMax: Int64 = 1 << 53

    /// The integer 0...2^53 of an unsigned token; a fraction of zeros is accepted. `nil`: anything else.
    static func count(_ base: UnsafeRawPointer, _ start: Int, _ end: Int) -> Int64? {
        guard start < end else { return nil }
        var position = start
        var value: Int64 = 0
        while position < end, ByteClass.isDigit(ByteScan.byte(base, position)) {
            value = value &* 10 &+ Int64(ByteScan.byte(base, position) &- 0x30)
            guard value <= Self.countMax else { return nil }
            position &+= 1
        }
        guard position > start else { return nil }
        if position < end, ByteScan.byte(base, position) == UInt8(ascii: ".") {
            position &+= 1
            let fraction = position
            while position < end, ByteScan.byte(base, position) == UInt8(ascii: "0") { position &+= 1 }
            guard position > fraction else { return nil }
        }
        return position == end ? value : nil
    }

    /// The value of an unsigned decimal, to about 16 digits. `nil`: not a number, or not finite.
    static func double(_ base: UnsafeRawPointer, _ start: Int, _ end: Int) -> Double? {
        var position = start
        var mantissa: UInt64 = 0
        var scale = 0
        var digitCount = 0
        var sawPoint = false
        while position < end {
            let byte = ByteScan.byte(base, position)
            if ByteClass.isDigit(byte) {
                digitCount &+= 1
                if mantissa < 1_000_000_000_000_000_000 {
                    mantissa = mantissa &* 10 &+ UInt64(byte &- 0x30)
                    if sawPoint { scale &-= 1 }
                } else if !sawPoint {
                    scale &+= 1
                }
            } else if byte == UInt8(ascii: "."), !sawPoint {
                sawPoint = true
            } else {
                break
            }
            position &+= 1
        }
        guard digitCount > 0 else { return nil }
        if position < end {
            guard ByteScan.byte(base, position) | 0x20 == UInt8(ascii: "e"),
                let exponent = Self.exponent(base, position &+ 1, end)
            else { return nil }
            scale &+= exponent
        }
        let value = Self.scaled(Double(mantissa), by: scale)
        return value.isFinite ? value : nil
    }

    private static func exponent(_ base: UnsafeRawPointer, _ start: Int, _ end: Int) -> Int? {
        var position = start
        var isNegative = false
        if position < end,
            ByteScan.byte(base, position) == UInt8(ascii: "-") || ByteScan.byte(base, position) == UInt8(ascii: "+")
        {
            isNegative = ByteScan.byte(base, position) == UInt8(ascii: "-")
            position &+= 1
        }
        guard position < end else { return nil }
        var value = 0
        while position < end {
            let digit = ByteScan.byte(base, position) &- 0x30
            guard digit < 10 else { return nil }
            value = min(value &* 10 &+ Int(digit), 10_000)
            position &+= 1
        }
        return isNegative ? -value : value
    }

    /// Powers of ten up to 10^22 are exact, so one division or multiplication rounds once.
    private static func scaled(_ value: Double, by scale: Int) -> Double {
        if value == 0 { return 0 }
        var result = value
        var rest = min(scale.magnitude, 400)
        while rest > 0 {
            let step = min(rest, 22)
            var power = 1.0
            for _ in 0..<step { power *= 10 }
            result = scale < 0 ? result / power : result * power
            rest -= step
        }
        return result
    }
}
