import Foundation
import GatewayCore
import GatewayDataPlane
import GatewayRouting
import TestSupport
import Testing

@Suite("A caller of another format than OpenAI's chat", .serialized)
struct ServedFormatTests {
    /// A request to `path` with no headers of ours but these.
    private static func send(
        _ gateway: TestGateway, _ path: String, _ body: String, headers: [String] = ["x-api-key: \(TestGateway.key)"]
    ) throws -> RawHTTPClient {
        let client = try RawHTTPClient(port: gateway.port)
        try client.send(RawHTTPClient.bytes("POST", path, headers: headers, body: body))
        return client
    }

    // MARK: Anthropic

    @Test("is served by a provider of OpenAI's format", arguments: ["/v1/messages", "/anthropic/v1/messages"])
    func messages(path: String) async throws {
        try await withGateway { gateway, provider in
            let client = try Self.send(gateway, path, Wire.messages())
            let connection = try provider.accept()
            let request = try connection.request()
            #expect(request.head.hasPrefix("POST /v1/chat/completions "))
            #expect(request.json["model"] as? String == "up-chat")
            try connection.answer(Wire.completion())
            let answer = try client.response()
            #expect(answer.status == 200 && answer.json?["type"] as? String == "message", "\(answer.text)")
            #expect((answer.json?["usage"] as? [String: Any])?["output_tokens"] as? Int == 7)
            #expect(try gateway.rows().map(\.settled) == [.measured])
            #expect(try gateway.rows().map(\.kind) == [.messages])
        }
    }

    @Test("is streamed to from a provider of OpenAI's format, which is asked for its usage")
    func messageStream() async throws {
        try await withGateway { gateway, provider in
            let client = try Self.send(gateway, "/v1/messages", Wire.messages(stream: true))
            let connection = try provider.accept()
            let options = try connection.request().json["stream_options"] as? [String: Any]
            #expect(options?["include_usage"] as? Bool == true)
            try connection.startStream()
            for event in [Wire.delta("01234567"), Wire.finish, Wire.usageEvent(), Wire.done] {
                try connection.chunk(event)
            }
            try connection.send("0\r\n\r\n")
            let answer = try client.response()
            #expect(answer.text.hasPrefix("event: message_start\n") && answer.text.contains("event: message_stop\n"))
            #expect(answer.text.contains("\"output_tokens\":7"))
            #expect(try gateway.rows(1).map(\.settled) == [.measured])
        }
    }

