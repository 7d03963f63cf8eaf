import GatewayCore
import GatewayLedger
import GatewayRedis
import TestSupport
import Testing

@Suite("The Redis transport")
struct RedisTransportTests {
    @Test(
        "behaves as every ledger store",
        arguments: LedgerStoreConformance.behaviours + LedgerStoreConformance.hardBehaviours)
    func conforms(_ behaviour: LedgerStoreBehaviour) async throws {
        let redis = try await RedisBench.redis()
        let ledger = try await RedisBench.ledger()
        let transport = try await ledger.transport(redis)
        try await transport.running { try await behaviour.check { transport.store } }
        await transport.shutdown()
    }

    @Test("ships many pods' rows in few transactions of one writer, and tells so")
    func oneWriter() async throws {
        let redis = try await RedisBench.redis()
        let ledger = try await RedisBench.ledger()
        var configuration = RedisBench.quick
        configuration.writerInterval = .milliseconds(100)
        // One writer for the whole test, however slow the machine is.
        configuration.lockDuration = .seconds(60)
        let store = try ledger.store()
        let transports = try await (0..<4).async { index in
            try await ledger.transport(redis, name: "pod \(index)", configuration: configuration)
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for transport in transports { group.addTask { await transport.run() } }
            defer { group.cancelAll() }
            try await withThrowingTaskGroup(of: Void.self) { shipping in
                for pod in 0..<12 as Range<UInt64> {
                    let own = transports[Int(pod) % 4].store
                    shipping.addTask {
                        try await ship(
                            LedgerSample.events(300, from: Int64(pod) * 1000), by: 100,
                            journal: LedgerSample.journal(pod), to: own)
                    }
                }
                try await shipping.waitForAll()
            }
            let holders = transports.map(\.status).filter(\.isHolder)
            #expect(holders.count == 1)
            #expect(holders[0].commitsTotal <= 12, "36 batches in \(holders[0].commitsTotal) transactions")
            let status = await transports[0].refreshedStatus()
            #expect(status.holder?.hasPrefix("pod ") == true && status.token == 1)
            #expect(status.depth == 0 && status.inWork == 0 && status.oldestAge == nil && status.lastError == nil)
        }
        #expect(transports.map(\.status).map(\.queuedTotal).reduce(0, +) == 36)
        #expect(transports.map(\.status).map(\.directTotal).reduce(0, +) == 0)
        _ = try await store.fold()
        #expect(try await store.counter(.total).requests == 3600)
        #expect(try await store.verify() == [])
        for transport in transports { await transport.shutdown() }
    }

    @Test("keeps fleets on one Redis apart")
    func apart() async throws {
        let redis = try await RedisBench.redis()
        let ledgers = [try await RedisBench.ledger(), try await RedisBench.ledger()]
        let first = try await ledgers[0].transport(redis)
        let second = try await ledgers[1].transport(redis)
        try await first.running {
            try await second.running {
                for transport in [first, second] {
                    try await ship(
                        LedgerSample.events(50), by: 10, journal: LedgerSample.journal(1), to: transport.store)
                    #expect(transport.status.isHolder)
                }
            }
        }
        for ledger in ledgers { #expect(try await LedgerSample.allRows(ledger.store()).count == 50) }
        await first.shutdown()
        await second.shutdown()
    }

    @Test("cuts an append that is larger than a batch may be")
    func pieces() async throws {
        let redis = try await RedisBench.redis()
        let ledger = try await RedisBench.ledger()
        var configuration = RedisBench.quick
        configuration.batchBytesMax = 4000
        let transport = try await ledger.transport(redis, configuration: configuration)
        try await transport.running {
            let position = try await transport.store.takeStream(LedgerSample.journal(1))
            let events = LedgerSample.events(500)
            #expect(try await transport.store.append(events, at: position) == .applied(500))
            let again = try await transport.store.append(events, at: position)
            #expect(again == .rejected(epoch: position.epoch, applied: 500))
        }
        #expect(transport.status.queuedTotal > 5)
        #expect(try await ledger.store().verify() == [])
        await transport.shutdown()
    }

    @Test("speaks with a password, a user of its own and another database")
    func authentication() async throws {
        let redis = try await onOwnThread { try RedisServer(arguments: ["--requirepass", "p@ss word"]) }
        let ledger = try await RedisBench.ledger()
        let transport = try await ledger.transport(redis) { settings in
            settings.password = "p@ss word"
            settings.database = 3
            settings.namespace = "some:where"
        }
        try await transport.running {
            try await ship(LedgerSample.events(20), by: 5, journal: LedgerSample.journal(1), to: transport.store)
        }
        var configuration = RedisBench.quick
        configuration.patience = .milliseconds(200)
        let stranger = try await ledger.transport(redis, configuration: configuration) { $0.password = "wrong-secret" }
        let error = await #expect(throws: LedgerError.self) {
            let position = try await stranger.store.takeStream(LedgerSample.journal(2))
            _ = try await stranger.store.append(LedgerSample.events(1), at: position)
        }
        #expect(error?.message.contains("WRONGPASS") == true && error?.message.contains("secret") == false)
        await transport.shutdown()
        await stranger.shutdown()
    }

