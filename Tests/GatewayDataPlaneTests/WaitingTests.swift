import GatewayCore
import GatewayDataPlane
import TestSupport
import Testing

@Suite("Calls beyond the places of a deployment", .serialized)
struct WaitingTests {
    private static func setup(waitingMax: Int, timeout: Duration = .seconds(30))
        -> @Sendable (inout GatewaySetup, Int) -> Void
    {
        { setup, port in
            setup.deployments = []
            setup.add("chat", port: port, inFlightMax: 1, waitingMax: waitingMax)
            setup.configuration.waitingTimeout = timeout
        }
    }

    @Test("are served one at a time, in the order they came")
    func inOrder() async throws {
        try await withGateway(Self.setup(waitingMax: 20)) { gateway, provider in
            var clients: [RawHTTPClient] = []
            for number in 0..<20 {
                clients.append(try gateway.call(Wire.chat(extra: ",\"user\":\"\(number)\"")))
                let waiting = number
                try waitUntil("call \(number) to be in its place") { gateway.snapshot.places == (1, waiting) }
            }
            let connection = try provider.accept()
            for (number, client) in clients.enumerated() {
                #expect(try connection.request().json["user"] as? String == "\(number)")
                #expect(gateway.snapshot.places.taken == 1)
                try connection.answer(Wire.completion())
                #expect(try client.response().status == 200)
            }
            #expect(try gateway.rows().map(\.outcome) == Array(repeating: .finished, count: 20))
        }
    }

    @Test("do not lose their place to one that comes when a place becomes free")
    func noOvertaking() async throws {
        try await withGateway(Self.setup(waitingMax: 5)) { gateway, provider in
            let first = try gateway.call(Wire.chat(extra: ",\"user\":\"first\""))
            let connection = try provider.accept()
            _ = try connection.request()
            let second = try gateway.call(Wire.chat(extra: ",\"user\":\"second\""))
            try waitUntil("the second to wait") { gateway.snapshot.places == (1, 1) }
            // Pipelined behind the first: it begins the moment the first one's place is free.
            try first.send(gateway.requestBytes(Wire.chat(extra: ",\"user\":\"third\"")))
            gateway.turnLoop()
            for user in ["second", "third"] {
                try connection.answer(Wire.completion())
                #expect(try connection.request().json["user"] as? String == user)
            }
            try connection.answer(Wire.completion())
            #expect(try first.response().status == 200)
            #expect(try first.response().status == 200)
            #expect(try second.response().status == 200)
        }
    }

    @Test("are refused when too many wait already")
    func bound() async throws {
        try await withGateway(Self.setup(waitingMax: 2)) { gateway, provider in
            let first = try gateway.call()
            let connection = try provider.accept()
            _ = try connection.request()
            let waiting = [try gateway.call(), try gateway.call()]
            try waitUntil("two calls to wait") { gateway.snapshot.places == (1, 2) }
            let refused = try gateway.call().response()
            #expect(refused.status == 429)
            #expect(refused.header("retry-after") == "1")
            #expect((refused.openAIError?["message"] as? String)?.hasPrefix("Rate limit exceeded") == true)
            #expect(gateway.snapshot.places == (1, 2))
            for client in [first] + waiting {
                try connection.answer(Wire.completion())
                #expect(try client.response().status == 200)
                if client !== waiting[1] { _ = try connection.request() }
            }
            #expect(gateway.settled == 3)
        }
    }

    @Test("are refused when no place becomes free in time, and leave the queue")
    func timeout() async throws {
        try await withGateway(Self.setup(waitingMax: 2, timeout: .milliseconds(200))) { gateway, provider in
            let first = try gateway.call()
            let connection = try provider.accept()
            _ = try connection.request()
            let late = try gateway.call().response()
            #expect(late.status == 429)
            #expect(gateway.snapshot.places == (1, 0))
            try connection.answer(Wire.completion())
            #expect(try first.response().status == 200)
            #expect(gateway.settled == 1)
        }
    }

    /// `chat` and `second` have one place each and nobody may wait for it; `third` has more.
    private static func narrow(_ setup: inout GatewaySetup, _ port: Int) {
        setup.deployments = []
        setup.add("chat", port: port, inFlightMax: 1, waitingMax: 0)
        setup.add("second", port: port, inFlightMax: 1, waitingMax: 0)
        setup.add("third", port: port)
        setup.fallbacks = [("chat", ["second", "third"])]
    }

