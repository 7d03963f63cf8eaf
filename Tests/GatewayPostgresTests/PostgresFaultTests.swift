import GatewayCore
import GatewayLedger
import GatewayPostgres
import Synchronization
import TestSupport
import Testing

@Suite("A PostgreSQL store under faults")
struct PostgresFaultTests {
    /// Repeats as the shipper does until the stream stands at the end of the events.
    /// - Returns: calls that ended without an answer.
    private func ship(
        _ events: [UsageEvent], by batch: Int, to store: PostgresStore, at start: StreamPosition,
        before: () async throws -> Void = {}
    ) async throws -> Int {
        var position = start
        var unanswered = 0
        // A server that has to recover on a slow disk is away for long.
        let patience = Deadline(within: .seconds(180))
        while position.applied - start.applied < Int64(events.count) {
            try await before()
            let first = Int(position.applied - start.applied)
            do {
                switch try await store.append(Array(events[first..<min(first + batch, events.count)]), at: position) {
                case .applied(let applied): position.applied = applied
                case .rejected(let epoch, let applied):
                    try #require(epoch == position.epoch, "the stream was taken away")
                    position.applied = applied
                }
            } catch LedgerError.unavailable {
                unanswered += 1
                try #require(!patience.hasPassed, "\(unanswered) calls without an answer")
                await PostgresBench.pause(.milliseconds(5))
            }
        }
        return unanswered
    }

    @Test("counts each row once with six pods folding beside one that appends")
    func foldersRace() async throws {
        let database = try await PostgresBench.database()
        let writer = try await PostgresBench.store(database)
        let start = try await writer.takeStream(LedgerSample.journal(1))
        let isDone = Flag()
        let folders = try await withThrowingTaskGroup(of: Int.self) { group in
            for _ in 0..<6 {
                let store = try await PostgresBench.store(database)
                group.addTask {
                    var rows = 0
                    while !isDone.isRaised { rows += try await store.fold() }
                    return rows
                }
            }
            _ = try await self.ship(LedgerSample.events(3000), by: 10, to: writer, at: start)
            isDone.raise()
            return try await group.reduce(into: 0) { $0 += $1 }
        }
        let rest = try await writer.fold()
        #expect(folders + rest == 3000)
        #expect(try await writer.counter(.total).requests == 3000)
        #expect(try await writer.verify() == [])
    }

