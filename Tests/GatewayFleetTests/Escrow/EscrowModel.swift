import GatewayAdmission
import GatewayCore
import GatewayFleet
import GatewayLedger
import Logging
import Synchronization
import TestSupport
import Testing

/// A store to try, and how to give up a stream in it. `nil`: this store never does.
struct EscrowBench: Sendable {
    var ledger: any LedgerStore
    var escrow: any EscrowStore
    var writeOff: (@Sendable (Int64) async throws -> Void)?
    /// Of the pods; one that is set goes on with the steps.
    var clock: any WallClock = ManualWallClock()
}

/// Pods that crash, pause, lose answers and share budgets that change, step by random step; after each, what the store
/// keeps must add up, and nothing may have been spent beyond a limit.
final class EscrowModel {
    struct Options {
        var seed: UInt64
        var steps: Int
        var pods = 4
        var resets = false
        var writesOff = false
        /// Calls cost more than was reserved for them now and then.
        var underestimates = false
        /// Budgets begin anew after so many seconds, and what is left rolls over, half of the limit at most. `nil`: they
        /// are for a lifetime.
        var rollsOverEvery: Int64?
    }

    private struct Running {
        var ticket: AdmissionTicket
        /// Of the deployment that the attempt goes to.
        var atDeployment: AdmissionTicket
        var key: Int
        var deployment: Int
        var estimate: Int64
        var cost: Int64
        var startedAt: UnixMicroseconds
    }
    private final class Progress: Sendable {
        let sequence = Atomic<Int64>(0)
        let applied = Atomic<Int64>(0)
    }
    /// What all pods see alike.
    private final class World: Sendable {
        /// Monotonic nanoseconds.
        let time = Mutex<UInt64>(1_000_000_000_000)
        /// Of the change log.
        let position = Atomic<Int64>(1)

        var now: UInt64 { self.time.withLock { $0 } }
    }
    private final class Pod {
        let journalID: JournalID
        /// What is on its disk: survives a crash.
        var journal: [UsageEvent] = []
        var position: StreamPosition?
        let figures = Progress()
        let store: FaultyEscrowStore
        var agent: EscrowAgent?
        var registry: EscrowRegistry?
        var paths: [AccountPath] = []
        var deploymentPaths: [AccountPath] = []
        var running: [Running] = []
        var isPaused = false

        init(journalID: JournalID, store: FaultyEscrowStore) {
            self.journalID = journalID
            self.store = store
        }
    }

    private let options: Options
    private let bench: EscrowBench
    private let clock: any WallClock
    private let world = World()
    private var random: SeededGenerator
    private var pods: [Pod] = []
    /// Of three keys, their team, two deployments and their provider.
    private var limits: [Int64] = [4_000_000, 2_500_000, 6_000_000, 8_000_000, 3_500_000, 5_000_000, 7_000_000]
    private var accounts: Range<Int> { self.limits.indices }
    /// A limit that was lowered may be passed by what was out then.
    private var ceilings: [Int64]
    private var calls: Int64 = 0
    private(set) var refused = 0
    private(set) var admitted = 0
    private(set) var crashes = 0
    private(set) var writeOffs = 0
    /// Of each account, when the window ended that it was seen in first, microseconds.
    private var firstWindowEnds: [Int: Int64] = [:]
    /// How often more was out than the limit alone allows.
    private(set) var rolledOver = 0
    /// How often windows were forgotten.
    private(set) var forgotten = 0

    private static let keys = (0..<3).map { LedgerSample.payer(UInt64($0 + 1), user: nil, team: "team") }
    private static let routes = ["a", "b"].map { LedgerSample.route($0) }

    init(_ options: Options, bench: EscrowBench) {
        self.options = options
        self.bench = bench
        self.clock = bench.clock
        self.random = SeededGenerator(seed: options.seed)
        if options.rollsOverEvery != nil { self.limits = self.limits.map { $0 / 4 } }
        self.ceilings = self.limits
    }

    private func terms(_ index: Int) -> EscrowTerms {
        let subject =
            switch index {
            case 0..<3: Subject(.key, Self.keys[index].keyID.text)
            case 3: Subject(.team, "team")
            case 4, 5: Subject(.deployment, Self.routes[index - 4].deploymentID)
            default: Subject(.provider, Self.routes[0].provider)
            }
        var terms = BudgetTerms(
            subject: subject, label: "", limit: NanoUSD(rawValue: self.limits[index]), window: .lifetime,
            mode: self.options.underestimates ? .expected : .strict, softLimit: nil)
        if let seconds = self.options.rollsOverEvery {
            terms.window = .rolling(seconds: seconds, anchor: UnixMicroseconds(rawValue: 0))
            (terms.label, terms.rolloverMax) = ("\(seconds)s", NanoUSD(rawValue: self.limits[index] / 2))
        }
        return EscrowTerms(terms)
    }

