import CMartlet
import TestSupport
import Testing

@Suite("A native helper", .ownThread)
struct NativeHelperTests {
    @Test("computes the CRC-32C of RFC 3720's examples, with the processor's instruction and with the table")
    func knownChecksums() {
        let ascending = (0..<32).map { UInt8($0) }
        let examples: [([UInt8], UInt32)] = [
            (Array(repeating: 0, count: 32), 0x8A91_36AA), (Array(repeating: 0xFF, count: 32), 0x62A8_AB43),
            (ascending, 0x46DD_794E), (ascending.reversed(), 0x113F_DB5C),
        ]
        for (bytes, checksum) in examples {
            #expect(cmartlet_crc32c(0, bytes, bytes.count) == checksum)
            #expect(cmartlet_crc32c_portable(0, bytes, bytes.count) == checksum)
        }
    }

    @Test("gives one checksum whichever way it is computed and wherever the bytes are cut", arguments: [1, 2, 3])
    func equalChecksums(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let bytes = (0..<1_000).map { _ in UInt8.random(in: 0...255, using: &random) }
        let whole = cmartlet_crc32c_portable(0, bytes, bytes.count)
        for cut in stride(from: 0, through: bytes.count, by: 13) {
            let tail = Array(bytes[cut...])
            #expect(cmartlet_crc32c(cmartlet_crc32c(0, bytes, cut), tail, tail.count) == whole)
        }
    }

    /// What `cmartlet_skip_string` promises, byte by byte.
    private static func skipped(_ bytes: [UInt8]) -> (stop: Int, escapes: Int) {
        var position = 0
        var escapes = 0
        while position < bytes.count {
            let byte = bytes[position]
            if byte == UInt8(ascii: "\\"), position + 1 < bytes.count,
                Array("\"\\/bfnrt".utf8).contains(bytes[position + 1])
            {
                position += 2
                escapes += 1
            } else if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") || byte < 0x20 || byte > 0x7F {
                break
            } else {
                position += 1
            }
        }
        return (position, escapes)
    }

    @Test("skips plain text and short escapes exactly as far as a reader of single bytes", arguments: 1...8)
    func skipsStrings(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        for _ in 0..<500 {
            let length = Int.random(in: 0...300, using: &random)
            let bytes: [UInt8] = (0..<length).map { _ in
                switch UInt8.random(in: 0...40, using: &random) {
                case 0: UInt8(ascii: "\\")
                case 1 where seed > 4: UInt8.random(in: 0...255, using: &random)
                case 2...5: Array("nrtbf/\\".utf8).randomElement(using: &random) ?? 0
                default: UInt8(ascii: "a")
                }
            }
            var escapes = 0
            let stop = cmartlet_skip_string(bytes, 0, bytes.count, &escapes)
            let expected = Self.skipped(bytes)
            #expect(stop == expected.stop && escapes == expected.escapes, "seed \(seed): \(bytes)")
        }
    }
}
