/// Walks over the header lines of a head that was parsed without fault, so that nothing is verified again. Values have
/// no white space around them. Given other bytes it gives other ranges or ends early, but never reads outside them.
package struct HeaderIterator: IteratorProtocol {
    /// `nil`: there are no lines.
    private var base: UnsafeRawPointer?
    private var end = 0
    private var position = 0

    /// - Parameter headBytes: of the parsed head; at most `bytes.count`.
    package init(_ bytes: UnsafeRawBufferPointer, headBytes: Int) {
        guard let base = bytes.baseAddress else { return }
        self.base = base
        self.end = min(headBytes, bytes.count)
        // A request may begin with one empty line.
        if self.end > 2, ByteScan.byte(base, 0) == 0x0D { self.position = 2 }
        self.position = ByteScan.lineEnd(base, self.position, self.end) &+ 2
    }

    package mutating func next() -> (name: ByteRange, value: ByteRange)? {
        guard let base = self.base, self.position < self.end else { return nil }
        let start = self.position
        var nameEnd = ByteScan.skipName(base, start, self.end)
        while nameEnd < self.end, ByteScan.byte(base, nameEnd) > 0x20, ByteScan.byte(base, nameEnd) != UInt8(ascii: ":")
        {
            nameEnd &+= 1
        }
        guard nameEnd < self.end, nameEnd > start, ByteScan.byte(base, nameEnd) == UInt8(ascii: ":") else {
            self.base = nil
            return nil
        }
        var valueStart = nameEnd &+ 1
        while valueStart < self.end, ByteClass.isBlank(ByteScan.byte(base, valueStart)) { valueStart &+= 1 }
        let lineEnd = ByteScan.lineEnd(base, valueStart, self.end)
        var valueEnd = lineEnd
        while valueEnd > valueStart, ByteClass.isBlank(ByteScan.byte(base, valueEnd &- 1)) { valueEnd &-= 1 }
        self.position = lineEnd &+ 2
        return (ByteRange(start, nameEnd), ByteRange(valueStart, valueEnd))
    }
}
