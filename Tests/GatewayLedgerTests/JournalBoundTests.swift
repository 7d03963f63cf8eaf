import GatewayCore
import GatewayLedger
import Glibc
import TestSupport
import Testing

@Suite("A journal at its bounds", .ownThread)
struct JournalBoundTests {
    let payer = PayerIdentity.sample()
    let route = RouteIdentity.sample()
    let tight = JournalConfiguration(segmentBytes: 65_536, bytesMax: 65_536 * 4, syncInterval: nil)

    /// Records intents until one is refused; returns how many were taken and the refusal.
    private func fill(_ journal: Journal, from start: Int) throws -> (count: Int, error: LedgerError) {
        for number in start... {
            do {
                try journal.recordIntent(.sample(number, payer: self.payer, route: self.route))
            } catch {
                return (number - start, error)
            }
        }
        throw LedgerError.notFound("no bound")
    }

    @Test("refuses intents when it is full, but settles every one it has taken")
    func keepsRoomForSettlements() throws {
        let directory = TemporaryDirectory()
        let (journal, _) = try openJournal(directory, configuration: self.tight)
        let (count, error) = try self.fill(journal, from: 1)
        guard case .journalFull(let text) = error else { throw error }
        #expect(text.contains("refused") && text.contains("store"))
        #expect(journal.state == .full(text))
        #expect(count > 100)
        for number in 1...count {
            var event = UsageEvent.sample(number, payer: self.payer, route: self.route)
            event.endUser = String(repeating: "x", count: 512)
            try journal.recordSettlement(event)
        }
        #expect(journal.openIntents == 0)
        #expect(try journal.allSettlements().count == count)
    }

    @Test("takes intents again after what was shipped has been trimmed")
    func recoversAfterTrim() throws {
        let directory = TemporaryDirectory()
        let (journal, _) = try openJournal(directory, configuration: self.tight)
        var number = 0
        var refusals = 0
        while refusals < 5 {
            number += 1
            do {
                try journal.recordIntent(.sample(number, payer: self.payer, route: self.route))
            } catch {
                refusals += 1
                try journal.sync()
                try journal.trim(through: journal.durableSequence)
                #expect(journal.depthBytes <= 65_536 * 2)
                #expect(journal.state == .healthy)
                try journal.recordIntent(.sample(number, payer: self.payer, route: self.route))
            }
            try journal.recordSettlement(.sample(number, payer: self.payer, route: self.route))
        }
        #expect(journal.lastSequence == Int64(number))
        try journal.close()
        let (again, recovery) = try openJournal(directory, configuration: self.tight)
        #expect(recovery.lastSequence == Int64(number) && recovery.orphanedIntents == 0)
        #expect(throws: LedgerError.self) { try again.readSettlements(after: 0, limit: 10) }
    }

    @Test("carries a long call's intent on, so that old segments can go")
    func carriesIntents() throws {
        let directory = TemporaryDirectory()
        let (journal, _) = try openJournal(directory, configuration: self.tight)
        let long = UsageIntent.sample(1_000_000, payer: .sample(9), route: .sample(9))
        try journal.recordIntent(long)
        for round in 0..<20 {
            try journal.record(round * 500..<round * 500 + 500, payer: self.payer, route: self.route)
            try journal.sync()
            try journal.trim(through: journal.durableSequence)
            #expect(journal.depthBytes <= 65_536 * 2)
            #expect(journal.openIntents == 1)
        }
        let copy = try TemporaryDirectory.restored(directory.image)
        let (orphaned, recovery) = try openJournal(copy)
        #expect(recovery.orphanedIntents == 1)
        let orphan = try orphaned.allSettlements(after: 10_000)
        #expect(numbers(orphan) == [-1_000_000] && orphan[0].payer.userID == PayerIdentity.sample(9).userID)
        #expect(orphan[0].route.modelGroup == "group-9" && orphan[0].cost == long.orphanCost)
        try journal.recordSettlement(.sample(1_000_000, payer: .sample(9), route: .sample(9)))
        #expect(numbers(try journal.allSettlements(after: 10_000)) == [1_000_000])
        try journal.close()
        #expect(try openJournal(directory).recovery.orphanedIntents == 0)
    }

