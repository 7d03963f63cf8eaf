import Foundation
import TestSupport
import Testing

/// The upstream is the judge of the other tests, so it is judged first.
@Suite("The scripted upstream")
struct ScriptedUpstreamTests {
    private func post(
        _ upstream: ScriptedUpstream, model: String, isStream: Bool = false, extra: String = "",
        path: String = "/v1/chat/completions"
    ) throws -> RawHTTPResponse {
        try RawHTTPClient.request(
            port: upstream.port, "POST", path,
            body: MartletProcess.chatBody(model: model, user: "u", isStream: isStream, extra: extra))
    }

    @Test(
        "tells the length of its answers in each way",
        arguments: [UpstreamScript.Framing.contentLength, .chunked, .untilClose])
    func framing(framing: UpstreamScript.Framing) throws {
        let upstream = try ScriptedUpstream(["m": .answer(framing: framing, padBytes: 100_000)])
        defer { upstream.stop() }
        let response = try self.post(upstream, model: "m")
        let usage = try #require(response.json?["usage"] as? [String: Any])
        #expect(usage["prompt_tokens"] as? Int == 1000)
        #expect(response.end == (framing == .untilClose ? .closed : .complete))
        #expect(upstream.calls.first?.reportedUsage == UpstreamUsage(promptTokens: 1000, completionTokens: 11))
        try waitUntil("the call to count as answered") { upstream.calls(of: "u").first?.state == .answered }
    }

    @Test("streams events, and usage only when it is asked for")
    func streams() throws {
        let upstream = try ScriptedUpstream(["m": .stream(events: 3)])
        defer { upstream.stop() }
        let quiet = try self.post(upstream, model: "m", isStream: true)
        #expect(quiet.events.count == 5)
        #expect(quiet.events.last == "[DONE]")
        #expect(upstream.calls[0].reportedUsage == nil)
        let told = try self.post(
            upstream, model: "m", isStream: true, extra: ",\"stream_options\":{\"include_usage\":true}")
        #expect(told.events.count == 6)
        #expect(upstream.calls[1].reportedUsage == UpstreamUsage(promptTokens: 1001, completionTokens: 3))
    }

    @Test("cuts what its script cuts")
    func cuts() throws {
        let upstream = try ScriptedUpstream([
            "stream": .cutStream(afterEvents: 2), "body": .cutInBody, "head": .cutInHead, "none": .closesWithoutAnswer,
        ])
        defer { upstream.stop() }
        let stream = try self.post(upstream, model: "stream", isStream: true)
        #expect(stream.end == .cut)
        #expect(stream.events.count == 2)
        #expect(try self.post(upstream, model: "body").end == .cut)
        #expect(throws: RawHTTPClient.ConnectionEnded.self) { try self.post(upstream, model: "head") }
        #expect(throws: RawHTTPClient.ConnectionEnded.self) { try self.post(upstream, model: "none") }
        #expect(upstream.calls.count == 4)
    }

    @Test("counts a caller that leaves in the middle as abandoned")
    func abandoned() throws {
        let upstream = try ScriptedUpstream(["m": .heldStream(events: 4, beforeGate: 2)])
        defer { upstream.stop() }
        let client = try RawHTTPClient(port: upstream.port)
        let body = MartletProcess.chatBody(model: "m", user: "u", isStream: true)
        try client.send(RawHTTPClient.bytes("POST", "/v1/chat/completions", body: body))
        try waitUntil("two events") { upstream.calls.first?.eventsSent == 2 }
        client.close()
        try waitUntil("the upstream to notice") { upstream.calls[0].state == .abandoned }
    }

    @Test("keeps connections open, and closes a reused one where its script says so")
    func keepAlive() throws {
        let upstream = try ScriptedUpstream(["m": .answer(), "stale": .closesWhenReused])
        defer { upstream.stop() }
        let client = try RawHTTPClient(port: upstream.port)
        for model in ["m", "m", "stale"] {
            let body = MartletProcess.chatBody(model: model, user: "u")
            try client.send(RawHTTPClient.bytes("POST", "/v1/chat/completions", body: body))
            #expect(try client.response().status == 200)
        }
        #expect(upstream.connectionsAccepted == 1)
        try client.send(RawHTTPClient.bytes("POST", "/v1/chat/completions", body: "{}"))
        #expect(client.isClosed(within: .seconds(5)))
        #expect(upstream.calls.count == 3)
    }

    @Test("answers embeddings as floats and in base64")
    func embeddings() throws {
        let upstream = try ScriptedUpstream(["m": .answer()])
        defer { upstream.stop() }
        func embedding(_ extra: String) throws -> Any? {
            let response = try self.post(
                upstream, model: "m", extra: ",\"input\":[\"a\"]\(extra)", path: "/v1/embeddings")
            return (response.json?["data"] as? [[String: Any]])?.first?["embedding"]
        }
        #expect(try embedding("") as? [Double] == [0.25, -0.5])
        #expect(try embedding(",\"encoding_format\":\"base64\"") as? String == "AACAPgAAAL8=")
    }
}