    @Test("speaks TLS, with the authority that is named or with nobody's word, and with no other")
    func encrypted() async throws {
        let redis = try await onOwnThread { try RedisServer(usesTLS: true) }
        let ledger = try await RedisBench.ledger()
        var configuration = RedisBench.quick
        // A handshake has to fit in.
        configuration.patience = .milliseconds(400 * Deadline.slowness)
        for (number, authority) in [redis.certificateFile.path, nil, "none"].enumerated() {
            let transport = try await ledger.transport(redis, configuration: configuration) { settings in
                settings.usesTLS = true
                settings.endpoint.host = "localhost"
                settings.verifiesCertificate = authority != nil
                if authority != "none" { settings.authorityFile = authority }
            }
            try await transport.running {
                let position = try await transport.store.takeStream(LedgerSample.journal(UInt64(number)))
                if authority == "none" {
                    let error = await #expect(throws: LedgerError.self) {
                        _ = try await transport.store.append(LedgerSample.events(1), at: position)
                    }
                    #expect(error?.message.contains("Redis at localhost") == true)
                } else {
                    try await ship(
                        LedgerSample.events(20), by: 5, journal: LedgerSample.journal(UInt64(number)),
                        to: transport.store)
                }
            }
            await transport.shutdown()
        }
    }

    @Test("finds the primary by sentinels, and the next one after a failure")
    func sentinels() async throws {
        let first = try await onOwnThread { try RedisServer() }
        let second = try await onOwnThread { try RedisServer() }
        let sentinel = try FixedSentinel(service: "main", port: first.port)
        defer { sentinel.stop() }
        let ledger = try await RedisBench.ledger()
        let transport = try await ledger.transport(first, configuration: RedisBench.hasty) { settings in
            // Nobody listens at the first.
            settings.sentinel = .init(
                endpoints: [.init(host: "127.0.0.1", port: 1), .init(host: "127.0.0.1", port: sentinel.port)],
                service: "main", password: nil)
        }
        try await transport.running {
            try await ship(LedgerSample.events(10), by: 5, journal: LedgerSample.journal(1), to: transport.store)
            sentinel.lead(to: second.port)
            try await onOwnThread { first.kill() }
            try await ship(LedgerSample.events(20), by: 5, journal: LedgerSample.journal(1), to: transport.store)
        }
        #expect(transport.status.directTotal == 0)
        await transport.shutdown()
    }

    @Test("follows a real sentinel to the replica that took over, and ships again what the primary took with it")
    func failover() async throws {
        let first = try await onOwnThread { try RedisServer() }
        let second = try await onOwnThread {
            try RedisServer(arguments: ["--replicaof", "127.0.0.1", "\(first.port)"])
        }
        let sentinel = try await onOwnThread {
            try waitUntil("the replica to be in step", within: .seconds(30)) {
                try first.command("info", "replication").contains("state=online")
            }
            return try RedisSentinel(service: "main", primary: first)
        }
        let ledger = try await RedisBench.ledger()
        let transport = try await ledger.transport(first, configuration: RedisBench.hasty) { settings in
            settings.sentinel = .init(
                endpoints: [.init(host: "127.0.0.1", port: sentinel.port)], service: "main", password: nil)
        }
        try await transport.running {
            try await ship(LedgerSample.events(10), by: 5, journal: LedgerSample.journal(1), to: transport.store)
            try await onOwnThread {
                first.kill()
                try waitUntil("the replica to become the primary", within: .seconds(60)) {
                    // A sentinel that promotes a server ends all its callers' connections, this one among them.
                    (try? second.command("role"))?.hasPrefix("master") ?? false
                }
            }
            try await ship(LedgerSample.events(30), by: 5, journal: LedgerSample.journal(1), to: transport.store)
        }
        let store = try ledger.store()
        #expect(try await LedgerSample.allRows(store).count == 30)
        #expect(try await store.verify() == [])
        #expect(transport.status.directTotal == 0)
        await transport.shutdown()
    }

    @Test("lets PostgreSQL have one writer: a token that is not the newest stores nothing")
    func fence() async throws {
        let store = try await RedisBench.ledger().store()
        let position = try await store.takeStream(LedgerSample.journal(1))
        let batch = LedgerBatch(position: position, events: LedgerSample.events(3))
        #expect(try await store.writerFence().token == 0)
        #expect(try await store.takeWriterFence(after: 0, holder: "one") == 1)
        #expect(try await store.takeWriterFence(after: 0, holder: "late") == nil)
        #expect(try await store.takeWriterFence(after: 1, holder: "two") == 2)
        #expect(try await store.append([batch], token: 1) == nil)
        #expect(try await LedgerSample.allRows(store).isEmpty)
        #expect(try await store.append([batch], token: 2) == [.applied(3)])
        let fence = try await store.writerFence()
        #expect(fence.holder == "two" && fence.token == 2 && fence.commits == 1)
        #expect(try await store.currentPosition(of: position)?.applied == 3)
    }

    @Test("judges each of many batches by its own stream, in one transaction")
    func manyBatches() async throws {
        let store = try await RedisBench.ledger().store()
        _ = try await store.takeWriterFence(after: 0, holder: "one")
        var positions: [StreamPosition] = []
        for journal in 1...4 as ClosedRange<UInt64> {
            positions.append(try await store.takeStream(LedgerSample.journal(journal)))
        }
        let newer = try await store.takeStream(LedgerSample.journal(2))
        var strange = positions[3]
        strange.streamID = 1 << 40
        func batch(_ position: StreamPosition, _ count: Int) -> LedgerBatch {
            LedgerBatch(
                position: position, events: LedgerSample.events(count, from: position.streamID % 1000 * 100))
        }
        var ahead = positions[2]
        ahead.applied = 5
        let outcomes = try await store.append(
            [
                batch(positions[0], 3), batch(positions[1], 2), batch(ahead, 4), batch(positions[0], 3),
                batch(strange, 1), batch(positions[3], 7),
            ], token: 1)
        #expect(
            outcomes == [
                .applied(3), .rejected(epoch: newer.epoch, applied: 0), .rejected(epoch: 1, applied: 0),
                .rejected(epoch: 1, applied: 3), .rejected(epoch: 0, applied: 0), .applied(7),
            ])
        let rows = try await LedgerSample.allRows(store)
        #expect(rows.map(\.sequence) == [1, 2, 3, 1, 2, 3, 4, 5, 6, 7])
        #expect(LedgerSample.fields(rows[2].event) == LedgerSample.fields(batch(positions[0], 3).events[2]))
        #expect(try await store.writerFence().commits == 1)
        _ = try await store.fold()
        #expect(try await store.verify() == [])
    }
}

extension Sequence where Element: Sendable {
    func async<Value>(_ transform: (Element) async throws -> Value) async rethrows -> [Value] {
        var values: [Value] = []
        for element in self { values.append(try await transform(element)) }
        return values
    }
}
