import GatewayCore
import GatewayFleet
import GatewayLedger
import Logging
import Synchronization
import TestSupport

/// Versions of the things that changed, as one pod has them in force.
final class SettingsFollower: ChangeFollower {
    let settings: RemoteSettings
    let names: [String]
    private let inForce = Mutex<[String: Int]>([:])
    var kinds: Set<Change.Kind> { [.setting] }

    init(settings: RemoteSettings, names: [String]) {
        self.settings = settings
        self.names = names
    }

    func version(_ name: String) -> Int { self.inForce.withLock { $0[name] ?? 0 } }

    func reload() async throws(LedgerError) {
        for name in self.names { try await self.read(name) }
    }
    func apply(_ changes: [Change]) async throws(LedgerError) {
        for name in Set(changes.map(\.reference)).sorted() { try await self.read(name) }
    }
    private func read(_ name: String) async throws(LedgerError) {
        let version = try await self.settings.setting(name).flatMap { Int($0) } ?? 0
        self.inForce.withLock { $0[name] = version }
    }
}

/// One run of one pod: the program's own journal, shipper, fleet and adopter, on simulated time, disk and network.
final class SimulatedPod: Sendable {
    /// Who the run is, for locks and pauses.
    let owner: Int
    let index: Int
    let journal: Journal
    let shipper: LedgerShipper
    let fleet: Fleet
    let follower: SettingsFollower
    let connection: SimulatedConnection
    private let world: SimulatedFleet
    private let reader: ChangeLogReader
    private let isDead = Atomic<Bool>(false)
    private let isServing = Atomic<Bool>(false)
    private let tasks = Mutex<[Task<Void, Never>]>([])
    /// When its beats were last not answered for long, or it was paused.
    private let troubledAt = Mutex(Duration.zero)

    init(world: SimulatedFleet, index: Int, owner: Int) throws {
        let time = world.time
        self.world = world
        self.index = index
        self.owner = owner
        let files = world.disk.seen(by: owner)
        // Clocks of pods differ by up to an hour; they decide nothing.
        let clock = ManualWallClock(
            UnixMicroseconds(rawValue: time.now().rawValue + Int64(time.random(-3600...3600)) * 1_000_000))
        let directory = world.directory(of: index)
        self.journal = try Journal.open(
            directory: directory, configuration: SimulatedFleet.journal, clock: clock, files: files
        ).journal
        self.connection = SimulatedConnection(time: time, pod: owner, faults: world.faults, outage: world.outage)
        let remote = RemoteStore(store: world.store, connection: self.connection)
        let podTime = time.fleetTime(owner)
        let shipper = LedgerShipper(
            journal: self.journal, store: remote, configuration: LedgerShipperConfiguration(batchMax: 50),
            generator: time.seed(), sleep: podTime.sleep)
        self.shipper = shipper
        let settings = RemoteSettings(store: world.store, connection: self.connection)
        self.follower = SettingsFollower(settings: settings, names: SimulatedFleet.settings)
        self.reader = ChangeLogReader(store: settings, followers: [self.follower])
        let adopter = JournalAdopter(
            ledger: remote, fleet: remote, own: self.journal.journalID, configuration: SimulatedFleet.journal,
            deadAfter: .seconds(5), clock: clock, time: podTime, logger: world.logger, files: files)
        let journal = self.journal
        let root = world.disk.root
        let podID = PodID(UUIDBits(high: UInt64(index), low: UInt64(owner)))
        self.fleet = Fleet(
            identity: FleetIdentity(
                podID: podID, name: "pod-\(index)", processID: Int32(owner), version: "test", startedAt: clock.now(),
                journal: journal.journalID),
            store: remote, reader: self.reader, news: nil, configuration: FleetConfiguration(),
            extraJobs: [
                PeriodicJob(name: "adopt", interval: .seconds(2)) { _ throws(LedgerError) in
                    try await adopter.adoptOrphans(below: root).map { "\($0.outcome)" }
                }
            ], time: podTime, generator: { time.seed() }, logger: world.logger,
            facts: {
                PodFacts(
                    applied: shipper.status.applied ?? 0, journalBytes: Int64(journal.depthBytes), connections: 1)
            })
    }

