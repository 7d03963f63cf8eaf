import Foundation
import GatewayAdmission
import GatewayCore
import GatewayFleet
import GatewayLedger
import Logging
import Synchronization
import TestSupport

/// Pods that share one account, in virtual time: the real pools and agents on a store in memory, calls that come at
/// random, and an all-knowing observer that says which refusals were false.
final class EscrowSimulation {
    struct Options {
        var pods = 4
        var terms: EscrowTerms
        /// Calls a second, all pods together.
        var callsPerSecond = 200.0
        var seconds = 20.0
        /// What a call costs on average; 1 for requests.
        var meanCost = 1_000_000.0
        /// Estimates are the cost times 1 to this much, evenly.
        var estimateMax = 3.0
        var seed: UInt64 = 1
        /// Start within the minute, seconds.
        var startsAt = 0.0
        /// Milliseconds from the start of a round to its answers.
        var roundTrip = 3.0
    }

    struct Result {
        var calls = 0
        var admitted = 0
        var refused = 0
        var falselyRefused = 0
        /// Part of the limit that was consumed at the first false refusal that an all-knowing counter would not have
        /// made. `nil`: there was none.
        var usedAtFirstFalse: Double?
        var usedAtFirstRefusal: Double?
        var spent: Int64 = 0
        var overshoot: Int64 = 0
        var operations = 0
        /// Of rates: by window.
        var admittedByWindow: [Int64: Int64] = [:]
        var offeredByWindow: [Int64: Int64] = [:]
        var seconds = 0.0
        /// Of sliding limits: most calls admitted in any 60 seconds.
        var mostInAnyMinute = 0
        /// What a counter that knows everything would have admitted of the same calls.
        var ideallyAdmitted = 0
    }

    private enum Event {
        case arrival
        case end(pod: Int, ticket: AdmissionTicket, cost: Int64, estimate: Int64, window: Int64)
        case round(pod: Int, isEarly: Bool)
        case tick(pod: Int)
        case patience(pod: Int, call: Int)
    }
    private struct Waiting {
        var number: Int
        var estimate: Int64
        var cost: Int64
    }
    private final class Time: Sendable {
        let now = Mutex(0.0)
        let origin: Double
        init(origin: Double) { self.origin = origin }
        var nanoseconds: UInt64 { UInt64((self.now.withLock { $0 } + 1000) * 1e9) }
    }
    private struct Clock: WallClock {
        let time: Time
        func now() -> UnixMicroseconds {
            let seconds = self.time.origin + self.time.now.withLock { $0 }
            return UnixMicroseconds(rawValue: 1_795_348_800_000_000 + Int64(seconds * 1e6))
        }
    }
    private final class Pod {
        let registry: EscrowRegistry
        let agent: EscrowAgent
        let path: AccountPath
        let need: Needs
        var waiting: [Waiting] = []
        /// A round is due because a call waits, or after a pause.
        var hasRound = false
        var hasPause = false

        init(registry: EscrowRegistry, agent: EscrowAgent, path: AccountPath, needs: Needs) {
            self.registry = registry
            self.agent = agent
            self.path = path
            self.need = needs
        }
    }
    private final class Needs: Sendable {
        let rung = Atomic<Bool>(false)
        let sequence = Atomic<Int64>(0)
    }

    private let options: Options
    private let time: Time
    private let store: MemoryEscrowStore
    private var pods: [Pod] = []
    private var queue: [(at: Double, order: Int, event: Event)] = []
    private var order = 0
    private var random: SeededGenerator
    private var result = Result()
    private var reserved: Int64 = 0
    private var calls = 0
    /// When the calls of the last 60 seconds were admitted: here, and by a counter that knows everything.
    private var recent: [Double] = []
    private var ideal: [Double] = []

