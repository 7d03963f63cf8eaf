import Foundation
import GatewayCore
import GatewayLedger
import GatewayRedis
import TestSupport
import Testing

@Suite("The Redis transport under faults")
struct RedisFaultTests {
    private func expectExact(_ ledger: BenchLedger, _ count: Int) async throws {
        let store = try ledger.store()
        _ = try await store.fold()
        let rows = try await LedgerSample.allRows(store)
        #expect(rows.count == count)
        #expect(Set(rows.map(\.event.requestID)).count == count, "an event is missing or stands twice")
        #expect(try await store.counter(.total).requests == Int64(count))
        #expect(try await store.verify() == [])
        await store.close()
    }

    private func wait(for what: String, _ condition: @escaping @Sendable () throws -> Bool) async throws {
        try await onOwnThread { try waitUntil(what, condition) }
    }

    @Test("hands what a writer took and did not commit to the next writer")
    func writerDies() async throws {
        let redis = try await RedisBench.redis()
        let ledger = try await RedisBench.ledger()
        let gate = GatedStore(try ledger.store())
        let doomed = try await ledger.transport(
            redis, name: "doomed", store: gate, configuration: RedisBench.hasty)
        // Ships only, and has time: its batch must come through without being pushed again.
        var patient = RedisBench.hasty
        patient.repushAfter = .seconds(60)
        patient.patience = .seconds(60)
        let shipper = try await ledger.transport(redis, name: "shipper", configuration: patient)
        gate.close()
        let dying = Task { await doomed.run() }
        let shipping = Task {
            try await ship(LedgerSample.events(10), by: 10, journal: LedgerSample.journal(1), to: shipper.store)
        }
        try await self.wait(for: "a commit to be under way") { gate.arrived == 1 }
        // As kill -9: it neither commits nor settles nor gives the lock back.
        await doomed.shutdown()
        let heir = try await ledger.transport(redis, name: "heir", configuration: RedisBench.hasty)
        try await heir.running { _ = try await shipping.value }
        dying.cancel()
        gate.open()
        await dying.value
        try await self.expectExact(ledger, 10)
        await heir.shutdown()
        await shipper.shutdown()
    }

    @Test("refuses the commit of a writer that was paused beyond its lock's life")
    func writerPaused() async throws {
        let redis = try await RedisBench.redis()
        let ledger = try await RedisBench.ledger()
        let gate = GatedStore(try ledger.store())
        let paused = try await ledger.transport(
            redis, name: "paused", store: gate, configuration: RedisBench.hasty)
        gate.close()
        let stopped = Task { await paused.run() }
        let shipping = Task {
            try await ship(LedgerSample.events(40), by: 10, journal: LedgerSample.journal(1), to: paused.store)
        }
        try await self.wait(for: "a commit to be under way") { gate.arrived == 1 }
        // Its process would not renew the lock while it is stopped.
        _ = try await onOwnThread { try redis.command("DEL", redis.prefix(of: ledger) + "lock") }
        let other = try await ledger.transport(redis, name: "other", configuration: RedisBench.hasty)
        try await other.running {
            try await self.wait(for: "the other pod to write") { other.status.isHolder }
            gate.open()
            _ = try await shipping.value
        }
        stopped.cancel()
        await stopped.value
        try await self.expectExact(ledger, 40)
        #expect(try await ledger.store().writerFence().token >= 2)
        await paused.shutdown()
        await other.shutdown()
    }

    @Test(
        "loses and doubles nothing while Redis is flushed, killed, emptied and paused", arguments: [1, 2] as [UInt64])
    func redisFails(seed: UInt64) async throws {
        let redis = try await onOwnThread { try RedisServer() }
        let ledger = try await RedisBench.ledger()
        let transports = try await (0..<3).async {
            try await ledger.transport(redis, name: "pod \($0)", configuration: RedisBench.hasty)
        }
        let faults = Task {
            var generator = SeededGenerator(seed: seed)
            for _ in 0..<12 where !Task.isCancelled {
                try await RedisBench.time.sleep(.milliseconds(Int64.random(in: 20...250, using: &generator)))
                let fault = Int.random(in: 0..<4, using: &generator)
                try await onOwnThread {
                    switch fault {
                    case 0: try redis.command("FLUSHALL")
                    case 1:
                        redis.kill()
                        poll(nil, 0, 100)
                        try redis.start()
                    case 2:
                        redis.send(signal: SIGSTOP)
                        poll(nil, 0, 700)
                        redis.send(signal: SIGCONT)
                    default: for key in try redis.lockKeys() { try redis.command("DEL", key) }
                    }
                }
            }
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for transport in transports { group.addTask { await transport.run() } }
            defer { group.cancelAll() }
            try await withThrowingTaskGroup(of: Void.self) { shipping in
                for pod in 0..<6 as Range<UInt64> {
                    let own = transports[Int(pod) % 3].store
                    shipping.addTask {
                        try await ship(
                            LedgerSample.events(400, from: Int64(pod) * 1000), by: 20,
                            journal: LedgerSample.journal(pod), to: own)
                    }
                }
                try await shipping.waitForAll()
            }
        }
        faults.cancel()
        _ = await faults.result
        try await self.expectExact(ledger, 2400)
        for transport in transports { await transport.shutdown() }
    }

