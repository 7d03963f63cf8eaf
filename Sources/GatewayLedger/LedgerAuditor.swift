import GatewayCore

/// Looks at store and journal together, for `martlet ledger export` and `verify`; works beside a running pod.
///
/// Neither takes the stream, because that would fence the pod. Rows that retention has deleted are passed over.
package struct LedgerAuditor: Sendable {
    /// Rows read at a time.
    private static let pageRows = 1000
    /// How often the journal is looked at anew because the pod shipped and trimmed what was about to be read.
    private static let triesMax = 8
    /// Attempts compared for doubles at a time, so that memory is bounded whatever the journal holds.
    private static let keysMax: Int64 = 1_000_000

    private let store: any LedgerStore
    private let reader: JournalReader

    package init(
        store: any LedgerStore, journalDirectory: String, files: any JournalFiles = SystemJournalFiles()
    ) {
        self.store = store
        self.reader = JournalReader(directory: journalDirectory, files: files)
    }

    // MARK: Export

    /// Every attempt once: the store's rows, the journal's settlements above them and, when no process holds the
    /// journal, open intents as they would be settled. Rows of the journal have stream 0 when the store does not know
    /// the journal yet.
    package func forEachAttempt(
        _ body: (UsageRow) throws(LedgerError) -> Void
    ) async throws(LedgerError) {
        var seen = Seen()
        var last: (streamID: Int64, sequence: Int64)?
        try await self.page(from: &last) { (row) throws(LedgerError) in
            if seen.isNew(row) { try body(row) }
        }
        for _ in 1...Self.triesMax {
            let contents = try self.reader.read()
            guard let journalID = contents.journalID else { return }
            let standing = try await self.store.standing(of: journalID)
            seen.stream = standing?.streamID ?? seen.stream
            seen.expired = standing?.expired ?? 0
            let applied = seen.applied(before: contents.firstSequence)
            if applied + 1 >= contents.firstSequence {
                let isComplete = try self.emit(journalID, after: applied, to: contents.lastSequence, &seen, body)
                if isComplete { return try self.emitOrphans(contents, seen, body) }
            }
            // The pod has shipped and trimmed meanwhile: the rest is in the store now.
            try await self.page(from: &last) { (row) throws(LedgerError) in
                if seen.isNew(row) { try body(row) }
            }
        }
        throw .unavailable("the pod ships faster than the journal can be read; try again")
    }

    /// What an export has given out so far.
    private struct Seen {
        /// Highest sequence number of each stream.
        var sequences: [Int64: Int64] = [:]
        /// The journal's stream. `nil`: the store does not know it yet.
        var stream: Int64?
        /// The stream's rows up to here are gone by retention; 0: none.
        var expired: Int64 = 0
        /// Last settlement taken from the journal; 0: none.
        var journalSequence: Int64 = 0

        mutating func isNew(_ row: UsageRow) -> Bool {
            let known = max(
                self.sequences[row.streamID] ?? 0, row.streamID == self.stream ? self.journalSequence : 0)
            self.sequences[row.streamID] = max(known, row.sequence)
            return row.sequence > known
        }

        /// Last settlement of the journal that was given out. Rows that are trimmed are in the store.
        func applied(before firstSequence: Int64) -> Int64 {
            let inStore = self.stream.map { max(self.sequences[$0] ?? 0, self.expired) } ?? firstSequence - 1
            return max(inStore, self.journalSequence)
        }
    }

    /// `false`: some are not in the journal any more.
    private func emit(
        _ journalID: JournalID, after applied: Int64, to lastSequence: Int64, _ seen: inout Seen,
        _ body: (UsageRow) throws(LedgerError) -> Void
    ) throws(LedgerError) -> Bool {
        var settlements = self.reader.settlements(of: journalID, after: applied)
        var last = applied
        while true {
            let batch = try settlements.next(limit: Self.pageRows)
            if batch.isEmpty { return last >= lastSequence }
            for (sequence, event) in batch {
                guard sequence == last + 1 else { return false }
                try body(UsageRow(streamID: seen.stream ?? 0, sequence: sequence, event: event))
                last = sequence
                seen.journalSequence = sequence
            }
        }
    }

    private func emitOrphans(
        _ contents: JournalContents, _ seen: Seen, _ body: (UsageRow) throws(LedgerError) -> Void
    ) throws(LedgerError) {
        if contents.isHeld { return }
        for (index, intent) in contents.openIntents.enumerated() {
            let sequence = contents.lastSequence + 1 + Int64(index)
            try body(
                UsageRow(streamID: seen.stream ?? 0, sequence: sequence, event: UsageEvent(orphaned: intent)))
        }
    }

    // MARK: Verify

    /// Recounts: the store's own figures, the journal's checksums and sequence, settlements that are in both in every
    /// field, and that no attempt stands twice. One sentence per difference, empty when exact.
    package func verify() async throws(LedgerError) -> [String] {
        var differences = try await self.store.verify()
        for attempt in 1...Self.triesMax {
            let contents: JournalContents
            do throws(LedgerError) {
                contents = try self.reader.read()
            } catch {
                guard case .corrupt(let text) = error else { throw error }
                return differences + [text]
            }
            let standing = try await self.standing(of: contents)
            let found = try await self.compare(contents, with: standing)
            // The pod may have shipped its first settlements while they were compared with a store that did not know
            // them: the same rows would then look like doubles of themselves.
            var wasShippedMeanwhile = false
            if standing == nil { wasShippedMeanwhile = try await self.standing(of: contents) != nil }
            if !wasShippedMeanwhile || attempt == Self.triesMax {
                differences += found
                break
            }
        }
        return differences
    }

    /// Compares the journal with the rows of its stream (`nil`: the store has none of it) and of all others.
    private func compare(
        _ contents: JournalContents, with standing: StreamStanding?
    ) async throws(LedgerError) -> [String] {
        var differences = contents.problems
        guard let journalID = contents.journalID else { return differences }
        var applied: Int64?
        if let standing {
            applied = try await self.compare(standing, contents, journalID, &differences)
            if contents.isHeld == false, let applied, applied > contents.lastSequence {
                differences.append(
                    "the store has settlement \(applied) of journal \(journalID.text), which ends with "
                        + "\(contents.lastSequence)")
            }
        }
        try await self.findDoubles(
            after: applied ?? contents.firstSequence - 1, contents, journalID, standing?.streamID,
            &differences)
        return differences
    }

    /// Compares the rows of the journal's stream with the settlements that are still in the journal.
    /// - Returns: sequence number of the last row.
    private func compare(
        _ standing: StreamStanding, _ contents: JournalContents, _ journalID: JournalID, _ differences: inout [String]
    ) async throws(LedgerError) -> Int64 {
        var settlements = self.reader.settlements(of: journalID, after: 0)
        var batch: ArraySlice<(sequence: Int64, event: UsageEvent)> = []
        let stream = standing.streamID
        var applied = standing.expired
        var found: [String] = []
        var last: (streamID: Int64, sequence: Int64)?
        try await self.page(from: &last) { (row) throws(LedgerError) in
            guard row.streamID == stream else { return }
            applied = row.sequence
            while true {
                if batch.isEmpty { batch = ArraySlice(try settlements.next(limit: Self.pageRows)) }
                guard let first = batch.first, first.sequence <= row.sequence else { return }
                batch.removeFirst()
                if first.sequence <= standing.expired { continue }
                if first.sequence < row.sequence {
                    found.append("settlement \(first.sequence) of journal \(journalID.text) is not in the store")
                    continue
                }
                let fields = first.event.differences(from: row.event)
                if !fields.isEmpty {
                    found.append(
                        "row \(row.sequence) of stream \(stream) differs from the journal in "
                            + fields.joined(separator: ", "))
                }
                return
            }
        }
        differences += found
        return applied
    }

    /// Looks for attempts in the part of the journal that is not shipped which stand there twice or in the store too.
    private func findDoubles(
        after applied: Int64, _ contents: JournalContents, _ journalID: JournalID, _ stream: Int64?,
        _ differences: inout [String]
    ) async throws(LedgerError) {
        let count = contents.lastSequence - applied
        if count <= 0 { return }
        var found: [String] = []
        let passes = UInt64(count / Self.keysMax + 1)
        for pass in 0..<passes {
            var keys: Set<AttemptKey> = []
            func isInPass(_ event: UsageEvent) -> Bool { event.requestID.bits.low % passes == pass }
            var settlements = self.reader.settlements(of: journalID, after: applied)
            while case let batch = try settlements.next(limit: Self.pageRows), !batch.isEmpty {
                for (sequence, event) in batch where sequence <= contents.lastSequence && isInPass(event) {
                    if !keys.insert(AttemptKey(event)).inserted {
                        found.append("attempt \(event.attempt) of request \(event.requestID.text) is settled twice")
                    }
                }
            }
            var last: (streamID: Int64, sequence: Int64)?
            try await self.page(from: &last) { (row) throws(LedgerError) in
                let isElsewhere = row.streamID != stream || row.sequence <= applied
                if isElsewhere, isInPass(row.event), keys.contains(AttemptKey(row.event)) {
                    found.append(
                        "attempt \(row.event.attempt) of request \(row.event.requestID.text) is in the store and "
                            + "again in the journal behind it")
                }
            }
        }
        differences += found
    }

    // MARK: The store

    /// Gives all rows after `last` to `body`, in store order, a page at a time.
    private func page(
        from last: inout (streamID: Int64, sequence: Int64)?, _ body: (UsageRow) throws(LedgerError) -> Void
    ) async throws(LedgerError) {
        while true {
            let rows = try await self.store.usage(
                UsageQuery(after: last, newestFirst: false, limit: Self.pageRows))
            for row in rows {
                try body(row)
                last = (row.streamID, row.sequence)
            }
            if rows.count < Self.pageRows { return }
        }
    }

    /// Where the journal's stream stands. `nil`: the store has nothing of it.
    private func standing(of contents: JournalContents) async throws(LedgerError) -> StreamStanding? {
        guard let journalID = contents.journalID, let standing = try await self.store.standing(of: journalID) else {
            return nil
        }
        return standing.applied > 0 ? standing : nil
    }
}

extension AttemptKey {
    init(_ event: UsageEvent) { self.init(requestID: event.requestID, attempt: event.attempt) }
}
