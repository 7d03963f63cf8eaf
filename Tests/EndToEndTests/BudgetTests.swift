import Foundation
import Synchronization
import TestSupport
import Testing

extension EndToEnd {
    /// Budgets and limits of one key over several gateways.
    @Suite("A cap")
    struct Caps {
        private static let scripts: [String: UpstreamScript] = [
            "plain": .answer(), "slow": .slowAnswer(milliseconds: 400), "quick": .slowAnswer(milliseconds: 20),
        ]
        /// The upstream reports a little more than 1,000 input and 11 output tokens whatever it is sent, so that a body
        /// of 2,500 bytes is a bound, about twice what the call costs.
        private static let padding =
            ",\"max_tokens\":20,\"metadata\":{\"pad\":\"\(String(repeating: "x", count: 2400))\"}"
        private static let callNanos = 1_100_000

        private static func call(_ pod: MartletProcess, _ key: String, model: String = "quick") -> RawHTTPResponse? {
            try? pod.chat(model: model, key: key, extra: Self.padding)
        }

        private static func spent(_ pod: MartletProcess, calls: Int) throws -> (nanos: Int, rows: Int) {
            var rows: [ExportedAttempt] = []
            try waitUntil("\(calls) rows") {
                rows = try pod.exportLedger().filter { $0.status == 200 }
                return rows.count >= calls
            }
            return (rows.reduce(0) { $0 + $1.costNanos }, rows.count)
        }

        /// Calls from several threads at each pod until `refusalsMax` are refused.
        private static func spend(
            _ pods: [MartletProcess], _ key: String, refusalsMax: Int
        ) -> (served: Int, refused: Int, firstRefusalAt: Int?, statuses: Set<Int>) {
            let served = Atomic<Int>(0)
            let refused = Atomic<Int>(0)
            let first = Atomic<Int>(-1)
            let statuses = Mutex<Set<Int>>([])
            _ = concurrently(pods.count * 3) { index in
                while refused.load(ordering: .relaxed) < refusalsMax {
                    guard let response = Self.call(pods[index % pods.count], key) else { return }
                    if response.status == 200 {
                        served.wrappingAdd(1, ordering: .relaxed)
                    } else {
                        _ = statuses.withLock { $0.insert(response.status) }
                        let now = served.load(ordering: .relaxed)
                        _ = first.compareExchange(expected: -1, desired: now, ordering: .relaxed)
                        refused.wrappingAdd(1, ordering: .relaxed)
                    }
                }
            }
            let at = first.load(ordering: .relaxed)
            return (
                served.load(ordering: .relaxed), refused.load(ordering: .relaxed), at < 0 ? nil : at,
                statuses.withLock { $0 }
            )
        }

        @Test("of a strict budget is never passed by three pods together, and is used up")
        func strict() throws {
            let fleet = try FleetScene(Self.scripts)
            defer { fleet.end() }
            let limit = 150 * Self.callNanos
            let key = try fleet.pods[0].generateKey(
                "{\"max_budget\":\(Double(limit) / 1e9),\"budget_mode\":\"strict\"}")
            let result = Self.spend(fleet.pods, key, refusalsMax: 200)
            let (spent, _) = try Self.spent(fleet.pods[0], calls: result.served)
            Figures.line("strict, 3 pods: \(spent) of \(limit) spent, \(result)")
            #expect(spent <= limit)
            #expect(spent >= limit * 97 / 100 - 3 * Self.callNanos, "\(spent) of \(limit)")
            #expect(result.statuses == [422])
        }

        @Test("of a strict budget holds while a pod is killed and comes back")
        func strictKilled() throws {
            let fleet = try FleetScene(Self.scripts)
            defer { fleet.end() }
            let limit = 200 * Self.callNanos
            let key = try fleet.pods[0].generateKey(
                "{\"max_budget\":\(Double(limit) / 1e9),\"budget_mode\":\"strict\"}")
            let load = Background(1) { _ in Self.spend([fleet.pods[0], fleet.pods[1]], key, refusalsMax: 100) }
            for _ in 0..<30 { _ = Self.call(fleet.pods[2], key) }
            fleet.pods[2].kill()
            try fleet.pods[2].start()
            for _ in 0..<30 { _ = Self.call(fleet.pods[2], key) }
            _ = load.wait()
            _ = Self.spend(fleet.pods, key, refusalsMax: 100)
            var spent = 0
            try waitUntil("all rows") {
                let rows = try fleet.pods[0].exportLedger()
                let now = rows.reduce(0) { $0 + $1.costNanos }
                defer { spent = now }
                return now == spent && rows.count >= fleet.upstream.calls.count
            }
            #expect(spent <= limit)
            #expect(spent >= limit * 95 / 100, "\(spent) of \(limit)")
        }

        @Test("of requests a minute holds for three pods together, and says so in headers")
        func requests() throws {
            let fleet = try FleetScene(Self.scripts)
            defer { fleet.end() }
            let key = try fleet.pods[0].generateKey("{\"rpm_limit\":30}")
            let first = try #require(Self.call(fleet.pods[0], key))
            #expect(first.status == 200)
            #expect(first.header("x-ratelimit-limit-requests") == "30")
            #expect(Int(first.header("x-ratelimit-remaining-requests") ?? "") ?? 99 < 30)
            var served = ["\(Self.minute())": 1]
            for index in 0..<120 {
                let before = Self.minute()
                guard let response = Self.call(fleet.pods[index % 3], key) else { continue }
                guard before == Self.minute() else { continue }
                if response.status == 200 {
                    served["\(before)", default: 0] += 1
                } else {
                    #expect(response.status == 429)
                    let error = response.openAIError
                    #expect((error?["message"] as? String)?.hasPrefix("Rate limit exceeded") == true)
                    #expect((1...60).contains(Int(response.header("retry-after") ?? "") ?? 0))
                    #expect(response.header("x-ratelimit-remaining-requests") == "0")
                }
            }
            #expect(served.values.allSatisfy { $0 <= 30 }, "\(served)")
            #expect(served.values.max() ?? 0 >= 28, "\(served)")
        }

        private static func minute() -> Int { Int(Date().timeIntervalSince1970) / 60 }

        @Test("of parallel requests holds, and places become free again")
        func parallel() throws {
            let scene = try Scene(Self.scripts)
            defer { scene.end() }
            let key = try scene.gateway.generateKey("{\"max_parallel_requests\":2}")
            for _ in 0..<3 {
                let gateway = scene.gateway
                let statuses = concurrently(6) { _ in Self.call(gateway, key, model: "slow")?.status ?? 0 }
                #expect(statuses.filter { $0 == 200 }.count == 2, "\(statuses)")
                #expect(statuses.filter { $0 == 429 }.count == 4, "\(statuses)")
            }
        }

        @Test("is explained without being used")
        func dryRun() throws {
            let scene = try Scene(Self.scripts)
            defer { scene.end() }
            let key = try scene.gateway.generateKey("{\"max_budget\":1,\"rpm_limit\":10}")
            #expect(Self.call(scene.gateway, key)?.status == 200)
            let answer = try scene.gateway.request("POST", "/utils/admission", key: key, body: "{\"model\":\"plain\"}")
            #expect(answer.status == 200, "\(answer.text)")
            #expect(answer.json?["allowed"] as? Bool == true)
            let checks = answer.json?["checks"] as? [[String: Any]] ?? []
            #expect(Set(checks.compactMap { $0["type"] as? String }) == ["budget", "requests"])
        }
    }
}
