/// Decides whether an append goes through the queue or straight into the store. Pure: times are handed in.
///
///     well ──a failure──► trouble(since) ──lasts for directAfter──► appends go direct, but for a probe now and then
///       ▲                     │                                               │
///       └─────stored by way of the queue──────────────────────────────────────┘
package struct QueueRoute: Sendable {
    package enum Decision: Sendable, Equatable {
        /// Try the queue until then.
        case queue(until: Duration)
        case direct
    }

    private enum State {
        case well
        case trouble(since: Duration, nextProbe: Duration)
    }

    private let directAfter: Duration?
    private let probeInterval: Duration
    private let patience: Duration
    private var state = State.well

    /// - Parameter directAfter: `nil`: never direct.
    package init(directAfter: Duration?, probeInterval: Duration, patience: Duration) {
        self.directAfter = directAfter
        self.probeInterval = probeInterval
        self.patience = patience
    }

    /// Whether appends go direct until a probe succeeds.
    package func isDirect(now: Duration) -> Bool {
        guard let directAfter = self.directAfter, case .trouble(let since, _) = self.state else { return false }
        return now - since >= directAfter
    }

    package func decide(now: Duration) -> Decision {
        guard let directAfter = self.directAfter else { return .queue(until: now + self.patience) }
        switch self.state {
        case .well: return .queue(until: now + directAfter)
        case .trouble(let since, let nextProbe):
            if now - since < directAfter { return .queue(until: since + directAfter) }
            // A probe is short, because rows wait for it.
            return now >= nextProbe ? .queue(until: now + min(directAfter, self.probeInterval / 4)) : .direct
        }
    }

    /// A batch came through.
    package mutating func succeeded() { self.state = .well }

    /// Something failed; the append goes on trying.
    package mutating func stumbled(now: Duration) {
        if case .well = self.state { self.state = .trouble(since: now, nextProbe: now) }
    }

    /// The append gave the queue up, as hopeless or because its time was over.
    /// - Parameter since: when the append began.
    package mutating func gaveUp(since: Duration, now: Duration) {
        let nextProbe = now + self.probeInterval
        switch self.state {
        case .well: self.state = .trouble(since: since, nextProbe: nextProbe)
        case .trouble(let earlier, _): self.state = .trouble(since: min(earlier, since), nextProbe: nextProbe)
        }
    }
}