    @Test("writes into the store by itself after a while without Redis, and by Redis again when it is back")
    func direct() async throws {
        let redis = try await onOwnThread { try RedisServer() }
        let ledger = try await RedisBench.ledger()
        var configuration = RedisBench.hasty
        // One append by Redis has to be quicker than the patience with it, also in a build with a sanitizer.
        let slowness = Deadline.slowness
        configuration.lockDuration = .seconds(5 * slowness)
        configuration.repushAfter = .seconds(15 * slowness)
        configuration.directAfter = .seconds(3 * slowness)
        configuration.probeInterval = .seconds(4 * slowness)
        let transport = try await ledger.transport(redis, configuration: configuration)
        let events = LedgerSample.events(5000)
        try await transport.running {
            let position = try await transport.store.takeStream(LedgerSample.journal(1))
            var place = position
            func append(_ count: Int) async throws {
                let first = Int(place.applied)
                let outcome = try await transport.store.append(Array(events[first..<(first + count)]), at: place)
                place.applied += Int64(count)
                // Stored, by this append or by one whose answer came too late.
                let rejected = AppendOutcome.rejected(epoch: place.epoch, applied: place.applied)
                #expect(outcome == .applied(place.applied) || outcome == rejected)
            }
            try await self.wait(for: "this pod to write") { transport.status.isHolder }
            try await append(10)
            #expect(transport.status.queuedTotal == 1 && transport.status.mode == .queue)
            try await onOwnThread { redis.kill() }
            try await append(10)
            #expect(transport.status.directTotal == 1 && transport.status.mode == .direct)
            #expect(transport.status.lastError != nil)
            for _ in 0..<20 { try await append(10) }
            #expect(transport.status.queuedTotal == 1)
            try await onOwnThread { try redis.start() }
            while transport.status.mode == .direct, place.applied < 4900 {
                try await append(1)
                await RedisBench.pause(.milliseconds(20))
            }
            #expect(transport.status.mode == .queue && transport.status.queuedTotal >= 2)
            try await append(10)
            try await self.expectExact(ledger, Int(place.applied))
        }
        await transport.shutdown()
    }