    @Test("rebuilds while pods append and fold")
    func rebuildsWhileServing() async throws {
        let database = try await PostgresBench.database()
        let stores = [try await PostgresBench.store(database), try await PostgresBench.store(database)]
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (index, store) in stores.enumerated() {
                group.addTask {
                    let start = try await store.takeStream(LedgerSample.journal(UInt64(index)))
                    let events = LedgerSample.events(1000, from: Int64(index) * 100_000)
                    _ = try await self.ship(events, by: 20, to: store, at: start) { _ = try await store.fold() }
                }
            }
            let admin = try await PostgresBench.store(database)
            group.addTask {
                for _ in 0..<10 {
                    try await admin.rebuildCounters()
                    #expect(try await admin.verify() == [])
                }
            }
            try await group.waitForAll()
        }
        _ = try await stores[0].fold()
        #expect(try await stores[0].counter(.total).requests == 2000)
        #expect(try await stores[0].verify() == [])
        let deadlocks = try await PostgresBench.query(
            "SELECT deadlocks FROM pg_stat_database WHERE datname = '\(database)'", in: "postgres")
        #expect(deadlocks == "0")
    }

    @Test("stores a batch once that two connections send at the same time")
    func duplicatesRace() async throws {
        let database = try await PostgresBench.database()
        let stores = [try await PostgresBench.store(database), try await PostgresBench.store(database)]
        var position = try await stores[0].takeStream(LedgerSample.journal(1))
        for round in 0..<30 as Range<Int64> {
            let events = LedgerSample.events(20, from: round * 20)
            let outcomes = try await withThrowingTaskGroup(of: AppendOutcome.self) { [position] group in
                for store in stores { group.addTask { try await store.append(events, at: position) } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            position.applied += 20
            #expect(outcomes.filter { $0 == .applied(position.applied) }.count == 1)
            #expect(
                outcomes.filter { $0 == .rejected(epoch: position.epoch, applied: position.applied) }.count == 1)
        }
        _ = try await stores[0].fold()
        #expect(try await stores[1].verify() == [])
    }

    @Test("neither loses nor doubles what was committed when the answer was lost")
    func losesAnswers() async throws {
        let database = try await PostgresBench.database()
        let server = try await PostgresBench.server()
        let proxy = try ReplyDroppingProxy(serverPort: server.port)
        defer { proxy.stop() }
        let store = try await PostgresBench.store(database, port: proxy.port, parameters: "sslmode=disable")
        let start = try await store.takeStream(LedgerSample.journal(1))
        var calls = 0
        let unanswered = try await self.ship(LedgerSample.events(400), by: 10, to: store, at: start) {
            calls += 1
            if calls % 3 == 0 { proxy.dropNextReply() }
        }
        #expect(proxy.dropped > 5)
        #expect(unanswered > 5)
        _ = try await PostgresBench.store(database).fold()
        #expect(try await PostgresBench.store(database).verify() == [])
        #expect(try await PostgresBench.store(database).counter(.total).requests == 400)
    }

    @Test("takes no answer for that to a statement of another kind")
    func outOfStep() async throws {
        let database = try await PostgresBench.database()
        let server = try await PostgresBench.server()
        let proxy = try ReplyDroppingProxy(serverPort: server.port)
        defer { proxy.stop() }
        let store = try await PostgresBench.store(database, port: proxy.port, parameters: "sslmode=disable")
        _ = try await store.takeStream(LedgerSample.journal(1))
        proxy.repeatNextReply()
        let position = try await store.takeStream(LedgerSample.journal(1))
        // The first statement after it has to be prepared, which no row can be the answer to.
        for attempt in 0..<3 {
            do {
                #expect(try await store.append(LedgerSample.events(10), at: position) == .applied(10))
                break
            } catch {
                guard case .unavailable = error, attempt < 2 else { throw error }
            }
        }
        #expect(try await PostgresBench.store(database).verify() == [])
    }

    @Test("goes on after its sessions were terminated")
    func sessionsTerminated() async throws {
        let database = try await PostgresBench.database()
        let store = try await PostgresBench.store(database)
        let start = try await store.takeStream(LedgerSample.journal(1))
        let isDone = Flag()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                while !isDone.isRaised {
                    try await PostgresBench.query(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '\(database)'",
                        in: "postgres")
                    await PostgresBench.pause(.milliseconds(50))
                }
            }
            _ = try await self.ship(LedgerSample.events(1500), by: 10, to: store, at: start)
            isDone.raise()
            try await group.waitForAll()
        }
        let after = try await PostgresBench.store(database)
        _ = try await after.fold()
        #expect(try await after.verify() == [])
        #expect(try await after.counter(.total).requests == 1500)
    }

    @Test("is tried by every connection as soon as one of them gets through")
    func sharedReach() async throws {
        let server = try await onOwnThread { try PostgresServer() }
        let database = try await onOwnThread { try server.createDatabase() }
        var settings = try PostgresSettings(url: server.url(database))
        settings.backoffMax = .seconds(600)
        let store = try PostgresStore(settings)
        try await store.open(patience: .seconds(10), pause: PostgresBench.pause)
        let position = try await store.takeStream(LedgerSample.journal(1))
        try await onOwnThread { try server.stopImmediately() }
        // The reading connection fails until it waits for seconds between two attempts.
        for _ in 0..<250 {
            await #expect(throws: LedgerError.self) { try await store.setting("name") }
            await PostgresBench.pause(.milliseconds(20))
        }
        #expect(!store.isAway)
        await #expect(throws: LedgerError.self) { try await store.append([], at: position) }
        await #expect(throws: LedgerError.self) { try await store.append([], at: position) }
        #expect(store.isAway)
        try await onOwnThread { try server.start() }
        while (try? await store.append([], at: position)) == nil { await PostgresBench.pause(.milliseconds(10)) }
        #expect(!store.isAway)
        #expect(try await store.setting("name") == nil)
    }

    @Test("goes on after the server crashed")
    func serverCrashes() async throws {
        let server = try await onOwnThread { try PostgresServer(.init(isFsyncOn: true)) }
        let database = try await onOwnThread { try server.createDatabase() }
        let store = try PostgresStore(PostgresSettings(url: server.url(database)))
        try await store.open(patience: .seconds(10), pause: PostgresBench.pause)
        let start = try await store.takeStream(LedgerSample.journal(1))
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                for _ in 0..<2 {
                    try await onOwnThread {
                        try server.stopImmediately()
                        try server.start()
                    }
                }
            }
            _ = try await self.ship(LedgerSample.events(600), by: 5, to: store, at: start) {
                await PostgresBench.pause(.milliseconds(5))
            }
            try await group.waitForAll()
        }
        var folded = 0
        try await store.open(patience: .seconds(10), pause: PostgresBench.pause)
        folded = try await store.fold()
        #expect(folded == 600)
        #expect(try await store.verify() == [])
        #expect(store.connections <= 2)
    }

    @Test("fails at once and says so while nobody listens")
    func serverAway() async throws {
        let store = try PostgresStore(
            PostgresSettings(url: "postgresql://ann:planted@127.0.0.1:1/none"), random: SeededGenerator(seed: 7))
        for _ in 0..<5 {
            let error = await #expect(throws: LedgerError.self) { try await store.keySpend() }
            guard case .unavailable(let text)? = error else {
                Issue.record("\(String(describing: error)) instead of unavailable")
                return
            }
            #expect(text.contains("127.0.0.1"))
            #expect(!text.contains("planted"))
        }
        #expect(store.connections == 0)
    }

    @Test("says that name or password is wrong, without repeating it")
    func wrongPassword() async throws {
        let server = try await PostgresBench.server()
        let store = try PostgresStore(
            PostgresSettings(url: "postgresql://martlet:planted@127.0.0.1:\(server.port)/postgres"))
        let error = await #expect(throws: PostgresError.self) {
            try await store.open(patience: .seconds(60), pause: PostgresBench.pause)
        }
        #expect(error?.kind == .credentials)
        #expect(error?.message.contains("planted") == false)
    }

    /// Runs `body` when a statement of `store` was given up because somebody holds the table, and while he does.
    private func withHeldSettings(
        _ database: String, _ store: PostgresStore, _ body: () async throws -> Void = {}
    ) async throws {
        // Holds the table until it is terminated.
        let holder = Task {
            try await PostgresBench.query(
                "BEGIN; LOCK TABLE martlet.setting IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(100)", in: database)
        }
        var isHeld = false
        while !isHeld {
            do {
                _ = try await store.setting("name")
                await PostgresBench.pause(.milliseconds(10))
            } catch {
                guard case .unavailable = error else { throw error }
                isHeld = true
            }
        }
        try await body()
        try await PostgresBench.query(
            """
            SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE datname = '\(database)' AND query LIKE '%pg_sleep(100)%'
            """, in: "postgres")
        _ = try? await holder.value
    }

    @Test("gives up a statement that takes too long, and works on with no connection more")
    func statementTimesOut() async throws {
        let database = try await PostgresBench.database()
        let proxy = try ReplyDroppingProxy(serverPort: try await PostgresBench.server().port)
        defer { proxy.stop() }
        let store = try await PostgresBench.store(
            database, port: proxy.port, parameters: "sslmode=disable&statement_timeout=300")
        _ = try await PostgresBench.store(database).setSettingIfAbsent("name", value: "value")
        // On a busy machine a statement may take those 300 ms without any lock.
        while (try? await store.setting("name")) == nil { await PostgresBench.pause(.milliseconds(10)) }
        let clients = proxy.clientsMax
        try await self.withHeldSettings(database, store)
        while (try? await store.setting("name")) == nil { await PostgresBench.pause(.milliseconds(10)) }
        #expect(proxy.clientsMax == clients)
    }

    @Test("leaves nobody waiting at the server whose answer it gave up")
    func statementIsStopped() async throws {
        let database = try await PostgresBench.database()
        let store = try await PostgresBench.store(database, parameters: "statement_timeout=300")
        try await self.withHeldSettings(database, store) {
            let waiting = """
                SELECT count(*) FROM pg_stat_activity WHERE datname = '\(database)' AND wait_event_type = 'Lock'
                """
            while try await PostgresBench.query(waiting, in: "postgres") != "0" {
                await PostgresBench.pause(.milliseconds(50))
            }
        }
    }

    @Test("refuses to fold when a row is missing, and counts nothing")
    func foldChecksItself() async throws {
        let database = try await PostgresBench.database()
        let store = try await PostgresBench.store(database)
        var position = try await store.takeStream(LedgerSample.journal(1))
        for _ in 0..<2 {
            _ = try await store.append(LedgerSample.events(5, from: position.applied), at: position)
            position.applied += 5
        }
        try await PostgresBench.query("DELETE FROM martlet.usage_batch WHERE seq = 5", in: database)
        let error = await #expect(throws: LedgerError.self) { try await store.fold() }
        guard case .corrupt? = error else {
            Issue.record("\(String(describing: error)) instead of corrupt")
            return
        }
        #expect(try await store.counter(.total) == .zero)
        #expect(try await store.verify().count == 1)
    }

    @Test("folds what has waited for longer than an hour")
    func foldsBacklog() async throws {
        let database = try await PostgresBench.database()
        let store = try await PostgresBench.store(database)
        let start = try await store.takeStream(LedgerSample.journal(1))
        _ = try await store.append(LedgerSample.events(10), at: start)
        try await PostgresBench.shift(database, by: .seconds(86_400))
        #expect(try await store.fold() == 10)
        #expect(try await store.verify() == [])
    }

    @Test("names what is wrong with the sums")
    func verifyFindsDifferences() async throws {
        let database = try await PostgresBench.database()
        let store = try await PostgresBench.store(database)
        let start = try await store.takeStream(LedgerSample.journal(1))
        _ = try await store.append(LedgerSample.events(100), at: start)
        _ = try await store.fold()
        #expect(try await store.verify() == [])
        let harms = [
            "UPDATE martlet.usage_total SET spend = spend + 1 WHERE payer_id = 1",
            "DELETE FROM martlet.usage_daily WHERE payer_id = 2",
            "UPDATE martlet.stream SET applied = applied + 1",
            "UPDATE martlet.usage_batch SET payer_id[3] = 999",
            "UPDATE martlet.usage_batch SET duration = duration[2:]",
            "UPDATE martlet.change_head SET position = 7; INSERT INTO martlet.change VALUES (3, 'key', 'x', now())",
        ]
        var found = 0
        for harm in harms {
            try await PostgresBench.query(harm, in: database)
            let sentences = try await store.verify()
            #expect(sentences.count > found)
            found = sentences.count
        }
    }

    @Test("drops whole days and keeps their counts")
    func dropsPartitions() async throws {
        let database = try await PostgresBench.database()
        let store = try await PostgresBench.store(database)
        try await PostgresBench.query(
            """
            CREATE TABLE martlet.usage_20200102 PARTITION OF martlet.usage_batch
                FOR VALUES FROM ('2020-01-02 00:00:00+00') TO ('2020-01-03 00:00:00+00');
            CREATE UNIQUE INDEX ON martlet.usage_20200102 (stream_id, seq);
            """, in: database)
        var position = try await store.takeStream(LedgerSample.journal(1))
        _ = try await store.append(LedgerSample.events(10), at: position)
        position.applied = 10
        try await PostgresBench.query(
            "UPDATE martlet.usage_batch SET applied_at = '2020-01-02 12:00:00+00'", in: database)
        let kept = try await store.maintain(retention: .seconds(86_400))
        #expect(kept.contains { $0.contains("not folded") })
        _ = try await store.fold()
        let sums = (try await store.counter(.total), try await store.keySpend())
        let done = try await store.maintain(retention: .seconds(86_400))
        #expect(done == ["Dropped the partition usage_20200102."])
        #expect(try await store.append(LedgerSample.events(5, from: 50), at: position) == .applied(15))
        #expect(try await LedgerSample.allRows(store).map(\.sequence) == Array(11...15))
        #expect(try await store.verify() == [])
        try await store.rebuildCounters()
        #expect(try await store.verify() == [])
        #expect(try await store.counter(.total).requests == sums.0.requests + 5)
        #expect(try await store.maintain(retention: .seconds(86_400)) == [])
    }
}

