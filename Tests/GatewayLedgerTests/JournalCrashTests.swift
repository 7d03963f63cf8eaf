import GatewayCore
import GatewayLedger
import TestSupport
import Testing

/// The first segment's file.
private let firstName = JournalFormat.segmentName(1)

extension [String: [UInt8]] {
    /// Overwrites `count` bytes of a file with zeros; `nil`: all from `place` on.
    fileprivate mutating func zero(_ name: String, from place: Int, count: Int?) {
        guard let content = self[name] else { return }
        let end = count.map { place + $0 } ?? content.count
        self[name] = Array(content[..<place]) + [UInt8](repeating: 0, count: end - place) + Array(content[end...])
    }
}

@Suite("A journal after a crash", .ownThread)
struct JournalCrashTests {
    /// One segment with twelve attempts, two of them open, and where each record ends.
    struct Sample {
        var image: [String: [UInt8]] = [:]
        var used = 0
        var intentEnds: [Int: Int] = [:]
        var settlementEnds: [(number: Int, end: Int)] = []

        init(closes: Bool = false, syncsAfter: Int? = nil) throws {
            let directory = TemporaryDirectory()
            let (journal, _) = try openJournal(directory)
            let payers = [PayerIdentity.sample(1), .sample(2)]
            let route = RouteIdentity.sample()
            for number in 1...12 {
                try journal.recordIntent(.sample(number, payer: payers[number % 2], route: route))
                self.intentEnds[number] = journal.depthBytes
                if number % 6 == 0 { continue }
                try journal.recordSettlement(.sample(number, payer: payers[number % 2], route: route))
                self.settlementEnds.append((number, journal.depthBytes))
                if number == syncsAfter { try journal.sync() }
            }
            if closes { try journal.close() }
            self.used = journal.depthBytes
            self.image = directory.image
        }

        /// What must stand in the journal if its file ends at `cut`: nothing lost before, nothing invented after.
        func expected(cut: Int) -> [Int] {
            let settled = self.settlementEnds.filter { $0.end <= cut }.map(\.number)
            let begun = self.intentEnds.filter { $0.value <= cut }.map(\.key).sorted()
            return settled + begun.filter { !settled.contains($0) }.map { -$0 }
        }
    }

    @Test("has every settlement before the cut and settles the open intents, wherever the bytes end in zeros")
    func survivesZeros() throws {
        let sample = try Sample()
        for cut in 0...sample.used {
            var image = sample.image
            image.zero(firstName, from: cut, count: nil)
            let (journal, recovery) = try openJournal(try .restored(image))
            let found = numbers(try journal.allSettlements())
            if found != sample.expected(cut: cut) { Issue.record("cut at \(cut): \(found)") }
            #expect(recovery.discardedRecords == 0)
        }
    }

    @Test("has every settlement before the cut, wherever the file ends")
    func survivesTruncation() throws {
        let sample = try Sample()
        for cut in 0...sample.used {
            var image = sample.image
            image[firstName] = Array(sample.image[firstName]?.prefix(cut) ?? [])
            let directory = try TemporaryDirectory.restored(image)
            let found = numbers(try openJournal(directory).journal.allSettlements())
            if found != sample.expected(cut: cut) { Issue.record("cut at \(cut): \(found)") }
            let again = numbers(try openJournal(directory).journal.allSettlements())
            if again != found { Issue.record("cut at \(cut), opened again: \(again)") }
        }
    }

    @Test("cuts a record whose end is garbage")
    func survivesGarbage() throws {
        let sample = try Sample()
        var generator = SeededGenerator(seed: 7)
        let boundaries = sample.settlementEnds.map(\.end)
        for cut in boundaries {
            var image = sample.image
            image.zero(firstName, from: cut, count: nil)
            for offset in 4..<60 { image[firstName]?[cut + offset] = UInt8.random(in: 0...255, using: &generator) }
            let (journal, recovery) = try openJournal(try .restored(image))
            #expect(numbers(try journal.allSettlements()) == sample.expected(cut: cut))
            #expect(recovery.notes.count == 1)
        }
    }

