import CMartlet
import GatewayCore

/// A batch as bytes, version 1. Terms are those of `JournalFormat`; integers are little-endian.
///
///     batch   = magic: u32 | version: u8 | crc: u32 (CRC-32C of all that follows) | body
///     body    = journal: 16 | stream: varint | epoch: varint | applied: varint
///               | payers: varint, each a journal's payer | routes: varint, each a journal's route
///               | events: varint, each a journal's settlement without its sequence
///
/// The checksum covers everything but the first five bytes, which admit one value each, and the reader must end where
/// the bytes end: whatever was cut off or changed, the whole batch is refused.
package struct LedgerBatchEncoder {
    /// `MLB` and a 1.
    static let magic: UInt32 = 0x0142_4C4D
    static let version: UInt8 = 1
    static let prefixBytes = 9

    private var payers: [ObjectIdentifier: UInt64] = [:]
    private var routes: [ObjectIdentifier: UInt64] = [:]
    private var payerBytes: [UInt8] = []
    private var routeBytes: [UInt8] = []
    private var eventBytes: [UInt8] = []

    private init() {}

    /// Encodes as many of the first `events` as fit, at least one, however large it is.
    /// - Parameters:
    ///   - events: not empty.
    ///   - bytesMax: of the result; kept but for a single event that is larger.
    /// - Returns: the bytes, and how many events they hold.
    package static func encode(
        _ events: ArraySlice<UsageEvent>, at position: StreamPosition, bytesMax: Int
    ) -> (bytes: [UInt8], count: Int) {
        var encoder = LedgerBatchEncoder()
        encoder.eventBytes.reserveCapacity(min(bytesMax, events.count * 96))
        var count = 0
        for event in events {
            let sizes = (encoder.payerBytes.count, encoder.routeBytes.count, encoder.eventBytes.count)
            let numbers = (encoder.payers.count, encoder.routes.count)
            encoder.add(event)
            if count > 0, encoder.bytes > bytesMax {
                encoder.payerBytes.removeLast(encoder.payerBytes.count - sizes.0)
                encoder.routeBytes.removeLast(encoder.routeBytes.count - sizes.1)
                encoder.eventBytes.removeLast(encoder.eventBytes.count - sizes.2)
                // Numbers past these belong to the event that went.
                encoder.payers = encoder.payers.filter { $0.value < UInt64(numbers.0) }
                encoder.routes = encoder.routes.filter { $0.value < UInt64(numbers.1) }
                break
            }
            count += 1
        }
        return (encoder.finish(position, count: count), count)
    }

    private static let headBytesMax = Self.prefixBytes + 16 + 6 * 10

    private var bytes: Int {
        Self.headBytesMax + self.payerBytes.count + self.routeBytes.count + self.eventBytes.count
    }

    private mutating func add(_ event: UsageEvent) {
        let payer = self.number(of: event.payer)
        let route = self.number(of: event.route)
        self.eventBytes.appendIdentifier(event.requestID.bits)
        self.eventBytes += [
            event.attempt, event.kind.rawValue, event.serviceTier.rawValue, event.outcome.rawValue,
            (event.isStream ? 1 : 0) | (event.endUser == nil ? 0 : 2),
        ]
        self.eventBytes.appendLittleEndian(event.flags.rawValue)
        self.eventBytes.appendLittleEndian(event.status)
        self.eventBytes.appendVarint(payer)
        self.eventBytes.appendVarint(route)
        self.eventBytes.appendLittleEndian(event.startedAt.rawValue)
        self.eventBytes.appendSigned(event.durationMicroseconds)
        self.eventBytes.appendSigned(event.firstByteMicroseconds)
        self.eventBytes.appendSigned(event.cost.rawValue)
        self.eventBytes.appendUsage(event.usage)
        if let endUser = event.endUser { self.eventBytes.appendText(endUser) }
    }

    private mutating func number(of payer: PayerIdentity) -> UInt64 {
        if let known = self.payers[ObjectIdentifier(payer)] { return known }
        let number = UInt64(self.payers.count)
        self.payers[ObjectIdentifier(payer)] = number
        self.payerBytes.appendIdentifier(payer.keyID.bits)
        let digest = payer.digest.words
        for word in [digest.0, digest.1, digest.2, digest.3] { self.payerBytes.appendLittleEndian(word) }
        self.payerBytes.appendOptionalText(payer.userID)
        self.payerBytes.appendOptionalText(payer.teamID)
        return number
    }

    private mutating func number(of route: RouteIdentity) -> UInt64 {
        if let known = self.routes[ObjectIdentifier(route)] { return known }
        let number = UInt64(self.routes.count)
        self.routes[ObjectIdentifier(route)] = number
        for text in [route.modelGroup, route.model, route.provider, route.deploymentID, route.priceVersion] {
            self.routeBytes.appendText(text)
        }
        return number
    }

    private func finish(_ position: StreamPosition, count: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(self.bytes)
        bytes.appendLittleEndian(Self.magic)
        bytes.append(Self.version)
        bytes.appendLittleEndian(UInt32(0))
        bytes.appendIdentifier(position.journal.bits)
        bytes.appendVarint(UInt64(bitPattern: position.streamID))
        bytes.appendVarint(UInt64(bitPattern: position.epoch))
        bytes.appendVarint(UInt64(bitPattern: position.applied))
        bytes.appendVarint(UInt64(self.payers.count))
        bytes += self.payerBytes
        bytes.appendVarint(UInt64(self.routes.count))
        bytes += self.routeBytes
        bytes.appendVarint(UInt64(count))
        bytes += self.eventBytes
        let crc = bytes.withUnsafeBytes { all in
            let body = UnsafeRawBufferPointer(rebasing: all[Self.prefixBytes...])
            return cmartlet_crc32c(0, body.baseAddress, body.count)
        }
        withUnsafeBytes(of: crc.littleEndian) { bytes.replaceSubrange(5..<9, with: $0) }
        return bytes
    }
}

