import GatewayCore
import Glibc
import Synchronization

/// The pod's own record of attempts: an intent before an attempt's first byte, a settlement after it, from where the
/// shipper takes the settlements to the store.
///
/// A record is copied into a mapped file, so it survives the death of the process at once and without a system call
/// (writing it would cost two of about a microsecond per call); a group sync every few milliseconds makes it survive
/// the death of the machine. Files are allocated before they are mapped, so a full disk shows as an error and never as
/// a fault in a store. `JournalFormat` describes the files.
///
/// All functions may be called from any thread. `recordIntent` and `recordSettlement` take one short lock and never
/// wait for the disk, except when a segment must be made that the sync thread has not made ahead of time.
package final class Journal: Sendable {
    package let journalID: JournalID
    package let directory: String

    let writer: Mutex<JournalWriter>
    let files: any JournalFiles
    /// Held while a sync is under way, so that there is one at a time; never taken on a call's path.
    let syncing = Mutex<Int>(0)
    let reading = Mutex<ReadPlace?>(nil)
    private let lockDescriptor: Mutex<Int32?>
    private let thread = Mutex<SyncThread?>(nil)

    init(
        writer: consuming sending JournalWriter, lockDescriptor: Int32
    ) {
        self.journalID = writer.journalID
        self.directory = writer.directory
        self.files = writer.files
        self.writer = Mutex(writer)
        self.lockDescriptor = Mutex(lockDescriptor)
    }

    /// Without `close()` the last records may not be on the disk, as if the process had died; but the lock is let go.
    deinit {
        self.lockDescriptor.withLock { descriptor in
            if let descriptor { self.files.close(descriptor) }
        }
    }

    // MARK: On a call's path

    /// Records an attempt before its first byte is sent, and keeps room for its settlement.
    /// - Throws: `.journalFull`: refuse the call (503). `.unavailable`: a sync has failed, or the journal is closed.
    ///   `.conflict`: the attempt is open already.
    package func recordIntent(_ intent: UsageIntent) throws(LedgerError) {
        try self.writer.withLock { (writer) throws(LedgerError) in try writer.append(intent) }
    }

    /// Records how an attempt ended. It fits: room for it was kept when its intent was recorded.
    /// - Returns: its sequence number.
    /// - Throws: `.conflict`: the attempt has no open intent (settled already, or never begun); nothing is recorded.
    ///   `.unavailable`: the journal is closed.
    @discardableResult
    package func recordSettlement(_ event: UsageEvent) throws(LedgerError) -> Int64 {
        try self.writer.withLock { (writer) throws(LedgerError) in
            try writer.append(event)
            return writer.sequence
        }
    }

    // MARK: For operators

    package var state: JournalState {
        self.writer.withLock { writer in
            if writer.isClosed { return .closed }
            if let failure = writer.failure { return .failed(failure) }
            if let refusal = writer.refusal { return .full(refusal) }
            return .healthy
        }
    }

    /// Sequence number of the last settlement recorded; 0: none.
    package var lastSequence: Int64 { self.writer.withLock { $0.sequence } }
    /// Sequence number of the last settlement known to be on the disk; only those up to it are shipped.
    package var durableSequence: Int64 { self.writer.withLock { $0.durableSequence } }
    /// Bytes of records in all segments.
    package var depthBytes: Int { self.writer.withLock { $0.depthBytes } }
    /// Attempts in flight.
    package var openIntents: Int { self.writer.withLock { $0.inFlight.count } }

    // MARK: In the background

    /// Starts the group sync. Without an interval nothing runs in the background.
    func startSyncing(every interval: Duration?) throws(LedgerError) {
        guard let interval else { return }
        // A failure is kept in `state` and refuses intents, so there is nothing more to do with it here.
        guard let thread = SyncThread(interval: interval, work: { [self] in try? self.sync() }) else {
            throw .unavailable("the system gives no thread for the journal's sync; raise the limit of threads")
        }
        self.thread.withLock { $0 = thread }
    }

    /// Waits until everything recorded before this call is on the disk.
    /// - Throws: `.unavailable`: a sync failed, now or earlier; intents are refused until restart.
    package func sync() throws(LedgerError) {
        try self.syncing.withLock { (count) throws(LedgerError) in
            count &+= 1
            try self.syncOnce()
        }
        self.prepareSpare()
    }

    private func syncOnce() throws(LedgerError) {
        let target = try self.writer.withLock { (writer) throws(LedgerError) in try writer.beginSync() }
        guard let target else { return }
        do {
            if target.isDirectoryDirty { try self.files.syncDirectory(self.directory) }
            for segment in target.segments { try segment.sync() }
        } catch {
            let failure: LedgerError = self.writer.withLock { $0.failSync(error) }
            throw failure
        }
        self.writer.withLock { $0.finishSync(target) }
        for segment in target.segments {
            segment.releaseMemory(below: segment.serial == target.serial ? target.offset : segment.used)
        }
    }

    /// Makes the next segment ahead of time. A failure is not reported here: it will be if the segment is needed.
    private func prepareSpare() {
        let number = self.writer.withLock { $0.wantsSpare ? $0.takeSpareNumber() : nil }
        guard let number else { return }
        let size = self.writer.withLock { $0.configuration.segmentBytes }
        guard
            let spare = try? JournalSegment.createSpare(
                directory: self.directory, number: number, capacity: size, files: self.files)
        else { return }
        self.writer.withLock { $0.spares.append(spare) }
    }

    /// Syncs, stops the background thread and releases the directory. Attempts still in flight are settled as orphaned
    /// at the next open. Closing twice is fine.
    /// - Throws: `.unavailable`: the last sync failed; the journal is closed nevertheless.
    package func close() throws(LedgerError) {
        let thread = self.thread.withLock { thread in
            defer { thread = nil }
            return thread
        }
        thread?.stop()
        let wasClosed = self.writer.withLock { writer in
            defer { writer.isClosed = true }
            return writer.isClosed
        }
        if wasClosed { return }
        defer {
            self.lockDescriptor.withLock { descriptor in
                if let descriptor { self.files.close(descriptor) }
                descriptor = nil
            }
            let spares = self.writer.withLock { writer in
                defer { writer.spares = [] }
                return writer.spares.map(\.path)
            }
            // A spare that stays is removed at the next open.
            for path in spares { try? self.files.remove(path) }
        }
        try self.sync()
        // The mark that all is durable is the last record; it should be on the disk itself.
        self.writer.withLock { $0.isDirty = true }
        try self.sync()
    }
}
