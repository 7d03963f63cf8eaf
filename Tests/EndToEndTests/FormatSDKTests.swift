import Foundation
import TestSupport
import Testing

extension EndToEnd {
    @Suite("The official SDKs")
    struct FormatSDK {
        private static func freePort() throws -> Int {
            let listener = try StreamSocket.listen()
            defer { listener.close() }
            return listener.localPort
        }

        private static func configuration(replay port: Int) -> String {
            let models = [
                ("gpt", "openai/gpt-up", "/v1"), ("claude", "anthropic/claude-up", ""),
                ("gemini", "gemini/gemini-up", ""), ("bedrock", "bedrock/bedrock-up", ""),
                ("cohere", "cohere_chat/cohere-up", ""), ("ollama", "ollama_chat/ollama-up", ""),
                ("limited-gpt", "openai/limited", "/v1"),
                ("limited-claude", "anthropic/limited", ""),
            ]
            let entries = models.map { name, model, path in
                """
                  - model_name: \(name)
                    litellm_params:
                      model: \(model)
                      api_base: http://127.0.0.1:\(port)\(path)
                      api_key: sk-upstream-secret
                      input_cost_per_token: 0.000001
                      output_cost_per_token: 0.000002
                      cache_read_input_token_cost: 0.0000001
                """
            }
            return (["model_list:"] + entries).joined(separator: "\n") + """

                general_settings:
                  master_key: \(MartletProcess.masterKey)
                router_settings:
                  num_retries: 0

                """
        }

        /// Two majors of each, whose paths, headers and readers differ.
        @Test(
            "are served by providers of either format and a third, and every call is booked as reported",
            arguments: [
                ("formats", ["openai==3.54.*", "anthropic==2.12.*"]),
                ("formats-before", ["openai==2.54.*", "anthropic==0.125.*"]),
            ])
        func everyPair(environment: String, packages: [String]) throws {
            let python = try PythonEnvironment.prepared(environment, requirements: packages)
            try self.drive(python, "sdk_formats.py", checks: 62, refused: 2)
        }

        @Test("of Google, AWS, Azure, Cohere and Ollama are served by providers of other formats")
        func otherMakers() throws {
            let python = try PythonEnvironment.prepared(
                "other-makers",
                requirements: [
                    "google-genai==3.4.*", "boto3==1.44.*", "openai==3.54.*", "anthropic[bedrock]==2.12.*",
                    "cohere==7.3.*", "ollama==0.6.*",
                ])
            try self.drive(python, "sdk_others.py", checks: 128, refused: 0)
        }

        /// - Parameter refused: calls that the replay answers with 429.
        private func drive(_ python: PythonEnvironment, _ script: String, checks count: Int, refused: Int) throws {
            let port = try Self.freePort()
            let directory = FileManager.default.temporaryDirectory.appendingPathComponent(
                "formats-\(UUID().uuidString)")
            try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
            defer { try? FileManager.default.removeItem(at: directory) }
            let replay = try python.start(pythonScript("replay_formats.py"), [String(port)], directory: directory)
            defer { replay.kill() }
            try waitUntil("the replay to listen", within: .seconds(30)) {
                (try? RawHTTPClient.request(port: port, "GET", "/").status) == 200
            }
            let gateway = try MartletProcess(configuration: Self.configuration(replay: port), threads: 2)
            try gateway.start()
            defer { gateway.kill() }
            let report = try python.run(
                pythonScript(script),
                ["http://127.0.0.1:\(gateway.port)", try gateway.generateKey(), "http://127.0.0.1:\(port)"])
            let checks = try #require(report["checks"] as? [String: String])
            #expect(checks.count == count)
            for (name, result) in checks.sorted(by: { $0.key < $1.key }) {
                #expect(result == "ok", "\(name): \(result)")
            }
            try self.expectRows(gateway, calls: try #require(report["calls"] as? Int), refused: refused)
        }

        private func expectRows(_ gateway: MartletProcess, calls: Int, refused count: Int) throws {
            var rows: [ExportedAttempt] = []
            try waitUntil("every call to be in the ledger", within: .seconds(20)) {
                rows = try gateway.exportLedger().filter { $0.status == 200 }
                return rows.count >= calls
            }
            #expect(rows.count == calls)
            for row in rows {
                #expect(row.isMeasured && row.promptTokens == 30 && row.completionTokens == 5, "\(row)")
                #expect(row.cachedTokens == (row.provider == "anthropic" ? 10 : 0), "\(row)")
                let input = (row.promptTokens - row.cachedTokens) * 1000 + row.cachedTokens * 100
                #expect(row.costNanos == input + 5 * 2000, "\(row)")
            }
            let refused = try gateway.exportLedger().filter { $0.status != 200 }
            #expect(refused.count == count && refused.allSatisfy { $0.status == 429 && $0.costNanos == 0 })
            #expect(try gateway.verifyLedger().end == .exited(0))
        }
    }
}
