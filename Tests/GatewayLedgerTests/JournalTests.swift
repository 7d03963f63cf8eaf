import GatewayCore
import GatewayLedger
import TestSupport
import Testing

@Suite("A journal", .ownThread)
struct JournalTests {
    let payer = PayerIdentity.sample()
    let route = RouteIdentity.sample()

    @Test("gives back every field of every event, extremes and hostile text included")
    func keepsEveryField() throws {
        let seed = UInt64.random(in: 0 ... .max)
        print("seed \(seed)")
        var generator = SeededGenerator(seed: seed)
        let directory = TemporaryDirectory()
        let (journal, _) = try openJournal(directory)
        let payers = (0..<20).map { PayerIdentity.sample($0) }
        let routes = (0..<5).map { RouteIdentity.sample($0) }
        var events: [UsageEvent] = []
        for number in 0..<3000 {
            let event = UsageEvent.random(
                number, payer: payers[number % 20], route: routes[number % 5], using: &generator)
            try journal.recordIntent(
                .sample(number, attempt: event.attempt, payer: event.payer, route: event.route))
            try journal.recordSettlement(event)
            events.append(event)
        }
        let read = try journal.allSettlements()
        #expect(read.count == events.count)
        for (a, b) in zip(events, read) where !a.differences(from: b).isEmpty {
            Issue.record("\(a.requestID.text): \(a.differences(from: b))")
        }
        try journal.close()
        let (again, recovery) = try openJournal(directory)
        #expect(recovery.lastSequence == 3000 && recovery.orphanedIntents == 0 && recovery.notes == [])
        let reread = try again.allSettlements()
        for (a, b) in zip(events, reread) where !a.differences(from: b).isEmpty {
            Issue.record("\(a.requestID.text): \(a.differences(from: b))")
        }
        #expect(again.journalID == journal.journalID)
    }

    @Test("settles the intents of a dead process by the rule written down in them")
    func settlesOrphans() throws {
        let directory = TemporaryDirectory()
        let (journal, _) = try openJournal(directory)
        for number in 1...7 { try journal.recordIntent(.sample(number, payer: self.payer, route: self.route)) }
        try journal.recordSettlement(.sample(3, payer: self.payer, route: self.route))
        let copy = try TemporaryDirectory.restored(directory.image)
        let (again, recovery) = try openJournal(copy)
        #expect(recovery.lastSequence == 1 && recovery.orphanedIntents == 6 && recovery.discardedRecords == 0)
        let events = try again.allSettlements()
        #expect(numbers(events) == [3, -1, -2, -4, -5, -6, -7])
        let orphan = events[1]
        #expect(orphan.cost == NanoUSD(rawValue: 1000) && orphan.usage == TokenUsage(input: 20, output: 40))
        #expect(orphan.flags == .orphaned && orphan.status == 0 && orphan.durationMicroseconds == 0)
        #expect(events[6].flags == [.orphaned, .unpriced])
        #expect(again.openIntents == 0)
    }

    @Test("refuses to settle an attempt twice, or one that never began, or to begin one twice")
    func refusesDoubles() throws {
        let directory = TemporaryDirectory()
        let (journal, _) = try openJournal(directory)
        let intent = UsageIntent.sample(1, payer: self.payer, route: self.route)
        let event = UsageEvent.sample(1, payer: self.payer, route: self.route)
        #expect(throws: LedgerError.self) { try journal.recordSettlement(event) }
        try journal.recordIntent(intent)
        #expect(throws: LedgerError.self) { try journal.recordIntent(intent) }
        try journal.recordSettlement(event)
        #expect(throws: LedgerError.self) { try journal.recordSettlement(event) }
        #expect(try journal.allSettlements().count == 1)
    }