    @Test("refuses intents on a full disk with a message, and still settles", arguments: 2...4)
    func survivesFullDisk(allocation: Int) throws {
        let directory = TemporaryDirectory()
        let files = FaultyJournalFiles(.from(allocation), operation: "allocate", code: ENOSPC)
        let (journal, _) = try openJournal(directory, files: files)
        let (count, error) = try self.fill(journal, from: 1)
        guard case .journalFull(let text) = error else { throw error }
        #expect(text.contains("free space"))
        #expect(journal.state != .healthy)
        for number in 1...count {
            try journal.recordSettlement(.sample(number, payer: self.payer, route: self.route))
        }
        #expect(try journal.allSettlements().count == count)
        files.heal()
        try journal.record(count + 1...count + 2000, payer: self.payer, route: self.route)
        #expect(journal.state == .healthy)
    }

    @Test("does not open on a full disk, and says so")
    func refusesToOpenOnFullDisk() throws {
        let directory = TemporaryDirectory()
        let files = FaultyJournalFiles(.from(1), operation: "allocate", code: ENOSPC)
        let error = #expect(throws: LedgerError.self) { try openJournal(directory, files: files) }
        guard case .journalFull = error else { throw error ?? .notFound("no error") }
    }

    @Test("trusts nothing after a failed sync, refuses intents, and takes settlements", arguments: 1...6)
    func distrustsFailedSync(failing: Int) throws {
        let directory = TemporaryDirectory()
        let files = FaultyJournalFiles(.once(failing), operation: "syncData")
        do {
            let (journal, _) = try openJournal(directory, files: files)
            var recorded = 0
            while files.calls < failing {
                recorded += 1
                try journal.record(recorded...recorded, payer: self.payer, route: self.route)
                try journal.recordIntent(.sample(recorded, attempt: 1, payer: self.payer, route: self.route))
                if files.calls == failing - 1 {
                    #expect(throws: LedgerError.self) { try journal.sync() }
                } else {
                    try journal.sync()
                }
            }
            guard case .failed(let text) = journal.state else { throw LedgerError.notFound("state \(journal.state)") }
            #expect(text.contains("restart"))
            #expect(journal.durableSequence == Int64(recorded - 1))
            #expect(throws: LedgerError.self) { try journal.sync() }
            #expect(throws: LedgerError.self) {
                try journal.recordIntent(.sample(99, payer: self.payer, route: self.route))
            }
            try journal.recordSettlement(.sample(recorded, attempt: 1, payer: self.payer, route: self.route))
            #expect(try journal.readSettlements(after: 0, limit: 100).count == recorded - 1)
        } catch let error as LedgerError {
            // The first sync belongs to the opening itself.
            #expect(failing == 1, "\(error)")
            return
        }
        let (again, recovery) = try openJournal(directory)
        #expect(recovery.lastSequence == Int64(failing))
        #expect(try again.allSettlements().count >= failing)
    }
}

@Suite("A journal whose file system fails", .ownThread)
struct JournalFaultTests {
    /// What a run recorded without an error, and what it was refused.
    struct Ledger {
        var settled: [Int] = []
        var begun: Set<Int> = []
    }

    /// Opens, records over several segments, syncs, trims a part and closes; errors are counted, not fatal.
    private func run(_ directory: TemporaryDirectory, files: FaultyJournalFiles, ledger: inout Ledger) {
        let (payer, route) = (PayerIdentity.sample(), RouteIdentity.sample())
        guard let (journal, _) = try? openJournal(directory, files: files) else { return }
        for number in 1...1500 {
            do {
                try journal.recordIntent(.sample(number, payer: payer, route: route))
                ledger.begun.insert(number)
                if number % 500 == 0 { continue }
                try journal.recordSettlement(.sample(number, payer: payer, route: route))
                ledger.settled.append(number)
            } catch { continue }
            if number % 100 == 0 { try? journal.sync() }
            if number == 900 { try? journal.trim(through: 300) }
        }
        try? journal.close()
    }

