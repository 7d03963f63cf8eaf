import Foundation
import TestSupport
import Testing

extension EndToEnd {
    /// The majors of the official SDK that callers use today.
    enum SDKMajor: String, CaseIterable, Sendable, CustomTestStringConvertible {
        case two = "2.54.*"
        case three = "3.54.*"

        var testDescription: String { "openai \(self.rawValue)" }

        func environment() throws -> PythonEnvironment {
            try PythonEnvironment.prepared(
                "openai-\(self.rawValue.prefix(1))", requirements: ["openai==\(self.rawValue)"])
        }
    }

    @Suite("The official OpenAI SDK")
    struct OpenAISDK {
        private static let scripts: [String: UpstreamScript] = [
            "plain": .answer(), "detailed": .detailedAnswer, "chunked": .answer(framing: .chunked),
            "stream": .stream(events: 20, gapMilliseconds: 1), "held": .heldStream(events: 40, beforeGate: 3),
            "cut": .cutStream(afterEvents: 3), "limited": .status(429, retryAfterSeconds: 7),
            "failing": .status(500), "refusing": .status(400),
        ]

        @Test(
            "is served in every way it can ask, and the ledger agrees with the upstream", arguments: SDKMajor.allCases)
        func everything(major: SDKMajor) throws {
            let scene = try Scene(Self.scripts)
            defer { scene.end() }
            let report = try major.environment().run(
                pythonScript("sdk_openai.py"),
                ["http://127.0.0.1:\(scene.gateway.port)", scene.key, MartletProcess.masterKey])
            let version = try #require(report["version"] as? String)
            #expect(version.hasPrefix(String(major.rawValue.dropLast(2))))
            let checks = try #require(report["checks"] as? [String: String])
            #expect(checks.count == 36)
            for (name, result) in checks.sorted(by: { $0.key < $1.key }) {
                #expect(result == "ok", "\(name): \(result)")
            }

            // A caller that leaves takes its upstream call with it; the gate was never opened.
            for user in ["cancelled_stream", "cancelled_stream_async", "refused_parallel_requests"] {
                try waitUntil("the upstream to see \(user) leave") {
                    scene.upstream.calls(of: user).map(\.state) == [.abandoned]
                }
            }
            let rows = try scene.expectLedgerAgrees()
            try self.expectFlags(rows, scene.upstream)
            let hash = try scene.gateway.request("GET", "/key/info?key=\(scene.key)").json?["info"] as? [String: Any]
            // What was refused has left no row, whichever key it was.
            let otherKeys = try #require(report["keys"] as? [String])
            #expect(Set(rows.map(\.apiKey)) == Set(otherKeys + [hash?["token"] as? String ?? "no token"]))
        }

        /// Each row carries the flag of the settlement table, and costs its tokens: 1,000 and 2,000 nano-USD each.
        private func expectFlags(_ rows: [ExportedAttempt], _ upstream: ScriptedUpstream) throws {
            for model in ["limited", "failing", "refusing"] {
                let refused = rows.filter { $0.model.hasSuffix(model) }
                #expect(refused.count == upstream.calls.count { $0.model == model })
                #expect(refused.allSatisfy { $0.isMeasured && $0.isError && $0.costNanos == 0 && $0.promptTokens == 0 })
            }
            let cut = rows.filter { $0.model.hasSuffix("cut") }
            #expect(cut.count == 1)
            #expect(cut.allSatisfy { $0.isEstimated && $0.isError && $0.promptTokens > 0 && $0.completionTokens > 0 })
            let left = rows.filter { $0.model.hasSuffix("held") }
            #expect(left.count == 3)
            #expect(left.allSatisfy { $0.isEstimated && $0.promptTokens > 0 && $0.completionTokens > 0 })
            for row in rows where row.isMeasured && row.cachedTokens == 0 {
                #expect(row.costNanos == row.promptTokens * 1000 + row.completionTokens * 2000, "\(row)")
            }
        }
    }
}
