import GatewayCore
import GatewayLedger
import Logging
import Synchronization

/// Stores what all pods have pushed, while this pod holds the lock; tries to get the lock while it does not.
///
///     waiting ──lock taken, fence taken──► writing: take ─► decode ─► one transaction ─► settle ─► fold
///        ▲                                   │ lock lost or not renewed, or the store refuses the token
///        └───────────────────────────────────┘ what was taken stays in work for whoever comes next
///
/// The lock is for economy, so that one pod writes; the token is for safety: the store compares it in the transaction,
/// so that of two that believe to hold the lock one stores nothing.
final class QueueWriter: Sendable {
    private struct State {
        var look: RedisQueue.Look?
        var random: any RandomNumberGenerator & Sendable
        var lock: WriterLock?
        var commits: Int64 = 0
        var refused: Int64 = 0
        var lastError: String?
    }

    private let store: any FencedLedgerStore
    private let queue: RedisQueue
    private let name: String
    private let configuration: RedisTransportConfiguration
    private let time: RedisTime
    private let logger: Logger
    private let state: Mutex<State>

    /// - Parameter name: of this pod, for operators.
    init(
        store: any FencedLedgerStore, queue: RedisQueue, name: String, configuration: RedisTransportConfiguration,
        time: RedisTime, random: any RandomNumberGenerator & Sendable, logger: Logger
    ) {
        self.store = store
        self.queue = queue
        self.name = name
        self.configuration = configuration
        self.time = time
        self.logger = logger
        self.state = Mutex(State(random: random))
    }

    /// What this side knows of the queue.
    func fill(_ status: inout QueueStatus, now: UnixMicroseconds) {
        self.state.withLock { state in
            status.isHolder = state.lock != nil
            status.holder = state.look?.lock?.name
            status.token = state.look?.lock?.token
            status.depth = state.look?.depth ?? 0
            status.inWork = state.look?.inWork ?? 0
            status.oldestAge = state.look?.oldest.map { id in
                .microseconds(max(0, now.rawValue - id.madeAt.rawValue))
            }
            status.commitsTotal = state.commits
            status.refusedTotal = state.refused
            status.lastError = status.lastError ?? state.lastError
        }
    }

    /// Looks at the queue now; its failure shows in the status.
    @discardableResult func look() async -> RedisQueue.Look? {
        do throws(RedisError) {
            let look = try await self.queue.look()
            self.state.withLock { state in
                state.look = look
                state.lastError = nil
            }
            return look
        } catch {
            self.state.withLock { state in
                state.look = nil
                state.lastError = error.message
            }
            return nil
        }
    }

    /// Runs until the task is cancelled; then the lock is given back.
    func run() async {
        while !Task.isCancelled {
            if let look = await self.look(), look.lock == nil, let lock = await self.acquire() {
                self.logger.info(
                    "This pod writes for the fleet now", metadata: [LogKey.token.rawValue: "\(lock.token)"])
                self.state.withLock { $0.lock = lock }
                await self.serve(lock)
                self.state.withLock { $0.lock = nil }
                // Fails when Redis is away: then it runs out.
                try? await self.queue.release(lock)
            }
            do { try await self.time.sleep(self.spread(RedisTransportConfiguration.lookInterval)) } catch { return }
        }
    }

    /// Half to all of a pause, so that pods do not come at the same time.
    private func spread(_ pause: Duration) -> Duration {
        pause / 2000 * (1000 + self.state.withLock { Int.random(in: 0...1000, using: &$0.random) })
    }

    /// The token is read before the lock is taken and moves by compare-and-set after it: a pod that was paused between
    /// the two finds it moved, and fences nobody.
    private func acquire() async -> WriterLock? {
        do throws(LedgerError) {
            let fence = try await self.store.writerFence()
            let nonce = self.state.withLock { $0.random.next() }
            let lock = WriterLock(nonce: nonce, token: fence.token + 1, name: self.name)
            guard (try? await self.queue.acquire(lock)) == true else { return nil }
            if try await self.store.takeWriterFence(after: fence.token, holder: self.name) != nil { return lock }
            try? await self.queue.release(lock)
        } catch {
            // The store is away: the lock, if it was taken, runs out.
            self.state.withLock { $0.lastError = error.message }
        }
        return nil
    }

