import GatewayCore
import GatewayDataPlane
import TestSupport
import Testing

@Suite("The headers of an answer", .serialized)
struct AnswerHeaderTests {
    @Test("say what the call was, where it went, and what it cost")
    func contract() async throws {
        try await withGateway { gateway, provider in
            let client = try gateway.call()
            let connection = try provider.accept()
            _ = try connection.request()
            try connection.answer(Wire.completion())
            let answer = try client.response()
            let row = try gateway.rows()[0]
            #expect(answer.header("x-litellm-call-id") == row.requestID.text)
            #expect(answer.header("x-litellm-model-id") == "id-0")
            #expect(answer.header("x-litellm-model-group") == "chat")
            #expect(answer.header("x-litellm-response-cost") == "0.000114")
            #expect(answer.header("x-litellm-key-spend") == "0.000114")
            for name in ["x-litellm-response-duration-ms", "x-litellm-overhead-duration-ms"] {
                let value = try #require(answer.header(name).flatMap { Double($0) })
                #expect((0..<60_000).contains(value))
            }
            #expect(answer.header("content-type") == "application/json")
            #expect(answer.header("date") == "Sun, 22 Nov 2026 12:00:00 GMT")
        }
    }

    @Test("carry the provider's own as llm_provider-*, but for framing, connection and cookies")
    func providerHeaders() async throws {
        try await withGateway { gateway, provider in
            let client = try gateway.call()
            let connection = try provider.accept()
            _ = try connection.request()
            try connection.answer(
                Wire.completion(),
                headers: [
                    "x-ratelimit-remaining-requests: 42", "X-Request-ID: abc", "Set-Cookie: a=b", "Server: nginx",
                    "Keep-Alive: timeout=5", "x-litellm-response-cost: 7", "Retry-After: 3", "x-empty:",
                    "Alt-Svc: h3", "Date: Thu, 01 Jan 1970 00:00:00 GMT",
                ])
            let answer = try client.response()
            #expect(answer.header("llm_provider-x-ratelimit-remaining-requests") == "42")
            #expect(answer.header("llm_provider-x-request-id") == "abc")
            #expect(answer.header("llm_provider-x-litellm-response-cost") == "7")
            #expect(answer.header("llm_provider-x-empty") == "")
            #expect(answer.header("retry-after") == "3")
            #expect(answer.header("x-litellm-response-cost") == "0.000114")
            let names = answer.headers.map(\.name)
            for name in ["set-cookie", "server", "keep-alive", "alt-svc"] {
                #expect(!names.contains(name) && !names.contains("llm_provider-\(name)"))
            }
            #expect(names.filter { $0 == "date" }.count == 1)
            #expect(names.filter { $0 == "content-length" }.count == 1)
        }
    }

    @Test("have room for as many and as short ones as a provider may send")
    func manyHeaders() async throws {
        try await withGateway { gateway, provider in
            let client = try gateway.call()
            let connection = try provider.accept()
            _ = try connection.request()
            try connection.answer(Wire.completion(), headers: (0..<98).map { _ in "a:" })
            let answer = try client.response()
            #expect(answer.headers.filter { $0.name == "llm_provider-a" }.count == 98)
            try client.send(gateway.requestBytes(Wire.chat(stream: true)))
            _ = try connection.request()
            try connection.answer(Wire.completion(), headers: ["x: \(String(repeating: "v", count: 30_000))"])
            #expect(try client.response().header("llm_provider-x")?.count == 30_000)
        }
    }

