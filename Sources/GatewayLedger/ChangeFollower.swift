/// Puts changes of some kinds in force on this pod. Both functions may be repeated at any time.
package protocol ChangeFollower: Sendable {
    /// Kinds of change that concern it.
    var kinds: Set<Change.Kind> { get }
    /// Reads everything again: at start, and when the change log does not reach back to where this pod stands.
    /// - Throws: as the store; repeat.
    func reload() async throws(LedgerError)
    /// Puts the named things in force as the store has them now; all changes are of its kinds, in order.
    /// - Throws: as the store; the same changes come again.
    func apply(_ changes: [Change]) async throws(LedgerError)
}

/// A follower that reads everything again whatever changed; once for each batch of changes.
package struct ReloadingFollower: ChangeFollower {
    package let kinds: Set<Change.Kind>
    private let action: @Sendable () async throws(LedgerError) -> Void

    package init(kinds: Set<Change.Kind>, reload action: @escaping @Sendable () async throws(LedgerError) -> Void) {
        self.kinds = kinds
        self.action = action
    }

    package func reload() async throws(LedgerError) { try await self.action() }
    package func apply(_ changes: [Change]) async throws(LedgerError) { try await self.action() }
}
