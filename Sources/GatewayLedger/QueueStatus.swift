/// What an operator sees of a queue between pods and store, as one pod saw it last.
package struct QueueStatus: Sendable, Equatable {
    /// How this pod's rows travel.
    package enum Mode: String, Sendable {
        /// Through the queue.
        case queue
        /// Straight into the store, because the queue is away or nobody empties it.
        case direct
    }

    package var mode: Mode
    /// Name of the pod that writes for all. `nil`: none does, or it is not known.
    package var holder: String?
    /// The writer's fencing token. `nil`: as `holder`.
    package var token: Int64?
    /// Whether this pod is the writer.
    package var isHolder: Bool
    /// Batches that wait.
    package var depth: Int
    /// Batches that a writer has taken and not finished.
    package var inWork: Int
    /// Age of the oldest batch by the clock of the pod that made it. `nil`: there is none.
    package var oldestAge: Duration?
    /// Batches of this pod that were stored by way of the queue.
    package var queuedTotal: Int64
    /// Appends of this pod that went straight into the store.
    package var directTotal: Int64
    /// Transactions that this pod has committed as the writer.
    package var commitsTotal: Int64
    /// Batches that this pod, as the writer, could not read.
    package var refusedTotal: Int64
    /// Message of the queue's last failure. `nil`: it answers.
    package var lastError: String?

    package init(
        mode: Mode = .queue, holder: String? = nil, token: Int64? = nil, isHolder: Bool = false, depth: Int = 0,
        inWork: Int = 0, oldestAge: Duration? = nil, queuedTotal: Int64 = 0, directTotal: Int64 = 0,
        commitsTotal: Int64 = 0, refusedTotal: Int64 = 0, lastError: String? = nil
    ) {
        self.mode = mode
        self.holder = holder
        self.token = token
        self.isHolder = isHolder
        self.depth = depth
        self.inWork = inWork
        self.oldestAge = oldestAge
        self.queuedTotal = queuedTotal
        self.directTotal = directTotal
        self.commitsTotal = commitsTotal
        self.refusedTotal = refusedTotal
        self.lastError = lastError
    }
}

/// What the control plane asks of the queue.
package protocol QueueDirectory: Sendable {
    /// As seen last; nobody is asked.
    var status: QueueStatus { get }
    /// Asks the queue.
    func refreshedStatus() async -> QueueStatus
}
