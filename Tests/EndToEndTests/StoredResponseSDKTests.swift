import Foundation
import TestSupport
import Testing

extension EndToEnd {
    @Suite("The official SDKs for stored responses and embeddings")
    struct StoredResponseSDK {
        private static func configuration(replay port: Int) -> String {
            let models = [
                ("gpt", "openai/gpt-up", "/v1"), ("claude", "anthropic/claude-up", ""),
                ("gemini-embedding-001", "gemini/gemini-up", ""), ("cohere", "cohere/embed-up", ""),
                ("vertex", "vertex_ai/text-embedding-005", ""),
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
                """
            }
            return (["model_list:"] + entries).joined(separator: "\n") + """

                general_settings:
                  master_key: \(MartletProcess.masterKey)
                router_settings:
                  num_retries: 0

                """
        }

        /// Starts the replay, and `count` gateways before it.
        private func withGateways(
            _ count: Int, environment: [String: String],
            _ body: (_ python: PythonEnvironment, _ gateways: [MartletProcess]) throws -> Void
        ) throws {
            let python = try PythonEnvironment.prepared(
                "stored", requirements: ["openai==3.54.*", "google-genai==3.4.*", "cohere==7.3.*"])
            let listener = try StreamSocket.listen()
            let port = listener.localPort
            listener.close()
            let directory = FileManager.default.temporaryDirectory.appendingPathComponent(
                "stored-\(UUID().uuidString)")
            try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
            defer { try? FileManager.default.removeItem(at: directory) }
            let replay = try python.start(pythonScript("replay_stored.py"), [String(port)], directory: directory)
            defer { replay.kill() }
            try waitUntil("the replay to listen", within: .seconds(30)) {
                (try? RawHTTPClient.request(port: port, "GET", "/").status) == 200
            }
            let gateways = try (0..<count).map { _ in
                try MartletProcess(
                    configuration: Self.configuration(replay: port), environment: environment, threads: 2)
            }
            defer { for gateway in gateways { gateway.kill() } }
            for gateway in gateways { try gateway.start() }
            try body(python, gateways)
        }

        private func expectServed(_ python: PythonEnvironment, _ gateways: [MartletProcess]) throws {
            let keys = try [gateways[0].generateKey(), gateways[0].generateKey()]
            let results = try python.run(
                pythonScript("sdk_stored.py"), keys + gateways.map { "http://127.0.0.1:\($0.port)" })
            #expect(results.count == 6)
            for (name, result) in results.sorted(by: { $0.key < $1.key }) {
                #expect(result as? String == "ok", "\(name): \(result)")
            }
            var rows: [ExportedAttempt] = []
            try waitUntil("every call to be in the ledger", within: .seconds(20)) {
                rows = try gateways[0].exportLedger().filter { $0.status == 200 }
                return rows.count >= 14
            }
            // Six responses, eight lists of embeddings; what only asks for responses leaves no row.
            #expect(rows.count == 14 && rows.allSatisfy { $0.isMeasured && $0.promptTokens == 20 }, "\(rows)")
            #expect(try gateways[0].verifyLedger().end == .exited(0))
        }

        @Test("are served by one gateway, whose responses outlive it")
        func alone() throws {
            try self.withGateways(1, environment: ["LITELLM_SALT_KEY": "a salt for the store"]) { python, gateways in
                try self.expectServed(python, gateways)
                let gateway = gateways[0]
                let key = try gateway.generateKey()
                let headers = ["Authorization: Bearer \(key)"]
                let made = try RawHTTPClient.request(
                    port: gateway.port, "POST", "/v1/responses", headers: headers,
                    body: "{\"model\":\"claude\",\"input\":\"remember the marmalade\"}")
                let id = try #require(made.json?["id"] as? String)
                // What was answered is stored, though nothing was shut down in order.
                gateway.kill()
                let isReadable = Self.holds(gateway.dataDirectory, "marmalade")
                #expect(!isReadable, "prompts are sealed at rest")
                try gateway.start()
                let again = try RawHTTPClient.request(
                    port: gateway.port, "GET", "/v1/responses/\(id)", headers: headers)
                #expect(again.status == 200 && again.text.contains("remember the marmalade"), "\(again.text)")
            }
        }

        @Test("are served by two gateways on one PostgreSQL, whichever is asked")
        func fleet() throws {
            let server = try PostgresServer()
            let url = server.url(try server.createDatabase())
            try self.withGateways(2, environment: ["DATABASE_URL": url]) { python, gateways in
                try self.expectServed(python, gateways)
            }
        }

        /// Whether a file in the directory holds the text.
        private static func holds(_ directory: URL, _ text: String) -> Bool {
            guard let files = FileManager.default.enumerator(at: directory, includingPropertiesForKeys: nil) else {
                return false
            }
            return files.contains { file in
                guard let file = file as? URL, let data = try? Data(contentsOf: file) else { return false }
                return data.range(of: Data(text.utf8)) != nil
            }
        }
    }
}
