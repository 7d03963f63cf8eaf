import Foundation
import GatewayCore
import GatewayDataPlane
import TestSupport
import Testing

@Suite("Every end of a call for images, audio, moderation or rerank", .serialized)
struct UnitEndTests {
    private static let speech = #"{"model":"chat","input":"0123456789","voice":"alloy"}"#
    private static let speechCost = NanoUSD(rawValue: 10 * 15_000)
    private static let audioHead = "HTTP/1.1 200 OK\r\nContent-Type: audio/mpeg\r\nTransfer-Encoding: chunked\r\n\r\n"

    private func expect(
        _ gateway: TestGateway, _ outcome: AttemptOutcome, _ flags: UsageFlags, cost: NanoUSD
    ) throws {
        let row = try #require(try gateway.rows(1).last)
        #expect(row.outcome == outcome && row.flags == flags && row.cost == cost, "\(row)")
    }

    @Test("refused: the provider's error reaches the caller, and nothing is charged")
    func refused() async throws {
        try await withUnits("tts-1") { gateway, provider in
            let client = try gateway.post("/v1/audio/speech", Self.speech)
            let connection = try provider.accept()
            _ = try connection.request()
            try connection.answer(Wire.error("no such voice"), status: 422)
            let answer = try client.response()
            #expect(answer.status == 422 && answer.text.contains("no such voice"))
            try self.expect(gateway, .upstreamRefused, [.measured, .error], cost: .zero)
        }
    }

