import GatewayCore
import NIOCore
import NIOPosix
import NIOSSL

/// One connection, opened at its first use and again after it broke, on an event loop and thread of its own. What several
/// callers send at once goes out one after the other without waiting for answers; each wait has a bound.
///
///     closed --send--> opening --> open --send--> open
///       ^                 |          | broken, late, or the server is none that we can use
///       +----back-off-----+----------+
package actor RedisConnection {
    package nonisolated let settings: RedisSettings
    private let group: MultiThreadedEventLoopGroup
    private let now: @Sendable () -> Duration
    private var random: any RandomNumberGenerator & Sendable
    private var channel: (any Channel)?
    private var opening: Task<Result<any Channel, RedisError>, Never>?
    private var failures = 0
    private var lastError: RedisError?
    private var nextAttempt = Duration.zero
    private var isShutDown = false
    /// Calls of `send` under way; the event loop must outlive them, because it answers them.
    private var sending = 0
    private var idle: CheckedContinuation<Void, Never>?

    /// Starts a thread, and opens nothing yet.
    /// - Parameter random: spreads the attempts to reconnect.
    package init(
        _ settings: RedisSettings, now: @escaping @Sendable () -> Duration,
        random: any RandomNumberGenerator & Sendable = SystemRandomNumberGenerator()
    ) {
        self.settings = settings
        self.now = now
        self.random = random
        self.group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    }

    /// Closes the connection and ends its thread; for good.
    package func shutdown() async {
        if self.isShutDown { return }
        self.isShutDown = true
        _ = await self.opening?.value
        try? await self.channel?.close()
        if self.sending > 0 { await withCheckedContinuation { self.idle = $0 } }
        try? await self.group.shutdownGracefully()
    }

    /// Sends commands as one pipeline. They are not a transaction: others' commands may come between them.
    /// - Returns: their answers in order, no `.error` among them.
    /// - Throws: the first error among the answers, the other commands having been carried out; or `.connectionLost`,
    ///   when any of them may have been.
    package func send(_ commands: [RedisCommand]) async throws(RedisError) -> [RedisReply] {
        self.sending += 1
        defer {
            self.sending -= 1
            if self.sending == 0 { self.idle.take()?.resume() }
        }
        let channel = try await self.open()
        let replies = try await Self.run(commands, on: channel, timeout: self.settings.commandTimeout)
        for reply in replies {
            guard case .error(let text) = reply else { continue }
            let error = RedisError(reply: text, target: self.settings.target)
            if error.endsConnection {
                channel.close(promise: nil)
                self.noteFailure(error)
            }
            throw error
        }
        return replies
    }

    package func send(_ command: RedisCommand) async throws(RedisError) -> RedisReply {
        try await self.send([command])[0]
    }

    static func run(
        _ commands: [RedisCommand], on channel: any Channel, timeout: Duration
    ) async throws(RedisError) -> [RedisReply] {
        let promise = channel.eventLoop.makePromise(of: [RedisReply].self)
        let pipeline = RedisPipeline(
            commands: commands, promise: promise, timeout: .milliseconds(timeout.milliseconds))
        // A channel that is closed by now does not come to the handler, which would answer else.
        channel.writeAndFlush(pipeline).whenFailure { error in
            promise.fail(
                error as? RedisError ?? RedisError(.connectionLost, "The connection to Redis is closed."))
        }
        do {
            return try await promise.futureResult.get()
        } catch {
            throw error as? RedisError ?? RedisError(.connectionLost, "The connection to Redis broke: \(error).")
        }
    }

    // MARK: opening

    /// The open connection, or a new one. While the back-off lasts the former error is thrown at once, so that callers
    /// do not queue up behind a server that is away.
    private func open() async throws(RedisError) -> any Channel {
        if self.isShutDown { throw RedisError(.unreachable, "The connection to Redis is closed for good.") }
        if let channel = self.channel, channel.isActive { return channel }
        if let opening = self.opening { return try await opening.value.get() }
        if let error = self.lastError, self.now() < self.nextAttempt { throw error }
        let dialer = RedisDialer(settings: self.settings, group: self.group)
        let opening = Task { () -> Result<any Channel, RedisError> in
            do throws(RedisError) {
                return .success(try await dialer.dial())
            } catch {
                return .failure(error)
            }
        }
        self.opening = opening
        let result = await opening.value
        self.opening = nil
        switch result {
        case .success(let channel):
            self.channel = channel
            self.failures = 0
            self.lastError = nil
            return channel
        case .failure(let error):
            self.noteFailure(error)
            throw error
        }
    }

    private func noteFailure(_ error: RedisError) {
        self.failures = min(self.failures + 1, 16)
        let ceiling = min(self.settings.backoffMax.milliseconds, 25 << Int64(self.failures))
        let pause = Int64.random(in: (ceiling / 2)...ceiling, using: &self.random)
        self.nextAttempt = self.now() + .milliseconds(pause)
        self.lastError = error
    }
}
