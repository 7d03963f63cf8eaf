import GatewayCore

/// What a journal holds, as seen from outside, also while a pod writes it.
package struct JournalContents: Sendable {
    /// `nil`: there is no journal in the directory; everything else is empty then.
    package var journalID: JournalID?
    /// Sequence number of the first settlement that is or would be in it.
    package var firstSequence: Int64
    /// Sequence number of the last settlement; `firstSequence - 1`: none.
    package var lastSequence: Int64
    /// Attempts without a settlement, in the order of their start.
    package var openIntents: [UsageIntent]
    /// A process holds the journal, so open intents are calls in flight.
    package var isHeld: Bool
    /// One sentence per damage.
    package var problems: [String]
}

/// Looks at a journal without holding or changing it.
package struct JournalReader: Sendable {
    package let directory: String
    private let files: any JournalFiles
    /// How often a look begins again because the pod removed a segment meanwhile.
    private static let triesMax = 8

    package init(directory: String, files: any JournalFiles = SystemJournalFiles()) {
        self.directory = directory
        self.files = files
    }

    /// - Throws: `.corrupt`: whole records contradict each other. `.unavailable`: it cannot be read.
    package func read() throws(LedgerError) -> JournalContents {
        guard let journalID = try self.identity() else {
            return JournalContents(
                journalID: nil, firstSequence: 1, lastSequence: 0, openIntents: [], isHeld: false, problems: [])
        }
        for _ in 1...Self.triesMax {
            let isHeld = try self.isHeld()
            if let contents = try self.survey(journalID, isHeld: isHeld) { return contents }
        }
        throw .unavailable("the journal in \(self.directory) changes faster than it can be read; try again")
    }

    /// Settlements after `sequence`, to be fetched piece by piece.
    package func settlements(of journalID: JournalID, after sequence: Int64) -> JournalSettlements {
        JournalSettlements(directory: self.directory, journalID: journalID, files: self.files, after: sequence)
    }

    private func identity() throws(LedgerError) -> JournalID? {
        let path = self.directory + "/" + JournalFormat.identityName
        let content: [UInt8]?
        do throws(FileFailure) {
            content = try self.files.read(path)
        } catch {
            throw error.ledgerError
        }
        guard let content else { return nil }
        guard let journalID = JournalID(text: String(decoding: content, as: UTF8.self).dropLast()) else {
            throw .corrupt("\(path) does not hold a journal's id")
        }
        return journalID
    }

    /// Tries the lock and lets it go at once; a pod that starts just then tries again for a while.
    private func isHeld() throws(LedgerError) -> Bool {
        let path = self.directory + "/" + JournalFormat.lockName
        do throws(FileFailure) {
            guard try self.files.read(path) != nil else { return false }
            let descriptor = try self.files.open(path, create: false)
            defer { self.files.close(descriptor) }
            return try !self.files.lock(descriptor, path: path)
        } catch {
            throw error.ledgerError
        }
    }

    /// `nil`: a segment was removed meanwhile.
    private func survey(_ journalID: JournalID, isHeld: Bool) throws(LedgerError) -> JournalContents? {
        var survey = JournalSurvey(journalID: journalID)
        var problems: [String] = []
        let serials = try segmentSerials(in: self.directory, files: self.files)
        for (index, serial) in serials.enumerated() {
            if index > 0, serial != serials[index - 1] + 1 {
                problems.append("\(self.directory)/\(JournalFormat.segmentName(serials[index - 1] + 1)) is missing")
                break
            }
            let path = self.directory + "/" + JournalFormat.segmentName(serial)
            guard let content = try readFile(path, files: self.files) else { return nil }
            let result = content.withUnsafeBytes { bytes in
                Result { () throws(LedgerError) in try survey.read(bytes, serial: serial, path: path) }
            }
            let summary = try result.get()
            if summary.end == .sealed { continue }
            // The end of a live segment moves while it is read, and a new one may have been begun since the listing.
            if isHeld { break }
            let problem = try self.problem(
                journalID, path: path, content: content, summary: summary, followers: serials[(index + 1)...])
            if let problem { problems.append(problem) }
            break
        }
        return JournalContents(
            journalID: journalID, firstSequence: survey.firstSequence ?? 1, lastSequence: survey.lastSequence ?? 0,
            openIntents: survey.orphans, isHeld: isHeld, problems: problems)
    }

    /// What is wrong with an end that no process is writing. `nil`: nothing that opening would not mend.
    private func problem(
        _ journalID: JournalID, path: String, content: [UInt8], summary: JournalSurvey.Summary,
        followers: ArraySlice<UInt64>
    ) throws(LedgerError) -> String? {
        guard let serial = JournalFormat.serial(ofSegmentName: String(path.suffix(28))) else { return nil }
        var debris = content.withUnsafeBytes { bytes in
            JournalSurvey.debris(
                in: bytes, from: summary.used, journalID: journalID, serial: serial, holeSerial: serial,
                holeOffset: summary.used, adding: JournalSurvey.Debris())
        }
        for follower in followers {
            let name = self.directory + "/" + JournalFormat.segmentName(follower)
            guard let content = try readFile(name, files: self.files) else { continue }
            debris = content.withUnsafeBytes { bytes in
                JournalSurvey.debris(
                    in: bytes, from: 0, journalID: journalID, serial: follower, holeSerial: serial,
                    holeOffset: summary.used, adding: debris)
            }
        }
        guard debris.isVouchedFor || debris.records > 0 else { return nil }
        return "\(path) at byte \(summary.used): a hole, with \(debris.records) records behind it"
            + (debris.isVouchedFor ? ", although what follows had been synced" : " that had not been synced")
    }
}

