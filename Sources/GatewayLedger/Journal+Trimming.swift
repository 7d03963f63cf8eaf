import GatewayCore

extension Journal {
    /// Removes the oldest segments whose settlements are all in the store (sequence numbers up to `applied`). Open
    /// intents in them are written again first, so that one long stream never keeps the journal from shrinking.
    /// - Throws: `.unavailable`: a sync or a removal failed; nothing is lost, try again later.
    package func trim(through applied: Int64) throws(LedgerError) {
        let held = self.writer.withLock { $0.segmentsToCarry(through: applied) }
        for segment in held { try self.carryIntents(of: segment) }
        let removable = self.writer.withLock { $0.removableSegments(through: applied) }
        if removable.isEmpty { return }
        // The settlement or the copy of each intent in these segments must be on the disk before the intent goes.
        try self.sync()
        self.reading.withLock { place in
            if let serial = place?.segment.serial, removable.contains(where: { $0.serial == serial }) { place = nil }
        }
        do {
            // One by one, oldest first: whatever a crash or a failure leaves is without a gap.
            for segment in removable {
                try self.files.remove(segment.path)
                try self.files.syncDirectory(self.directory)
                self.writer.withLock { $0.forgetOldest() }
            }
        } catch {
            throw error.ledgerError
        }
    }

    private func carryIntents(of segment: JournalSegment) throws(LedgerError) {
        let serial = UInt32(truncatingIfNeeded: segment.serial)
        let places = self.writer.withLock { writer in
            Set(writer.inFlight.entries(inSegment: serial, limit: .max).map { Int($0.offset) })
        }
        var cursor = SegmentCursor(journalID: self.journalID, serial: segment.serial)
        let bytes = segment.bytes(count: segment.used)
        var left = places.count
        while left > 0 {
            let offset = cursor.offset
            switch cursor.next(in: bytes, wantsIntents: places.contains(offset)) {
            case .intent(let intent):
                left -= 1
                let isCarried = try self.carry(intent, from: segment, offset: offset)
                if !isCarried { return }
            case .header, .definition, .settlement, .durable: continue
            case .end, .free: return
            case .damaged(let reason): throw .corrupt("\(segment.path) at byte \(offset): \(reason)")
            }
        }
    }

    /// `false`: there is no room for it now; the segment stays.
    private func carry(_ intent: UsageIntent, from segment: JournalSegment, offset: Int) throws(LedgerError) -> Bool {
        do {
            try self.writer.withLock { (writer) throws(LedgerError) in
                try writer.carry(intent, from: segment.serial, offset: offset)
            }
            return true
        } catch {
            if case .journalFull = error { return false }
            throw error
        }
    }
}
