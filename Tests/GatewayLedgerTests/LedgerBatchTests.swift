import GatewayCore
import GatewayLedger
import TestSupport
import Testing

@Suite("A batch of the ledger as bytes", .ownThread)
struct LedgerBatchTests {
    private let position = StreamPosition(
        journal: LedgerSample.journal(7), streamID: 12, epoch: 3, applied: 1_000_000)

    private func encoded(_ events: [UsageEvent], bytesMax: Int = 1 << 24) -> (bytes: [UInt8], count: Int) {
        LedgerBatchEncoder.encode(events[...], at: self.position, bytesMax: bytesMax)
    }

    @Test("gives every field back, also of hostile text and extreme figures")
    func roundTrip() throws {
        var events = LedgerSample.variedEvents() + LedgerSample.events(50)
        for text in LedgerSample.hostileTexts {
            let route = RouteIdentity(
                modelGroup: text, model: text, provider: text, deploymentID: text, priceVersion: text)
            events.append(
                LedgerSample.event(1, payer: LedgerSample.payer(1, user: text, team: text), route: route, endUser: text)
            )
        }
        for value in [Int64.max, .min, -1] {
            events[0].cost = NanoUSD(rawValue: value)
            events[1].usage = TokenUsage(input: value, output: value)
            events[2].startedAt = UnixMicroseconds(rawValue: value)
            let (bytes, count) = self.encoded(events)
            #expect(count == events.count)
            var decoder = LedgerBatchDecoder()
            let batch = try decoder.decode(bytes)
            #expect(batch.position == self.position && batch.end == 1_000_000 + Int64(count))
            #expect(batch.events.map(LedgerSample.fields) == events.map(LedgerSample.fields))
        }
    }

    @Test("shares payers and routes between batches as pods do between calls")
    func sharesIdentities() throws {
        var decoder = LedgerBatchDecoder()
        let first = try decoder.decode(self.encoded(LedgerSample.events(5)).bytes)
        let second = try decoder.decode(self.encoded(LedgerSample.events(5)).bytes)
        #expect(first.events[0].payer === second.events[0].payer)
        #expect(first.events[0].route === second.events[0].route)
    }

    @Test("is refused as a whole when any byte is cut off, added or changed")
    func damaged() throws {
        let (bytes, _) = self.encoded(LedgerSample.variedEvents())
        var decoder = LedgerBatchDecoder()
        _ = try decoder.decode(bytes)
        for count in 0..<bytes.count {
            #expect(throws: LedgerBatchError.self) { _ = try decoder.decode(Array(bytes.prefix(count))) }
        }
        #expect(throws: LedgerBatchError.self) { _ = try decoder.decode(bytes + [0]) }
        for place in bytes.indices {
            for bit in 0..<8 {
                var changed = bytes
                changed[place] ^= 1 << UInt8(bit)
                #expect(throws: LedgerBatchError.self, "byte \(place) bit \(bit)") { _ = try decoder.decode(changed) }
            }
        }
    }

    @Test("of random bytes is refused")
    func random() {
        var generator = SeededGenerator(seed: 5)
        var decoder = LedgerBatchDecoder()
        for _ in 0..<2000 {
            let count = Int.random(in: 0...200, using: &generator)
            var bytes = (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
            bytes.replaceSubrange(0..<min(5, count), with: [0x4D, 0x4C, 0x42, 1, 1].prefix(count))
            #expect(throws: LedgerBatchError.self) { _ = try decoder.decode(bytes) }
        }
    }

    @Test("keeps to its bound of bytes, but for one event that is larger, and goes on where it ended")
    func bounded() throws {
        let events = LedgerSample.variedEvents() + LedgerSample.events(300)
        for bytesMax in [1, 300, 1000, 5000] {
            var rest = events[...]
            var decoder = LedgerBatchDecoder()
            var seen: [[String]] = []
            while !rest.isEmpty {
                let (bytes, count) = LedgerBatchEncoder.encode(rest, at: self.position, bytesMax: bytesMax)
                #expect(count > 0 && (count == 1 || bytes.count <= bytesMax))
                seen += try decoder.decode(bytes).events.map(LedgerSample.fields)
                rest = rest.dropFirst(count)
            }
            #expect(seen == events.map(LedgerSample.fields))
        }
    }
}
