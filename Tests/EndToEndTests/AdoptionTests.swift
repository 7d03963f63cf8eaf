import Foundation
import TestSupport
import Testing

extension EndToEnd {
    /// What a pod leaves behind on a volume that another pod can reach.
    @Suite("The journal of a dead pod")
    struct AdoptedJournals {
        private static let scripts: [String: UpstreamScript] = [
            "plain": .answer(), "held": .heldStream(events: 10, beforeGate: 2),
        ]

        @Test("is brought in by a pod that adopts it, and nothing is doubled when its own pod comes back")
        func adopted() throws {
            let server = try PostgresServer()
            let upstream = try ScriptedUpstream(Self.scripts)
            defer { upstream.stop() }
            let environment = ["DATABASE_URL": server.url(try server.createDatabase())]
            var configuration = MartletProcessConfiguration(upstream)
            // Ships nothing while the test lasts.
            configuration.martlet = ["ledger_tick_interval_milliseconds: 60000", "fleet_dead_after_seconds: 3"]
            let lost = try MartletProcess(configuration: configuration.yaml, environment: environment)
            try lost.start()
            let key = try lost.generateKey()
            for call in 0..<20 { #expect(try lost.chat(model: "plain", key: key, user: "a\(call)").status == 200) }
            let held = Background(1) { _ in
                _ = try? lost.chat(model: "held", key: key, user: "held", isStream: true, within: .seconds(10))
            }
            try waitUntil("a call to be in flight") { upstream.calls.contains { $0.eventsSent > 0 } }
            lost.kill()
            _ = held.wait()
            #expect(try self.exported(by: lost).count == 21)

            configuration.martlet = ["fleet_dead_after_seconds: 3", "adopt_journals_from: \(lost.directory.path)"]
            let heir = try MartletProcess(configuration: configuration.yaml, environment: environment)
            try heir.start()
            defer { heir.kill() }
            for call in 0..<5 { #expect(try heir.chat(model: "plain", key: key, user: "b\(call)").status == 200) }
            let journal = lost.dataDirectory.appendingPathComponent("journal").path
            try waitUntil("the journal to be adopted", within: .seconds(30)) {
                !FileManager.default.fileExists(atPath: journal)
            }
            try self.expect(rows: 26, orphaned: 1, by: heir)
            #expect(try (heir.request("GET", "/fleet").json?["orphans"] as? [Any])?.isEmpty == true)

            // With another journal: its stream has nothing to repeat.
            try lost.start()
            defer { lost.kill() }
            for call in 0..<5 { #expect(try lost.chat(model: "plain", key: key, user: "c\(call)").status == 200) }
            try lost.terminate()
            try self.expect(rows: 31, orphaned: 1, by: heir)
            #expect(upstream.calls.count == 31)
            #expect(!FileManager.default.fileExists(atPath: journal + "/nothing"))
        }

        @Test("is left alone while its pod lives, however long the pod has been paused")
        func paused() throws {
            let server = try PostgresServer()
            let upstream = try ScriptedUpstream(Self.scripts)
            defer { upstream.stop() }
            let environment = ["DATABASE_URL": server.url(try server.createDatabase())]
            var configuration = MartletProcessConfiguration(upstream)
            configuration.martlet = ["fleet_dead_after_seconds: 3"]
            let paused = try MartletProcess(configuration: configuration.yaml, environment: environment)
            try paused.start()
            defer { paused.kill() }
            configuration.martlet.append("adopt_journals_from: \(paused.directory.path)")
            let heir = try MartletProcess(configuration: configuration.yaml, environment: environment)
            try heir.start()
            defer { heir.kill() }
            let key = try heir.generateKey()
            #expect(try paused.chat(model: "plain", key: key).status == 200)
            paused.process.send(signal: SIGSTOP)
            try waitUntil("the paused pod to be fenced", within: .seconds(30)) {
                try (heir.request("GET", "/fleet").json?["orphans"] as? [Any])?.count == 1
            }
            for call in 0..<20 { #expect(try heir.chat(model: "plain", key: key, user: "b\(call)").status == 200) }
            paused.process.send(signal: SIGCONT)
            #expect(try paused.chat(model: "plain", key: key).status == 200)
            try waitUntil("the pod to be back in the fleet", within: .seconds(30)) {
                try (heir.request("GET", "/fleet").json?["orphans"] as? [Any])?.isEmpty == true
            }
            try self.expect(rows: 22, orphaned: 0, by: heir)
        }

        private func exported(by pod: MartletProcess) throws -> [ExportedAttempt] { try pod.exportLedger() }

        /// Exactly these rows, each attempt once, and a ledger that is exact.
        private func expect(rows count: Int, orphaned: Int, by pod: MartletProcess) throws {
            var rows: [ExportedAttempt] = []
            try waitUntil("\(count) rows", within: .seconds(30)) {
                rows = try pod.exportLedger()
                return rows.count >= count
            }
            #expect(rows.count == count)
            #expect(Set(rows.map { "\($0.requestID) \($0.attempt)" }).count == count, "a row stands twice")
            #expect(rows.count { $0.isOrphaned } == orphaned)
            let result = try pod.verifyLedger()
            #expect(result.end == .exited(0), "ledger verify: \(result.output)")
        }
    }
}
