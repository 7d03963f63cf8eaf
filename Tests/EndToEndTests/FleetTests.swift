import Foundation
import TestSupport
import Testing

extension EndToEnd {
    /// Several gateways on one PostgreSQL, which is not theirs to depend on for every call.
    @Suite("A fleet on PostgreSQL")
    struct FleetOfPods {
        private static let scripts: [String: UpstreamScript] = [
            "plain": .answer(), "slow": .slowAnswer(milliseconds: 50),
            "stream": .stream(events: 8, gapMilliseconds: 1),
        ]

        /// Those that the SDK's script asks for.
        private static let scriptsOfTheSDK: [String: UpstreamScript] = [
            "plain": .answer(), "detailed": .detailedAnswer, "chunked": .answer(framing: .chunked),
            "stream": .stream(events: 20, gapMilliseconds: 1), "held": .heldStream(events: 40, beforeGate: 3),
            "cut": .cutStream(afterEvents: 3), "limited": .status(429, retryAfterSeconds: 7),
            "failing": .status(500), "refusing": .status(400),
        ]

        @Test("knows a key made on one pod at every other in the very next call, and has room for all connections")
        func newKeys() throws {
            let fleet = try FleetScene(Self.scripts)
            defer { fleet.end() }
            for round in 0..<10 {
                let maker = fleet.pods[round % fleet.pods.count]
                let key = try maker.generateKey("{\"key_alias\":\"key \(round)\"}")
                for pod in fleet.pods {
                    #expect(try pod.chat(model: "plain", key: key).status == 200, "round \(round)")
                }
            }
            for pod in fleet.pods {
                try waitUntil("all pods to be in /fleet") { try fleet.members(of: pod).count == fleet.pods.count }
                let members = try fleet.members(of: pod)
                #expect(Set(members.compactMap { $0["pid"] as? Int }) == fleet.processIDs)
                #expect(members.allSatisfy { 1...3 ~= $0["connections"] as? Int ?? -1 }, "\(members)")
            }
            try fleet.expectLedgerAgrees()
        }

