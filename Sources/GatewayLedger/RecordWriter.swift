import CMartlet
import GatewayCore

/// Writes one record in place. The caller has made sure of the room, so there are no checks here.
struct RecordWriter {
    private let start: UnsafeMutableRawPointer
    private var cursor: UnsafeMutableRawPointer

    @inline(__always)
    init(at start: UnsafeMutableRawPointer, type: JournalFormat.RecordType) {
        self.start = start
        self.cursor = start + JournalFormat.prefixBytes
        self.byte(type.rawValue)
    }

    /// Completes the record and returns its size in bytes. The length comes last, so that a process killed at any
    /// instruction leaves either no record or a whole one, and a reader of the live file never starts on half of one.
    @inline(__always)
    func finish(seed: UInt32) -> Int {
        let body = self.start + JournalFormat.prefixBytes
        let count = self.cursor - body
        (self.start + 4).storeBytes(of: cmartlet_crc32c(seed, body, count).littleEndian, as: UInt32.self)
        orderStores()
        self.start.storeBytes(of: UInt32(truncatingIfNeeded: count).littleEndian, as: UInt32.self)
        return JournalFormat.prefixBytes + count
    }

    @inline(__always)
    mutating func byte(_ value: UInt8) {
        self.cursor.storeBytes(of: value, as: UInt8.self)
        self.cursor += 1
    }

    @inline(__always)
    mutating func word16(_ value: UInt16) {
        self.cursor.storeBytes(of: value.littleEndian, as: UInt16.self)
        self.cursor += 2
    }

    @inline(__always)
    mutating func word64(_ value: UInt64) {
        self.cursor.storeBytes(of: value.littleEndian, as: UInt64.self)
        self.cursor += 8
    }

    @inline(__always)
    mutating func identifier(_ bits: UUIDBits) {
        self.word64(bits.high)
        self.word64(bits.low)
    }

    @inline(__always)
    mutating func varint(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            self.byte(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        self.byte(UInt8(truncatingIfNeeded: rest))
    }

    /// Zigzag, so that small negative numbers are short too.
    @inline(__always)
    mutating func signed(_ value: Int64) {
        self.varint(UInt64(bitPattern: value << 1 ^ value >> 63))
    }

    mutating func text(_ text: String, bytesMax: Int) {
        let count = keptBytes(of: text, bytesMax: bytesMax)
        self.varint(UInt64(count))
        self.bytes(of: text, count: count)
    }

    mutating func optionalText(_ text: String?, bytesMax: Int) {
        guard let text else { return self.byte(0) }
        let count = keptBytes(of: text, bytesMax: bytesMax)
        self.varint(UInt64(count + 1))
        self.bytes(of: text, count: count)
    }

    private mutating func bytes(of text: String, count: Int) {
        let target = self.cursor
        let isDone: Void? = text.utf8.withContiguousStorageIfAvailable { storage in
            if let base = storage.baseAddress { target.copyMemory(from: base, byteCount: count) }
        }
        if isDone == nil {
            for (index, byte) in text.utf8.prefix(count).enumerated() {
                (target + index).storeBytes(of: byte, as: UInt8.self)
            }
        }
        self.cursor += count
    }

    @inline(__always)
    mutating func usage(_ usage: TokenUsage) {
        let mask = self.cursor
        self.cursor += 2
        var bits: UInt16 = 0
        self.field(usage.input, 1, &bits)
        self.field(usage.cachedInput, 2, &bits)
        self.field(usage.cacheWriteInput, 4, &bits)
        self.field(usage.cacheWriteLongInput, 8, &bits)
        self.field(usage.audioInput, 16, &bits)
        self.field(usage.imageInput, 32, &bits)
        self.field(usage.output, 64, &bits)
        self.field(usage.reasoningOutput, 128, &bits)
        self.field(usage.audioOutput, 256, &bits)
        self.field(usage.imageOutput, 512, &bits)
        mask.storeBytes(of: bits.littleEndian, as: UInt16.self)
    }

    @inline(__always)
    private mutating func field(_ value: Int64, _ bit: UInt16, _ bits: inout UInt16) {
        if value == 0 { return }
        bits |= bit
        self.signed(value)
    }
}

/// How many bytes of `text` are kept when at most `bytesMax` may be: never half of a character's UTF-8 sequence.
func keptBytes(of text: String, bytesMax: Int) -> Int {
    let utf8 = text.utf8
    if utf8.count <= bytesMax { return utf8.count }
    var index = utf8.index(utf8.startIndex, offsetBy: bytesMax)
    var count = bytesMax
    while count > 0, utf8[index] & 0xC0 == 0x80 {
        index = utf8.index(before: index)
        count -= 1
    }
    return count
}
