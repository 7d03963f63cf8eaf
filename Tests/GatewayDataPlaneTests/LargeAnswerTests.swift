import GatewayCore
import GatewayDataPlane
import TestSupport
import Testing

@Suite("An answer too large to be held", .serialized)
struct LargeAnswerTests {
    private static func small(_ setup: inout GatewaySetup, _ port: Int) {
        setup.configuration.answerHeldBytesMax = 10_000
    }

    private static let body = Wire.completion(String(repeating: "w", count: 300_000))

    @Test("is relayed with the provider's length, and metered", arguments: [true, false])
    func withLength(isHTTP11: Bool) async throws {
        try await withGateway(Self.small) { gateway, provider in
            let client = try RawHTTPClient(port: gateway.port)
            let request = Wire.chat()
            try client.send(
                "POST /v1/chat/completions HTTP/1.\(isHTTP11 ? 1 : 0)\r\nHost: h\r\nx-api-key: sk-test\r\n"
                    + "Connection: keep-alive\r\nContent-Length: \(request.utf8.count)\r\n\r\n\(request)")
            let connection = try provider.accept()
            _ = try connection.request()
            try connection.answer(Self.body)
            let answer = try client.response()
            #expect(answer.text == Self.body)
            #expect(answer.header("content-length") == "\(Self.body.utf8.count)")
            #expect(try gateway.rows(1).map(\.settled) == [.measured])
            try client.send(gateway.requestBytes(Wire.chat()))
            _ = try connection.request()
            try connection.answer(Wire.completion())
            #expect(try client.response().text == Wire.completion())
        }
    }

    @Test(
        "is relayed in chunks when it has no length, or to the connection's end on HTTP/1.0", arguments: [true, false],
        [true, false])
    func withoutLength(isHTTP11: Bool, untilClose: Bool) async throws {
        try await withGateway(Self.small) { gateway, provider in
            let client = try RawHTTPClient(port: gateway.port)
            let request = Wire.chat()
            try client.send(
                "POST /v1/chat/completions HTTP/1.\(isHTTP11 ? 1 : 0)\r\nHost: h\r\nx-api-key: sk-test\r\n"
                    + "Content-Length: \(request.utf8.count)\r\n\r\n\(request)")
            let connection = try provider.accept()
            _ = try connection.request()
            if untilClose {
                try connection.send("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n\(Self.body)")
                connection.close()
            } else {
                try connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                try connection.chunk(Self.body)
                try connection.send("0\r\n\r\n")
            }
            let answer = try client.response()
            #expect(answer.text == Self.body)
            #expect(answer.end == (isHTTP11 ? .complete : .closed))
            #expect(try gateway.rows(1).map(\.settled) == [.measured])
        }
    }

    @Test(
        "that is cut ends uncleanly for the caller and is charged the input", arguments: [true, false], [true, false])
    func cut(isHTTP11: Bool, hasLength: Bool) async throws {
        try await withGateway(Self.small) { gateway, provider in
            let client = try RawHTTPClient(port: gateway.port)
            let request = Wire.chat()
            try client.send(
                "POST /v1/chat/completions HTTP/1.\(isHTTP11 ? 1 : 0)\r\nHost: h\r\nx-api-key: sk-test\r\n"
                    + "Content-Length: \(request.utf8.count)\r\n\r\n\(request)")
            let connection = try provider.accept()
            _ = try connection.request()
            let half = String(Self.body.prefix(100_000))
            if hasLength {
                try connection.send("HTTP/1.1 200 OK\r\nContent-Length: \(Self.body.utf8.count)\r\n\r\n\(half)")
            } else {
                try connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                try connection.chunk(half)
            }
            _ = try client.head(before: Deadline(within: .seconds(10)))
            connection.close()
            let row = try gateway.rows(1)[0].settled
            #expect(row.outcome == .upstreamCut && row.flags == [.estimated, .error] && row.input == Wire.promptTokens)
            if !isHTTP11, !hasLength {
                #expect(client.endsWithReset())
            } else {
                #expect(client.endsUncleanly())
            }
        }
    }

