import GatewayCore
import Glibc

/// What the fleet's callers do: which key calls which model, and when. All designs get the same.
struct Workload: Sendable {
    static let keys = 1000
    static let users = 250
    static let teams = 25
    static let models = 10

    let payers: [PayerIdentity]
    let routes: [RouteIdentity]
    /// Running sums of the keys' weights, Zipf with exponent 1.1: the first key makes a sixth of the calls.
    private let weights: [Double]

    init() {
        self.payers = (0..<Self.keys).map { number in
            PayerIdentity(
                keyID: VirtualKeyID(UUIDBits(high: 0x7000, low: UInt64(number + 1))),
                digest: KeyDigest((UInt64(number + 1), 2, 3, 4)), userID: "user-\(number % Self.users)",
                teamID: "team-\(number % Self.teams)")
        }
        self.routes = (0..<Self.models).map { number in
            RouteIdentity(
                modelGroup: "group-\(number)", model: "gpt-sample-\(number)", provider: "openai",
                deploymentID: "deployment-\(number)", priceVersion: "2026-11-22")
        }
        var sum = 0.0
        self.weights = (1...Self.keys).map { number in
            sum += pow(Double(number), -1.1)
            return sum
        }
    }

    /// Number of a key, 0..<keys.
    func key(using random: inout Random) -> Int {
        let place = Double(random.next() >> 11) / Double(1 << 53) * (self.weights.last ?? 1)
        var (low, high) = (0, self.weights.count - 1)
        while low < high {
            let middle = (low + high) / 2
            if self.weights[middle] < place { low = middle + 1 } else { high = middle }
        }
        return low
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014): small, seeded, and good enough to choose keys.
struct Random: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { self.state = seed &* 0x9E37_79B9_7F4A_7C15 &+ 1 }

    mutating func next() -> UInt64 {
        self.state &+= 0x9E37_79B9_7F4A_7C15
        var word = self.state
        word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
        return word ^ (word >> 31)
    }
}

/// The calls of one pod, at a constant rate from a beginning on.
struct PodCalls: Sendable {
    struct Call {
        let key: Int
        let model: Int
        let inputTokens: Int64
        let outputTokens: Int64
        let requestID: UUIDBits
        let startedAt: Int64  // microseconds since 1970

        /// Nano-dollars.
        var cost: Int64 { self.inputTokens * 150 + self.outputTokens * 600 }
    }

    let workload: Workload
    let plan: Plan
    /// Calls made so far.
    private(set) var made: Int64 = 0
    /// Nano-dollars of the calls made so far.
    private(set) var spend: Int64 = 0
    private var random: Random

    init(workload: Workload, plan: Plan, pod: Int) {
        self.workload = workload
        self.plan = plan
        self.random = Random(seed: plan.seed &* 1000 &+ UInt64(pod))
    }

    /// Calls due before `time` (monotonic nanoseconds) that are not made yet.
    func due(before time: Int64) -> Int { max(0, Int((time - self.plan.began) / self.plan.interval - self.made)) }

    mutating func next() -> Call {
        let startedAt = self.plan.unixTime(self.plan.due(self.made))
        let (high, low) = (UInt64(startedAt / 1000) << 16 | 0x7000, 1 << 63 | self.random.next() >> 2)
        let call = Call(
            key: self.workload.key(using: &self.random), model: Int(self.random.next() % UInt64(Workload.models)),
            inputTokens: Int64(100 + self.random.next() % 4000), outputTokens: Int64(10 + self.random.next() % 800),
            requestID: UUIDBits(high: high, low: low), startedAt: startedAt)
        self.made += 1
        self.spend += call.cost
        return call
    }
}

/// One cell of the table.
struct Plan: Sendable {
    static let tick: Int64 = 500_000_000
    static let warmUpSeconds: Int64 = 3

    let pods: Int
    /// Nanoseconds between two calls of a pod.
    let interval: Int64
    let seconds: Int64
    let isAligned: Bool
    let seed: UInt64
    /// Monotonic nanoseconds.
    let began: Int64
    /// What makes microseconds since 1970 of monotonic ones.
    private let unixOffset: Int64

    init(pods: Int, rate: Int64, seconds: Int64, isAligned: Bool, seed: UInt64) {
        self.pods = pods
        self.interval = 1_000_000_000 / rate
        self.seconds = seconds
        self.isAligned = isAligned
        self.seed = seed
        self.began = monotonicNow() + Self.tick
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        self.unixOffset = Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000 - monotonicNow() / 1000
    }

    /// When the call with this number (0 is the first) is made, monotonic nanoseconds.
    func due(_ number: Int64) -> Int64 { self.began + number * self.interval }

    func unixTime(_ monotonic: Int64) -> Int64 { monotonic / 1000 + self.unixOffset }

    /// When a pod first ships.
    func firstTick(of pod: Int) -> Int64 {
        self.began + (self.isAligned ? Self.tick : Self.tick * Int64(pod + 1) / Int64(self.pods))
    }

    /// The tick after the one that was due at `former`.
    /// - Parameter shipperWaits: what the pod's shipper wants to wait now; only ticks at random follow it.
    func nextTick(after former: Int64, now: Int64, shipperWaits: Duration) -> Int64 {
        if self.isAligned { return former + max(1, (now - former + Self.tick - 1) / Self.tick) * Self.tick }
        return now + shipperWaits.components.seconds * 1_000_000_000 + shipperWaits.components.attoseconds
            / 1_000_000_000
    }
}

func monotonicNow() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
}
