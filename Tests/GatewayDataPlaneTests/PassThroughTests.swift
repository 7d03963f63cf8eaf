import Foundation
import GatewayAdmission
import GatewayCore
import GatewayDataPlane
import GatewayLedger
import TestSupport
import Testing

@Suite("A call of a provider's own path", .serialized)
struct PassThroughTests {
    private static let secret = TestGateway.key
    private static let geminiPath =
        "/vertex_ai/v1/projects/p/locations/l/publishers/google/models/gemini-2.5-flash"

    /// Runs `body` against a gateway that passes requests through to `name`.
    private func withPassThrough(
        _ name: String, retriesMax: Int = 0, _ body: @escaping @Sendable (TestGateway, HandProvider) throws -> Void
    ) async throws {
        try await withGateway { setup, port in
            setup.usesCatalogue = true
            setup.retriesMax = retriesMax
            var scratch = GatewaySetup()
            scratch.add("passed", port: port, model: "*", id: "passed", provider: name)
            setup.passThrough = scratch.deployments
        } _: { gateway, provider in
            try body(gateway, provider)
        }
    }

    private static func send(
        _ gateway: TestGateway, _ method: String, _ path: String, _ body: String = "", headers: [String]? = nil
    ) throws -> RawHTTPClient {
        let client = try RawHTTPClient(port: gateway.port)
        let lines = headers ?? ["Authorization: Bearer \(Self.secret)"]
        try client.send(RawHTTPClient.bytes(method, path, headers: lines, body: body))
        return client
    }

    @Test(
        "goes there as it is, with the gateway's key in place of the caller's", arguments: ["GET", "DELETE", "PATCH"])
    func asItIs(method: String) async throws {
        try await self.withPassThrough("anthropic") { gateway, provider in
            let path = "/anthropic/v1/models/claude-x?limit=1&key=sk-other&after=\(Self.secret)&b=%20c"
            let client = try Self.send(
                gateway, method, path,
                headers: [
                    "x-api-key: \(Self.secret)", "Cookie: a=b", "X-Forwarded-For: 10.0.0.1", "anthropic-beta: b1",
                    "X-Secret: s", "openai-organization: o",
                ])
            let connection = try provider.accept()
            let request = try connection.request()
            #expect(request.head.hasPrefix("\(method) /v1/models/claude-x?limit=1&b=%20c HTTP/1.1\r\n"))
            #expect(!request.head.contains(Self.secret) && request.header("authorization") == "Bearer sk-provider")
            #expect(request.header("anthropic-version") == "2023-06-01" && request.header("anthropic-beta") == "b1")
            for name in ["cookie", "x-forwarded-for", "x-secret", "openai-organization", "x-api-key"] {
                #expect(request.header(name) == nil, "\(name)")
            }
            try connection.answer("[1, 2]", status: 203, headers: ["request-id: r1", "Set-Cookie: c=d"])
            let answer = try client.response()
            #expect(answer.status == 203 && answer.text == "[1, 2]")
            #expect(answer.header("request-id") == "r1" && answer.header("set-cookie") == nil)
            let row = try #require(try gateway.rows().first)
            #expect(row.kind == .passThrough && row.cost == .zero && row.flags == .measured)
            #expect(row.route.modelGroup == "anthropic/claude-x" && row.route.provider == "anthropic")
        }
    }

