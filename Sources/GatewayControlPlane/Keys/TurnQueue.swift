import Synchronization

/// Lets one asynchronous piece of work run at a time, in the order of arrival. An actor would not do: it lets others
/// in at every `await`, and a key's change spans two of them.
final class TurnQueue: Sendable {
    private struct State {
        var isTaken = false
        var waiting: [CheckedContinuation<Bool, Never>] = []
    }

    private let state = Mutex(State())
    private let waitingMax: Int

    init(waitingMax: Int) { self.waitingMax = waitingMax }

    /// Runs `body` when all earlier ones are done.
    /// - Throws: `refusal` when `waitingMax` pieces of work wait already; whatever `body` throws.
    func run<Value: Sendable, Failure: Error>(orThrow refusal: Failure, _ body: () async throws(Failure) -> Value)
        async throws(Failure) -> Value
    {
        guard await self.enter() else { throw refusal }
        defer { self.leave() }
        return try await body()
    }

    /// Waits for the turn. `false`: too many wait already.
    private func enter() async -> Bool {
        await withCheckedContinuation { (continuation: CheckedContinuation<Bool, Never>) in
            let isEntered = self.state.withLock { state -> Bool? in
                if !state.isTaken {
                    state.isTaken = true
                    return true
                }
                guard state.waiting.count < self.waitingMax else { return false }
                state.waiting.append(continuation)
                return nil
            }
            if let isEntered { continuation.resume(returning: isEntered) }
        }
    }

    private func leave() {
        let next = self.state.withLock { state -> CheckedContinuation<Bool, Never>? in
            if state.waiting.isEmpty {
                state.isTaken = false
                return nil
            }
            return state.waiting.removeFirst()
        }
        next?.resume(returning: true)
    }
}
