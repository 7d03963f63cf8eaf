import GatewayCore
import GatewayWire
import NIOCore

/// Appends text and figures to raw memory: how heads are written without making strings.
struct RawWriter: ~Copyable {
    private let memory: UnsafeMutableRawBufferPointer
    private(set) var count = 0

    init(_ memory: UnsafeMutableRawBufferPointer) { self.memory = memory }

    @inline(__always)
    mutating func append(_ text: StaticString) {
        self.append(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    @inline(__always)
    mutating func append(_ bytes: UnsafeRawBufferPointer) {
        precondition(bytes.count <= self.memory.count - self.count, "the room for a head was counted wrongly")
        guard let source = bytes.baseAddress, let target = self.memory.baseAddress else { return }
        target.advanced(by: self.count).copyMemory(from: source, byteCount: bytes.count)
        self.count += bytes.count
    }

    mutating func append(_ bytes: [UInt8]) {
        bytes.withUnsafeBytes { self.append($0) }
    }

    mutating func append(decimal value: Int64) {
        precondition(self.memory.count - self.count >= HTTPText.decimalBytesMax, "no room for a number")
        if value >= 0, value < 10 {
            self.memory[self.count] = UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: value)
            self.count &+= 1
            return
        }
        self.count += HTTPText.writeDecimal(
            value, to: UnsafeMutableRawBufferPointer(rebasing: self.memory[self.count...]))
    }

    /// A thousandth of `value`, with three decimals: microseconds become milliseconds.
    mutating func append(thousandths value: Int64) {
        let value = max(0, value)
        self.append(decimal: value / 1000)
        self.append(fraction: value % 1000, digits: 3)
    }

    /// Dollars with all decimals that are not 0.
    mutating func append(dollars money: NanoUSD) {
        if money.rawValue < 0 { self.append("-") }
        let magnitude = Int64(clamping: money.rawValue.magnitude)
        self.append(decimal: magnitude / 1_000_000_000)
        self.append(fraction: magnitude % 1_000_000_000, digits: 9)
    }

    private mutating func append(fraction: Int64, digits: Int) {
        // Below 10^9, and 32 bits are divided in half the time of 64.
        var rest = UInt32(truncatingIfNeeded: fraction)
        guard rest > 0 else { return }
        var width = digits
        while rest % 1000 == 0 {
            rest /= 1000
            width &-= 3
        }
        while rest % 10 == 0 {
            rest /= 10
            width &-= 1
        }
        precondition(self.memory.count - self.count > width, "no room for a fraction")
        self.memory[self.count] = UInt8(ascii: ".")
        var position = self.count &+ width
        while position > self.count {
            self.memory[position] = UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: rest % 10)
            rest /= 10
            position &-= 1
        }
        self.count &+= width &+ 1
    }

    mutating func append(_ id: RequestID) {
        precondition(self.memory.count - self.count >= 36, "no room for an identifier")
        id.bits.writeText(to: UnsafeMutableRawBufferPointer(rebasing: self.memory[self.count..<self.count + 36]))
        self.count += 36
    }
}

extension ByteBuffer {
    /// Writes at most `capacity` bytes through a `RawWriter`.
    @inline(__always)
    mutating func write(capacity: Int, _ body: (inout RawWriter) -> Void) {
        self.writeWithUnsafeMutableBytes(minimumWritableBytes: capacity) { memory in
            var writer = RawWriter(memory)
            body(&writer)
            return writer.count
        }
    }
}
