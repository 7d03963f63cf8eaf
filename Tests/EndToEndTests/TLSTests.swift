import Foundation
import TestSupport
import Testing

extension EndToEnd {
    @Suite("TLS")
    struct TLS {
        /// A certificate for 127.0.0.1, its own authority, in `directory`.
        private func makeCertificate(in directory: URL) throws -> (certificate: URL, key: URL) {
            try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
            let certificate = directory.appendingPathComponent("certificate.pem")
            let key = directory.appendingPathComponent("key.pem")
            let result = try ChildProcess.run(
                [
                    "/usr/bin/env", "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:prime256v1",
                ]
                    + ["-nodes", "-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
                    + ["-keyout", key.path, "-out", certificate.path],
                environment: ProcessInfo.processInfo.environment, directory: directory, within: .seconds(30))
            try #require(result.end == .exited(0), "\(result.errorOutput)")
            return (certificate, key)
        }

        private func temporaryDirectory() -> URL {
            FileManager.default.temporaryDirectory.appendingPathComponent("martlet-tls-\(UUID().uuidString)")
        }

        @Test("is spoken to callers when a certificate and a key are configured")
        func serves() throws {
            let directory = self.temporaryDirectory()
            defer { try? FileManager.default.removeItem(at: directory) }
            let files = try self.makeCertificate(in: directory)
            let upstream = try ScriptedUpstream(["plain": .answer(), "stream": .stream(events: 5)])
            defer { upstream.stop() }
            var configuration = MartletProcessConfiguration(upstream)
            configuration.martlet = [
                "tls_certificate_file: \(files.certificate.path)", "tls_key_file: \(files.key.path)",
            ]
            let gateway = try MartletProcess(configuration: configuration.yaml)
            try gateway.launch()
            func curl(_ path: String, _ arguments: [String]) throws -> (end: ChildProcess.End, output: String) {
                let result = try ChildProcess.run(
                    ["/usr/bin/env", "curl", "-sS", "--cacert", files.certificate.path, "-m", "20"] + arguments
                        + ["https://127.0.0.1:\(gateway.port)\(path)"],
                    environment: gateway.environment, directory: directory, within: .seconds(30))
                return (result.end, result.output)
            }
            try waitUntil("TLS to be answered") {
                try #require(gateway.process.ended == nil, "\(gateway.printed)")
                return try curl("/readyz", ["-f"]).end == .exited(0)
            }
            let bearer = ["-H", "Authorization: Bearer \(MartletProcess.masterKey)"]
            let body = MartletProcess.chatBody(model: "plain", user: "u")
            let answer = try curl("/v1/chat/completions", bearer + ["-d", body])
            #expect(answer.output.contains("Hello from upstream"), "\(answer)")
            let streamed = MartletProcess.chatBody(model: "stream", user: "u", isStream: true)
            let stream = try curl("/v1/chat/completions", bearer + ["-N", "-d", streamed])
            #expect(stream.output.hasSuffix("data: [DONE]\n\n"), "\(stream)")
            // A caller that does not speak TLS gets nothing, and harms nobody.
            let plain = try RawHTTPClient(port: gateway.port)
            try plain.send(RawHTTPClient.bytes("GET", "/livez"))
            #expect((try? plain.response(within: .seconds(5)).status) != 200)
            #expect(try curl("/livez", ["-f"]).end == .exited(0))
            gateway.kill()
        }

        @Test("to an upstream is verified: its own authority is accepted when configured, and refused when not")
        func upstreamIsVerified() throws {
            let directory = self.temporaryDirectory()
            defer { try? FileManager.default.removeItem(at: directory) }
            let files = try self.makeCertificate(in: directory)
            let upstream = try ScriptedUpstream(["plain": .answer()])
            defer { upstream.stop() }
            let listener = try StreamSocket.listen()
            let port = listener.localPort
            listener.close()
            let front = try ChildProcess(
                name: "front",
                arguments: [
                    "/usr/bin/env", "python3", "-u", pythonScript("tls_front.py").path, files.certificate.path,
                    files.key.path, String(port), String(upstream.port),
                ],
                environment: ProcessInfo.processInfo.environment, directory: directory)
            defer { front.kill() }
            try waitUntil("the front to listen") { front.output.contains("listening") }
            for isTrusted in [true, false] {
                var text = MartletProcessConfiguration(upstream).yaml
                    .replacingOccurrences(of: "http://127.0.0.1:\(upstream.port)", with: "https://127.0.0.1:\(port)")
                if isTrusted {
                    text = text.replacingOccurrences(
                        of: "      api_key:", with: "      ssl_verify: \(files.certificate.path)\n      api_key:")
                }
                let gateway = try MartletProcess(configuration: text)
                try gateway.start()
                let response = try gateway.chat(model: "plain", key: MartletProcess.masterKey)
                #expect(
                    response.status == (isTrusted ? 200 : 502) || !isTrusted && response.status == 503,
                    "\(response.text)")
                gateway.kill()
            }
            #expect(upstream.calls.count == 1)
        }
    }
}
