import GatewayRouting
import TestSupport
import Testing

@Suite("A weighted choice")
struct WeightedChoiceTests {
    private static func counts(
        _ weights: [Double], seed: UInt64, picks: Int = 100_000, isUsable: (Int) -> Bool = { _ in true }
    ) -> [Int] {
        let choice = WeightedChoice(weights)
        var generator = SeededGenerator(seed: seed)
        var counts = weights.map { _ in 0 }
        for _ in 0..<picks {
            if let index = choice.pick(random: generator.next(), isUsable: isUsable) { counts[index] += 1 }
        }
        return counts
    }

    @Test("picks in proportion to the weights", arguments: [1, 2, 3] as [UInt64])
    func proportion(seed: UInt64) {
        let counts = Self.counts([1, 2, 7], seed: seed)
        for (count, expected) in zip(counts, [10_000, 20_000, 70_000]) {
            #expect(abs(count - expected) < 700, "seed \(seed): \(counts)")
        }
    }

    @Test("shares the weight of what is left out among the others", arguments: [4, 5] as [UInt64])
    func exclusions(seed: UInt64) {
        let counts = Self.counts([1, 2, 7], seed: seed) { $0 != 2 }
        #expect(counts[2] == 0)
        #expect(abs(counts[0] - 33_333) < 900, "seed \(seed): \(counts)")
        #expect(counts.reduce(0, +) == 100_000)
    }

    @Test("is within its bounds at the ends of the random range")
    func ends() {
        for weights in [[1.0], [1, 1], [0.1, 0.2, 0.3], [1e-300, 1e300], [1e300, 1e-300]] {
            let choice = WeightedChoice(weights)
            for random in [0, 1, UInt64.max, UInt64.max - 1, 1 << 63] {
                let index = choice.pick(random: random) { _ in true }
                #expect(index.map { weights.indices.contains($0) } == true)
            }
        }
    }

    @Test("picks nothing when nothing is usable")
    func nothing() {
        #expect(WeightedChoice([1, 2]).pick(random: 5) { _ in false } == nil)
        #expect(WeightedChoice([1]).pick(random: 5) { _ in false } == nil)
        #expect(WeightedChoice([]).pick(random: 5) { _ in true } == nil)
    }
}
