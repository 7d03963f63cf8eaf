import GatewayCore
import TestSupport
import Testing

@Suite("An identifier")
struct IdentifierTests {
    @Test("has the text of a UUID, and the text gives it back in either case", arguments: [1, 2, 3, 4] as [UInt64])
    func roundTrip(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<100 {
            let bits = UUIDBits(high: generator.next(), low: generator.next())
            #expect(bits.text.utf8.count == 36)
            #expect(UUIDBits(text: bits.text) == bits, "seed \(seed)")
            #expect(UUIDBits(text: bits.text.uppercased()) == bits, "seed \(seed)")
        }
    }

    @Test("has its digits in the order of its bits")
    func digits() {
        let bits = UUIDBits(high: 0x0123_4567_89AB_CDEF, low: 0xFEDC_BA98_7654_3210)
        #expect(bits.text == "01234567-89ab-cdef-fedc-ba9876543210")
    }

    @Test(
        "is not made of any other text",
        arguments: [
            "", "0", "01234567-89ab-cdef-fedc-ba987654321", "01234567-89ab-cdef-fedc-ba98765432100",
            "0123456789abcdeffedcba9876543210", "01234567_89ab-cdef-fedc-ba9876543210",
            "01234567-89ab-cdef-fedc-ba987654321g", "g1234567-89ab-cdef-fedc-ba9876543210",
            "01234567-89ab-cdef-fedc-ba98765432é", " 1234567-89ab-cdef-fedc-ba9876543210",
            "{1234567-89ab-cdef-fedc-ba98765432}0", "01234567-89ab-cdef-fedcba9876543210--",
        ])
    func badText(text: String) {
        #expect(UUIDBits(text: text) == nil)
    }

    @Test("that is random has version 4 and the RFC's variant")
    func random() {
        var generator = SeededGenerator(seed: 7)
        for _ in 0..<100 {
            let text = Array(UUIDBits.random(using: &generator).text)
            #expect(text[14] == "4")
            #expect("89ab".contains(text[19]))
        }
    }

    @Test("that is ordered by time sorts as text in the order of its milliseconds, and has version 7")
    func timeOrdered() {
        var generator = SeededGenerator(seed: 8)
        var former = ""
        for step in 0..<200 {
            let time = UnixMicroseconds(rawValue: 1_795_348_800_000_000 + Int64(step) * 1000)
            let text = UUIDBits.timeOrdered(at: time, using: &generator).text
            #expect(text > former)
            #expect(Array(text)[14] == "7")
            #expect("89ab".contains(Array(text)[19]))
            former = text
        }
    }

    @Test("of 200,000 made in one millisecond is never made twice")
    func unique() {
        var generator = SeededGenerator(seed: 9)
        let time = UnixMicroseconds(rawValue: 1_795_348_800_000_000)
        var seen: Set<UUIDBits> = []
        for _ in 0..<200_000 { seen.insert(.timeOrdered(at: time, using: &generator)) }
        #expect(seen.count == 200_000)
    }
}

@Suite("The digest of a key")
struct KeyDigestTests {
    private let hex = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

    @Test("is the same from bytes and from digits of either case")
    func forms() throws {
        let digest = try #require(KeyDigest(hex: self.hex))
        #expect(digest.hex == self.hex)
        #expect(KeyDigest(hex: self.hex.uppercased()) == digest)
        #expect(digest.bytes.count == 32)
        #expect(KeyDigest(bytes: digest.bytes) == digest)
    }

    @Test("is not made of anything shorter, longer or other", arguments: [0, 1, 31, 33, 63, 65])
    func wrongLength(count: Int) {
        #expect(KeyDigest(bytes: Array(repeating: UInt8(1), count: count)) == nil)
        #expect(KeyDigest(hex: String(repeating: "a", count: count)) == nil)
    }

    @Test("is not made of what is no digit, wherever it stands")
    func wrongDigit() {
        for index in 0..<64 {
            var text = Array(self.hex)
            text[index] = "g"
            #expect(KeyDigest(hex: String(text)) == nil)
        }
    }

    @Test("equals no digest that differs in one bit")
    func differences() throws {
        let digest = try #require(KeyDigest(hex: self.hex))
        for bit in 0..<256 {
            var bytes = digest.bytes
            bytes[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(KeyDigest(bytes: bytes) != digest)
        }
    }
}
