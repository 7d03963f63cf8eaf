/// One message of `application/vnd.amazon.eventstream` (AWS event stream encoding): headers and a payload, each frame
/// with two CRC-32 sums.
///
/// ```text
/// total u32 | headers u32 | crc of these 8 | headers | payload | crc of all before
/// ```
package enum AWSEventStream {
    package enum Fault: Error, Hashable, Sendable {
        /// The sum over the first eight bytes is wrong: the length cannot be trusted.
        case preludeChecksum
        case messageChecksum
        /// Lengths that contradict each other, or headers that do not fit.
        case malformed
        /// Longer than the bound.
        case tooLarge
    }

    /// The largest message that AWS sends.
    package static let messageBytesMax = 24 << 20
    static let preludeBytes = 12
    /// Headers of one frame; AWS sends three or four.
    static let headersMax = 64
    static let overheadBytes = 16

    /// The headers that Bedrock uses; empty: absent. Valid as long as the frame's bytes.
    package struct Message {
        /// `event`, `exception` or `error`.
        package var messageType = JSONSlice.empty
        package var eventType = JSONSlice.empty
        package var exceptionType = JSONSlice.empty
        package var errorCode = JSONSlice.empty
        package var errorMessage = JSONSlice.empty
        package var payload = JSONSlice.empty
        package var headerCount = 0
    }

    /// Reads the frames that arrive in pieces.
    package struct Reader: Sendable {
        private var carry: [UInt8] = []
        private var fault: Fault?
        private let messageBytesMax: Int

        package init(messageBytesMax: Int = AWSEventStream.messageBytesMax) { self.messageBytesMax = messageBytesMax }

        /// Bytes of a frame that is not whole.
        package var carriedBytes: Int { self.carry.count }

        /// Calls `message` for each frame that these bytes complete. After a fault every call gives the same fault.
        package mutating func feed(_ bytes: UnsafeRawBufferPointer, message: (Message) -> Void) -> Fault? {
            guard self.fault == nil, bytes.count > 0 else { return self.fault }
            if self.carry.isEmpty {
                let used = self.read(bytes, message)
                if self.fault == nil { self.carry.append(contentsOf: bytes[used...]) }
                return self.fault
            }
            self.carry.append(contentsOf: bytes)
            var carry: [UInt8] = []
            swap(&carry, &self.carry)
            let used = carry.withUnsafeBytes { self.read($0, message) }
            if used > 0 { carry.removeSubrange(0..<used) }
            swap(&carry, &self.carry)
            return self.fault
        }

        /// Reads whole frames; gives the bytes they took.
        private mutating func read(_ bytes: UnsafeRawBufferPointer, _ message: (Message) -> Void) -> Int {
            var position = 0
            while bytes.count - position >= AWSEventStream.preludeBytes {
                let rest = UnsafeRawBufferPointer(rebasing: bytes[position...])
                do throws(Fault) {
                    let total = try AWSEventStream.frameLength(rest, max: self.messageBytesMax)
                    guard rest.count >= total else { return position }
                    message(try AWSEventStream.decode(UnsafeRawBufferPointer(rebasing: rest[..<total])))
                    position += total
                } catch {
                    self.fault = error
                    return position
                }
            }
            return position
        }
    }

    /// The length of the frame whose first twelve bytes are there.
    static func frameLength(_ bytes: UnsafeRawBufferPointer, max: Int) throws(Fault) -> Int {
        guard CRC32.sum(UnsafeRawBufferPointer(rebasing: bytes[..<8])) == self.word(bytes, 8) else {
            throw .preludeChecksum
        }
        let total = Int(self.word(bytes, 0))
        let headers = Int(self.word(bytes, 4))
        guard total <= max else { throw .tooLarge }
        guard total >= Self.overheadBytes + headers else { throw .malformed }
        return total
    }

    /// Bytes of the whole frames that `bytes` begins with, and whether what follows them is no frame.
    package static func wholeFrames(_ bytes: UnsafeRawBufferPointer) -> (bytes: Int, isBroken: Bool) {
        var position = 0
        while bytes.count - position >= Self.preludeBytes {
            let rest = UnsafeRawBufferPointer(rebasing: bytes[position...])
            guard let total = try? Self.frameLength(rest, max: Self.messageBytesMax) else { return (position, true) }
            guard rest.count >= total else { break }
            position += total
        }
        return (position, false)
    }

    /// Reads one whole frame.
    package static func decode(_ frame: UnsafeRawBufferPointer) throws(Fault) -> Message {
        guard frame.count >= self.overheadBytes, let base = frame.baseAddress else { throw .malformed }
        guard try self.frameLength(frame, max: .max) == frame.count else { throw .malformed }
        let body = UnsafeRawBufferPointer(rebasing: frame[..<(frame.count - 4)])
        guard CRC32.sum(body) == self.word(frame, frame.count - 4) else { throw .messageChecksum }
        let headersEnd = self.preludeBytes + Int(self.word(frame, 4))
        var message = Message()
        var position = self.preludeBytes
        var names: [JSONSlice] = []
        while position < headersEnd {
            try self.readHeader(base, &position, headersEnd, &names, into: &message)
        }
        message.payload = JSONSlice(start: base + headersEnd, count: frame.count - 4 - headersEnd)
        return message
    }

    /// Name length u8, name, type u8, value by type.
    private static func readHeader(
        _ base: UnsafeRawPointer, _ position: inout Int, _ end: Int, _ names: inout [JSONSlice],
        into message: inout Message
    ) throws(Fault) {
        let nameLength = Int(ByteScan.byte(base, position))
        let name = JSONSlice(start: base + position + 1, count: nameLength)
        position += 1 + nameLength
        guard position < end else { throw .malformed }
        // Each name once, as AWS's own reader has it.
        guard names.count < Self.headersMax, !names.contains(where: { $0.isEqual(to: name) }) else { throw .malformed }
        names.append(name)
        let type = ByteScan.byte(base, position)
        position += 1
        let length: Int
        switch type {
        case 0, 1: length = 0
        case 2: length = 1
        case 3: length = 2
        case 4: length = 4
        case 5, 8: length = 8
        case 6, 7:
            guard position + 2 <= end else { throw .malformed }
            length = Int(ByteScan.byte(base, position)) << 8 | Int(ByteScan.byte(base, position + 1))
            position += 2
        case 9: length = 16
        default: throw .malformed
        }
        guard position + length <= end else { throw .malformed }
        message.headerCount += 1
        if type == 7 { self.note(name, JSONSlice(start: base + position, count: length), in: &message) }
        position += length
    }

    private static func note(_ name: JSONSlice, _ value: JSONSlice, in message: inout Message) {
        if name == ":message-type" {
            message.messageType = value
        } else if name == ":event-type" {
            message.eventType = value
        } else if name == ":exception-type" {
            message.exceptionType = value
        } else if name == ":error-code" {
            message.errorCode = value
        } else if name == ":error-message" {
            message.errorMessage = value
        }
    }

    @inline(__always)
    private static func word(_ bytes: UnsafeRawBufferPointer, _ offset: Int) -> UInt32 {
        UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
    }

    // MARK: - Writing

    /// Appends a frame with a JSON payload.
    ///
    /// - Parameters:
    ///   - kind: `event` or `exception`.
    ///   - type: the event's or exception's name.
    package static func append(
        kind: StaticString, type: StaticString, payload: UnsafeRawBufferPointer, to output: inout [UInt8]
    ) {
        let start = output.count
        output.append(contentsOf: [UInt8](repeating: 0, count: self.preludeBytes))
        let typeName: StaticString = JSONSlice(kind) == "event" ? ":event-type" : ":exception-type"
        self.appendHeader(typeName, type, to: &output)
        self.appendHeader(":content-type", "application/json", to: &output)
        self.appendHeader(":message-type", kind, to: &output)
        let headersBytes = output.count - start - self.preludeBytes
        output.append(contentsOf: payload)
        self.put(UInt32(truncatingIfNeeded: output.count - start + 4), at: start, in: &output)
        self.put(UInt32(truncatingIfNeeded: headersBytes), at: start + 4, in: &output)
        let prelude = output.withUnsafeBytes { CRC32.sum(UnsafeRawBufferPointer(rebasing: $0[start..<(start + 8)])) }
        self.put(prelude, at: start + 8, in: &output)
        let sum = output.withUnsafeBytes { CRC32.sum(UnsafeRawBufferPointer(rebasing: $0[start...])) }
        output.append(contentsOf: [UInt8](repeating: 0, count: 4))
        self.put(sum, at: output.count - 4, in: &output)
    }

    private static func appendHeader(_ name: StaticString, _ value: StaticString, to output: inout [UInt8]) {
        output.append(UInt8(truncatingIfNeeded: name.utf8CodeUnitCount))
        output.append(contentsOf: JSONSlice(name).bytes)
        output.append(7)
        output.append(UInt8(truncatingIfNeeded: value.utf8CodeUnitCount >> 8))
        output.append(UInt8(truncatingIfNeeded: value.utf8CodeUnitCount))
        output.append(contentsOf: JSONSlice(value).bytes)
    }

    private static func put(_ value: UInt32, at offset: Int, in output: inout [UInt8]) {
        for index in 0..<4 { output[offset + index] = UInt8(truncatingIfNeeded: value >> UInt32(24 - 8 * index)) }
    }
}

/// CRC-32 of IEEE 802.3, as AWS frames use it; the journal's is another polynomial.
enum CRC32 {
    private static let table: [UInt32] = (0..<256).map { index in
        (0..<8).reduce(UInt32(index)) { sum, _ in sum & 1 == 1 ? sum >> 1 ^ 0xEDB8_8320 : sum >> 1 }
    }

    static func sum(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
        self.table.withUnsafeBufferPointer { table in
            var sum: UInt32 = 0xFFFF_FFFF
            for byte in bytes { sum = table[Int(UInt8(truncatingIfNeeded: sum) ^ byte)] ^ sum >> 8 }
            return ~sum
        }
    }
}
