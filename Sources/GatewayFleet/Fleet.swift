import GatewayCore
import GatewayLedger
import Logging
import Synchronization

/// Everything that makes one pod a part of a fleet: its beats, the change log, the periodic jobs, and what it knows of
/// the others. Start the change log's reader first, then `run()` for as long as the pod lives, then `leave()`.
package final class Fleet: FleetDirectory {
    private static let seenWithin = Duration.seconds(60)
    package static let jobsLease = "fleet"

    package let member: FleetMember
    package let feed: ChangeFeed
    private let reader: ChangeLogReader
    private let store: any FleetStore
    private let jobs: JobRunner
    private let acknowledgement: FleetAcknowledgement
    private let configuration: FleetConfiguration
    private let time: FleetTime
    private let pacer: Pacer
    /// What was seen last of the others; no former runs of theirs or of this pod.
    private let seen = Mutex<(pods: [PodView], orphans: [OrphanedStream])>(([], []))

    /// - Parameters:
    ///   - news: heads of the change log as the store hears of them. `nil`: it cannot tell.
    ///   - extraJobs: beside the store's upkeep and the search for dead pods.
    ///   - facts: what this pod tells of itself; must be quick.
    package init(
        identity: FleetIdentity, store: any FleetStore, reader: ChangeLogReader, news: AsyncStream<Int64>?,
        configuration: FleetConfiguration, extraJobs: [PeriodicJob], time: FleetTime,
        generator: @Sendable () -> any RandomNumberGenerator & Sendable, logger: Logger,
        facts: @escaping @Sendable () -> PodFacts
    ) {
        // The feed tells of positions to the member, and the member of heads to the feed.
        let loop = Loop()
        self.feed = ChangeFeed(
            reader: reader, news: news, configuration: configuration, time: time, generator: generator(),
            logger: logger, onPosition: { _ in loop.member?.beatSoon() })
        let feed = self.feed
        self.member = FleetMember(
            identity: identity, store: store, changes: reader, configuration: configuration, time: time,
            generator: generator(), logger: logger, facts: facts, onPulse: { feed.note($0, told: $1) })
        loop.attach(self.member)
        self.jobs = JobRunner(
            store: store, podID: identity.podID, leaseName: Self.jobsLease,
            jobs: Self.standardJobs(store: store, configuration: configuration) + extraJobs,
            configuration: configuration, time: time, generator: generator(), logger: logger)
        self.acknowledgement = FleetAcknowledgement(
            store: store, member: self.member, feed: feed, configuration: configuration, time: time)
        self.reader = reader
        self.store = store
        self.configuration = configuration
        self.time = time
        self.pacer = Pacer(generator())
    }

    /// Runs all loops until the task is cancelled. Call it once.
    package func run() async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.member.run() }
            group.addTask { await self.feed.run() }
            group.addTask { await self.jobs.run() }
            group.addTask { await self.look() }
            await group.waitForAll()
        }
    }

    /// Says farewell, at the end of a drain, when everything is shipped and `run()` is cancelled.
    package func leave() async { await self.member.leave() }

    // MARK: FleetDirectory

    package func snapshot() async -> FleetSnapshot {
        try? await self.refresh()
        let (others, orphans) = self.seen.withLock { $0 }
        let own = self.member.currentBeat
        let views = (others + [PodView(beat: own, beatAge: self.member.status.beatAge ?? .zero)]).sorted {
            ($0.beat.startedAt.rawValue, $0.beat.podID.text) < ($1.beat.startedAt.rawValue, $1.beat.podID.text)
        }
        return FleetSnapshot(
            pods: views, orphans: orphans, changeHead: self.reader.head,
            storeUnreachableFor: self.member.status.storeUnreachableFor)
    }

    package var health: FleetHealth {
        let status = self.member.status
        let others = self.seen.withLock { seen in
            seen.pods.count { $0.beatAge <= self.configuration.deadAfter }
        }
        let position = self.reader.position
        return FleetHealth(
            pods: others + 1, changeLag: max(0, self.reader.head - position), changePosition: position,
            beatAge: status.beatAge, storeUnreachableFor: status.storeUnreachableFor,
            isBeyondGrace: status.isBeyondGrace, holdsJobs: self.jobs.isServing)
    }

    package func noteMutation() { self.feed.noteChange() }

    package func waitForFleet(timeout: Duration) async -> FleetWait {
        await self.acknowledgement.waitForFleet(timeout: timeout)
    }

    // MARK: Others

    private func refresh() async throws(LedgerError) {
        let pods = try await self.store.pods(seenWithin: Self.seenWithin)
        let orphans = try await self.store.orphans()
        let own = self.member.identity
        let others = pods.filter { $0.beat.podID != own.podID && $0.beat.journal != own.journal }.withoutFormerRuns
        self.seen.withLock { $0 = (others, orphans) }
    }

    /// Looks at the others now and then, for metrics; `snapshot()` looks for itself.
    private func look() async {
        while !Task.isCancelled {
            // Unreachability shows in the member's status.
            try? await self.refresh()
            do { try await self.time.sleep(self.pacer.period(self.configuration.pollInterval)) } catch { return }
        }
    }

    private static func standardJobs(
        store: any FleetStore, configuration: FleetConfiguration
    ) -> [PeriodicJob] {
        [
            PeriodicJob(name: "upkeep", interval: configuration.maintainInterval) { _ throws(LedgerError) in
                try await store.maintain(retention: configuration.retention)
            },
            PeriodicJob(name: "reap", interval: configuration.reapInterval) { _ throws(LedgerError) in
                try await store.reapStreams(deadAfter: configuration.deadAfter, holdFor: configuration.holdFor)
                    .map { stream in
                        let pod = stream.podName.map { "pod \($0)" } ?? "an unknown pod"
                        let state =
                            stream.state == .orphan
                            ? "is fenced: its pod is silent" : "is written off: its journal did not come back"
                        return "The stream of \(pod) (journal \(stream.journal.text)) \(state); about "
                            + "\(stream.spendOfLastMinute.decimalText) USD a minute are at risk."
                    }
            },
        ]
    }
}

/// Ties two that tell each other, without keeping either alive.
private final class Loop: Sendable {
    private struct Weak: Sendable { weak var member: FleetMember? }
    private let kept = Mutex(Weak(member: nil))
    var member: FleetMember? { self.kept.withLock { $0.member } }
    func attach(_ member: FleetMember) { self.kept.withLock { $0.member = member } }
}
