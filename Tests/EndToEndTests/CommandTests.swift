import Foundation
import TestSupport
import Testing

/// Where a command finds its ledger.
enum LedgerPlace: String, CaseIterable, Sendable, CustomTestStringConvertible {
    case sqlite, postgres
    var testDescription: String { self.rawValue }

    /// What a pod and its commands need in their environment.
    func environment() throws -> [String: String] {
        switch self {
        case .sqlite: return [:]
        case .postgres:
            let server = try PostgresServer.shared()
            return ["DATABASE_URL": server.url(try server.createDatabase())]
        }
    }
}

extension EndToEnd {
    @Suite("A command for operators")
    struct Commands {
        private typealias Result = (end: ChildProcess.End, output: String, errorOutput: String)

        /// A pod that is served by its own upstream, with room for commands beside it.
        private struct Bench {
            let upstream: ScriptedUpstream
            let configuration: MartletProcessConfiguration
            let environment: [String: String]
            let pod: MartletProcess

            init(
                _ place: LedgerPlace, environment extra: [String: String] = [:],
                configure: (inout MartletProcessConfiguration) -> Void = { _ in }
            ) throws {
                self.upstream = try ScriptedUpstream(["plain": .answer()])
                var configuration = MartletProcessConfiguration(self.upstream)
                configure(&configuration)
                self.configuration = configuration
                self.environment = try place.environment().merging(extra) { $1 }
                self.pod = try MartletProcess(configuration: configuration.yaml, environment: self.environment)
            }

            /// The pod, where it was started at all, ends with its object.
            func end() { self.upstream.stop() }

            /// Runs `martlet` as the pod's operator would.
            func run(_ arguments: String...) throws -> Result { try Commands.run(self.pod, arguments) }

            /// The same pod with another environment.
            func twin(_ extra: [String: String]) throws -> MartletProcess {
                try MartletProcess(
                    configuration: self.configuration.yaml, environment: self.environment.merging(extra) { $1 })
            }
        }

        private static func run(
            _ pod: MartletProcess, _ arguments: [String], data: MartletProcess? = nil
        ) throws -> Result {
            try pod.run(
                arguments + ["--data", (data ?? pod).dataDirectory.path, "--config", pod.configurationFile.path])
        }

        /// A failure that says what is wrong, in one line for people.
        private func expectRefusal(
            _ result: Result, _ text: String, at location: SourceLocation = #_sourceLocation
        ) {
            #expect(result.end == .exited(1), "\(result)", sourceLocation: location)
            #expect(result.errorOutput.contains("error: "), "\(result)", sourceLocation: location)
            #expect(result.errorOutput.contains(text), "\(result)", sourceLocation: location)
        }

        @Test(
            "refuses wrong arguments with exit status 64 and its usage",
            arguments: [
                ["migrate", "--nonsense"], ["fleet", "extra"], ["ledger", "rebuild", "extra"], ["ledger", "replay"],
                ["ledger", "replay", "a", "b"], ["credentials", "rotate", "--force"], ["credentials", "nothing"],
            ])
        func wrongArguments(_ arguments: [String]) throws {
            let bench = try Bench(.sqlite)
            defer { bench.end() }
            let result = try bench.pod.run(arguments)
            #expect(result.end == .exited(64), "\(result)")
            #expect(result.errorOutput.contains("Usage: martlet"), "\(result)")
        }

        @Test("gives up after seconds when PostgreSQL is away, with exit status 1 and the address")
        func serverAway() throws {
            let away = ["DATABASE_URL": "postgresql://somebody:planted-password@127.0.0.1:1/none"]
            let bench = try Bench(.sqlite, environment: away)
            defer { bench.end() }
            let commands = [
                ["migrate"], ["fleet"], ["ledger", "rebuild"], ["ledger", "replay", bench.pod.directory.path],
                ["credentials", "rotate"],
            ]
            let salts = ["LITELLM_SALT_KEY": String(repeating: "n", count: 32)]
            let pod = try bench.twin(salts.merging(["MARTLET_FORMER_SALT_KEY": "former-0123456789abcdef"]) { $1 })
            let results = concurrently(commands.count) { try? Self.run(pod, commands[$0]) }
            for (command, result) in zip(commands, results) {
                let result = try #require(result, "\(command) did not end")
                self.expectRefusal(result, "127.0.0.1:1")
                #expect(!(result.output + result.errorOutput).contains("planted-password"))
            }
        }

