import GatewayCore

/// Where the last read ended, so that reading on costs only what is new.
struct ReadPlace {
    var segment: JournalSegment
    var cursor: SegmentCursor
    /// Sequence number of the last settlement behind the cursor.
    var sequence: Int64
}

extension Journal {
    /// Settlements after `sequence` that are on the disk, in order, at most `limit`. Reading on from where the last
    /// call ended costs only what is new; any other place costs a walk through its segment.
    /// - Throws: `.corrupt`: a record is damaged, or settlements after `sequence` have been trimmed.
    package func readSettlements(after sequence: Int64, limit: Int) throws(LedgerError) -> [UsageEvent] {
        try self.reading.withLock { (place) throws(LedgerError) in
            try self.read(after: sequence, limit: limit, place: &place)
        }
    }

    private func read(
        after sequence: Int64, limit: Int, place: inout ReadPlace?
    ) throws(LedgerError) -> [UsageEvent] {
        let (segments, durable, durablePlace) = self.writer.withLock { writer in
            (writer.segments, writer.durableSequence, writer.durablePlace)
        }
        guard sequence < durable, limit > 0 else { return [] }
        if place?.sequence != sequence { place = nil }
        var current: ReadPlace
        if let known = place { current = known } else { current = try self.place(after: sequence, in: segments) }
        place = nil
        var events: [UsageEvent] = []
        events.reserveCapacity(min(limit, Int(clamping: durable - sequence)))
        var last = sequence
        while events.count < limit, last < durable {
            let isLast = current.segment.serial == durablePlace.serial
            let bytes = current.segment.bytes(count: isLast ? durablePlace.offset : current.segment.used)
            let offset = current.cursor.offset
            switch current.cursor.next(in: bytes, wantsIntents: false) {
            case .settlement(let number):
                if number <= sequence { continue }
                guard number == last + 1, let event = current.cursor.event(in: bytes) else {
                    throw self.damaged(current, offset, "settlement \(number) follows \(last) or cannot be read")
                }
                events.append(event)
                last = number
            case .header, .definition, .intent, .durable: continue
            case .end:
                guard let next = segments.first(where: { $0.serial == current.segment.serial + 1 }) else {
                    throw self.damaged(current, offset, "the journal ends before settlement \(durable)")
                }
                current.segment.releaseMemory(below: current.segment.used)
                current.segment = next
                current.cursor = SegmentCursor(journalID: self.journalID, serial: next.serial)
            case .free: throw self.damaged(current, offset, "the journal ends before settlement \(durable)")
            case .damaged(let reason): throw self.damaged(current, offset, reason)
            }
        }
        current.sequence = last
        place = current
        return events
    }

    private func place(after sequence: Int64, in segments: [JournalSegment]) throws(LedgerError) -> ReadPlace {
        guard let segment = segments.last(where: { $0.firstSequence <= sequence + 1 }) else {
            throw .corrupt(
                "settlement \(sequence + 1) is not in the journal in \(self.directory) any more: it begins with "
                    + "\(segments[0].firstSequence). The store lags behind what was trimmed: was an old copy restored?")
        }
        return ReadPlace(
            segment: segment, cursor: SegmentCursor(journalID: self.journalID, serial: segment.serial),
            sequence: sequence)
    }

    private func damaged(_ place: ReadPlace, _ offset: Int, _ reason: String) -> LedgerError {
        .corrupt("\(place.segment.path) at byte \(offset): \(reason)")
    }
}