    @Test("loses nothing that it took and invents nothing, whichever call fails")
    func losesNothing() throws {
        for isLasting in [false, true] {
            var failing = 1
            while true {
                let directory = TemporaryDirectory()
                let files = FaultyJournalFiles(isLasting ? .from(failing) : .once(failing))
                var ledger = Ledger()
                self.run(directory, files: files, ledger: &ledger)
                #expect(files.closedTwice.isEmpty && files.openDescriptors.isEmpty, "call \(failing) fails")
                if files.calls < failing { break }
                let (journal, _) = try openJournal(directory)
                let contents = try JournalReader(directory: directory.path).read()
                let events = try journal.allSettlements(after: contents.firstSequence - 1)
                let found = numbers(events)
                let settled = found.filter { $0 > 0 }
                let orphans = Set(found.filter { $0 < 0 }.map { -$0 })
                let trimmed = Int(contents.firstSequence - 1)
                if settled != Array(ledger.settled.dropFirst(trimmed)) {
                    Issue.record("call \(failing): settlements differ")
                }
                if orphans != ledger.begun.subtracting(ledger.settled) {
                    Issue.record("call \(failing): orphans \(orphans.sorted())")
                }
                if trimmed > 300 { Issue.record("call \(failing): trimmed through \(trimmed)") }
                failing += 1
            }
            #expect(failing > 30)
        }
    }

    @Test("keeps to a model through any sequence of calls, syncs, trims and crashes")
    func keepsToModel() throws {
        let seed = UInt64.random(in: 0 ... .max)
        print("seed \(seed)")
        var generator = SeededGenerator(seed: seed)
        var directory = TemporaryDirectory()
        var journal = try openJournal(directory).journal
        let payers = (0..<30).map { PayerIdentity.sample($0) }
        let routes = (0..<4).map { RouteIdentity.sample($0) }
        var open: [Int] = []
        var settled: [Int] = []
        var next = 1
        for _ in 0..<20_000 {
            switch Int.random(in: 0..<10_000, using: &generator) {
            case 0..<5_200:
                try journal.recordIntent(.sample(next, payer: payers[next % 30], route: routes[next % 4]))
                open.append(next)
                next += 1
            case 5_200..<9_900:
                guard let index = open.indices.randomElement(using: &generator) else { continue }
                let number = open.remove(at: index)
                try journal.recordSettlement(.sample(number, payer: payers[number % 30], route: routes[number % 4]))
                settled.append(number)
            case 9_900..<9_960: try journal.sync()
            case 9_960..<9_990:
                try journal.trim(through: Int64.random(in: 0...journal.durableSequence, using: &generator))
            default:
                directory = try TemporaryDirectory.restored(directory.image)
                let (reopened, recovery) = try openJournal(directory)
                #expect(recovery.lastSequence == Int64(settled.count) && recovery.orphanedIntents == open.count)
                settled += open.sorted().map { -$0 }
                open = []
                journal = reopened
            }
        }
        #expect(journal.openIntents == open.count)
        let first = Int(try JournalReader(directory: directory.path).read().firstSequence)
        #expect(numbers(try journal.allSettlements(after: Int64(first - 1))) == Array(settled.dropFirst(first - 1)))
        var read: [Int] = []
        while case let batch = try journal.readSettlements(after: Int64(first - 1 + read.count), limit: 77),
            !batch.isEmpty
        {
            read += numbers(batch)
        }
        #expect(read == Array(settled.dropFirst(first - 1)))
    }
}