        @Test("that needs PostgreSQL says so where there is none", arguments: ["migrate", "fleet"])
        func needsPostgres(command: String) throws {
            let bench = try Bench(.sqlite)
            defer { bench.end() }
            self.expectRefusal(try bench.run(command), "DATABASE_URL")
        }

        @Test("that needs a ledger makes none", arguments: ["rebuild", "rotate"])
        func needsLedger(command: String) throws {
            let salts = ["LITELLM_SALT_KEY": "next-0123456789abcdef", "MARTLET_FORMER_SALT_KEY": "former-0123456789ab"]
            let bench = try Bench(.sqlite, environment: salts)
            defer { bench.end() }
            let result = try bench.run(command == "rotate" ? "credentials" : "ledger", command)
            self.expectRefusal(result, "There is no ledger")
            #expect(!FileManager.default.fileExists(atPath: bench.pod.dataDirectory.path))
        }

        @Test("migrates an empty database, and an up to date one again")
        func migrate() throws {
            let bench = try Bench(.postgres)
            defer { bench.end() }
            for _ in 0..<2 {
                let result = try bench.run("migrate")
                #expect(result.end == .exited(0) && result.output == "The schema is up to date.\n", "\(result)")
            }
            try bench.pod.start()
            #expect(try bench.run("migrate").end == .exited(0), "beside a pod that serves")
        }

        @Test("shows the pods of a fleet, and the journal that a dead one left")
        func fleet() throws {
            let bench = try Bench(.postgres) { $0.martlet = ["fleet_dead_after_seconds: 3"] }
            defer { bench.end() }
            try bench.pod.start()
            let other = try bench.twin([:])
            try other.start()
            defer { other.kill() }
            func lines() throws -> [Substring] {
                let result = try bench.run("fleet")
                #expect(result.end == .exited(0), "\(result)")
                return result.output.split(separator: "\n")
            }
            func shows(_ pod: MartletProcess) throws -> Bool {
                try lines().contains { $0.split(separator: " ").contains("\(pod.process.processID)") }
            }
            try waitUntil("both pods to be shown") { try shows(bench.pod) && shows(other) }
            #expect(try lines().count == 3)
            other.kill()
            try waitUntil("the dead pod's journal to be shown", within: .seconds(30)) {
                try lines().contains { $0.hasPrefix("journal ") && $0.contains("orphaned") }
            }
        }