        @Test("refuses a blocked key on every pod soon, and at once after ?wait=fleet")
        func blockedKeys() throws {
            let fleet = try FleetScene(Self.scripts)
            defer { fleet.end() }
            for round in 0..<10 {
                let admin = fleet.pods[round % fleet.pods.count]
                try fleet.change(admin, "/key/block")
                for pod in fleet.pods {
                    try waitUntil("the key to be refused", within: .seconds(10)) { try fleet.status(on: pod) == 401 }
                }
                #expect(try fleet.change(admin, "/key/unblock?wait=fleet").header("x-martlet-fleet") == "acknowledged")
                for pod in fleet.pods { #expect(try fleet.status(on: pod) == 200) }
                #expect(try fleet.change(admin, "/key/block?wait=fleet").header("x-martlet-fleet") == "acknowledged")
                for pod in fleet.pods { #expect(try fleet.status(on: pod) == 401) }
                try fleet.change(admin, "/key/unblock?wait=fleet")
            }
            try fleet.expectLedgerAgrees()
        }

        @Test("serves known keys while PostgreSQL is away, refuses admin writes, and is exact when it is back")
        func databaseAway() throws {
            let fleet = try FleetScene(Self.scripts)
            defer { fleet.end() }
            for pod in fleet.pods { #expect(try fleet.status(on: pod) == 200) }
            for round in 0..<2 {
                // Another one each time: what does not exist is remembered for some seconds.
                let unknown = "sk-never-made-\(round)"
                try fleet.server.stopImmediately()
                for pod in fleet.pods {
                    for model in Self.scripts.keys.sorted() {
                        #expect(try pod.chat(model: model, key: fleet.key).status == 200)
                    }
                    let answer = try pod.request("POST", "/key/generate", body: "{}")
                    #expect(answer.status == 503 && answer.openAIError != nil, "\(answer.text)")
                    #expect(try pod.readiness() == 200)
                    // It cannot be told apart from a key that another pod made a moment ago.
                    #expect(try pod.chat(model: "plain", key: unknown).status == 503)
                }
                try fleet.server.start()
                for pod in fleet.pods {
                    try waitUntil("admin writes to be taken again") {
                        try pod.request("POST", "/key/generate", body: "{}").status == 200
                    }
                    try waitUntil("unknown keys to be looked up again") {
                        try pod.chat(model: "plain", key: unknown).status == 401
                    }
                }
                try fleet.expectLedgerAgrees()
            }
        }

        @Test("shows a pod that was killed and is back once, and waits for nothing that is gone")
        func back() throws {
            let fleet = try FleetScene(Self.scripts)
            defer { fleet.end() }
            for round in 0..<3 {
                let pod = fleet.pods[round % fleet.pods.count]
                pod.kill()
                try pod.start()
                let admin = fleet.pods[(round + 1) % fleet.pods.count]
                try waitUntil("the pod's new run to beat") {
                    try fleet.members(of: admin).contains { $0["pid"] as? Int == Int(pod.process.processID) }
                }
                #expect(Set(try fleet.members(of: admin).compactMap { $0["pid"] as? Int }) == fleet.processIDs)
                let answer = try fleet.change(admin, "/key/block?wait=fleet&wait_timeout_ms=2500")
                #expect(answer.header("x-martlet-fleet") == "acknowledged", "\(answer.headers)")
                for pod in fleet.pods { #expect(try fleet.status(on: pod) == 401) }
                try fleet.change(admin, "/key/unblock?wait=fleet")
            }
        }

        @Test("loses no call and counts none twice when pods are killed and come back")
        func killedPods() throws {
            let fleet = try FleetScene(Self.scripts)
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
            for round in 0..<6 {
                let goal = answered.value + 30
                try waitUntil("30 answers in round \(round)") { answered.value >= goal }
                let pod = fleet.pods[round % fleet.pods.count]
                pod.kill()
                try pod.start()
            }
            isOver.raise()
            _ = load.wait()
            let rows = try fleet.expectLedgerHoldsEveryCall(killsTimesCallers: 6 * 6)
            #expect(rows.count { $0.isMeasured } >= answered.value)
        }

        @Test(
            "serves the official OpenAI SDK behind a plain TCP balancer",
            .enabled(if: Balancer.program != nil, "needs haproxy (Debian: apt-get install haproxy)"))
        func balanced() throws {
            let fleet = try FleetScene(Self.scriptsOfTheSDK)
            defer { fleet.end() }
            let balancer = try Balancer(over: fleet.pods)
            defer { balancer.end() }
            let report = try SDKMajor.three.environment().run(
                pythonScript("sdk_openai.py"), ["http://127.0.0.1:\(balancer.port)", fleet.key])
            let checks = try #require(report["checks"] as? [String: String])
            #expect(checks.count == 25)
            for (name, result) in checks.sorted(by: { $0.key < $1.key }) {
                #expect(result == "ok", "\(name): \(result)")
            }
            for user in ["cancelled_stream", "cancelled_stream_async"] {
                try waitUntil("the upstream to see \(user) leave") {
                    fleet.upstream.calls(of: user).map(\.state) == [.abandoned]
                }
            }
            try fleet.expectLedgerAgrees()
        }

        @Test("is exact after a quarter of a minute of chaos")
        func chaos() throws { try self.runChaos(["--seed", "1", "--seconds", "15", "--pods", "3", "--untimed"]) }

        @Test("never passes a strict budget, with pods that are killed and paused too")
        func budgets() throws {
            try self.runChaos(
                ["--budgets", "--seed", "1", "--seconds", "6", "--pods", "3", "--no-limits", "--untimed"])
        }

        private func runChaos(_ options: [String]) throws {
            let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
                .appendingPathComponent("../../Benchmarks/chaos/chaos.py").standardizedFileURL
            let binary = try #require(MartletProcess.binary)
            let result = try ChildProcess.run(
                ["/usr/bin/env", "PYTHONDONTWRITEBYTECODE=1", "python3", script.path, "--martlet", binary] + options,
                environment: ["PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "TMPDIR": NSTemporaryDirectory()],
                directory: FileManager.default.temporaryDirectory, within: .seconds(300))
            let again = "./scripts/chaos " + options.joined(separator: " ")
            #expect(result.end == .exited(0), "\(again)\n\(result.output)\(result.errorOutput)")
        }
    }
}

/// HAProxy in TCP mode, each connection to the next pod.
private final class Balancer: Sendable {
    let port: Int
    private let process: ChildProcess
    private let directory: URL

    /// `nil`: not installed.
    static let program = ["/usr/sbin/haproxy", "/usr/bin/haproxy", "/usr/local/sbin/haproxy"]
        .first { FileManager.default.isExecutableFile(atPath: $0) }

    init(over pods: [MartletProcess]) throws {
        let program = try #require(Self.program)
        let reserved = try StreamSocket.listen(port: 0)
        self.port = reserved.localPort
        reserved.close()
        self.directory = FileManager.default.temporaryDirectory.appendingPathComponent("balancer-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: self.directory, withIntermediateDirectories: true)
        let file = self.directory.appendingPathComponent("haproxy.cfg")
        let servers = pods.enumerated().map { "  server pod\($0.offset) 127.0.0.1:\($0.element.port)" }
        let lines =
            [
                "defaults", "  mode tcp", "  timeout connect 5s", "  timeout client 60s", "  timeout server 60s",
                "listen fleet", "  bind 127.0.0.1:\(self.port)", "  balance roundrobin",
            ] + servers
        try Data((lines.joined(separator: "\n") + "\n").utf8).write(to: file)
        self.process = try ChildProcess(
            name: "haproxy", arguments: [program, "-db", "-f", file.path], environment: ["PATH": "/usr/bin:/bin"],
            directory: self.directory)
        try waitUntil("the balancer to lead to a pod") {
            (try? RawHTTPClient.request(port: self.port, "GET", "/readyz"))?.status == 200
        }
    }

    func end() {
        self.process.kill()
        try? FileManager.default.removeItem(at: self.directory)
    }
}

/// Three gateways on a PostgreSQL server of their own, in front of one scripted upstream, with one virtual key.
struct FleetScene: Sendable {
    let server: PostgresServer
    let upstream: ScriptedUpstream
    let pods: [MartletProcess]
    let key: String

    /// - Parameters:
    ///   - environment: of all pods, beside the database's address.
    ///   - general: lines below `general_settings:`, by the pod's number.
    init(
        _ scripts: [String: UpstreamScript], count: Int = 3, environment: [String: String] = [:],
        general: (Int) -> [String] = { _ in [] }, configure: (inout MartletProcessConfiguration) -> Void = { _ in }
    ) throws {
        self.server = try PostgresServer()
        self.upstream = try ScriptedUpstream(scripts)
        let url = self.server.url(try self.server.createDatabase())
        var configuration = MartletProcessConfiguration(self.upstream)
        self.pods = try (0..<count).map { number in
            configuration.general = general(number)
            if number == 0 { configure(&configuration) }
            return try MartletProcess(
                configuration: configuration.yaml,
                environment: environment.merging(["DATABASE_URL": url]) { given, _ in given })
        }
        // All at once, on an empty database: each migration is applied by one of them.
        for pod in self.pods { try pod.launch() }
        for pod in self.pods { try pod.waitUntilReady() }
        self.key = try self.pods[0].generateKey()
    }

    func end() {
        self.upstream.stop()
        for pod in self.pods { pod.kill() }
    }

    var processIDs: Set<Int> { Set(self.pods.map { Int($0.process.processID) }) }

    /// `pods` of `GET /fleet`.
    func members(of pod: MartletProcess) throws -> [[String: Any]] {
        try pod.request("GET", "/fleet").json?["pods"] as? [[String: Any]] ?? []
    }

    /// Status of a call with the scene's key.
    func status(on pod: MartletProcess) throws -> Int { try pod.chat(model: "plain", key: self.key).status }

    /// Changes the scene's key.
    @discardableResult
    func change(_ pod: MartletProcess, _ path: String) throws -> RawHTTPResponse {
        let response = try pod.request("POST", path, body: "{\"key\":\"\(self.key)\"}")
        #expect(response.status == 200, "\(path): \(response.text)")
        return response
    }

    /// Exactly one row for each call that the upstream answered, the same spend on every pod, and a sound ledger.
    func expectLedgerAgrees() throws {
        // Its last answer may have come before it has made a note of it.
        try waitUntil("the upstream to be idle") { !self.upstream.calls.contains { $0.state == .received } }
        let calls = self.upstream.calls
        var rows: [ExportedAttempt] = []
        try waitUntil("\(calls.count) rows") {
            rows = try self.pods[0].exportLedger()
            return rows.count >= calls.count
        }
        #expect(rows.count == calls.count)
        let reported = calls.filter { $0.state == .answered }.compactMap { $0.reportedUsage?.promptTokens }.sorted()
        #expect(rows.filter { $0.isMeasured && !$0.isError }.map(\.promptTokens).sorted() == reported)
        try self.expectOneSpend(rows)
    }

    /// Exactly one row for each call that the upstream received, whatever became of it. A row more is an intent whose
    /// request was never on the wire.
    func expectLedgerHoldsEveryCall(killsTimesCallers extraMax: Int) throws -> [ExportedAttempt] {
        try waitUntil("the upstream to be idle") { !self.upstream.calls.contains { $0.state == .received } }
        let calls = self.upstream.calls
        var rows: [ExportedAttempt] = []
        var before = -1
        try waitUntil("\(calls.count) rows, and no more to come") {
            before = rows.count
            rows = try self.pods[0].exportLedger()
            return rows.count >= calls.count && rows.count == before
        }
        #expect(Set(rows.map { "\($0.requestID) \($0.attempt)" }).count == rows.count, "a row stands twice")
        #expect(rows.count - calls.count <= extraMax)
        #expect(rows.count - calls.count <= rows.count { $0.isOrphaned })
        let measured = rows.filter { $0.isMeasured && !$0.isError }.map(\.promptTokens)
        #expect(Set(measured).count == measured.count, "a call is booked twice")
        try self.expectOneSpend(rows)
        return rows
    }

    /// Every pod tells the same spend of the key, that of its rows, and finds nothing wrong.
    private func expectOneSpend(_ rows: [ExportedAttempt]) throws {
        let info = try self.pods[0].request("GET", "/key/info?key=\(self.key)").json?["info"] as? [String: Any]
        let digest = try #require(info?["token"] as? String)
        let total = Double(rows.filter { $0.apiKey == digest }.reduce(0) { $0 + $1.costNanos })
        for pod in self.pods {
            try waitUntil("the pod to tell the spend of all rows") {
                let said = try pod.request("GET", "/key/info?key=\(self.key)").json?["info"] as? [String: Any]
                return abs((said?["spend"] as? Double ?? -1) * 1e9 - total) < 0.5
            }
            let result = try pod.verifyLedger()
            #expect(result.end == .exited(0), "ledger verify: \(result.output)")
        }
    }
}