    @Test("and reports no usage is counted from its bytes, also when it is cut", arguments: [false, true])
    func withoutUsage(isCut: Bool) async throws {
        try await withGateway(Self.small) { gateway, provider in
            let client = try gateway.call()
            let connection = try provider.accept()
            _ = try connection.request()
            let body = Wire.completion(String(repeating: "w", count: 100_000), usage: nil)
            let length = body.utf8.count + (isCut ? 1 : 0)
            try connection.send("HTTP/1.1 200 OK\r\nContent-Length: \(length)\r\n\r\n\(body)")
            connection.close()
            #expect(try client.response().end == (isCut ? .cut : .complete))
            #expect(
                try gateway.rows(1).map(\.settled) == [
                    .estimated(
                        isCut ? .upstreamCut : .finished, outputBytes: Int64(body.utf8.count), status: 200,
                        isError: isCut)
                ])
        }
    }

    @Test("with an error inside a 200 is booked as a refusal, as a small one is")
    func errorInside() async throws {
        try await withGateway(Self.small) { gateway, provider in
            let client = try gateway.call()
            let connection = try provider.accept()
            _ = try connection.request()
            let body = Wire.error(String(repeating: "w", count: 100_000))
            try connection.answer(body)
            #expect(try client.response().text == body)
            #expect(try gateway.rows(1).map(\.settled) == [.refused(.upstreamRefused, status: 200)])
        }
    }

    @Test("and is an error is a refusal all the same, without the provider's words")
    func largeError() async throws {
        try await withGateway(Self.small) { gateway, provider in
            let client = try gateway.call()
            let connection = try provider.accept()
            _ = try connection.request()
            try connection.answer(Wire.error(String(repeating: "e", count: 20_000)), status: 400)
            let answer = try client.response()
            #expect(answer.status == 400)
            #expect(answer.openAIError != nil)
            #expect(answer.body.count < 1000)
            #expect(try gateway.rows().map(\.settled) == [.refused(.upstreamRefused, status: 400)])
        }
    }

    @Test("because of one endless event of a stream ends the stream with an error")
    func largeEvent() async throws {
        try await withGateway(Self.small) { gateway, provider in
            let client = try gateway.call(Wire.chat(stream: true))
            let connection = try provider.accept()
            _ = try connection.request()
            try connection.startStream()
            let piece = Array(chunked(String(repeating: "x", count: 60_000)).utf8)
            try connection.chunk("data: {\"x\":\"")
            _ = connection.socket.writeAsMuchAsFits(piece, bytesMax: 12 << 20)
            let answer = try client.response()
            #expect(answer.end == .cut)
            #expect(answer.events.count == 1)
            #expect(answer.text.contains("upstream_error"))
            #expect(try gateway.rows(1).map(\.outcome) == [.responseInvalid])
        }
    }
}

@Suite("A provider's connection", .serialized)
struct UpstreamConnectionTests {
    private static func serve(_ gateway: TestGateway, _ client: RawHTTPClient, _ connection: ProviderConnection) throws
    {
        try client.send(gateway.requestBytes(Wire.chat()))
        _ = try connection.request()
        try connection.answer(Wire.completion())
        #expect(try client.response().status == 200)
    }

    @Test("is used again, also by another caller")
    func reuse() async throws {
        try await withGateway { gateway, provider in
            let client = try gateway.call()
            let connection = try provider.accept()
            _ = try connection.request()
            try connection.answer(Wire.completion())
            #expect(try client.response().status == 200)
            try Self.serve(gateway, client, connection)
            try Self.serve(gateway, RawHTTPClient(port: gateway.port), connection)
            #expect(try provider.staysUnused(for: .milliseconds(50)))
        }
    }

    @Test("that the provider has closed while idle is not used again, and no call is lost to it")
    func stale() async throws {
        try await withGateway { gateway, provider in
            let client = try RawHTTPClient(port: gateway.port)
            for _ in 0..<20 {
                try client.send(gateway.requestBytes(Wire.chat()))
                let connection = try provider.accept()
                _ = try connection.request()
                try connection.answer(Wire.completion())
                connection.close()
                #expect(try client.response().status == 200)
                gateway.turnLoop()
            }
            #expect(try gateway.rows().map(\.outcome) == Array(repeating: .finished, count: 20))
        }
    }

