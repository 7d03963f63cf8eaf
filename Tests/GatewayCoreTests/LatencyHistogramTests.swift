import GatewayCore
import Testing

@Suite("A latency histogram")
struct LatencyHistogramTests {
    @Test("counts each value in the bucket whose bound it does not exceed")
    func buckets() {
        for (index, bound) in LatencyHistogram.boundsMicroseconds.enumerated() {
            var histogram = LatencyHistogram()
            histogram.record(microseconds: bound)
            histogram.record(microseconds: bound + 1)
            #expect(histogram.counts[index] == 1)
            #expect(histogram.counts[index + 1] == 1)
            #expect(histogram.counts.reduce(0, +) == 2)
            #expect(histogram.sumMicroseconds == 2 * bound + 1)
        }
        var lowest = LatencyHistogram()
        lowest.record(microseconds: 0)
        #expect(lowest.counts[0] == 1)
    }

    @Test("counts every value where a search through all bounds would")
    func anyValue() {
        let bounds = LatencyHistogram.boundsMicroseconds
        for power in 0..<62 {
            let near: Int64 = 1 << power
            for value in [near - 1, near, near + 1, near / 2 * 3] {
                var histogram = LatencyHistogram()
                histogram.record(microseconds: value)
                #expect(histogram.counts.firstIndex(of: 1) == bounds.firstIndex { value <= $0 } ?? bounds.count)
            }
        }
        var below = LatencyHistogram()
        below.record(microseconds: -5)
        #expect(below.counts[0] == 1)
    }

    @Test("adds another one bucket by bucket")
    func adds() {
        var first = LatencyHistogram()
        var second = LatencyHistogram()
        for value in [10, 70, 1_000_000, 700_000_000] as [Int64] {
            first.record(microseconds: value)
            second.record(microseconds: value)
        }
        first.add(second)
        #expect(first.counts == second.counts.map { $0 * 2 })
        #expect(first.sumMicroseconds == second.sumMicroseconds * 2)
    }
}
