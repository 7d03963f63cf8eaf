import Glibc

/// The bytes of one event around its text: `prefix TEXT middle [PADDING tail]`. An event with the same bytes in these
/// places, and nothing but string content in the others, has the same structure, so it says the same but for its text.
struct EventTemplate: Sendable {
    /// Longer events are parsed; they are rare and not worth the memory.
    private static let bytesMax = 2048
    /// How often a template is learned without ever fitting before learning pauses.
    private static let learnMax = 4

    /// An event that fits.
    struct Match {
        /// Offset behind the event.
        var end: Int
        /// Bytes of its text, escapes resolved.
        var contentBytes: Int
    }

    private var bytes: [UInt8] = []
    /// `bytes` is prefix, middle and tail one after another; without padding the tail is empty.
    private var prefixCount = 0
    private var middleCount = 0
    private var hasPadding = false
    private var fruitlessCount = 0

    init() {}

    /// Whether a whole event that fits begins at `start`. `nil`: no, or it is not all there.
    @inline(__always)
    mutating func match(
        _ base: UnsafeRawPointer, _ start: Int, _ end: Int
    ) -> Match? {
        guard end &- start >= self.bytes.count, !self.bytes.isEmpty else { return nil }
        let found = self.bytes.withUnsafeBytes { template in
            // Not empty, so there is a base address.
            template.baseAddress.flatMap { self.match(base, start, end, template: $0, count: template.count) }
        }
        if found != nil { self.fruitlessCount = 0 }
        return found
    }

    @inline(__always)
    private func match(
        _ base: UnsafeRawPointer, _ start: Int, _ end: Int, template: UnsafeRawPointer, count: Int
    ) -> Match? {
        guard memcmp(base + start, template, self.prefixCount) == 0 else { return nil }
        let content = start &+ self.prefixCount
        guard let text = Self.skipText(base, content, end) else { return nil }
        let contentBytes = text.end &- content &- text.overhead
        guard end &- text.end >= self.middleCount,
            memcmp(base + text.end, template + self.prefixCount, self.middleCount) == 0
        else { return nil }
        let middleEnd = text.end &+ self.middleCount
        guard self.hasPadding else { return Match(end: middleEnd, contentBytes: contentBytes) }
        guard let padding = Self.skipText(base, middleEnd, end) else { return nil }
        let tail = self.prefixCount &+ self.middleCount
        let tailCount = count &- tail
        guard end &- padding.end >= tailCount, memcmp(base + padding.end, template + tail, tailCount) == 0 else {
            return nil
        }
        return Match(end: padding.end &+ tailCount, contentBytes: contentBytes)
    }

    /// The closing quote of a string whose content begins at `start`. `nil`: cut, malformed, or a control character.
    @inline(__always)
    private static func skipText(_ base: UnsafeRawPointer, _ start: Int, _ end: Int) -> (end: Int, overhead: Int)? {
        var stop = ByteScan.quoteOrEscape(base, start, end)
        var overhead = 0
        while stop < end {
            let byte = ByteScan.byte(base, stop)
            if byte == UInt8(ascii: "\"") { return (stop, overhead) }
            guard byte == UInt8(ascii: "\\"), let escape = JSONSkimmer.skipEscape(base, stop, end) else { return nil }
            overhead &+= escape.overhead
            stop = ByteScan.quoteOrEscape(base, escape.end, end)
        }
        return nil
    }

    /// Takes the event in `start ..< end` as the new template. `content` and `padding` are the contents of strings in
    /// it; `padding` may be empty or, if it comes before the content, unusable.
    mutating func learn(
        _ base: UnsafeRawPointer, start: Int, end: Int, content: ByteRange, padding: ByteRange
    ) {
        // After a final CR a LF may still belong to the event, which a template could not tell.
        guard end &- start <= Self.bytesMax, ByteScan.byte(base, end &- 1) == 0x0A else { return }
        self.fruitlessCount &+= 1
        // Streams whose events differ elsewhere too, in a time stamp say, would be copied for nothing.
        if self.fruitlessCount > Self.learnMax, self.fruitlessCount & 63 != 0 { return }
        let contentStart = Int(content.start)
        let contentEnd = Int(content.end)
        self.hasPadding = Int(padding.start) > contentEnd
        let middleEnd = self.hasPadding ? Int(padding.start) : end
        self.bytes.removeAll(keepingCapacity: true)
        self.bytes.append(contentsOf: UnsafeRawBufferPointer(start: base + start, count: contentStart &- start))
        self.bytes.append(contentsOf: UnsafeRawBufferPointer(start: base + contentEnd, count: middleEnd &- contentEnd))
        self.prefixCount = contentStart &- start
        self.middleCount = middleEnd &- contentEnd
        if self.hasPadding {
            let tail = Int(padding.end)
            self.bytes.append(contentsOf: UnsafeRawBufferPointer(start: base + tail, count: end &- tail))
        }
    }
}