    @Test("hold no line end, whatever the model is called in the configuration, the path or the body")
    func injection() async throws {
        let evil = "evil\r\nx-evil: 1"
        try await withGateway { setup, port in
            setup.add(evil, port: port, model: "up\r\nx-evil: 1", id: "id\r\nx-evil: 1")
            setup.add("wild/*", port: port, model: "up/*")
        } _: { gateway, provider in
            let client = try RawHTTPClient(port: gateway.port)
            var connection: ProviderConnection?
            let requests = [
                gateway.requestBytes(Wire.chat("evil\\r\\nx-evil: 1")),
                gateway.requestBytes(Wire.chat("wild/\\r\\nx-evil: 1")),
                gateway.requestBytes(
                    "{\"messages\":[]}", path: "/openai/deployments/wild/a%0D%0Ax-evil:%201/chat/completions"),
                gateway.requestBytes(Wire.chat("wild/\\u0000\\u007f\\u00e9")),
            ]
            for request in requests {
                try client.send(request)
                let provider = try connection ?? provider.accept()
                connection = provider
                let got = try provider.request()
                #expect(got.header("x-evil") == nil)
                #expect(got.json["model"] is String)
                try provider.answer(Wire.completion())
                let answer = try client.response()
                #expect(answer.status == 200)
                #expect(answer.header("x-evil") == nil)
                #expect(answer.header("x-litellm-model-group")?.utf8.allSatisfy { $0 >= 0x20 && $0 < 0x7F } == true)
            }
            // Unknown names stand in errors, never in heads.
            try client.send(gateway.requestBytes(Wire.chat("nowhere\\r\\nx-evil: 1")))
            let refused = try client.response()
            #expect(refused.status == 400)
            #expect(refused.header("x-evil") == nil)
        }
    }

    @Test("of an error say which call it was and how often it was tried")
    func errors() async throws {
        try await withGateway { setup, port in
            setup.add("chat", port: port)
            setup.retriesMax = 1
        } _: { gateway, provider in
            let client = try gateway.call()
            for _ in 0..<2 {
                let connection = try provider.accept()
                _ = try connection.request()
                connection.close()
            }
            let answer = try client.response()
            #expect(answer.status == 502)
            #expect(answer.header("x-litellm-call-id") == (try gateway.rows()[0].requestID.text))
            #expect(answer.header("x-litellm-attempted-retries") == "1")
        }
    }
}

@Suite("An answer that needs no provider", .serialized)
struct BuiltInAnswerTests {
    @Test("is metered, streamed or not", arguments: [false, true])
    func metered(isStream: Bool) async throws {
        try await withGateway { setup, _ in
            setup.add("demo", port: 0, answer: .demo)
        } _: { gateway, _ in
            let answer = try gateway.call(
                Wire.chat("demo", stream: isStream, extra: ",\"stream_options\":{\"include_usage\":true}")
            ).response()
            #expect(answer.status == 200)
            #expect(answer.end == .complete)
            #expect(answer.text.contains("demo"))
            if isStream { #expect(answer.events.last == "[DONE]") }
            let row = try gateway.rows()[0].settled
            #expect(row.outcome == .finished && row.flags == .measured && row.input == Wire.promptTokens)
        }
    }

    @Test("in the request is given as it is, and bounded")
    func mock() async throws {
        try await withGateway { gateway, _ in
            let text = "words\\nwith \\\"quotes\\\" and \\u00e9"
            let answer = try gateway.call(Wire.chat(extra: ",\"mock_response\":\"\(text)\"")).response()
            let choices = answer.json?["choices"] as? [[String: Any]]
            let message = choices?.first?["message"] as? [String: Any]
            #expect(message?["content"] as? String == "words\nwith \"quotes\" and é")
            let long = String(repeating: "a ", count: 40_000)
            let refused = try gateway.call(Wire.chat(stream: true, extra: ",\"mock_response\":\"\(long)\"")).response()
            #expect(refused.status == 400)
            #expect(refused.openAIError?["param"] as? String == "mock_response")
            let most = String(repeating: "a ", count: 32_000)
            let streamed = try gateway.call(Wire.chat(stream: true, extra: ",\"mock_response\":\"\(most)\"")).response()
            #expect(streamed.status == 200)
            #expect(streamed.body.count < 400_000)
            #expect(gateway.settled == 2)
        }
    }
}
