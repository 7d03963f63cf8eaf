import Foundation
import TestSupport
import Testing

extension EndToEnd {
    @Suite("A caller's connection")
    struct CallerConnection {
        private func call(_ scene: Scene, _ model: String, user: String = "u", headers: [String] = []) -> [UInt8] {
            RawHTTPClient.bytes(
                "POST", "/v1/chat/completions", headers: ["Authorization: Bearer \(scene.key)"] + headers,
                body: MartletProcess.chatBody(model: model, user: user))
        }

        @Test("answers pipelined requests in their order")
        func pipelining() throws {
            let scene = try Scene(["slow": .slowAnswer(milliseconds: 80), "plain": .answer(), "failing": .status(500)])
            defer { scene.end() }
            let client = try RawHTTPClient(port: scene.gateway.port)
            let models = ["slow", "plain", "failing", "plain", "slow"]
            try client.send(
                models.flatMap { self.call(scene, $0) } + RawHTTPClient.bytes("GET", "/livez")
                    + self.call(scene, "plain"))
            for model in models {
                let response = try client.response()
                #expect(response.status == (model == "failing" ? 500 : 200))
                if model != "failing" { #expect(response.json?["model"] as? String == model) }
            }
            #expect(try client.response().status == 200)
            #expect(try client.response().json?["model"] as? String == "plain")
            try scene.expectLedgerAgrees()
        }

        @Test("answers what came before a hostile request and then closes")
        func hostileSecond() throws {
            let scene = try Scene(["slow": .slowAnswer(milliseconds: 80), "plain": .answer()])
            defer { scene.end() }
            let client = try RawHTTPClient(port: scene.gateway.port)
            let hostile =
                "POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"
            try client.send(self.call(scene, "slow") + Array(hostile.utf8) + self.call(scene, "plain"))
            #expect(try client.response().json?["model"] as? String == "slow")
            let refused = try client.response()
            #expect(refused.status == 400)
            #expect(refused.openAIError != nil)
            #expect(client.isClosed(within: .seconds(10)))
            #expect(scene.upstream.calls.map(\.model) == ["slow"])
        }

        @Test("takes requests byte by byte and chunk by chunk")
        func fragments() throws {
            let scene = try Scene(["plain": .answer()])
            defer { scene.end() }
            let client = try RawHTTPClient(port: scene.gateway.port)
            for byte in self.call(scene, "plain") { try client.send([byte]) }
            #expect(try client.response().status == 200)
            let body = MartletProcess.chatBody(model: "plain", user: "chunks")
            let chunks = body.utf8.map { "1;ext=\"a\"\r\n\(Character(UnicodeScalar($0)))\r\n" }.joined()
            try client.send(
                "POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer \(scene.key)\r\n"
                    + "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n\(chunks)0\r\nX-T: a\r\n\r\n"
            )
            #expect(try client.response().status == 200)
            #expect(scene.upstream.calls.last.map { String(decoding: $0.body, as: UTF8.self) } == body)
        }

        @Test("is told to go on when it expects 100-continue, and refused before it sends what will not be read")
        func expectContinue() throws {
            let scene = try Scene(["plain": .answer()]) { $0.martlet = ["request_body_bytes_max: 100000"] }
            defer { scene.end() }
            let client = try RawHTTPClient(port: scene.gateway.port)
            let body = MartletProcess.chatBody(model: "plain", user: "u")
            func head(_ length: Int, _ key: String) -> String {
                "POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer \(key)\r\n"
                    + "Content-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: \(length)\r\n\r\n"
            }
            try client.send(head(body.utf8.count, scene.key))
            #expect(try client.head(before: Deadline(within: .seconds(10))).status == 100)
            try client.send(body)
            #expect(try client.response().status == 200)
            try client.send(head(200_000, scene.key))
            #expect(try client.head(before: Deadline(within: .seconds(10))).status == 413)
        }

        @Test("is closed when a head or a body comes too slowly, others are served meanwhile")
        func slowloris() throws {
            let scene = try Scene(["plain": .answer()]) {
                $0.martlet = ["head_timeout_seconds: 1", "body_timeout_seconds: 1", "body_bytes_per_second_min: 1000"]
            }
            defer { scene.end() }
            let starts = [
                "GET /v1/mod", "POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nX-A",
                "POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer \(scene.key)\r\n"
                    + "Content-Length: 1000\r\n\r\n{\"model\":",
                "POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer \(scene.key)\r\n"
                    + "Transfer-Encoding: chunked\r\n\r\n5\r\nab",
            ]
            let begin = Deadline.now
            let closed = concurrently(starts.count) { index in
                guard let client = try? RawHTTPClient(port: scene.gateway.port) else { return false }
                try? client.send(starts[index])
                let deadline = Deadline(within: .seconds(30))
                // A drop every 100 ms keeps an idle timer quiet, but not a bound on the whole.
                while !deadline.hasPassed {
                    if client.socket.peerLeaves(within: .milliseconds(100)) { return true }
                    try? client.send("x")
                }
                return false
            }
            #expect(closed.allSatisfy { $0 }, "\(closed)")
            #expect(Deadline.now - begin <= 31_000_000_000)
            try scene.expectStillServes()
            #expect(scene.upstream.calls.count == 1)
        }

        @Test("serves a slow writer whose body makes progress")
        func slowWriter() throws {
            let scene = try Scene(["plain": .answer()]) {
                $0.martlet = ["body_timeout_seconds: 1", "body_bytes_per_second_min: 1000"]
            }
            defer { scene.end() }
            let client = try RawHTTPClient(port: scene.gateway.port)
            let filler = String(repeating: "a", count: 200_000)
            let bytes = RawHTTPClient.bytes(
                "POST", "/v1/chat/completions", headers: ["Authorization: Bearer \(scene.key)"],
                body: MartletProcess.chatBody(model: "plain", user: "u", extra: ",\"filler\":\"\(filler)\""))
            for start in stride(from: 0, to: bytes.count, by: 10_000) {
                try client.send(bytes[start..<min(start + 10_000, bytes.count)])
                _ = client.socket.peerLeaves(within: .milliseconds(100))
            }
            #expect(try client.response().status == 200)
            #expect(scene.upstream.calls.first?.body.count ?? 0 > 200_000)
        }

        @Test("takes its upstream call with it when it goes")
        func disconnect() throws {
            let scene = try Scene(["held": .heldStream(events: 9, beforeGate: 2), "waiting": .heldAnswer])
            defer { scene.end() }
            let waiting = try RawHTTPClient(port: scene.gateway.port)
            try waiting.send(self.call(scene, "waiting"))
            let streaming = try RawHTTPClient(port: scene.gateway.port)
            let body = MartletProcess.chatBody(model: "held", user: "u", isStream: true)
            let headers = ["Authorization: Bearer \(scene.key)"]
            try streaming.send(RawHTTPClient.bytes("POST", "/v1/chat/completions", headers: headers, body: body))
            try waitUntil("both calls upstream") {
                scene.upstream.calls.count == 2 && scene.upstream.calls.contains { $0.eventsSent == 2 }
            }
            waiting.socket.reset()
            streaming.close()
            try waitUntil("the upstream to see both go", within: .seconds(10)) {
                scene.upstream.calls.allSatisfy { $0.state == .abandoned }
            }
            let rows = try scene.rows(2)
            #expect(rows.allSatisfy { $0.isEstimated && $0.promptTokens > 0 && $0.costNanos > 0 })
            try scene.expectSoundLedger()
        }

        @Test("serves HTTP/1.0, HEAD, and each path with and without /v1")
        func variants() throws {
            let scene = try Scene(["plain": .answer()])
            defer { scene.end() }
            let body = MartletProcess.chatBody(model: "plain", user: "u", extra: ",\"prompt\":\"a\",\"input\":\"a\"")
            for path in [
                "/v1/chat/completions", "/chat/completions", "/v1/completions", "/completions", "/v1/embeddings",
                "/embeddings", "/openai/deployments/plain/chat/completions?api-version=2024-10-21",
                "/openai/deployments/plain/completions", "/openai/deployments/plain/embeddings",
            ] {
                let response = try scene.gateway.request("POST", path, key: scene.key, body: body)
                #expect(response.status == 200, "\(path): \(response.text)")
            }
            for path in ["/v1/models", "/models", "/v1/models/plain", "/models/plain"] {
                #expect(try scene.gateway.request("GET", path, key: scene.key).status == 200, "\(path)")
            }
            for path in [
                "/health/liveliness", "/health/liveness", "/health/readiness", "/livez", "/readyz", "/metrics",
            ] {
                #expect(try scene.gateway.request("GET", path, key: nil).status == 200, "\(path)")
                let head = try scene.gateway.request("HEAD", path, key: nil)
                #expect(head.status == 200 && head.body.isEmpty, "HEAD \(path)")
            }
            #expect(try scene.gateway.request("GET", "/nowhere", key: scene.key).status == 404)
            let old = try RawHTTPClient(port: scene.gateway.port)
            try old.send("GET /livez HTTP/1.0\r\n\r\n")
            #expect(try old.response().status == 200)
            #expect(old.isClosed(within: .seconds(5)))
        }
    }
}
