import Synchronization

/// Time as the fleet's loops see it. Injected, so that tests and the simulation drive it.
package struct FleetTime: Sendable {
    /// Monotonic time since any fixed moment; counts on while the machine is suspended (`CLOCK_BOOTTIME`).
    package var now: @Sendable () -> Duration
    /// Waits; throws when the task is cancelled.
    package var sleep: @Sendable (Duration) async throws -> Void

    package init(
        now: @escaping @Sendable () -> Duration, sleep: @escaping @Sendable (Duration) async throws -> Void
    ) {
        self.now = now
        self.sleep = sleep
    }
}

/// Chooses pauses so that pods which started together drift apart, and which fail together do not come back together.
final class Pacer: Sendable {
    private let generator: Mutex<any RandomNumberGenerator & Sendable>

    init(_ generator: any RandomNumberGenerator & Sendable) { self.generator = Mutex(generator) }

    /// 0.9 to 1 times `period`, so that what is promised "every second" holds.
    func period(_ period: Duration) -> Duration { period / 10_000 * (9000 + self.part()) }

    /// 0.5 to 1 times a wait that doubles with each failure up to `most`.
    func backOff(from least: Duration, failures: Int, most: Duration) -> Duration {
        let wait = min(most, least * (1 << min(max(failures, 1) - 1, 16)))
        return wait / 2000 * (1000 + self.part())
    }

    /// 0...1000
    private func part() -> Int {
        self.generator.withLock { generator in Int.random(in: 0...1000, using: &generator) }
    }
}
