/// Time as the transport sees it. Injected, so that tests drive it.
package struct RedisTime: Sendable {
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

extension Duration {
    /// For Redis' `PX` and NIO's timers: whole milliseconds, at least 1.
    var milliseconds: Int64 {
        max(1, self.components.seconds * 1000 + self.components.attoseconds / 1_000_000_000_000_000)
    }
}
