import GatewayCore
import TestSupport
import Testing

@Suite("Money")
struct NanoUSDTests {
    @Test(
        "is written in exact decimals, without trailing zeros and without an exponent",
        arguments: [
            (0, "0"), (1, "0.000000001"), (-1, "-0.000000001"), (10, "0.00000001"), (1_250, "0.00000125"),
            (500_000_000, "0.5"), (999_999_999, "0.999999999"), (1_000_000_000, "1"), (-1_000_000_000, "-1"),
            (1_000_000_001, "1.000000001"), (12_345_678_900, "12.3456789"), (Int64.max, "9223372036.854775807"),
            (Int64.min, "-9223372036.854775808"),
        ] as [(Int64, String)])
    func decimalText(nanos: Int64, text: String) {
        #expect(NanoUSD(rawValue: nanos).decimalText == text)
    }

    @Test(
        "from a float is rounded to the nearest nano-dollar",
        arguments: [(0.1, 100_000_000), (0.0000000014, 1), (0.0000000016, 2), (-1.5, -1_500_000_000)]
            as [(Double, Int64)])
    func fromDollars(dollars: Double, nanos: Int64) {
        #expect(NanoUSD(dollars: dollars)?.rawValue == nanos)
    }

    @Test(
        "is not made of a float that it cannot hold",
        arguments: [Double.nan, .infinity, -.infinity, 1e10, -1e10, Double.greatestFiniteMagnitude])
    func outOfRange(dollars: Double) {
        #expect(NanoUSD(dollars: dollars) == nil)
    }

    @Test("is the same sum in any order, and its text gives it back", arguments: [1, 2, 3] as [UInt64])
    func sums(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let parts = (0..<200).map { _ in
            NanoUSD(rawValue: Int64.random(in: -1_000_000_000_000...1_000_000_000_000, using: &generator))
        }
        let sum = parts.reduce(.zero, +)
        #expect(parts.shuffled(using: &generator).reduce(.zero, +) == sum, "seed \(seed)")
        for part in parts {
            let pieces = part.decimalText.split(separator: ".")
            let fraction = pieces.count == 2 ? pieces[1] : ""
            let digits = pieces[0] + fraction + String(repeating: "0", count: 9 - fraction.count)
            #expect(Int64(digits) == part.rawValue, "seed \(seed)")
        }
    }
}
