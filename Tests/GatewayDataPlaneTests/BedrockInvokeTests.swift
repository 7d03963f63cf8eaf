import Foundation
import GatewayCore
import GatewayDataPlane
import GatewayRouting
import GatewayWire
import TestSupport
import Testing

/// A gateway whose one deployment is Claude behind Bedrock's `/invoke`, with calls signed.
private func withInvoke(
    _ change: @escaping @Sendable (inout GatewaySetup) -> Void = { _ in },
    _ body: @escaping @Sendable (TestGateway, HandProvider) throws -> Void
) async throws {
    try await withGateway { setup, port in
        setup.deployments = []
        setup.add("chat", port: port, model: "invoke/anthropic.claude-x:0", provider: "bedrock")
        setup.deployments[0].authentication = nil
        setup.deployments[0].awsKeyPair = AWSKeyPair(
            accessKeyID: "AKID", secretAccessKey: Secret("hidden"), sessionToken: nil)
        change(&setup)
    } _: { gateway, provider in
        try body(gateway, provider)
    }
}

/// Only the configuration takes the route off the model's name.
private let modelPath = "/model/invoke%2Fanthropic.claude-x%3A0"

/// The events of a message, each in a frame as Bedrock sends them.
private func frames() -> [[UInt8]] {
    Wire.messageEvents.map { event in
        let data = event.split(separator: "\n").last?.dropFirst("data: ".count) ?? ""
        return Wire.frame("chunk", "{\"bytes\":\"\(Data(data.utf8).base64EncodedString())\",\"p\":\"abc\"}")
    }
}

@Suite("A call to Claude behind Bedrock's invoke", .serialized)
struct BedrockInvokeTests {
    private static func messages(_ gateway: TestGateway, _ body: String, headers: [String] = []) throws -> RawHTTPClient
    {
        let client = try RawHTTPClient(port: gateway.port)
        try client.send(
            RawHTTPClient.bytes(
                "POST", "/v1/messages", headers: ["x-api-key: \(TestGateway.key)"] + headers, body: body))
        return client
    }

    @Test("of Anthropic's format is signed and goes as it is but for model, stream, version and betas")
    func straight() async throws {
        try await withInvoke { gateway, provider in
            let client = try Self.messages(
                gateway, Wire.messages(extra: ",\"x\" : 1.0e5,\"stream\":false"),
                headers: ["anthropic-version: 2023-06-01", "anthropic-beta: a, b"])
            let connection = try provider.accept()
            let request = try connection.request()
            #expect(request.head.hasPrefix("POST \(modelPath)/invoke HTTP/1.1\r\n"))
            #expect(request.header("authorization")?.contains("Credential=AKID/") == true)
            #expect(request.header("anthropic-version") == nil && request.header("anthropic-beta") == nil)
            #expect(
                String(decoding: request.body, as: UTF8.self)
                    == "{\"anthropic_version\":\"bedrock-2023-05-31\",\"max_tokens\":64,\"messages\":[{\"role\":\"user\","
                    + "\"content\":\"hello world!\"}],\"x\":1.0e5,\"anthropic_beta\":[\"a\",\"b\"]}")
            try connection.answer(Wire.message())
            let answer = try client.response()
            #expect(answer.status == 200 && answer.text == Wire.message())
            #expect(try gateway.rows().map(\.settled) == [.measured])
            #expect(try gateway.rows().first?.usage.input == 100)
        }
    }

    @Test("streams the model's own events out of AWS' frames", arguments: [1, 7, 64, 100_000])
    func stream(size: Int) async throws {
        try await withInvoke { gateway, provider in
            let client = try Self.messages(gateway, Wire.messages(stream: true))
            let connection = try provider.accept()
            let request = try connection.request()
            let path = "\(modelPath)/invoke-with-response-stream"
            #expect(request.head.hasPrefix("POST \(path) HTTP/1.1\r\n"))
            #expect(request.json["stream"] == nil && request.json["model"] == nil)
            try Self.send(frames().flatMap { $0 }, size: size, on: connection)
            let answer = try client.response()
            #expect(answer.status == 200 && answer.header("content-type") == "text/event-stream")
            #expect(answer.text == Wire.messageEvents.joined())
            let rows = try gateway.rows(1)
            #expect(rows.map(\.settled) == [.measured] && rows[0].usage.input == 100 && rows[0].usage.output == 7)
        }
    }

    @Test("serves callers of other formats, streamed or not", arguments: [true, false])
    func translated(isStream: Bool) async throws {
        try await withInvoke { gateway, provider in
            let client = try gateway.call(Wire.chat(stream: isStream))
            let connection = try provider.accept()
            let request = try connection.request()
            #expect(request.json["anthropic_version"] as? String == "bedrock-2023-05-31")
            #expect(request.json["model"] == nil && request.json["stream"] == nil)
            if isStream {
                try Self.send(frames().flatMap { $0 }, size: 33, on: connection)
                let answer = try client.response()
                #expect(answer.events.last == "[DONE]" && answer.text.contains("01234567"))
            } else {
                try connection.answer(Wire.message())
                #expect(try client.response().json?["object"] as? String == "chat.completion")
            }
            #expect(try gateway.rows(1).map(\.settled) == [.measured])
        }
    }

    @Test("ends with an error event when Bedrock's stream does")
    func exception() async throws {
        try await withInvoke { gateway, provider in
            let client = try Self.messages(gateway, Wire.messages(stream: true))
            let connection = try provider.accept()
            _ = try connection.request()
            var bytes = frames()[0] + frames()[1] + frames()[2]
            Array("{\"message\":\"slow down\"}".utf8).withUnsafeBytes {
                AWSEventStream.append(kind: "exception", type: "throttlingException", payload: $0, to: &bytes)
            }
            try Self.send(bytes, size: 50, on: connection)
            let answer = try client.response()
            #expect(answer.text.contains("01234567") && answer.text.contains("event: error\n"), "\(answer.text)")
            #expect(answer.text.contains("slow down"))
            #expect(try gateway.rows(1).map(\.outcome) == [.upstreamCut])
        }
    }

    @Test("that is refused is answered in the caller's format")
    func refused() async throws {
        try await withInvoke { gateway, provider in
            let client = try Self.messages(gateway, Wire.messages())
            let connection = try provider.accept()
            _ = try connection.request()
            try connection.answer(
                "{\"message\":\"bad field\"}", status: 400, headers: ["x-amzn-ErrorType: ValidationException"])
            let answer = try client.response()
            #expect(answer.status == 400 && answer.text.contains("bad field"))
            #expect(answer.json?["type"] as? String == "error", "\(answer.text)")
        }
    }

    private static func send(_ bytes: [UInt8], size: Int, on connection: ProviderConnection) throws {
        try connection.send(
            "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.amazon.eventstream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for start in stride(from: 0, to: bytes.count, by: size) {
            let piece = bytes[start..<min(bytes.count, start + size)]
            try connection.send(bytes: Array("\(String(piece.count, radix: 16))\r\n".utf8) + piece + [13, 10])
        }
        try connection.send("0\r\n\r\n")
    }
}
