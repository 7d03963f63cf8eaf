import Foundation
import TestSupport
import Testing

extension EndToEnd {
    @Suite("The official SDKs for images, audio, moderation and rerank")
    struct UnitSDK {
        private static func configuration(replay port: Int) -> String {
            let models = [
                ("image", "openai/gpt-image-1", "/v1"), ("tts", "openai/tts-1", "/v1"),
                ("whisper", "openai/whisper-1", "/v1"), ("moderation", "openai/omni-moderation-latest", "/v1"),
                ("rerank", "cohere/rerank-v3.5", ""), ("claude", "anthropic/claude-up", ""),
            ]
            let entries = models.map { name, model, path in
                """
                  - model_name: \(name)
                    litellm_params:
                      model: \(model)
                      api_base: http://127.0.0.1:\(port)\(path)
                      api_key: sk-upstream-secret
                      use_in_pass_through: \(name == "claude")
                """
            }
            return (["model_list:"] + entries).joined(separator: "\n") + """

                general_settings:
                  master_key: \(MartletProcess.masterKey)
                router_settings:
                  num_retries: 0

                """
        }

        @Test("are served, and every call is booked at the price of its units")
        func everyCall() throws {
            let python = try PythonEnvironment.prepared(
                "formats", requirements: ["openai==3.54.*", "anthropic==2.12.*"])
            let listener = try StreamSocket.listen()
            let port = listener.localPort
            listener.close()
            let directory = FileManager.default.temporaryDirectory.appendingPathComponent("units-\(UUID().uuidString)")
            try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
            defer { try? FileManager.default.removeItem(at: directory) }
            let replay = try python.start(pythonScript("replay_units.py"), [String(port)], directory: directory)
            defer { replay.kill() }
            try waitUntil("the replay to listen", within: .seconds(30)) {
                (try? RawHTTPClient.request(port: port, "GET", "/").status) == 200
            }
            let gateway = try MartletProcess(configuration: Self.configuration(replay: port), threads: 2)
            try gateway.start()
            defer { gateway.kill() }
            let results = try python.run(
                pythonScript("sdk_units.py"),
                ["http://127.0.0.1:\(gateway.port)", try gateway.generateKey(), "--paths"])
            #expect(results.count == 11)
            for (name, result) in results.sorted(by: { $0.key < $1.key }) {
                #expect(result as? String == "ok", "\(name): \(result)")
            }
            // Two images; an edit by its tokens; ten characters; 3, 20.5 and 3 seconds; a search.
            let costs = [22_000_000, 5 * 5_000 + 15 * 10_000 + 30 * 40_000, 150_000, 300_000, 2_050_000, 300_000, 0]
            var rows: [ExportedAttempt] = []
            try waitUntil("every call to be in the ledger", within: .seconds(20)) {
                rows = try gateway.exportLedger()
                return rows.count >= 10
            }
            #expect(rows.map(\.costNanos) == costs + [2_000_000, 0, 0])
            #expect(rows.filter { !$0.isMeasured }.count == 1, "only the moderation is an estimate")
            #expect(try gateway.verifyLedger().end == .exited(0))
        }
    }
}
