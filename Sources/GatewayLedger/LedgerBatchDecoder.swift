import CMartlet
import GatewayCore

/// Reads batches back (`LedgerBatchEncoder` has the format). Payers and routes that batches have in common become one
/// object, as they are within a pod, so that the store looks each up once.
package struct LedgerBatchDecoder {
    /// When so many are known, all are forgotten: about 4 MiB at most, but for long names.
    private static let identitiesMax = 16_384
    /// The least that an event takes, so that a count cannot make us allocate more than the bytes could hold.
    private static let eventBytesMin = 36

    private var payers: [PayerContent: PayerIdentity] = [:]
    private var routes: [RouteContent: RouteIdentity] = [:]

    package init() {}

    /// - Throws: when the bytes are not a whole batch of a version that this program knows; nothing of it is used then.
    package mutating func decode(_ bytes: [UInt8]) throws(LedgerBatchError) -> LedgerBatch {
        guard bytes.count > LedgerBatchEncoder.prefixBytes else {
            throw LedgerBatchError(message: "it has \(bytes.count) bytes and no content")
        }
        if self.payers.count > Self.identitiesMax { self.payers.removeAll() }
        if self.routes.count > Self.identitiesMax { self.routes.removeAll() }
        let result: Result<LedgerBatch, LedgerBatchError> = bytes.withUnsafeBytes { all in
            do throws(LedgerBatchError) {
                return .success(try self.read(all))
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }

    private mutating func read(_ all: UnsafeRawBufferPointer) throws(LedgerBatchError) -> LedgerBatch {
        guard UInt32(littleEndian: all.loadUnaligned(as: UInt32.self)) == LedgerBatchEncoder.magic else {
            throw LedgerBatchError(message: "it does not begin as a batch does")
        }
        guard all[4] == LedgerBatchEncoder.version else {
            throw LedgerBatchError(
                message: "it is of format version \(all[4]); this program reads version \(LedgerBatchEncoder.version)")
        }
        let body = UnsafeRawBufferPointer(rebasing: all[LedgerBatchEncoder.prefixBytes...])
        guard let start = body.baseAddress,
            cmartlet_crc32c(0, start, body.count)
                == UInt32(littleEndian: all.loadUnaligned(fromByteOffset: 5, as: UInt32.self))
        else { throw LedgerBatchError(message: "its checksum is wrong") }
        var reader = RecordReader(start, count: body.count)
        let batch = self.batch(&reader, bytes: body.count)
        guard let batch, reader.isComplete else {
            throw LedgerBatchError(message: "its checksum is good but it cannot be read")
        }
        return batch
    }

    /// `nil`: it makes no sense.
    private mutating func batch(_ reader: inout RecordReader, bytes: Int) -> LedgerBatch? {
        let position = StreamPosition(
            journal: JournalID(reader.identifier()), streamID: Int64(bitPattern: reader.varint()),
            epoch: Int64(bitPattern: reader.varint()), applied: Int64(bitPattern: reader.varint()))
        var payers: [PayerIdentity] = []
        for _ in 0..<Self.count(&reader, bytes: bytes, least: 50) { payers.append(self.payer(&reader)) }
        var routes: [RouteIdentity] = []
        for _ in 0..<Self.count(&reader, bytes: bytes, least: 5) { routes.append(self.route(&reader)) }
        let count = Self.count(&reader, bytes: bytes, least: Self.eventBytesMin)
        guard !reader.isBad, count > 0, position.applied >= 0, position.applied <= Int64.max - Int64(count),
            let payer = payers.first, let route = routes.first
        else { return nil }
        var events: [UsageEvent] = []
        events.reserveCapacity(count)
        for _ in 0..<count {
            guard let event = Self.event(&reader, payers: payers, routes: routes, fallback: (payer, route)) else {
                return nil
            }
            events.append(event)
        }
        return LedgerBatch(position: position, events: events)
    }

    /// A number of elements that the bytes can hold; 0 for any other, which the reader's end then tells.
    private static func count(_ reader: inout RecordReader, bytes: Int, least: Int) -> Int {
        let count = reader.varint()
        return count <= UInt64(bytes / least) ? Int(count) : 0
    }

    private mutating func payer(_ reader: inout RecordReader) -> PayerIdentity {
        let keyID = VirtualKeyID(reader.identifier())
        let digest = KeyDigest((reader.word64(), reader.word64(), reader.word64(), reader.word64()))
        let userID = reader.optionalText()
        let content = PayerContent(keyID: keyID, digest: digest, userID: userID, teamID: reader.optionalText())
        if let known = self.payers[content] { return known }
        let payer = PayerIdentity(keyID: keyID, digest: digest, userID: content.userID, teamID: content.teamID)
        self.payers[content] = payer
        return payer
    }

    private mutating func route(_ reader: inout RecordReader) -> RouteIdentity {
        let content = RouteContent(texts: (0..<5).map { _ in reader.text() })
        if let known = self.routes[content] { return known }
        let route = RouteIdentity(
            modelGroup: content.texts[0], model: content.texts[1], provider: content.texts[2],
            deploymentID: content.texts[3], priceVersion: content.texts[4])
        self.routes[content] = route
        return route
    }

    /// `nil`: it cannot be read.
    private static func event(
        _ reader: inout RecordReader, payers: [PayerIdentity], routes: [RouteIdentity],
        fallback: (payer: PayerIdentity, route: RouteIdentity)
    ) -> UsageEvent? {
        let requestID = RequestID(reader.identifier())
        let attempt = reader.byte()
        let kind = reader.value(CallKind.self, else: .chatCompletion)
        let tier = reader.value(ServiceTier.self, else: .standard)
        let outcome = reader.value(AttemptOutcome.self, else: .finished)
        let bits = reader.byte()
        let flags = UsageFlags(rawValue: reader.word16())
        let status = reader.word16()
        let payer = reader.element(of: payers, else: fallback.payer)
        let route = reader.element(of: routes, else: fallback.route)
        let startedAt = UnixMicroseconds(rawValue: Int64(bitPattern: reader.word64()))
        let duration = reader.signed()
        let firstByte = reader.signed()
        let cost = NanoUSD(rawValue: reader.signed())
        let event = UsageEvent(
            requestID: requestID, attempt: attempt, payer: payer, route: route, kind: kind, isStream: bits & 1 != 0,
            startedAt: startedAt, durationMicroseconds: duration, firstByteMicroseconds: firstByte,
            usage: reader.usage(), serviceTier: tier, cost: cost, status: status, outcome: outcome, flags: flags,
            endUser: bits & 2 != 0 ? reader.text() : nil)
        return reader.isBad || bits > 3 ? nil : event
    }

    private struct PayerContent: Hashable {
        var keyID: VirtualKeyID
        var digest: KeyDigest
        var userID: String?
        var teamID: String?
    }

    private struct RouteContent: Hashable {
        var texts: [String]
    }
}
