import GatewayCore
import GatewayLedger
import GatewayPostgres
import GatewayRedis
import Glibc
import Logging

/// One pod as the gateway makes it: journal, shipper, store, beats and a listener; only its calls are made up. All but
/// the journals' disk is real: they stand in memory, because one machine's disk is not that of 64.
struct MartletPod: Sendable {
    let index: Int
    let journal: Journal
    private let store: PostgresStore
    private let timed: TimedLedgerStore
    private let listener: PostgresListener
    private let recorder: Recorder
    /// `nil`: rows go straight into the store.
    private let transport: RedisTransport?

    /// - Parameter redis: address of the Redis that rows travel by. `nil`: they go straight into the store.
    init(index: Int, url: String, redis: String?, directory: String, recorder: Recorder) async throws {
        let separator = url.contains("?") ? "&" : "?"
        self.index = index
        self.recorder = recorder
        self.store = try PostgresStore(PostgresSettings(url: "\(url)\(separator)application_name=pod\(index)"))
        self.transport = try await Self.transport(redis, store: self.store, index: index)
        self.timed = TimedLedgerStore(store: self.transport?.store ?? self.store, recorder: recorder)
        self.journal = try Journal.open(
            directory: "\(directory)/pod\(index)",
            configuration: JournalConfiguration(segmentBytes: 1 << 20, bytesMax: 32 << 20, syncInterval: nil),
            clock: SystemClock()
        ).journal
        self.listener = try PostgresListener(
            self.store, pause: { try? await Task.sleep(for: $0) }, report: { recorder.failed($0) })
        _ = try await self.store.keySpend()  // opens the second connection, as a pod's start does
    }

    private static func transport(_ url: String?, store: PostgresStore, index: Int) async throws -> RedisTransport? {
        guard let url else { return nil }
        return try await RedisTransport(
            RedisSettings(url: url), store: store, name: "pod\(index)", configuration: RedisTransportConfiguration(),
            time: RedisTime(now: { .nanoseconds(monotonicNow()) }, sleep: { try await Task.sleep(for: $0) }),
            clock: SystemClock(), logger: Logger(label: "bench") { _ in SwiftLogNoOpLogHandler() })
    }

    /// Ships tick by tick until the task is cancelled, then what is left.
    /// - Returns: calls made, and what they cost in nano-dollars.
    func run(_ workload: Workload, _ plan: Plan) async -> (made: Int64, spend: Int64) {
        let callers = PodCallers(
            journal: self.journal, calls: PodCalls(workload: workload, plan: plan, pod: self.index),
            recorder: self.recorder)
        let shipper = LedgerShipper(
            journal: self.journal, store: self.timed, generator: Random(seed: plan.seed &+ UInt64(self.index)),
            sleep: { try await callers.wait($0) })
        let listening = Task { await self.listener.run() }
        let beating = Task { await self.beat(shipper) }
        let travelling = Task { await self.transport?.run() }
        await callers.start(at: plan.firstTick(of: self.index))
        await shipper.run()
        // What is left goes straight into the store, as at a pod's end.
        travelling.cancel()
        await travelling.value
        if let status = self.transport?.status, status.directTotal > 0 {
            self.recorder.failed("pod\(self.index): \(status.directTotal) appends did not go by Redis")
        }
        do {
            try await shipper.shipNow()
        } catch {
            self.recorder.failed("pod\(self.index): \(error.message)")
        }
        beating.cancel()
        self.listener.stop()
        await listening.value
        await beating.value
        await self.transport?.shutdown()
        return await (callers.calls.made, callers.calls.spend)
    }

    private func beat(_ shipper: LedgerShipper) async {
        let podID = PodID(UUIDBits(high: 0x7000, low: UInt64(self.index + 1)))
        while !Task.isCancelled {
            let beat = PodBeat(
                podID: podID, name: "pod\(self.index)", processID: getpid(), version: "0",
                startedAt: UnixMicroseconds(rawValue: 0), journal: self.journal.journalID,
                applied: shipper.status.applied ?? 0, changePosition: 0,
                journalBytes: Int64(self.journal.depthBytes), connections: self.store.connections)
            if (try? await self.store.beat(beat)) == nil { self.recorder.failed("pod\(self.index): no beat") }
            try? await Task.sleep(for: .seconds(1))
        }
    }
}