    @Test("says what is wrong without Redis when it may not write by itself, and stores all once Redis is there")
    func neverDirect() async throws {
        let redis = try await onOwnThread { try RedisServer() }
        try await onOwnThread { redis.kill() }
        let ledger = try await RedisBench.ledger()
        var configuration = RedisBench.hasty
        configuration.patience = .milliseconds(200)
        let transport = try await ledger.transport(redis, configuration: configuration)
        try await transport.running {
            let position = try await transport.store.takeStream(LedgerSample.journal(1))
            let error = await #expect(throws: LedgerError.self) {
                _ = try await transport.store.append(LedgerSample.events(5), at: position)
            }
            #expect(error?.message.contains("Redis at 127.0.0.1") == true)
            #expect(try await LedgerSample.allRows(ledger.store()).isEmpty)
            try await onOwnThread { try redis.start() }
            try await ship(LedgerSample.events(5), by: 5, journal: LedgerSample.journal(1), to: transport.store)
        }
        try await self.expectExact(ledger, 5)
        await transport.shutdown()
    }

    @Test("refuses what is no batch, and stores the others")
    func garbage() async throws {
        let redis = try await RedisBench.redis()
        let ledger = try await RedisBench.ledger()
        let transport = try await ledger.transport(redis)
        try await transport.running {
            try await ship(LedgerSample.events(10), by: 5, journal: LedgerSample.journal(1), to: transport.store)
            try await onOwnThread {
                let prefix = try redis.prefix(of: ledger)
                try redis.command("SET", prefix + "batch:aa-1", "garbage")
                try redis.command("LPUSH", prefix + "queue", "aa-1", "no identifier", "bb-2")
            }
            try await ship(LedgerSample.events(20), by: 5, journal: LedgerSample.journal(1), to: transport.store)
            try await self.wait(for: "the refusal to be counted") { transport.status.refusedTotal == 1 }
        }
        let status = await transport.refreshedStatus()
        #expect(status.depth == 0 && status.inWork == 0)
        try await self.expectExact(ledger, 20)
        await transport.shutdown()
    }

    @Test("bounds its queue")
    func bounded() async throws {
        let redis = try await RedisBench.redis()
        let ledger = try await RedisBench.ledger()
        var configuration = RedisBench.hasty
        configuration.queueMax = 2
        configuration.patience = .milliseconds(400)
        let transport = try await ledger.transport(redis, configuration: configuration)
        try await onOwnThread {
            let prefix = try redis.prefix(of: ledger)
            try redis.command("LPUSH", prefix + "queue", "aa-1", "bb-2")
        }
        let position = try await transport.store.takeStream(LedgerSample.journal(1))
        let error = await #expect(throws: LedgerError.self) {
            _ = try await transport.store.append(LedgerSample.events(5), at: position)
        }
        #expect(error?.message.contains("bound of 2 batches") == true)
        #expect(await transport.refreshedStatus().depth == 2)
        await transport.shutdown()
    }

    @Test("leaves no batch behind in Redis when the store does not answer, however often it is tried")
    func storeAway() async throws {
        let redis = try await RedisBench.redis()
        let ledger = try await RedisBench.ledger()
        let silent = GatedStore(try ledger.store())
        var configuration = RedisBench.hasty
        configuration.repushAfter = .milliseconds(50)
        let transport = try await ledger.transport(redis, store: silent, configuration: configuration)
        let position = try await transport.store.takeStream(LedgerSample.journal(1))
        silent.fallSilent()
        for _ in 0..<3 {
            await #expect(throws: LedgerError.unavailable("the test's store is silent")) {
                _ = try await transport.store.append(LedgerSample.events(5), at: position)
            }
        }
        #expect(await transport.refreshedStatus().depth == 0)
        let left = try await onOwnThread { try redis.command("KEYS", redis.prefix(of: ledger) + "batch:*") }
        #expect(left.isEmpty, "\(left)")
        await transport.shutdown()
    }

    @Test("keeps a fleet exact of which half ships without it, and pods that change over")
    func mixedFleet() async throws {
        let redis = try await RedisBench.redis()
        let ledger = try await RedisBench.ledger()
        let transports = try await (0..<2).async {
            try await ledger.transport(redis, name: "pod \($0)", configuration: RedisBench.hasty)
        }
        let direct = try ledger.store()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for transport in transports { group.addTask { await transport.run() } }
            defer { group.cancelAll() }
            try await withThrowingTaskGroup(of: Void.self) { shipping in
                for pod in 0..<6 as Range<UInt64> {
                    let events = LedgerSample.events(300, from: Int64(pod) * 1000)
                    let stores: [any LedgerStore] = [direct, transports[Int(pod) % 2].store]
                    shipping.addTask {
                        // Each life of the pod, with its stream taken anew, uses the other way.
                        for end in stride(from: 60, through: 300, by: 60) {
                            try await ship(
                                Array(events.prefix(end)), by: 15, journal: LedgerSample.journal(pod),
                                to: stores[(end / 60 + Int(pod)) % 2])
                        }
                    }
                }
                try await shipping.waitForAll()
            }
        }
        try await self.expectExact(ledger, 1800)
        for transport in transports { await transport.shutdown() }
    }
}

extension RedisServer {
    /// Keys of the locks of all ledgers on the server.
    func lockKeys() throws -> [String] { try self.command("KEYS", "*:lock").split(separator: "\n").map(String.init) }

    /// What the keys of this ledger begin with.
    func prefix(of ledger: BenchLedger) throws -> String {
        let server = try PostgresServer.shared()
        let id = try server.query("SELECT ledger_id FROM \(ledger.settings.schema).writer_fence", in: "postgres")
        return "martlet:{\(id)}:"
    }
}
