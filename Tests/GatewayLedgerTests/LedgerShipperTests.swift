import GatewayCore
import GatewayLedger
import Synchronization
import TestSupport
import Testing

/// Stands for time: each wait returns at once and is noted; after `limit` waits the shipper is cancelled.
private final class Waits: Sendable {
    private let waits = Mutex<[Duration]>([])
    private let limit: Int

    init(limit: Int) { self.limit = limit }

    var all: [Duration] { self.waits.withLock { $0 } }

    func wait(_ duration: Duration) throws {
        let count = self.waits.withLock { waits in
            waits.append(duration)
            return waits.count
        }
        if count >= self.limit { throw CancellationError() }
    }
}

@Suite("A ledger shipper", .ownThread)
struct LedgerShipperTests {
    private func shipper(
        _ journal: Journal, _ store: any LedgerStore, batchMax: Int = 20_000, waits: Waits = Waits(limit: 1)
    ) -> LedgerShipper {
        LedgerShipper(
            journal: journal, store: store, configuration: LedgerShipperConfiguration(batchMax: batchMax),
            generator: SeededGenerator(seed: 5), sleep: { try waits.wait($0) })
    }

    @Test("ships each settlement once, whichever call is lost", arguments: FaultyLedgerStore.Fault.allCases)
    func exactlyOnce(fault: FaultyLedgerStore.Fault) async throws {
        var failing = 1
        while true {
            let directory = TemporaryDirectory()
            let (journal, _) = try openJournal(directory)
            let memory = MemoryLedgerStore()
            let store = FaultyLedgerStore(memory, fault: fault, failingCalls: [failing])
            let shipper = self.shipper(journal, store, batchMax: 7)
            var failures = 0
            for round in 0..<4 {
                try journal.record(
                    round * 10 + 1...round * 10 + 10, payer: .sample(), route: .sample())
                do { try await shipper.shipNow() } catch { failures += 1 }
            }
            try await shipper.shipNow()
            if await !store.hasFailed { break }
            #expect(failures == 1, "call \(failing)")
            let events = await memory.events(of: journal.journalID)
            #expect(numbers(events) == Array(1...40), "call \(failing)")
            #expect(try await memory.counter(.total).spend == NanoUSD(rawValue: 8200), "call \(failing)")
            #expect(shipper.status == ShipperStatus(applied: 40, lagEvents: 0, lastError: nil))
            failing += 1
        }
        #expect(failing > 10)
    }

    @Test("keeps to exactly once through any faults, crashes and a second holder")
    func survivesAnything() async throws {
        let seed = UInt64.random(in: 0 ... .max)
        print("seed \(seed)")
        var generator = SeededGenerator(seed: seed)
        let memory = MemoryLedgerStore()
        var directory = TemporaryDirectory()
        var journal = try openJournal(directory).journal
        let journalID = journal.journalID
        var next = 1
        for _ in 0..<60 {
            let faults = Set((0..<3).map { _ in Int.random(in: 1...12, using: &generator) })
            let fault: FaultyLedgerStore.Fault = Bool.random(using: &generator) ? .losesCall : .losesReply
            let shipper = self.shipper(
                journal, FaultyLedgerStore(memory, fault: fault, failingCalls: faults), batchMax: 5)
            for _ in 0..<3 {
                let count = Int.random(in: 1...20, using: &generator)
                try journal.record(next..<next + count, payer: .sample(), route: .sample())
                next += count
                if Int.random(in: 0..<4, using: &generator) == 0 { _ = try await memory.takeStream(journalID) }
                try? await shipper.shipNow()
            }
            if Bool.random(using: &generator) {
                directory = try TemporaryDirectory.restored(directory.image)
                journal = try openJournal(directory).journal
            }
        }
        try await self.shipper(journal, memory).shipNow()
        #expect(numbers(await memory.events(of: journalID)) == Array(1..<next))
        #expect(try await memory.counter(.total).requests == Int64(next - 1))
    }

    @Test("backs off while the store is away, within the bound, and reports it")
    func backsOff() async throws {
        let directory = TemporaryDirectory()
        let (journal, _) = try openJournal(directory)
        try journal.record(1...5, payer: .sample(), route: .sample())
        try journal.sync()
        let memory = MemoryLedgerStore()
        let store = FaultyLedgerStore(memory, fault: .losesCall, failingCalls: Set(1...10))
        let waits = Waits(limit: 10)
        let shipper = self.shipper(journal, store, waits: waits)
        await shipper.run()
        #expect(waits.all.count == 10 && waits.all.allSatisfy { $0 <= .seconds(5) && $0 >= .milliseconds(500) })
        #expect(waits.all[9] >= .milliseconds(2500))
        #expect(shipper.status.lastError == "call 10 was lost" && shipper.status.lagEvents == 5)
        await shipper.run()
        #expect(shipper.status == ShipperStatus(applied: 5, lagEvents: 0, lastError: nil))
    }

