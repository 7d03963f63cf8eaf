import GatewayCore
import GatewayDataPlane
import GatewayRouting
import TestSupport
import Testing

@Suite("A caller that leaves", .serialized)
struct CallerLeavingTests {
    @Test(
        "before the answer's head is charged the input, and the provider's work is cancelled", arguments: [false, true])
    func beforeHead(byReset: Bool) async throws {
        try await withGateway { gateway, provider in
            let client = try gateway.call()
            let connection = try provider.accept()
            _ = try connection.request()
            if byReset { client.socket.reset() } else { client.close() }
            #expect(connection.isLeft())
            #expect(try gateway.rows(1).map(\.settled) == [.estimated(.callerLeft, status: 0, isError: false)])
        }
    }

    @Test("in the middle of a held answer is charged the input")
    func midBody() async throws {
        try await withGateway { gateway, provider in
            let client = try gateway.call()
            let connection = try provider.accept()
            _ = try connection.request()
            try connection.send("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{\"id\":")
            client.close()
            #expect(connection.isLeft())
            let row = try gateway.rows(1)[0].settled
            #expect(row.outcome == .callerLeft && row.flags == .estimated && row.input == Wire.promptTokens)
        }
    }

    @Test("when the answer was whole but for its framing is charged what the provider reported")
    func wholeButFraming() async throws {
        try await withGateway { gateway, provider in
            let client = try gateway.call()
            let connection = try provider.accept()
            _ = try connection.request()
            let body = Wire.completion()
            try connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            try connection.chunk(body)
            gateway.turnLoop()
            client.close()
            #expect(connection.isLeft())
            let row = try gateway.rows(1)[0].settled
            #expect(row.outcome == .callerLeft && row.flags == .measured && row.cost == 114_000)
        }
    }

    @Test("in the middle of a stream is charged what was generated so far")
    func midStream() async throws {
        try await withGateway { gateway, provider in
            let client = try gateway.call(Wire.chat(stream: true))
            let connection = try provider.accept()
            _ = try connection.request()
            try connection.startStream()
            try connection.chunk(Wire.delta("0123456789abcdef"))
            _ = try client.head(before: Deadline(within: .seconds(10)))
            _ = try client.chunk(before: Deadline(within: .seconds(10)))
            client.close()
            #expect(connection.isLeft())
            #expect(
                try gateway.rows(1).map(\.settled)
                    == [.estimated(.callerLeft, outputBytes: 16, status: 200, isError: false)])
        }
    }

    @Test("after the stream said that it was done is charged what was reported")
    func afterDone() async throws {
        try await withGateway { gateway, provider in
            let client = try gateway.call(Wire.chat(stream: true))
            let connection = try provider.accept()
            _ = try connection.request()
            try connection.startStream()
            try connection.chunk(Wire.delta("Hi") + Wire.finish + Wire.usageEvent() + Wire.done)
            _ = try client.head(before: Deadline(within: .seconds(10)))
            _ = try client.chunk(before: Deadline(within: .seconds(10)))
            client.close()
            #expect(connection.isLeft())
            #expect(try gateway.rows(1).map(\.settled) == [.measured])
        }
    }

    @Test("while it waits for a place frees it and is not booked")
    func whileWaiting() async throws {
        try await withGateway { setup, port in
            setup.deployments = []
            setup.add("chat", port: port, inFlightMax: 1, waitingMax: 1)
        } _: { gateway, provider in
            let first = try gateway.call()
            let connection = try provider.accept()
            _ = try connection.request()
            let second = try gateway.call()
            try waitUntil("a call to wait") { gateway.snapshot.places == (1, 1) }
            second.close()
            try waitUntil("its place to be free") { gateway.snapshot.places == (1, 0) }
            let third = try gateway.call()
            try waitUntil("the next to wait") { gateway.snapshot.places == (1, 1) }
            try connection.answer(Wire.completion())
            #expect(try first.response().status == 200)
            _ = try connection.request()
            try connection.answer(Wire.completion())
            #expect(try third.response().status == 200)
            #expect(try gateway.rows().map(\.settled) == [.measured, .measured])
        }
    }

    @Test("before a retry is not tried again")
    func whilePausing() async throws {
        try await withGateway { setup, _ in
            setup.retriesMax = 3
        } _: { gateway, provider in
            let client = try gateway.call()
            let connection = try provider.accept()
            _ = try connection.request()
            try connection.answer(Wire.error(), status: 500)
            _ = try gateway.rows(1)
            client.close()
            try waitUntil("the caller to be gone") { gateway.openConnections() == 0 }
            // The pause before the first retry ends within half a second.
            #expect(!connection.isLeft(within: .milliseconds(700)))
            #expect(try gateway.rows().map(\.settled) == [.refused(.upstreamRefused, status: 500)])
        }
    }

    @Test("while its provider is connected to is not booked")
    func whileConnecting() async throws {
        // A listener whose queue is full answers no connection.
        let full = try StreamSocket.listen(backlog: 0)
        let fillers = (0..<4).map { _ in try? StreamSocket.connect(port: full.localPort, within: .milliseconds(100)) }
        try await withGateway(GatewaySetup(port: full.localPort)) { gateway in
            let client = try gateway.call()
            try waitUntil("a place to be taken") { gateway.snapshot.places.taken == 1 }
            client.close()
            try waitUntil("the place to be free") { gateway.snapshot.places.taken == 0 }
            #expect(gateway.settled == 0)
        }
        for filler in fillers { filler?.close() }
        full.close()
    }
}