    @Test("refused and tried again: a row for each attempt, and the form is sent whole again")
    func retried() async throws {
        try await withUnits("whisper-1", retriesMax: 1) { gateway, provider in
            let client = try gateway.post("/v1/audio/transcriptions", form: Wire.audio(count: 9000))
            var connection = try provider.accept()
            let first = try connection.request().body
            try connection.answer(Wire.error(), status: 500, headers: ["Connection: close"])
            connection.close()
            connection = try provider.accept()
            #expect(try connection.request().body == first)
            try connection.answer(#"{"text":"x","usage":{"type":"duration","seconds":3}}"#)
            #expect(try client.response().status == 200)
            let rows = try gateway.rows(2)
            #expect(rows.map(\.cost.rawValue) == [0, 300_000])
            #expect(rows.map(\.flags) == [[.measured, .error], .measured])
        }
    }

    @Test("cut in the middle of the audio: the caller's connection ends without the last chunk, the text is charged")
    func cut() async throws {
        try await withUnits("tts-1") { gateway, provider in
            let client = try gateway.post("/v1/audio/speech", Self.speech)
            let connection = try provider.accept()
            _ = try connection.request()
            try connection.send(Self.audioHead)
            try connection.chunk("AAAA")
            let deadline = Deadline(within: .seconds(10))
            _ = try client.head(before: deadline)
            #expect(try client.chunk(before: deadline) == Array("AAAA".utf8))
            connection.close()
            #expect(throws: (any Error).self) { try client.chunk(before: deadline) }
            try self.expect(gateway, .upstreamCut, [.estimated, .error], cost: Self.speechCost)
        }
    }

    @Test("left by the caller in the middle of the audio: the provider's work ends, the text is charged")
    func callerLeft() async throws {
        try await withUnits("tts-1") { gateway, provider in
            let client = try gateway.post("/v1/audio/speech", Self.speech)
            let connection = try provider.accept()
            _ = try connection.request()
            try connection.send(Self.audioHead)
            try connection.chunk("AAAA")
            _ = try client.head(before: Deadline(within: .seconds(10)))
            client.close()
            #expect(connection.isLeft())
            try self.expect(gateway, .callerLeft, .estimated, cost: Self.speechCost)
        }
    }

    @Test("left by the caller before the images are there: they are charged as asked for")
    func leftBeforeAnswer() async throws {
        try await withUnits("gpt-image-1") { gateway, provider in
            let client = try gateway.post(
                "/v1/images/generations",
                #"{"model":"chat","prompt":"x","n":2,"size":"1024x1024","quality":"low"}"#)
            let connection = try provider.accept()
            _ = try connection.request()
            client.close()
            #expect(connection.isLeft())
            try self.expect(gateway, .callerLeft, .estimated, cost: NanoUSD(rawValue: 22_000_000))
        }
    }

    @Test("never reached: nothing is charged")
    func unreachable() async throws {
        try await withUnits("tts-1") { gateway, provider in
            provider.close()
            #expect(try gateway.post("/v1/audio/speech", Self.speech).response().status == 503)
            try self.expect(gateway, .connectFailed, [.measured, .error], cost: .zero)
        }
    }

    @Test("cut in a held answer: the caller gets an error, what was reported is charged")
    func cutHeld() async throws {
        try await withUnits("gpt-image-1") { gateway, provider in
            let client = try gateway.post("/v1/images/generations", #"{"model":"chat","prompt":"x"}"#)
            let connection = try provider.accept()
            _ = try connection.request()
            try connection.send(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
                    + #"{"usage":{"input_tokens":10,"output_tokens":100,"total_tokens":110},"data":[{"b64"#)
            connection.close()
            #expect(try client.response().status == 502)
            try self.expect(
                gateway, .upstreamCut, [.estimated, .error], cost: NanoUSD(rawValue: 10 * 5_000 + 100 * 40_000))
        }
    }

    @Test("an error inside the stream: it reaches the caller, and the row says that the attempt failed")
    func errorEvent() async throws {
        try await withUnits("gpt-4o-transcribe") { gateway, provider in
            let client = try gateway.post(
                "/v1/audio/transcriptions", form: Wire.audio(count: 8000, extra: [FormField("stream", "true")]))
            let connection = try provider.accept()
            _ = try connection.request()
            try connection.startStream()
            try connection.chunk("data: {\"type\":\"error\",\"error\":{\"message\":\"no\"}}\n\n")
            try connection.send("0\r\n\r\n")
            #expect(try client.response().text.contains("\"message\":\"no\""))
            try self.expect(gateway, .upstreamCut, [.estimated, .error], cost: NanoUSD(rawValue: 200_000))
        }
    }

    @Test("a stream without a length that ends before its last event is cut")
    func endlessStream() async throws {
        try await withUnits("gpt-4o-transcribe") { gateway, provider in
            let client = try gateway.post(
                "/v1/audio/transcriptions", form: Wire.audio(count: 8000, extra: [FormField("stream", "true")]))
            let connection = try provider.accept()
            _ = try connection.request()
            try connection.send(
                "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
                    + "data: {\"type\":\"transcript.text.delta\",\"delta\":\"hi\"}\n\n")
            let deadline = Deadline(within: .seconds(10))
            _ = try client.head(before: deadline)
            connection.close()
            #expect(throws: (any Error).self) {
                while try client.chunk(before: deadline) != nil {}
            }
            try self.expect(gateway, .upstreamCut, [.estimated, .error], cost: NanoUSD(rawValue: 200_000))
        }
    }

    @Test("an answer larger than is held: relayed, and booked by what it reports at its end")
    func large() async throws {
        try await withUnits("gpt-image-1") { gateway, provider in
            let client = try gateway.post("/v1/images/generations", #"{"model":"chat","prompt":"x"}"#)
            let connection = try provider.accept()
            _ = try connection.request()
            let image = String(repeating: "A", count: 6 << 20)
            let answer =
                "{\"data\":[{\"b64_json\":\"\(image)\"}],\"usage\":{\"input_tokens\":10,\"output_tokens\":100}}"
            try connection.answer(answer)
            #expect(try client.response().body.count == answer.utf8.count)
            try self.expect(
                gateway, .finished, .measured, cost: NanoUSD(rawValue: 10 * 5_000 + 100 * 40_000))
        }
    }

    @Test("an image model whose answer says the error inside a 200 is charged nothing")
    func errorInside() async throws {
        try await withUnits("gpt-image-1") { gateway, provider in
            let client = try gateway.post("/v1/images/generations", #"{"model":"chat","prompt":"x"}"#)
            let connection = try provider.accept()
            _ = try connection.request()
            try connection.answer(Wire.error())
            #expect(try client.response().text == Wire.error())
            try self.expect(gateway, .upstreamRefused, [.measured, .error], cost: .zero)
        }
    }
}