    @Test(
        "is not used again after an answer that says so, has something behind it, or ends with it",
        arguments: [
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}",
            "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n",
            "HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\nevil",
        ])
    func notReused(answer: String) async throws {
        try await withGateway { gateway, provider in
            let client = try gateway.call()
            let first = try provider.accept()
            _ = try first.request()
            try first.send(answer)
            #expect((200..<300).contains(try client.response().status))
            #expect(first.isLeft())
            try client.send(gateway.requestBytes(Wire.chat()))
            let second = try provider.accept()
            _ = try second.request()
            try second.answer(Wire.completion())
            #expect(try client.response().text == Wire.completion())
        }
    }

    @Test("that ended in the turn of the loop that brings the next call is not used for it", arguments: [false, true])
    func endsInTheSameTurn(isReset: Bool) async throws {
        let clock = GatedClock()
        try await withGateway { setup, _ in
            setup.clock = clock
        } _: { gateway, provider in
            for round in 0..<5 {
                let client = try gateway.call()
                let connection = try provider.accept()
                _ = try connection.request()
                try client.send(gateway.requestBytes(Wire.chat()))
                // The answer, the end of the connection and the next request are all there when the loop goes on.
                try clock.close()
                try connection.answer(Wire.completion())
                try connection.socket.closeAndArrive(isReset: isReset)
                clock.open()
                #expect(try client.response().status == 200, "round \(round)")
                guard let next = try provider.acceptNow(within: .seconds(10)) else {
                    Issue.record("round \(round): no new connection, but \(try client.response())")
                    return
                }
                _ = try next.request()
                try next.answer(Wire.completion(), headers: ["Connection: close"])
                #expect(try client.response().status == 200, "round \(round)")
            }
        }
    }

    @Test("on which bytes follow an answer without a body is not used for the next call", arguments: [false, true])
    func surplus(isRetry: Bool) async throws {
        try await withGateway { setup, port in
            if isRetry {
                setup.add("chat", port: port)
                setup.retriesMax = 1
            }
        } _: { gateway, provider in
            let client = try gateway.call()
            if !isRetry { try client.send(gateway.requestBytes(Wire.chat())) }
            let connection = try provider.accept()
            _ = try connection.request()
            gateway.turnLoop()
            let foreign = Wire.completion("somebody else's")
            try connection.send(
                "HTTP/1.1 \(isRetry ? 500 : 200) Scripted\r\nContent-Length: 0\r\n\r\n"
                    + "HTTP/1.1 200 OK\r\nContent-Length: \(foreign.utf8.count)\r\n\r\n\(foreign)")
            if !isRetry { #expect(try client.response().body.isEmpty) }
            let next = try provider.accept()
            _ = try next.request()
            try next.answer(Wire.completion("mine"))
            #expect(try client.response().text == Wire.completion("mine"))
        }
    }

    @Test("on which bytes come unasked is not used again")
    func unaskedBytes() async throws {
        try await withGateway { gateway, provider in
            let client = try gateway.call()
            let first = try provider.accept()
            _ = try first.request()
            try first.answer(Wire.completion())
            #expect(try client.response().status == 200)
            try first.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
            #expect(first.isLeft())
            try client.send(gateway.requestBytes(Wire.chat()))
            let second = try provider.accept()
            _ = try second.request()
            try second.answer(Wire.completion())
            #expect(try client.response().text == Wire.completion())
        }
    }

    @Test("whose answer came before the request was sent whole is not used again")
    func earlyAnswer() async throws {
        try await withGateway { gateway, provider in
            let client = try RawHTTPClient(port: gateway.port)
            let pad = String(repeating: "p", count: 20 << 20)
            try client.send(gateway.requestBytes(Wire.chat(extra: ",\"pad\":\"\(pad)\"")))
            let first = try provider.accept()
            _ = try first.requestHead()
            try first.answer(Wire.error("too much"), status: 413)
            let answer = try client.response()
            #expect(answer.status == 413)
            #expect(answer.text == Wire.error("too much"))
            try client.send(gateway.requestBytes(Wire.chat()))
            let second = try provider.accept()
            _ = try second.request()
            try second.answer(Wire.completion())
            #expect(try client.response().text == Wire.completion())
            #expect(try gateway.rows().map(\.outcome) == [.upstreamRefused, .finished])
        }
    }

    @Test("may say 100 and 103 before its answer, but not change the protocol")
    func interim() async throws {
        try await withGateway { gateway, provider in
            let client = try gateway.call()
            let connection = try provider.accept()
            _ = try connection.request()
            try connection.send("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n")
            try connection.answer(Wire.completion())
            #expect(try client.response().text == Wire.completion())
            try client.send(gateway.requestBytes(Wire.chat()))
            _ = try connection.request()
            try connection.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n")
            #expect(try client.response().status == 502)
            #expect(connection.isLeft())
        }
    }

    @Test("may give its answer byte by byte", arguments: [false, true])
    func byteByByte(isStream: Bool) async throws {
        try await withGateway { gateway, provider in
            let client = try gateway.call(Wire.chat(stream: isStream))
            let connection = try provider.accept()
            _ = try connection.request()
            let events = Wire.delta("a") + Wire.finish + Wire.usageEvent() + Wire.done
            let text =
                isStream
                ? "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
                    + chunked(String(events.prefix(50))) + chunked(String(events.dropFirst(50))) + "0\r\n\r\n"
                : "HTTP/1.1 200 OK\r\nContent-Length: \(Wire.completion().utf8.count)\r\n\r\n\(Wire.completion())"
            for byte in text.utf8 {
                try connection.socket.write([byte], before: Deadline(within: .seconds(5)))
                _ = gateway.metrics()
            }
            let answer = try client.response()
            #expect(answer.text == (isStream ? Wire.delta("a") + Wire.finish + Wire.done : Wire.completion()))
            #expect(try gateway.rows(1).map(\.settled) == [.measured])
        }
    }
}
