import GatewayCore

/// How large a journal may grow and how often it is made durable.
package struct JournalConfiguration: Sendable, Equatable {
    /// Smallest and largest segment, bytes. A segment must hold the largest record many times over.
    package static let segmentBytesRange = 65_536...1_073_741_824
    /// A journal needs room for at least this many segments.
    package static let segmentsMin = 4
    /// Intents are refused when the journal has used this share of `bytesMax`; the rest is kept for settlements.
    package static let intentPercentMax = 90

    /// Size of one segment file, bytes, within `segmentBytesRange`.
    package var segmentBytes: Int
    /// Size of all segment files together, bytes, at least `segmentsMin` segments.
    package var bytesMax: Int
    /// Time between two group syncs. `nil`: nothing runs in the background and the owner calls `sync()`.
    package var syncInterval: Duration?

    package init(
        segmentBytes: Int = 16 << 20, bytesMax: Int = 1 << 30, syncInterval: Duration? = .milliseconds(20)
    ) {
        precondition(
            Self.segmentBytesRange.contains(segmentBytes),
            "segmentBytes is \(segmentBytes), not within \(Self.segmentBytesRange)")
        precondition(
            bytesMax >= segmentBytes * Self.segmentsMin,
            "bytesMax is \(bytesMax), less than \(Self.segmentsMin) segments of \(segmentBytes)")
        self.segmentBytes = segmentBytes
        self.bytesMax = bytesMax
        self.syncInterval = syncInterval
    }
}

/// What an operator sees of a journal's health.
package enum JournalState: Sendable, Equatable {
    case healthy
    /// Intents are refused until the journal has been shipped or the disk has room; settlements still fit.
    case full(String)
    /// A sync failed: what was written since the last good one may not be on disk. Intents are refused until restart.
    case failed(String)
    case closed
}

/// What opening a journal found and did.
package struct JournalRecovery: Sendable, Equatable {
    package var journalID: JournalID
    /// Sequence number of the last settlement found, before orphaned intents were settled; 0: none.
    package var lastSequence: Int64
    /// Intents without a settlement: each was settled as orphaned, with the sequence numbers after `lastSequence`.
    package var orphanedIntents: Int
    /// Whole records behind a hole in the part that had not been synced when the machine stopped; they are dropped,
    /// because the order of what a disk keeps of an unsynced part is not known. 0 after a killed process.
    package var discardedRecords: Int
    /// One sentence per cut or repair, for the log.
    package var notes: [String]
}
