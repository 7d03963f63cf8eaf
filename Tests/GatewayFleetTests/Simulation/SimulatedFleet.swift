import GatewayCore
import GatewayFleet
import GatewayLedger
import Logging
import Synchronization
import TestSupport

/// Many pods on one store, with everything going wrong that the seed wants.
final class SimulatedFleet: Sendable {
    static let journal = JournalConfiguration(segmentBytes: 65_536, bytesMax: 65_536 * 64, syncInterval: nil)
    static let settings = (0..<8).map { "setting-\($0)" }
    let time: SimulatedTime
    let disk = SimulatedDisk()
    let store: SimulatedStore
    let outage = SimulatedOutage()
    let calls = SimulatedCalls()
    let faults: NetworkFaults
    let logger = Logger(label: "simulation") { _ in SwiftLogNoOpLogHandler() }
    private let pods: Mutex<[Int: SimulatedPod]> = Mutex([:])
    private let owners = Atomic<Int>(0)
    private let draining = Atomic<Bool>(false)
    private let figures = Mutex<[String: Int]>([:])

    init(time: SimulatedTime, faults: NetworkFaults) {
        self.time = time
        self.store = SimulatedStore(clock: time)
        self.faults = faults
    }

    var isDraining: Bool { self.draining.load(ordering: .acquiring) }
    /// How often each kind of event came about.
    var events: [String: Int] { self.figures.withLock { $0 } }
    func directory(of index: Int) -> String { "\(self.disk.root)/pod-\(index)/journal" }
    private func note(_ event: String) { self.figures.withLock { $0[event, default: 0] += 1 } }

    /// Starts a pod; waits while an adopter has its journal.
    func start(_ index: Int) async throws {
        let owner = self.owners.add(1, ordering: .relaxed).newValue
        while true {
            do {
                let pod = try SimulatedPod(world: self, index: index, owner: owner)
                self.pods.withLock { $0[index] = pod }
                pod.launch()
                return
            } catch let error as LedgerError {
                guard case .locked = error else { throw error }
                self.note("start waited for an adopter")
                try await self.time.wait(.milliseconds(200))
            }
        }
    }

    /// Lets everything happen for `duration`, then heals, drains and checks.
    func run(pods count: Int, for duration: Duration) async throws {
        // They hold this fleet, too.
        defer { self.pods.withLock { $0 = [:] } }
        for index in 0..<count { try await self.start(index) }
        let end = self.time.elapsed + duration
        var revivals: [Task<Void, any Error>] = []
        while self.time.elapsed < end {
            try await self.time.wait(.milliseconds(self.time.random(20...300)))
            if let revival = self.misfortune(among: count) { revivals.append(revival) }
            if self.time.chance(15) { await self.check() }
        }
        self.outage.set(false)
        for revival in revivals { try await revival.value }
        for pod in self.pods.withLock({ $0.values }) { pod.connection.heal() }
        // Dead pods are found after 5 s, and their journals adopted within seconds.
        try await self.time.wait(.seconds(25))
        await self.check()
        self.checkSettings()
        self.draining.store(true, ordering: .releasing)
        try await self.time.wait(.seconds(2))
        for index in 0..<count { try await self.pods.withLock { $0[index] }?.stop() }
        try await self.checkAtEnd()
    }

    private func alive() -> [SimulatedPod] {
        self.pods.withLock { $0.values.sorted { $0.index < $1.index } }
    }

    private func anyPod() -> SimulatedPod? {
        let alive = self.alive()
        return alive.isEmpty ? nil : alive[self.time.random(0...alive.count - 1)]
    }

    private func misfortune(among count: Int) -> Task<Void, any Error>? {
        guard let pod = self.anyPod() else { return nil }
        switch self.time.random(1...100) {
        case 1...8: return self.kill(pod, losesMachine: false)
        case 9...11: return self.kill(pod, losesMachine: true)
        case 12...15:
            self.note("pause")
            pod.pause(for: .milliseconds(self.time.random(500...20_000)))
        case 16...17:
            guard !self.outage.isOn else { return nil }
            self.note("outage")
            self.outage.set(true)
            let end = Duration.milliseconds(self.time.random(200...8000))
            return self.later(end) { self.outage.set(false) }
        case 18...20: return self.leave(pod)
        default: return self.change(from: pod)
        }
        return nil
    }

