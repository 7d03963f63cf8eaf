import GatewayCore

/// One run of one pod's process; a restarted pod has another.
package typealias PodID = ID<PodTag>
package enum PodTag: Sendable {}

/// What a pod says of itself with every beat.
package struct PodBeat: Sendable, Equatable {
    package var podID: PodID
    /// For people: host name, or what the operator calls the pod. Need not be unique.
    package var name: String
    package var processID: Int32
    /// Of the program, such as `0.2.0`.
    package var version: String
    package var startedAt: UnixMicroseconds
    package var journal: JournalID
    /// Last settlement of its journal that is in the store.
    package var applied: Int64
    /// Last change that is in force on this pod.
    package var changePosition: Int64
    /// Bytes that the journal holds.
    package var journalBytes: Int64
    /// Connections to the database that are open now.
    package var connections: Int32

    package init(
        podID: PodID, name: String, processID: Int32, version: String, startedAt: UnixMicroseconds,
        journal: JournalID, applied: Int64, changePosition: Int64, journalBytes: Int64, connections: Int32
    ) {
        self.podID = podID
        self.name = name
        self.processID = processID
        self.version = version
        self.startedAt = startedAt
        self.journal = journal
        self.applied = applied
        self.changePosition = changePosition
        self.journalBytes = journalBytes
        self.connections = connections
    }
}

/// What the store answers to a beat.
package struct FleetPulse: Sendable, Equatable {
    /// Position of the newest entry of the change log; 0: none.
    package var changeHead: Int64
    /// The store's own clock: the one that decides about all pods.
    package var now: UnixMicroseconds

    package init(changeHead: Int64, now: UnixMicroseconds) {
        self.changeHead = changeHead
        self.now = now
    }
}

/// A pod as the store last heard of it.
package struct PodView: Sendable, Equatable {
    package var beat: PodBeat
    /// Since its last beat, by the store's clock.
    package var beatAge: Duration

    package init(beat: PodBeat, beatAge: Duration) {
        self.beat = beat
        self.beatAge = beatAge
    }
}

extension [PodView] {
    /// Without former runs: those whose journal another run has beaten for since. A journal has one owner at a time, so
    /// a run that was killed tells nothing any more as soon as its successor beats. The order stays.
    package var withoutFormerRuns: [PodView] {
        var newest: [JournalID: PodView] = [:]
        for view in self {
            guard let other = newest[view.beat.journal] else {
                newest[view.beat.journal] = view
                continue
            }
            let isNewer =
                (other.beatAge, view.beat.startedAt.rawValue) > (view.beatAge, other.beat.startedAt.rawValue)
            if isNewer { newest[view.beat.journal] = view }
        }
        return self.filter { newest[$0.beat.journal]?.beat.podID == $0.beat.podID }
    }
}

/// The right to do a periodic job, until it expires by the store's clock.
package struct JobLease: Sendable, Equatable {
    package var job: String
    package var holder: PodID
    /// Grows with every change of holder. What a job writes compares it, so that a former holder is fenced.
    package var epoch: Int64

    package init(job: String, holder: PodID, epoch: Int64) {
        self.job = job
        self.holder = holder
        self.epoch = epoch
    }
}

/// A journal whose pod has stopped beating, with what may be lost with it.
package struct OrphanedStream: Sendable, Equatable {
    package enum State: String, Sendable {
        /// Nobody beats for it: fenced, waiting for its owner or for somebody who has its files.
        case orphan
        /// Held long enough: given up. Should its journal come back all the same, its rows are still taken.
        case writtenOff = "written_off"
    }
    package var journal: JournalID
    package var streamID: Int64
    package var state: State
    /// Name of the pod that beat for it last. `nil`: none ever did.
    package var podName: String?
    /// Since its last beat, by the store's clock.
    package var beatAge: Duration
    package var applied: Int64
    /// What its pod had settled in the minute before its last applied row: about what one minute of unshipped journal
    /// is worth.
    package var spendOfLastMinute: NanoUSD

    package init(
        journal: JournalID, streamID: Int64, state: State, podName: String?, beatAge: Duration, applied: Int64,
        spendOfLastMinute: NanoUSD
    ) {
        self.journal = journal
        self.streamID = streamID
        self.state = state
        self.podName = podName
        self.beatAge = beatAge
        self.applied = applied
        self.spendOfLastMinute = spendOfLastMinute
    }
}

/// What the pods of a fleet know of each other. All ages are by the store's clock, so skewed clocks of pods decide
/// nothing. Every conformance passes `FleetStoreConformance`.
package protocol FleetStore: Sendable {
    /// Stores the pod's beat, replacing its former one. Need not survive a crash of the store: the next beat repeats it.
    func beat(_ beat: PodBeat) async throws(LedgerError) -> FleetPulse
    /// Takes a pod out of the fleet, as at the end of a drain; unknown pods are ignored.
    func leave(_ podID: PodID) async throws(LedgerError)
    /// Pods that beat within `age`, by start time, then identifier; at most 10,000.
    func pods(seenWithin age: Duration) async throws(LedgerError) -> [PodView]
    /// Takes or prolongs the lease of `job` by `duration` from now. `nil`: another pod holds it.
    func claim(_ job: String, for podID: PodID, duration: Duration) async throws(LedgerError) -> JobLease?
    /// Gives the lease back before it expires, if it is still held under this epoch.
    func release(_ lease: JobLease) async throws(LedgerError)
    /// Fences (epoch + 1) every live stream whose beat is older than `deadAfter`, marks it an orphan; marks orphans
    /// whose beat is older than `holdFor` as written off.
    /// - Returns: streams whose state this call changed.
    func reapStreams(deadAfter: Duration, holdFor: Duration) async throws(LedgerError) -> [OrphanedStream]
    /// All streams that are orphaned or written off, oldest beat first; at most 1,000.
    func orphans() async throws(LedgerError) -> [OrphanedStream]
    /// Makes what the coming days need (partitions), drops usage rows older than `retention` (`nil`: keeps all) and
    /// entries of the change log older than a week. Counters keep what dropped rows had added.
    /// - Returns: one sentence for each thing done.
    func maintain(retention: Duration?) async throws(LedgerError) -> [String]
}
