import GatewayCore
import GatewayLedger
import Synchronization

/// What happens to the messages between one pod and the store. The seed decides.
struct NetworkFaults: Sendable {
    /// Chances in 100.
    var lostRequests = 0
    var lostAnswers = 0
    /// The request arrives twice, the second time later.
    var duplicates = 0
    /// Longest way of a message, milliseconds.
    var delayMax = 20

    static let none = NetworkFaults()
    static let bad = NetworkFaults(lostRequests: 1, lostAnswers: 1, duplicates: 3, delayMax: 40)
}

/// One pod's connection to the store.
final class SimulatedConnection: Sendable {
    private struct State {
        var faults: NetworkFaults
        var isDead = false
    }
    private static let timeout = Duration.milliseconds(400)
    private let time: SimulatedTime
    private let pod: SimulatedTime.Sleeper
    private let outage: SimulatedOutage
    private let state: Mutex<State>

    init(time: SimulatedTime, pod: SimulatedTime.Sleeper, faults: NetworkFaults, outage: SimulatedOutage) {
        self.time = time
        self.pod = pod
        self.outage = outage
        self.state = Mutex(State(faults: faults))
    }

    /// The pod was killed: nothing that it sends arrives, and nothing comes back.
    func cut() { self.state.withLock { $0.isDead = true } }
    func heal() { self.state.withLock { $0.faults = .none } }

    func call<Answer: Sendable>(
        _ work: @escaping @Sendable () async throws(LedgerError) -> Answer
    ) async throws(LedgerError) -> Answer {
        let (faults, isDead) = self.state.withLock { ($0.faults, $0.isDead) }
        if isDead { throw .unavailable("this pod is dead") }
        let isLost = self.time.chance(faults.lostRequests)
        let isAnswerLost = self.time.chance(faults.lostAnswers)
        let isTwice = self.time.chance(faults.duplicates)
        // On the way to the store the message is out of the pod's hands: a pause does not stop it.
        try await self.pass(.milliseconds(self.time.random(0...faults.delayMax)), as: SimulatedTime.world)
        if self.state.withLock({ $0.isDead }) { throw .unavailable("this pod is dead") }
        if isLost || self.outage.isOn {
            try await self.pass(Self.timeout, as: self.pod)
            throw .unavailable("the request was lost")
        }
        if isTwice {
            let delay = Duration.milliseconds(self.time.random(1...2000))
            self.time.start {
                try? await self.time.wait(delay)
                _ = try? await work()
            }
        }
        let answer: Answer
        do throws(LedgerError) { answer = try await work() } catch {
            try await self.pass(.milliseconds(self.time.random(0...faults.delayMax)), as: self.pod)
            throw error
        }
        try await self.pass(
            isAnswerLost ? Self.timeout : .milliseconds(self.time.random(0...faults.delayMax)), as: self.pod)
        if isAnswerLost || self.state.withLock({ $0.isDead }) { throw .unavailable("the answer was lost") }
        return answer
    }

    private func pass(_ duration: Duration, as sleeper: SimulatedTime.Sleeper) async throws(LedgerError) {
        do { try await self.time.wait(duration, as: sleeper) } catch { throw .unavailable("cancelled") }
    }
}

/// Whether the store is away for everybody.
final class SimulatedOutage: Sendable {
    private let isAway = Atomic<Bool>(false)
    var isOn: Bool { self.isAway.load(ordering: .acquiring) }
    func set(_ isOn: Bool) { self.isAway.store(isOn, ordering: .releasing) }
}

/// A store as a pod reaches it.
struct RemoteStore: FleetStore, LedgerStore {
    let store: SimulatedStore
    let connection: SimulatedConnection