    @Test("goes straight through to a provider of the same format, with its own version, byte for byte")
    func straightMessages() async throws {
        try await withProvider("anthropic") { gateway, provider in
            let body = Wire.messages("chat", extra: ",\"x\" : 1.0e5 ")
            let headers = [
                "Authorization: Bearer \(TestGateway.key)", "anthropic-version: 2026-10-21", "anthropic-beta: a,b",
            ]
            let client = try Self.send(gateway, "/v1/messages", body, headers: headers)
            let connection = try provider.accept()
            let request = try connection.request()
            #expect(
                String(decoding: request.body, as: UTF8.self)
                    == body.replacingOccurrences(of: "\"chat\"", with: "\"up-chat\""))
            #expect(request.header("anthropic-version") == "2026-10-21")
            #expect(request.header("anthropic-beta") == "a,b")
            let whole = Wire.message().replacingOccurrences(of: ",", with: " ,\n")
            try connection.answer(whole)
            #expect(try client.response().text == whole)
            #expect(try gateway.rows().map(\.settled) == [.measured])
        }
    }

    @Test("is told apart from the model's name where the provider has that in its path")
    func vertex() async throws {
        try await withGateway { setup, port in
            setup.deployments = []
            setup.add("chat", port: port, model: "claude-x@1", provider: "vertex_ai")
        } _: { gateway, provider in
            let version = "\"anthropic_version\":\"vertex-2023-10-16\""
            let client = try Self.send(gateway, "/v1/messages", Wire.messages())
            let connection = try provider.accept()
            let straight = try connection.request()
            #expect(straight.head.hasPrefix("POST /v1/publishers/anthropic/models/claude-x%401:rawPredict "))
            let expected = Wire.messages().replacingOccurrences(of: "\"model\":\"chat\"", with: version)
            #expect(String(decoding: straight.body, as: UTF8.self) == expected)
            try connection.answer(Wire.message())
            #expect(try client.response().status == 200)
            // The same from another format.
            let other = try gateway.call()
            let translated = try connection.request()
            #expect(translated.json["anthropic_version"] is String && translated.json["model"] == nil)
            try connection.answer(Wire.message())
            #expect(try other.response().status == 200)
            #expect(try gateway.rows(2).map(\.settled) == [.measured, .measured])
        }
    }

    @Test("gets a stream of the same format byte for byte, and it is booked by its own usage")
    func straightStream() async throws {
        try await withProvider("anthropic") { gateway, provider in
            let client = try Self.send(gateway, "/v1/messages", Wire.messages(stream: true))
            let connection = try provider.accept()
            _ = try connection.request()
            let sent = Wire.messageEvents.joined() + ": comment\n\n"
            try connection.startStream()
            for part in stride(from: 0, to: sent.utf8.count, by: 37) {
                let bytes = Array(sent.utf8)
                try connection.chunk(String(decoding: bytes[part..<min(bytes.count, part + 37)], as: UTF8.self))
            }
            try connection.send("0\r\n\r\n")
            #expect(try client.response().text == sent)
            #expect(try gateway.rows(1).map(\.settled) == [.measured])
        }
    }

    @Test("whose stream of the same format is cut gets an error event of the format")
    func straightCut() async throws {
        try await withProvider("anthropic") { gateway, provider in
            let client = try Self.send(gateway, "/v1/messages", Wire.messages(stream: true))
            let connection = try provider.accept()
            _ = try connection.request()
            try connection.startStream()
            for event in Wire.messageEvents.prefix(3) { try connection.chunk(event) }
            try connection.chunk("event: content_bl")
            connection.close()
            let answer = try client.response()
            #expect(answer.end == .cut)
            #expect(answer.text.hasPrefix(Wire.messageEvents.prefix(3).joined() + "event: error\n"), "\(answer.text)")
            let row = try #require(try gateway.rows(1).first).settled
            #expect(row.outcome == .upstreamCut && row.input == 100 && row.output == 2)
        }
    }

    @Test("gets the provider's own error of the same format as it is")
    func straightError() async throws {
        try await withProvider("anthropic") { gateway, provider in
            let client = try Self.send(gateway, "/v1/messages", Wire.messages())
            let connection = try provider.accept()
            _ = try connection.request()
            try connection.answer(Wire.messageError(), status: 529, headers: ["retry-after: 3"])
            let answer = try client.response()
            #expect(answer.status == 529 && answer.text == Wire.messageError())
            #expect(answer.header("retry-after") == "3")
            #expect(try gateway.rows().map(\.settled) == [.refused(.upstreamRefused, status: 529)])
        }
    }

    // MARK: the gateway's own errors

    /// The shape of an error in each format.
    struct Shape: CustomTestStringConvertible, Sendable {
        var path: String
        var body: String
        var kind: @Sendable (Any?) -> String?
        var testDescription: String { self.path }

        static let all = [
            Shape(path: "/v1/messages", body: Wire.messages("none")) { error in
                (error as? [String: Any]).flatMap { $0["error"] as? [String: Any] }?["type"] as? String
            },
            Shape(path: "/v1beta/models/none:generateContent", body: Wire.contents()) { error in
                (error as? [String: Any]).flatMap { $0["error"] as? [String: Any] }?["status"] as? String
            },
            Shape(path: "/v1/responses", body: Wire.responses("none")) { error in
                (error as? [String: Any]).flatMap { $0["error"] as? [String: Any] }?["type"] as? String
            },
            Shape(path: "/model/none/converse", body: "{\"messages\":[]}") { error in
                (error as? [String: Any])?["message"] as? String
            },
            Shape(path: "/model/none/invoke", body: Wire.messages()) { error in
                (error as? [String: Any])?["message"] as? String
            },
            Shape(path: "/v2/chat", body: Wire.chat("none")) { error in
                (error as? [String: Any])?["message"] is String ? "message" : nil
            },
            Shape(path: "/api/chat", body: Wire.chat("none")) { error in
                (error as? [String: Any])?["error"] is String ? "error" : nil
            },
        ]
    }

    @Test("is told in that format that the key is not known, and that the model is not", arguments: Shape.all)
    func ownErrors(shape: Shape) async throws {
        try await withGateway { gateway, _ in
            let refused = try Self.send(gateway, shape.path, shape.body, headers: ["x-api-key: sk-wrong"]).response()
            #expect(refused.status == 401)
            let unknown = try Self.send(gateway, shape.path, shape.body).response()
            #expect(unknown.status == 400)
            let names = [shape.kind(refused.json), shape.kind(unknown.json)]
            switch shape.path {
            case "/v1/messages":
                #expect(names == ["authentication_error", "invalid_request_error"])
                #expect(refused.json?["type"] as? String == "error")
            case "/v1/responses": #expect(refused.openAIError != nil && names[1] == "invalid_request_error")
            case "/model/none/converse", "/model/none/invoke":
                #expect(refused.header("x-amzn-errortype") == "AccessDeniedException")
                #expect(unknown.header("x-amzn-errortype") == "ValidationException" && names[1] != nil)
            case "/v2/chat": #expect(names == ["message", "message"])
            case "/api/chat": #expect(names == ["error", "error"])
            default: #expect(names == ["UNAUTHENTICATED", "INVALID_ARGUMENT"])
            }
        }
    }

    // MARK: Responses

    @Test("of Responses goes straight to OpenAI, and its usage is booked", arguments: [false, true])
    func straightResponses(isStream: Bool) async throws {
        try await withGateway { gateway, provider in
            let extra = ",\"previous_response_id\":\"resp_0\"" + (isStream ? ",\"stream\":true" : "")
            let client = try Self.send(gateway, "/v1/responses", Wire.responses(extra: extra))
            let connection = try provider.accept()
            let request = try connection.request()
            #expect(request.head.hasPrefix("POST /v1/responses "))
            #expect(
                request.json["previous_response_id"] as? String == "resp_0" && request.json["stream_options"] == nil)
            if isStream {
                let events =
                    "event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":0,\"response\":"
                    + Wire.response("", status: "in_progress") + "}\n\n"
                    + "event: response.completed\ndata: {\"type\":\"response.completed\",\"sequence_number\":1,"
                    + "\"response\":\(Wire.response())}\n\n"
                try connection.startStream()
                try connection.chunk(events)
                try connection.send("0\r\n\r\n")
                #expect(try client.response().text == events)
            } else {
                try connection.answer(Wire.response())
                #expect(try client.response().text == Wire.response())
            }
            #expect(try gateway.rows(1).map(\.settled) == [.measured])
            #expect(try gateway.rows().map(\.kind) == [.responses])
        }
    }

    @Test("of Responses is served by a provider of another format, unless that would have to know former responses")
    func translatedResponses() async throws {
        try await withProvider("anthropic") { gateway, provider in
            let refused = try Self.send(
                gateway, "/v1/responses", Wire.responses(extra: ",\"previous_response_id\":\"resp_0\"")
            ).response()
            #expect(refused.status == 400 && refused.openAIError?["param"] as? String == "previous_response_id")
            #expect(try gateway.rows().isEmpty)
            let client = try Self.send(gateway, "/v1/responses", Wire.responses())
            let connection = try provider.accept()
            _ = try connection.request()
            try connection.answer(Wire.message())
            let answer = try client.response()
            #expect(answer.json?["object"] as? String == "response" && answer.text.contains("Hi there"))
            #expect(try gateway.rows().map(\.settled) == [.measured])
        }
    }

    @Test("of Responses in the background is refused, because nobody would meter them")
    func background() async throws {
        try await withGateway { gateway, _ in
            let answer = try Self.send(gateway, "/v1/responses", Wire.responses(extra: ",\"background\":true"))
                .response()
            #expect(answer.status == 400 && answer.openAIError?["param"] as? String == "background")
        }
    }

    // MARK: Gemini

    /// The ways in which Google's clients call and show their key.
    @Test(
        "of Gemini is served by a provider of OpenAI's format",
        arguments: [
            ("/v1beta/models/chat:generateContent", "x-goog-api-key: \(TestGateway.key)"),
            ("/v1/models/chat:generateContent?key=\(TestGateway.key)", "x-none: 1"),
            ("/v1alpha/models/ch%61t:generateContent?alt=json&key=\(TestGateway.key)", "x-none: 1"),
            ("/v1beta1/publishers/google/models/chat:generateContent", "Authorization: Bearer \(TestGateway.key)"),
        ])
    func gemini(path: String, header: String) async throws {
        try await withGateway { gateway, provider in
            let client = try Self.send(gateway, path, Wire.contents(), headers: [header])
            let connection = try provider.accept()
            let request = try connection.request()
            #expect(request.json["model"] as? String == "up-chat" && request.json["stream"] == nil)
            try connection.answer(Wire.completion())
            let answer = try client.response()
            #expect(answer.status == 200 && answer.json?["candidates"] is [Any], "\(answer.text)")
            #expect(try gateway.rows().map(\.settled) == [.measured])
        }
    }

    @Test("of Gemini gets its stream as events or as one array, as the path says", arguments: [false, true])
    func geminiStream(asEvents: Bool) async throws {
        try await withProvider("gemini") { gateway, provider in
            let path = "/v1beta/models/chat:streamGenerateContent\(asEvents ? "?alt=sse" : "")"
            let client = try Self.send(gateway, path, Wire.contents())
            let connection = try provider.accept()
            let request = try connection.request()
            #expect(request.head.hasPrefix("POST /v1beta/models/up-chat:streamGenerateContent?alt=sse "))
            #expect(String(decoding: request.body, as: UTF8.self) == Wire.contents())
            try connection.startStream()
            let events = [Wire.candidate("Hi", finish: nil, output: 1), Wire.candidate(" there")]
                .map { "data: \($0)\r\n\r\n" }
            for event in events { try connection.chunk(event) }
            try connection.send("0\r\n\r\n")
            let answer = try client.response()
            if asEvents {
                #expect(answer.text == events.joined())
            } else {
                #expect(answer.header("content-type") == "application/json")
                let array = try JSONSerialization.jsonObject(with: Data(answer.body)) as? [Any]
                #expect((array?.count ?? 0) >= 2, "\(answer.text)")
            }
            #expect(try gateway.rows(1).map(\.settled) == [.measured])
        }
    }

    @Test("of Gemini that wants a stream gets one from a provider of OpenAI's format", arguments: ["", "?alt=sse"])
    func geminiStreamTranslated(query: String) async throws {
        try await withGateway { gateway, provider in
            let path = "/v1beta/models/chat:streamGenerateContent\(query)"
            let client = try Self.send(gateway, path, Wire.contents())
            let connection = try provider.accept()
            #expect(try connection.request().json["stream"] as? Bool == true)
            try connection.startStream()
            for event in [Wire.delta("01234567"), Wire.finish, Wire.usageEvent(), Wire.done] {
                try connection.chunk(event)
            }
            try connection.send("0\r\n\r\n")
            let answer = try client.response()
            #expect(answer.text.hasPrefix(query.isEmpty ? "[" : "data: ") && answer.text.contains("01234567"))
            #expect(try gateway.rows(1).map(\.settled) == [.measured])
        }
    }

    // MARK: Bedrock

    @Test("of Bedrock is served by a provider of OpenAI's format", arguments: [false, true])
    func bedrock(isStream: Bool) async throws {
        try await withGateway { gateway, provider in
            let body = "{\"messages\":[{\"role\":\"user\",\"content\":[{\"text\":\"hello world!\"}]}]}"
            let path = "/model/chat/converse" + (isStream ? "-stream" : "")
            let client = try Self.send(gateway, path, body, headers: ["Authorization: Bearer \(TestGateway.key)"])
            let connection = try provider.accept()
            let request = try connection.request()
            #expect(request.head.hasPrefix("POST /v1/chat/completions "))
            // Only the path says it.
            #expect(request.json["stream"] as? Bool ?? false == isStream)
            if isStream {
                try connection.startStream()
                for event in [Wire.delta("01234567"), Wire.finish, Wire.usageEvent(), Wire.done] {
                    try connection.chunk(event)
                }
                try connection.send("0\r\n\r\n")
                let answer = try client.response()
                #expect(answer.header("content-type") == "application/vnd.amazon.eventstream")
                #expect(answer.text.contains("01234567"))
            } else {
                try connection.answer(Wire.completion())
                #expect(try client.response().json?["stopReason"] as? String == "end_turn")
            }
            #expect(try gateway.rows(1).map(\.settled) == [.measured])
        }
    }

    @Test(
        "of Bedrock gets the frames of its own provider byte for byte, and never half of one", arguments: [1, 7, 4096])
    func bedrockStraight(piece: Int) async throws {
        try await withProvider("bedrock") { gateway, provider in
            let sent = Wire.converseFrames.flatMap { $0 }
            for keeps in [sent.count, sent.count - 5, 40] {
                let client = try Self.send(gateway, "/model/chat/converse-stream", "{\"messages\":[]}")
                let connection = try provider.accept()
                #expect(try connection.request().head.hasPrefix("POST /model/up-chat/converse-stream "))
                try connection.startStream(type: "application/vnd.amazon.eventstream")
                for start in stride(from: 0, to: keeps, by: piece) {
                    try connection.chunk(Array(sent[start..<min(keeps, start + piece)]))
                }
                if keeps == sent.count { try connection.send("0\r\n\r\n") }
                connection.close()
                let answer = try client.response()
                if keeps == sent.count {
                    #expect(answer.body == sent && answer.end != .cut)
                } else {
                    let whole = keeps == 40 ? [] : Wire.converseFrames.dropLast().flatMap { $0 }
                    #expect(answer.end == .cut && answer.body.starts(with: whole))
                    let rest = answer.body.dropFirst(whole.count)
                    #expect(String(decoding: rest, as: UTF8.self).contains(":exception-type"))
                }
            }
            #expect(try gateway.rows(3).map(\.settled.outcome) == [.finished, .upstreamCut, .upstreamCut])
        }
    }

    @Test("of Bedrock whose provider sends what is no frame gets an exception in one, and no clean end")
    func bedrockBroken() async throws {
        try await withProvider("bedrock") { gateway, provider in
            let client = try Self.send(gateway, "/model/chat/converse-stream", "{\"messages\":[]}")
            let connection = try provider.accept()
            _ = try connection.request()
            try connection.startStream(type: "application/vnd.amazon.eventstream")
            try connection.chunk(Wire.converseFrames[0] + Array("this is no frame at all".utf8))
            let answer = try client.response()
            #expect(answer.end == .cut && answer.body.starts(with: Wire.converseFrames[0]))
            #expect(String(decoding: answer.body, as: UTF8.self).contains(":exception-type"))
            #expect(try gateway.rows(1).map(\.settled.outcome) == [.upstreamCut])
        }
    }

    @Test(
        "of Bedrock that signs is known by its access key",
        arguments: [
            "AWS4-HMAC-SHA256 Credential=\(TestGateway.key)/20260102/us-east-1/bedrock/aws4_request, "
                + "SignedHeaders=host;x-amz-date, Signature=\(String(repeating: "0", count: 64))",
            "AWS4-HMAC-SHA256 SignedHeaders=host,Signature=00,Credential=\(TestGateway.key)/x",
        ])
    func signed(authorization: String) async throws {
        try await withGateway { gateway, provider in
            let body = "{\"messages\":[{\"role\":\"user\",\"content\":[{\"text\":\"hello\"}]}]}"
            let header = "Authorization: \(authorization)"
            let client = try Self.send(gateway, "/model/chat/converse", body, headers: [header])
            try provider.accept().answer(Wire.completion())
            #expect(try client.response().status == 200)
            for wrong in [
                header.replacingOccurrences(of: "Credential=", with: "Credential=x"),
                header.replacingOccurrences(of: "Credential=", with: "credential:"),
                "Authorization: AWS4-HMAC-SHA256 ", "Authorization: AWS4-HMAC-SHA256 Credential=/",
            ] {
                #expect(try Self.send(gateway, "/model/chat/converse", body, headers: [wrong]).response().status == 401)
            }
        }
    }

    /// The body of Bedrock's `invoke` for Claude: the path names the model and says whether to stream.
    private static let invocation = """
        {"anthropic_version":"bedrock-2023-05-31","max_tokens":9,"messages":[{"role":"user","content":"hello"}]}
        """

    @Test("of Claude on Bedrock is served by a provider of any format", arguments: ["openai", "anthropic", "bedrock"])
    func invoke(provider name: String) async throws {
        try await withProvider(name) { gateway, provider in
            let client = try Self.send(gateway, "/model/chat/invoke", Self.invocation)
            let connection = try provider.accept()
            let request = try connection.request()
            #expect(request.json["anthropic_version"] == nil && request.json["stream"] == nil, "\(request.json)")
            if name != "bedrock" { #expect(request.json["model"] as? String == "up-chat") }
            switch name {
            case "openai": try connection.answer(Wire.completion())
            case "anthropic": try connection.answer(Wire.message())
            default: try connection.answer(Wire.converse())
            }
            let answer = try client.response()
            #expect(answer.status == 200 && answer.json?["type"] as? String == "message", "\(answer.text)")
            let rows = try gateway.rows()
            #expect(rows.map(\.settled) == [.measured] && rows.map(\.kind) == [.messages])
        }
    }

    @Test("of Claude on Bedrock gets its stream in frames", arguments: ["openai", "anthropic"])
    func invokeStream(provider name: String) async throws {
        try await withProvider(name) { gateway, provider in
            let client = try Self.send(gateway, "/model/chat/invoke-with-response-stream", Self.invocation)
            let connection = try provider.accept()
            #expect(try connection.request().json["stream"] as? Bool == true)
            try connection.startStream()
            let events =
                name == "openai"
                ? [Wire.delta("01234567"), Wire.finish, Wire.usageEvent(), Wire.done] : Wire.messageEvents
            for event in events { try connection.chunk(event) }
            try connection.send("0\r\n\r\n")
            let answer = try client.response()
            #expect(answer.header("content-type") == "application/vnd.amazon.eventstream")
            let parts = String(decoding: answer.body, as: UTF8.self).components(separatedBy: "{\"bytes\":\"")
                .dropFirst()
            let types = parts.compactMap { part -> String? in
                let letters = part.prefix { $0 != "\"" }
                let event = Data(base64Encoded: String(letters)).flatMap { try? JSONSerialization.jsonObject(with: $0) }
                return (event as? [String: Any])?["type"] as? String
            }
            #expect(types.first == "message_start" && types.last == "message_stop" && types.count == parts.count)
            #expect(try gateway.rows(1).map(\.settled) == [.measured])
        }
    }

    @Test("of Claude on Bedrock whose stream is cut gets an exception in a frame, and no clean end")
    func invokeCut() async throws {
        try await withProvider("anthropic") { gateway, provider in
            let client = try Self.send(gateway, "/model/chat/invoke-with-response-stream", Self.invocation)
            let connection = try provider.accept()
            _ = try connection.request()
            try connection.startStream()
            for event in Wire.messageEvents.prefix(3) { try connection.chunk(event) }
            connection.close()
            let answer = try client.response()
            #expect(answer.end == .cut)
            #expect(String(decoding: answer.body, as: UTF8.self).contains(":exception-type"))
            #expect(try gateway.rows(1).map(\.settled.outcome) == [.upstreamCut])
        }
    }

    // MARK: Cohere and Ollama

    @Test("of Cohere is served by a provider of OpenAI's format", arguments: [false, true])
    func cohere(isStream: Bool) async throws {
        try await withGateway { gateway, provider in
            let body = Wire.chat(stream: isStream, extra: ",\"p\":0.5,\"max_tokens\":9")
            let client = try Self.send(gateway, "/v2/chat", body, headers: ["Authorization: bearer \(TestGateway.key)"])
            let connection = try provider.accept()
            let request = try connection.request()
            #expect(request.head.hasPrefix("POST /v1/chat/completions ") && request.json["top_p"] as? Double == 0.5)
            if isStream {
                try connection.startStream()
                for event in [Wire.delta("01234567"), Wire.finish, Wire.usageEvent(), Wire.done] {
                    try connection.chunk(event)
                }
                try connection.send("0\r\n\r\n")
                let answer = try client.response()
                #expect(answer.header("content-type") == "text/event-stream" && answer.text.contains("message-end"))
            } else {
                try connection.answer(Wire.completion())
                #expect(try client.response().json?["finish_reason"] as? String == "COMPLETE")
            }
            let rows = try gateway.rows(1)
            #expect(rows.map(\.settled) == [.measured] && rows.map(\.kind) == [.chatCompletion])
        }
    }

    /// Without `stream` Ollama streams.
    @Test("of Ollama is served by a provider of OpenAI's format", arguments: [nil, true, false])
    func ollama(stream: Bool?) async throws {
        try await withGateway { gateway, provider in
            let extra = (stream.map { ",\"stream\":\($0)" } ?? "") + ",\"options\":{\"num_predict\":9}"
            let client = try Self.send(gateway, "/api/chat", Wire.chat(extra: extra))
            let connection = try provider.accept()
            let request = try connection.request()
            #expect(request.json["stream"] as? Bool ?? false == (stream ?? true))
            if stream ?? true {
                try connection.startStream()
                for event in [Wire.delta("01234567"), Wire.finish, Wire.usageEvent(), Wire.done] {
                    try connection.chunk(event)
                }
                try connection.send("0\r\n\r\n")
                let answer = try client.response()
                #expect(answer.header("content-type") == "application/x-ndjson")
                let last = answer.text.split(separator: "\n").last.map { Data($0.utf8) } ?? Data()
                #expect((try JSONSerialization.jsonObject(with: last) as? [String: Any])?["done"] as? Bool == true)
            } else {
                try connection.answer(Wire.completion())
                #expect(try client.response().json?["eval_count"] as? Int == 7)
            }
            #expect(try gateway.rows(1).map(\.settled) == [.measured])
        }
    }

    @Test("of Ollama gets the lines of its own provider byte for byte, the last one also without its line feed")
    func ollamaStraight() async throws {
        try await withProvider("ollama_chat") { gateway, provider in
            let lines = """
                {"model":"up","created_at":"2026-01-02T03:04:05Z","message":{"role":"assistant","content":"Hi"},"done":false}
                {"model":"up","created_at":"2026-01-02T03:04:06Z","message":{"role":"assistant","content":""},"done":true,\
                "done_reason":"stop","prompt_eval_count":100,"eval_count":7}
                """
            let client = try Self.send(gateway, "/api/chat", Wire.chat())
            let connection = try provider.accept()
            #expect(try connection.request().head.hasPrefix("POST /api/chat "))
            try connection.startStream(type: "application/x-ndjson")
            for letter in lines { try connection.chunk(String(letter)) }
            try connection.send("0\r\n\r\n")
            let answer = try client.response()
            #expect(answer.text == lines && answer.end != .cut)
            #expect(try gateway.rows(1).map(\.settled) == [.measured])
        }
    }

    @Test("of Ollama whose stream is cut gets a line that says so, and no clean end")
    func ollamaCut() async throws {
        try await withGateway { gateway, provider in
            let client = try Self.send(gateway, "/api/chat", Wire.chat())
            let connection = try provider.accept()
            _ = try connection.request()
            try connection.startStream()
            try connection.chunk(Wire.delta("01234567"))
            connection.close()
            let answer = try client.response()
            #expect(answer.end == .cut)
            #expect(answer.text.split(separator: "\n").last?.hasPrefix("{\"error\":") == true, "\(answer.text)")
            #expect(try gateway.rows(1).map(\.settled.outcome) == [.upstreamCut])
        }
    }

    // MARK: all

    @Test("is known by LiteLLM's own header before any other")
    func ownHeader() async throws {
        try await withGateway { gateway, provider in
            for value in [TestGateway.key, "Bearer \(TestGateway.key)"] {
                let headers = ["Authorization: Bearer sk-of-the-provider", "X-LiteLLM-API-Key: \(value)"]
                let client = try Self.send(gateway, "/v1/messages", Wire.messages(), headers: headers)
                let connection = try provider.accept()
                let request = try connection.request()
                #expect(!request.head.contains("sk-of-the-provider") && !request.head.contains(TestGateway.key))
                try connection.answer(Wire.completion(), headers: ["connection: close"])
                #expect(try client.response().status == 200)
                connection.close()
            }
            let twice = ["x-litellm-api-key: \(TestGateway.key)", "x-litellm-api-key: \(TestGateway.key)"]
            #expect(try Self.send(gateway, "/v1/messages", Wire.messages(), headers: twice).response().status == 400)
        }
    }

    @Test(
        "is answered by a built-in answer in its format",
        arguments: [
            ("/v1/messages", Wire.messages("mock"), "\"type\":\"message\""),
            ("/v1/messages", Wire.messages("mock", stream: true), "event: message_stop"),
            ("/v1/responses", Wire.responses("mock"), "\"object\":\"response\""),
            ("/v1/responses", Wire.responses("mock", extra: ",\"stream\":true"), "event: response.completed"),
            ("/v1beta/models/mock:generateContent", Wire.contents(), "\"candidates\""),
            ("/v1beta/models/mock:streamGenerateContent?alt=sse", Wire.contents(), "\"candidates\""),
            ("/model/mock/converse", "{\"messages\":[]}", "\"stopReason\""),
        ])
    func builtIn(path: String, body: String, mark: String) async throws {
        var setup = GatewaySetup()
        setup.add("mock", port: 1, answer: .text("A word or two"))
        try await withGateway(setup) { gateway in
            let answer = try Self.send(gateway, path, body).response()
            #expect(answer.status == 200 && answer.text.contains(mark), "\(answer.text)")
            #expect(answer.text.contains("word"))
            #expect(try gateway.rows(1).count == 1)
        }
    }

    @Test("repeats its head on one connection and is served each time")
    func repeatedHead() async throws {
        try await withProvider("anthropic") { gateway, provider in
            let client = try RawHTTPClient(port: gateway.port)
            var connection: ProviderConnection?
            for _ in 0..<3 {
                try client.send(
                    RawHTTPClient.bytes(
                        "POST", "/v1/messages",
                        headers: ["x-api-key: \(TestGateway.key)", "anthropic-version: 2026-10-21"],
                        body: Wire.messages()))
                let current = try connection ?? provider.accept()
                connection = current
                #expect(try current.request().header("anthropic-version") == "2026-10-21")
                try current.answer(Wire.message())
                #expect(try client.response().status == 200)
            }
            #expect(try gateway.rows(3).map(\.settled) == [.measured, .measured, .measured])
        }
    }
}
