import GatewayCore
import GatewayFleet
import Synchronization
import TestSupport

/// Runs tasks and all actors that they call on the one thread that drives it, in virtual time and in an order that only
/// the seed decides. Real actors and loops run on it unchanged: they inherit the executor of the task that calls them
/// (SE-0417).
final class SimulatedTime: TaskExecutor, WallClock {
    /// Who sleeps; a paused one sleeps on until its pause ends.
    typealias Sleeper = Int
    static let world: Sleeper = -1

    private struct Alarm {
        var sleeper: Sleeper
        var continuation: CheckedContinuation<Void, any Error>
    }
    private struct State {
        var jobs: [UnownedJob] = []
        var alarms: [Int: Alarm] = [:]
        var order = AlarmHeap()
        var cancelled: Set<Int> = []
        var pausedUntil: [Sleeper: Duration] = [:]
        var now = Duration.zero
        var nextAlarm = 0
        var steps = 0
        var generator: SeededGenerator
        /// Of tasks that were begun.
        var cancellations: [@Sendable () -> Void] = []
    }

    private let state: Mutex<State>

    init(seed: UInt64) { self.state = Mutex(State(generator: SeededGenerator(seed: seed))) }

    /// Virtual time since the start.
    var elapsed: Duration { self.state.withLock { $0.now } }
    /// Pieces of work done so far.
    var steps: Int { self.state.withLock { $0.steps } }

    /// 2026-11-22T12:00:00Z and what has passed since: the store's clock.
    func now() -> UnixMicroseconds {
        let (seconds, attoseconds) = self.elapsed.components
        return UnixMicroseconds(
            rawValue: 1_795_348_800_000_000 + seconds * 1_000_000 + attoseconds / 1_000_000_000_000)
    }

    func fleetTime(_ sleeper: Sleeper = SimulatedTime.world) -> FleetTime {
        FleetTime(now: { self.elapsed }, sleep: { try await self.wait($0, as: sleeper) })
    }

    func random(_ range: ClosedRange<Int>) -> Int {
        self.state.withLock { Int.random(in: range, using: &$0.generator) }
    }

    /// `true` in `percent` of 100 cases.
    func chance(_ percent: Int) -> Bool { self.random(1...100) <= percent }

    func seed() -> SeededGenerator { SeededGenerator(seed: self.state.withLock { $0.generator.next() }) }

    /// Stops the sleeper's alarms until then, as SIGSTOP does.
    func pause(_ sleeper: Sleeper, until end: Duration) {
        self.state.withLock { state in state.pausedUntil[sleeper] = max(end, state.pausedUntil[sleeper] ?? end) }
    }

