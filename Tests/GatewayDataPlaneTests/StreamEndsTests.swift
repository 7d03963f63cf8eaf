import GatewayCore
import TestSupport
import Testing

@Suite("The end of a stream", .serialized)
struct StreamEndsTests {
    private static let lastEvents = Wire.finish + Wire.usageEvent() + Wire.done

    /// A call whose stream has begun: its caller has read the first event.
    private static func beginStream(
        _ gateway: TestGateway, _ provider: HandProvider
    ) throws -> (client: RawHTTPClient, connection: ProviderConnection) {
        let client = try gateway.call(Wire.chat(stream: true))
        let connection = try provider.accept()
        _ = try connection.request()
        try connection.startStream()
        try connection.chunk(Wire.delta("first"))
        let deadline = Deadline(within: .seconds(10))
        #expect(try client.head(before: deadline).status == 200)
        #expect(try client.chunk(before: deadline).map { String(decoding: $0, as: UTF8.self) } == Wire.delta("first"))
        return (client, connection)
    }

    /// What is left of the answer.
    private static func rest(of client: RawHTTPClient) throws -> String {
        let deadline = Deadline(within: .seconds(10))
        var text = ""
        while let chunk = try client.chunk(before: deadline) { text += String(decoding: chunk, as: UTF8.self) }
        return text
    }

    private static func end(of connection: ProviderConnection) throws {
        let size = String(Self.lastEvents.utf8.count, radix: 16)
        try connection.send("\(size)\r\n\(Self.lastEvents)\r\n0\r\n\r\n")
    }

    @Test("comes whole to every caller when more streams end at once than one turn of the loop takes")
    func manyAtOnce() async throws {
        let clock = GatedClock()
        try await withGateway { setup, _ in
            setup.clock = clock
        } _: { gateway, provider in
            let streams = try (0..<30).map { _ in try Self.beginStream(gateway, provider) }
            try clock.close()
            for stream in streams { try Self.end(of: stream.connection) }
            clock.open()
            for stream in streams {
                #expect(try Self.rest(of: stream.client) == Wire.finish + Wire.done)
                try stream.client.send(gateway.requestBytes(Wire.chat()))
            }
            // All of their connections are used again.
            for stream in streams {
                _ = try stream.connection.request()
                try stream.connection.answer(Wire.completion())
            }
            for stream in streams { #expect(try stream.client.response().status == 200) }
            #expect(try gateway.rows(60).map(\.outcome) == Array(repeating: .finished, count: 60))
        }
    }

    @Test(
        "whose connection ends with it reaches the caller, and the connection is not used for his next call",
        arguments: [false, true])
    func endsWithConnection(isReset: Bool) async throws {
        let clock = GatedClock()
        try await withGateway { setup, _ in
            setup.clock = clock
        } _: { gateway, provider in
            for round in 0..<5 {
                let (client, connection) = try Self.beginStream(gateway, provider)
                // Begins within the very step that relays the end.
                try client.send(gateway.requestBytes(Wire.chat()))
                gateway.turnLoop()
                try clock.close()
                try Self.end(of: connection)
                try connection.socket.closeAndArrive(isReset: isReset)
                clock.open()
                #expect(try Self.rest(of: client) == Wire.finish + Wire.done, "round \(round)")
                guard let next = try provider.acceptNow(within: .seconds(10)) else {
                    Issue.record("round \(round): no new connection, but \(try client.response())")
                    return
                }
                _ = try next.request()
                try next.answer(Wire.completion(), headers: ["Connection: close"])
                #expect(try client.response().status == 200, "round \(round)")
            }
            #expect(try gateway.rows(10).map(\.outcome) == Array(repeating: .finished, count: 10))
        }
    }

    @Test("settles a call whose caller left while it waited for its turn")
    func callerLeaves() async throws {
        let clock = GatedClock()
        try await withGateway { setup, _ in
            setup.clock = clock
        } _: { gateway, provider in
            let streams = try (0..<20).map { _ in try Self.beginStream(gateway, provider) }
            try clock.close()
            for stream in streams {
                try Self.end(of: stream.connection)
                stream.client.close()
            }
            clock.open()
            // Whichever of the two the loop came to first.
            let rows = try gateway.rows(20)
            #expect(rows.allSatisfy { $0.outcome == .finished || $0.outcome == .callerLeft })
        }
    }
}
