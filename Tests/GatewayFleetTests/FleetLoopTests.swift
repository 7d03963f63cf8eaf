import GatewayCore
import GatewayFleet
import GatewayLedger
import Logging
import Synchronization
import TestSupport
import Testing

/// A pod's fleet on a store without faults.
final class QuietPod: Sendable {
    let connection: SimulatedConnection
    let reader: ChangeLogReader
    let follower: SettingsFollower
    let fleet: Fleet
    private let task = Mutex<Task<Void, Never>?>(nil)
    private let time: SimulatedTime
    let sleeper: Int

    init(
        _ time: SimulatedTime, _ store: SimulatedStore, number: Int, outage: SimulatedOutage = SimulatedOutage(),
        configuration: FleetConfiguration = FleetConfiguration(), news: AsyncStream<Int64>? = nil,
        jobs: [PeriodicJob] = [], journal: Int? = nil
    ) {
        self.time = time
        self.sleeper = number
        self.connection = SimulatedConnection(time: time, pod: number, faults: .none, outage: outage)
        let remote = RemoteStore(store: store, connection: self.connection)
        let settings = RemoteSettings(store: store, connection: self.connection)
        self.follower = SettingsFollower(settings: settings, names: ["a", "b"])
        self.reader = ChangeLogReader(store: settings, followers: [self.follower])
        self.fleet = Fleet(
            identity: FleetIdentity(
                podID: PodID(UUIDBits(high: 1, low: UInt64(number))), name: "pod-\(number)", processID: Int32(number),
                version: "1", startedAt: time.now(),
                journal: JournalID(UUIDBits(high: 2, low: UInt64(journal ?? number)))),
            store: remote, reader: self.reader, news: news, configuration: configuration, extraJobs: jobs,
            time: time.fleetTime(number), generator: { time.seed() },
            logger: Logger(label: "test") { _ in
                SwiftLogNoOpLogHandler()
            }, facts: { PodFacts(applied: 7, journalBytes: 8, connections: 2) })
    }

    func start() async throws {
        try await self.reader.start()
        let task = self.time.start { await self.fleet.run() }
        self.task.withLock { $0 = task }
    }

    func kill() {
        self.connection.cut()
        self.task.withLock { $0 }?.cancel()
    }

    func leave() async {
        self.task.withLock { $0 }?.cancel()
        await self.fleet.leave()
    }
}

@Suite("A fleet", .ownThread)
struct FleetLoopTests {
    @Test("shows every pod, and those that leave no more")
    func membership() throws {
        try simulated { time in
            let store = SimulatedStore(clock: time)
            let pods = (1...3).map { QuietPod(time, store, number: $0) }
            for pod in pods { try await pod.start() }
            try await time.wait(.seconds(3))
            let seen = await pods[0].fleet.snapshot()
            #expect(seen.pods.map(\.beat.name) == ["pod-1", "pod-2", "pod-3"] && seen.storeUnreachableFor == nil)
            #expect(seen.pods.allSatisfy { $0.beatAge <= .milliseconds(1100) && $0.beat.applied == 7 })
            await pods[1].leave()
            #expect(await pods[0].fleet.snapshot().pods.map(\.beat.name) == ["pod-1", "pod-3"])
            try await time.wait(.seconds(8))
            #expect(pods[0].fleet.health.pods == 2)
            // A beat after the farewell would bring it back.
            await #expect(throws: LedgerError.self) { try await pods[1].fleet.member.beat() }
            #expect(try await store.fleet.pods(seenWithin: .seconds(60)).count == 2)
        }
    }

    @Test("has a change everywhere in tens of milliseconds when the store tells of it", arguments: [2, 16])
    func acknowledgement(count: Int) throws {
        try simulated { time in
            let store = SimulatedStore(clock: time)
            let news = (0..<count).map { _ in AsyncStream<Int64>.makeStream() }
            let pods = (0..<count).map { QuietPod(time, store, number: $0, news: news[$0].stream) }
            for pod in pods { try await pod.start() }
            try await time.wait(.seconds(2))
            for version in 1...5 {
                store.change("a")
                let startedAt = time.elapsed
                for (_, continuation) in news { continuation.yield(store.log.head) }
                let wait = await pods[0].fleet.waitForFleet(timeout: .seconds(5))
                #expect(wait.isAcknowledged && wait.acknowledged.count == count && wait.position == Int64(version))
                #expect(pods.allSatisfy { $0.follower.version("a") == version })
                #expect(time.elapsed - startedAt < .milliseconds(250), "\(time.elapsed - startedAt)")
            }
        }
    }

