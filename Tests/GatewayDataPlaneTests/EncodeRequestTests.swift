import Foundation
import GatewayDataPlane
import GatewayRouting
import TestSupport
import Testing

@Suite("The request to the provider", .serialized)
struct EncodeRequestTests {
    /// Sends each body and gives back what the provider got.
    private static func forwarded(
        _ bodies: [String], path: String = "/v1/chat/completions", usage: StreamUsageSupport = .onRequest
    ) async throws -> [ProviderRequest] {
        let box = RequestBox()
        try await withGateway { setup, port in
            setup.deployments = []
            setup.add("chat", port: port, usage: usage)
        } _: { gateway, provider in
            let client = try RawHTTPClient(port: gateway.port)
            var connection: ProviderConnection?
            for body in bodies {
                try client.send(gateway.requestBytes(body, path: path))
                let provider = try connection ?? provider.accept()
                connection = provider
                box.add(try provider.request())
                try provider.answer(Wire.completion())
                #expect(try client.response().status == 200)
            }
        }
        return box.requests
    }

    /// Bodies around `fields`, with the model before, between and behind them.
    private static func placements(_ fields: [String], model: String?) -> [String] {
        guard let model else {
            return ["{\(fields.joined(separator: ","))}", "{ \(fields.joined(separator: " , ")) }\n"]
        }
        return (0...fields.count).flatMap { index in
            var all = fields
            all.insert("\"model\":\(model)", at: index)
            return ["{\(all.joined(separator: ","))}", " \t{\r\n\(all.joined(separator: "\n,\n"))\n}\r\n "]
        }
    }

    private static func object(_ text: some Sequence<UInt8>) throws -> [String: Any] {
        try #require(try JSONSerialization.jsonObject(with: Data(text)) as? [String: Any])
    }

    /// The text of an object with its keys in order, for comparing.
    private static func sorted(_ object: [String: Any]) throws -> String {
        String(decoding: try JSONSerialization.data(withJSONObject: object, options: .sortedKeys), as: UTF8.self)
    }

    private static let messages = "\"messages\":[{\"role\":\"user\",\"content\":\"a \\\"model\\\": \\u00e9 {]}\"}]"