    private func later(_ delay: Duration, _ work: @escaping @Sendable () async throws -> Void) -> Task<Void, any Error>
    {
        self.time.start {
            try await self.time.wait(delay)
            try await work()
        }
    }

    /// Some come back soon, some after their journal was adopted, some under another name on another machine.
    private func kill(_ pod: SimulatedPod, losesMachine: Bool) -> Task<Void, any Error> {
        self.note(losesMachine ? "machine lost" : "kill")
        pod.kill()
        _ = self.pods.withLock { $0.removeValue(forKey: pod.index) }
        return self.later(.milliseconds(self.time.random(1...12_000))) {
            if losesMachine {
                self.calls.loseMachine(pod: pod.index)
                // An adopter may have the journal already, or have removed it.
                let name = self.directory(of: pod.index)
                if self.disk.isFree(name) { try? self.disk.loseUnsynced(below: name) }
            }
            try await self.start(pod.index)
        }
    }

    private func leave(_ pod: SimulatedPod) -> Task<Void, any Error> {
        self.note("leave")
        _ = self.pods.withLock { $0.removeValue(forKey: pod.index) }
        return self.later(.zero) {
            try await pod.stop()
            try await self.start(pod.index)
        }
    }

    /// An admin changes something at one pod and waits for the fleet.
    private func change(from pod: SimulatedPod) -> Task<Void, any Error> {
        let name = Self.settings[self.time.random(0...Self.settings.count - 1)]
        self.store.change(name)
        let version = self.store.versions.withLock { $0[name] ?? 0 }
        return self.later(.milliseconds(self.time.random(0...20))) {
            let startedAt = self.time.elapsed
            let wait = await pod.fleet.waitForFleet(timeout: .seconds(5))
            guard wait.isAcknowledged else { return self.note("change not acknowledged") }
            self.note("change acknowledged")
            self.figures.withLock { figures in
                let (seconds, attoseconds) = (self.time.elapsed - startedAt).components
                figures["ms until acknowledged", default: 0] +=
                    Int(seconds) * 1000 + Int(attoseconds / 1_000_000_000_000_000)
            }
            for other in self.alive() where other.isSound && other.follower.version(name) < version {
                self.store.isBroken(
                    "pod \(other.index) has \(name) \(other.follower.version(name)) after the fleet had acknowledged "
                        + "\(version) at \(self.time.elapsed)")
            }
        }
    }

    // MARK: Checks

    private func check() async {
        for sentence in (try? await self.store.ledger.verify()) ?? ["verify failed"] {
            self.store.isBroken("I2: " + sentence)
        }
        for pod in self.alive() {
            let applied = Int64(await self.store.ledger.events(of: pod.journal.journalID).count)
            if applied > pod.journal.durableSequence {
                self.store.isBroken(
                    "I4: pod \(pod.index): \(applied) applied, \(pod.journal.durableSequence) on the disk")
            }
        }
    }

    private func checkSettings() {
        for pod in self.alive() {
            for name in Self.settings
            where pod.follower.version(name) != self.store.versions.withLock({ $0[name] ?? 0 }) {
                self.store.isBroken("pod \(pod.index) never got the last \(name)")
            }
        }
    }

    private func checkAtEnd() async throws {
        _ = try await self.store.fleet.fold()
        await self.check()
        let rows = try await self.store.ledger.usage(UsageQuery(newestFirst: false, limit: .max))
        for difference in self.calls.differences(from: rows.map(\.event)) { self.store.isBroken(difference) }
        let total = try await self.store.ledger.counter(.total)
        if total.requests != Int64(rows.count) { self.store.isBroken("I2: \(total.requests) counted of \(rows.count)") }
        try await self.store.ledger.rebuildCounters()
        if try await self.store.ledger.counter(.total) != total { self.store.isBroken("I5: a rebuild differs") }
        let orphans = try await self.store.fleet.orphans()
        if orphans.contains(where: { $0.state == .orphan && self.alive().map(\.journal.journalID).contains($0.journal) }
        ) {
            self.store.isBroken("a pod that left is an orphan")
        }
    }
}