    private func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &self.random) < percent }

    func run() async throws {
        for number in 0..<self.options.pods {
            let pod = Pod(
                journalID: LedgerSample.journal(UInt64(number + 1)),
                store: FaultyEscrowStore(self.bench.escrow, seed: self.options.seed &* 31 &+ UInt64(number)))
            self.pods.append(pod)
            try await self.start(pod)
        }
        for step in 0..<self.options.steps {
            try await self.step()
            let faults = try await self.bench.escrow.verifyEscrow()
            try #require(faults.isEmpty, "seed \(self.options.seed), step \(step): \(faults)")
            try await self.checkLimits(step)
        }
        try await self.finish()
    }

    // MARK: steps

    private func step() async throws {
        self.world.time.withLock { $0 += 40_000_000 }
        (self.clock as? ManualWallClock)?.advance(by: .milliseconds(40))
        let pod = self.pods[Int.random(in: 0..<self.pods.count, using: &self.random)]
        if pod.agent == nil {
            if self.chance(30) { try await self.start(pod) }
            return
        }
        if pod.isPaused {
            if self.chance(10) { pod.isPaused = false }
            return
        }
        if pod.store.isAway, self.chance(15) { pod.store.isAway = false }
        switch Int.random(in: 0..<1000, using: &self.random) {
        case 0..<420: await self.call(pod)
        case 420..<680: self.end(pod)
        case 680..<800: await pod.agent?.round(isTick: true)
        case 800..<900: try await self.ship(pod)
        case 900..<910: pod.store.isAway = true
        case 910..<920: try await self.forget()
        case 920..<935: self.crash(pod)
        case 935..<960: try await self.change()
        case 960..<970: try await self.reset()
        case 970..<985: pod.isPaused = true
        default: try await self.giveUp(pod)
        }
    }

    private func call(_ pod: Pod) async {
        let key = Int.random(in: 0..<3, using: &self.random)
        let estimate = Int64.random(in: 1...200_000, using: &self.random)
        let most = self.options.underestimates && self.chance(30) ? 2 * estimate : estimate
        let cost = Int64.random(in: 0...most, using: &self.random)
        let deployment = Int.random(in: 0..<2, using: &self.random)
        // Every other window leaves something.
        if self.options.rollsOverEvery != nil, self.window(self.storeTime(pod)) % 2 == 0, self.chance(90) { return }
        for attempt in 0..<3 {
            var (ticket, atDeployment) = (AdmissionTicket(), AdmissionTicket())
            var verdict = self.admit(&ticket, pod, pod.paths[key], estimate)
            if case .admitted = verdict {
                verdict = self.admit(&atDeployment, pod, pod.deploymentPaths[deployment], estimate)
                if case .admitted = verdict {
                } else {
                    ticket.abandon()
                }
            }
            switch verdict {
            case .admitted:
                self.admitted += 1
                pod.running.append(
                    Running(
                        ticket: ticket, atDeployment: atDeployment, key: key, deployment: deployment,
                        estimate: estimate, cost: cost, startedAt: self.storeTime(pod)))
                return
            case .refused:
                self.refused += 1
                return
            case .waits: if attempt < 2 { await pod.agent?.round(isTick: false) }
            }
        }
    }

    private func admit(
        _ ticket: inout AdmissionTicket, _ pod: Pod, _ path: AccountPath, _ estimate: Int64
    ) -> AdmissionTicket.Verdict {
        ticket.admit(
            path, CallDemand(costMax: estimate, costExpected: estimate, inputTokens: 0, outputTokens: 0),
            now: self.storeTime(pod), at: self.world.now)
    }

    private func window(_ time: UnixMicroseconds) -> Int64 {
        self.options.rollsOverEvery.map { time.rawValue / ($0 * 1_000_000) } ?? 0
    }

    private func storeTime(_ pod: Pod) -> UnixMicroseconds {
        UnixMicroseconds(rawValue: self.clock.now().rawValue + (pod.registry?.storeOffsetMicroseconds ?? 0))
    }

    private func event(_ call: Running, cost: Int64) -> UsageEvent {
        self.calls += 1
        var event = LedgerSample.event(
            self.calls, payer: Self.keys[call.key], route: Self.routes[call.deployment])
        event.cost = NanoUSD(rawValue: cost)
        event.startedAt = call.startedAt
        return event
    }

    private func journal(_ event: UsageEvent, of pod: Pod) -> Int64 {
        pod.journal.append(event)
        pod.figures.sequence.store(Int64(pod.journal.count), ordering: .relaxed)
        return Int64(pod.journal.count)
    }

    private func end(_ pod: Pod) {
        guard !pod.running.isEmpty else { return }
        var call = pod.running.remove(at: Int.random(in: 0..<pod.running.count, using: &self.random))
        // Some are settled in two parts: an attempt that failed, and one at the other deployment, if that has room.
        if self.chance(20) {
            self.settle(&call, pod, cost: call.cost / 3)
            call.deployment = 1 - call.deployment
            // Rows tell by when their call began which window they are of.
            if self.window(call.startedAt) == self.window(self.storeTime(pod)),
                case .admitted = self.admit(
                    &call.atDeployment, pod, pod.deploymentPaths[call.deployment], call.estimate)
            {
                self.settle(&call, pod, cost: call.cost - call.cost / 3)
            }
        } else {
            self.settle(&call, pod, cost: call.cost)
        }
        call.ticket.finish()
    }

    private func settle(_ call: inout Running, _ pod: Pod, cost: Int64) {
        let sequence = self.journal(self.event(call, cost: cost), of: pod)
        let charge = CallCharge(cost: NanoUSD(rawValue: cost), inputTokens: 0, outputTokens: 0)
        call.ticket.charge(charge, sequence: sequence)
        call.atDeployment.charge(charge, sequence: sequence)
        call.atDeployment.finish()
    }

    private func ship(_ pod: Pod) async throws {
        guard !pod.store.isAway else { return }
        for _ in 0..<3 {
            let position: StreamPosition
            if let known = pod.position {
                position = known
            } else {
                position = try await self.bench.ledger.takeStream(pod.journalID)
                pod.position = position
            }
            let rest = Array(pod.journal[Int(position.applied)...])
            guard !rest.isEmpty else { break }
            if case .applied(let applied) = try await self.bench.ledger.append(rest, at: position) {
                pod.position?.applied = applied
            } else {
                pod.position = nil
            }
        }
        pod.figures.applied.store(pod.position?.applied ?? 0, ordering: .relaxed)
    }

    private func crash(_ pod: Pod) {
        self.crashes += 1
        // Recovery settles what was under way.
        for call in pod.running { _ = self.journal(self.event(call, cost: call.cost), of: pod) }
        pod.running = []
        (pod.agent, pod.registry, pod.paths, pod.position) = (nil, nil, [], nil)
    }

    private func start(_ pod: Pod) async throws {
        pod.store.isAway = false
        try await self.ship(pod)
        if pod.position == nil { pod.position = try await self.bench.ledger.takeStream(pod.journalID) }
        let bell = EscrowBell()
        let registry = EscrowRegistry(onNeed: {})
        let (figures, world, pods) = (pod.figures, self.world, self.options.pods)
        let agent = EscrowAgent(
            registry: registry, store: pod.store, journal: pod.journalID,
            configuration: EscrowConfiguration(trustsFor: nil, batchMax: 2), isAlone: pods == 1, clock: self.clock,
            nanoseconds: { world.now }, time: FleetTime(now: { .zero }, sleep: { _ in }), bell: bell,
            logger: Logger(label: "model") { _ in SwiftLogNoOpLogHandler() },
            facts: {
                EscrowFacts(
                    pods: pods, sequence: figures.sequence.load(ordering: .relaxed),
                    applied: figures.applied.load(ordering: .relaxed),
                    position: world.position.load(ordering: .relaxed))
            }, ship: { () async throws(LedgerError) in })
        do {
            try await agent.open()
        } catch {
            return
        }
        (pod.agent, pod.registry) = (agent, registry)
        self.takeTerms(pod)
    }

    private func takeTerms(_ pod: Pod) {
        guard let registry = pod.registry else { return }
        let at = self.world.now
        pod.paths = (0..<3).map { AccountPath([self.terms($0), self.terms(3)], registry: registry, at: at) }
        pod.deploymentPaths = (4..<6).map { AccountPath([self.terms($0), self.terms(6)], registry: registry, at: at) }
    }

    /// Raises or lowers a limit; every pod that lives knows it at once.
    private func change() async throws {
        let index = Int.random(in: self.accounts, using: &self.random)
        let isRaise = self.chance(60)
        // With windows, a limit that is lowered and raised would make it unclear what they are for.
        guard self.options.rollsOverEvery == nil else { return }
        let now = try await self.bench.escrow.standings(of: [self.terms(index).id]).first?.outstanding ?? 0
        self.limits[index] = isRaise ? self.limits[index] + 1_000_000 : max(0, self.limits[index] - 500_000)
        // Until the first statement brings the new limit to the store, what the old one allows may still be granted.
        self.ceilings[index] = max(self.ceilings[index], self.limits[index], now)
        self.world.position.wrappingAdd(1, ordering: .relaxed)
        for pod in self.pods { self.takeTerms(pod) }
    }

    private func reset() async throws {
        guard self.options.resets else { return }
        try await self.bench.escrow.resetAccount(self.terms(Int.random(in: self.accounts, using: &self.random)).id)
    }

    /// All windows but the one before the present, unless somebody holds something of them.
    private func forget() async throws {
        let retention = EscrowRetention(windows: .zero, accounts: .seconds(1_000_000))
        self.forgotten += try await self.bench.escrow.forgetEscrow(retention).count
    }

    /// The pod is silent for so long that the others get what it held; it goes on later all the same.
    private func giveUp(_ pod: Pod) async throws {
        guard self.options.writesOff, let writeOff = self.bench.writeOff, let position = pod.position else { return }
        self.writeOffs += 1
        pod.isPaused = true
        try await writeOff(position.streamID)
    }

    // MARK: truth

    private func truth(_ index: Int) -> Int64 {
        self.pods.reduce(0) { sum, pod in
            sum
                + pod.journal.reduce(0) { sum, event in
                    let isOf =
                        switch index {
                        case 0..<3: event.payer.keyID == Self.keys[index].keyID
                        case 4, 5: event.route.deploymentID == Self.routes[index - 4].deploymentID
                        default: true
                        }
                    return isOf ? sum + event.cost.rawValue : sum
                }
        }
    }

    /// What rolls over was not used before: no window passes its limit by more than the bound, and all windows together
    /// do not pass what they are for.
    private func checkWindows(_ step: Int, seconds: Int64, standings: [EscrowStanding]) throws {
        for index in self.accounts {
            let (id, limit) = (self.terms(index).id, self.ceilings[index])
            guard let standing = standings.first(where: { $0.accountID == id }) else { continue }
            let first = self.firstWindowEnds[index, default: standing.windowEnd]
            self.firstWindowEnds[index] = first
            let windows = 1 + (standing.windowEnd - first) / (seconds * 1_000_000)
            let spent = self.truth(index)
            try #require(
                standing.outstanding <= limit + limit / 2 && spent <= windows * limit,
                "seed \(self.options.seed), step \(step), account \(index): \(spent) spent in \(windows) windows, \(standing.outstanding) out of \(limit)"
            )
            if standing.outstanding > limit { self.rolledOver += 1 }
        }
    }

    private func checkLimits(_ step: Int) async throws {
        guard !self.options.resets, !self.options.writesOff, !self.options.underestimates else { return }
        let standings = try await self.bench.escrow.standings(of: self.accounts.map { self.terms($0).id })
        if let seconds = self.options.rollsOverEvery {
            return try self.checkWindows(step, seconds: seconds, standings: standings)
        }
        for index in self.accounts {
            let id = self.terms(index).id
            guard let standing = standings.first(where: { $0.accountID == id }) else { continue }
            let spent = self.truth(index)
            try #require(
                standing.outstanding <= self.ceilings[index] && spent <= standing.outstanding,
                "seed \(self.options.seed), step \(step), account \(index): \(spent) spent, \(standing.outstanding) out of \(self.ceilings[index])"
            )
        }
    }

    private func finish() async throws {
        for pod in self.pods {
            pod.isPaused = false
            for _ in 0..<50 where pod.agent == nil { try await self.start(pod) }
            pod.store.isAway = false
            while !pod.running.isEmpty { self.end(pod) }
            try await self.ship(pod)
        }
        for _ in 0..<40 {
            for pod in self.pods {
                self.world.time.withLock { $0 += 60_000_000_000 }
                await pod.agent?.drain()
            }
        }
        #expect(try await self.bench.escrow.verifyEscrow() == [])
        if self.options.rollsOverEvery != nil, self.options.steps >= 3000, !self.options.resets, !self.options.writesOff
        {
            #expect(self.rolledOver > 0, "seed \(self.options.seed): nothing rolled over")
        }
        if self.options.steps >= 3000, self.options.resets || self.options.rollsOverEvery != nil {
            #expect(self.forgotten > 0, "seed \(self.options.seed): nothing was forgotten")
        }
        let standings = try await self.bench.escrow.standings(of: self.accounts.map { self.terms($0).id })
        for index in self.accounts where !self.options.resets && self.options.rollsOverEvery == nil {
            let id = self.terms(index).id
            guard let standing = standings.first(where: { $0.accountID == id }) else { continue }
            #expect(
                standing.outstanding == self.truth(index) && standing.spent == self.truth(index),
                "seed \(self.options.seed), account \(index): \(standing.spent) spent, \(standing.outstanding) out, truth \(self.truth(index))"
            )
        }
        Figures.line(
            "seed \(self.options.seed): \(self.admitted) admitted, \(self.refused) refused, \(self.crashes) crashes, "
                + "\(self.writeOffs) written off, \(self.pods.reduce(0) { $0 + $1.store.lostAnswers }) answers lost, "
                + "windows forgotten \(self.forgotten) times")
    }
}
