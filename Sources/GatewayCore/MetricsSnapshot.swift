/// A histogram with fixed bounds; counts are not cumulative here.
package struct LatencyHistogram: Sendable, Equatable {
    /// Upper bounds in microseconds, the last bucket has none.
    package static let boundsMicroseconds: [Int64] = [
        50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
        5_000_000, 10_000_000, 30_000_000, 60_000_000, 120_000_000, 300_000_000, 600_000_000,
    ]
    package var counts: [Int64]
    package var sumMicroseconds: Int64

    package init() {
        self.counts = Array(repeating: 0, count: Self.boundsMicroseconds.count + 1)
        self.sumMicroseconds = 0
    }

    package mutating func record(microseconds: Int64) {
        let bit = Int64.bitWidth - 1 - max(1, microseconds - 1).leadingZeroBitCount
        var bucket = Self.firstBucket[min(bit, Self.firstBucket.count - 1)]
        while bucket < Self.boundsMicroseconds.count, microseconds > Self.boundsMicroseconds[bucket] { bucket += 1 }
        self.counts[bucket] += 1
        self.sumMicroseconds += microseconds
    }

    /// By the highest bit of a value less one, the lowest bucket that such a value may belong to. From there it is at
    /// most two steps, where a binary search takes five.
    private static let firstBucket: [Int] = (0..<31).map { bit in
        Self.boundsMicroseconds.firstIndex { $0 > (bit == 0 ? 0 : 1 << bit) } ?? Self.boundsMicroseconds.count
    }

    package mutating func add(_ other: LatencyHistogram) {
        for index in self.counts.indices { self.counts[index] += other.counts[index] }
        self.sumMicroseconds += other.sumMicroseconds
    }
}

/// Figures of the calls of one deployment; every label comes from configuration or a closed enum.
package struct CallMetrics: Sendable, Equatable {
    package var modelGroup: String
    package var provider: String
    package var deploymentID: String
    /// By `AttemptOutcome.rawValue`.
    package var attemptsByOutcome: [Int64]
    package var duration: LatencyHistogram
    package var firstByte: LatencyHistogram
    /// Time that the gateway itself added: until the attempt's first byte went out, and from its end to ours.
    package var overhead: LatencyHistogram
    package var inputTokens: Int64
    package var cachedInputTokens: Int64
    package var outputTokens: Int64
    package var cost: NanoUSD

    package init(modelGroup: String, provider: String, deploymentID: String) {
        self.modelGroup = modelGroup
        self.provider = provider
        self.deploymentID = deploymentID
        self.attemptsByOutcome = Array(repeating: 0, count: AttemptOutcome.allCases.count)
        self.duration = LatencyHistogram()
        self.firstByte = LatencyHistogram()
        self.overhead = LatencyHistogram()
        self.inputTokens = 0
        self.cachedInputTokens = 0
        self.outputTokens = 0
        self.cost = .zero
    }

    /// Adds the figures of the same deployment on another event loop.
    package mutating func add(_ other: CallMetrics) {
        for index in self.attemptsByOutcome.indices { self.attemptsByOutcome[index] += other.attemptsByOutcome[index] }
        self.duration.add(other.duration)
        self.firstByte.add(other.firstByte)
        self.overhead.add(other.overhead)
        self.inputTokens += other.inputTokens
        self.cachedInputTokens += other.cachedInputTokens
        self.outputTokens += other.outputTokens
        self.cost = self.cost + other.cost
    }
}

/// All figures of the data plane at one moment.
package struct MetricsSnapshot: Sendable {
    package var calls: [CallMetrics] = []
    /// Answers to callers by HTTP status, calls and control requests alike.
    package var responsesByStatus: [Int: Int64] = [:]
    package var callsInFlight: Int64 = 0
    package var connectionsOpen: Int64 = 0
    package var upstreamConnectionsOpen: Int64 = 0
    package var upstreamConnectionsIdle: Int64 = 0
    package var callsWaiting: Int64 = 0

    package init() {}
}

/// Where the control plane gets the data plane's figures from.
package protocol MetricsSource: Sendable {
    func metrics() async -> MetricsSnapshot
}
