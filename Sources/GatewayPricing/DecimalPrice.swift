/// Reads a price in USD, as people and YAML write it, without going through a float.
enum DecimalPrice {
    enum Fault: Error {
        /// Not a decimal number, such as `NaN` or an empty text.
        case notANumber
        case negative
        /// More than `Rate.picodollarsMax`.
        case tooHigh
        /// Above 0, but nothing is left of it in whole picodollars.
        case tooLow
    }

    /// Longer texts are no prices.
    private static let bytesMax = 400

    /// `"4e-07"`, `"0.0000004"` and `".4E-6"` are 400000. What is finer than a picodollar is rounded half up.
    static func picodollars(_ text: String) throws(Fault) -> Int64 {
        try self.scaled(text, decimals: 12)
    }

    /// The number times ten to the power of `decimals`, rounded half up.
    static func scaled(_ text: String, decimals: Int) throws(Fault) -> Int64 {
        guard text.utf8.count <= self.bytesMax else { throw .notANumber }
        var rest = Array(text.utf8)[...]
        let isNegative = rest.first == UInt8(ascii: "-")
        if isNegative || rest.first == UInt8(ascii: "+") { rest.removeFirst() }
        var digits: [UInt8] = []
        var fractionDigits = 0
        var sawPoint = false
        var sawDigit = false
        while let byte = rest.first {
            if byte == UInt8(ascii: "."), !sawPoint {
                sawPoint = true
            } else if let digit = self.digit(byte) {
                sawDigit = true
                if !digits.isEmpty || digit != 0 { digits.append(digit) }
                if sawPoint { fractionDigits += 1 }
            } else {
                break
            }
            rest.removeFirst()
        }
        guard sawDigit else { throw .notANumber }
        let exponent = try self.exponent(Array(rest))
        if digits.isEmpty { return 0 }
        if isNegative { throw .negative }
        return try self.shifted(digits, by: exponent - fractionDigits + decimals)
    }

    /// The part from `e` on; nothing is 0. Huge ones are clamped, which changes no verdict.
    private static func exponent(_ text: [UInt8]) throws(Fault) -> Int {
        guard let first = text.first else { return 0 }
        guard first == UInt8(ascii: "e") || first == UInt8(ascii: "E") else { throw .notANumber }
        var rest = text.dropFirst()
        let isNegative = rest.first == UInt8(ascii: "-")
        if isNegative || rest.first == UInt8(ascii: "+") { rest = rest.dropFirst() }
        guard !rest.isEmpty else { throw .notANumber }
        var value = 0
        for byte in rest {
            guard let digit = self.digit(byte) else { throw .notANumber }
            value = min(value * 10 + Int(digit), 10_000)
        }
        return isNegative ? -value : value
    }

    /// `digits` (without leading zeros) times ten to the power of `shift`.
    private static func shifted(_ digits: [UInt8], by shift: Int) throws(Fault) -> Int64 {
        let wholeDigits = digits.count + shift
        guard wholeDigits <= 19 else { throw .tooHigh }
        var value: UInt64 = 0
        if wholeDigits > 0 {
            for index in 0..<wholeDigits {
                value = value * 10 + UInt64(index < digits.count ? digits[index] : 0)
            }
        }
        if wholeDigits >= 0, wholeDigits < digits.count, digits[wholeDigits] >= 5 { value += 1 }
        guard value > 0 else { throw .tooLow }
        guard value <= UInt64(Rate.picodollarsMax) else { throw .tooHigh }
        return Int64(value)
    }

    private static func digit(_ byte: UInt8) -> UInt8? {
        byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9") ? byte - UInt8(ascii: "0") : nil
    }
}
