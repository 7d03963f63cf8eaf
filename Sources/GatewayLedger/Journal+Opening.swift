import GatewayCore
import Glibc

extension Journal {
    /// Opens or creates the journal in `directory`, cuts what a crash left half-written, and settles the intents of a
    /// killed process as orphaned.
    /// - Parameter existing: opens this journal only and creates nothing; for what another pod left. `nil`: the
    ///   directory's own journal, made if there is none.
    /// - Throws: `.locked`: another process holds the directory. `.notFound`: `existing` is not there (any more).
    ///   `.corrupt`: damage, with file and place; nothing was changed. `.journalFull`: the disk is full.
    ///   `.unavailable`: the file system refuses something.
    package static func open(
        directory: String, existing: JournalID? = nil, configuration: JournalConfiguration, clock: any WallClock,
        files: any JournalFiles = SystemJournalFiles()
    ) throws(LedgerError) -> (journal: Journal, recovery: JournalRecovery) {
        let lock: Int32
        do {
            lock = try Self.takeLock(directory: directory, creates: existing == nil, files: files)
        } catch let error as FileFailure {
            if existing != nil, error.code == ENOENT { throw .notFound("there is no journal in \(directory) any more") }
            throw error.ledgerError
        } catch let error as LedgerError {
            throw error
        } catch {
            throw .unavailable("cannot open the journal in \(directory)")
        }
        let journal: Journal
        let recovery: JournalRecovery
        do throws(LedgerError) {
            let journalID = try Self.identity(
                directory: directory, creates: existing == nil, clock: clock, files: files)
            if let existing, journalID != existing {
                throw LedgerError.notFound("the journal \(existing.text) is not in \(directory) any more")
            }
            var opening = JournalOpening(directory: directory, journalID: journalID, files: files)
            let segments = try opening.readSegments()
            var writer = try JournalWriter(
                directory: directory, journalID: opening.journalID, configuration: configuration, files: files,
                segments: segments, lastSequence: opening.survey.lastSequence ?? 0)
            for intent in opening.orphans { try writer.write(UsageEvent(orphaned: intent)) }
            journal = Journal(writer: writer, lockDescriptor: lock)
            recovery = opening.recovery
        } catch {
            files.close(lock)
            throw error
        }
        // From here on the journal gives the lock's descriptor back, also when one of these fails. Closed twice, it is
        // somebody else's the second time.
        try journal.sync()
        try journal.startSyncing(every: configuration.syncInterval)
        return (journal, recovery)
    }

    /// Someone who looks at the journal takes the lock for an instant to see whether it is held, hence a few tries.
    /// Someone who adopts it moves the directory away while holding the lock, so each try begins with the path.
    private static func takeLock(directory: String, creates: Bool, files: any JournalFiles) throws -> Int32 {
        let path = directory + "/" + JournalFormat.lockName
        for _ in 1...5 {
            if creates { try files.createDirectory(directory) }
            let descriptor = try files.open(path, create: creates)
            do {
                if try files.lock(descriptor, path: path) {
                    let identifier = Array("\(getpid())\n".utf8)
                    try files.truncate(descriptor, count: 0, path: path)
                    // Only a help for people: the lock itself is what counts.
                    _ = identifier.withUnsafeBytes { pwrite(descriptor, $0.baseAddress, $0.count, 0) }
                    return descriptor
                }
            } catch {
                files.close(descriptor)
                throw error
            }
            files.close(descriptor)
            sleepThread(.milliseconds(10))
        }
        let holder = String(decoding: try files.read(path) ?? [], as: UTF8.self).filter(\.isNumber)
        throw LedgerError.locked(
            "process \(holder.isEmpty ? "(unknown)" : holder) holds the journal in \(directory): stop it, or give "
                + "this one a data directory of its own")
    }

    private static func identity(
        directory: String, creates: Bool, clock: any WallClock, files: any JournalFiles
    ) throws(LedgerError) -> JournalID {
        let path = directory + "/" + JournalFormat.identityName
        do {
            if let content = try files.read(path) {
                let text = String(decoding: content, as: UTF8.self)
                guard text.utf8.last == UInt8(ascii: "\n"), let journalID = JournalID(text: text.dropLast()) else {
                    throw LedgerError.corrupt("\(path) does not hold a journal's id: restore it from a copy")
                }
                return journalID
            }
            guard creates else { throw LedgerError.notFound("there is no journal in \(directory) any more") }
            let names = try files.names(in: directory)
            if let name = names.first(where: { JournalFormat.serial(ofSegmentName: $0) != nil }) {
                throw LedgerError.corrupt(
                    "\(path) is missing although \(name) is there: restore it; the id stands in the segment's header")
            }
            var generator = SystemRandomNumberGenerator()
            let journalID = JournalID(.timeOrdered(at: clock.now(), using: &generator))
            try files.replace(path, with: Array((journalID.text + "\n").utf8))
            try files.syncDirectory(directory)
            return journalID
        } catch let error as FileFailure {
            throw error.ledgerError
        } catch let error as LedgerError {
            throw error
        } catch {
            throw .unavailable("cannot read \(path)")
        }
    }
}

extension UsageEvent {
    /// How an attempt is settled whose pod died: by the rule that was written down before it began.
    package init(orphaned intent: UsageIntent) {
        self.init(
            requestID: intent.requestID, attempt: intent.attempt, payer: intent.payer, route: intent.route,
            kind: intent.kind, isStream: intent.isStream, startedAt: intent.startedAt, durationMicroseconds: 0,
            firstByteMicroseconds: -1, usage: intent.orphanUsage, serviceTier: .standard, cost: intent.orphanCost,
            status: 0, outcome: .podDied, flags: intent.isUnpriced ? [.orphaned, .unpriced] : .orphaned,
            endUser: nil)
    }
}
