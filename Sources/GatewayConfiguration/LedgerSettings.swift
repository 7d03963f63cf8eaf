/// Bounds and intervals of the journal and the ledger.
package struct LedgerSettings: Sendable, Hashable {
    /// All segments of the journal together, bytes. At this bound metered calls are refused.
    package var journalBytesMax = 1 << 30
    /// One segment file, bytes; at most a quarter of `journalBytesMax`.
    package var journalSegmentBytes = 16 << 20
    /// Between two group syncs of the journal to disk.
    package var syncInterval: Duration = .milliseconds(20)
    /// Between two shipments of settled calls to the store.
    package var tickInterval: Duration = .milliseconds(500)
    /// Output tokens that a call is expected to take when its body sets no bound: the share of an orphaned call that
    /// is charged besides its input.
    package var orphanOutputTokens = 256

    package init() {}
}
