import GatewayDataPlane
import NIOCore
import TestSupport
import Testing

@Suite("The relay of an event stream")
struct StreamRelayTests {
    /// What comes out of `pieces`, and what is left waiting at the end.
    private static func relay(_ pieces: [ArraySlice<UInt8>], drops: Bool) -> (out: String, pending: Int) {
        var relay = StreamRelay(dropsUsageEvents: drops, eventBytesMax: 1 << 20)
        var out: [UInt8] = []
        for piece in pieces {
            var buffer = ByteBufferAllocator().buffer(capacity: 64)
            guard relay.take(ByteBuffer(bytes: piece), into: &buffer) == nil else { return ("(fault)", 0) }
            buffer.moveReaderIndex(to: StreamRelay.sizeBytes)
            out += Array(buffer.readableBytesView)
        }
        return (String(decoding: out, as: UTF8.self), relay.pending.readableBytes)
    }

    private static func crlf(_ text: String) -> String { text.replacing("\n", with: "\r\n") }

    private static let content: String = Wire.delta("Hello") + ": comment\n\n" + Wire.delta("wörld 🙂") + Wire.finish

    /// A stream and what the caller is to see of it when our own usage event is removed.
    private static let samples: [(stream: String, seen: String)] = [
        (content + Wire.usageEvent() + Wire.done, content + Wire.done),
        (crlf(content + Wire.usageEvent() + Wire.done), crlf(content + Wire.done)),
        (crlf(content) + Wire.usageEvent() + crlf(Wire.done), crlf(content) + crlf(Wire.done)),
        (crlf(content + Wire.usageEvent()), crlf(content)),
        (Wire.usageEvent() + content + Wire.usageEvent() + Wire.done, content + Wire.done),
        (Wire.usageEvent() + Wire.usageEvent() + content, content),
        ("\u{FEFF}" + content + Wire.done, "\u{FEFF}" + content + Wire.done),
    ]

    @Test("gives the caller the same bytes however they are split", arguments: 0..<samples.count)
    func everySplit(index: Int) {
        let (stream, seen) = Self.samples[index]
        let bytes = Array(stream.utf8)
        let bad = (0...bytes.count).filter { cut in
            let result = Self.relay([bytes[..<cut], bytes[cut...]].filter { !$0.isEmpty }, drops: true)
            return result.out != seen || result.pending != 0
        }
        #expect(bad == [], "differs when cut at these offsets")
        let single = Self.relay(bytes.indices.map { bytes[$0...$0] }, drops: true)
        #expect(single.out == seen)
        let untouched = Self.relay(bytes.indices.map { bytes[$0...$0] }, drops: false)
        #expect(untouched.out == stream)
    }

    @Test("gives the caller the same bytes in random pieces", arguments: [1, 2, 3, 4] as [UInt64])
    func randomSplits(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<200 {
            let (stream, seen) = Self.samples.randomElement(using: &generator) ?? ("", "")
            let bytes = Array(stream.utf8)
            var pieces: [ArraySlice<UInt8>] = []
            var position = 0
            while position < bytes.count {
                let end = min(bytes.count, position + Int.random(in: 1...60, using: &generator))
                pieces.append(bytes[position..<end])
                position = end
            }
            #expect(Self.relay(pieces, drops: true).out == seen, "seed \(seed)")
        }
    }

    @Test("holds an event until it is whole, so that a cut leaves no half event")
    func holdsPartialEvents() {
        let bytes = Array((Wire.delta("one") + Wire.delta("two")).utf8)
        let first = Wire.delta("one").utf8.count
        for cut in first + 1..<bytes.count {
            let result = Self.relay([bytes[..<cut]], drops: true)
            #expect(result.out == Wire.delta("one"))
            #expect(result.pending == cut - first)
        }
    }

    @Test("keeps the usage that the caller asked for")
    func keepsUsage() {
        let stream = Self.content + Wire.usageEvent() + Wire.done
        #expect(Self.relay([ArraySlice(stream.utf8)], drops: false).out == stream)
    }

    @Test("refuses an event beyond the bound")
    func bound() {
        var relay = StreamRelay(dropsUsageEvents: true, eventBytesMax: 100)
        var buffer = ByteBufferAllocator().buffer(capacity: 64)
        #expect(relay.take(ByteBuffer(string: "data: " + String(repeating: "x", count: 200)), into: &buffer) != nil)
    }
}