    @Test("differs from the caller's in the model's name alone", arguments: ["\"chat\"", "\"ch\\u0061t\""])
    func renamesModel(model: String) async throws {
        let bodies = Self.placements(
            [Self.messages, "\"temperature\":1.50e0", "\"nested\":{\"model\":\"chat\"}"], model: model)
        let got = try await Self.forwarded(bodies)
        for (body, request) in zip(bodies, got) {
            let expected = body.replacing("\"model\":\(model)", with: "\"model\":\"up-chat\"", maxReplacements: .max)
            let nested = "\"nested\":{\"model\":\"chat\"}"
            #expect(
                String(decoding: request.body, as: UTF8.self)
                    == expected.replacing("\"nested\":{\"model\":\"up-chat\"}", with: nested))
            #expect(request.header("content-length") == "\(request.body.count)")
        }
    }

    @Test("goes through byte for byte where the model has its name already")
    func untouched() async throws {
        let body = "{ \"model\" : \"up-chat\",\n\"messages\": [ ] , \"x\": 1.0E+2 }"
        let box = RequestBox()
        try await withGateway { setup, port in
            setup.deployments = []
            setup.add("up-chat", port: port, model: "up-chat")
        } _: { gateway, provider in
            let client = try gateway.call(body)
            let connection = try provider.accept()
            box.add(try connection.request())
            try connection.answer(Wire.completion())
            #expect(try client.response().status == 200)
        }
        #expect(box.requests.first.map { String(decoding: $0.body, as: UTF8.self) } == body)
    }

    /// What stands for `stream_options`, and whether the caller asked for usage itself.
    private static let streamOptions: [(text: String?, asks: Bool)] = [
        (nil, false), ("null", false), ("{}", false), ("{ }", false), ("{\"include_usage\":false}", false),
        ("{\"include_usage\":null}", false), ("{\"include_usage\" : false , \"other\":[1]}", false),
        ("{\"other\":{\"include_usage\":false}}", false), ("{\n\"other\":1}", false),
        ("{\"include_usage\":true}", true),
    ]

    @Test(
        "asks for usage wherever a stream's caller did not, and is equal but for that and the model",
        arguments: [nil, "\"chat\""] as [String?], [0, 100_000])
    func asksForUsage(model: String?, padding: Int) async throws {
        var bodies: [String] = []
        for options in Self.streamOptions {
            var fields = [Self.messages, "\"stream\":true"]
            if padding > 0 { fields.append("\"pad\":\"\(String(repeating: "x", count: padding))\"") }
            if let text = options.text { fields.insert("\"stream_options\":\(text)", at: 1) }
            bodies += Self.placements(fields, model: model)
        }
        let path = model == nil ? "/openai/deployments/chat/chat/completions" : "/v1/chat/completions"
        let got = try await Self.forwarded(bodies, path: path)
        #expect(got.count == bodies.count)
        for (body, request) in zip(bodies, got) {
            var sent = try Self.object(body.utf8)
            let received = try Self.object(request.body)
            let options = try #require(received["stream_options"] as? [String: Any])
            #expect(options["include_usage"] as? Bool == true)
            #expect(received["model"] as? String == "up-chat")
            // But for these two, nothing differs.
            var former = sent["stream_options"] as? [String: Any] ?? [:]
            former["include_usage"] = true
            sent["stream_options"] = former
            sent["model"] = "up-chat"
            #expect(try Self.sorted(received) == Self.sorted(sent), "\(body.prefix(200))")
        }
    }

    @Test(
        "leaves stream_options alone where the provider does not know them",
        arguments: [.unsupported, .always] as [StreamUsageSupport])
    func noStreamOptions(usage: StreamUsageSupport) async throws {
        let bodies = [Wire.chat(stream: true), Wire.chat(stream: true, extra: ",\"stream_options\":{\"a\":1}")]
        let got = try await Self.forwarded(bodies, usage: usage)
        for (body, request) in zip(bodies, got) {
            #expect(String(decoding: request.body, as: UTF8.self) == body.replacing("\"chat\"", with: "\"up-chat\""))
        }
    }

    @Test("leaves stream_options alone where nothing is streamed")
    func notStreamed() async throws {
        let bodies = [
            Wire.chat(extra: ",\"stream\":false"), Wire.chat(extra: ",\"stream_options\":{\"include_usage\":false}"),
            Wire.chat(extra: ",\"stream\":null"),
        ]
        for (body, request) in zip(bodies, try await Self.forwarded(bodies)) {
            #expect(String(decoding: request.body, as: UTF8.self) == body.replacing("\"chat\"", with: "\"up-chat\""))
        }
    }

    @Test("carries the provider's key and none of the caller's headers")
    func headers() async throws {
        let box = RequestBox()
        try await withGateway { gateway, provider in
            let client = try gateway.call(headers: ["Cookie: secret", "X-Custom: 1", "Accept-Encoding: gzip"])
            let connection = try provider.accept()
            box.add(try connection.request())
            try connection.answer(Wire.completion())
            #expect(try client.response().status == 200)
        }
        let request = try #require(box.requests.first)
        #expect(request.head.hasPrefix("POST /v1/chat/completions HTTP/1.1\r\n"))
        #expect(request.header("authorization") == "Bearer sk-provider")
        #expect(request.header("accept-encoding") == "identity")
        #expect(request.header("cookie") == nil)
        #expect(request.header("x-custom") == nil)
        #expect(!request.head.contains(TestGateway.key))
    }

    @Test(
        "is never made of a body that names a field twice or is no JSON object",
        arguments: [
            "{\"model\":\"chat\",\"model\":\"other\"}", "{\"model\":\"chat\",\"mod\\u0065l\":\"other\"}",
            "{\"model\":\"chat\",\"stream\":true,\"stream\":false}", "[{\"model\":\"chat\"}]", "{\"model\":\"chat\"",
            "{\"model\":\"chat\"}}", "{\"model\":\"chat\",}", "", "{\"model\":\"chat\",\"x\":\"\u{1}\"}",
            "{\"model\":null}", "{\"model\":7}", "{\"model\":\"\"}", "{}", "{\"model\":\"chat\",\"stream_options\":7}",
        ])
    func refused(body: String) async throws {
        try await withGateway { gateway, provider in
            let client = try gateway.call(body)
            let answer = try client.response()
            #expect(answer.status == 400)
            #expect(answer.openAIError != nil)
            #expect(gateway.settled == 0)
            // The body was read whole, so the connection lives on.
            try client.send(gateway.requestBytes(Wire.chat()))
            let connection = try provider.accept()
            _ = try connection.request()
            try connection.answer(Wire.completion())
            #expect(try client.response().status == 200)
        }
    }

    @Test("is never made for a model with an absurdly long name, wherever it stands")
    func longNames() async throws {
        let name = String(repeating: "n", count: 5000)
        try await withGateway { setup, port in
            setup.deployments = []
            setup.add("*", port: port, model: "*")
        } _: { gateway, _ in
            let inBody = try gateway.call(Wire.chat(name)).response()
            #expect(inBody.status == 400)
            #expect(inBody.openAIError?["param"] as? String == "model")
            let inPath = try gateway.call(path: "/openai/deployments/\(name)/chat/completions").response()
            #expect(inPath.status == 400)
            #expect(inPath.body.count < 2000)
            #expect(gateway.settled == 0)
        }
    }
}

/// Carries requests from the thread of a test to its end.
final class RequestBox: Sendable {
    private let state = Locked<[ProviderRequest]>([])
    var requests: [ProviderRequest] { self.state.value }
    func add(_ request: ProviderRequest) { self.state.change { $0.append(request) } }
}
