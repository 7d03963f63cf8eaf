import GatewayCore

/// Reads one record's body. Reading past its end, or a value that no version wrote, makes `isBad` true and gives zeros,
/// so that callers check once at the end.
struct RecordReader {
    private var cursor: UnsafeRawPointer
    private let end: UnsafeRawPointer
    private(set) var isBad = false

    @inline(__always)
    init(_ bytes: UnsafeRawPointer, count: Int) {
        self.cursor = bytes
        self.end = bytes + count
    }

    /// Everything was read, and it made sense.
    @inline(__always)
    var isComplete: Bool { !self.isBad && self.cursor == self.end }

    @inline(__always)
    mutating func byte() -> UInt8 {
        guard self.cursor < self.end else { return self.bad(0) }
        defer { self.cursor += 1 }
        return self.cursor.load(as: UInt8.self)
    }

    @inline(__always)
    mutating func word16() -> UInt16 {
        guard self.end - self.cursor >= 2 else { return self.bad(0) }
        defer { self.cursor += 2 }
        return UInt16(littleEndian: self.cursor.loadUnaligned(as: UInt16.self))
    }

    @inline(__always)
    mutating func word64() -> UInt64 {
        guard self.end - self.cursor >= 8 else { return self.bad(0) }
        defer { self.cursor += 8 }
        return UInt64(littleEndian: self.cursor.loadUnaligned(as: UInt64.self))
    }

    @inline(__always)
    mutating func identifier() -> UUIDBits {
        let high = self.word64()
        return UUIDBits(high: high, low: self.word64())
    }

    @inline(__always)
    mutating func varint() -> UInt64 {
        let first = self.byte()
        if first < 0x80 { return UInt64(first) }
        var value = UInt64(first & 0x7F)
        var shift: UInt64 = 7
        while shift < 64 {
            let byte = self.byte()
            if shift == 63, byte > 1 { return self.bad(0) }
            value |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return value }
            shift += 7
        }
        return self.bad(0)
    }

    @inline(__always)
    mutating func signed() -> Int64 {
        let value = self.varint()
        return Int64(bitPattern: value >> 1) ^ -Int64(bitPattern: value & 1)
    }

    mutating func text() -> String { self.text(count: self.varint()) }

    mutating func optionalText() -> String? {
        let count = self.varint()
        return count == 0 ? nil : self.text(count: count - 1)
    }

    private mutating func text(count: UInt64) -> String {
        guard count <= UInt64(self.end - self.cursor) else { return self.bad("") }
        defer { self.cursor += Int(count) }
        return String(decoding: UnsafeRawBufferPointer(start: self.cursor, count: Int(count)), as: UTF8.self)
    }

    @inline(__always)
    mutating func usage() -> TokenUsage {
        let mask = self.word16()
        var usage = TokenUsage()
        if mask & 1 != 0 { usage.input = self.signed() }
        if mask & 2 != 0 { usage.cachedInput = self.signed() }
        if mask & 4 != 0 { usage.cacheWriteInput = self.signed() }
        if mask & 8 != 0 { usage.cacheWriteLongInput = self.signed() }
        if mask & 16 != 0 { usage.audioInput = self.signed() }
        if mask & 32 != 0 { usage.imageInput = self.signed() }
        if mask & 64 != 0 { usage.output = self.signed() }
        if mask & 128 != 0 { usage.reasoningOutput = self.signed() }
        if mask & 256 != 0 { usage.audioOutput = self.signed() }
        if mask & 512 != 0 { usage.imageOutput = self.signed() }
        if mask > 1023 { self.isBad = true }
        return usage
    }

    /// The element that an index written as a varint names.
    @inline(__always)
    mutating func element<Element>(of table: [Element], else fallback: Element) -> Element {
        let index = self.varint()
        guard index < UInt64(table.count) else { return self.bad(fallback) }
        return table[Int(index)]
    }

    @inline(__always)
    mutating func value<Value: RawRepresentable<UInt8>>(_ type: Value.Type, else fallback: Value) -> Value {
        guard let value = Value(rawValue: self.byte()) else { return self.bad(fallback) }
        return value
    }

    @inline(__always)
    private mutating func bad<Value>(_ value: Value) -> Value {
        self.isBad = true
        return value
    }
}
