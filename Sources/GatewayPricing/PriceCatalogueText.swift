/// The catalogue's text and the search in it. Lines after the header are sorted by bytes; as the name is followed by a
/// tab, which is below every byte a name may hold, the order of lines is the order of names.
struct PriceCatalogueText: Sendable {
    private enum Storage: Sendable {
        case shipped(StaticString)
        case owned([UInt8])
    }

    private let storage: Storage
    /// Where the first model's line starts.
    private let bodyStart: Int

    init(shipped text: StaticString, bodyStart: Int) {
        self.storage = .shipped(text)
        self.bodyStart = bodyStart
    }

    /// `text` must end in a newline and its body must be sorted.
    init(owned text: [UInt8], bodyStart: Int) {
        self.storage = .owned(text)
        self.bodyStart = bodyStart
    }

    func withBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        switch self.storage {
        case .shipped(let text):
            body(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
        case .owned(let bytes): bytes.withUnsafeBytes(body)
        }
    }

    /// The line that starts with `name` and a tab, without its newline. `nil`: none does.
    func line(named name: String) -> String? {
        var key = Array(name.utf8)
        // A name with a tab would match past the end of a model's name.
        guard !key.contains(UInt8(ascii: "\t")) else { return nil }
        key.append(UInt8(ascii: "\t"))
        return self.withBytes { bytes in
            var low = self.bodyStart
            var high = bytes.count
            while low < high {
                let start = Self.lineStart(at: low + (high - low) / 2, notBefore: low, in: bytes)
                let end = Self.lineEnd(from: start, in: bytes)
                switch Self.compare(key, bytes[start..<end]) {
                case 0: return String(decoding: bytes[start..<end], as: UTF8.self)
                case ..<0: high = start
                default: low = end + 1
                }
            }
            return nil
        }
    }

    /// Calls `body` with each model's line and its number in the text, the first line being 1.
    func forEachLine(_ body: (_ number: Int, _ line: String) -> Void) {
        self.withBytes { bytes in
            var number = 1 + bytes[..<self.bodyStart].lazy.filter { $0 == UInt8(ascii: "\n") }.count
            var start = self.bodyStart
            while start < bytes.count {
                let end = Self.lineEnd(from: start, in: bytes)
                body(number, String(decoding: bytes[start..<end], as: UTF8.self))
                start = end + 1
                number += 1
            }
        }
    }

    private static func lineStart(at offset: Int, notBefore low: Int, in bytes: UnsafeRawBufferPointer) -> Int {
        var start = offset
        while start > low && bytes[start - 1] != UInt8(ascii: "\n") { start -= 1 }
        return start
    }

    private static func lineEnd(from start: Int, in bytes: UnsafeRawBufferPointer) -> Int {
        var end = start
        while end < bytes.count && bytes[end] != UInt8(ascii: "\n") { end += 1 }
        return end
    }

    /// 0: the line starts with `key`. Negative: `key` belongs before the line, positive: after it.
    private static func compare(_ key: [UInt8], _ line: Slice<UnsafeRawBufferPointer>) -> Int {
        for (a, b) in zip(key, line) where a != b { return a < b ? -1 : 1 }
        return key.count <= line.count ? 0 : 1
    }
}
