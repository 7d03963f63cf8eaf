import Foundation
import TestSupport
import Testing

extension EndToEnd {
    /// Gateways whose rows travel by Redis, with one of them as the writer.
    @Suite("A fleet with the Redis transport")
    struct RedisFleet {
        private static let scripts: [String: UpstreamScript] = [
            "plain": .answer(), "slow": .slowAnswer(milliseconds: 50),
            "stream": .stream(events: 8, gapMilliseconds: 1),
        ]
        private static let on = ["use_redis_transaction_buffer: true"]

        /// `redis` of `GET /fleet`.
        private func queue(_ pod: MartletProcess) throws -> [String: Any]? {
            try pod.request("GET", "/fleet").json?["redis"] as? [String: Any]
        }

        /// The pod that writes for all, once there is one.
        private func writer(of fleet: FleetScene, but former: pid_t? = nil) throws -> MartletProcess {
            var found: MartletProcess?
            try waitUntil("a writer") {
                found = try fleet.pods.first { pod in
                    if pod.process.processID == former { return false }
                    return try self.queue(pod)?["is_holder"] as? Bool == true
                }
                return found != nil
            }
            return try #require(found)
        }

        /// Whether Redis' client library is mapped into the process.
        private func hasLibrary(_ pod: MartletProcess) throws -> Bool {
            // A page at a time is what the kernel gives of it.
            let file = try #require(FileHandle(forReadingAtPath: "/proc/\(pod.process.processID)/maps"))
            var text = Data()
            while case let page = file.availableData, !page.isEmpty { text += page }
            return text.range(of: Data("hiredis".utf8)) != nil
        }

        @Test("has one writer, whose token and queue all pods tell, and leaves nothing in Redis")
        func oneWriter() throws {
            let redis = try RedisServer()
            let fleet = try FleetScene(Self.scripts, environment: ["REDIS_URL": redis.url()]) { _ in Self.on }
            defer { fleet.end() }
            for pod in fleet.pods { #expect(try fleet.status(on: pod) == 200) }
            try fleet.expectLedgerAgrees()
            let writer = try self.writer(of: fleet)
            for pod in fleet.pods {
                let told = try #require(try self.queue(pod))
                #expect((told["holder"] as? String)?.hasSuffix("/\(writer.process.processID)") == true)
                #expect(told["token"] as? Int == 1 && told["mode"] as? String == "queue", "\(told)")
                #expect(told["queue_depth"] as? Int == 0 && told["error"] is NSNull, "\(told)")
                #expect(try self.hasLibrary(pod))
                try waitUntil("the pod to count its append and to know the token") {
                    let metrics = try pod.request("GET", "/metrics").text
                    return metrics.contains("martlet_queue_appends_total{way=\"queue\"} 1\n")
                        && metrics.contains("martlet_queue_token 1\n")
                }
            }
            for pod in fleet.pods { #expect(try pod.terminate() == .exited(0)) }
            for kind in ["queue", "processing", "batch:*", "lock"] {
                #expect(try redis.command("KEYS", "martlet:*:\(kind)").isEmpty, "\(kind)")
            }
        }

        @Test("without the switch never connects to a Redis that is named, and loads nothing of its client library")
        func switchedOff() throws {
            let redis = try RedisServer()
            let before = try redis.command("INFO", "stats").split(separator: "\r\n").first {
                $0.contains("connections_r")
            }
            let fleet = try FleetScene(Self.scripts, count: 1, environment: ["REDIS_URL": redis.url()])
            defer { fleet.end() }
            #expect(try fleet.status(on: fleet.pods[0]) == 200)
            try fleet.expectLedgerAgrees()
            let after = try redis.command("INFO", "stats").split(separator: "\r\n").first {
                $0.contains("connections_r")
            }
            // One connection is that of the second question.
            let counts = [before, after].compactMap { $0?.split(separator: ":").last.flatMap { Int($0) } }
            #expect(counts.count == 2 && counts[1] == counts[0] + 1, "\(counts)")
            #expect(try self.queue(fleet.pods[0]) == nil)
            #expect(try !self.hasLibrary(fleet.pods[0]))
        }

        @Test(
            "loses no call and counts none twice while writers are killed and paused, and Redis is flushed and killed")
        func faults() throws {
            let redis = try RedisServer()
            // Half of the pods write for themselves.
            let fleet = try FleetScene(Self.scripts, count: 4, environment: ["REDIS_URL": redis.url()]) { number in
                number < 2 ? Self.on : []
            }
            defer { fleet.end() }
            let isOver = StopSign()
            let answered = Counter()
            let load = Background(6) { caller in
                var made = 0
                while !isOver.isRaised {
                    made += 1
                    let pod = fleet.pods[(made + caller) % fleet.pods.count]
                    let model = ["plain", "stream", "slow"][made % 3]
                    let answer = try? pod.chat(
                        model: model, key: fleet.key, user: "c\(caller)-\(made)", isStream: model == "stream",
                        within: .seconds(5))
                    if answer?.status == 200, answer?.end == .complete { answered.increment() }
                }
            }
            func more() throws {
                let goal = answered.value + 40
                try waitUntil("40 answers") { answered.value >= goal }
            }
            try more()
            for round in 0..<2 {
                let killed = try self.writer(of: fleet)
                killed.kill()
                _ = try self.writer(of: fleet, but: killed.process.processID)
                try killed.start()
                try redis.command("FLUSHALL")
                try more()
                let paused = try self.writer(of: fleet)
                paused.process.send(signal: SIGSTOP)
                _ = try self.writer(of: fleet, but: paused.process.processID)
                paused.process.send(signal: SIGCONT)
                try more()
                redis.kill()
                if round == 0 { try more() }
                try redis.start()
                try more()
            }
            isOver.raise()
            _ = load.wait()
            let rows = try fleet.expectLedgerHoldsEveryCall(killsTimesCallers: 2 * 6)
            #expect(rows.count { $0.isMeasured } >= answered.value)
        }

        @Test("stays exact when pods change to Redis and back one by one")
        func changesOver() throws {
            let redis = try RedisServer()
            let fleet = try FleetScene(Self.scripts, environment: ["REDIS_URL": redis.url()])
            defer { fleet.end() }
            let plain = MartletProcessConfiguration(fleet.upstream)
            var byRedis = plain
            byRedis.general = Self.on
            for configuration in [byRedis, plain, byRedis] {
                for pod in fleet.pods {
                    for pod in fleet.pods { #expect(try fleet.status(on: pod) == 200) }
                    // Rows that were not shipped yet are, by the next life and its way.
                    pod.kill()
                    try pod.replaceConfiguration(configuration.yaml)
                    try pod.start()
                }
                try fleet.expectLedgerAgrees()
            }
        }
    }
}