extension [UInt8] {
    @inline(__always)
    fileprivate mutating func appendLittleEndian<Value: FixedWidthInteger>(_ value: Value) {
        Swift.withUnsafeBytes(of: value.littleEndian) { self.append(contentsOf: $0) }
    }

    fileprivate mutating func appendIdentifier(_ bits: UUIDBits) {
        self.appendLittleEndian(bits.high)
        self.appendLittleEndian(bits.low)
    }

    fileprivate mutating func appendVarint(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            self.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        self.append(UInt8(truncatingIfNeeded: rest))
    }

    /// Zigzag, so that small negative numbers are short too.
    fileprivate mutating func appendSigned(_ value: Int64) {
        self.appendVarint(UInt64(bitPattern: value << 1 ^ value >> 63))
    }

    fileprivate mutating func appendText(_ text: String) {
        self.appendVarint(UInt64(text.utf8.count))
        self.append(contentsOf: text.utf8)
    }

    fileprivate mutating func appendOptionalText(_ text: String?) {
        guard let text else { return self.append(0) }
        self.appendVarint(UInt64(text.utf8.count) + 1)
        self.append(contentsOf: text.utf8)
    }

    fileprivate mutating func appendUsage(_ usage: TokenUsage) {
        // The order of `TokenUsage`, which the mask's bits follow.
        let fields = [
            usage.input, usage.cachedInput, usage.cacheWriteInput, usage.cacheWriteLongInput, usage.audioInput,
            usage.imageInput, usage.output, usage.reasoningOutput, usage.audioOutput, usage.imageOutput,
        ]
        var mask: UInt16 = 0
        for (bit, field) in fields.enumerated() where field != 0 { mask |= 1 << UInt16(bit) }
        self.appendLittleEndian(mask)
        for field in fields where field != 0 { self.appendSigned(field) }
    }
}
