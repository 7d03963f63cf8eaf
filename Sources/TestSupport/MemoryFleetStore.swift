import GatewayCore
import GatewayLedger

/// A fleet's store in memory: the reference that stores on databases are compared with. It is a ledger store as well,
/// because taking a stream and appending to it count as signs of life of its journal.
///
/// A stream's state:
///
///     (new) --take--> live --no beat for deadAfter--> orphan --no beat for holdFor--> writtenOff
///                      ^ | leave                         |                                |
///                      | +-----> closed                  |                                |
///                      +---------take, or a beat---------+--------------------------------+
package actor MemoryFleetStore: FleetStore, LedgerStore {
    private enum State { case live, orphan, writtenOff, closed }
    private struct Stream {
        var position: StreamPosition
        var state = State.live
        var beatAt: UnixMicroseconds
        var podName: String?
        /// When rows came, by the last sequence number of each append.
        var appends: [(through: Int64, at: UnixMicroseconds)] = []
        /// Rows up to here are gone by retention; their counts stay.
        var expired: Int64 = 0
    }

    private let clock: any WallClock
    private let ledger: MemoryLedgerStore
    private let log: MemoryChangeLog
    private var pods: [PodID: (beat: PodBeat, at: UnixMicroseconds)] = [:]
    private var streams: [JournalID: Stream] = [:]
    private var leases: [String: (lease: JobLease, until: UnixMicroseconds)] = [:]

    /// - Parameter clock: the store's own; ages and leases go by it alone.
    package init(
        clock: any WallClock = ManualWallClock(), ledger: MemoryLedgerStore = MemoryLedgerStore(),
        log: MemoryChangeLog = MemoryChangeLog()
    ) {
        self.clock = clock
        self.ledger = ledger
        self.log = log
    }

    // MARK: FleetStore

    package func beat(_ beat: PodBeat) async throws(LedgerError) -> FleetPulse {
        let now = self.clock.now()
        self.pods[beat.podID] = (beat, now)
        if self.streams[beat.journal] != nil {
            self.streams[beat.journal]?.beatAt = now
            self.streams[beat.journal]?.podName = beat.name
            self.streams[beat.journal]?.state = .live
        }
        return FleetPulse(changeHead: self.log.head, now: now)
    }

    package func leave(_ podID: PodID) async throws(LedgerError) {
        guard let pod = self.pods.removeValue(forKey: podID) else { return }
        // Another run of the same pod may have come meanwhile and beat for the journal; of a killed one only its last
        // beat is left.
        if !self.pods.values.contains(where: { $0.beat.journal == pod.beat.journal && $0.at >= pod.at }) {
            self.streams[pod.beat.journal]?.state = .closed
        }
    }

    package func pods(seenWithin age: Duration) async throws(LedgerError) -> [PodView] {
        let views = self.pods.values.map { PodView(beat: $0.beat, beatAge: self.age(of: $0.at)) }
        let sorted = views.filter { $0.beatAge <= age }.sorted {
            ($0.beat.startedAt.rawValue, $0.beat.podID.text) < ($1.beat.startedAt.rawValue, $1.beat.podID.text)
        }
        return Array(sorted.prefix(10_000))
    }

    package func claim(_ job: String, for podID: PodID, duration: Duration) async throws(LedgerError) -> JobLease? {
        let now = self.clock.now()
        let standing = self.leases[job]
        let isHeld = standing.map { $0.until > now } ?? false
        if let standing, isHeld, standing.lease.holder != podID { return nil }
        let isSame = isHeld && standing?.lease.holder == podID
        let epoch = (standing?.lease.epoch ?? 0) + (isSame ? 0 : 1)
        let lease = JobLease(job: job, holder: podID, epoch: epoch)
        self.leases[job] = (lease, Self.advance(now, by: duration))
        return lease
    }

    package func release(_ lease: JobLease) async throws(LedgerError) {
        guard self.leases[lease.job]?.lease == lease else { return }
        self.leases[lease.job]?.until = self.clock.now()
    }

    package func reapStreams(
        deadAfter: Duration, holdFor: Duration
    ) async throws(LedgerError) -> [OrphanedStream] {
        var changed: [JournalID] = []
        for (journal, stream) in self.streams {
            let age = self.age(of: stream.beatAt)
            switch stream.state {
            case .live where age > deadAfter:
                // The epoch grows, so whoever held the stream is fenced.
                self.streams[journal]?.position = try await self.ledger.takeStream(journal)
                self.streams[journal]?.state = .orphan
                changed.append(journal)
            case .orphan where age > holdFor:
                self.streams[journal]?.state = .writtenOff
                changed.append(journal)
            case .live, .orphan, .writtenOff, .closed: break
            }
        }
        return try await self.orphans().filter { changed.contains($0.journal) }
    }

    package func orphans() async throws(LedgerError) -> [OrphanedStream] {
        var orphans: [OrphanedStream] = []
        for (journal, stream) in self.streams {
            let state: OrphanedStream.State
            switch stream.state {
            case .live, .closed: continue
            case .orphan: state = .orphan
            case .writtenOff: state = .writtenOff
            }
            let events = await self.ledger.events(of: journal)
            orphans.append(
                OrphanedStream(
                    journal: journal, streamID: stream.position.streamID, state: state, podName: stream.podName,
                    beatAge: self.age(of: stream.beatAt), applied: Int64(events.count),
                    spendOfLastMinute: Self.spendOfLastMinute(events)))
        }
        orphans.sort { ($1.beatAge, $0.streamID) < ($0.beatAge, $1.streamID) }
        return Array(orphans.prefix(1000))
    }

    package func maintain(retention: Duration?) async throws(LedgerError) -> [String] {
        var done: [String] = []
        let now = self.clock.now()
        if let retention {
            let cutoff = Self.advance(now, by: .zero - retention)
            for (journal, stream) in self.streams {
                let expired = stream.appends.last { $0.at < cutoff }?.through ?? 0
                guard expired > stream.expired else { continue }
                self.streams[journal]?.expired = expired
                done.append("Dropped \(expired - stream.expired) rows of stream \(stream.position.streamID).")
            }
        }
        let forgotten = self.log.forget(before: now.advanced(bySeconds: -7 * 86_400))
        if forgotten > 0 { done.append("Dropped \(forgotten) entries of the change log.") }
        return done
    }

    // MARK: LedgerStore

    package func takeStream(_ journal: JournalID) async throws(LedgerError) -> StreamPosition {
        let position = try await self.ledger.takeStream(journal)
        var stream = self.streams[journal] ?? Stream(position: position, beatAt: self.clock.now())
        stream.position = position
        stream.state = .live
        stream.beatAt = self.clock.now()
        self.streams[journal] = stream
        return position
    }

    package func standing(of journal: JournalID) async throws(LedgerError) -> StreamStanding? {
        var standing = try await self.ledger.standing(of: journal)
        standing?.expired = self.streams[journal]?.expired ?? 0
        return standing
    }

    package func append(
        _ events: [UsageEvent], at position: StreamPosition
    ) async throws(LedgerError) -> AppendOutcome {
        let outcome = try await self.ledger.append(events, at: position)
        if case .applied(let applied) = outcome {
            self.streams[position.journal]?.beatAt = self.clock.now()
            self.streams[position.journal]?.appends.append((applied, self.clock.now()))
        }
        return outcome
    }

    package func fold() async throws(LedgerError) -> Int { try await self.ledger.fold() }

    package func keySpend() async throws(LedgerError) -> [VirtualKeyID: NanoUSD] { try await self.ledger.keySpend() }

    package func counter(_ dimension: CounterDimension) async throws(LedgerError) -> UsageCounter {
        try await self.ledger.counter(dimension)
    }

    package func usage(_ query: UsageQuery) async throws(LedgerError) -> [UsageRow] {
        let expired = Dictionary(
            uniqueKeysWithValues: self.streams.values.map { ($0.position.streamID, $0.expired) })
        var whole = query
        whole.limit = .max
        let rows = try await self.ledger.usage(whole)
        return Array(rows.lazy.filter { $0.sequence > expired[$0.streamID, default: 0] }.prefix(query.limit))
    }

    package func rebuildCounters() async throws(LedgerError) { try await self.ledger.rebuildCounters() }

    package func verify() async throws(LedgerError) -> [String] { try await self.ledger.verify() }

    // MARK: time

    private func age(of time: UnixMicroseconds) -> Duration {
        .microseconds(self.clock.now().rawValue - time.rawValue)
    }

    private static func advance(_ time: UnixMicroseconds, by duration: Duration) -> UnixMicroseconds {
        let (seconds, attoseconds) = duration.components
        return UnixMicroseconds(rawValue: time.rawValue + seconds * 1_000_000 + attoseconds / 1_000_000_000_000)
    }

    /// Sum of the rows that ended within the minute before the last row's end.
    private static func spendOfLastMinute(_ events: [UsageEvent]) -> NanoUSD {
        let ends = events.map { $0.startedAt.rawValue.addingReportingOverflow($0.durationMicroseconds).partialValue }
        guard let last = ends.last else { return .zero }
        return zip(events, ends).reduce(.zero) { sum, entry in
            (last - 60_000_000...last).contains(entry.1) ? sum + entry.0.cost : sum
        }
    }
}
