import GatewayCore
import GatewayDataPlane
import TestSupport
import Testing

/// What a row of the ledger says of an attempt.
struct Settled: Equatable, CustomStringConvertible {
    var outcome: AttemptOutcome
    var flags: UsageFlags
    var input: Int64
    var output: Int64
    var cost: Int64
    var status: UInt16
    var attempt: UInt8 = 0

    var description: String {
        "\(self.outcome.name) \(self.flags.names) \(self.input)+\(self.output) tokens \(self.cost) nanos status "
            + "\(self.status) attempt \(self.attempt)"
    }
}

extension UsageEvent {
    var settled: Settled {
        Settled(
            outcome: self.outcome, flags: self.flags, input: self.usage.input, output: self.usage.output,
            cost: self.cost.rawValue, status: self.status, attempt: self.attempt)
    }
}

extension Settled {
    /// Finished, with the usage that `Wire` reports.
    static let measured = Settled(
        outcome: .finished, flags: .measured, input: 100, output: 7, cost: 114_000, status: 200)

    /// Nothing charged.
    static func refused(_ outcome: AttemptOutcome, status: UInt16, attempt: UInt8 = 0) -> Settled {
        Settled(
            outcome: outcome, flags: [.measured, .error], input: 0, output: 0, cost: 0, status: status, attempt: attempt
        )
    }

    /// Input estimated from the request of `Wire.chat()`, output from `bytes` of text.
    static func estimated(
        _ outcome: AttemptOutcome, outputBytes: Int64 = 0, status: UInt16, isError: Bool, attempt: UInt8 = 0
    ) -> Settled {
        let output = (outputBytes + 3) / 4
        return Settled(
            outcome: outcome, flags: isError ? [.estimated, .error] : .estimated, input: Wire.promptTokens,
            output: output, cost: Wire.promptTokens * 1000 + output * 2000, status: status, attempt: attempt)
    }
}

extension TestGateway {
    /// A connection with a chat request already sent.
    func call(_ body: String = Wire.chat(), headers: [String] = [], path: String = "/v1/chat/completions") throws
        -> RawHTTPClient
    {
        let client = try RawHTTPClient(port: self.port)
        try client.send(self.requestBytes(body, headers: headers, path: path))
        return client
    }

    func requestBytes(_ body: String, headers: [String] = [], path: String = "/v1/chat/completions") -> [UInt8] {
        RawHTTPClient.bytes("POST", path, headers: ["Authorization: Bearer \(Self.key)"] + headers, body: body)
    }
}

@Suite("The row of an attempt", .serialized)
struct SettlementTests {
    @Test("that finished with usage is measured, and its cost stands in the answer's headers")
    func finished() async throws {
        try await withGateway { gateway, provider in
            let client = try gateway.call()
            let connection = try provider.accept()
            _ = try connection.request()
            try connection.answer(Wire.completion())
            let answer = try client.response()
            #expect(answer.text == Wire.completion())
            #expect(answer.header("x-litellm-response-cost") == "0.000114")
            #expect(answer.header("x-litellm-key-spend") == "0.000114")
            #expect(try gateway.rows().map(\.settled) == [.measured])
        }
    }

