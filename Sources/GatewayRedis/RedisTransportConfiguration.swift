/// Times and bounds of the transport. Every pod of a fleet should have the same.
package struct RedisTransportConfiguration: Sendable, Hashable {
    /// How long the lock outlives a writer that died.
    package var lockDuration: Duration = .seconds(5)
    /// How long the writer gathers batches for one transaction.
    package var writerInterval: Duration = .milliseconds(100)
    /// A batch that is not stored by then is pushed again.
    package var repushAfter: Duration = .seconds(4)
    /// With the queue in trouble for this long, a pod writes into the store by itself. `nil`: it never does.
    package var directAfter: Duration? = .seconds(10)
    /// While a pod writes by itself, it tries the queue this often.
    package var probeInterval: Duration = .seconds(10)
    /// Without the right to write by itself, an append fails after this time, so that the trouble shows.
    package var patience: Duration = .seconds(10)
    /// Batches that wait at most; beyond, none is pushed.
    package var queueMax = 10_000
    /// One batch, bytes.
    package var batchBytesMax = 4 << 20
    /// Between two looks of the writer at whether a fold is due, which the fleet's pods share.
    package var foldInterval: Duration = .milliseconds(250)

    /// Events in one batch that this program makes.
    static let batchEventsMax = 5000
    /// Events in one batch that this program takes: more than it makes, so that a later version may make larger ones.
    static let batchEventsTakenMax = 10_000
    /// A transaction is closed once it has this many events.
    static let transactionEvents = 20_000
    /// Batches fetched at once: with those below, they bound a transaction at 100,000 events.
    static let fetchMax = 8
    /// Batches taken from the queue at once.
    static let takeMax = 256
    /// What a pod asks about the queue, and how often the lock is looked at.
    static let lookInterval = Duration.seconds(1)
    /// Between two looks of the writer at what others left in work.
    static let sweepInterval = Duration.seconds(5)
    /// How long what a writer says of a batch is kept.
    static let verdictLife = Duration.seconds(60)
    /// How long a batch that nobody asks for is kept.
    static let payloadLife = Duration.seconds(600)

    package init() {}
}
