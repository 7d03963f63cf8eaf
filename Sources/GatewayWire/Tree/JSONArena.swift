/// Memory for JSON text that is made during a translation and lives until `reset`. It hands out stable slices.
/// Not safe to share between threads.
package final class JSONArena {
    private var chunks: [UnsafeMutableRawBufferPointer] = []
    private var used = 0
    private var scratch: [UInt8] = []
    private static let chunkSize = 4096

    package init() {}

    deinit {
        for chunk in self.chunks { chunk.deallocate() }
    }

    /// Ends all slices handed out so far.
    package func reset() {
        while self.chunks.count > 1 { self.chunks.removeLast().deallocate() }
        // A first chunk that one huge text made is not kept.
        if let first = self.chunks.first, first.count > 16 * Self.chunkSize {
            first.deallocate()
            self.chunks = []
        }
        self.used = 0
    }

    /// A copy of `bytes`.
    package func copy(_ bytes: UnsafeRawBufferPointer) -> JSONSlice {
        guard bytes.count > 0 else { return .empty }
        let place = self.allocate(bytes.count)
        place.copyMemory(from: bytes)
        return JSONSlice(start: UnsafeRawPointer(place.baseAddress.unsafelyUnwrapped), count: bytes.count)
    }

    package func copy(_ bytes: [UInt8]) -> JSONSlice { bytes.withUnsafeBytes { self.copy($0) } }

    /// `text` as the content of a JSON string.
    package func text(_ text: String) -> JSONText {
        var text = text
        return text.withUTF8 { self.escaped(UnsafeRawBufferPointer($0)) }
    }

    /// Bytes of UTF-8 text as the content of a JSON string.
    package func escaped(_ bytes: UnsafeRawBufferPointer) -> JSONText {
        self.scratch.removeAll(keepingCapacity: true)
        JSONUnescape.appendEscaped(bytes, to: &self.scratch)
        return JSONText(self.copy(self.scratch))
    }

    /// What stands in the string: the bytes with escapes resolved.
    package func unescaped(_ text: JSONText) -> JSONSlice {
        if text.isPlain { return text.slice }
        self.scratch.removeAll(keepingCapacity: true)
        JSONUnescape.append(text.slice.bytes, to: &self.scratch)
        return self.copy(self.scratch)
    }

    /// The same text with no more escapes than it needs, such as a slash that was written `\/`.
    package func canonical(_ text: JSONText) -> JSONText {
        text.isPlain ? text : self.escaped(self.unescaped(text).bytes)
    }

    /// The texts one behind the other.
    package func joined(_ texts: [JSONText], separator: StaticString = "") -> JSONText {
        if texts.count == 1 { return texts[0] }
        self.scratch.removeAll(keepingCapacity: true)
        for (index, text) in texts.enumerated() {
            if index > 0 { self.scratch.append(contentsOf: JSONSlice(separator).bytes) }
            self.scratch.append(contentsOf: text.slice.bytes)
        }
        return JSONText(self.copy(self.scratch))
    }

    private func allocate(_ count: Int) -> UnsafeMutableRawBufferPointer {
        if let chunk = self.chunks.last, chunk.count - self.used >= count {
            let place = UnsafeMutableRawBufferPointer(rebasing: chunk[self.used..<(self.used + count)])
            self.used += count
            return place
        }
        let chunk = UnsafeMutableRawBufferPointer.allocate(byteCount: max(count, Self.chunkSize), alignment: 8)
        self.chunks.append(chunk)
        self.used = count
        return UnsafeMutableRawBufferPointer(rebasing: chunk[0..<count])
    }
}
