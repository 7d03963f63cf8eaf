import CMartlet
import GatewayCore

/// What a segment's header says.
struct SegmentHeader: Equatable {
    var journalID: JournalID
    var serial: UInt64
    var firstSequence: Int64
}

/// Reads the records of one segment in order, keeping its payers and routes.
struct SegmentCursor {
    /// What stands at the cursor.
    enum Step {
        case header(SegmentHeader)
        case definition
        case intent(UsageIntent)
        /// `event` is `nil` for a settlement that the caller did not ask for.
        case settlement(sequence: Int64, event: UsageEvent?)
        /// Everything before this place had been synced.
        case durable(serial: UInt64, offset: Int)
        /// The segment is complete.
        case end
        /// No record here: the place of the next one.
        case free
        /// Not a record, for the reason given.
        case damaged(String)
    }

    /// Which records are decoded; the others are only checked.
    struct Wanted {
        var intents: Bool
        var settlementsAfter: Int64
    }

    private let seed: UInt32
    /// Where the next record starts, bytes.
    private(set) var offset = 0
    private var payers: [PayerIdentity] = []
    private var routes: [RouteIdentity] = []

    init(journalID: JournalID, serial: UInt64) {
        self.seed = JournalFormat.seed(journalID: journalID, serial: serial)
    }

    /// Reads the record at the cursor and moves behind it, unless it is `.free` or `.damaged`.
    mutating func next(in bytes: UnsafeRawBufferPointer, wanted: Wanted) -> Step {
        guard let base = bytes.baseAddress, bytes.count - self.offset > JournalFormat.prefixBytes else { return .free }
        let start = base + self.offset
        let length = Int(UInt32(littleEndian: start.loadUnaligned(as: UInt32.self)))
        if length == 0 { return .free }
        guard length <= JournalFormat.bodyBytesMax, length <= bytes.count - self.offset - JournalFormat.prefixBytes
        else { return .damaged("a record's length is \(length)") }
        let body = start + JournalFormat.prefixBytes
        let isHeader = self.offset == 0
        let crc = UInt32(littleEndian: (start + 4).loadUnaligned(as: UInt32.self))
        guard cmartlet_crc32c(isHeader ? 0 : self.seed, body, length) == crc else {
            return .damaged("a record's checksum is wrong")
        }
        guard let type = JournalFormat.RecordType(rawValue: body.load(as: UInt8.self)),
            isHeader == (type == .header)
        else { return .damaged("a record of type \(body.load(as: UInt8.self)) stands where none may be") }
        let reader = RecordReader(body + 1, count: length - 1)
        let step = self.decode(type, reader, wanted)
        if case .damaged = step { return step }
        self.offset += JournalFormat.prefixBytes + length
        return step
    }

    @inline(__always)
    private mutating func decode(
        _ type: JournalFormat.RecordType, _ bytes: RecordReader, _ wanted: Wanted
    ) -> Step {
        var reader = bytes
        let step: Step
        switch type {
        case .settlement:
            let sequence = Int64(bitPattern: reader.word64())
            guard sequence > wanted.settlementsAfter else {
                return reader.isBad ? Self.unreadable(type) : .settlement(sequence: sequence, event: nil)
            }
            guard let event = self.settlement(&reader) else { return Self.unreadable(type) }
            step = .settlement(sequence: sequence, event: event)
        case .intent, .carriedIntent:
            guard wanted.intents else { return .definition }
            guard let intent = self.intent(&reader) else { return Self.unreadable(type) }
            step = .intent(intent)
        case .header: return Self.header(&reader)
        case .payer:
            self.payers.append(Self.payer(&reader))
            step = .definition
        case .route:
            self.routes.append(Self.route(&reader))
            step = .definition
        case .durable:
            let serial = reader.varint()
            let offset = reader.varint()
            _ = reader.varint()
            guard offset <= UInt64(Int32.max) else { return Self.unreadable(type) }
            step = .durable(serial: serial, offset: Int(offset))
        case .end: step = .end
        }
        return reader.isComplete ? step : Self.unreadable(type)
    }

