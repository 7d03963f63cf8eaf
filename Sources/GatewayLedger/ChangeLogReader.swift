import Synchronization

/// Reads the store's change log and hands each change to the followers of its kind. `position` moves on only when every
/// follower has put in force what it names, so it may be shown to other pods as an acknowledgement.
///
///     start ──load──► position ──catchUp──► entries follow on: apply, position moves
///                        ▲                  first entry is further away, or the log was emptied: load
///                        └──────────────────────────────────────────────────────────────────────┘
///
/// All functions may be called from any task; one run at a time, late callers share the next one.
package final class ChangeLogReader: Sendable {
    private static let batchSize = 1000
    /// A load is repeated when something changed during it, so that paging cannot have skipped it; at most this often.
    private static let loadAttemptsMax = 5

    private let store: any KeyStore
    private let followers: [any ChangeFollower]
    private let applied = Atomic<Int64>(0)
    private let announced = Atomic<Int64>(0)
    private let mustLoad = Atomic<Bool>(false)
    private let runs = SharedRun<Int64>(waitingMax: 1000)

    package init(store: any KeyStore, followers: [any ChangeFollower]) {
        self.store = store
        self.followers = followers
    }

    /// Position of the last change that is in force here; 0: none.
    package var position: Int64 { self.applied.load(ordering: .acquiring) }

    /// Highest position that anybody has told of, or that is in force here.
    package var head: Int64 { max(self.announced.load(ordering: .acquiring), self.position) }

    /// Notes that the log reaches to `head`. Without it an emptied log could not be told from one with no news.
    package func note(head: Int64) { self.announced.max(head, ordering: .acquiringAndReleasing) }

    /// Loads everything. Call it before the first call is served.
    /// - Returns: the position that is in force.
    /// - Throws: as the store; some things may be in force then; repeat.
    @discardableResult package func start() async throws(LedgerError) -> Int64 {
        self.mustLoad.store(true, ordering: .releasing)
        return try await self.catchUp()
    }

    /// The store stands before what this pod has seen: it lost changes, as a fail-over to a lagging copy does. Loads
    /// everything and goes on from where the store stands now.
    package func startOver() async throws(LedgerError) {
        self.announced.store(0, ordering: .releasing)
        try await self.start()
    }

    /// Puts everything in force that stood in the log when this was called.
    /// - Returns: the position that is in force.
    /// - Throws: as the store; what was applied stays, the rest comes with the next call.
    @discardableResult package func catchUp() async throws(LedgerError) -> Int64 {
        try await self.runs.run { () async throws(LedgerError) in
            if self.mustLoad.load(ordering: .acquiring) {
                try await self.load()
            } else {
                try await self.readOn()
            }
            return self.position
        }
    }

    private func readOn() async throws(LedgerError) {
        while true {
            let position = self.position
            // Taken before the log is read: what is told of later may not be in the answer.
            let head = self.head
            let changes = try await self.store.changes(after: position, limit: Self.batchSize)
            guard let first = changes.first, let last = changes.last else {
                if head > position { try await self.load() }
                return
            }
            if first.position > position + 1 { return try await self.load() }
            for follower in self.followers {
                let own = changes.filter { follower.kinds.contains($0.kind) }
                if !own.isEmpty { try await follower.apply(own) }
            }
            self.applied.store(last.position, ordering: .releasing)
            if changes.count < Self.batchSize { return }
        }
    }

    private func load() async throws(LedgerError) {
        self.mustLoad.store(true, ordering: .releasing)
        var head = try await self.lastPosition()
        for _ in 0..<Self.loadAttemptsMax {
            // Cleared before reading: a call for another load that comes meanwhile must not be forgotten.
            self.mustLoad.store(false, ordering: .releasing)
            do throws(LedgerError) {
                for follower in self.followers { try await follower.reload() }
                // What changed during the load is either in it or comes again from the log: both are right.
                self.applied.store(head, ordering: .releasing)
                let after = try await self.lastPosition()
                if after == head { return }
                head = after
            } catch {
                self.mustLoad.store(true, ordering: .releasing)
                throw error
            }
        }
    }

    /// The last position, found by doubling and halving, since the log may be long and is gap-free. An empty log tells
    /// nothing: then it is what was announced.
    private func lastPosition() async throws(LedgerError) -> Int64 {
        let announced = self.announced.load(ordering: .acquiring)
        guard let first = try await self.store.changes(after: 0, limit: 1).first else { return announced }
        var low = first.position
        var step: Int64 = 1
        while step < Int64.max / 4, let change = try await self.store.changes(after: low + step - 1, limit: 1).first {
            low = max(low, change.position)
            step *= 2
        }
        while step > 1 {
            step /= 2
            if let change = try await self.store.changes(after: low + step - 1, limit: 1).first {
                low = max(low, change.position)
            }
        }
        return low
    }
}
