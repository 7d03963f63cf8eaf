import Foundation
import GatewayCore
import GatewayDataPlane
import GatewayProviders
import GatewayRouting
import TestSupport
import Testing

/// A gateway whose one deployment is of this provider.
func withProvider(
    _ name: String, _ change: @escaping @Sendable (inout GatewaySetup) -> Void = { _ in },
    _ body: @escaping @Sendable (TestGateway, HandProvider) throws -> Void
) async throws {
    try await withGateway { setup, port in
        setup.deployments = []
        setup.add("chat", port: port, provider: name)
        change(&setup)
    } _: { gateway, provider in
        try body(gateway, provider)
    }
}

@Suite("A chat call to a provider of another format", .serialized)
struct TranslatedCallTests {
    @Test("asks and is answered in the provider's format, and booked by what the provider reported")
    func whole() async throws {
        try await withProvider("anthropic") { gateway, provider in
            let client = try gateway.call()
            let connection = try provider.accept()
            let request = try connection.request()
            #expect(request.head.hasPrefix("POST /v1/messages HTTP/1.1\r\n"))
            #expect(request.header("anthropic-version") == "2023-06-01")
            #expect(request.json["model"] as? String == "up-chat")
            #expect(request.json["max_tokens"] is Int)
            try connection.answer(Wire.message())
            let answer = try client.response()
            #expect(answer.status == 200)
            #expect(answer.header("content-type") == "application/json")
            #expect(answer.header("x-litellm-response-cost") == "0.000114")
            let choices = answer.json?["choices"] as? [[String: Any]]
            #expect((choices?.first?["message"] as? [String: Any])?["content"] as? String == "Hi there")
            #expect((answer.json?["usage"] as? [String: Any])?["prompt_tokens"] as? Int == 100)
            #expect(try gateway.rows().map(\.settled) == [.measured])
            #expect(try gateway.rows().map(\.kind) == [.chatCompletion])
        }
    }

    @Test("is booked with what came from the cache")
    func cached() async throws {
        try await withProvider("anthropic") { gateway, provider in
            let client = try gateway.call()
            let connection = try provider.accept()
            _ = try connection.request()
            try connection.answer(
                Wire.message().replacingOccurrences(
                    of: "\"input_tokens\":100", with: "\"input_tokens\":60,\"cache_read_input_tokens\":40"))
            #expect(try client.response().status == 200)
            let usage = try #require(try gateway.rows().first?.usage)
            #expect(usage.input == 100 && usage.cachedInput == 40 && usage.output == 7)
        }
    }