    @Test("has a change everywhere within a beat when only beats tell of it")
    func withoutNews() throws {
        try simulated { time in
            let store = SimulatedStore(clock: time)
            let pods = (0..<4).map { QuietPod(time, store, number: $0) }
            for pod in pods { try await pod.start() }
            try await time.wait(.seconds(2))
            let startedAt = time.elapsed
            store.change("b")
            let wait = await pods[2].fleet.waitForFleet(timeout: .seconds(5))
            #expect(wait.isAcknowledged && pods.allSatisfy { $0.follower.version("b") == 1 })
            #expect(time.elapsed - startedAt < .milliseconds(1400), "\(time.elapsed - startedAt)")
        }
    }

    @Test("names the laggard, and waits for a silent pod only until it counts as dead")
    func laggards() throws {
        try simulated { time in
            let store = SimulatedStore(clock: time)
            let pods = (0..<3).map { QuietPod(time, store, number: $0) }
            for pod in pods { try await pod.start() }
            try await time.wait(.seconds(7))
            pods[2].kill()
            store.change("a")
            let wait = await pods[0].fleet.waitForFleet(timeout: .seconds(3))
            #expect(wait.laggards == [FleetWait.Pod(name: "pod-2", processID: 2)] && !wait.isAcknowledged)
            let again = await pods[0].fleet.waitForFleet(timeout: .seconds(5))
            #expect(again.isAcknowledged && again.dead.map(\.name) == ["pod-2"] && again.acknowledged.count == 2)
        }
    }

    @Test("neither shows nor awaits a killed run whose pod is back on its journal")
    func formerRuns() throws {
        try simulated { time in
            let store = SimulatedStore(clock: time)
            let pods = (0..<2).map { QuietPod(time, store, number: $0) }
            for pod in pods { try await pod.start() }
            try await time.wait(.seconds(7))
            var former = pods[1]
            // Back again and again, each time sooner than the run before it counts as dead.
            for number in 2..<5 {
                former.kill()
                let back = QuietPod(time, store, number: number, journal: 1)
                try await back.start()
                try await time.wait(.milliseconds(200))
                store.change("a")
                let wait = await pods[0].fleet.waitForFleet(timeout: .seconds(3))
                #expect(wait.isAcknowledged && wait.acknowledged.map(\.processID) == [0, Int32(number)])
                #expect(wait.dead.isEmpty && wait.laggards.isEmpty)
                for pod in [pods[0], back] {
                    #expect(await pod.fleet.snapshot().pods.map(\.beat.processID) == [0, Int32(number)])
                    #expect(pod.fleet.health.pods == 2)
                }
                former = back
            }
            // A run that is gone and not followed by another is still told of.
            former.kill()
            try await time.wait(.seconds(8))
            let wait = await pods[0].fleet.waitForFleet(timeout: .seconds(3))
            #expect(wait.dead.map(\.processID) == [4] && wait.isAcknowledged)
        }
    }

    @Test("does not take pods for dead that could not beat because the store was away")
    func afterOutage() throws {
        try simulated { time in
            let store = SimulatedStore(clock: time)
            let outage = SimulatedOutage()
            let pods = (0..<2).map { QuietPod(time, store, number: $0, outage: outage) }
            for pod in pods { try await pod.start() }
            try await time.wait(.seconds(3))
            outage.set(true)
            try await time.wait(.seconds(20))
            let status = pods[0].fleet.member.status
            #expect(status.isDegraded && !status.isBeyondGrace && (status.storeUnreachableFor ?? .zero) > .seconds(19))
            #expect(await !pods[0].fleet.waitForFleet(timeout: .seconds(1)).isKnown)
            // The other pod is stopped just when the store comes back, so it has the old state and is alive.
            time.pause(1, until: time.elapsed + .seconds(4))
            outage.set(false)
            store.change("a")
            let wait = await pods[0].fleet.waitForFleet(timeout: .seconds(2))
            #expect(!wait.isAcknowledged && wait.laggards.map(\.name) == ["pod-1"])
            try await time.wait(.seconds(6))
            #expect(await pods[0].fleet.waitForFleet(timeout: .seconds(2)).isAcknowledged)
            #expect(pods[1].follower.version("a") == 1)
        }
    }

    @Test("is beyond its grace when the store stays away, and back without anybody's help")
    func grace() throws {
        try simulated { time in
            let store = SimulatedStore(clock: time)
            let outage = SimulatedOutage()
            let pod = QuietPod(time, store, number: 1, outage: outage)
            try await pod.start()
            try await time.wait(.seconds(3))
            outage.set(true)
            try await time.wait(.seconds(895))
            #expect(!pod.fleet.health.isBeyondGrace && pod.fleet.health.storeUnreachableFor != nil)
            try await time.wait(.seconds(10))
            #expect(pod.fleet.health.isBeyondGrace)
            #expect(await pod.fleet.snapshot().pods.map(\.beat.name) == ["pod-1"])
            outage.set(false)
            store.change("a")
            try await time.wait(.seconds(8))
            #expect(!pod.fleet.health.isBeyondGrace && pod.fleet.health.storeUnreachableFor == nil)
            #expect(pod.follower.version("a") == 1 && pod.fleet.health.changeLag == 0)
        }
    }

