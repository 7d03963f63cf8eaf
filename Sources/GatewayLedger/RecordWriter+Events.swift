import GatewayCore
import Synchronization

/// Keeps the compiler and the processor from moving stores over this point.
@inline(__always)
func orderStores() { atomicMemoryFence(ordering: .releasing) }

/// The records, each written at `place` with enough room; each function returns the record's size in bytes.
extension JournalFormat {
    static func writeHeader(
        at place: UnsafeMutableRawPointer, journalID: JournalID, serial: UInt64, firstSequence: Int64
    ) -> Int {
        var writer = RecordWriter(at: place, type: .header)
        writer.word64(Self.magic)
        writer.byte(Self.version)
        writer.identifier(journalID.bits)
        writer.word64(serial)
        writer.word64(UInt64(bitPattern: firstSequence))
        return writer.finish(seed: 0)
    }

    static func writeDefinition(_ payer: PayerIdentity, at place: UnsafeMutableRawPointer, seed: UInt32) -> Int {
        var writer = RecordWriter(at: place, type: .payer)
        writer.identifier(payer.keyID.bits)
        writer.word64(payer.digest.words.0)
        writer.word64(payer.digest.words.1)
        writer.word64(payer.digest.words.2)
        writer.word64(payer.digest.words.3)
        writer.optionalText(payer.userID, bytesMax: Self.nameBytesMax)
        writer.optionalText(payer.teamID, bytesMax: Self.nameBytesMax)
        return writer.finish(seed: seed)
    }

    static func writeDefinition(_ route: RouteIdentity, at place: UnsafeMutableRawPointer, seed: UInt32) -> Int {
        var writer = RecordWriter(at: place, type: .route)
        writer.text(route.modelGroup, bytesMax: Self.nameBytesMax)
        writer.text(route.model, bytesMax: Self.nameBytesMax)
        writer.text(route.provider, bytesMax: Self.nameBytesMax)
        writer.text(route.deploymentID, bytesMax: Self.nameBytesMax)
        writer.text(route.priceVersion, bytesMax: Self.nameBytesMax)
        return writer.finish(seed: seed)
    }

    static func writeDurable(
        at place: UnsafeMutableRawPointer, seed: UInt32, serial: UInt64, offset: Int, sequence: Int64
    ) -> Int {
        var writer = RecordWriter(at: place, type: .durable)
        writer.varint(serial)
        writer.varint(UInt64(offset))
        writer.varint(UInt64(bitPattern: sequence))
        return writer.finish(seed: seed)
    }

    static func writeEnd(at place: UnsafeMutableRawPointer, seed: UInt32) -> Int {
        RecordWriter(at: place, type: .end).finish(seed: seed)
    }

    @inline(__always)
    static func writeIntent(
        _ intent: UsageIntent, isCarried: Bool, payer: UInt32, route: UInt32, at place: UnsafeMutableRawPointer,
        seed: UInt32
    ) -> Int {
        var writer = RecordWriter(at: place, type: isCarried ? .carriedIntent : .intent)
        writer.identifier(intent.requestID.bits)
        writer.byte(intent.attempt)
        writer.byte(intent.kind.rawValue)
        writer.byte((intent.isStream ? 1 : 0) | (intent.isUnpriced ? 2 : 0))
        writer.varint(UInt64(payer))
        writer.varint(UInt64(route))
        writer.word64(UInt64(bitPattern: intent.startedAt.rawValue))
        writer.signed(intent.orphanCost.rawValue)
        writer.usage(intent.orphanUsage)
        return writer.finish(seed: seed)
    }

    @inline(__always)
    static func writeSettlement(
        _ event: UsageEvent, sequence: Int64, payer: UInt32, route: UInt32, at place: UnsafeMutableRawPointer,
        seed: UInt32
    ) -> Int {
        var writer = RecordWriter(at: place, type: .settlement)
        writer.word64(UInt64(bitPattern: sequence))
        writer.identifier(event.requestID.bits)
        writer.byte(event.attempt)
        writer.byte(event.kind.rawValue)
        writer.byte(event.serviceTier.rawValue)
        writer.byte(event.outcome.rawValue)
        writer.byte((event.isStream ? 1 : 0) | (event.endUser == nil ? 0 : 2))
        writer.word16(event.flags.rawValue)
        writer.word16(event.status)
        writer.varint(UInt64(payer))
        writer.varint(UInt64(route))
        writer.word64(UInt64(bitPattern: event.startedAt.rawValue))
        writer.signed(event.durationMicroseconds)
        writer.signed(event.firstByteMicroseconds)
        writer.signed(event.cost.rawValue)
        writer.usage(event.usage)
        if let endUser = event.endUser { writer.text(endUser, bytesMax: Self.endUserBytesMax) }
        return writer.finish(seed: seed)
    }
}