    @Test(
        "is answered in chunks of chat as the events come, with usage only where it was asked for",
        arguments: [false, true])
    func stream(withUsage: Bool) async throws {
        try await withProvider("anthropic") { gateway, provider in
            let extra = withUsage ? ",\"stream_options\":{\"include_usage\":true}" : ""
            let client = try gateway.call(Wire.chat(stream: true, extra: extra))
            let connection = try provider.accept()
            #expect(try connection.request().json["stream"] as? Bool == true)
            try connection.startStream()
            for event in Wire.messageEvents.prefix(3) { try connection.chunk(event) }
            // The first delta is out before the second is in.
            let head = try client.head(before: Deadline(within: .seconds(10)))
            #expect(head.headers.contains { $0 == ("content-type", "text/event-stream") })
            var early = ""
            while !early.contains("01234567") {
                early += String(
                    decoding: try #require(try client.chunk(before: Deadline(within: .seconds(10)))), as: UTF8.self)
            }
            for event in Wire.messageEvents.dropFirst(3) { try connection.chunk(event) }
            try connection.send("0\r\n\r\n")
            var late = ""
            while let chunk = try client.chunk(before: Deadline(within: .seconds(10))) {
                late += String(decoding: chunk, as: UTF8.self)
            }
            #expect(late.contains("89abcdef") && late.hasSuffix("data: [DONE]\n\n"))
            #expect(late.contains("\"prompt_tokens\":100") == withUsage)
            #expect(try gateway.rows(1).map(\.settled) == [.measured])
        }
    }

    @Test("is read wherever the provider's stream is cut in pieces", arguments: [1, 2, 3, 7, 50, 1000])
    func pieces(size: Int) async throws {
        try await withProvider("anthropic") { gateway, provider in
            let client = try gateway.call(Wire.chat(stream: true))
            let connection = try provider.accept()
            _ = try connection.request()
            try connection.startStream()
            let bytes = Array(Wire.messageEvents.joined().utf8)
            for start in stride(from: 0, to: bytes.count, by: size) {
                try connection.chunk(String(decoding: bytes[start..<min(bytes.count, start + size)], as: UTF8.self))
            }
            try connection.send("0\r\n\r\n")
            let answer = try client.response()
            #expect(answer.events.last == "[DONE]")
            #expect(answer.text.contains("01234567") && answer.text.contains("89abcdef"))
            #expect(try gateway.rows(1).map(\.settled) == [.measured])
        }
    }

    @Test("that cannot be expressed there is refused, and nothing is written or sent")
    func inexpressible() async throws {
        try await withProvider("anthropic") { gateway, provider in
            let answer = try gateway.call(Wire.chat(extra: ",\"n\":2")).response()
            #expect(answer.status == 400)
            #expect(answer.openAIError?["param"] as? String == "n")
            #expect(try gateway.rows().isEmpty)
            #expect(try provider.staysUnused(for: .milliseconds(100)))
        }
    }

    @Test("leaves out what cannot be expressed where drop_params is set")
    func dropped() async throws {
        try await withProvider("anthropic") {
            $0.deployments[0].dropsUnsupported = true
        } _: { gateway, provider in
            let client = try gateway.call(Wire.chat(extra: ",\"seed\":2"))
            let connection = try provider.accept()
            #expect(try connection.request().json["seed"] == nil)
            try connection.answer(Wire.message())
            #expect(try client.response().status == 200)
        }
    }

    @Test("that is malformed is refused before anything is sent")
    func malformed() async throws {
        try await withProvider("anthropic") { gateway, _ in
            let answer = try gateway.call("{\"model\":\"chat\",\"messages\":7}").response()
            #expect(answer.status == 400 && answer.openAIError != nil)
            #expect(try gateway.rows().isEmpty)
        }
    }

    @Test("goes to the next deployment in its own format when the first fails")
    func fallsOver() async throws {
        try await withGateway { setup, port in
            setup.deployments = []
            setup.add("first", port: port, provider: "anthropic")
            setup.add("second", port: port)
            setup.add("third", port: port, provider: "gemini")
            setup.fallbacks = [(group: "first", targets: ["second", "third"])]
        } _: { gateway, provider in
            let client = try gateway.call(Wire.chat("first"))
            let connection = try provider.accept()
            #expect(try connection.request().head.hasPrefix("POST /v1/messages "))
            try connection.answer(Wire.messageError(), status: 529)
            let second = try connection.request()
            #expect(second.head.hasPrefix("POST /v1/chat/completions "))
            #expect(second.header("anthropic-version") == nil)
            #expect(second.json["model"] as? String == "up-second" && second.json["max_tokens"] == nil)
            try connection.answer(Wire.error(), status: 500)
            let third = try connection.request()
            #expect(third.head.hasPrefix("POST /v1beta/models/up-third:generateContent "))
            try connection.answer(Wire.candidate())
            let answer = try client.response()
            #expect(answer.status == 200 && answer.text.contains("Hi there"))
            #expect(
                try gateway.rows().map(\.settled) == [
                    .refused(.upstreamRefused, status: 529), .refused(.upstreamRefused, status: 500, attempt: 1),
                    Settled(
                        outcome: .finished, flags: .measured, input: 100, output: 7, cost: 114_000, status: 200,
                        attempt: 2),
                ])
        }
    }

    @Test("to a group with one deployment that can express it goes there")
    func expressibleElsewhere() async throws {
        try await withGateway { setup, port in
            setup.deployments = []
            setup.add("chat", port: port, provider: "anthropic")
            setup.add("chat", port: port)
        } _: { gateway, provider in
            for _ in 0..<4 {
                let client = try gateway.call(Wire.chat(extra: ",\"n\":2"))
                let connection = try provider.accept()
                #expect(try connection.request().head.hasPrefix("POST /v1/chat/completions "))
                try connection.answer(Wire.completion(), headers: ["Connection: close"])
                connection.close()
                #expect(try client.response().status == 200)
            }
            #expect(try gateway.rows(4).map(\.attempt) == [0, 0, 0, 0])
        }
    }