    @Test("is held by one process at a time, and says by which")
    func isExclusive() throws {
        let directory = TemporaryDirectory()
        let (journal, _) = try openJournal(directory)
        let error = #expect(throws: LedgerError.self) { try openJournal(directory) }
        guard case .locked(let text) = error else { throw error ?? .notFound("no error") }
        #expect(text.contains("process "))
        #expect(try JournalReader(directory: directory.path).read().isHeld)
        try journal.close()
        #expect(try !JournalReader(directory: directory.path).read().isHeld)
        _ = try openJournal(directory)
    }

    @Test("refuses everything after it was closed")
    func refusesAfterClose() throws {
        let directory = TemporaryDirectory()
        let (journal, _) = try openJournal(directory)
        try journal.close()
        try journal.close()
        #expect(journal.state == .closed)
        #expect(throws: LedgerError.self) {
            try journal.recordIntent(.sample(1, payer: self.payer, route: self.route))
        }
    }

    @Test("shows only what a sync has covered")
    func showsDurableOnly() throws {
        let directory = TemporaryDirectory()
        let (journal, _) = try openJournal(directory)
        try journal.record(1...5, payer: self.payer, route: self.route)
        #expect(try journal.readSettlements(after: 0, limit: 100).isEmpty)
        try journal.sync()
        try journal.record(6...9, payer: self.payer, route: self.route)
        #expect(journal.durableSequence == 5 && journal.lastSequence == 9)
        #expect(numbers(try journal.readSettlements(after: 0, limit: 100)) == [1, 2, 3, 4, 5])
        #expect(numbers(try journal.readSettlements(after: 2, limit: 2)) == [3, 4])
        #expect(numbers(try journal.readSettlements(after: 4, limit: 2)) == [5])
    }

    @Test("keeps records from many threads over many segments, each once")
    func isThreadSafe() async throws {
        let directory = TemporaryDirectory()
        let (journal, _) = try openJournal(
            directory,
            configuration: JournalConfiguration(
                segmentBytes: 65_536, bytesMax: 65_536 * 256, syncInterval: .milliseconds(1)))
        let payers = (0..<8).map { PayerIdentity.sample($0) }
        let route = self.route
        try await withThrowingTaskGroup { group in
            for thread in 0..<4 {
                group.addTask {
                    for step in 0..<5000 {
                        let number = thread * 5000 + step
                        try journal.recordIntent(.sample(number, payer: payers[number % 8], route: route))
                        if step >= 10 {
                            let payer = payers[(number - 10) % 8]
                            try journal.recordSettlement(.sample(number - 10, payer: payer, route: route))
                        }
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(journal.openIntents == 40)
        let events = try journal.allSettlements()
        #expect(events.count == 4 * 4990 && Set(numbers(events)).count == 4 * 4990)
        for event in events {
            let number = numbers([event])[0]
            let expected = UsageEvent.sample(number, payer: payers[number % 8], route: route)
            if !event.differences(from: expected).isEmpty {
                Issue.record("\(number): \(event.differences(from: expected))")
            }
        }
        let copy = try TemporaryDirectory.restored(directory.image.filter { $0.key != JournalFormat.lockName })
        try journal.close()
        let (again, recovery) = try openJournal(copy)
        #expect(recovery.orphanedIntents == 40 && recovery.lastSequence == 4 * 4990)
        #expect(Set(numbers(try again.allSettlements())).count == 20_000)
    }

    @Test("cuts long text at a character and keeps the rest exact")
    func cutsLongText() throws {
        let directory = TemporaryDirectory()
        let (journal, _) = try openJournal(directory)
        let payer = PayerIdentity(
            keyID: .masterKey, digest: KeyDigest((1, 2, 3, 4)), userID: String(repeating: "é", count: 4000),
            teamID: "")
        try journal.recordIntent(.sample(1, payer: payer, route: self.route))
        var event = UsageEvent.sample(1, payer: payer, route: self.route)
        event.endUser = "a" + String(repeating: "🙂", count: 500)
        try journal.recordSettlement(event)
        let read = try journal.allSettlements()[0]
        #expect(read.payer.userID == String(repeating: "é", count: 512) && read.payer.teamID == "")
        #expect(read.endUser == "a" + String(repeating: "🙂", count: 127))
    }
}