    @Test("go to the next group that theirs falls back to, when too many wait already")
    func fallsBack() async throws {
        try await withGateway(Self.narrow) { gateway, provider in
            var clients: [RawHTTPClient] = []
            var connections: [ProviderConnection] = []
            for model in ["up-chat", "up-second", "up-third"] {
                clients.append(try gateway.call())
                connections.append(try provider.accept())
                #expect(try connections.last?.request().json["model"] as? String == model)
            }
            for (client, connection) in zip(clients, connections) {
                try connection.answer(Wire.completion())
                let answer = try client.response()
                #expect(answer.status == 200)
                // What was not sent is no attempt.
                #expect(answer.header("x-litellm-attempted-retries") == nil)
            }
            #expect(try gateway.rows().map(\.settled) == [.measured, .measured, .measured])
        }
    }

    @Test("pass by a full group after a failure, too, and count only what was sent")
    func fallsBackAfterFailure() async throws {
        try await withGateway(Self.narrow) { gateway, provider in
            let blocking = try gateway.call(Wire.chat("second"))
            let second = try provider.accept()
            _ = try second.request()
            let client = try gateway.call()
            let first = try provider.accept()
            _ = try first.request()
            try first.answer(Wire.error(), status: 500)
            #expect(try first.request().json["model"] as? String == "up-third")
            try first.answer(Wire.completion())
            let answer = try client.response()
            #expect(answer.header("x-litellm-attempted-retries") == "1")
            #expect(try gateway.rows().map(\.attempt) == [0, 1])
            try second.answer(Wire.completion())
            #expect(try blocking.response().status == 200)
        }
    }

    @Test("are sent to a deployment of their group that has a place, though the one picked has none")
    func otherDeployment() async throws {
        try await withGateway { setup, port in
            setup.deployments = []
            setup.add("chat", port: port, id: "one", inFlightMax: 1, waitingMax: 0)
            setup.add("chat", port: port, id: "two", inFlightMax: 1, waitingMax: 0)
        } _: { gateway, provider in
            for _ in 0..<10 {
                let clients = [try gateway.call(), try gateway.call()]
                try waitUntil("both to be in flight") { gateway.snapshot.places.taken == 2 }
                let refused = try gateway.call().response()
                #expect(refused.status == 429)
                #expect(refused.header("retry-after") == "1")
                for _ in clients {
                    let connection = try provider.accept()
                    _ = try connection.request()
                    try connection.answer(Wire.completion(), headers: ["Connection: close"])
                }
                for client in clients { #expect(try client.response().status == 200) }
            }
            #expect(gateway.settled == 20)
        }
    }

    @Test("go to the next group when no place becomes free in time")
    func fallsBackAfterWaiting() async throws {
        try await withGateway { setup, port in
            setup.deployments = []
            setup.add("chat", port: port, inFlightMax: 1, waitingMax: 5)
            setup.add("second", port: port)
            setup.fallbacks = [("chat", ["second"])]
            setup.configuration.waitingTimeout = .milliseconds(200)
        } _: { gateway, provider in
            let blocking = try gateway.call()
            let first = try provider.accept()
            _ = try first.request()
            let client = try gateway.call()
            let second = try provider.accept()
            #expect(try second.request().json["model"] as? String == "up-second")
            #expect(gateway.snapshot.places == (2, 0))
            try second.answer(Wire.completion())
            #expect(try client.response().status == 200)
            try first.answer(Wire.completion())
            #expect(try blocking.response().status == 200)
            #expect(try gateway.rows().map(\.attempt) == [0, 0])
        }
    }

    @Test("get a place when the call before them ends in whatever way", arguments: 0..<4)
    func placeIsReturned(way: Int) async throws {
        try await withGateway(Self.setup(waitingMax: 2)) { gateway, provider in
            let first = try gateway.call()
            let connection = try provider.accept()
            _ = try connection.request()
            let second = try gateway.call()
            try waitUntil("the second to wait") { gateway.snapshot.places == (1, 1) }
            switch way {
            case 0: first.close()
            case 1: connection.close()
            case 2: try connection.send("no HTTP at all\r\n\r\n")
            default: try connection.answer(Wire.error(), status: 500)
            }
            let next = way == 3 ? connection : try provider.accept()
            _ = try next.request()
            try next.answer(Wire.completion())
            #expect(try second.response().status == 200)
        }
    }

    @Test("are served after the configuration has been replaced")
    func reload() async throws {
        try await withGateway(Self.setup(waitingMax: 2)) { gateway, provider in
            let first = try gateway.call()
            let connection = try provider.accept()
            _ = try connection.request()
            let second = try gateway.call()
            try waitUntil("the second to wait") { gateway.snapshot.places == (1, 1) }
            var setup = GatewaySetup()
            setup.add("chat", port: provider.port, inFlightMax: 1, waitingMax: 2)
            gateway.server.replace(try TestGateway.snapshot(setup, former: gateway.snapshot))
            let third = try gateway.call()
            try waitUntil("the third to wait") { gateway.snapshot.places == (1, 2) }
            for client in [first, second, third] {
                try connection.answer(Wire.completion())
                #expect(try client.response().status == 200)
                if client !== third { _ = try connection.request() }
            }
        }
    }
}
