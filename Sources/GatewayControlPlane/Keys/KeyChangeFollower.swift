import GatewayCore
import GatewayLedger
import Logging
import Synchronization

/// Brings changes of keys from the store's change log to this pod. `start` loads everything; `catchUp` applies what
/// has come since and is safe to repeat at any time. A log that was cut below our position is answered by a reload.
package final class KeyChangeFollower: Sendable {
    private static let batchSize = 1000
    /// A reload is repeated when keys changed during it, so that paging cannot have skipped one; at most this often.
    private static let loadAttemptsMax = 5
    private let registry: KeyRegistry
    private let keyStore: any KeyStore
    private let logger: Logger
    private let applied = Atomic<Int64>(0)
    private let turns = TurnQueue(waitingMax: 100)

    package init(registry: KeyRegistry, keyStore: any KeyStore, logger: Logger) {
        self.registry = registry
        self.keyStore = keyStore
        self.logger = logger
    }

    /// Position of the last change that is in force here; 0: none.
    package var position: Int64 { self.applied.load(ordering: .acquiring) }

    /// Loads all keys with their spend. Call it before the first call is served.
    /// - Returns: how many keys there are.
    /// - Throws: as the store; some keys may be in force then; repeat.
    @discardableResult package func start() async throws(LedgerError) -> Int {
        try await self.turns.run(orThrow: Self.isFull) { () async throws(LedgerError) in try await self.load() }
    }

    /// Applies what is in the change log above `position`.
    /// - Returns: how many entries were applied.
    /// - Throws: as the store; what was applied stays, the rest comes with the next call.
    @discardableResult package func catchUp() async throws(LedgerError) -> Int {
        try await self.turns.run(orThrow: Self.isFull) { () async throws(LedgerError) in
            var count = 0
            while true {
                let position = self.position
                let changes = try await self.keyStore.changes(after: position, limit: Self.batchSize)
                guard let first = changes.first, let last = changes.last else { return count }
                if first.position > position + 1 {
                    self.logger.notice("Change log was cut, loading all keys again")
                    try await self.load()
                    return count + changes.count
                }
                for keyID in self.changedKeys(in: changes) { try await self.registry.refresh(keyID) }
                self.applied.store(last.position, ordering: .releasing)
                count += changes.count
                if changes.count < Self.batchSize { return count }
            }
        }
    }

    private static let isFull = LedgerError.unavailable("too many readers of the change log wait already; repeat")

    private func changedKeys(in changes: [Change]) -> Set<VirtualKeyID> {
        var keyIDs: Set<VirtualKeyID> = []
        for change in changes where change.kind == .key {
            if let keyID = VirtualKeyID(text: change.reference) {
                keyIDs.insert(keyID)
            } else {
                self.logger.warning(
                    "Change log names no key, skipped", metadata: [LogKey.changePosition.rawValue: "\(change.position)"]
                )
            }
        }
        return keyIDs
    }

    @discardableResult private func load() async throws(LedgerError) -> Int {
        var head = try await self.head()
        var count = 0
        for _ in 0..<Self.loadAttemptsMax {
            count = try await self.registry.loadAll()
            // What changed during the load is either in it or comes again from the log: both are right.
            self.applied.store(head, ordering: .releasing)
            let headAfter = try await self.head()
            if headAfter == head { break }
            head = headAfter
        }
        return count
    }

    /// The last position, found by doubling and halving, since the log may be long and is gap-free.
    private func head() async throws(LedgerError) -> Int64 {
        guard let first = try await self.keyStore.changes(after: 0, limit: 1).first else { return 0 }
        var low = first.position
        var step: Int64 = 1
        while step < Int64.max / 4, let change = try await self.keyStore.changes(after: low + step - 1, limit: 1).first
        {
            low = max(low, change.position)
            step *= 2
        }
        while step > 1 {
            step /= 2
            if let change = try await self.keyStore.changes(after: low + step - 1, limit: 1).first {
                low = max(low, change.position)
            }
        }
        return low
    }
}
