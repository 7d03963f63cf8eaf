import GatewayAdmission
import GatewayCore
import GatewayLedger
import Synchronization

/// Bounds of looking up keys that this pod does not know.
package struct ColdKeyConfiguration: Sendable, Equatable {
    /// Look-ups at the store at one time.
    package var readsMax: Int
    /// Calls that may wait for look-ups; more are told that the store is away.
    package var waitingMax: Int
    /// Keys that are known not to exist; more push out the oldest.
    package var unknownMax: Int
    /// How long such a key is not looked up again.
    package var unknownLife: Duration

    package init(
        readsMax: Int = 8, waitingMax: Int = 10_000, unknownMax: Int = 10_000, unknownLife: Duration = .seconds(5)
    ) {
        precondition(readsMax > 0 && waitingMax > 0 && unknownMax > 0, "each bound must be at least 1")
        self.readsMax = readsMax
        self.waitingMax = waitingMax
        self.unknownMax = unknownMax
        self.unknownLife = unknownLife
    }
}

/// Looks up keys that another pod has made and the change log has not brought yet. One indexed read for each digest,
/// however many calls ask for it; that a key does not exist is remembered for a few seconds, and forgotten as soon as
/// the change log tells of any key.
///
///     resolve ─► in force? found · known not to exist? unknown · store away or too many wait? storeAway
///             └► waiting (one entry a digest) ─► run(): read ─► found / unknown, remembered / storeAway
package final class ColdKeyResolver: KeyResolver {
    package typealias Completion = @Sendable (KeyResolution) -> Void
    private struct State {
        var waiting: [KeyDigest: [Completion]] = [:]
        var waitingCount = 0
        var unknown = UnknownKeys()
        /// Grows when what does not exist is forgotten: a look-up that began before tells nothing that lasts.
        var generation: UInt64 = 0
        var isStopped = false
    }

    private let registry: KeyRegistry
    private let configuration: ColdKeyConfiguration
    private let now: @Sendable () -> Duration
    private let isStoreAway: @Sendable () -> Bool
    private let state = Mutex(State())
    private let digests: AsyncStream<KeyDigest>
    private let continuation: AsyncStream<KeyDigest>.Continuation

    /// - Parameters:
    ///   - now: monotonic time.
    ///   - isStoreAway: what is known of the store without asking it; then nobody has to wait for a look-up to fail.
    package init(
        registry: KeyRegistry, configuration: ColdKeyConfiguration = ColdKeyConfiguration(),
        now: @escaping @Sendable () -> Duration, isStoreAway: @escaping @Sendable () -> Bool
    ) {
        self.registry = registry
        self.configuration = configuration
        self.now = now
        self.isStoreAway = isStoreAway
        // A digest is in the stream while it waits, so there are never more.
        (self.digests, self.continuation) = AsyncStream.makeStream(
            bufferingPolicy: .bufferingOldest(configuration.waitingMax))
    }

    /// Keys that are remembered not to exist.
    package var unknownCount: Int { self.state.withLock { $0.unknown.count } }

    /// Does the look-ups until the task is cancelled; then everybody who waits is told that the store is away. Call it
    /// once; until then calls wait.
    package func run() async {
        await withTaskGroup(of: Void.self) { group in
            var running = 0
            for await digest in self.digests {
                if running == self.configuration.readsMax {
                    await group.next()
                    running -= 1
                }
                group.addTask { await self.lookUp(digest) }
                running += 1
            }
            await group.waitForAll()
        }
        let left = self.state.withLock { state in
            state.isStopped = true
            defer {
                state.waiting = [:]
                state.waitingCount = 0
            }
            return state.waiting.values.flatMap { $0 }
        }
        for completion in left { completion(.storeAway) }
    }

    /// A key was made or changed somewhere: what did not exist may exist now.
    package func forgetUnknown() {
        self.state.withLock { state in
            state.unknown.removeAll()
            state.generation &+= 1
        }
    }

    package func resolve(_ digest: KeyDigest, completion: @escaping Completion) {
        if let entry = self.registry.directory.entry(digest: digest) { return completion(.found(entry)) }
        let (now, isAway) = (self.now(), self.isStoreAway())
        let answer = self.state.withLock { state -> KeyResolution? in
            if state.unknown.contains(digest, now: now) { return .unknown }
            guard !isAway, !state.isStopped, state.waitingCount < self.configuration.waitingMax else {
                return .storeAway
            }
            state.waitingCount += 1
            state.waiting[digest, default: []].append(completion)
            if state.waiting[digest]?.count == 1 { self.continuation.yield(digest) }
            return nil
        }
        if let answer { completion(answer) }
    }

    /// The same for who can wait.
    func resolve(_ digest: KeyDigest) async -> KeyResolution {
        await withCheckedContinuation { continuation in
            self.resolve(digest) { continuation.resume(returning: $0) }
        }
    }

    private func lookUp(_ digest: KeyDigest) async {
        let generation = self.state.withLock { $0.generation }
        let resolution: KeyResolution
        do throws(LedgerError) {
            resolution = try await self.registry.admit(digest).map { .found($0) } ?? .unknown
        } catch {
            resolution = .storeAway
        }
        let now = self.now()
        let completions = self.state.withLock { state in
            let completions = state.waiting.removeValue(forKey: digest) ?? []
            state.waitingCount -= completions.count
            if case .unknown = resolution, state.generation == generation {
                state.unknown.insert(
                    digest, until: now + self.configuration.unknownLife, countMax: self.configuration.unknownMax)
            }
            return completions
        }
        for completion in completions { completion(resolution) }
    }
}

/// Keys that do not exist, each for a while. All live equally long, so the oldest entry is the first to go.
struct UnknownKeys: Sendable {
    private var ends: [KeyDigest: Duration] = [:]
    /// In the order of insertion; those before `first` are gone.
    private var order: [KeyDigest] = []
    private var first = 0

    var count: Int { self.ends.count }

    func contains(_ digest: KeyDigest, now: Duration) -> Bool { self.ends[digest].map { now < $0 } ?? false }

    mutating func insert(_ digest: KeyDigest, until end: Duration, countMax: Int) {
        if self.ends.updateValue(end, forKey: digest) == nil { self.order.append(digest) }
        while self.ends.count > countMax, self.first < self.order.count {
            self.ends[self.order[self.first]] = nil
            self.first += 1
        }
        if self.first > 1024, self.first * 2 > self.order.count {
            self.order.removeFirst(self.first)
            self.first = 0
        }
    }

    mutating func removeAll() { self = UnknownKeys() }
}
