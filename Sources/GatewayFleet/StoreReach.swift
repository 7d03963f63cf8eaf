/// Whether the store answers, told by a pod's beats. A pure value: times are handed in.
///
///     unknown ──answered──► reachable ──failed──► away(since the last answered beat was sent) ──answered──► reachable
///        └──────failed──────────────────────────────▲
struct StoreReach: Sendable, Equatable {
    private enum State: Equatable {
        case reachable
        /// Counted from the moment when the last answered beat was *sent*: the store's own count begins later, so a pod
        /// never believes itself alive for longer than the store does.
        case away(since: Duration, error: String)
    }

    /// When this pod began to try.
    private let startedAt: Duration
    private(set) var lastAnsweredAt: Duration?
    /// Since when every beat was answered. `nil`: the last one was not, or none was sent yet.
    private(set) var answeringSince: Duration?
    private var state = State.reachable

    init(startedAt: Duration) { self.startedAt = startedAt }

    mutating func answered(sentAt: Duration) {
        self.lastAnsweredAt = max(self.lastAnsweredAt ?? sentAt, sentAt)
        self.answeringSince = self.answeringSince ?? sentAt
        self.state = .reachable
    }

    mutating func failed(_ error: String) {
        self.answeringSince = nil
        self.state = .away(since: self.lastAnsweredAt ?? self.startedAt, error: error)
    }

    /// `nil`: the last beat was answered.
    var lastError: String? {
        switch self.state {
        case .reachable: nil
        case .away(_, let error): error
        }
    }

    /// `nil`: the last beat was answered.
    func unreachableFor(now: Duration) -> Duration? {
        switch self.state {
        case .reachable: nil
        case .away(let since, _): max(.zero, now - since)
        }
    }
}