    private func serve(_ lock: WriterLock) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.keep(lock) }
            group.addTask { await self.write(lock) }
            await group.next()
            group.cancelAll()
        }
    }

    /// Returns when the lock is lost or the task is cancelled.
    private func keep(_ lock: WriterLock) async {
        var renewedAt = self.time.now()
        while !Task.isCancelled {
            do { try await self.time.sleep(self.configuration.lockDuration / 4) } catch { return }
            let sentAt = self.time.now()
            do throws(RedisError) {
                guard try await self.queue.renew(lock) else {
                    self.logger.notice("The writer's lock is lost", metadata: self.metadata(lock))
                    return
                }
                renewedAt = sentAt
                await self.look()
            } catch {
                self.state.withLock { $0.lastError = error.message }
            }
            if self.time.now() - renewedAt >= self.configuration.lockDuration / 10 * 9 {
                self.logger.notice("The writer's lock could not be renewed", metadata: self.metadata(lock))
                return
            }
        }
    }

    private func metadata(_ lock: WriterLock) -> Logger.Metadata { [LogKey.token.rawValue: "\(lock.token)"] }

    // MARK: writing

    private func write(_ lock: WriterLock) async {
        var ids: [BatchID] = []
        // Kept, so that the store looks a payer or route up once.
        var decoder = LedgerBatchDecoder()
        var sweptAt: Duration?
        var foldedAt: Duration?
        var needsFold = true
        var failingSince: Duration?
        while !Task.isCancelled {
            let now = self.time.now()
            do {
                if sweptAt.map({ now - $0 >= RedisTransportConfiguration.sweepInterval }) ?? true {
                    // What a dead writer left, or one that had been paused and took something all the same.
                    ids = try await self.queue.inWork()
                    sweptAt = now
                }
                guard let taken = try await self.queue.take(holding: lock) else { return }
                ids = Self.merged(ids, taken)
                switch try await self.commit(&ids, &decoder, lock) {
                case .fenced:
                    self.logger.notice("A later writer has come", metadata: self.metadata(lock))
                    return
                case .stored(let batches): needsFold = needsFold || batches > 0
                }
                if needsFold, foldedAt.map({ now - $0 >= self.configuration.foldInterval }) ?? true {
                    foldedAt = now
                    needsFold = try await self.store.foldIfDue()
                }
                failingSince = nil
            } catch {
                // It is tried again with the same batches; but another pod may reach what this one does not.
                self.note(error)
                let since = failingSince ?? now
                if self.time.now() - since >= self.configuration.lockDuration { return }
                failingSince = since
            }
            do { try await self.time.sleep(self.configuration.writerInterval) } catch { return }
        }
    }

    private static func merged(_ ids: [BatchID], _ more: [BatchID]) -> [BatchID] {
        if ids.isEmpty { return more }
        let known = Set(ids)
        return ids + more.filter { !known.contains($0) }
    }

    private func note(_ error: any Error) {
        let message = (error as? LedgerError)?.message ?? (error as? RedisError)?.message ?? "\(error)"
        let isNew = self.state.withLock { state in
            defer { state.lastError = message }
            return state.lastError != message
        }
        if isNew {
            self.logger.warning(
                "The writer could not store batches of the fleet and tries again",
                metadata: [LogKey.errorMessage.rawValue: "\(message)"])
        }
    }

    private enum Commit {
        case fenced
        case stored(batches: Int)
    }

    /// Stores and settles `ids`, which loses those that are done.
    private func commit(
        _ ids: inout [BatchID], _ decoder: inout LedgerBatchDecoder, _ lock: WriterLock
    ) async throws -> Commit {
        var stored = 0
        while !ids.isEmpty {
            let (batches, looked) = try await self.gather(ids, &decoder)
            var rest = batches
            while !rest.isEmpty {
                let round = Self.firstOfEachStream(&rest)
                guard let verdicts = try await self.store(round, lock) else { return .fenced }
                stored += verdicts.count { $0.verdict == .stored }
                try await self.queue.settle(verdicts)
            }
            ids.removeFirst(looked)
            if Task.isCancelled { break }
        }
        return .stored(batches: stored)
    }

    private typealias Taken = (id: BatchID, batch: LedgerBatch)

    /// Fetches and decodes from the front until a transaction is full. Those that are gone or unreadable are settled.
    /// - Returns: the batches, and of how many identifiers this is the end.
    private func gather(
        _ ids: [BatchID], _ decoder: inout LedgerBatchDecoder
    ) async throws(RedisError) -> (batches: [Taken], looked: Int) {
        var batches: [Taken] = []
        var bad: [(id: BatchID, verdict: RedisQueue.Verdict?)] = []
        var (looked, events) = (0, 0)
        while looked < ids.count, events < RedisTransportConfiguration.transactionEvents {
            let chunk = ids[looked...].prefix(RedisTransportConfiguration.fetchMax)
            for (id, bytes) in zip(chunk, try await self.queue.fetch(chunk)) {
                guard let bytes else {
                    // Evicted, expired, withdrawn, or done already: its pod knows better.
                    bad.append((id, nil))
                    continue
                }
                do throws(LedgerBatchError) {
                    let batch = try decoder.decode(bytes)
                    guard batch.events.count <= RedisTransportConfiguration.batchEventsTakenMax else {
                        throw LedgerBatchError(message: "it holds \(batch.events.count) events")
                    }
                    batches.append((id, batch))
                    events += batch.events.count
                } catch {
                    self.noteRefusal(of: id, error.message)
                    bad.append((id, .refused))
                }
            }
            looked += chunk.count
        }
        try await self.queue.settle(bad)
        return (batches, looked)
    }

    /// One transaction moves a stream once; what else there is of it comes with the next.
    private static func firstOfEachStream(_ rest: inout [Taken]) -> [Taken] {
        var streams: Set<Int64> = []
        var (first, later): ([Taken], [Taken]) = ([], [])
        for taken in rest {
            if streams.insert(taken.batch.position.streamID).inserted {
                first.append(taken)
            } else {
                later.append(taken)
            }
        }
        rest = later
        return first
    }

    /// - Returns: `nil`: fenced.
    private func store(
        _ taken: [Taken], _ lock: WriterLock
    ) async throws(LedgerError) -> [(id: BatchID, verdict: RedisQueue.Verdict?)]? {
        let outcomes: [AppendOutcome]
        do throws(LedgerError) {
            guard let all = try await self.store.append(taken.map(\.batch), token: lock.token) else { return nil }
            outcomes = all
        } catch {
            switch error {
            case .unavailable, .locked: throw error
            case .conflict, .corrupt, .notFound, .journalFull:
                // The content of one keeps all from being stored: find which.
                if taken.count > 1 { return try await self.storeOneByOne(taken, lock) }
                self.noteRefusal(of: taken[0].id, error.message)
                return [(taken[0].id, .refused)]
            }
        }
        self.state.withLock { $0.commits += 1 }
        return zip(taken, outcomes).map { taken, outcome in
            if case .applied = outcome { return (taken.id, .stored) }
            return (taken.id, .rejected)
        }
    }

    private func storeOneByOne(
        _ taken: [Taken], _ lock: WriterLock
    ) async throws(LedgerError) -> [(id: BatchID, verdict: RedisQueue.Verdict?)]? {
        var verdicts: [(id: BatchID, verdict: RedisQueue.Verdict?)] = []
        for one in taken {
            guard let verdict = try await self.store([one], lock) else { return nil }
            verdicts += verdict
        }
        return verdicts
    }

    private func noteRefusal(of id: BatchID, _ why: String) {
        self.state.withLock { $0.refused += 1 }
        self.logger.warning(
            "A batch in the queue was refused; its pod ships it another way",
            metadata: [LogKey.batch.rawValue: "\(id.text)", LogKey.errorMessage.rawValue: "\(why)"])
    }
}