    init(_ options: Options) async throws {
        self.options = options
        self.random = SeededGenerator(seed: options.seed)
        let time = Time(origin: options.startsAt)
        self.time = time
        let clock = Clock(time: time)
        let ledger = MemoryLedgerStore()
        self.store = MemoryEscrowStore(ledger: ledger, clock: clock)
        for number in 0..<options.pods {
            let needs = Needs()
            let registry = EscrowRegistry(onNeed: { needs.rung.store(true, ordering: .relaxed) })
            let agent = EscrowAgent(
                registry: registry, store: self.store, journal: LedgerSample.journal(UInt64(number + 1)),
                configuration: EscrowConfiguration(trustsFor: nil), isAlone: false, clock: clock,
                nanoseconds: { time.nanoseconds }, time: FleetTime(now: { .zero }, sleep: { _ in }),
                bell: EscrowBell(), logger: Logger(label: "simulation") { _ in SwiftLogNoOpLogHandler() },
                facts: {
                    let sequence = needs.sequence.load(ordering: .relaxed)
                    return EscrowFacts(pods: options.pods, sequence: sequence, applied: sequence, position: 1)
                }, ship: { () async throws(LedgerError) in })
            _ = try await ledger.takeStream(LedgerSample.journal(UInt64(number + 1)))
            try await agent.open()
            let path = AccountPath([options.terms], registry: registry, at: time.nanoseconds)
            self.pods.append(Pod(registry: registry, agent: agent, path: path, needs: needs))
        }
    }

    private func uniform() -> Double { Double.random(in: 0..<1, using: &self.random) }

    private func schedule(_ event: Event, in seconds: Double) {
        self.order += 1
        let at = self.time.now.withLock { $0 } + seconds
        // A binary heap, the earliest first.
        self.queue.append((at, self.order, event))
        var index = self.queue.count - 1
        while index > 0, self.isBefore(index, (index - 1) / 2) {
            self.queue.swapAt(index, (index - 1) / 2)
            index = (index - 1) / 2
        }
    }

    private func isBefore(_ a: Int, _ b: Int) -> Bool {
        (self.queue[a].at, self.queue[a].order) < (self.queue[b].at, self.queue[b].order)
    }

    private func pop() -> (at: Double, event: Event)? {
        guard let first = self.queue.first, let last = self.queue.popLast() else { return nil }
        if self.queue.isEmpty { return (first.at, first.event) }
        self.queue[0] = last
        var index = 0
        while true {
            var least = index
            for child in [2 * index + 1, 2 * index + 2] where child < self.queue.count && self.isBefore(child, least) {
                least = child
            }
            if least == index { return (first.at, first.event) }
            self.queue.swapAt(index, least)
            index = least
        }
    }

    func run() async -> Result {
        self.schedule(.arrival, in: 0)
        for index in self.pods.indices { self.schedule(.tick(pod: index), in: 0.25 * self.uniform()) }
        while let (at, event) = self.pop() {
            if at > self.options.seconds, case .tick = event { continue }
            self.time.now.withLock { $0 = at }
            switch event {
            case .arrival: self.arrive()
            case .end(let pod, var ticket, let cost, let estimate, let window):
                self.pods[pod].need.sequence.wrappingAdd(1, ordering: .relaxed)
                ticket.charge(
                    CallCharge(cost: NanoUSD(rawValue: cost), inputTokens: 0, outputTokens: 0),
                    sequence: self.pods[pod].need.sequence.load(ordering: .relaxed))
                ticket.finish()
                self.reserved -= estimate
                self.result.spent += cost
                _ = window
                self.pump(pod)
            case .tick(let pod):
                self.schedule(.tick(pod: pod), in: 0.25)
                await self.round(pod, isTick: true)
            case .round(let pod, let isEarly):
                if isEarly { self.pods[pod].hasRound = false } else { self.pods[pod].hasPause = false }
                await self.round(pod, isTick: false)
            case .patience(let pod, let call):
                guard let index = self.pods[pod].waiting.firstIndex(where: { $0.number == call }) else { break }
                let waiting = self.pods[pod].waiting.remove(at: index)
                if !self.tryAdmit(pod, waiting) { self.refuse(waiting.estimate) }
            }
            for index in self.pods.indices where self.pods[index].need.rung.exchange(false, ordering: .relaxed) {
                guard !self.pods[index].hasRound else { continue }
                self.pods[index].hasRound = true
                self.schedule(.round(pod: index, isEarly: true), in: self.options.roundTrip / 1000)
            }
        }
        for pod in self.pods { self.result.operations += await pod.agent.operations }
        self.result.seconds = self.options.seconds
        self.result.overshoot = max(0, self.result.spent - self.options.terms.limit)
        return self.result
    }