    @Test("waits about a tick when all is well, and trims what it has shipped")
    func ticks() async throws {
        let directory = TemporaryDirectory()
        let (journal, _) = try openJournal(directory)
        try journal.record(1...3000, payer: .sample(), route: .sample())
        try journal.sync()
        let before = journal.depthBytes
        let waits = Waits(limit: 5)
        await self.shipper(journal, MemoryLedgerStore(), waits: waits).run()
        #expect(waits.all.count == 5 && Set(waits.all).count > 1)
        #expect(waits.all.allSatisfy { $0 >= .milliseconds(450) && $0 <= .milliseconds(550) })
        #expect(journal.depthBytes < before / 2)
    }

    @Test("asks the store to fold, tick by tick, until nothing of its own is left")
    func foldsLater() async throws {
        let directory = TemporaryDirectory()
        let (journal, _) = try openJournal(directory)
        try journal.record(1...10, payer: .sample(), route: .sample())
        try journal.sync()
        let store = BusyFolder(MemoryLedgerStore(), busyTimes: 3)
        await self.shipper(journal, store, waits: Waits(limit: 8)).run()
        #expect(store.asked == 4)
        #expect(try await store.counter(.total).requests == 10)
    }

    @Test("stops with a clear message when the store is ahead of the journal")
    func refusesOldCopy() async throws {
        let directory = TemporaryDirectory()
        let (journal, _) = try openJournal(directory)
        let image = directory.image
        try journal.record(1...5, payer: .sample(), route: .sample())
        let memory = MemoryLedgerStore()
        try await self.shipper(journal, memory).shipNow()
        let copy = try TemporaryDirectory.restored(image)
        let (old, _) = try openJournal(copy)
        let shipper = self.shipper(old, memory)
        let error = await #expect(throws: LedgerError.self) { try await shipper.shipNow() }
        guard case .corrupt(let text) = error else { throw error ?? .notFound("no error") }
        #expect(text.contains("older copy"))
    }

    @Test("serves many callers at once")
    func isReentrant() async throws {
        let directory = TemporaryDirectory()
        let (journal, _) = try openJournal(directory)
        let memory = MemoryLedgerStore()
        let shipper = self.shipper(journal, memory, batchMax: 3)
        try await withThrowingTaskGroup { group in
            for task in 0..<8 {
                group.addTask {
                    for step in 0..<20 {
                        let number = task * 20 + step
                        try journal.record(number...number, payer: .sample(), route: .sample())
                        try await shipper.shipNow()
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(Set(numbers(await memory.events(of: journal.journalID))).count == 160)
        #expect(try await memory.counter(.total).requests == 160)
    }
}

/// A store at which another pod folds, the first so many times that it is asked.
private final class BusyFolder: LedgerStore {
    private let store: MemoryLedgerStore
    private let busyTimes: Int
    private let count = Mutex(0)

    init(_ store: MemoryLedgerStore, busyTimes: Int) {
        self.store = store
        self.busyTimes = busyTimes
    }

    var asked: Int { self.count.withLock { $0 } }

    func foldIfDue() async throws(LedgerError) -> Bool {
        let asked = self.count.withLock { count in
            count += 1
            return count
        }
        guard asked > self.busyTimes else { return true }
        return try await self.store.fold() == 0
    }

    func fold() async throws(LedgerError) -> Int { try await self.store.fold() }
    func takeStream(_ journal: JournalID) async throws(LedgerError) -> StreamPosition {
        try await self.store.takeStream(journal)
    }
    func standing(of journal: JournalID) async throws(LedgerError) -> StreamStanding? {
        try await self.store.standing(of: journal)
    }
    func append(_ events: [UsageEvent], at position: StreamPosition) async throws(LedgerError) -> AppendOutcome {
        try await self.store.append(events, at: position)
    }
    func keySpend() async throws(LedgerError) -> [VirtualKeyID: NanoUSD] { try await self.store.keySpend() }
    func counter(_ dimension: CounterDimension) async throws(LedgerError) -> UsageCounter {
        try await self.store.counter(dimension)
    }
    func usage(_ query: UsageQuery) async throws(LedgerError) -> [UsageRow] { try await self.store.usage(query) }
    func rebuildCounters() async throws(LedgerError) { try await self.store.rebuildCounters() }
    func verify() async throws(LedgerError) -> [String] { try await self.store.verify() }
}
