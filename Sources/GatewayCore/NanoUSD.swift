/// Money in nano-US-dollars (1 USD = 1_000_000_000). An integer, so sums are exact in any order.
/// Range: about plus or minus 9.2 billion USD.
package struct NanoUSD: Hashable, Sendable, Comparable, AdditiveArithmetic {
    package var rawValue: Int64

    @inlinable package init(rawValue: Int64) { self.rawValue = rawValue }

    @inlinable package static var zero: NanoUSD { NanoUSD(rawValue: 0) }

    @inlinable package static func + (a: NanoUSD, b: NanoUSD) -> NanoUSD { NanoUSD(rawValue: a.rawValue + b.rawValue) }
    package static func - (a: NanoUSD, b: NanoUSD) -> NanoUSD { NanoUSD(rawValue: a.rawValue - b.rawValue) }
    @inlinable package static func < (a: NanoUSD, b: NanoUSD) -> Bool { a.rawValue < b.rawValue }

    /// Rounds to the nearest nano-dollar. `nil`: not finite or out of range. Only for the edges that speak
    /// LiteLLM's JSON, where money is a float.
    package init?(dollars: Double) {
        let nanos = (dollars * 1_000_000_000).rounded()
        guard nanos.isFinite, abs(nanos) < 9.2e18 else { return nil }
        self.rawValue = Int64(nanos)
    }

    /// Dollars as a float, for JSON only; never used in sums.
    package var dollars: Double { Double(self.rawValue) / 1_000_000_000 }

    /// Exact decimal text, such as `0.00000125`; no trailing zeros, never an exponent.
    package var decimalText: String {
        let magnitude = self.rawValue.magnitude
        let whole = magnitude / 1_000_000_000
        let fraction = magnitude % 1_000_000_000
        let sign = self.rawValue < 0 ? "-" : ""
        if fraction == 0 { return "\(sign)\(whole)" }
        var digits = String(fraction)
        digits = String(repeating: "0", count: 9 - digits.utf8.count) + digits
        while digits.utf8.last == UInt8(ascii: "0") { digits.removeLast() }
        return "\(sign)\(whole).\(digits)"
    }
}