/// Makes a pod's calls, and its ticks.
private actor PodCallers {
    private let journal: Journal
    private let recorder: Recorder
    private(set) var calls: PodCalls
    private var tick: Int64 = 0

    init(journal: Journal, calls: PodCalls, recorder: Recorder) {
        self.journal = journal
        self.calls = calls
        self.recorder = recorder
    }

    /// Returns when the first tick is due.
    func start(at time: Int64) async {
        self.tick = time
        self.record()
        try? await Task.sleep(for: .nanoseconds(time - monotonicNow()))
        self.sync()
    }

    /// Stands between two ticks of the shipper for as long as it asks, or until the whole fleet's next tick.
    func wait(_ duration: Duration) async throws {
        let now = monotonicNow()
        self.tick = self.calls.plan.nextTick(after: self.tick, now: now, shipperWaits: duration)
        // Calls up to the tick stand in the journal before it, as when they come one by one.
        self.record()
        try await Task.sleep(for: .nanoseconds(self.tick - monotonicNow()))
        self.sync()
    }

    private func record() {
        do {
            for _ in 0..<self.calls.due(before: self.tick) {
                let event = UsageEvent(self.calls.next(), self.calls.workload)
                try self.journal.recordIntent(UsageIntent(event))
                try self.journal.recordSettlement(event)
            }
        } catch {
            self.recorder.failed("\(self.journal.directory): \(error)")
        }
    }

    private func sync() {
        do { try self.journal.sync() } catch { self.recorder.failed("\(self.journal.directory): \(error)") }
    }
}

/// Takes the time of what the shipper asks of the store.
struct TimedLedgerStore: LedgerStore {
    let store: any LedgerStore
    let recorder: Recorder

    func takeStream(_ journal: JournalID) async throws(LedgerError) -> StreamPosition {
        try await self.store.takeStream(journal)
    }

    func standing(of journal: JournalID) async throws(LedgerError) -> StreamStanding? {
        try await self.store.standing(of: journal)
    }

    func append(_ events: [UsageEvent], at position: StreamPosition) async throws(LedgerError) -> AppendOutcome {
        let began = monotonicNow()
        do {
            let outcome = try await self.store.append(events, at: position)
            self.recorder.committed(events.count, began: began)
            return outcome
        } catch {
            // What the end of the run interrupts, the last shipping repeats.
            if !Task.isCancelled { self.recorder.failed("append: \(error.message)") }
            throw error
        }
    }

    func fold() async throws(LedgerError) -> Int { try await self.store.fold() }

    func foldIfDue() async throws(LedgerError) -> Bool {
        let began = monotonicNow()
        do {
            let isLeft = try await self.store.foldIfDue()
            if !isLeft { self.recorder.folded(began: began) }
            return isLeft
        } catch {
            self.recorder.failed("fold: \(error.message)")
            throw error
        }
    }

    func keySpend() async throws(LedgerError) -> [VirtualKeyID: NanoUSD] { try await self.store.keySpend() }
    func counter(_ dimension: CounterDimension) async throws(LedgerError) -> UsageCounter {
        try await self.store.counter(dimension)
    }
    func usage(_ query: UsageQuery) async throws(LedgerError) -> [UsageRow] { try await self.store.usage(query) }
    func rebuildCounters() async throws(LedgerError) { try await self.store.rebuildCounters() }
    func verify() async throws(LedgerError) -> [String] { try await self.store.verify() }
}

private struct SystemClock: WallClock {
    func now() -> UnixMicroseconds {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return UnixMicroseconds(rawValue: Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000)
    }
}

extension UsageEvent {
    /// A call that was finished and measured.
    fileprivate init(_ call: PodCalls.Call, _ workload: Workload) {
        self.init(
            requestID: RequestID(call.requestID), attempt: 0, payer: workload.payers[call.key],
            route: workload.routes[call.model], kind: .chatCompletion, isStream: call.key % 2 == 0,
            startedAt: UnixMicroseconds(rawValue: call.startedAt), durationMicroseconds: 812_345,
            firstByteMicroseconds: 212_345, usage: TokenUsage(input: call.inputTokens, output: call.outputTokens),
            serviceTier: .standard, cost: NanoUSD(rawValue: call.cost), status: 200, outcome: .finished,
            flags: .measured, endUser: nil)
    }
}

extension UsageIntent {
    fileprivate init(_ event: UsageEvent) {
        self.init(
            requestID: event.requestID, attempt: event.attempt, payer: event.payer, route: event.route,
            kind: event.kind, isStream: event.isStream, startedAt: event.startedAt, orphanUsage: event.usage,
            orphanCost: event.cost, isUnpriced: false)
    }
}
