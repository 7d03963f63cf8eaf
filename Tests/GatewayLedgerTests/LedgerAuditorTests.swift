import GatewayCore
import GatewayLedger
import Synchronization
import TestSupport
import Testing

@Suite("A ledger auditor", .ownThread)
struct LedgerAuditorTests {
    private func rows(_ auditor: LedgerAuditor) async throws -> [UsageRow] {
        let rows = Mutex<[UsageRow]>([])
        try await auditor.forEachAttempt { row in rows.withLock { $0.append(row) } }
        return rows.withLock { $0 }
    }

    private func ship(_ journal: Journal, _ store: any LedgerStore) async throws {
        try await LedgerShipper(journal: journal, store: store, sleep: { _ in }).shipNow()
    }

    @Test("gives every attempt once: shipped, not shipped, and, when no pod runs, in flight")
    func exportsEverything() async throws {
        let directory = TemporaryDirectory()
        let store = MemoryLedgerStore()
        let auditor = LedgerAuditor(store: store, journalDirectory: directory.path)
        #expect(try await self.rows(auditor).isEmpty)
        let (journal, _) = try openJournal(directory)
        try journal.record(1...10, payer: .sample(), route: .sample())
        #expect(numbers(try await self.rows(auditor).map(\.event)) == Array(1...10))
        try await self.ship(journal, store)
        try journal.record(11...15, payer: .sample(), route: .sample())
        try journal.recordIntent(.sample(16, payer: .sample(), route: .sample()))
        let live = try await self.rows(auditor)
        #expect(numbers(live.map(\.event)) == Array(1...15) && live.map(\.sequence) == Array(1...15))
        #expect(Set(live.map(\.streamID)) == [1])
        #expect(try await auditor.verify() == [])
        try journal.close()
        // A program that another test starts just now has the lock, too, until it runs.
        var ended = try await self.rows(auditor)
        for _ in 0..<2000 where ended.count < 16 { ended = try await self.rows(auditor) }
        #expect(numbers(ended.map(\.event)) == Array(1...15) + [-16])
        #expect(try await auditor.verify() == [])
    }

    @Test("gives every attempt once after old segments have been trimmed")
    func exportsAfterTrim() async throws {
        let directory = TemporaryDirectory()
        let store = MemoryLedgerStore()
        let (journal, _) = try openJournal(directory)
        try journal.record(1...3000, payer: .sample(), route: .sample())
        try await self.ship(journal, store)
        try journal.record(3001...3010, payer: .sample(), route: .sample())
        let auditor = LedgerAuditor(store: store, journalDirectory: directory.path)
        #expect(numbers(try await self.rows(auditor).map(\.event)) == Array(1...3010))
        #expect(try await auditor.verify() == [])
    }

    @Test("gives every attempt once while a pod records, ships and trims")
    func exportsBesidePod() async throws {
        let directory = TemporaryDirectory()
        let store = MemoryLedgerStore()
        let (journal, _) = try openJournal(directory)
        let auditor = LedgerAuditor(store: store, journalDirectory: directory.path)
        try await withThrowingTaskGroup { group in
            group.addTask {
                for round in 0..<20 {
                    try journal.record(
                        round * 300 + 1...round * 300 + 300, payer: .sample(), route: .sample())
                    try await LedgerShipper(journal: journal, store: store, sleep: { _ in }).shipNow()
                }
            }
            group.addTask {
                for _ in 0..<10 {
                    let found = try await self.rows(auditor).map(\.sequence)
                    #expect(found == Array(1..<Int64(found.count + 1)))
                    #expect(try await auditor.verify() == [])
                }
            }
            try await group.waitForAll()
        }
        #expect(try await self.rows(auditor).count == 6000)
    }

    @Test("names the row and the fields that differ from the journal")
    func findsDifferences() async throws {
        let directory = TemporaryDirectory()
        let store = MemoryLedgerStore()
        let (journal, _) = try openJournal(directory)
        try journal.record(1...3, payer: .sample(), route: .sample())
        var events = try journal.allSettlements()
        events[1].cost = NanoUSD(rawValue: 21)
        events[1].payer = .sample(2)
        _ = try await store.append(events, at: try await store.takeStream(journal.journalID))
        let differences = try await LedgerAuditor(store: store, journalDirectory: directory.path).verify()
        #expect(differences == ["row 2 of stream 1 differs from the journal in key, user, team, cost"])
    }

    @Test("takes rows that are shipped while it looks for what they are", arguments: 0..<6)
    func verifiesBesideShipping(queries: Int) async throws {
        let directory = TemporaryDirectory()
        let store = MemoryLedgerStore()
        let (journal, _) = try openJournal(directory)
        try journal.record(1...3, payer: .sample(), route: .sample())
        let shipping = ShippingStore(store, after: queries) { () async throws(LedgerError) in
            try await LedgerShipper(journal: journal, store: store, sleep: { _ in }).shipNow()
        }
        #expect(try await LedgerAuditor(store: shipping, journalDirectory: directory.path).verify() == [])
    }

