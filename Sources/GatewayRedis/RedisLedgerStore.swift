import GatewayCore
import GatewayLedger
import Logging
import Synchronization

/// The fleet's store with appends that travel through Redis: pushed as a batch, committed by whichever pod is the writer,
/// and told as stored only once the store itself says so. Everything else goes to the store.
///
///     append ─► push ─► wait for the writer's verdict ─► ask the store where the stream stands ─► outcome
///                 ▲          │ none for repushAfter          │ not moved: push again
///                 └──────────┴───────────────────────────────┘   in trouble for directAfter: the store's own append
///
/// The compare-and-set of the stream's position makes any repetition safe, whichever way it goes.
package final class RedisLedgerStore: LedgerStore {
    private struct State {
        var route: QueueRoute
        var random: any RandomNumberGenerator & Sendable
        /// Rows of this pod came into the store without the writer, which would have folded them.
        var needsFold = true
        /// While `false`, nobody of this pod can be the writer: it starts or ends.
        var isServing = false
        var status = QueueStatus()
    }

    private enum Attempt {
        case outcome(AppendOutcome)
        /// The queue is given up; the text says why.
        case gaveUp(String)
    }

    private static let pollMin = Duration.milliseconds(20)
    private static let pollMax = Duration.milliseconds(200)

    private let store: any FencedLedgerStore
    private let queue: RedisQueue
    private let configuration: RedisTransportConfiguration
    private let time: RedisTime
    private let clock: any WallClock
    private let logger: Logger
    private let state: Mutex<State>

    init(
        store: any FencedLedgerStore, queue: RedisQueue, configuration: RedisTransportConfiguration, time: RedisTime,
        clock: any WallClock, random: any RandomNumberGenerator & Sendable, logger: Logger
    ) {
        self.store = store
        self.queue = queue
        self.configuration = configuration
        self.time = time
        self.clock = clock
        self.logger = logger
        let route = QueueRoute(
            directAfter: configuration.directAfter, probeInterval: configuration.probeInterval,
            patience: configuration.patience)
        self.state = Mutex(State(route: route, random: random))
    }

    /// What this side knows of the queue.
    var status: QueueStatus {
        let now = self.time.now()
        return self.state.withLock { state in
            var status = state.status
            status.mode = self.isDirect(state, now: now) ? .direct : .queue
            return status
        }
    }

    /// From here on rows go through the queue; before and after, straight into the store if that is allowed.
    func setServing(_ isServing: Bool) { self.state.withLock { $0.isServing = isServing } }

    private func isDirect(_ state: State, now: Duration) -> Bool {
        (!state.isServing && self.configuration.directAfter != nil) || state.route.isDirect(now: now)
    }

    // MARK: append

    package func append(
        _ events: [UsageEvent], at position: StreamPosition
    ) async throws(LedgerError) -> AppendOutcome {
        var position = position
        var rest = events[...]
        while true {
            let piece = rest.prefix(RedisTransportConfiguration.batchEventsMax)
            let (bytes, count) = LedgerBatchEncoder.encode(
                piece, at: position, bytesMax: self.configuration.batchBytesMax)
            let batch = LedgerBatch(position: position, events: Array(piece.prefix(count)))
            let outcome = try await self.append(batch, bytes)
            guard case .applied(let applied) = outcome, rest.count > count else { return outcome }
            position.applied = applied
            rest = rest.dropFirst(count)
        }
    }

    private func append(_ batch: LedgerBatch, _ bytes: [UInt8]) async throws(LedgerError) -> AppendOutcome {
        let now = self.time.now()
        let decision: QueueRoute.Decision = self.state.withLock { state in
            if !state.isServing, self.configuration.directAfter != nil { return .direct }
            return state.route.decide(now: now)
        }
        guard case .queue(let end) = decision else { return try await self.appendDirectly(batch) }
        switch try await self.appendByQueue(batch, bytes, until: end) {
        case .outcome(let outcome): return outcome
        case .gaveUp(let reason):
            self.note(gaveUpSince: now, reason: reason)
            guard self.configuration.directAfter != nil else { throw .unavailable(reason) }
            return try await self.appendDirectly(batch)
        }
    }

    private func appendDirectly(_ batch: LedgerBatch) async throws(LedgerError) -> AppendOutcome {
        let outcome = try await self.store.append(batch.events, at: batch.position)
        self.state.withLock { state in
            state.needsFold = true
            state.status.directTotal += 1
        }
        return outcome
    }

    /// Whatever ends it, the batch does not stay in the queue: each further try brings one of its own.
    private func appendByQueue(
        _ batch: LedgerBatch, _ bytes: [UInt8], until end: Duration
    ) async throws(LedgerError) -> Attempt {
        let id = self.makeID()
        do throws(LedgerError) {
            let attempt = try await self.travel(batch, bytes, as: id, until: end)
            if case .gaveUp = attempt { try? await self.queue.withdraw(id) }
            return attempt
        } catch {
            try? await self.queue.withdraw(id)
            throw error
        }
    }

    private func travel(
        _ batch: LedgerBatch, _ bytes: [UInt8], as id: BatchID, until end: Duration
    ) async throws(LedgerError) -> Attempt {
        var pushedAt: Duration?
        var pause = Self.pollMin
        // Seen where the batch begins: what comes after is this append's doing.
        var stoodBefore = false
        var reason = "nobody has stored a batch that waits in Redis: does any pod hold the writer's lock?"
        while true {
            var verdict: RedisQueue.Verdict?
            do throws(RedisError) {
                if pushedAt == nil {
                    try await self.queue.push(id, bytes)
                    pushedAt = self.time.now()
                    pause = Self.pollMin
                } else {
                    verdict = try await self.queue.verdict(of: id)
                }
                self.state.withLock { $0.status.lastError = nil }
            } catch {
                reason = error.message
                self.note(stumble: reason)
                pause = Self.pollMax
            }
            let now = self.time.now()
            let isLate = pushedAt.map { now - $0 >= self.configuration.repushAfter } ?? false
            if verdict != nil || isLate || now >= end {
                if let outcome = try await self.judge(batch, isOurs: stoodBefore || verdict == .stored) {
                    self.noteSuccess()
                    return .outcome(outcome)
                }
                stoodBefore = true
                if verdict == .refused { reason = "the writer could not read a batch of this pod" }
                if isLate { self.note(stumble: reason) }
                if now >= end || verdict == .refused { return .gaveUp(reason) }
                pushedAt = nil
                continue
            }
            do { try await self.time.sleep(min(pause, end - now)) } catch {
                throw .unavailable("the wait for the writer was interrupted")
            }
            if pause < Self.pollMax { pause = min(Self.pollMax, pause * 5 / 4) }
        }
    }

    /// Asks the store, which alone knows.
    /// - Parameter isOurs: whether it is this append that stored the batch, if it is stored.
    /// - Returns: `nil`: the stream stands where it stood, so the batch is not stored.
    private func judge(
        _ batch: LedgerBatch, isOurs: Bool
    ) async throws(LedgerError) -> AppendOutcome? {
        guard let standing = try await self.store.currentPosition(of: batch.position) else {
            return .rejected(epoch: 0, applied: 0)
        }
        if standing.epoch == batch.position.epoch {
            if standing.applied == batch.position.applied { return nil }
            if isOurs, standing.applied >= batch.end { return .applied(batch.end) }
        }
        return .rejected(epoch: standing.epoch, applied: standing.applied)
    }

    private func makeID() -> BatchID {
        let madeAt = self.clock.now()
        return self.state.withLock { BatchID(random: $0.random.next(), madeAt: madeAt) }
    }

    private func noteSuccess() {
        let now = self.time.now()
        let wasDirect = self.state.withLock { state in
            defer {
                state.route.succeeded()
                state.status.queuedTotal += 1
                state.status.lastError = nil
                state.needsFold = false
            }
            return state.route.isDirect(now: now)
        }
        if wasDirect { self.logger.notice("Rows travel by Redis again") }
    }

    private func note(stumble reason: String) {
        let now = self.time.now()
        self.state.withLock { state in
            state.route.stumbled(now: now)
            state.status.lastError = reason
        }
    }

    private func note(gaveUpSince start: Duration, reason: String) {
        let now = self.time.now()
        let isNew = self.state.withLock { state in
            let wasDirect = state.route.isDirect(now: start)
            state.route.gaveUp(since: start, now: now)
            state.status.lastError = reason
            return !wasDirect
        }
        if isNew {
            self.logger.warning(
                self.configuration.directAfter == nil
                    ? "Rows do not come through Redis and wait in the journal"
                    : "Rows do not come through Redis and go straight into PostgreSQL",
                metadata: [LogKey.errorMessage.rawValue: "\(reason)"])
        }
    }

    // MARK: everything else

    package func takeStream(_ journal: JournalID) async throws(LedgerError) -> StreamPosition {
        try await self.store.takeStream(journal)
    }

    package func standing(of journal: JournalID) async throws(LedgerError) -> StreamStanding? {
        try await self.store.standing(of: journal)
    }

    package func fold() async throws(LedgerError) -> Int { try await self.store.fold() }

    /// The writer folds what it has stored.
    package func foldIfDue() async throws(LedgerError) -> Bool {
        guard self.state.withLock({ $0.needsFold }) else { return false }
        let isLeft = try await self.store.foldIfDue()
        if !isLeft { self.state.withLock { $0.needsFold = false } }
        return isLeft
    }

    package func keySpend() async throws(LedgerError) -> [VirtualKeyID: NanoUSD] { try await self.store.keySpend() }

    package func counter(_ dimension: CounterDimension) async throws(LedgerError) -> UsageCounter {
        try await self.store.counter(dimension)
    }

    package func usage(_ query: UsageQuery) async throws(LedgerError) -> [UsageRow] {
        try await self.store.usage(query)
    }

    package func rebuildCounters() async throws(LedgerError) { try await self.store.rebuildCounters() }

    package func verify() async throws(LedgerError) -> [String] { try await self.store.verify() }
}
