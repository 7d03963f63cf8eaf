import GatewayCore

/// Incremental decoder of the chunked transfer coding (RFC 9112, section 7.1), for both directions.
///
///     sizeStart -> size -> (extension) -> sizeEnd -> data -> dataCR -> dataLF -> sizeStart
///                                            | size 0
///                                            v
///                        trailerStart <-> trailerName -> trailerValue -> trailerLF
///                            | CR
///                            v
///                        finalLF -> complete
package struct ChunkedDecoder: Sendable {
    package struct Progress: Hashable, Sendable {
        /// Bytes of the input that were used; fewer than given only when `isComplete`.
        package var consumed: Int
        /// The last chunk and the trailers have ended; what follows belongs to the next message.
        package var isComplete: Bool
    }

    private enum State {
        case sizeStart, size, chunkExtension, sizeEnd, data, dataCR, dataLF
        case trailerStart, trailerName, trailerValue, trailerLF, finalLF
        case complete
        case faulted(HTTPFault)
    }

    private let extensionBytesMax: Int
    private let trailerBytesMax: Int
    private var state = State.sizeStart
    /// While a size is read: its value so far. In data: bytes still to come.
    private var remaining: UInt64 = 0
    private var digitCount = 0
    /// Of the extension that is read.
    private var extensionBytes = 0
    /// Of all trailers so far.
    private var trailerBytes = 0
    private var trailerName = TrailerName()

    package init(limits: HTTPLimits) {
        self.extensionBytesMax = limits.chunkExtensionBytesMax
        self.trailerBytesMax = limits.trailerBytesMax
    }

    /// Decodes as much as it can. Calls `body` for each run of payload, in place (a range of `bytes`); what it throws
    /// is passed on, and the decoder must not be used again. After a fault every call gives the same fault.
    package mutating func decode(
        _ bytes: UnsafeRawBufferPointer, body: (Range<Int>) throws -> Void
    ) rethrows -> Result<Progress, HTTPFault> {
        var position = 0
        while position < bytes.count {
            switch self.state {
            case .data:
                let count = Int(truncatingIfNeeded: min(self.remaining, UInt64(bytes.count &- position)))
                try body(position..<position &+ count)
                position &+= count
                self.remaining &-= UInt64(count)
                if self.remaining == 0 { self.state = .dataCR }
            case .dataCR where Self.isLineEnd(bytes, position):
                self.state = .sizeStart
                position &+= 2
            case .complete: return .success(Progress(consumed: position, isComplete: true))
            case .faulted(let fault): return .failure(fault)
            case .trailerStart, .trailerName, .trailerValue, .trailerLF, .finalLF:
                self.state = self.readTrailerByte(bytes[position])
                position &+= 1
            default:
                if case .sizeStart = self.state, let end = self.readPlainSize(bytes, position) {
                    position = end
                    continue
                }
                self.state = self.readFramingByte(bytes[position])
                position &+= 1
            }
        }
        switch self.state {
        case .complete: return .success(Progress(consumed: position, isComplete: true))
        case .faulted(let fault): return .failure(fault)
        default: return .success(Progress(consumed: position, isComplete: false))
        }
    }

    @inline(__always)
    private static func isLineEnd(_ bytes: UnsafeRawBufferPointer, _ position: Int) -> Bool {
        bytes.count &- position >= 2 && bytes[position] == 0x0D && bytes[position &+ 1] == 0x0A
    }

    /// Reads a size line of up to eight digits and nothing else, which nearly all are, in one go; gives the offset
    /// behind it. `nil`, with nothing read: it is another, or cut.
    @inline(__always)
    private mutating func readPlainSize(_ bytes: UnsafeRawBufferPointer, _ start: Int) -> Int? {
        var position = start
        var size: UInt64 = 0
        let bound = min(bytes.count, start &+ 8)
        while position < bound, let digit = hexValue(bytes[position]) {
            size = size &<< 4 | UInt64(digit)
            position &+= 1
        }
        guard position > start, Self.isLineEnd(bytes, position) else { return nil }
        self.remaining = size
        self.state = size == 0 ? .trailerStart : .data
        return position &+ 2
    }

    /// Size lines and the line end behind the data.
    private mutating func readFramingByte(_ byte: UInt8) -> State {
        switch self.state {
        case .sizeStart:
            self.remaining = 0
            self.digitCount = 0
            self.extensionBytes = 0
            return self.readSizeDigit(byte) ? .size : .faulted(.badChunkSize)
        case .size:
            if self.readSizeDigit(byte) {
                return self.digitCount > 16 ? .faulted(.badChunkSize) : .size
            }
            switch byte {
            case 0x0D: return self.remaining < 1 << 62 ? .sizeEnd : .faulted(.chunkTooLarge)
            case UInt8(ascii: ";"): return .chunkExtension
            default: return .faulted(.badChunkSize)
            }
        case .chunkExtension:
            if byte == 0x0D { return self.remaining < 1 << 62 ? .sizeEnd : .faulted(.chunkTooLarge) }
            self.extensionBytes &+= 1
            if self.extensionBytes > self.extensionBytesMax { return .faulted(.chunkExtensionTooLong) }
            return (byte < 0x20 && byte != 0x09) || byte == 0x7F ? .faulted(.badChunkExtension) : .chunkExtension
        case .sizeEnd:
            guard byte == 0x0A else { return .faulted(.badChunkSize) }
            return self.remaining == 0 ? .trailerStart : .data
        case .dataCR: return byte == 0x0D ? .dataLF : .faulted(.badChunkEnd)
        case .dataLF: return byte == 0x0A ? .sizeStart : .faulted(.badChunkEnd)
        default: return self.state
        }
    }

    @inline(__always)
    private mutating func readSizeDigit(_ byte: UInt8) -> Bool {
        let digit: UInt8
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = byte &- UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = byte &- UInt8(ascii: "a") &+ 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): digit = byte &- UInt8(ascii: "A") &+ 10
        default: return false
        }
        self.remaining = self.remaining &<< 4 | UInt64(digit)
        self.digitCount &+= 1
        return true
    }

    /// Trailer lines are checked and dropped (RFC 9110, section 6.5.1).
    private mutating func readTrailerByte(_ byte: UInt8) -> State {
        self.trailerBytes &+= 1
        // The two bytes of the final blank line are no trailer.
        if self.trailerBytes > self.trailerBytesMax &+ 2 { return .faulted(.trailersTooLarge) }
        switch self.state {
        case .trailerStart:
            if byte == 0x0D { return .finalLF }
            self.trailerName = TrailerName()
            return self.trailerName.append(byte) ? .trailerName : .faulted(.badTrailer)
        case .trailerName:
            if byte == UInt8(ascii: ":") {
                return self.trailerName.isForbidden ? .faulted(.forbiddenTrailer) : .trailerValue
            }
            return self.trailerName.append(byte) ? .trailerName : .faulted(.badTrailer)
        case .trailerValue:
            if byte == 0x0D { return .trailerLF }
            return (byte < 0x20 && byte != 0x09) || byte == 0x7F ? .faulted(.badTrailer) : .trailerValue
        case .trailerLF: return byte == 0x0A ? .trailerStart : .faulted(.badTrailer)
        case .finalLF: return byte == 0x0A ? .complete : .faulted(.badTrailer)
        default: return self.state
        }
    }
}

/// The first bytes of a trailer's name, in lower case; longer names are none of the forbidden ones.
private struct TrailerName: Sendable {
    private var bytes = SIMD32<UInt8>(repeating: 0)
    private var count = 0

    init() {}

    /// `false`: the byte cannot stand in a name.
    mutating func append(_ byte: UInt8) -> Bool {
        guard ByteClass.isToken(byte) else { return false }
        if self.count < 32 { self.bytes[self.count] = byte &- UInt8(ascii: "A") < 26 ? byte | 0x20 : byte }
        self.count &+= 1
        return true
    }

    /// Fields that control framing, routing or credentials must not come behind the body.
    var isForbidden: Bool {
        self.equals("content-length") || self.equals("transfer-encoding") || self.equals("host")
            || self.equals("authorization")
    }

    private func equals(_ lowercase: StaticString) -> Bool {
        guard self.count == lowercase.utf8CodeUnitCount, self.count <= 32 else { return false }
        for index in 0..<self.count where self.bytes[index] != lowercase.utf8Start[index] { return false }
        return true
    }
}
