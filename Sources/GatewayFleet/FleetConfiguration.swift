/// Times of a fleet. Every pod of a fleet should have the same.
package struct FleetConfiguration: Sendable, Equatable {
    /// Between two beats of a pod.
    package var beatInterval: Duration
    /// A pod that has not beaten for this long, by the store's clock, is taken for dead: its stream is fenced and nobody
    /// waits for it.
    package var deadAfter: Duration
    /// An orphaned stream is written off after this time.
    package var holdFor: Duration
    /// With the store away, a pod calls itself ready for this long.
    package var grace: Duration
    /// The change log is read at least this often, whether or not anybody told of news.
    package var pollInterval: Duration
    /// Longest wait after failures.
    package var backOffMax: Duration
    /// How long the right to do the periodic jobs outlives its holder.
    package var leaseDuration: Duration
    /// Usage rows older than this are dropped. `nil`: all are kept.
    package var retention: Duration?
    /// Between two runs of the store's upkeep (partitions, retention, summaries of the page range indexes, without which
    /// new pages are read by every look-up).
    package var maintainInterval: Duration
    /// Between two searches for dead pods.
    package var reapInterval: Duration
    /// Between two searches for journals of dead pods on a shared volume.
    package var adoptInterval: Duration

    package init(
        beatInterval: Duration = .seconds(1), deadAfter: Duration = .seconds(5), holdFor: Duration = .seconds(900),
        grace: Duration = .seconds(900), pollInterval: Duration = .seconds(5), backOffMax: Duration = .seconds(5),
        leaseDuration: Duration = .seconds(6), retention: Duration? = nil,
        maintainInterval: Duration = .seconds(60), reapInterval: Duration = .seconds(1),
        adoptInterval: Duration = .seconds(2)
    ) {
        precondition(beatInterval > .zero && beatInterval * 3 <= deadAfter, "a pod must beat thrice before it is dead")
        precondition(leaseDuration >= .seconds(1), "a lease of \(leaseDuration) cannot be kept up")
        self.beatInterval = beatInterval
        self.deadAfter = deadAfter
        self.holdFor = holdFor
        self.grace = grace
        self.pollInterval = pollInterval
        self.backOffMax = backOffMax
        self.leaseDuration = leaseDuration
        self.retention = retention
        self.maintainInterval = maintainInterval
        self.reapInterval = reapInterval
        self.adoptInterval = adoptInterval
    }
}
