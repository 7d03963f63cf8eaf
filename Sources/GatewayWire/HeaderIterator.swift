/// Walks over the header lines of a head that was parsed without fault. Values have no white space around them.
/// Given other bytes it ends early, but never reads outside them.
package struct HeaderIterator: IteratorProtocol {
    private var reader: HeadReader?

    /// - Parameter headBytes: of the parsed head; at most `bytes.count`.
    package init(_ bytes: UnsafeRawBufferPointer, headBytes: Int) {
        guard let base = bytes.baseAddress else { return }
        var reader = HeadReader(base: base, end: min(headBytes, bytes.count))
        // A request may begin with one empty line.
        if reader.end > 2, reader.byte(0) == 0x0D { reader.position = 2 }
        reader.position = ByteScan.lineEnd(base, reader.position, reader.end) &+ 2
        if reader.position < reader.end { self.reader = reader }
    }

    package mutating func next() -> (name: ByteRange, value: ByteRange)? {
        guard let line = try? self.reader?.readHeader() else { return nil }
        return (ByteRange(line.nameStart, line.nameEnd), line.value)
    }
}