    @Test("that finished without usage is counted from the bytes")
    func withoutUsage() async throws {
        try await withGateway { gateway, provider in
            let client = try gateway.call()
            let connection = try provider.accept()
            _ = try connection.request()
            try connection.answer(Wire.completion("0123456789", usage: nil))
            #expect(try client.response().status == 200)
            #expect(
                try gateway.rows().map(\.settled)
                    == [.estimated(.finished, outputBytes: 10, status: 200, isError: false)])
        }
    }

    @Test("at a model without a price costs nothing and says so")
    func unpriced() async throws {
        try await withGateway { setup, _ in
            setup.isPriced = false
        } _: { gateway, provider in
            let client = try gateway.call()
            let connection = try provider.accept()
            _ = try connection.request()
            try connection.answer(Wire.completion())
            #expect(try client.response().header("x-litellm-response-cost") == "0")
            let row = try gateway.rows()[0].settled
            #expect(row.flags == [.measured, .unpriced] && row.cost == 0 && row.input == 100)
        }
    }

    @Test("of a stream is measured by the usage that was asked for, which the caller does not see")
    func stream() async throws {
        try await withGateway { gateway, provider in
            let client = try gateway.call(Wire.chat(stream: true))
            let connection = try provider.accept()
            let options = try connection.request().json["stream_options"] as? [String: Any]
            #expect(options?["include_usage"] as? Bool == true)
            try connection.startStream()
            try connection.chunk(Wire.delta("Hi"))
            try connection.chunk(Wire.finish)
            try connection.chunk(Wire.usageEvent())
            try connection.chunk(Wire.done)
            try connection.send("0\r\n\r\n")
            let answer = try client.response()
            #expect(answer.text == Wire.delta("Hi") + Wire.finish + Wire.done)
            #expect(answer.end == .complete)
            let row = try #require(try gateway.rows(1).first)
            #expect(row.settled == .measured)
            #expect(row.isStream)
        }
    }

    @Test("of a stream without usage is counted from its text")
    func streamWithoutUsage() async throws {
        try await withGateway { gateway, provider in
            let client = try gateway.call(Wire.chat(stream: true))
            let connection = try provider.accept()
            _ = try connection.request()
            try connection.startStream()
            try connection.chunk(Wire.delta("01234567") + Wire.finish + Wire.done)
            try connection.send("0\r\n\r\n")
            #expect(try client.response().end == .complete)
            #expect(
                try gateway.rows(1).map(\.settled) == [
                    .estimated(.finished, outputBytes: 8, status: 200, isError: false)
                ])
        }
    }

    @Test("that the provider refused costs nothing", arguments: [400, 401, 404, 422, 429, 500, 503])
    func refused(status: Int) async throws {
        try await withGateway { gateway, provider in
            let client = try gateway.call()
            let connection = try provider.accept()
            _ = try connection.request()
            try connection.answer(Wire.error(), status: status)
            let answer = try client.response()
            #expect(answer.status == status)
            #expect(answer.openAIError != nil)
            if status != 401 { #expect(answer.text == Wire.error()) }
            #expect(try gateway.rows().map(\.settled) == [.refused(.upstreamRefused, status: UInt16(status))])
        }
    }

    @Test("that the provider redirects is refused, and the caller gets no redirect", arguments: [301, 302, 304, 307])
    func redirected(status: Int) async throws {
        try await withGateway { gateway, provider in
            let client = try gateway.call()
            let connection = try provider.accept()
            _ = try connection.request()
            let length = status == 304 ? "" : "Content-Length: 2\r\n"
            try connection.send(
                "HTTP/1.1 \(status) Elsewhere\r\nLocation: http://example.com/\r\n\(length)\r\n"
                    + (status == 304 ? "" : "no"))
            let answer = try client.response()
            #expect(answer.status == 502)
            #expect(answer.openAIError != nil)
            #expect(answer.header("location") == nil)
            #expect(try gateway.rows().map(\.settled) == [.refused(.upstreamRefused, status: UInt16(status))])
            // The connection still works: nothing of the answer was left on it.
            try client.send(gateway.requestBytes(Wire.chat("nothing")))
            #expect(try client.response().status == 400)
        }
    }

    @Test("with an error inside a 200 costs nothing and is flagged")
    func errorInside200() async throws {
        try await withGateway { gateway, provider in
            let client = try gateway.call()
            let connection = try provider.accept()
            _ = try connection.request()
            try connection.answer(Wire.error())
            #expect(try client.response().text == Wire.error())
            #expect(try gateway.rows().map(\.settled) == [.refused(.upstreamRefused, status: 200)])
        }
    }

    @Test("with an error inside a stream is flagged and charged for what came")
    func errorInStream() async throws {
        try await withGateway { gateway, provider in
            let client = try gateway.call(Wire.chat(stream: true))
            let connection = try provider.accept()
            _ = try connection.request()
            try connection.startStream()
            try connection.chunk(Wire.delta("01234567"))
            try connection.chunk("data: \(Wire.error())\n\n")
            try connection.send("0\r\n\r\n")
            #expect(try client.response().text == Wire.delta("01234567") + "data: \(Wire.error())\n\n")
            #expect(
                try gateway.rows(1).map(\.settled)
                    == [.estimated(.upstreamCut, outputBytes: 8, status: 200, isError: true)])
        }
    }

    @Test("with the status 204 is passed on without a body")
    func noContent() async throws {
        try await withGateway { gateway, provider in
            let client = try gateway.call()
            let connection = try provider.accept()
            for _ in 0..<2 {
                _ = try connection.request()
                try connection.send("HTTP/1.1 204 No Content\r\nContent-Type: text/event-stream\r\n\r\n")
                let answer = try client.response()
                #expect(answer.status == 204)
                #expect(answer.header("transfer-encoding") == nil)
                #expect(answer.header("content-length") == nil)
                try client.send(gateway.requestBytes(Wire.chat()))
            }
            _ = try connection.request()
            try connection.answer(Wire.completion())
            #expect(try client.response().text == Wire.completion())
            #expect(
                try gateway.rows().map(\.settled.outcome) == [.finished, .finished, .finished])
        }
    }

    @Test("of an embedding has no output")
    func embedding() async throws {
        try await withGateway { gateway, provider in
            let client = try gateway.call("{\"model\":\"chat\",\"input\":\"hello\"}", path: "/v1/embeddings")
            let connection = try provider.accept()
            #expect(try connection.request().head.hasPrefix("POST /v1/embeddings HTTP/1.1\r\n"))
            try connection.answer(
                "{\"object\":\"list\",\"data\":[],\"usage\":{\"prompt_tokens\":9,\"total_tokens\":9}}")
            #expect(try client.response().status == 200)
            let row = try gateway.rows()[0]
            #expect(row.settled.input == 9 && row.settled.output == 0 && row.settled.cost == 9000)
            #expect(row.kind == .embedding)
        }
    }
}