    private static func unreadable(_ type: JournalFormat.RecordType) -> Step {
        .damaged("a record of type \(type.rawValue) has a good checksum but cannot be read")
    }

    private static func header(_ reader: inout RecordReader) -> Step {
        guard reader.word64() == JournalFormat.magic else { return .damaged("it is not a journal segment") }
        let version = reader.byte()
        guard version == JournalFormat.version else {
            return .damaged("format version \(version); this program reads version \(JournalFormat.version)")
        }
        let header = SegmentHeader(
            journalID: JournalID(reader.identifier()), serial: reader.word64(),
            firstSequence: Int64(bitPattern: reader.word64()))
        return reader.isComplete ? .header(header) : Self.unreadable(.header)
    }

    private static func payer(_ reader: inout RecordReader) -> PayerIdentity {
        let keyID = VirtualKeyID(reader.identifier())
        let digest = KeyDigest((reader.word64(), reader.word64(), reader.word64(), reader.word64()))
        let userID = reader.optionalText()
        return PayerIdentity(keyID: keyID, digest: digest, userID: userID, teamID: reader.optionalText())
    }

    private static func route(_ reader: inout RecordReader) -> RouteIdentity {
        let modelGroup = reader.text()
        let model = reader.text()
        let provider = reader.text()
        let deploymentID = reader.text()
        return RouteIdentity(
            modelGroup: modelGroup, model: model, provider: provider, deploymentID: deploymentID,
            priceVersion: reader.text())
    }

    private func intent(_ reader: inout RecordReader) -> UsageIntent? {
        guard let payer = self.payers.first, let route = self.routes.first else { return nil }
        let requestID = RequestID(reader.identifier())
        let attempt = reader.byte()
        let kind = reader.value(CallKind.self, else: .chatCompletion)
        let bits = reader.byte()
        let intentPayer = reader.element(of: self.payers, else: payer)
        let intentRoute = reader.element(of: self.routes, else: route)
        let startedAt = UnixMicroseconds(rawValue: Int64(bitPattern: reader.word64()))
        let cost = NanoUSD(rawValue: reader.signed())
        let intent = UsageIntent(
            requestID: requestID, attempt: attempt, payer: intentPayer, route: intentRoute, kind: kind,
            isStream: bits & 1 != 0, startedAt: startedAt, orphanUsage: reader.usage(), orphanCost: cost,
            isUnpriced: bits & 2 != 0)
        return reader.isComplete && bits <= 3 ? intent : nil
    }

    @inline(__always)
    private func settlement(_ reader: inout RecordReader) -> UsageEvent? {
        guard let payer = self.payers.first, let route = self.routes.first else { return nil }
        let requestID = RequestID(reader.identifier())
        let attempt = reader.byte()
        let kind = reader.value(CallKind.self, else: .chatCompletion)
        let tier = reader.value(ServiceTier.self, else: .standard)
        let outcome = reader.value(AttemptOutcome.self, else: .finished)
        let bits = reader.byte()
        let flags = UsageFlags(rawValue: reader.word16())
        let status = reader.word16()
        // Arguments are evaluated from left to right, but the order of the file is not that of the initialiser.
        let eventPayer = reader.element(of: self.payers, else: payer)
        let eventRoute = reader.element(of: self.routes, else: route)
        let startedAt = UnixMicroseconds(rawValue: Int64(bitPattern: reader.word64()))
        let duration = reader.signed()
        let firstByte = reader.signed()
        let cost = NanoUSD(rawValue: reader.signed())
        let event = UsageEvent(
            requestID: requestID, attempt: attempt, payer: eventPayer, route: eventRoute, kind: kind,
            isStream: bits & 1 != 0, startedAt: startedAt, durationMicroseconds: duration,
            firstByteMicroseconds: firstByte, usage: reader.usage(), serviceTier: tier, cost: cost, status: status,
            outcome: outcome, flags: flags, endUser: bits & 2 != 0 ? reader.text() : nil)
        return reader.isComplete && bits <= 3 ? event : nil
    }
}