    func standing(of journal: JournalID) async throws(LedgerError) -> StreamStanding? {
        try await self.store.fleet.standing(of: journal)
    }
    func takeStream(_ journal: JournalID) async throws(LedgerError) -> StreamPosition {
        try await self.connection.call { () async throws(LedgerError) in try await self.store.takeStream(journal) }
    }
    func append(_ events: [UsageEvent], at position: StreamPosition) async throws(LedgerError) -> AppendOutcome {
        try await self.connection.call { () async throws(LedgerError) in
            try await self.store.append(events, at: position)
        }
    }
    func fold() async throws(LedgerError) -> Int {
        try await self.connection.call { () async throws(LedgerError) in try await self.store.fleet.fold() }
    }
    func keySpend() async throws(LedgerError) -> [VirtualKeyID: NanoUSD] {
        try await self.connection.call { () async throws(LedgerError) in try await self.store.fleet.keySpend() }
    }
    func counter(_ dimension: CounterDimension) async throws(LedgerError) -> UsageCounter {
        try await self.connection.call { () async throws(LedgerError) in
            try await self.store.fleet.counter(dimension)
        }
    }
    func usage(_ query: UsageQuery) async throws(LedgerError) -> [UsageRow] {
        throw .unavailable("no pod of the simulation reads rows")
    }
    func rebuildCounters() async throws(LedgerError) { throw .unavailable("no pod of the simulation rebuilds") }
    func verify() async throws(LedgerError) -> [String] { throw .unavailable("no pod of the simulation verifies") }

    func beat(_ beat: PodBeat) async throws(LedgerError) -> FleetPulse {
        try await self.connection.call { () async throws(LedgerError) in try await self.store.fleet.beat(beat) }
    }
    func leave(_ podID: PodID) async throws(LedgerError) {
        try await self.connection.call { () async throws(LedgerError) in try await self.store.fleet.leave(podID) }
    }
    func pods(seenWithin age: Duration) async throws(LedgerError) -> [PodView] {
        try await self.connection.call { () async throws(LedgerError) in
            try await self.store.fleet.pods(seenWithin: age)
        }
    }
    func claim(_ job: String, for podID: PodID, duration: Duration) async throws(LedgerError) -> JobLease? {
        try await self.connection.call { () async throws(LedgerError) in
            try await self.store.fleet.claim(job, for: podID, duration: duration)
        }
    }
    func release(_ lease: JobLease) async throws(LedgerError) {
        try await self.connection.call { () async throws(LedgerError) in try await self.store.fleet.release(lease) }
    }
    func reapStreams(deadAfter: Duration, holdFor: Duration) async throws(LedgerError) -> [OrphanedStream] {
        try await self.connection.call { () async throws(LedgerError) in
            try await self.store.fleet.reapStreams(deadAfter: deadAfter, holdFor: holdFor)
        }
    }
    func orphans() async throws(LedgerError) -> [OrphanedStream] {
        try await self.connection.call { () async throws(LedgerError) in try await self.store.fleet.orphans() }
    }
    func maintain(retention: Duration?) async throws(LedgerError) -> [String] {
        try await self.connection.call { () async throws(LedgerError) in
            try await self.store.fleet.maintain(retention: retention)
        }
    }
}

/// The change log and what it names, as a pod reaches them.
struct RemoteSettings: KeyStore {
    let store: SimulatedStore
    let connection: SimulatedConnection
    private static let unused = LedgerError.unavailable("the simulation has no keys")

    func changes(after position: Int64, limit: Int) async throws(LedgerError) -> [Change] {
        try await self.connection.call { () async throws(LedgerError) in
            self.store.log.changes(after: position, limit: limit)
        }
    }
    /// The version of a named thing.
    func setting(_ name: String) async throws(LedgerError) -> String? {
        try await self.connection.call { () async throws(LedgerError) in
            self.store.versions.withLock { $0[name].map(String.init) }
        }
    }
    func setSettingIfAbsent(_ name: String, value: String) async throws(LedgerError) -> String { throw Self.unused }
    func insert(_ key: KeyRecord) async throws(LedgerError) { throw Self.unused }
    func update(_ key: KeyRecord) async throws(LedgerError) { throw Self.unused }
    func delete(_ digests: [KeyDigest]) async throws(LedgerError) -> [KeyRecord] { throw Self.unused }
    func key(digest: KeyDigest) async throws(LedgerError) -> KeyRecord? { throw Self.unused }
    func key(id: VirtualKeyID) async throws(LedgerError) -> KeyRecord? { throw Self.unused }
    func keys(_ query: KeyQuery) async throws(LedgerError) -> (records: [KeyRecord], total: Int) { throw Self.unused }
}
