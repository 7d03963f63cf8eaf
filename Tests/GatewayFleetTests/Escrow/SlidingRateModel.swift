import GatewayAdmission
import GatewayCore
import GatewayLedger
import TestSupport
import Testing

/// Pods that share a sliding limit, with statements and answers that get lost, pods that crash and stand still, and
/// calls that last for long and use less or more than they reserved; in virtual time, step by random step.
struct SlidingRateModel {
    struct Options {
        var seed: UInt64
        var steps = 20_000
        var pods = 4
        var window = LimitTerms.Window.slidingMinute
        var unit = LimitTerms.Unit.tokens
        var limit: Int64 = 10_000
        /// Percent of the statements, and of the answers, that get lost.
        var losses = 3
        /// Calls use more than they reserved now and then.
        var underestimates = false
    }

    private struct Call {
        var admittedAt: Int64
        var amount: Int64
    }
    private struct Running {
        var call: Int
        var reserved: Int64
        var generation: Int64
    }
    private struct Pod {
        var pool: EscrowPool
        var running: [Running] = []
        var underway: (entry: EscrowEntry, answer: EscrowGrant?, isLost: Bool)?
        var standsStillUntil: Int64 = 0
    }

    private let options: Options
    private let terms: EscrowTerms
    private let store = LocalRates()
    private var random: SeededGenerator
    private var pods: [Pod] = []
    /// Microseconds.
    private var time: Int64 = 1_795_348_800_000_000
    /// What counts of all calls, the last admitted last.
    private var calls: [Call] = []
    private var firstRecent = 0
    private(set) var admitted = 0
    private(set) var refused = 0

    init(_ options: Options) {
        self.options = options
        self.random = SeededGenerator(seed: options.seed)
        self.terms = EscrowTerms(
            LimitTerms(
                subject: Subject(.key, "k"), unit: options.unit, window: options.window, value: options.limit))
        self.pods = (0..<options.pods).map { _ in Pod(pool: EscrowPool(self.terms)) }
    }

