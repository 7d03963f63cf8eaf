import GatewayAdmission
import GatewayCore
import TestSupport
import Testing

@Suite("The directory of keys")
struct KeyDirectoryTests {
    private static func record(_ number: UInt64, digest: UInt64, models: [String] = []) -> KeyRecord {
        KeyRecord(
            keyID: VirtualKeyID(UUIDBits(high: 0x7000, low: number)),
            digest: KeyDigest((digest, digest &+ 1, digest &+ 2, digest &+ 3)), keyName: "sk-...\(number)", alias: nil,
            models: models, maxBudget: nil, budgetDuration: nil, expiresAt: nil, isBlocked: false, userID: nil,
            teamID: nil, metadata: "{}", otherFields: "{}", createdBy: "test",
            createdAt: UnixMicroseconds(rawValue: 0), updatedAt: UnixMicroseconds(rawValue: 0))
    }

    @Test("finds a key by its digest and by its id")
    func finds() {
        let directory = KeyDirectory()
        let record = Self.record(1, digest: 0xABC)
        directory.set(record, startingSpend: .zero)
        #expect(directory.entry(digest: record.digest)?.record == record)
        #expect(directory.entry(id: record.keyID)?.record == record)
        #expect(directory.entry(digest: Self.record(1, digest: 0xABD).digest) == nil)
        #expect(directory.count == 1)
    }

    @Test("keeps the spend of a key whose state or secret changes, and forgets its former secret")
    func keepsSpend() {
        let directory = KeyDirectory()
        let former = Self.record(1, digest: 0xABC)
        let entry = directory.set(former, startingSpend: NanoUSD(rawValue: 5))
        entry.spend.add(NanoUSD(rawValue: 7))
        directory.set(Self.record(1, digest: 0xABC, models: ["a"]), startingSpend: .zero)
        #expect(directory.entry(digest: former.digest)?.spend.spend == NanoUSD(rawValue: 12))
        let changed = Self.record(1, digest: 0xDEF)
        directory.set(changed, startingSpend: .zero)
        #expect(directory.entry(digest: changed.digest)?.spend.spend == NanoUSD(rawValue: 12))
        #expect(directory.entry(digest: former.digest) == nil)
        entry.spend.add(NanoUSD(rawValue: 1))
        #expect(directory.entry(id: former.keyID)?.spend.spend == NanoUSD(rawValue: 13))
    }

    @Test("forgets a key that is removed, once and for good")
    func removes() {
        let directory = KeyDirectory()
        let record = Self.record(1, digest: 0xABC)
        directory.set(record, startingSpend: .zero)
        directory.remove(id: record.keyID)
        directory.remove(id: record.keyID)
        #expect(directory.entry(digest: record.digest) == nil)
        #expect(directory.entry(id: record.keyID) == nil)
        #expect(directory.count == 0)
    }

    @Test("knows one secret of a key whose secret is changed from many places at once")
    func concurrentRegeneration() async {
        for round in UInt64(0)..<200 {
            let directory = KeyDirectory()
            await withTaskGroup(of: Void.self) { group in
                for change in UInt64(0)..<8 {
                    group.addTask {
                        directory.set(Self.record(1, digest: round &+ change &* 0x1_0001), startingSpend: .zero)
                    }
                }
            }
            let known = (UInt64(0)..<8).filter {
                directory.entry(digest: Self.record(1, digest: round &+ $0 &* 0x1_0001).digest) != nil
            }
            #expect(known.count == 1, "round \(round): a former secret still opens the door")
            #expect(directory.entry(id: Self.record(1, digest: 0).keyID) != nil)
        }
    }

    @Test("knows no secret of a key that is changed and removed at once, and removed last")
    func concurrentRemoval() async {
        for round in UInt64(0)..<300 {
            let directory = KeyDirectory()
            let record = Self.record(1, digest: round)
            directory.set(record, startingSpend: .zero)
            await withTaskGroup(of: Void.self) { group in
                for _ in 0..<4 { group.addTask { directory.set(record, startingSpend: .zero) } }
                for _ in 0..<4 { group.addTask { directory.remove(id: record.keyID) } }
            }
            // Whoever came last, both ways to the key agree.
            let byID = directory.entry(id: record.keyID) != nil
            #expect((directory.entry(digest: record.digest) != nil) == byID, "round \(round)")
            #expect((directory.count == 1) == byID, "round \(round)")
        }
    }

    @Test("serves look-ups of other keys while one changes")
    func lookups() async {
        let directory = KeyDirectory()
        for number in UInt64(0)..<100 { directory.set(Self.record(number, digest: number << 8), startingSpend: .zero) }
        let missing = await withTaskGroup(of: Int.self) { group in
            for _ in 0..<3 {
                group.addTask {
                    (0..<5000).count {
                        directory.entry(digest: Self.record(0, digest: UInt64($0 % 99) << 8).digest) == nil
                    }
                }
            }
            group.addTask {
                for change in UInt64(0)..<500 {
                    directory.set(Self.record(99, digest: 99 << 8 | change), startingSpend: .zero)
                }
                return 0
            }
            return await group.reduce(0, +)
        }
        #expect(missing == 0)
        #expect(directory.count == 100)
    }
}

@Suite("A spend counter")
struct SpendCounterTests {
    @Test("loses nothing that many add at once")
    func concurrentAdds() async {
        let counter = SpendCounter(NanoUSD(rawValue: 100))
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<8 {
                group.addTask { for _ in 0..<10_000 { counter.add(NanoUSD(rawValue: 3)) } }
            }
        }
        #expect(counter.spend == NanoUSD(rawValue: 100 + 8 * 10_000 * 3))
    }
}