    @Test("streams from Bedrock's frames, wherever they are cut", arguments: [1, 11, 5000])
    func frames(size: Int) async throws {
        try await withProvider("bedrock") { gateway, provider in
            let client = try gateway.call(Wire.chat(stream: true))
            let connection = try provider.accept()
            #expect(try connection.request().head.hasPrefix("POST /model/up-chat/converse-stream "))
            try connection.send(
                "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.amazon.eventstream\r\n"
                    + "Transfer-Encoding: chunked\r\n\r\n")
            let bytes = Array(Wire.converseFrames.joined())
            for start in stride(from: 0, to: bytes.count, by: size) {
                let piece = bytes[start..<min(bytes.count, start + size)]
                try connection.send(bytes: Array("\(String(piece.count, radix: 16))\r\n".utf8) + piece + [13, 10])
            }
            try connection.send("0\r\n\r\n")
            let answer = try client.response()
            #expect(answer.events.last == "[DONE]" && answer.text.contains("01234567"))
            #expect(try gateway.rows(1).map(\.settled) == [.measured])
        }
    }

    @Test("is signed for Bedrock where AWS credentials are configured, and each attempt anew")
    func signed() async throws {
        try await withProvider("bedrock") {
            $0.deployments[0].authentication = nil
            $0.deployments[0].model = "amazon.nova:0"
            $0.deployments[0].awsKeyPair = AWSKeyPair(
                accessKeyID: "AKID", secretAccessKey: Secret("hidden"), sessionToken: Secret("session"))
        } _: { gateway, provider in
            let client = try gateway.call()
            let connection = try provider.accept()
            let request = try connection.request()
            #expect(request.head.hasPrefix("POST /model/amazon.nova%3A0/converse "))
            let authorization = try #require(request.header("authorization"))
            #expect(authorization.hasPrefix("AWS4-HMAC-SHA256 Credential=AKID/"))
            #expect(request.header("x-amz-security-token") == "session" && request.header("x-amz-date") != nil)
            #expect(!request.head.contains("hidden"))
            // Signed is what was sent.
            let date = ISO8601DateFormatter()
            date.formatOptions = [.withYear, .withMonth, .withDay, .withTime, .withTimeZone]
            let seconds = try #require(date.date(from: request.header("x-amz-date") ?? ""))
            let expected = request.body.withUnsafeBytes {
                AWSSignature.headers(
                    method: "POST", host: "127.0.0.1:\(provider.port)", path: "/model/amazon.nova%3A0/converse",
                    query: "", body: $0, date: Int64(seconds.timeIntervalSince1970),
                    credentials: AWSCredentials(
                        accessKeyID: "AKID", secretAccessKey: "hidden", sessionToken: "session"),
                    region: "us-west-2", service: "bedrock")
            }
            #expect(expected.contains { $0.name == "Authorization" && $0.value == authorization })
            try connection.answer(Wire.converse())
            #expect(try client.response().status == 200)
            #expect(try gateway.rows().map(\.settled) == [.measured])
        }
    }

    @Test("goes to Gemini's path, streamed or not, and is booked by what Gemini reported", arguments: [false, true])
    func gemini(isStream: Bool) async throws {
        try await withProvider("gemini") { gateway, provider in
            let client = try gateway.call(Wire.chat(stream: isStream))
            let connection = try provider.accept()
            let request = try connection.request()
            let method = isStream ? "streamGenerateContent?alt=sse" : "generateContent"
            #expect(request.head.hasPrefix("POST /v1beta/models/up-chat:\(method) HTTP/1.1\r\n"))
            #expect(request.json["model"] == nil && request.json["contents"] is [Any])
            if isStream {
                try connection.startStream()
                try connection.chunk("data: \(Wire.candidate("Hi", finish: nil, output: 1))\r\n\r\n")
                try connection.chunk("data: \(Wire.candidate(" there"))\r\n\r\n")
                try connection.send("0\r\n\r\n")
            } else {
                try connection.answer(Wire.candidate())
            }
            let answer = try client.response()
            #expect(answer.status == 200 && answer.text.contains("there"))
            #expect(try gateway.rows(1).map(\.settled) == [.measured])
        }
    }
}
