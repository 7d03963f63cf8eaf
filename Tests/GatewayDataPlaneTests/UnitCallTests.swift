import Foundation
import GatewayCore
import GatewayDataPlane
import GatewayPricing
import GatewayRouting
import TestSupport
import Testing

/// Runs `body` against a gateway whose model `chat` is `model` at its catalogue price.
func withUnits(
    _ model: String, provider name: String = "openai", retriesMax: Int = 0,
    _ body: @escaping @Sendable (TestGateway, HandProvider) throws -> Void
) async throws {
    try await withGateway { setup, port in
        setup.deployments = []
        setup.usesCatalogue = true
        setup.retriesMax = retriesMax
        setup.add("chat", port: port, model: model, provider: name)
    } _: { gateway, provider in
        try body(gateway, provider)
    }
}

extension TestGateway {
    func post(_ path: String, _ body: String) throws -> RawHTTPClient {
        let client = try RawHTTPClient(port: self.port)
        try client.send(
            RawHTTPClient.bytes("POST", path, headers: ["Authorization: Bearer \(Self.key)"], body: body))
        return client
    }

    func post(_ path: String, form: [UInt8]) throws -> RawHTTPClient {
        let client = try RawHTTPClient(port: self.port)
        try client.send(Wire.bytes(path, form: form))
        return client
    }
}

@Suite("A call for images, audio, moderation or rerank", .serialized)
struct UnitCallTests {
    // MARK: Images

