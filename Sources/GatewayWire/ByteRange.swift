/// Bytes `start ..< end` of the buffer that was parsed. Empty = absent. Eight bytes, so that a parsed head stays small;
/// buffers therefore hold less than 2 GiB (every parser refuses larger ones).
package struct ByteRange: Hashable, Sendable {
    package var start: Int32
    package var end: Int32

    /// Absent.
    package static let empty = ByteRange(0, 0)

    @inline(__always)
    package init(_ start: Int, _ end: Int) {
        self.start = Int32(truncatingIfNeeded: start)
        self.end = Int32(truncatingIfNeeded: end)
    }

    @inline(__always) package var isEmpty: Bool { self.start == self.end }
    @inline(__always) package var count: Int { Int(self.end &- self.start) }
    @inline(__always) package var range: Range<Int> { Int(self.start)..<Int(self.end) }
}

extension UnsafeRawBufferPointer {
    /// The bytes of `range`, which must come from a parse of this buffer.
    @inline(__always)
    package subscript(_ range: ByteRange) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: self[range.range])
    }
}