@Suite("A listener on PostgreSQL")
struct PostgresListenerTests {
    @Test("tells of changes that another pod makes, over a broken connection too")
    func hearsChanges() async throws {
        let database = try await PostgresBench.database()
        let (here, there) = (try await PostgresBench.store(database), try await PostgresBench.store(database))
        let reports = Mutex<[String]>([])
        let listener = try PostgresListener(
            here, pause: { _ in await PostgresBench.pause(.milliseconds(10)) },
            report: { text in reports.withLock { $0.append(text) } })
        let running = Task { await listener.run() }
        var news = here.changeNews.makeAsyncIterator()
        #expect(await news.next() == 0)
        for head in 1...3 as ClosedRange<Int64> {
            _ = try await there.setSettingIfAbsent("name \(head)", value: "")
            #expect(await news.next() == head)
        }
        try await PostgresBench.query(
            """
            SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '\(database)'
                AND query LIKE 'SELECT position FROM%'
            """, in: "postgres")
        _ = try await there.setSettingIfAbsent("after", value: "")
        var head: Int64? = 0
        while let seen = head, seen < 4 { head = await news.next() }
        #expect(head == 4)
        #expect(listener.connections == 1)
        listener.stop()
        await running.value
        #expect(listener.connections == 0)
    }
}