        @Test("makes counters anew from the rows, while a pod serves", arguments: LedgerPlace.allCases)
        func rebuild(place: LedgerPlace) throws {
            let bench = try Bench(place)
            defer { bench.end() }
            try bench.pod.start()
            let key = try bench.pod.generateKey()
            for _ in 0..<10 { #expect(try bench.pod.chat(model: "plain", key: key).status == 200) }
            try waitUntil("ten rows") {
                try bench.pod.exportLedger().count == 10 && bench.pod.verifyLedger().end == .exited(0)
            }
            // Counters that have not been folded yet cannot be spoilt.
            try waitUntil("spoilt counters to be found") {
                try self.spoilCounters(place, bench.pod)
                return try bench.pod.verifyLedger().end == .exited(1)
            }
            let result = try bench.run("ledger", "rebuild")
            #expect(result.end == .exited(0) && result.output.contains("are exact"), "\(result)")
            #expect(try bench.pod.verifyLedger().end == .exited(0))
            #expect(try bench.pod.chat(model: "plain", key: key).status == 200)
        }

        private func spoilCounters(_ place: LedgerPlace, _ pod: MartletProcess) throws {
            switch place {
            case .postgres:
                let url = try #require(pod.environment["DATABASE_URL"])
                let database = String(url.split(separator: "/").last ?? "")
                try PostgresServer.shared().query("UPDATE martlet.usage_total SET spend = spend + 1", in: database)
            case .sqlite:
                let script = """
                    import sqlite3, sys
                    c = sqlite3.connect(sys.argv[1], timeout=20)
                    c.execute("update usage_total set spend = spend + 1")
                    c.commit()
                    """
                let file = pod.dataDirectory.appendingPathComponent("martlet.sqlite").path
                let spoilt = try ChildProcess.run(
                    ["/usr/bin/env", "python3", "-c", script, file],
                    environment: ProcessInfo.processInfo.environment, directory: pod.directory, within: .seconds(30))
                try #require(spoilt.end == .exited(0), "\(spoilt.errorOutput)")
            }
        }

        @Test("ships what a killed pod left, once however often it is repeated", arguments: LedgerPlace.allCases)
        func replay(place: LedgerPlace) throws {
            let bench = try Bench(place) { $0.martlet = ["ledger_tick_interval_milliseconds: 60000"] }
            defer { bench.end() }
            try bench.pod.start()
            let key = try bench.pod.generateKey()
            for _ in 0..<10 { #expect(try bench.pod.chat(model: "plain", key: key).status == 200) }
            let data = bench.pod.dataDirectory.path
            self.expectRefusal(try bench.run("ledger", "replay", data), "a process holds the journal")
            bench.pod.kill()
            for place in [data, data + "/journal", bench.pod.directory.path] {
                let result = try bench.run("ledger", "replay", place)
                let count = place == data ? 10 : 0
                #expect(result.end == .exited(0), "\(result)")
                #expect(result.output.contains("\(count) were not before"), "\(result)")
            }
            #expect(try bench.pod.exportLedger().count == 10)
            #expect(try bench.pod.verifyLedger().end == .exited(0))
            // What the command left is what the pod goes on with.
            try bench.pod.start()
            #expect(try bench.pod.chat(model: "plain", key: key).status == 200)
            try bench.pod.terminate()
            #expect(try bench.pod.exportLedger().count == 11)
            #expect(try bench.pod.verifyLedger().end == .exited(0))
        }

        @Test("replays nothing from a directory without a journal, and leaves nothing there")
        func replayNothing() throws {
            let bench = try Bench(.sqlite)
            defer { bench.end() }
            try bench.pod.start()
            let empty = bench.pod.directory.appendingPathComponent("empty")
            try FileManager.default.createDirectory(at: empty, withIntermediateDirectories: true)
            self.expectRefusal(try bench.run("ledger", "replay", empty.path), "there is no journal in")
            #expect(try FileManager.default.contentsOfDirectory(atPath: empty.path).isEmpty)
            self.expectRefusal(try bench.run("ledger", "replay", empty.path + "/missing"), "missing")
        }

        @Test("seals stored secrets with another salt key, all or none", arguments: LedgerPlace.allCases)
        func rotate(place: LedgerPlace) throws {
            let (former, next) = ("salt-former-0123456789abcdef", "salt-next-0123456789abcdefgh")
            let bench = try Bench(place, environment: ["LITELLM_SALT_KEY": former, "STORE_MODEL_IN_DB": "true"])
            defer { bench.end() }
            try bench.pod.start()
            let body =
                #"{"credential_name":"c","credential_values":{"api_key":"sk-planted-secret"},"credential_info":{}}"#
            #expect(try bench.pod.request("POST", "/credentials", body: body).status == 200)
            try bench.pod.terminate()
            func rotate(_ keys: [String: String]) throws -> Result {
                try Self.run(bench.twin(keys), ["credentials", "rotate"], data: bench.pod)
            }
            self.expectRefusal(
                try rotate(["LITELLM_SALT_KEY": next, "MARTLET_FORMER_SALT_KEY": "salt-wrong-0123456789abcdef"]),
                "The stored credential c opens neither")
            for count in [1, 0] {
                let result = try rotate(["LITELLM_SALT_KEY": next, "MARTLET_FORMER_SALT_KEY": former])
                #expect(result.end == .exited(0), "\(result)")
                #expect(result.output == "\(count) models and credentials were sealed anew.\n", "\(result)")
            }
            let rotated = try MartletProcess(
                configuration: bench.configuration.yaml,
                environment: bench.environment.merging(["LITELLM_SALT_KEY": next]) { $1 },
                arguments: ["--data", bench.pod.dataDirectory.path])
            try rotated.start()
            defer { rotated.kill() }
            let shown = try rotated.request("GET", "/credentials/by_name/c")
            #expect(shown.status == 200 && shown.text.contains("\"api_key\":\"****"), "\(shown.text)")
            #expect(!shown.text.contains("planted"))
        }
    }
}
