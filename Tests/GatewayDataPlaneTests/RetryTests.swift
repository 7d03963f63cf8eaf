import GatewayCore
import GatewayDataPlane
import TestSupport
import Testing

@Suite("A failed attempt", .serialized)
struct RetryTests {
    /// Two deployments in one group, so that the second try needs no pause.
    private static func pair(_ setup: inout GatewaySetup, _ port: Int) {
        setup.add("chat", port: port)
        setup.retriesMax = 1
    }

    @Test("is a row of its own, and the next one answers the caller", arguments: [408, 409, 429, 500, 503])
    func retries(status: Int) async throws {
        try await withGateway { setup, port in
            Self.pair(&setup, port)
        } _: { gateway, provider in
            let client = try gateway.call()
            let connection = try provider.accept()
            let first = try connection.request()
            try connection.answer(Wire.error(), status: status)
            let second = try connection.request()
            #expect(first.body == second.body)
            try connection.answer(Wire.completion())
            let answer = try client.response()
            #expect(answer.text == Wire.completion())
            #expect(answer.header("x-litellm-attempted-retries") == "1")
            var finished = Settled.measured
            finished.attempt = 1
            let rows = try gateway.rows()
            #expect(rows.map(\.settled) == [.refused(.upstreamRefused, status: UInt16(status)), finished])
            #expect(rows[0].requestID == rows[1].requestID)
            #expect(rows[0].route.deploymentID != rows[1].route.deploymentID)
        }
    }

    @Test("that will fail again is not repeated", arguments: [400, 401, 403, 404, 413, 422])
    func givesUp(status: Int) async throws {
        try await withGateway { setup, port in
            Self.pair(&setup, port)
        } _: { gateway, provider in
            let client = try gateway.call()
            let connection = try provider.accept()
            _ = try connection.request()
            try connection.answer(Wire.error(), status: status)
            #expect(try client.response().status == status)
            #expect(try gateway.rows().count == 1)
        }
    }

    @Test("in every deployment gives the caller the last failure, and every attempt its row")
    func allFail() async throws {
        try await withGateway { setup, port in
            Self.pair(&setup, port)
        } _: { gateway, provider in
            let client = try gateway.call()
            let first = try provider.accept()
            _ = try first.request()
            first.close()
            let second = try provider.accept()
            _ = try second.request()
            try second.answer(Wire.error("last"), status: 503, headers: ["Retry-After: 7"])
            let answer = try client.response()
            #expect(answer.status == 503)
            #expect(answer.text == Wire.error("last"))
            #expect(answer.header("retry-after") == "7")
            #expect(
                try gateway.rows().map(\.settled) == [
                    .estimated(.upstreamCut, status: 0, isError: true),
                    .refused(.upstreamRefused, status: 503, attempt: 1),
                ])
        }
    }

    @Test("to connect after a refusal tells the caller of the connection, not of the refusal before")
    func connectFailsLast() async throws {
        let dead = try StreamSocket.listen()
        let deadPort = dead.localPort
        dead.close()
        try await withGateway { setup, _ in
            setup.add("other", port: deadPort)
            setup.fallbacks = [("chat", ["other"])]
        } _: { gateway, provider in
            let client = try gateway.call()
            let connection = try provider.accept()
            _ = try connection.request()
            try connection.answer(Wire.error("the first"), status: 500)
            let answer = try client.response()
            #expect(answer.status == 503)
            #expect(answer.openAIError?["type"] as? String == "api_connection_error")
            #expect(!answer.headers.contains { $0.name.hasPrefix("llm_provider-") })
            #expect(
                try gateway.rows().map(\.settled) == [
                    .refused(.upstreamRefused, status: 500), .refused(.connectFailed, status: 0, attempt: 1),
                ])
        }
    }

    @Test("in one group is followed by the groups it falls back to, in order")
    func fallsBack() async throws {
        try await withGateway { setup, port in
            setup.add("second", port: port)
            setup.add("third", port: port)
            setup.fallbacks = [("chat", ["nowhere", "second", "third"])]
        } _: { gateway, provider in
            let client = try gateway.call()
            let connection = try provider.accept()
            for model in ["up-chat", "up-second"] {
                #expect(try connection.request().json["model"] as? String == model)
                try connection.answer(Wire.error(), status: 500)
            }
            #expect(try connection.request().json["model"] as? String == "up-third")
            try connection.answer(Wire.completion())
            let answer = try client.response()
            #expect(answer.status == 200)
            #expect(answer.header("x-litellm-model-group") == "third")
            #expect(try gateway.rows().map(\.route.modelGroup) == ["chat", "second", "third"])
        }
    }

    @Test("is not followed by a group that the key may not use")
    func fallbackNeedsRights() async throws {
        try await withGateway { setup, port in
            setup.add("second", port: port)
            setup.fallbacks = [("chat", ["second"])]
        } _: { gateway, provider in
            gateway.keys.set(TestGateway.record(TestGateway.key, number: 1, models: ["chat"]), startingSpend: .zero)
            let client = try gateway.call()
            let connection = try provider.accept()
            _ = try connection.request()
            try connection.answer(Wire.error(), status: 500)
            #expect(try client.response().status == 500)
            #expect(try gateway.rows().count == 1)
        }
    }

    @Test("of a stream that the caller has seen a byte of is not repeated")
    func notAfterTheFirstByte() async throws {
        try await withGateway { setup, port in
            Self.pair(&setup, port)
        } _: { gateway, provider in
            let client = try gateway.call(Wire.chat(stream: true))
            let connection = try provider.accept()
            _ = try connection.request()
            try connection.startStream()
            try connection.chunk(Wire.delta("Hi"))
            connection.close()
            let answer = try client.response()
            #expect(answer.end == .cut)
            #expect(answer.events.last.map { $0.contains("upstream_error") } == true)
            #expect(try provider.staysUnused(for: .milliseconds(100)))
            #expect(try gateway.rows().count == 1)
        }
    }

    @Test("to connect costs nothing")
    func connectFails() async throws {
        let dead = try StreamSocket.listen()
        let deadPort = dead.localPort
        dead.close()
        try await withGateway(GatewaySetup(port: deadPort)) { gateway in
            let answer = try gateway.call().response()
            #expect(answer.status == 503)
            #expect(answer.openAIError?["type"] as? String == "api_connection_error")
            #expect(try gateway.rows().map(\.settled) == [.refused(.connectFailed, status: 0)])
        }
    }

    @Test("to agree on TLS costs nothing, since nothing was sent", arguments: [false, true])
    func handshakeFails(saysSomething: Bool) async throws {
        try await withGateway { setup, port in
            setup.deployments = []
            setup.add("chat", port: port, isTLS: true)
        } _: { gateway, provider in
            let client = try gateway.call()
            let connection = try provider.accept()
            _ = try connection.socket.read(before: Deadline(within: .seconds(10)))
            if saysSomething { try connection.send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n") }
            connection.close()
            let answer = try client.response()
            #expect(answer.status == 503)
            #expect(try gateway.rows().map(\.settled) == [.refused(.connectFailed, status: 0)])
        }
    }

    @Test("to agree on TLS in time costs nothing")
    func handshakeHangs() async throws {
        try await withGateway { setup, port in
            setup.deployments = []
            setup.add("chat", port: port, isTLS: true)
            setup.configuration.connectTimeout = .milliseconds(300)
        } _: { gateway, provider in
            let client = try gateway.call()
            let connection = try provider.accept()
            #expect(try client.response().status == 503)
            #expect(connection.isLeft())
            #expect(try gateway.rows().map(\.settled) == [.refused(.connectFailed, status: 0)])
        }
    }
}
