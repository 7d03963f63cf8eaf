import GatewayCore
import GatewayFleet
import GatewayLedger
import Logging
import TestSupport
import Testing

@Suite("An adopter of journals", .ownThread)
struct JournalAdopterTests {
    private let clock = ManualWallClock()
    private let disk = SimulatedDisk()
    private let time = FleetTime(now: { .zero }, sleep: { _ in })
    private let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    private func open(_ pod: String, owner: Int) throws -> Journal {
        try Journal.open(
            directory: "\(self.disk.root)/\(pod)/journal", configuration: SimulatedFleet.journal, clock: self.clock,
            files: self.disk.seen(by: owner)
        ).journal
    }

    /// A pod that settled 5 calls, shipped none of them and died with a sixth in flight.
    private func leaveJournal(_ pod: String, from number: Int) throws -> JournalID {
        let journal = try self.open(pod, owner: 1)
        for call in number..<number + 5 {
            try journal.recordIntent(.sample(call))
            try journal.recordSettlement(.sample(call))
        }
        try journal.recordIntent(.sample(number + 5))
        defer { self.disk.release(1) }
        return journal.journalID
    }

    private func adopter(_ store: MemoryFleetStore, ledger: (any LedgerStore)? = nil) -> JournalAdopter {
        JournalAdopter(
            ledger: ledger ?? store, fleet: store, own: nil, configuration: SimulatedFleet.journal,
            deadAfter: .seconds(5),
            clock: self.clock, time: self.time, logger: self.logger, files: self.disk.seen(by: 2))
    }

    private func numbers(_ store: MemoryFleetStore) async throws -> [Int] {
        try await store.usage(UsageQuery(newestFirst: false, limit: 1000)).map {
            Int($0.event.requestID.bits.low & 0xFFFF_FFFF)
        }.sorted()
    }

    @Test("ships what a dead pod left, closes its stream and removes the files")
    func adopts() async throws {
        let store = MemoryFleetStore(clock: self.clock)
        let journalID = try self.leaveJournal("pod-a", from: 1)
        _ = try await store.takeStream(journalID)
        let adopter = self.adopter(store)
        // Its pod is not dead yet.
        #expect(try await adopter.adoptOrphans(below: self.disk.root).isEmpty)
        self.clock.advance(by: .seconds(10))
        _ = try await store.reapStreams(deadAfter: .seconds(5), holdFor: .seconds(900))
        let adoptions = try await adopter.adoptOrphans(below: self.disk.root)
        #expect(adoptions.map(\.outcome) == [.shipped(events: 6, orphanedIntents: 1, isRemoved: true)])
        #expect(try await self.numbers(store) == Array(1...6))
        #expect(try await store.orphans().isEmpty)
        #expect(try self.disk.seen(by: 3).names(in: self.disk.root + "/pod-a").isEmpty)
        self.clock.advance(by: .seconds(3600))
        #expect(try await store.reapStreams(deadAfter: .seconds(5), holdFor: .seconds(900)).isEmpty)
        // The owner comes back and begins anew.
        #expect(try self.open("pod-a", owner: 4).journalID != journalID)
    }

    @Test("leaves a journal alone that a process holds")
    func respectsLock() async throws {
        let store = MemoryFleetStore(clock: self.clock)
        let journal = try self.open("pod-a", owner: 1)
        _ = try await store.takeStream(journal.journalID)
        self.clock.advance(by: .seconds(10))
        _ = try await store.reapStreams(deadAfter: .seconds(5), holdFor: .seconds(900))
        #expect(try await self.adopter(store).adoptOrphans(below: self.disk.root).map(\.outcome) == [.held])
        try journal.recordIntent(.sample(1))
        #expect(journal.state == .healthy)
    }

    @Test("ships each settlement once, whichever call of the store fails", arguments: FaultyLedgerStore.Fault.allCases)
    func exactlyOnce(fault: FaultyLedgerStore.Fault) async throws {
        var failing = 1
        while true {
            let store = MemoryFleetStore(clock: self.clock)
            let pod = "pod-\(fault)-\(failing)"
            _ = try self.leaveJournal(pod, from: 1)
            let faulty = FaultyLedgerStore(store, fault: fault, failingCalls: [failing])
            let adopter = self.adopter(store, ledger: faulty)
            let directory = self.disk.root + "/" + pod
            var outcomes: [JournalAdoption.Outcome] = []
            for _ in 0..<3 { outcomes += try await adopter.replay(directory).map(\.outcome) }
            let failures = outcomes.count { if case .failed = $0 { true } else { false } }
            #expect(failures == (await faulty.hasFailed ? 1 : 0), "call \(failing): \(outcomes)")
            #expect(try await self.numbers(store) == Array(1...6), "call \(failing)")
            #expect(try await store.counter(.total).requests == 6, "call \(failing)")
            if await !faulty.hasFailed { break }
            failing += 1
        }
        #expect(failing > 5)
    }

    @Test("replays journals for an operator in any kind of directory, again and again")
    func replays() async throws {
        let store = MemoryFleetStore(clock: self.clock)
        _ = try self.leaveJournal("pod-a", from: 1)
        _ = try self.leaveJournal("pod-b", from: 11)
        let adopter = self.adopter(store)
        let root = self.disk.root
        #expect(try await adopter.replay(root).count == 2)
        for directory in [root + "/pod-a", root + "/pod-b/journal", root] {
            let outcomes = try await adopter.replay(directory).map(\.outcome)
            #expect(outcomes.allSatisfy { $0 == .shipped(events: 0, orphanedIntents: 0, isRemoved: false) })
        }
        #expect(try await self.numbers(store) == Array(1...6) + Array(11...16))
        let error = await #expect(throws: LedgerError.self) {
            try await adopter.replay(root + "/pod-a/journal/nothing")
        }
        #expect(error != nil)
    }

    @Test("reports a damaged journal, leaves it as it is, and brings in the others")
    func damaged() async throws {
        let store = MemoryFleetStore(clock: self.clock)
        let bad = try self.leaveJournal("pod-a", from: 1)
        let good = try self.leaveJournal("pod-b", from: 11)
        for journalID in [bad, good] { _ = try await store.takeStream(journalID) }
        self.clock.advance(by: .seconds(10))
        _ = try await store.reapStreams(deadAfter: .seconds(5), holdFor: .seconds(900))
        let path = "\(self.disk.root)/pod-a/journal/" + JournalFormat.segmentName(1)
        try SystemJournalFiles().rename(path, to: "\(self.disk.root)/pod-a/journal/" + JournalFormat.segmentName(9))
        let adopter = self.adopter(store)
        let outcomes = try await adopter.adoptOrphans(below: self.disk.root).map(\.outcome)
        #expect(outcomes.count == 2)
        guard case .failed = outcomes[0], case .shipped = outcomes[1] else {
            Issue.record("\(outcomes)")
            return
        }
        #expect(try await self.numbers(store) == Array(11...16))
        // Not again at once: it would fill the log.
        #expect(try await adopter.adoptOrphans(below: self.disk.root).isEmpty)
    }
}
