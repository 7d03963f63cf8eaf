/// Runs one piece of work at a time for many callers. Those that arrive during a run share the next one, so every caller
/// gets the result of a run that began after its call, and a thousand callers cost two runs.
///
/// The first of those that wait leads the next run in its own task; should that task be cancelled, the others see how
/// the work took it, most likely as `.unavailable`, and may call again.
package actor SharedRun<Value: Sendable> {
    private enum Turn: Sendable {
        case lead(followers: [CheckedContinuation<Turn, Never>])
        case finished(Result<Value, LedgerError>)
    }

    private let waitingMax: Int
    private var isRunning = false
    private var waiting: [CheckedContinuation<Turn, Never>] = []

    package init(waitingMax: Int) { self.waitingMax = waitingMax }

    /// - Parameter work: must be the same piece of work at every call.
    /// - Throws: what the work threw; `.unavailable` when `waitingMax` callers wait already.
    package func run(
        _ work: @Sendable () async throws(LedgerError) -> Value
    ) async throws(LedgerError) -> Value {
        var followers: [CheckedContinuation<Turn, Never>] = []
        if self.isRunning {
            guard self.waiting.count < self.waitingMax else {
                throw .unavailable("\(self.waitingMax) callers wait for the same work already; repeat")
            }
            switch await withCheckedContinuation({ self.waiting.append($0) }) {
            case .finished(let result): return try result.get()
            case .lead(let others): followers = others
            }
        }
        self.isRunning = true
        let result: Result<Value, LedgerError>
        do throws(LedgerError) { result = .success(try await work()) } catch { result = .failure(error) }
        for follower in followers { follower.resume(returning: .finished(result)) }
        if self.waiting.isEmpty {
            self.isRunning = false
        } else {
            let leader = self.waiting.removeFirst()
            let others = self.waiting
            self.waiting = []
            leader.resume(returning: .lead(followers: others))
        }
        return try result.get()
    }
}