/// Settlements of a journal's files, in order, one segment in memory at a time.
package struct JournalSettlements: Sendable {
    private let directory: String
    private let journalID: JournalID
    private let files: any JournalFiles
    private let after: Int64
    private var serial: UInt64 = 0
    private var content: [UInt8] = []
    private var cursor: SegmentCursor?

    init(directory: String, journalID: JournalID, files: any JournalFiles, after: Int64) {
        self.directory = directory
        self.journalID = journalID
        self.files = files
        self.after = after
    }

    /// The next ones, at most `limit`; empty at the end. Sequence numbers are dense unless the pod removed segments
    /// meanwhile; those settlements are in the store.
    package mutating func next(limit: Int) throws(LedgerError) -> [(sequence: Int64, event: UsageEvent)] {
        var found: [(sequence: Int64, event: UsageEvent)] = []
        while found.count < limit {
            if self.cursor == nil, try !self.openNextSegment() { return found }
            guard var cursor = self.cursor else { return found }
            var isSealed = false
            var isAtEnd = false
            self.content.withUnsafeBytes { bytes in
                while found.count < limit, !isSealed, !isAtEnd {
                    switch cursor.next(in: bytes, wantsIntents: false) {
                    case .settlement(let sequence):
                        if sequence <= self.after { continue }
                        guard let event = cursor.event(in: bytes) else {
                            isAtEnd = true
                            continue
                        }
                        found.append((sequence, event))
                    case .header, .definition, .intent, .durable: continue
                    case .end: isSealed = true
                    case .free, .damaged: isAtEnd = true
                    }
                }
            }
            self.cursor = isSealed ? nil : cursor
            if isAtEnd { return found }
        }
        return found
    }

    /// `false`: there is none.
    private mutating func openNextSegment() throws(LedgerError) -> Bool {
        while true {
            let serials = try segmentSerials(in: self.directory, files: self.files)
            guard let serial = serials.first(where: { $0 > self.serial }) else { return false }
            self.serial = serial
            let path = self.directory + "/" + JournalFormat.segmentName(serial)
            guard let content = try readFile(path, files: self.files) else { continue }
            self.content = content
            self.cursor = SegmentCursor(journalID: self.journalID, serial: serial)
            return true
        }
    }
}

/// Serials of the segment files in a directory, ascending.
func segmentSerials(in directory: String, files: any JournalFiles) throws(LedgerError) -> [UInt64] {
    do throws(FileFailure) {
        return try files.names(in: directory).compactMap { JournalFormat.serial(ofSegmentName: $0) }.sorted()
    } catch {
        throw error.ledgerError
    }
}

private func readFile(_ path: String, files: any JournalFiles) throws(LedgerError) -> [UInt8]? {
    do throws(FileFailure) {
        return try files.read(path)
    } catch {
        throw error.ledgerError
    }
}
