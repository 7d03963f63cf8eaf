import Foundation
import GatewayCore
import GatewayDataPlane
import GatewayRouting
import TestSupport
import Testing

@Suite("A call that counts tokens", .serialized)
struct CountTokensTests {
    private static func send(
        _ gateway: TestGateway, _ path: String, _ body: String, headers: [String] = []
    ) throws -> RawHTTPClient {
        let client = try RawHTTPClient(port: gateway.port)
        try client.send(
            RawHTTPClient.bytes("POST", path, headers: ["x-api-key: \(TestGateway.key)"] + headers, body: body))
        return client
    }

    private static let messages = "{\"model\":\"chat\",\"messages\":[{\"role\":\"user\",\"content\":\"hello world!\"}]}"

    @Test(
        "goes straight through to Anthropic, is answered as it counts, and leaves no row",
        arguments: ["/v1/messages/count_tokens", "/anthropic/v1/messages/count_tokens"])
    func anthropic(path: String) async throws {
        try await withProvider("anthropic") { gateway, provider in
            let client = try Self.send(gateway, path, Self.messages, headers: ["anthropic-version: 2026-10-21"])
            let connection = try provider.accept()
            let request = try connection.request()
            #expect(request.head.hasPrefix("POST /v1/messages/count_tokens HTTP/1.1\r\n"))
            #expect(request.header("anthropic-version") == "2026-10-21")
            #expect(
                String(decoding: request.body, as: UTF8.self)
                    == Self.messages.replacingOccurrences(of: "\"chat\"", with: "\"up-chat\""))
            try connection.answer("{\"input_tokens\": 14}")
            let answer = try client.response()
            #expect(answer.status == 200 && answer.text == "{\"input_tokens\": 14}")
            #expect(answer.header("x-martlet-token-count") == nil)
            #expect(try gateway.rows().isEmpty && gateway.journal.openIntents == 0)
        }
    }

    @Test(
        "goes straight through to Gemini, whose model is named in the path and in requests within the request",
        arguments: ["/v1beta/models/chat:countTokens", "/gemini/v1/models/chat:countTokens"])
    func gemini(path: String) async throws {
        try await withProvider("gemini") { gateway, provider in
            let bodies = [
                Wire.contents(): Wire.contents(),
                "{\"generateContentRequest\": {\"model\": \"models/chat\", \"contents\":[]}}":
                    "{\"generateContentRequest\": {\"model\": \"models/up-chat\", \"contents\":[]}}",
            ]
            var connection: ProviderConnection?
            for (body, expected) in bodies {
                let client = try Self.send(gateway, path, body)
                let upstream = try connection ?? provider.accept()
                connection = upstream
                let request = try upstream.request()
                #expect(request.head.hasPrefix("POST /v1beta/models/up-chat:countTokens "))
                #expect(String(decoding: request.body, as: UTF8.self) == expected)
                try upstream.answer("{\"totalTokens\":5}")
                #expect(try client.response().text == "{\"totalTokens\":5}")
                client.close()
            }
            #expect(try gateway.rows().isEmpty)
        }
    }

    @Test("goes to Vertex AI's own path for Claude, with the model in the body")
    func vertex() async throws {
        try await withProvider("vertex_ai") {
            $0.deployments[0].model = "claude-x"
        } _: { gateway, provider in
            let client = try Self.send(gateway, "/v1/messages/count_tokens", Self.messages)
            let connection = try provider.accept()
            let request = try connection.request()
            #expect(request.head.hasPrefix("POST /v1/publishers/anthropic/models/count-tokens:rawPredict "))
            #expect(request.json["model"] as? String == "claude-x")
            #expect(request.json["anthropic_version"] as? String == "vertex-2023-10-16")
            try connection.answer("{\"input_tokens\":3}")
            #expect(try client.response().text == "{\"input_tokens\":3}")
        }
    }

    @Test("is estimated where the provider does not count, and says so")
    func estimate() async throws {
        try await withGateway { gateway, provider in
            let answer = try Self.send(gateway, "/v1/messages/count_tokens", Self.messages).response()
            #expect(answer.status == 200 && answer.header("x-martlet-token-count") == "estimated")
            #expect(answer.json?["input_tokens"] as? Int64 == Wire.promptTokens)
            let google = try Self.send(gateway, "/v1beta/models/chat:countTokens", Wire.contents()).response()
            #expect(google.status == 200 && (google.json?["totalTokens"] as? Int ?? 0) > 0)
            #expect(try provider.staysUnused(for: .milliseconds(50)))
            #expect(try gateway.rows().isEmpty)
        }
    }

    @Test(
        "is refused where the provider does not count and media are in it",
        arguments: [
            "{\"type\":\"image\",\"source\":{\"type\":\"base64\",\"media_type\":\"image/png\",\"data\":\"aGk=\"}}",
            "{\"type\":\"tool_result\",\"content\":[{\"type\":\"document\",\"source\":{\"type\":\"url\",\"url\":\"x\"}}]}",
        ])
    func media(part: String) async throws {
        try await withGateway { gateway, _ in
            let body = "{\"model\":\"chat\",\"messages\":[{\"role\":\"user\",\"content\":[\(part)]}]}"
            let answer = try Self.send(gateway, "/v1/messages/count_tokens", body).response()
            #expect(answer.status == 400 && answer.json?["type"] as? String == "error", "\(answer.text)")
        }
    }

    @Test("is refused as the provider refuses it, and falls back when the provider fails")
    func failures() async throws {
        try await withProvider("anthropic") { gateway, provider in
            let client = try Self.send(gateway, "/v1/messages/count_tokens", Self.messages)
            let connection = try provider.accept()
            _ = try connection.request()
            try connection.answer(Wire.messageError("invalid_request_error"), status: 400)
            let answer = try client.response()
            #expect(answer.status == 400 && answer.text.contains("scripted"))
            client.close()
            let next = try Self.send(gateway, "/v1/messages/count_tokens", Self.messages)
            _ = try connection.request()
            connection.close()
            #expect(try next.response().status == 502)
            #expect(try gateway.rows().isEmpty)
        }
    }

    @Test("needs a key and a model that the key may use")
    func governed() async throws {
        try await withGateway { gateway, _ in
            gateway.keys.set(TestGateway.record("sk-other", number: 2, models: ["else"]), startingSpend: .zero)
            let status = { (key: String, body: String) throws -> Int in
                let client = try RawHTTPClient(port: gateway.port)
                try client.send(
                    RawHTTPClient.bytes(
                        "POST", "/v1/messages/count_tokens", headers: ["x-api-key: \(key)"], body: body))
                return try client.response().status
            }
            let nobody = try status("sk-nobody", Self.messages)
            let other = try status("sk-other", Self.messages)
            let unknown = try status(TestGateway.key, "{\"model\":\"nothing\",\"messages\":[]}")
            let unnamed = try status(TestGateway.key, "{\"messages\":[]}")
            #expect(nobody == 401 && (other == 401 || other == 403) && unknown == 400 && unnamed == 400)
        }
    }
}