    private func round(_ pod: Int, isTick: Bool) async {
        await self.pods[pod].agent.round(isTick: isTick)
        self.pump(pod)
        if !self.pods[pod].hasPause, await self.pods[pod].agent.isBusy {
            self.pods[pod].hasPause = true
            self.schedule(.round(pod: pod, isEarly: false), in: 0.05)
        }
    }

    private var window: Int64 { Clock(time: self.time).now().rawValue / 60_000_000 }

    private func arrive() {
        if self.time.now.withLock({ $0 }) < self.options.seconds {
            self.schedule(.arrival, in: -log(1 - self.uniform()) / self.options.callsPerSecond)
        }
        self.result.calls += 1
        self.calls += 1
        self.result.offeredByWindow[self.window, default: 0] += 1
        self.admitIdeally()
        // Some pods get more than others.
        let pod = Int(Double(self.pods.count) * pow(self.uniform(), 1.3))
        var cost: Int64 = 1
        var estimate: Int64 = 1
        if self.options.terms.unit == .money {
            let normal = (0..<12).reduce(-6.0) { sum, _ in sum + self.uniform() }
            cost = max(1, Int64(self.options.meanCost * min(20, exp(normal * 0.8 - 0.32))))
            estimate = Int64(Double(cost) * (1 + self.uniform() * (self.options.estimateMax - 1)))
        }
        let waiting = Waiting(number: self.calls, estimate: estimate, cost: cost)
        if !self.tryAdmit(pod, waiting) {
            self.pods[pod].waiting.append(waiting)
            self.schedule(.patience(pod: pod, call: waiting.number), in: 0.3)
        }
    }

    private var inLastMinute: Int64 {
        let now = self.time.now.withLock { $0 }
        self.recent.removeAll { $0 <= now - 60 }
        return Int64(self.recent.count)
    }

    private func admitIdeally() {
        guard self.options.terms.isSliding else { return }
        let now = self.time.now.withLock { $0 }
        self.ideal.removeAll { $0 <= now - 60 }
        guard self.ideal.count < Int(self.options.terms.limit) else { return }
        self.ideal.append(now)
        self.result.ideallyAdmitted += 1
    }

    /// `false`: it has to wait.
    private func tryAdmit(_ pod: Int, _ call: Waiting) -> Bool {
        var ticket = AdmissionTicket()
        let demand = CallDemand(
            costMax: call.estimate, costExpected: call.estimate, inputTokens: 0, outputTokens: 0)
        let now = Clock(time: self.time).now()
        switch ticket.admit(self.pods[pod].path, demand, now: now, at: self.time.nanoseconds) {
        case .admitted:
            self.result.admitted += 1
            self.result.admittedByWindow[self.window, default: 0] += 1
            if self.options.terms.isSliding {
                self.recent.append(self.time.now.withLock { $0 })
                self.result.mostInAnyMinute = max(self.result.mostInAnyMinute, Int(self.inLastMinute))
            }
            self.reserved += call.estimate
            self.schedule(
                .end(pod: pod, ticket: ticket, cost: call.cost, estimate: call.estimate, window: self.window),
                in: 0.05 + 0.75 * self.uniform())
            return true
        case .waits: return false
        case .refused:
            self.refuse(call.estimate)
            return true
        }
    }

    private func pump(_ pod: Int) {
        let waiting = self.pods[pod].waiting
        self.pods[pod].waiting = []
        for call in waiting where !self.tryAdmit(pod, call) { self.pods[pod].waiting.append(call) }
    }

    private func refuse(_ estimate: Int64) {
        self.result.refused += 1
        let limit = self.options.terms.limit
        let used: Int64 =
            self.options.terms.unit == .money
            ? self.result.spent
            : self.options.terms.isSliding
                ? self.inLastMinute : self.result.admittedByWindow[self.window, default: 0]
        let held = self.options.terms.unit == .money ? self.reserved : 0
        let part = Double(used) / Double(limit)
        if self.result.usedAtFirstRefusal == nil { self.result.usedAtFirstRefusal = part }
        guard limit - used - held >= estimate else { return }
        self.result.falselyRefused += 1
        if self.result.usedAtFirstFalse == nil { self.result.usedAtFirstFalse = Double(used + held) / Double(limit) }
    }
}
