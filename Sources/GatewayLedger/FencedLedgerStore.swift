import GatewayCore

/// The fence of a store that one writer at a time fills for all pods.
package struct WriterFence: Sendable, Equatable {
    /// Made with the store and never changed: tells two ledgers apart that share a queue's server.
    package var ledgerID: UUIDBits
    /// Grows with each taking; 0: nobody ever took it.
    package var token: Int64
    /// Name of who took it last.
    package var holder: String
    /// Transactions committed under any token.
    package var commits: Int64

    package init(ledgerID: UUIDBits, token: Int64, holder: String, commits: Int64) {
        self.ledgerID = ledgerID
        self.token = token
        self.holder = holder
        self.commits = commits
    }
}

/// A ledger's store that lets one writer commit batches of many streams at once, and checks in the same transaction
/// that no later writer has come: whoever holds a lock elsewhere may be paused for any time, or be wrong about it.
package protocol FencedLedgerStore: LedgerStore {
    func writerFence() async throws(LedgerError) -> WriterFence
    /// Becomes the writer if, and only if, the token still is `token` (one compare-and-set).
    /// - Returns: the new token. `nil`: somebody else came first.
    func takeWriterFence(after token: Int64, holder: String) async throws(LedgerError) -> Int64?
    /// Stores batches of several streams in one transaction, each by the compare-and-set of `append`; of one stream only
    /// the first of those given is tried.
    /// - Returns: what became of each batch, in their order; rejected ones are judged after the transaction. `nil`: the
    ///   token is not the newest, and nothing was stored.
    func append(_ batches: [LedgerBatch], token: Int64) async throws(LedgerError) -> [AppendOutcome]?
    /// Where a stream stands now. `nil`: there is none of this number and journal.
    func currentPosition(of position: StreamPosition) async throws(LedgerError) -> StreamPosition?
}