    @Test("starts over when the store has lost changes or its log was cut")
    func regression() throws {
        try simulated { time in
            let store = SimulatedStore(clock: time)
            for _ in 0..<5 { store.change("a") }
            let pod = QuietPod(time, store, number: 1)
            try await pod.start()
            #expect(pod.reader.position == 5)
            _ = store.log.forget(before: time.now().advanced(bySeconds: 1))
            store.versions.withLock { $0["b"] = 9 }
            store.change("a")
            _ = store.log.forget(before: time.now().advanced(bySeconds: 1))
            // The log is empty now; only the head tells that something was missed.
            let task = time.start { await pod.fleet.run() }
            try await time.wait(.seconds(3))
            #expect(pod.reader.position == 6 && pod.follower.version("b") == 9)
            pod.fleet.feed.note(FleetPulse(changeHead: 2, now: time.now()), told: 6)
            store.versions.withLock { $0["b"] = 10 }
            try await time.wait(.seconds(3))
            #expect(pod.follower.version("b") == 10 && pod.reader.position == 6)
            task.cancel()
        }
    }
}

@Suite("A job of the fleet", .ownThread)
struct JobRunnerTests {
    private static func job(_ log: Shared<[Int]>, _ number: Int, time: SimulatedTime) -> PeriodicJob {
        PeriodicJob(name: "count", interval: .milliseconds(500)) { _ throws(LedgerError) in
            log.change { $0.append(number) }
            return []
        }
    }

    @Test("is done by one pod at a time, and by another within seconds after a kill")
    func takeOver() throws {
        try simulated { time in
            let store = SimulatedStore(clock: time)
            let log = Shared<[Int]>([])
            let pods = (0..<4).map { number in
                QuietPod(time, store, number: number, jobs: [Self.job(log, number, time: time)])
            }
            for pod in pods { try await pod.start() }
            try await time.wait(.seconds(20))
            for _ in 0..<3 {
                let holders = pods.filter(\.fleet.health.holdsJobs)
                #expect(holders.count == 1 && log.value.last == holders.first?.sleeper)
                let count = log.value.count
                holders.first?.kill()
                try await time.wait(.seconds(10))
                #expect(log.value.count > count && log.value.last != holders.first?.sleeper)
            }
        }
    }

    @Test("stops when its lease is lost, before another pod begins")
    func stops() throws {
        try simulated { time in
            let store = SimulatedStore(clock: time)
            let log = Shared<[Int]>([])
            let outage = SimulatedOutage()
            let first = QuietPod(time, store, number: 0, outage: outage, jobs: [Self.job(log, 0, time: time)])
            let second = QuietPod(time, store, number: 1, jobs: [Self.job(log, 1, time: time)])
            try await first.start()
            try await time.wait(.seconds(3))
            try await second.start()
            outage.set(true)
            try await time.wait(.seconds(30))
            let place = try #require(log.value.firstIndex(of: 1))
            #expect(!log.value[place...].contains(0) && !first.fleet.health.holdsJobs)
            outage.set(false)
            try await time.wait(.seconds(30))
            #expect([first, second].filter(\.fleet.health.holdsJobs).count == 1)
        }
    }

    @Test("fences and reports the stream of a dead pod")
    func reaps() throws {
        try simulated { time in
            let store = SimulatedStore(clock: time)
            let pods = (0..<2).map { QuietPod(time, store, number: $0) }
            for pod in pods { try await pod.start() }
            let dead = pods[0].fleet.member.identity.journal
            let position = try await store.takeStream(dead)
            try await time.wait(.seconds(2))
            pods[0].kill()
            try await time.wait(.seconds(20))
            #expect(await pods[1].fleet.snapshot().orphans.map(\.journal) == [dead])
            #expect(try await store.takeStream(dead).epoch > position.epoch + 1)
        }
    }
}

/// A value that tasks change and the test reads.
final class Shared<Value: Sendable>: Sendable {
    private let mutex: Mutex<Value>
    init(_ value: Value) { self.mutex = Mutex(value) }
    var value: Value { self.mutex.withLock { $0 } }
    func change(_ body: (inout Value) -> Void) { self.mutex.withLock { body(&$0) } }
}