    func wait(_ duration: Duration, as sleeper: Sleeper = SimulatedTime.world) async throws {
        let number = self.state.withLock { state in
            state.nextAlarm += 1
            return state.nextAlarm
        }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let isCancelled = self.state.withLock { state in
                    if state.cancelled.remove(number) != nil { return true }
                    let at = state.now + max(.zero, duration)
                    state.alarms[number] = Alarm(sleeper: sleeper, continuation: continuation)
                    state.order.insert(AlarmHeap.Entry(at: at, number: number))
                    return false
                }
                if isCancelled { continuation.resume(throwing: CancellationError()) }
            }
        } onCancel: {
            let alarm = self.state.withLock { state in
                let alarm = state.alarms.removeValue(forKey: number)
                if alarm == nil { state.cancelled.insert(number) }
                return alarm
            }
            alarm?.continuation.resume(throwing: CancellationError())
        }
    }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        self.state.withLock { $0.jobs.append(job) }
    }

    /// Does one piece of work, or lets time pass until there is one. `false`: nothing will ever happen again.
    private func step() -> Bool {
        let job = self.state.withLock { state -> UnownedJob? in
            guard !state.jobs.isEmpty else { return nil }
            state.steps += 1
            let index = Int.random(in: 0..<state.jobs.count, using: &state.generator)
            state.jobs.swapAt(index, state.jobs.count - 1)
            return state.jobs.removeLast()
        }
        if let job {
            job.runSynchronously(on: self.asUnownedTaskExecutor())
            return true
        }
        let due = self.state.withLock { state -> (continuation: CheckedContinuation<Void, any Error>?, isLeft: Bool) in
            guard let next = state.order.removeFirst() else { return (nil, false) }
            // A cancelled one is only in the heap.
            guard let alarm = state.alarms[next.number] else { return (nil, true) }
            state.now = max(state.now, next.at)
            if let end = state.pausedUntil[alarm.sleeper], end > state.now {
                state.order.insert(AlarmHeap.Entry(at: end, number: next.number))
                return (nil, true)
            }
            state.alarms[next.number] = nil
            return (alarm.continuation, true)
        }
        due.continuation?.resume()
        return due.isLeft
    }

    /// Runs `body` and everything that it starts, until it returns. Blocks the calling thread.
    func run<Value: Sendable>(_ body: @escaping @Sendable () async throws -> Value) throws -> Value {
        let result = Mutex<Result<Value, any Error>?>(nil)
        self.start {
            do {
                let value = try await body()
                result.withLock { $0 = .success(value) }
            } catch {
                result.withLock { $0 = .failure(error) }
            }
        }
        defer { self.windUp() }
        while true {
            if let result = result.withLock({ $0 }) { return try result.get() }
            guard self.step() else { throw Stuck(elapsed: self.elapsed) }
        }
    }

    /// Begins a task in this time, which ends with it at the latest.
    @discardableResult
    func start(_ body: @escaping @Sendable () async -> Void) -> Task<Void, Never> {
        let task = Task(executorPreference: self, operation: body)
        self.state.withLock { $0.cancellations.append { task.cancel() } }
        return task
    }

    @discardableResult
    func start(_ body: @escaping @Sendable () async throws -> Void) -> Task<Void, any Error> {
        let task = Task(executorPreference: self, operation: body)
        self.state.withLock { $0.cancellations.append { task.cancel() } }
        return task
    }

    /// Cancels what was begun and lets it end: what hung in mid-air would be kept for ever. Some of it begins more.
    private func windUp() {
        for _ in 0..<1_000_000 {
            let cancellations = self.state.withLock { state in
                defer { state.cancellations = [] }
                return state.cancellations
            }
            for cancel in cancellations { cancel() }
            guard self.step() else { return }
        }
    }

    /// All tasks wait for something that nobody will do.
    struct Stuck: Error, CustomStringConvertible {
        var elapsed: Duration
        var description: String { "stuck after \(self.elapsed) of virtual time" }
    }
}

/// Runs `body` in virtual time.
func simulated(
    seed: UInt64 = 1, _ body: @escaping @Sendable (SimulatedTime) async throws -> Void
) throws {
    let time = SimulatedTime(seed: seed)
    try time.run { try await body(time) }
}

/// The alarm that is due first; of those due at one time, the one that was set first.
private struct AlarmHeap {
    struct Entry: Comparable {
        var at: Duration
        var number: Int
        static func < (a: Entry, b: Entry) -> Bool { (a.at, a.number) < (b.at, b.number) }
    }
    private var entries: [Entry] = []

    mutating func insert(_ entry: Entry) {
        var place = self.entries.count
        self.entries.append(entry)
        while place > 0, entry < self.entries[(place - 1) / 2] {
            self.entries[place] = self.entries[(place - 1) / 2]
            place = (place - 1) / 2
        }
        self.entries[place] = entry
    }

    mutating func removeFirst() -> Entry? {
        guard let first = self.entries.first, let last = self.entries.popLast() else { return nil }
        if self.entries.isEmpty { return first }
        var place = 0
        while true {
            var child = place * 2 + 1
            if child >= self.entries.count { break }
            if child + 1 < self.entries.count, self.entries[child + 1] < self.entries[child] { child += 1 }
            if last < self.entries[child] { break }
            self.entries[place] = self.entries[child]
            place = child
        }
        self.entries[place] = last
        return first
    }
}
