import GatewayCore

/// What one group sync covers.
struct SyncTarget {
    /// Oldest first.
    var segments: [JournalSegment]
    var isDirectoryDirty: Bool
    var serial: UInt64
    var offset: Int
    var sequence: Int64
}

/// The steps of a group sync and of trimming that need the lock; the waiting is done between them, without it.
extension JournalWriter {
    /// What has to be synced now. `nil`: everything is on the disk.
    mutating func beginSync() throws(LedgerError) -> SyncTarget? {
        if let failure = self.failure { throw .unavailable(failure) }
        var segments = self.segments.dropLast().filter { !$0.isSynced }
        if self.isDirty { segments.append(self.current) }
        if segments.isEmpty, !self.isDirectoryDirty { return nil }
        let target = SyncTarget(
            segments: Array(segments), isDirectoryDirty: self.isDirectoryDirty, serial: self.current.serial,
            offset: self.position, sequence: self.sequence)
        self.isDirty = false
        self.isDirectoryDirty = false
        return target
    }

    /// The sync succeeded.
    mutating func finishSync(_ target: SyncTarget) {
        for segment in target.segments where segment.serial != target.serial { segment.isSynced = true }
        self.durableSequence = target.sequence
        self.durablePlace = (target.serial, target.offset)
        self.writeDurable(target)
    }

    /// The sync failed: the kernel may have thrown away what it could not write, so no later success proves anything.
    mutating func failSync(_ error: FileFailure) -> LedgerError {
        let message =
            "\(error.message); the journal is not trusted beyond settlement \(self.durableSequence) and metered calls "
            + "are refused: repair the disk, then restart, which writes again what is still in memory"
        self.failure = message
        return .unavailable(message)
    }

    /// The oldest segments that hold nothing above `applied` and no open intent; the current one never is among them.
    func removableSegments(through applied: Int64) -> [JournalSegment] {
        Array(
            self.segments.dropLast().prefix { segment in
                segment.lastSequence <= applied && segment.openIntents == 0
            })
    }

    /// The sealed segments, oldest first, that only open intents keep from being removed.
    func segmentsToCarry(through applied: Int64) -> [JournalSegment] {
        let applied = self.segments.dropLast().prefix { $0.lastSequence <= applied }
        return applied.filter { $0.openIntents > 0 }
    }

    /// The oldest segment's file is gone.
    mutating func forgetOldest() {
        self.sealedBytes -= self.segments.removeFirst().used
        if self.depthBytes <= self.configuration.bytesMax / 100 * JournalConfiguration.intentPercentMax {
            self.refusal = nil
        }
    }
}