    private mutating func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &self.random) < percent }
    private var nanoseconds: UInt64 { UInt64(self.time) * 1000 }
    private var now: UnixMicroseconds { UnixMicroseconds(rawValue: self.time) }

    private var around: EscrowSurroundings {
        EscrowSurroundings(
            now: self.nanoseconds, pods: Int64(self.options.pods), isAlone: self.options.pods == 1, tickSeconds: 0.25,
            sequence: 0, applied: 0)
    }

    mutating func run() throws {
        for step in 0..<self.options.steps {
            self.time += Int64.random(in: 0...24_000, using: &self.random)
            // A day would never pass otherwise.
            if self.options.window == .slidingDay, Int.random(in: 0..<400, using: &self.random) == 0 {
                self.time += Int64.random(in: 0...7_200_000_000, using: &self.random)
            }
            let pod = Int.random(in: 0..<self.pods.count, using: &self.random)
            guard self.pods[pod].standsStillUntil <= self.time else { continue }
            switch Int.random(in: 0..<1000, using: &self.random) {
            case 0..<450: try self.call(pod, step)
            case 450..<650: self.end(pod)
            case 650..<990: self.round(pod)
            case 990..<995:
                self.pods[pod].standsStillUntil =
                    self.time + Int64.random(in: 0...(2 * self.options.window.lengthMicroseconds), using: &self.random)
            default: if self.options.losses > 0 { self.pods[pod] = Pod(pool: EscrowPool(self.terms)) }
            }
        }
        try self.finish()
    }

    private mutating func call(_ pod: Int, _ step: Int) throws {
        let amount = self.options.unit == .requests ? 1 : Int64.random(in: 1...400, using: &self.random)
        switch self.pods[pod].pool.reserve(amount, now: self.now, at: self.nanoseconds) {
        case .short: return
        case .dry: self.refused += 1
        case .taken(let taken, let generation):
            self.admitted += 1
            self.pods[pod].running.append(
                Running(call: self.calls.count, reserved: taken, generation: generation))
            self.calls.append(Call(admittedAt: self.time, amount: taken))
            let used = self.used
            try #require(
                used <= self.options.limit,
                "seed \(self.options.seed), step \(step): \(used) within a window of \(self.options.limit)")
        }
    }

    /// What calls that were admitted within the last window have used or may use.
    private var used: Int64 {
        mutating get {
            let start = self.time - self.options.window.lengthMicroseconds
            while self.firstRecent < self.calls.count, self.calls[self.firstRecent].admittedAt <= start {
                self.firstRecent += 1
            }
            return self.calls[self.firstRecent...].reduce(0) { $0 + $1.amount }
        }
    }

    private mutating func end(_ pod: Int) {
        guard !self.pods[pod].running.isEmpty else { return }
        let index = Int.random(in: 0..<self.pods[pod].running.count, using: &self.random)
        let running = self.pods[pod].running.remove(at: index)
        // Some never begin.
        let isAbandoned = self.chance(10)
        let most =
            self.options.underestimates && self.chance(20) ? 2 * running.reserved : running.reserved
        let consumed =
            isAbandoned ? 0 : self.options.unit == .requests ? 1 : Int64.random(in: 0...most, using: &self.random)
        let covered = min(consumed, running.reserved)
        self.pods[pod].pool.settle(
            generation: running.generation, reserved: covered, consumed: consumed, sequence: 1, ends: false)
        self.pods[pod].pool.settle(
            generation: running.generation, reserved: running.reserved - covered, consumed: 0, sequence: .max,
            ends: true)
        self.calls[running.call].amount = covered
    }

    /// Sends a proposal, or hears of the one that is under way; calls go on in between.
    private mutating func round(_ pod: Int) {
        guard let underway = self.pods[pod].underway else {
            let (around, now, isTick) = (self.around, self.now, self.chance(50))
            guard let entry = self.pods[pod].pool.proposal(around, now: now, isTick: isTick) else { return }
            if self.chance(self.options.losses) {
                self.pods[pod].underway = (entry, nil, self.chance(50))
                return
            }
            let answer = self.store.exchange([entry], windows: [self.options.window], share: 8, now: self.now)[0]
            self.pods[pod].underway = (entry, answer, self.chance(self.options.losses))
            return
        }
        self.pods[pod].underway = nil
        if underway.isLost {
            self.pods[pod].pool.lose(underway.entry)
        } else if let answer = underway.answer {
            self.pods[pod].pool.apply(answer, to: underway.entry, at: self.nanoseconds)
        } else {
            self.pods[pod].pool.withdraw(underway.entry)
        }
    }

    /// Everything ends, and after a window all of the limit is there again.
    private mutating func finish() throws {
        for pod in self.pods.indices {
            while !self.pods[pod].running.isEmpty { self.end(pod) }
            for _ in 0..<20 {
                self.time += 500_000
                self.pods[pod].pool.leave()
                let around = self.around
                if self.pods[pod].underway != nil { self.round(pod) }
                guard let entry = self.pods[pod].pool.proposal(around, now: self.now, isTick: true) else { continue }
                let answer = self.store.exchange([entry], windows: [self.options.window], share: 8, now: self.now)[0]
                self.pods[pod].pool.apply(answer, to: entry, at: self.nanoseconds)
            }
            #expect(self.pods[pod].pool.current.free == 0 && self.pods[pod].pool.current.calls == 0)
        }
        let asked = EscrowEntry(accountID: self.terms.id, limit: self.options.limit)
        let counted = self.store.exchange([asked], windows: [self.options.window], share: 1, now: self.now)[0]
        if self.options.losses == 0, !self.options.underestimates {
            // Nothing is lost, and what has left the window has left it.
            let start = self.time - self.options.window.lengthMicroseconds
            let late = 2 * self.options.window.bucketMicroseconds + LimitTerms.Window.slidingHoldMicroseconds
            let least = self.calls.reduce(0) { $0 + ($1.admittedAt > start ? $1.amount : 0) }
            let most = self.calls.reduce(0) { $0 + ($1.admittedAt > start - late ? $1.amount : 0) }
            #expect(
                (least...most).contains(counted.outstanding),
                "seed \(self.options.seed): \(counted.outstanding) counted, \(least) to \(most) used")
        }
        self.time += Int64(self.options.window.bucketCount + 1) * self.options.window.bucketMicroseconds
        let after = self.store.exchange([asked], windows: [self.options.window], share: 1, now: self.now)[0]
        #expect(after.outstanding == 0)
        Figures.line("seed \(self.options.seed): \(self.admitted) admitted, \(self.refused) refused")
    }
}

@Suite("A sliding limit over pods that crash, stand still and lose answers", .ownThread)
struct SlidingRateTests {
    @Test("holds in any window", arguments: 1...12 as ClosedRange<UInt64>)
    func holds(seed: UInt64) throws {
        var options = SlidingRateModel.Options(seed: seed)
        options.pods = seed % 4 == 0 ? 1 : 4
        options.unit = seed % 3 == 0 ? .requests : .tokens
        if options.unit == .requests { options.limit = 60 }
        options.window = seed % 5 == 0 ? .slidingDay : .slidingMinute
        options.losses = seed % 2 == 0 ? 0 : 5
        var model = SlidingRateModel(options)
        try model.run()
        // As many as the limit lets through in the time that it covers.
        #expect(model.admitted > 100)
    }

    @Test(
        "of calls that use more than they reserved admits no more than it allows", arguments: [21, 22] as [UInt64])
    func holdsBeside(seed: UInt64) throws {
        var options = SlidingRateModel.Options(seed: seed)
        options.underestimates = true
        var model = SlidingRateModel(options)
        try model.run()
        #expect(model.admitted > 100)
    }
}