    @Test("finds a flipped bit at every byte of what had been synced, and changes nothing then")
    func findsFlippedBits() throws {
        let sample = try Sample(closes: true)
        let whole = sample.expected(cut: sample.used)
        var generator = SeededGenerator(seed: 11)
        var found = 0
        for place in 0..<sample.used {
            var image = sample.image
            image[firstName]?[place] ^= 1 << UInt8.random(in: 0...7, using: &generator)
            let directory = try TemporaryDirectory.restored(image)
            do {
                let events = try openJournal(directory).journal.allSettlements()
                if numbers(events) != whole { Issue.record("byte \(place): \(numbers(events))") }
            } catch let error as LedgerError {
                guard case .corrupt(let text) = error else { throw error }
                found += 1
                if !text.contains(firstName) { Issue.record("byte \(place): \(text)") }
                if directory.image != image { Issue.record("byte \(place): the files were changed") }
            }
        }
        // Only the last mark of durability has nothing behind it that vouches for it.
        #expect(found >= sample.used - 32)
    }

    @Test("does not open when the identity was changed", arguments: 0..<37)
    func findsChangedIdentity(place: Int) throws {
        var image = try Sample(closes: true).image
        image[JournalFormat.identityName]?[place] ^= 1
        #expect(throws: LedgerError.self) { try openJournal(try .restored(image)) }
        image[JournalFormat.identityName] = nil
        #expect(throws: LedgerError.self) { try openJournal(try .restored(image)) }
    }

    @Test("drops and counts records behind a hole that was never synced")
    func dropsBehindUnsyncedHole() throws {
        let sample = try Sample(syncsAfter: 3)
        let start = sample.settlementEnds[4].end
        var image = sample.image
        image.zero(firstName, from: start, count: 20)
        let (journal, recovery) = try openJournal(try .restored(image))
        #expect(recovery.discardedRecords > 0 && recovery.notes.count == 1)
        #expect(numbers(try journal.allSettlements()) == sample.expected(cut: start))
    }

    @Test("does not open with a hole in what had been synced")
    func refusesSyncedHole() throws {
        let sample = try Sample(syncsAfter: 9)
        let start = sample.settlementEnds[4].end
        var image = sample.image
        image.zero(firstName, from: start, count: 20)
        let directory = try TemporaryDirectory.restored(image)
        let error = #expect(throws: LedgerError.self) { try openJournal(directory) }
        guard case .corrupt(let text) = error else { throw error ?? .notFound("no error") }
        #expect(text.contains("\(firstName) at byte \(start)"))
        #expect(try JournalReader(directory: directory.path).read().problems.count == 1)
    }

    @Test("does not open when a segment in the middle is missing")
    func refusesMissingSegment() throws {
        let directory = TemporaryDirectory()
        let (journal, _) = try openJournal(directory)
        try journal.record(1...3000, payer: .sample(), route: .sample())
        try journal.close()
        var image = directory.image
        image[JournalFormat.segmentName(2)] = nil
        #expect(throws: LedgerError.self) { try openJournal(try .restored(image)) }
        image = directory.image
        image[JournalFormat.segmentName(3)] = image[JournalFormat.segmentName(2)]
        #expect(throws: LedgerError.self) { try openJournal(try .restored(image)) }
    }

    @Test("keeps what was recorded when it crashes again while it recovers", arguments: 1...12)
    func survivesCrashInRecovery(failing: Int) throws {
        let directory = try TemporaryDirectory.restored(try Sample().image)
        _ = try? openJournal(directory, files: FaultyJournalFiles(.from(failing)))
        let (journal, _) = try openJournal(directory)
        #expect(Set(numbers(try journal.allSettlements())) == [1, 2, 3, 4, 5, 7, 8, 9, 10, 11, -6, -12])
        #expect(try journal.allSettlements().count == 12)
    }
}
