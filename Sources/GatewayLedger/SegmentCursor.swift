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
        /// `event(in:)` decodes it.
        case settlement(sequence: Int64)
        /// Everything before this place had been synced.
        case durable(serial: UInt64, offset: Int)
        /// The segment is complete.
        case end
        /// No record here: the place of the next one.
        case free
        /// Not a record, for the reason given.
        case damaged(String)
    }

    private let seed: UInt32
    /// Where the next record starts, bytes.
    private(set) var offset = 0
    /// The body of the settlement that `next` came upon last.
    private var settlementBody = 0..<0
    private var payers: [PayerIdentity] = []
    private var routes: [RouteIdentity] = []

    init(journalID: JournalID, serial: UInt64) {
        self.seed = JournalFormat.seed(journalID: journalID, serial: serial)
    }

    /// Reads the record at the cursor and moves behind it, unless it is `.free` or `.damaged`. Intents are decoded only
    /// if they are wanted, and are a `.definition` otherwise.
    @inline(__always)
    mutating func next(in bytes: UnsafeRawBufferPointer, wantsIntents: Bool) -> Step {
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
        let end = self.offset + JournalFormat.prefixBytes + length
        if type == .settlement, length > 9 {
            self.settlementBody = self.offset + JournalFormat.prefixBytes..<end
            self.offset = end
            return .settlement(sequence: Int64(littleEndian: (body + 1).loadUnaligned(as: Int64.self)))
        }
        let step = self.decode(type, RecordReader(body + 1, count: length - 1), wantsIntents: wantsIntents)
        if case .damaged = step { return step }
        self.offset = end
        return step
    }

    /// The settlement that `next` came upon last. `nil`: its checksum is good but it cannot be read.
    @inline(__always)
    func event(in bytes: UnsafeRawBufferPointer) -> UsageEvent? {
        guard let base = bytes.baseAddress, self.settlementBody.upperBound <= bytes.count else { return nil }
        // Type and sequence come first.
        return self.settlement(
            RecordReader(base + self.settlementBody.lowerBound + 9, count: self.settlementBody.count - 9))
    }

    /// Which attempt the settlement is of that `next` came upon last. `nil`: as in `event`.
    func attempt(in bytes: UnsafeRawBufferPointer) -> AttemptKey? {
        guard let base = bytes.baseAddress, self.settlementBody.upperBound <= bytes.count else { return nil }
        var reader = RecordReader(base + self.settlementBody.lowerBound + 9, count: self.settlementBody.count - 9)
        let requestID = RequestID(reader.identifier())
        let attempt = reader.byte()
        return reader.isBad ? nil : AttemptKey(requestID: requestID, attempt: attempt)
    }

    private mutating func decode(
        _ type: JournalFormat.RecordType, _ bytes: RecordReader, wantsIntents: Bool
    ) -> Step {
        var reader = bytes
        let step: Step
        switch type {
        case .settlement: return Self.unreadable(type)
        case .intent, .carriedIntent:
            guard wantsIntents else { return .definition }
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
    private func settlement(_ bytes: RecordReader) -> UsageEvent? {
        var reader = bytes
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
