import GatewayCore
import Glibc

extension Journal {
    /// Opens or creates the journal in `directory`, cuts what a crash left half-written, and settles the intents of a
    /// killed process as orphaned.
    /// - Throws: `.locked`: another process holds the directory. `.corrupt`: damage, with file and place; nothing was
    ///   changed. `.journalFull`: the disk is full. `.unavailable`: the file system refuses something.
    package static func open(
        directory: String, configuration: JournalConfiguration, clock: any WallClock,
        files: any JournalFiles = SystemJournalFiles()
    ) throws(LedgerError) -> (journal: Journal, recovery: JournalRecovery) {
        let lock: Int32
        do {
            try files.createDirectory(directory)
            lock = try Self.takeLock(directory: directory, files: files)
        } catch let error as FileFailure {
            throw error.ledgerError
        } catch let error as LedgerError {
            throw error
        } catch {
            throw .unavailable("cannot open the journal in \(directory)")
        }
        do {
            var opening = JournalOpening(
                directory: directory, journalID: try Self.identity(directory: directory, clock: clock, files: files),
                files: files)
            let segments = try opening.readSegments()
            var writer = try JournalWriter(
                directory: directory, journalID: opening.journalID, configuration: configuration, files: files,
                segments: segments, lastSequence: opening.survey.lastSequence ?? 0)
            for intent in opening.orphans { try writer.write(UsageEvent(orphaned: intent)) }
            let journal = Journal(writer: writer, lockDescriptor: lock)
            try journal.sync()
            try journal.startSyncing(every: configuration.syncInterval)
            return (journal, opening.recovery)
        } catch {
            files.close(lock)
            throw error
        }
    }

    /// Someone who looks at the journal takes the lock for an instant to see whether it is held, hence a few tries.
    private static func takeLock(directory: String, files: any JournalFiles) throws -> Int32 {
        let path = directory + "/" + JournalFormat.lockName
        let descriptor = try files.open(path, create: true)
        do {
            for _ in 1...5 {
                if try files.lock(descriptor, path: path) {
                    let identifier = Array("\(getpid())\n".utf8)
                    try files.truncate(descriptor, count: 0, path: path)
                    // Only a help for people: the lock itself is what counts.
                    _ = identifier.withUnsafeBytes { pwrite(descriptor, $0.baseAddress, $0.count, 0) }
                    return descriptor
                }
                sleepThread(.milliseconds(10))
            }
            let holder = String(decoding: try files.read(path) ?? [], as: UTF8.self).filter(\.isNumber)
            throw LedgerError.locked(
                "process \(holder.isEmpty ? "(unknown)" : holder) holds the journal in \(directory): stop it, or give "
                    + "this one a data directory of its own")
        } catch {
            files.close(descriptor)
            throw error
        }
    }

    private static func identity(
        directory: String, clock: any WallClock, files: any JournalFiles
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
