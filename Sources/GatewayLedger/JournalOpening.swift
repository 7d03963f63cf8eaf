import GatewayCore

/// Reads and repairs the segments of a journal whose lock is held.
///
/// The records of every segment but the last end with a mark. Where one ends without, the journal ends: a killed
/// process leaves nothing behind that place but perhaps parts of one record; a power cut may leave more, even whole
/// records, because the kernel writes unsynced pages in any order. Both are cut off. But if a mark behind that place
/// says that it had been synced, it is damage: nothing is touched, and an operator must look.
struct JournalOpening {
    let directory: String
    let journalID: JournalID
    let files: any JournalFiles
    private(set) var survey: JournalSurvey
    private var notes: [String] = []
    private var discardedRecords = 0

    init(directory: String, journalID: JournalID, files: any JournalFiles) {
        self.directory = directory
        self.journalID = journalID
        self.files = files
        self.survey = JournalSurvey(journalID: journalID)
    }

    /// Intents to settle, in the order of their start.
    var orphans: [UsageIntent] { self.survey.orphans }

    var recovery: JournalRecovery {
        JournalRecovery(
            journalID: self.journalID, lastSequence: self.survey.lastSequence ?? 0,
            orphanedIntents: self.survey.openIntents.count, discardedRecords: self.discardedRecords,
            notes: self.notes)
    }

    /// Maps the segments, oldest first, all sealed and on the disk when this returns.
    mutating func readSegments() throws(LedgerError) -> [JournalSegment] {
        do {
            var serials = try self.serials()
            var segments: [JournalSegment] = []
            while let serial = serials.first {
                serials.removeFirst()
                if let last = segments.last, serial != last.serial + 1 {
                    throw LedgerError.corrupt(
                        "\(last.path) is followed by segment \(serial): \(JournalFormat.segmentName(last.serial + 1)) "
                            + "is missing")
                }
                let segment = try JournalSegment.openExisting(
                    directory: self.directory, journalID: self.journalID, serial: serial, files: self.files)
                if let segment, try self.isSealed(segment) {
                    segments.append(segment)
                    continue
                }
                if let sealed = try self.cut(segment, serial: serial, followers: serials) { segments.append(sealed) }
                break
            }
            return segments
        } catch let error as FileFailure {
            throw error.ledgerError
        } catch let error as LedgerError {
            throw error
        } catch {
            throw .unavailable("cannot read the journal in \(self.directory)")
        }
    }

    /// Serials of the segment files, ascending. Removes spares on the way.
    private func serials() throws(FileFailure) -> [UInt64] {
        var serials: [UInt64] = []
        for name in try self.files.names(in: self.directory) {
            if let serial = JournalFormat.serial(ofSegmentName: name) { serials.append(serial) }
            if name.hasSuffix(JournalFormat.spareSuffix) { try self.files.remove(self.directory + "/" + name) }
        }
        return serials.sorted()
    }

    /// Reads a segment and notes its figures.
    private mutating func isSealed(_ segment: JournalSegment) throws(LedgerError) -> Bool {
        let summary = try self.survey.read(
            segment.bytes(count: segment.capacity), serial: segment.serial, path: segment.path)
        segment.firstSequence = summary.firstSequence
        segment.lastSequence = summary.lastSequence
        segment.used = summary.used
        segment.isSynced = true
        segment.releaseMemory(below: segment.capacity)
        if case .damaged(let reason) = summary.end {
            self.notes.append("\(segment.path) at byte \(summary.used): \(reason)")
        }
        return summary.end == .sealed
    }

    /// Ends the journal in `segment` at `used`, after making sure that nothing behind had been synced.
    /// - Returns: the segment, now sealed. `nil`: it had no record and was removed.
    private mutating func cut(
        _ segment: JournalSegment?, serial: UInt64, followers: [UInt64]
    ) throws -> JournalSegment? {
        let debris = try self.debris(behind: segment, serial: serial, followers: followers)
        for follower in followers.reversed() {
            try self.files.remove(self.directory + "/" + JournalFormat.segmentName(follower))
            try self.files.syncDirectory(self.directory)
        }
        if let segment, segment.used > 0 {
            return try self.seal(self.withRoomForEnd(segment), hasDebris: debris.hasBytes)
        }
        try self.files.remove(self.directory + "/" + JournalFormat.segmentName(serial))
        try self.files.syncDirectory(self.directory)
        return nil
    }

    /// What stands behind the place where the journal ends; notes it.
    /// - Throws: `.corrupt`: that place had been synced once.
    private mutating func debris(
        behind segment: JournalSegment?, serial: UInt64, followers: [UInt64]
    ) throws -> JournalSurvey.Debris {
        let offset = segment?.used ?? 0
        var debris = JournalSurvey.Debris()
        if let segment {
            debris = JournalSurvey.debris(
                in: segment.bytes(count: segment.capacity), from: offset, journalID: self.journalID, serial: serial,
                holeSerial: serial, holeOffset: offset, adding: debris)
        }
        for follower in followers {
            let path = self.directory + "/" + JournalFormat.segmentName(follower)
            let content = try self.files.read(path) ?? []
            debris = content.withUnsafeBytes { bytes in
                JournalSurvey.debris(
                    in: bytes, from: 0, journalID: self.journalID, serial: follower, holeSerial: serial,
                    holeOffset: offset, adding: debris)
            }
        }
        let place = "\(self.directory)/\(JournalFormat.segmentName(serial)) at byte \(offset)"
        guard !debris.isVouchedFor else {
            throw LedgerError.corrupt(
                "\(place): \(self.notes.last.map { "damage (\($0))" } ?? "a hole"), although what follows had been "
                    + "synced; \(debris.records) records stand behind it. Restore the file from a copy, or move the "
                    + "journal away and compare it with the store by `martlet ledger verify`")
        }
        self.discardedRecords = debris.records
        if debris.records > 0 {
            self.notes.append("\(place): dropped \(debris.records) records that were not synced before a power cut")
        } else if debris.hasBytes {
            self.notes.append("\(place): cut a record that was not finished")
        }
        return debris
    }

    /// The segment itself, or the same file made longer: someone may have cut it shorter than we ever do.
    private func withRoomForEnd(_ segment: JournalSegment) throws -> JournalSegment {
        if segment.used + JournalFormat.endBytes <= segment.capacity { return segment }
        let descriptor = try self.files.open(segment.path, create: false)
        defer { self.files.close(descriptor) }
        try self.files.allocate(
            descriptor, count: segment.capacity + JournalFormat.endBytes, path: segment.path)
        let longer = try JournalSegment.openExisting(
            directory: self.directory, journalID: self.journalID, serial: segment.serial, files: self.files)
        guard let longer else { throw LedgerError.unavailable("\(segment.path) vanished while it was opened") }
        longer.firstSequence = segment.firstSequence
        longer.lastSequence = segment.lastSequence
        longer.used = segment.used
        return longer
    }

    /// Clears what is behind the last record, marks the end, and brings all of it to the disk.
    private func seal(_ segment: JournalSegment, hasDebris: Bool) throws(FileFailure) -> JournalSegment {
        if hasDebris {
            (segment.base + segment.used).initializeMemory(
                as: UInt8.self, repeating: 0, count: segment.capacity - segment.used)
        }
        segment.touchPages(from: 0)
        try segment.sync()
        segment.used += JournalFormat.writeEnd(at: segment.base + segment.used, seed: segment.seed)
        try segment.sync()
        try segment.shrink()
        segment.isSynced = true
        segment.releaseMemory(below: segment.used)
        return segment
    }
}
