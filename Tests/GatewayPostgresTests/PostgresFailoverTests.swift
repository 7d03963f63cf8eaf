import Foundation
import GatewayCore
import GatewayLedger
import GatewayPostgres
import TestSupport
import Testing

/// A primary with a standby that follows it, and then takes its place.
@Suite("A failover of PostgreSQL", .serialized)
struct PostgresFailoverTests {
    private static func pair() async throws -> (primary: PostgresServer, standby: PostgresServer) {
        try await onOwnThread {
            let primary = try PostgresServer()
            var options = PostgresServer.Options()
            options.primary = primary
            return (primary, try PostgresServer(options))
        }
    }

    /// A store of the database on these servers, in this order.
    private static func store(
        _ servers: [PostgresServer], _ database: String, _ parameters: String = ""
    ) throws -> PostgresStore {
        let hosts = servers.map { "127.0.0.1:\($0.port)" }.joined(separator: ",")
        let url = servers[0].url(database, parameters: parameters)
        return try PostgresStore(PostgresSettings(url: url.replacing("127.0.0.1:\(servers[0].port)", with: hosts)))
    }

    private static func follow(_ primary: PostgresServer, _ standby: PostgresServer) async throws {
        try await onOwnThread {
            let position = try primary.query("SELECT pg_current_wal_lsn()", in: "postgres")
            try waitUntil("the standby to follow", within: .seconds(60)) {
                try standby.query("SELECT pg_last_wal_replay_lsn() >= '\(position)'", in: "postgres") == "t"
            }
        }
    }

    /// Appends until the stream stands at the end of the events, as the shipper does.
    private func ship(_ events: [UsageEvent], to store: PostgresStore, at start: StreamPosition) async throws {
        var position = start
        let patience = Deadline(within: .seconds(120))
        while position.applied < Int64(events.count) {
            let first = Int(position.applied)
            do {
                switch try await store.append(Array(events[first..<min(first + 7, events.count)]), at: position) {
                case .applied(let applied): position.applied = applied
                case .rejected(let epoch, let applied):
                    try #require(epoch == position.epoch)
                    position.applied = applied
                }
            } catch LedgerError.unavailable {
                try #require(!patience.hasPassed)
                await PostgresBench.pause(.milliseconds(20))
            }
        }
    }

    @Test("takes the pods along to the standby, with every row once")
    func promoted() async throws {
        let (primary, standby) = try await Self.pair()
        let database = try await onOwnThread { try primary.createDatabase() }
        try await Self.follow(primary, standby)
        // The standby first: the pod looks for the one that takes writes.
        let store = try Self.store([standby, primary], database)
        try await store.open(patience: .seconds(20), pause: PostgresBench.pause)
        let events = LedgerSample.events(100)
        var position = try await store.takeStream(LedgerSample.journal(1))
        try await self.ship(Array(events[..<50]), to: store, at: position)
        position.applied = 50
        _ = try await store.fold()
        try await Self.follow(primary, standby)
        try await onOwnThread {
            try primary.stopImmediately()
            try standby.promote()
        }
        try await self.ship(events, to: store, at: position)
        _ = try await store.fold()
        #expect(try await store.verify() == [])
        #expect(try await LedgerSample.allRows(store).map(\.sequence) == Array(1...100))
        #expect(try await store.counter(.total).requests == 100)
        await store.close()
    }

    /// Records calls in a journal as a pod does, and ships until all of them have arrived.
    private func serve(_ numbers: Range<Int>, _ journal: Journal, _ shipper: LedgerShipper) async throws {
        for number in numbers {
            try journal.recordIntent(.sample(number))
            try journal.recordSettlement(.sample(number))
        }
        let patience = Deadline(within: .seconds(120))
        while true {
            do {
                return try await shipper.shipNow()
            } catch LedgerError.unavailable {
                try #require(!patience.hasPassed)
                await PostgresBench.pause(.milliseconds(20))
            }
        }
    }

    @Test("to a standby that has missed rows gets them from the journal again")
    func standbyBehind() async throws {
        let (primary, standby) = try await Self.pair()
        let database = try await onOwnThread { try primary.createDatabase() }
        let store = try Self.store([primary, standby], database)
        try await store.open(patience: .seconds(20), pause: PostgresBench.pause)
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent("martlet-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: directory) }
        let journal = try Journal.open(
            directory: directory.path, configuration: JournalConfiguration(syncInterval: nil), clock: ManualWallClock()
        ).journal
        let shipper = LedgerShipper(journal: journal, store: store, sleep: { _ in })
        try await self.serve(1..<51, journal, shipper)
        try await Self.follow(primary, standby)
        try await onOwnThread { try standby.stopImmediately() }
        try await self.serve(51..<101, journal, shipper)
        #expect(shipper.status.applied == 100)
        try await onOwnThread {
            try primary.stopImmediately()
            try standby.start()
            try standby.promote()
        }
        try await self.serve(101..<111, journal, shipper)
        #expect(try await LedgerSample.allRows(store).map(\.sequence) == Array(1...110))
        #expect(try await store.verify() == [])
        #expect(try await store.counter(.total).requests == 110)
        await store.close()
        try journal.close()
    }

    @Test("that is not made yet: a standby alone is refused at the start, with what to do")
    func standbyAlone() async throws {
        let (primary, standby) = try await Self.pair()
        let database = try await onOwnThread { try primary.createDatabase() }
        try await Self.follow(primary, standby)
        for parameters in ["", "target_session_attrs=read-write"] {
            let store = try Self.store([standby], database, parameters)
            let error = await #expect(throws: PostgresError.self) {
                try await store.open(patience: .zero, pause: PostgresBench.pause)
            }
            #expect(error?.message.contains("read-only") == true, "\(error?.message ?? "")")
            await store.close()
        }
    }
}
