import CMartlet
import GatewayCore
import Glibc

/// With the request, what makes an attempt unique.
struct AttemptKey: Hashable {
    var requestID: RequestID
    var attempt: UInt8
}

/// What reading all segments from the oldest on has shown so far. Used to open a journal and to look at one.
struct JournalSurvey {
    /// How the records of a segment end.
    enum SegmentEnd: Equatable {
        case sealed
        /// Still written: zeros, or what is left of a record that was never finished.
        case free
        /// A hole or damage, for the reason given.
        case damaged(String)
    }

    let journalID: JournalID
    /// Sequence number of the first settlement that the oldest segment has or would have. `nil`: nothing read yet.
    private(set) var firstSequence: Int64?
    /// Of the last settlement read; `nil`: nothing read yet.
    private(set) var lastSequence: Int64?
    /// Intents without a settlement.
    private(set) var openIntents: [AttemptKey: UsageIntent] = [:]

    init(journalID: JournalID) { self.journalID = journalID }

    /// `openIntents` in the order of their start.
    var orphans: [UsageIntent] {
        self.openIntents.values.sorted { a, b in
            (a.startedAt, a.requestID.bits.high, a.requestID.bits.low, a.attempt)
                < (b.startedAt, b.requestID.bits.high, b.requestID.bits.low, b.attempt)
        }
    }

    /// One segment's figures.
    struct Summary {
        var firstSequence: Int64
        var lastSequence: Int64
        /// Where its records end.
        var used: Int
        var end: SegmentEnd
    }

    /// Reads the next segment.
    /// - Throws: `.corrupt` when whole records contradict each other.
    mutating func read(
        _ bytes: UnsafeRawBufferPointer, serial: UInt64, path: String
    ) throws(LedgerError) -> Summary {
        var cursor = SegmentCursor(journalID: self.journalID, serial: serial)
        var summary = Summary(firstSequence: 0, lastSequence: 0, used: 0, end: .free)
        while true {
            let offset = cursor.offset
            switch cursor.next(in: bytes, wantsIntents: true) {
            case .header(let header):
                try self.check(header, serial: serial, path: path)
                summary.firstSequence = header.firstSequence
            case .definition, .durable: continue
            case .intent(let intent):
                let key = AttemptKey(requestID: intent.requestID, attempt: intent.attempt)
                self.openIntents[key] = intent
            case .settlement(let sequence):
                guard sequence == (self.lastSequence ?? 0) + 1, let key = cursor.attempt(in: bytes) else {
                    throw .corrupt(
                        "\(path) at byte \(offset): settlement \(sequence) follows \(self.lastSequence ?? 0)")
                }
                self.lastSequence = sequence
                self.openIntents[key] = nil
            case .end:
                summary.end = .sealed
                return self.complete(summary, used: cursor.offset)
            case .free: return self.complete(summary, used: offset)
            case .damaged(let reason):
                summary.end = .damaged(reason)
                return self.complete(summary, used: offset)
            }
        }
    }

    private func complete(_ summary: Summary, used: Int) -> Summary {
        var summary = summary
        summary.used = used
        summary.lastSequence = self.lastSequence ?? 0
        return summary
    }

    private mutating func check(_ header: SegmentHeader, serial: UInt64, path: String) throws(LedgerError) {
        guard header.journalID == self.journalID, header.serial == serial else {
            throw .corrupt(
                "\(path) is segment \(header.serial) of journal \(header.journalID.text), not segment \(serial) of "
                    + "\(self.journalID.text): files of different journals were mixed")
        }
        guard header.firstSequence >= 1,
            self.lastSequence == nil || header.firstSequence == (self.lastSequence ?? 0) + 1
        else {
            throw .corrupt(
                "\(path) begins with settlement \(header.firstSequence), but \(self.lastSequence ?? 0) precedes it")
        }
        if self.lastSequence == nil {
            self.firstSequence = header.firstSequence
            self.lastSequence = header.firstSequence - 1
        }
    }

    /// What stands behind a place where the records of a segment end too early.
    struct Debris {
        /// Whole intents and settlements.
        var records = 0
        /// A mark says that this place had been synced, so the hole is damage.
        var isVouchedFor = false
        /// Some byte is not 0.
        var hasBytes = false
    }

    /// Searches `bytes` of segment `serial` from `offset` on for whole records at any place, and whether one of them
    /// proves that everything before (`holeSerial`, `holeOffset`) had been on the disk.
    static func debris(
        in bytes: UnsafeRawBufferPointer, from offset: Int, journalID: JournalID, serial: UInt64,
        holeSerial: UInt64, holeOffset: Int, adding debris: Debris
    ) -> Debris {
        var debris = debris
        guard let base = bytes.baseAddress else { return debris }
        let seed = JournalFormat.seed(journalID: journalID, serial: serial)
        var place = offset
        while place < bytes.count {
            if bytes.count - place >= 8, (base + place).loadUnaligned(as: UInt64.self) == 0 {
                // One of a record's first two bytes is not 0, so it may start at the last of these zeros at most.
                let block = min(4096, bytes.count - place)
                let isAllZero = memcmp(base + place, base + place + 1, block - 1) == 0
                place += isAllZero ? max(block - 1, 1) : 7
                continue
            }
            if bytes[place] != 0 { debris.hasBytes = true }
            if let size = Self.record(at: place, in: bytes, seed: seed) {
                let body = base + place + JournalFormat.prefixBytes
                switch JournalFormat.RecordType(rawValue: body.load(as: UInt8.self)) {
                case .intent, .settlement, .carriedIntent: debris.records += 1
                case .durable:
                    var reader = RecordReader(body + 1, count: size - JournalFormat.prefixBytes - 1)
                    let mark = (serial: reader.varint(), offset: reader.varint())
                    if mark.serial > holeSerial || (mark.serial == holeSerial && mark.offset > UInt64(holeOffset)) {
                        debris.isVouchedFor = true
                    }
                default: break
                }
                place += size
            } else {
                place += 1
            }
        }
        return debris
    }

    /// Size of the whole record at `place`. `nil`: there is none.
    private static func record(at place: Int, in bytes: UnsafeRawBufferPointer, seed: UInt32) -> Int? {
        guard bytes.count - place > JournalFormat.prefixBytes, let base = bytes.baseAddress else { return nil }
        let length = Int(UInt32(littleEndian: (base + place).loadUnaligned(as: UInt32.self)))
        guard length > 0, length <= JournalFormat.bodyBytesMax,
            length <= bytes.count - place - JournalFormat.prefixBytes
        else { return nil }
        let crc = UInt32(littleEndian: (base + place + 4).loadUnaligned(as: UInt32.self))
        let isWhole = cmartlet_crc32c(seed, base + place + JournalFormat.prefixBytes, length) == crc
        return isWhole ? JournalFormat.prefixBytes + length : nil
    }
}
