import Foundation
import TestSupport
import Testing

extension EndToEnd {
    @Suite("Under pressure")
    struct Pressure {
        private static let mebibyte = 1 << 20

        private func sendChat(_ scene: Scene, _ client: RawHTTPClient, model: String, isStream: Bool) throws {
            let body = MartletProcess.chatBody(model: model, user: "u", isStream: isStream)
            let headers = ["Authorization: Bearer \(scene.key)"]
            try client.send(RawHTTPClient.bytes("POST", "/v1/chat/completions", headers: headers, body: body))
        }

        @Test("a reader that stops holds up its upstream instead of filling memory, and gets all of 100 MB later")
        func slowReader() throws {
            let scene = try Scene(["plain": .answer(), "huge": .stream(events: 1600, eventBytes: 65_536)])
            defer { scene.end() }
            try scene.expectStillServes()
            let before = try #require(scene.gateway.process.residentBytes)
            let client = try RawHTTPClient(port: scene.gateway.port, receiveBufferBytes: 65_536)
            try self.sendChat(scene, client, model: "huge", isStream: true)
            let deadline = Deadline(within: .seconds(120))
            #expect(try client.head(before: deadline).status == 200)
            try self.waitUntilStalled(scene)
            let sent = try #require(scene.upstream.calls.last).eventsSent
            #expect(sent < 800, "half of the answer was taken in for a caller that does not read")
            let growth = (scene.gateway.process.residentBytes ?? .max) - before
            #expect(growth < 32 * Self.mebibyte * Deadline.slowness, "grew by \(growth / Self.mebibyte) MiB")
            try scene.expectStillServes()

            var bytes = 0
            var tail: [UInt8] = []
            while let chunk = try client.chunk(before: deadline) {
                bytes += chunk.count
                tail = (tail + chunk).suffix(200)
            }
            #expect(bytes > 1600 * 65_536)
            #expect(String(decoding: tail, as: UTF8.self).hasSuffix("data: [DONE]\n\n"))
            let peak = (scene.gateway.process.residentBytesPeak ?? .max) - before
            #expect(peak < 32 * Self.mebibyte * Deadline.slowness, "peak of \(peak / Self.mebibyte) MiB")
            try scene.expectLedgerAgrees()
        }

        /// The upstream's count of events has stopped moving.
        private func waitUntilStalled(_ scene: Scene) throws {
            var last = -1
            var since = Deadline.now
            try waitUntil("the upstream to be held up", within: .seconds(60)) {
                let sent = scene.upstream.calls.last?.eventsSent ?? 0
                if sent != last { (last, since) = (sent, Deadline.now) }
                return sent > 0 && Deadline.now - since > 1_000_000_000
            }
        }

        @Test("an answer too large to hold is relayed, not stored")
        func largeAnswer() throws {
            let scene = try Scene(["plain": .answer(), "large": .answer(framing: .chunked, padBytes: 50 << 20)])
            defer { scene.end() }
            try scene.expectStillServes()
            let before = try #require(scene.gateway.process.residentBytes)
            let response = try scene.gateway.chat(model: "large", key: scene.key, within: .seconds(60))
            #expect(response.status == 200)
            #expect(response.body.count > 50 << 20)
            #expect(response.end == .complete)
            let peak = (scene.gateway.process.residentBytesPeak ?? .max) - before
            #expect(peak < 40 * Self.mebibyte * Deadline.slowness, "peak of \(peak / Self.mebibyte) MiB")
            try scene.expectLedgerAgrees()
        }

        @Test("a caller that never reads is cut after its time")
        func neverReads() throws {
            let scene = try Scene(["huge": .stream(events: 1600, eventBytes: 65_536)]) {
                $0.martlet = ["write_timeout_seconds: 1"]
            }
            defer { scene.end() }
            let client = try RawHTTPClient(port: scene.gateway.port, receiveBufferBytes: 65_536)
            try self.sendChat(scene, client, model: "huge", isStream: true)
            try waitUntil("the upstream to be let go") { scene.upstream.calls.first?.state == .abandoned }
            let rows = try scene.rows(1)
            #expect(rows.allSatisfy { $0.isEstimated && $0.completionTokens > 0 })
        }

        @Test("10,000 idle connections cost little and disturb nobody")
        func idleConnections() throws {
            var limit = rlimit()
            getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
            limit.rlim_cur = limit.rlim_max
            setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
            let count = min(10_000, Int(clamping: limit.rlim_max) - 500)
            if count < 10_000 {
                withKnownIssue("the system allows \(limit.rlim_max) open files: only \(count) connections are tried") {
                    Issue.record("fewer than 10,000 connections")
                }
            }
            // All are opened before the first one is used, which may take longer than an unused one may stay.
            let scene = try Scene(["plain": .answer()]) { $0.martlet = ["head_timeout_seconds: 600"] }
            defer { scene.end() }
            try scene.expectStillServes()
            let before = try #require(scene.gateway.process.residentBytes)
            var clients: [RawHTTPClient] = []
            for _ in 0..<count { clients.append(try RawHTTPClient(port: scene.gateway.port)) }
            defer { for client in clients { client.close() } }
            // Each is a connection that has been used, not only accepted.
            let request = RawHTTPClient.bytes("GET", "/livez")
            var answered = 0
            for client in clients {
                try client.send(request)
                if try client.response().status == 200 { answered += 1 }
            }
            #expect(answered == count)
            for _ in 0..<20 { try scene.expectStillServes() }
            let each = ((scene.gateway.process.residentBytes ?? .max) - before) / count
            #expect(each < 16_384 * Deadline.slowness, "\(each) bytes for each idle connection")
            // Each still works.
            try clients[count - 1].send(request)
            #expect(try clients[count - 1].response().status == 200)
        }

        @Test("1,000 concurrent streams lose no event")
        func concurrentStreams() throws {
            let scene = try Scene(["held": .heldStream(events: 12, beforeGate: 4)])
            defer { scene.end() }
            var clients: [RawHTTPClient] = []
            for _ in 0..<1000 {
                let client = try RawHTTPClient(port: scene.gateway.port)
                try self.sendChat(scene, client, model: "held", isStream: true)
                clients.append(client)
            }
            try waitUntil("1,000 streams at once", within: .seconds(60)) {
                scene.upstream.calls.count { $0.eventsSent == 4 } == 1000
            }
            scene.upstream.openGate()
            for client in clients {
                let response = try client.response(within: .seconds(60))
                #expect(response.end == .complete)
                #expect(response.events.count == 14)
                #expect(response.events.last == "[DONE]")
                client.close()
            }
            try scene.expectLedgerAgrees()
        }

        @Test("many callers at once are counted exactly, and memory returns")
        func load() throws {
            let scene = try Scene(["plain": .answer(), "stream": .stream(events: 10)])
            defer { scene.end() }
            let good = concurrently(16) { caller in
                guard let client = try? RawHTTPClient(port: scene.gateway.port) else { return 0 }
                return (0..<150).count { index in
                    let isStream = (index + caller) % 3 == 0
                    try? self.sendChat(scene, client, model: isStream ? "stream" : "plain", isStream: isStream)
                    guard let response = try? client.response() else { return false }
                    return response.status == 200 && (!isStream || response.events.last == "[DONE]")
                }
            }
            #expect(good == Array(repeating: 150, count: 16))
            try scene.expectLedgerAgrees()
            let mebibytes = (scene.gateway.process.residentBytes ?? .max) / Self.mebibyte
            #expect(mebibytes <= 120 * Deadline.slowness, "\(mebibytes) MiB after load")
        }
    }
}