    @Test(
        "makes images at the price of their size and quality",
        arguments: ["/v1/images/generations", "/images/generations", "/openai/v1/images/generations"])
    func images(path: String) async throws {
        try await withUnits("gpt-image-1") { gateway, provider in
            let body = #"{"model":"chat","prompt":"a cat","n":2,"size":"1024x1024","quality":"low", "x" : 1.0}"#
            let client = try gateway.post(path, body)
            let connection = try provider.accept()
            let request = try connection.request()
            #expect(request.head.hasPrefix("POST /v1/images/generations "))
            #expect(request.header("authorization") == "Bearer sk-provider")
            #expect(request.header("content-type") == "application/json")
            #expect(
                String(decoding: request.body, as: UTF8.self)
                    == body.replacingOccurrences(of: "\"chat\"", with: "\"gpt-image-1\""))
            let answer = #"{"created":1,"data":[{"b64_json":"{[\"AAAA"},{"b64_json":"BBBB"}]}"#
            try connection.answer(answer)
            let received = try client.response()
            #expect(received.status == 200 && received.text == answer)
            #expect(received.header("x-litellm-response-cost") == "0.022")
            let row = try #require(try gateway.rows().first)
            #expect(row.kind == .imageGeneration && row.cost == NanoUSD(rawValue: 22_000_000))
            #expect(row.flags == .measured && row.usage.total == 0 && row.outcome == .finished)
        }
    }

    @Test("are refused where their number is beyond reckoning", arguments: ["1048577", "9007199254740992"])
    func tooManyImages(number: String) async throws {
        try await withUnits("gpt-image-1") { gateway, provider in
            let body = #"{"model":"chat","prompt":"x","size":"65536x65536","n":\#(number)}"#
            let answer = try gateway.post("/v1/images/generations", body).response()
            #expect(answer.status == 400 && answer.openAIError?["param"] as? String == "n", "\(answer.text)")
            let client = try gateway.post(
                "/v1/images/generations", #"{"model":"chat","prompt":"x","size":"65536x65536","n":1048576}"#)
            let connection = try provider.accept()
            _ = try connection.request()
            try connection.answer(#"{"data":[{"b64_json":"AA"}]}"#)
            #expect(try client.response().status == 200)
        }
    }

    @Test("are charged by the tokens that the provider reports, whatever their number")
    func imageTokens() async throws {
        try await withUnits("gpt-image-1") { gateway, provider in
            let client = try gateway.post("/v1/images/generations", #"{"model":"chat","prompt":"a cat"}"#)
            let connection = try provider.accept()
            _ = try connection.request()
            try connection.answer(
                #"{"data":[{"b64_json":"AA"}],"usage":{"input_tokens":10,"output_tokens":272,"total_tokens":282,"#
                    + #""input_tokens_details":{"text_tokens":10,"image_tokens":0}}}"#)
            #expect(try client.response().status == 200)
            let row = try #require(try gateway.rows().first)
            #expect(row.cost == NanoUSD(rawValue: 10 * 5_000 + 272 * 40_000))
            #expect(row.usage.imageOutput == 272 && row.usage.input == 10 && row.flags == .measured)
        }
    }

    @Test(
        "edits images that are sent as a form, whose files go through byte for byte",
        arguments: ["edits", "variations"])
    func imageEdit(operation: String) async throws {
        try await withUnits("gpt-image-1") { gateway, provider in
            let fields = [
                FormField("image[]", file: Array(repeating: 7, count: 100_000), "a.png"), FormField("prompt", "hat"),
                FormField("model", "chat"), FormField("n", "3"), FormField("size", "1536x1024"),
            ]
            let client = try gateway.post("/v1/images/\(operation)", form: Wire.form(fields))
            let connection = try provider.accept()
            let request = try connection.request()
            #expect(request.head.hasPrefix("POST /v1/images/\(operation) "))
            var expected = fields
            expected[2] = FormField("model", "gpt-image-1")
            #expect(request.body == Wire.form(expected))
            #expect("Content-Type: " + (request.header("content-type") ?? "") == Wire.formHeader)
            try connection.answer(#"{"data":[{"url":"a"},{"url":"b"},{"url":"c"}]}"#)
            #expect(try client.response().status == 200)
            let row = try #require(try gateway.rows().first)
            #expect(row.kind == (operation == "edits" ? .imageEdit : .imageVariation))
            // medium/1536-x-1024/gpt-image-1
            #expect(row.cost == NanoUSD(rawValue: 3 * 63_000_000), "\(row.cost)")
        }
    }

    // MARK: Speech

    @Test("speaks: the audio goes out as it comes, at the price of the text's characters")
    func speech() async throws {
        try await withUnits("tts-1") { gateway, provider in
            let client = try gateway.post(
                "/v1/audio/speech", #"{"model":"chat","input":"Grüße \ud83d\ude00","voice":"alloy"}"#)
            let connection = try provider.accept()
            #expect(try connection.request().head.hasPrefix("POST /v1/audio/speech "))
            try connection.send("HTTP/1.1 200 OK\r\nContent-Type: audio/mpeg\r\nTransfer-Encoding: chunked\r\n\r\n")
            try connection.chunk("{\"usage\":")
            let deadline = Deadline(within: .seconds(10))
            let head = try client.head(before: deadline)
            #expect(head.status == 200 && head.header("content-type") == "audio/mpeg")
            #expect(try client.chunk(before: deadline) == Array("{\"usage\":".utf8))
            try connection.chunk("{\"input_tokens\":9}}")
            try connection.send("0\r\n\r\n")
            #expect(try client.chunk(before: deadline) == Array("{\"input_tokens\":9}}".utf8))
            #expect(try client.chunk(before: deadline) == nil)
            let row = try #require(try gateway.rows(1).first)
            #expect(row.kind == .speech && row.cost == NanoUSD(rawValue: 7 * 15_000))
            #expect(row.flags == .measured && row.outcome == .finished)
        }
    }

    @Test("speaks as events, which report tokens")
    func speechEvents() async throws {
        try await withUnits("gpt-4o-mini-tts") { gateway, provider in
            let client = try gateway.post(
                "/v1/audio/speech", #"{"model":"chat","input":"Hi","voice":"alloy","stream_format":"sse"}"#)
            let connection = try provider.accept()
            _ = try connection.request()
            try connection.startStream()
            let events = [
                "data: {\"type\":\"speech.audio.delta\",\"audio\":\"AAAA\"}\n\n",
                "data: {\"type\":\"speech.audio.done\",\"usage\":{\"input_tokens\":5,\"output_tokens\":40,"
                    + "\"total_tokens\":45}}\n\n",
            ]
            for event in events { try connection.chunk(event) }
            try connection.send("0\r\n\r\n")
            #expect(try client.response().text == events.joined())
            let row = try #require(try gateway.rows(1).first)
            #expect(row.usage.audioOutput == 40 && row.usage.input == 5 && row.flags == .measured)
            #expect(row.cost == NanoUSD(rawValue: 5 * 600 + 40 * 12_000))
        }
    }

    // MARK: Transcription

    @Test(
        "transcribes: the form goes through byte for byte but for the model, at the price of the reported length",
        arguments: ["transcriptions", "translations"])
    func transcription(operation: String) async throws {
        try await withUnits("whisper-1") { gateway, provider in
            let form = Wire.audio(count: 300_000, extra: [FormField("response_format", "verbose_json")])
            let client = try gateway.post("/v1/audio/\(operation)", form: form)
            let connection = try provider.accept()
            let request = try connection.request()
            #expect(request.head.hasPrefix("POST /v1/audio/\(operation) "))
            #expect(
                request.body
                    == Wire.audio(
                        model: "whisper-1", count: 300_000, extra: [FormField("response_format", "verbose_json")]))
            try connection.answer(#"{"task":"transcribe","duration":"12.345","text":"hi","segments":[{"duration":9}]}"#)
            #expect(try client.response().status == 200)
            let row = try #require(try gateway.rows().first)
            #expect(row.kind == (operation == "translations" ? .translation : .transcription))
            #expect(row.cost == NanoUSD(rawValue: 1_234_500) && row.flags == .measured)
        }
    }

    @Test("is charged by the length in a WAV file's head, else by its size, where the answer does not say its length")
    func transcriptionText() async throws {
        try await withUnits("whisper-1") { gateway, provider in
            var wav = Array("RIFF\0\0\0\0WAVEfmt ".utf8) + [16, 0, 0, 0, 1, 0, 1, 0]
            wav += [0x80, 0x3E, 0, 0] + [0, 0x7D, 0, 0] + [2, 0, 16, 0] + Array("data\0\0\0\0".utf8)
            wav += [UInt8](repeating: 0, count: 64_000)
            var kept: ProviderConnection?
            for file in [wav, [UInt8](repeating: 1, count: 8_000)] {
                let client = try gateway.post(
                    "/audio/transcriptions",
                    form: Wire.form([FormField("file", file: file), FormField("model", "chat")]))
                let connection = try kept ?? provider.accept()
                kept = connection
                _ = try connection.request()
                try connection.send(
                    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n\r\n{\"no\"}")
                #expect(try client.response().text == "{\"no\"}")
            }
            // Two seconds each: 64,000 bytes at 16,000 frames of 2 bytes, and 8,000 bytes at 32 kbit/s.
            #expect(try gateway.rows().map(\.cost.rawValue) == [200_000, 200_000])
            #expect(try gateway.rows().map(\.flags) == [.estimated, .estimated])
        }
    }

    @Test("streams a transcription, booked by the usage of its last event")
    func transcriptionStream() async throws {
        try await withUnits("gpt-4o-transcribe") { gateway, provider in
            let client = try gateway.post(
                "/v1/audio/transcriptions", form: Wire.audio(extra: [FormField("stream", "true")]))
            let connection = try provider.accept()
            _ = try connection.request()
            try connection.startStream()
            let events = [
                "data: {\"type\":\"transcript.text.delta\",\"delta\":\"hi\"}\n\n",
                "data: {\"type\":\"transcript.text.done\",\"text\":\"hi\",\"usage\":{\"type\":\"tokens\","
                    + "\"input_tokens\":14,\"input_token_details\":{\"text_tokens\":0,\"audio_tokens\":14},"
                    + "\"output_tokens\":45,\"total_tokens\":59}}\n\n",
            ]
            for event in events { try connection.chunk(event) }
            try connection.send("0\r\n\r\n")
            #expect(try client.response().text == events.joined())
            let row = try #require(try gateway.rows(1).first)
            #expect(row.usage.audioInput == 14 && row.usage.output == 45 && row.isStream && row.flags == .measured)
            #expect(row.cost == NanoUSD(rawValue: 14 * 2_500 + 45 * 10_000))
        }
    }

    @Test("names the model in the path where the form names none", arguments: [nil, "other"])
    func azure(model: String?) async throws {
        try await withUnits("my-whisper", provider: "azure") { gateway, provider in
            let form = Wire.audio(model: model)
            let client = try gateway.post("/openai/deployments/chat/audio/transcriptions?api-version=1", form: form)
            let connection = try provider.accept()
            let request = try connection.request()
            #expect(request.head.hasPrefix("POST /openai/deployments/my-whisper/audio/transcriptions?api-version=20"))
            let named = Wire.audio(model: "my-whisper")
            #expect(request.body == named)
            try connection.answer(#"{"text":"hi"}"#)
            #expect(try client.response().status == 200)
            let row = try #require(try gateway.rows().first)
            #expect(row.flags.contains(.unpriced) && row.cost == .zero)
        }
    }

    // MARK: Moderation and rerank

    @Test("moderates, free of charge", arguments: ["/v1/moderations", "/moderations"])
    func moderation(path: String) async throws {
        try await withUnits("omni-moderation-latest") { gateway, provider in
            let client = try gateway.post(path, #"{"input":"I like you","model":"chat"}"#)
            let connection = try provider.accept()
            let request = try connection.request()
            #expect(request.head.hasPrefix("POST /v1/moderations "))
            #expect(request.json["model"] as? String == "omni-moderation-latest")
            try connection.answer(#"{"id":"m","model":"o","results":[{"flagged":false}]}"#)
            #expect(try client.response().json?["id"] as? String == "m")
            let row = try #require(try gateway.rows().first)
            #expect(row.kind == .moderation && row.cost == .zero && row.flags == .estimated && row.usage.input > 0)
        }
    }

    @Test("reranks, by Cohere's searches", arguments: ["/v1/rerank", "/v2/rerank", "/rerank"])
    func rerank(path: String) async throws {
        try await withUnits("rerank-v3.5", provider: "cohere") { gateway, provider in
            let client = try gateway.post(path, #"{"model":"chat","query":"q","documents":["a","b"],"top_n":1}"#)
            let connection = try provider.accept()
            #expect(try connection.request().head.hasPrefix("POST /v2/rerank "))
            let answer =
                #"{"id":"r","results":[{"index":0,"relevance_score":0.9}],"meta":{"billed_units":{"search_units":3}}}"#
            try connection.answer(answer)
            #expect(try client.response().text == answer)
            let row = try #require(try gateway.rows().first)
            #expect(row.kind == .rerank && row.cost == NanoUSD(rawValue: 6_000_000) && row.flags == .measured)
        }
    }

    @Test("reranks, by tokens where the provider counts them", arguments: ["voyage", "jina_ai", "hosted_vllm"])
    func rerankTokens(provider name: String) async throws {
        let model = ["voyage": "rerank-2", "jina_ai": "jina-reranker-v2-base-multilingual"][name] ?? "bge"
        try await withUnits(model, provider: name) { gateway, provider in
            let client = try gateway.post("/v1/rerank", #"{"model":"chat","query":"q","documents":["a"]}"#)
            let connection = try provider.accept()
            #expect(try connection.request().head.hasPrefix("POST /rerank "))
            try connection.answer(#"{"data":[{"index":0,"relevance_score":0.4}],"usage":{"total_tokens":26}}"#)
            #expect(try client.response().status == 200)
            let row = try #require(try gateway.rows().first)
            #expect(row.usage.input == 26 && row.cost.rawValue == (name == "hosted_vllm" ? 0 : 26 * 50))
            #expect(row.flags.contains(.unpriced) == (name == "hosted_vllm"))
        }
    }

    // MARK: Refusals

    @Test("is refused where the provider does not serve it")
    func notServed() async throws {
        try await withUnits("claude-x", provider: "anthropic") { gateway, _ in
            let answer = try gateway.post("/v1/images/generations", #"{"model":"chat","prompt":"x"}"#).response()
            #expect(answer.status == 400 && answer.text.contains("does not serve /images/generations"))
            #expect(gateway.settled == 0)
        }
    }

    @Test("is refused when its form is malformed, or says one thing twice, and nothing is booked", arguments: 0..<9)
    func malformed(number: Int) async throws {
        let whole = Wire.audio()
        let text = String(decoding: Wire.form([FormField("model", "chat"), FormField("file", "x")]), as: UTF8.self)
        let forms: [(form: [UInt8], says: String)] = [
            (Array(whole.dropLast(6)), "lacks the last one"),
            (Array("hello".utf8), "delimiters"),
            (Wire.form([FormField("model", "chat"), FormField("model", "chat")]), "twice"),
            (Wire.form([FormField("model", "chat"), FormField("Model", "other")]), "letter case"),
            (Wire.form([FormField("model", "chat\r\nx")]), "no name"),
            (Wire.form([FormField("model", "chat"), FormField("n", "many")]), "whole number"),
            (Wire.form([FormField("file", "x")]), "names no model"),
            (Array(text.replacingOccurrences(of: "name=\"model\"", with: "name=\"mod\\el\"").utf8), "escapes"),
            (Array(text.replacingOccurrences(of: "form-data; name=\"file\"", with: "attachment").utf8), "form-data"),
        ]
        try await withUnits("whisper-1") { gateway, provider in
            let answer = try gateway.post("/v1/audio/transcriptions", form: forms[number].form).response()
            #expect(answer.status == 400 && answer.text.contains(forms[number].says), "\(answer.text)")
            #expect(gateway.settled == 0)
            #expect(try provider.staysUnused(for: .milliseconds(20)))
        }
    }

    @Test("is refused without a provider")
    func builtIn() async throws {
        try await withGateway { setup, port in
            setup.deployments = []
            setup.add("chat", port: port, answer: .demo)
        } _: { gateway, _ in
            let answer = try gateway.post("/v1/audio/speech", #"{"model":"chat","input":"x"}"#).response()
            #expect(answer.status == 400 && answer.text.contains("without a provider"))
        }
    }
}