    /// Whether it can be expected to know what the fleet knows.
    var isSound: Bool {
        self.isServing.load(ordering: .acquiring) && !self.isDead.load(ordering: .acquiring)
            && self.world.time.elapsed - self.troubledAt.withLock { $0 } > .seconds(10)
    }

    func launch() {
        self.spawn { try? await self.live() }
    }

    private func spawn(_ work: @escaping @Sendable () async -> Void) {
        let task = self.world.time.start { await work() }
        self.tasks.withLock { $0.append(task) }
    }

    private func live() async throws {
        while true {
            do {
                try await self.reader.start()
                break
            } catch {
                try await self.world.time.wait(.milliseconds(300), as: self.owner)
            }
        }
        self.trouble()
        self.isServing.store(true, ordering: .releasing)
        self.spawn { await self.shipper.run() }
        self.spawn { await self.fleet.run() }
        self.spawn { try? await self.serve() }
        self.spawn { try? await self.sync() }
        while !Task.isCancelled {
            if self.fleet.member.status.beatAge.map({ $0 > .seconds(3) }) ?? true { self.trouble() }
            try await self.world.time.wait(.milliseconds(500), as: self.owner)
        }
    }

    private func trouble() { self.troubledAt.withLock { $0 = max($0, self.world.time.elapsed) } }

    /// Makes calls, one after the other.
    private func serve() async throws {
        let time = self.world.time
        let payer = PayerIdentity.sample(self.index % 7 + 1)
        let route = RouteIdentity.sample(self.index % 3 + 1)
        while !Task.isCancelled {
            try await time.wait(.milliseconds(time.random(20...300)), as: self.owner)
            if self.world.isDraining { return }
            let number = self.world.calls.begin(pod: self.index)
            do {
                try self.journal.recordIntent(.sample(number, payer: payer, route: route))
            } catch {
                self.world.calls.refuse(number)
                continue
            }
            try await time.wait(.milliseconds(time.random(5...400)), as: self.owner)
            if self.isDead.load(ordering: .acquiring) { return }
            try self.journal.recordSettlement(.sample(number, payer: payer, route: route))
            self.world.calls.settle(number)
        }
    }

    private func sync() async throws {
        while !Task.isCancelled {
            try await self.world.time.wait(.milliseconds(100), as: self.owner)
            let recorded = self.world.calls.recorded(pod: self.index)
            try self.journal.sync()
            self.world.calls.markDurable(recorded, pod: self.index)
        }
    }

    // MARK: Faults

    /// `kill -9`. What is under way inside ends without effect, because nothing gets through any more.
    func kill() {
        self.isDead.store(true, ordering: .releasing)
        self.connection.cut()
        for task in self.tasks.withLock({ $0 }) { task.cancel() }
        self.world.disk.release(self.owner)
    }

    func pause(for duration: Duration) {
        self.trouble()
        let end = self.world.time.elapsed + duration
        self.world.time.pause(self.owner, until: end)
        self.troubledAt.withLock { $0 = max($0, end) }
    }

    /// A drain: calls end, everything is shipped, farewell.
    func stop() async throws {
        for task in self.tasks.withLock({ $0 }) { task.cancel() }
        for task in self.tasks.withLock({ $0 }) { await task.value }
        self.isDead.store(true, ordering: .releasing)
        while true {
            do {
                try await self.shipper.shipNow()
                break
            } catch {
                try await self.world.time.wait(.milliseconds(300), as: self.owner)
            }
        }
        if self.journal.openIntents == 0, self.shipper.status.applied != self.journal.lastSequence {
            self.world.store.isBroken("pod \(self.index) left something behind at its drain")
        }
        await self.fleet.leave()
        try self.journal.close()
    }
}