    @Test(
        "has the version of the configured address once", arguments: ["/openai/v1/files", "/openai_passthrough/files"])
    func version(path: String) async throws {
        try await self.withPassThrough("openai") { gateway, provider in
            let form = Wire.form([
                FormField("purpose", "batch"), FormField("file", file: Array("{}\n".utf8), "a.jsonl"),
            ])
            let client = try gateway.post(path, form: form)
            let connection = try provider.accept()
            let request = try connection.request()
            #expect(request.head.hasPrefix("POST /v1/files HTTP/1.1\r\n") && request.body == form)
            #expect("Content-Type: " + (request.header("content-type") ?? "") == Wire.formHeader)
            try connection.answer(#"{"id":"file-1"}"#)
            #expect(try client.response().json?["id"] as? String == "file-1")
            #expect(try gateway.rows().first?.route.modelGroup == "openai/*")
        }
    }

    @Test("streams a conversation byte for byte, and is booked by its usage")
    func stream() async throws {
        try await self.withPassThrough("mistral") { gateway, provider in
            let body = Wire.chat("mistral-large-latest", stream: true, extra: " , \"x\" : [1] ")
            let client = try Self.send(gateway, "POST", "/mistral/v1/chat/completions", body)
            let connection = try provider.accept()
            let request = try connection.request()
            #expect(request.head.hasPrefix("POST /v1/chat/completions ") && request.body == Array(body.utf8))
            try connection.startStream()
            let events = [Wire.delta("hi"), Wire.finish, Wire.usageEvent(), Wire.done]
            for event in events { try connection.chunk(event) }
            try connection.send("0\r\n\r\n")
            #expect(try client.response().text == events.joined())
            let row = try #require(try gateway.rows(1).first)
            #expect(row.usage.input == 100 && row.usage.output == 7 && row.flags == .measured && row.isStream)
            #expect(row.cost.rawValue > 0 && row.kind == .passThrough)
        }
    }

    @Test(
        "is metered in Anthropic's format at other hosts",
        arguments: [
            ("azure_ai", "/azure_ai/anthropic/v1/messages"),
            (
                "vertex_ai",
                "/vertex_ai/v1/projects/p/locations/l/publishers/anthropic/models/claude-sonnet-4-5:rawPredict"
            ),
        ])
    func anthropic(name: String, path: String) async throws {
        try await self.withPassThrough(name) { gateway, provider in
            let client = try Self.send(gateway, "POST", path, Wire.messages("claude-sonnet-4-5"))
            let connection = try provider.accept()
            let request = try connection.request()
            #expect(request.head.hasPrefix("POST \(path.dropFirst(name.utf8.count + 1)) HTTP/1.1\r\n"))
            #expect(request.body == Array(Wire.messages("claude-sonnet-4-5").utf8))
            try connection.answer(Wire.message())
            #expect(try client.response().text == Wire.message())
            let row = try #require(try gateway.rows().first)
            #expect(row.flags == .measured && row.usage.output == 7 && row.cost.rawValue > 0, "\(row.route.model)")
        }
    }

    @Test("is metered in Gemini's format, streams too")
    func gemini() async throws {
        try await self.withPassThrough("vertex_ai") { gateway, provider in
            let path =
                "/v1/projects/p/locations/l/publishers/google/models/gemini-2.5-flash:streamGenerateContent?alt=sse"
            let client = try Self.send(
                gateway, "POST", "/vertex-ai" + path, #"{"contents":[{"parts":[{"text":"hi"}]}]}"#,
                headers: ["x-goog-api-key: \(Self.secret)"])
            let connection = try provider.accept()
            #expect(try connection.request().head.hasPrefix("POST \(path) HTTP/1.1\r\n"))
            try connection.startStream()
            let event =
                #"data: {"candidates":[{"content":{"role":"model","parts":[{"text":"hi"}]},"finishReason":"STOP"}],"#
                + #""usageMetadata":{"promptTokenCount":10,"candidatesTokenCount":2,"totalTokenCount":12}}"#
                + "\r\n\r\n"
            try connection.chunk(event)
            try connection.send("0\r\n\r\n")
            #expect(try client.response().text == event)
            let row = try #require(try gateway.rows(1).first)
            #expect(row.usage.input == 10 && row.usage.output == 2 && row.flags == .measured && row.cost.rawValue > 0)
        }
    }

    @Test(
        "is metered in a stream of Gemini's that is one array, however it is cut", arguments: [1, 7, 100_000])
    func array(pieceBytes: Int) async throws {
        try await self.withPassThrough("vertex_ai") { gateway, provider in
            let client = try Self.send(
                gateway, "POST", Self.geminiPath + ":streamGenerateContent?b=1",
                #"{"contents":[{"parts":[{"text":"hi"}]}]}"#)
            let connection = try provider.accept()
            _ = try connection.request()
            let stream = "[" + Wire.candidate("one", finish: nil, output: 1) + ",\r\n" + Wire.candidate("two ]}") + "]"
            try connection.startStream(type: "application/json; charset=UTF-8")
            let bytes = Array(stream.utf8)
            for start in stride(from: 0, to: bytes.count, by: pieceBytes) {
                try connection.chunk(Array(bytes[start..<min(bytes.count, start + pieceBytes)]))
            }
            try connection.send("0\r\n\r\n")
            let answer = try client.response()
            #expect(answer.text == stream && answer.header("content-type") == "application/json; charset=UTF-8")
            let row = try #require(try gateway.rows(1).first)
            #expect(row.usage.input == 100 && row.usage.output == 7 && row.flags == .measured && row.isStream)
            #expect(row.cost.rawValue > 0 && row.outcome == .finished)
        }
    }

    @Test(
        "is charged by its bytes where it is a stream of another kind and reports nothing",
        arguments: ["application/stream+json", "application/x-ndjson", "application/vnd.amazon.eventstream"])
    func otherStreams(type: String) async throws {
        try await self.withPassThrough("cohere") { gateway, provider in
            let client = try Self.send(
                gateway, "POST", "/cohere/v1/generate", #"{"model":"command-r","message":"hi","stream":true}"#)
            let connection = try provider.accept()
            _ = try connection.request()
            try connection.startStream(type: type)
            let line = #"{"event_type":"text-generation","text":"some words"}"# + "\n"
            for _ in 0..<20 { try connection.chunk(line) }
            try connection.send("0\r\n\r\n")
            #expect(try client.response().text == String(repeating: line, count: 20))
            let row = try #require(try gateway.rows(1).first)
            #expect(row.outcome == .finished && row.flags.contains(.estimated), "\(row.flags)")
            #expect(row.usage.output > 0 && row.usage.input > 0)
        }
    }

    @Test("is charged for what has come of an array that is cut")
    func cutArray() async throws {
        try await self.withPassThrough("vertex_ai") { gateway, provider in
            let client = try Self.send(
                gateway, "POST", Self.geminiPath + ":streamGenerateContent",
                #"{"contents":[{"parts":[{"text":"hi"}]}]}"#)
            let connection = try provider.accept()
            _ = try connection.request()
            try connection.startStream(type: "application/json")
            try connection.chunk("[" + Wire.candidate("one", finish: nil, output: 5) + ",{\"cand")
            _ = try client.head(before: Deadline(within: .seconds(10)))
            connection.reset()
            let row = try #require(try gateway.rows(1).first)
            #expect(row.outcome == .upstreamCut && row.flags == [.estimated, .error])
            #expect(row.usage.input == 100 && row.usage.output == 5)
        }
    }

    @Test("is metered in answers too large to be held, whatever their format", arguments: [false, true])
    func large(isCut: Bool) async throws {
        let text = String(repeating: #"lorem \" \\ipsum "#, count: 300_000)
        for (name, path, request, answer) in [
            (
                "azure_ai", "/azure_ai/anthropic/v1/messages", Wire.messages("claude-sonnet-4-5"), Wire.message(text)
            ),
            (
                "vertex_ai", Self.geminiPath + ":generateContent", #"{"contents":[{"parts":[{"text":"hi"}]}]}"#,
                Wire.candidate(text)
            ),
            ("openai", "/openai_passthrough/v1/responses", Wire.responses("gpt-4o"), Wire.response(text)),
        ] {
            try await self.withPassThrough(name) { gateway, provider in
                let client = try Self.send(gateway, "POST", path, request)
                let connection = try provider.accept()
                _ = try connection.request()
                let bytes = Array(answer.utf8)
                try connection.send(
                    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: \(bytes.count)\r\n\r\n")
                if isCut {
                    try connection.send(bytes: Array(bytes.dropLast()))
                    connection.close()
                } else {
                    try connection.send(bytes: bytes)
                }
                let received = try client.response()
                #expect(isCut || received.body == bytes)
                let row = try #require(try gateway.rows(1).first)
                #expect(row.usage.input == 100 && row.usage.output == 7, "\(name)")
                #expect(row.cost.rawValue > 0 && row.flags.contains(.measured) && row.flags.contains(.error) == isCut)
            }
        }
    }

    @Test("is metered by the tokens that an answer reports whose format is not known")
    func unknown() async throws {
        try await self.withPassThrough("cohere") { gateway, provider in
            let client = try Self.send(
                gateway, "POST", "/cohere/v2/embed", #"{"model":"embed-v4.0","texts":["a"]}"#)
            let connection = try provider.accept()
            _ = try connection.request()
            try connection.answer(#"{"id":"e","embeddings":{},"meta":{"billed_units":{"input_tokens":4}}}"#)
            #expect(try client.response().status == 200)
            let row = try #require(try gateway.rows().first)
            #expect(row.usage.input == 4 && row.flags == .measured && row.cost.rawValue == 480)
        }
    }

    @Test("deletes without a body")
    func noBody() async throws {
        try await self.withPassThrough("openai") { gateway, provider in
            let client = try Self.send(gateway, "DELETE", "/openai/v1/files/file-1")
            let connection = try provider.accept()
            #expect(try connection.request().head.hasPrefix("DELETE /v1/files/file-1 "))
            try connection.send("HTTP/1.1 204 No Content\r\n\r\n")
            #expect(try client.response().status == 204)
            #expect(try gateway.rows().first?.outcome == .finished)
        }
    }

    @Test("gets the provider's errors as they are, and is never sent twice")
    func errors() async throws {
        try await self.withPassThrough("openai", retriesMax: 3) { gateway, provider in
            let client = try Self.send(gateway, "POST", "/openai/v1/batches", "{}")
            let connection = try provider.accept()
            _ = try connection.request()
            try connection.send(
                "HTTP/1.1 503 Busy\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>")
            let answer = try client.response()
            #expect(answer.status == 503 && answer.text == "<html>" && answer.header("content-type") == "text/html")
            let row = try #require(try gateway.rows().first)
            #expect(row.outcome == .upstreamRefused && row.cost == .zero && gateway.settled == 1)
        }
    }

    @Test("is not told that the gateway's own key was refused in the provider's words")
    func credentials() async throws {
        try await self.withPassThrough("openai") { gateway, provider in
            let client = try Self.send(gateway, "GET", "/openai/v1/models")
            let connection = try provider.accept()
            _ = try connection.request()
            try connection.answer(Wire.error("bad key sk-provider"), status: 401)
            let answer = try client.response()
            #expect(answer.status == 401 && !answer.text.contains("sk-provider"))
        }
    }

    @Test("that is cut in the middle is one to the caller, and booked by what came")
    func cut() async throws {
        try await self.withPassThrough("openai") { gateway, provider in
            let client = try Self.send(gateway, "GET", "/openai/v1/files/f/content")
            let connection = try provider.accept()
            _ = try connection.request()
            try connection.send(
                "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: 100\r\n\r\nabc")
            let deadline = Deadline(within: .seconds(10))
            let head = try client.head(before: deadline)
            #expect(head.status == 200 && head.header("content-length") == "100")
            connection.close()
            #expect(throws: (any Error).self) { try client.body(count: 100, before: deadline) }
            #expect(try gateway.rows(1).first?.outcome == .upstreamCut)
        }
    }

    @Test(
        "is refused where its path could lead elsewhere",
        arguments: [
            "/openai/v1/../admin", "/openai/..", "/openai/v1/%2e%2e/admin", "/openai/v1/%2E%2E%2Fadmin",
            "/openai//evil",
            "/openai/v1//x", "/openai/v1/%252e%252e/x", "/openai/v1/..%5cx", "/openai/v1/%00", "/openai/v1/%zz",
            "/openai/v1/./x", "/openai/v1/x/..", "/openai/v1/%5c%5cevil", "/openai/v1/%66iles",
            "/bedrock/%6Dodel/x/converse",
        ])
    func elsewhere(path: String) async throws {
        try await self.withPassThrough("openai") { gateway, provider in
            let answer = try Self.send(gateway, "GET", path).response()
            #expect(answer.status == 400, "\(answer.text)")
            #expect(gateway.settled == 0)
            #expect(try provider.staysUnused(for: .milliseconds(10)))
        }
    }

    @Test(
        "needs a key, and one that may use the model",
        arguments: [
            ("/anthropic/v1/models/claude-x", 403), ("/anthropic/v1/files", 403),
            ("/anthropic/v1/models/claude-y", 200),
        ])
    func models(path: String, status: Int) async throws {
        try await self.withPassThrough("anthropic") { gateway, provider in
            let none = try Self.send(gateway, "GET", path, headers: []).response()
            #expect(none.status == 401)
            gateway.keys.set(
                TestGateway.record("sk-bound", number: 2, models: ["anthropic/claude-y"]), startingSpend: .zero)
            let client = try Self.send(gateway, "GET", path, headers: ["x-api-key: sk-bound"])
            if status == 200 {
                let connection = try provider.accept()
                _ = try connection.request()
                try connection.answer("{}")
            }
            #expect(try client.response().status == status)
        }
    }

    @Test("is refused where no credentials are configured for it")
    func notConfigured() async throws {
        try await self.withPassThrough("openai") { gateway, _ in
            let answer = try Self.send(gateway, "GET", "/cohere/v1/models").response()
            #expect(answer.status == 404 && answer.text.contains("use_in_pass_through"))
            #expect(gateway.settled == 0)
        }
    }
}