    @Test("finds an attempt that is in the store and again in the journal behind it")
    func findsDoubles() async throws {
        let directory = TemporaryDirectory()
        let store = MemoryLedgerStore()
        let (journal, _) = try openJournal(directory)
        try journal.record(1...3, payer: .sample(), route: .sample())
        try await self.ship(journal, store)
        try journal.record(2...4, payer: .sample(), route: .sample())
        try journal.record(4...4, payer: .sample(), route: .sample())
        let differences = try await LedgerAuditor(store: store, journalDirectory: directory.path).verify()
        #expect(differences.count == 3, "\(differences)")
    }
}

/// A store that rows are shipped to between two of its reader's queries.
private actor ShippingStore: LedgerStore {
    private let store: any LedgerStore
    private let ship: @Sendable () async throws(LedgerError) -> Void
    private var queriesLeft: Int

    init(
        _ store: any LedgerStore, after queries: Int, ship: @escaping @Sendable () async throws(LedgerError) -> Void
    ) {
        self.store = store
        self.queriesLeft = queries
        self.ship = ship
    }

    func usage(_ query: UsageQuery) async throws(LedgerError) -> [UsageRow] {
        if self.queriesLeft == 0 { try await self.ship() }
        self.queriesLeft -= 1
        return try await self.store.usage(query)
    }

    func standing(of journal: JournalID) async throws(LedgerError) -> StreamStanding? {
        try await self.store.standing(of: journal)
    }
    func takeStream(_ journal: JournalID) async throws(LedgerError) -> StreamPosition {
        try await self.store.takeStream(journal)
    }

    func append(_ events: [UsageEvent], at position: StreamPosition) async throws(LedgerError) -> AppendOutcome {
        try await self.store.append(events, at: position)
    }

    func fold() async throws(LedgerError) -> Int { try await self.store.fold() }

    func keySpend() async throws(LedgerError) -> [VirtualKeyID: NanoUSD] { try await self.store.keySpend() }

    func counter(_ dimension: CounterDimension) async throws(LedgerError) -> UsageCounter {
        try await self.store.counter(dimension)
    }

    func rebuildCounters() async throws(LedgerError) { try await self.store.rebuildCounters() }

    func verify() async throws(LedgerError) -> [String] { try await self.store.verify() }
}

@Suite("A usage export", .ownThread)
struct UsageExportTests {
    private var row: UsageRow {
        var event = UsageEvent.sample(4)
        event.endUser = "a,\"b\"\nc"
        event.flags = [.estimated, .error]
        event.firstByteMicroseconds = -1
        event.durationMicroseconds = 1005
        event.cost = NanoUSD(rawValue: 1250)
        return UsageRow(streamID: 1, sequence: 4, event: event)
    }

    @Test("renders a row as one line of JSON with the fields of the contract")
    func rendersJSON() {
        let digest = PayerIdentity.sample().digest.hex
        #expect(
            UsageExport.jsonLine(self.row)
                == "{\"request_id\":\"01910000-0000-7000-8000-000000000004\",\"attempt\":0,"
                + "\"started_at\":\"2026-11-22T12:00:00.000004Z\",\"model\":\"gpt-sample-1\","
                + "\"model_group\":\"group-1\",\"provider\":\"openai\",\"api_key\":\"\(digest)\","
                + "\"user_id\":\"user-1\",\"team_id\":\"team-1\",\"prompt_tokens\":104,\"completion_tokens\":14,"
                + "\"cached_tokens\":4,\"cache_write_tokens\":0,\"reasoning_tokens\":0,\"audio_tokens\":0,"
                + "\"cost_nanos\":1250,\"spend\":0.00000125,\"status\":200,\"result\":\"failure\","
                + "\"outcome\":\"finished\",\"flags\":[\"estimated\",\"error\"],\"price_version\":\"2026-11-22\","
                + "\"duration_ms\":1.005,\"ttft_ms\":null,\"stream\":true,\"call_type\":\"acompletion\","
                + "\"end_user\":\"a,\\\"b\\\"\\nc\",\"deployment_id\":\"deployment-1\"}")
    }

    @Test("quotes CSV fields with commas, quotes and line ends, and joins flags")
    func rendersCSV() {
        let line = UsageExport.csvLine(self.row)
        #expect(line.contains(",estimated|error,2026-11-22,1.005,,true,acompletion,\"a,\"\"b\"\"\nc\",deployment-1"))
        #expect(UsageExport.csvHeader.hasPrefix("request_id,attempt,started_at,model,model_group,provider,api_key,"))
        #expect(UsageExport.csvHeader.split(separator: ",").count == 28)
    }
}
