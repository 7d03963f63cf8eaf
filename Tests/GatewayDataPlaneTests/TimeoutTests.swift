import GatewayCore
import GatewayDataPlane
import TestSupport
import Testing

@Suite("A provider that is too slow", .serialized)
struct TimeoutTests {
    @Test("to begin its answer ends the attempt as timed out")
    func firstByte() async throws {
        try await withGateway { setup, _ in
            setup.configuration.firstByteTimeout = .milliseconds(200)
        } _: { gateway, provider in
            let client = try gateway.call()
            let connection = try provider.accept()
            _ = try connection.request()
            let answer = try client.response()
            #expect(answer.status == 504)
            #expect(answer.openAIError?["type"] as? String == "timeout_error")
            #expect(connection.isLeft())
            #expect(try gateway.rows().map(\.settled) == [.estimated(.timedOut, status: 0, isError: true)])
        }
    }

    @Test("to go on with a held answer ends the attempt as timed out")
    func idleHeld() async throws {
        try await withGateway { setup, _ in
            setup.configuration.idleTimeout = .milliseconds(200)
        } _: { gateway, provider in
            let client = try gateway.call()
            let connection = try provider.accept()
            _ = try connection.request()
            try connection.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"id\"")
            #expect(try client.response().status == 504)
            #expect(connection.isLeft())
            #expect(try gateway.rows().map(\.settled) == [.estimated(.timedOut, status: 200, isError: true)])
        }
    }

    @Test("to go on with a stream ends it with an error event and without its last chunk")
    func idleStream() async throws {
        try await withGateway { setup, _ in
            setup.configuration.idleTimeout = .milliseconds(200)
        } _: { gateway, provider in
            let client = try gateway.call(Wire.chat(stream: true))
            let connection = try provider.accept()
            _ = try connection.request()
            try connection.startStream()
            try connection.chunk(Wire.delta("01234567"))
            let answer = try client.response()
            #expect(answer.end == .cut)
            #expect(answer.events.last?.contains("timeout_error") == true)
            #expect(
                try gateway.rows(1).map(\.settled)
                    == [.estimated(.timedOut, outputBytes: 8, status: 200, isError: true)])
        }
    }

    @Test("altogether ends the attempt as timed out though bytes come")
    func total() async throws {
        try await withGateway { setup, _ in
            setup.configuration.totalTimeout = .milliseconds(400)
        } _: { gateway, provider in
            let client = try gateway.call(Wire.chat(stream: true))
            let connection = try provider.accept()
            _ = try connection.request()
            try connection.startStream()
            while !connection.isLeft(within: .milliseconds(50)) { try? connection.chunk(Wire.delta("x")) }
            #expect(try client.response().end == .cut)
            #expect(try gateway.rows(1).map(\.outcome) == [.timedOut])
        }
    }

    @Test("is not one that goes on slowly, whatever kind of answer it gives", arguments: Kind.allCases)
    func slowButSteady(kind: Kind) async throws {
        try await withGateway { setup, _ in
            setup.configuration.idleTimeout = .milliseconds(600)
            setup.configuration.answerHeldBytesMax = 1000
        } _: { gateway, provider in
            let client = try gateway.call(Wire.chat(stream: kind == .stream))
            let connection = try provider.accept()
            _ = try connection.request()
            let text = kind == .large ? String(repeating: "x", count: 3000) : "xxxxxxxxxx"
            let body = Wire.completion(text)
            // Pieces with pauses that are shorter than the bound alone and longer together.
            func pause() { _ = connection.isLeft(within: .milliseconds(250)) }
            if kind == .stream || kind == .unaskedStream {
                try connection.startStream()
                for _ in 0..<5 {
                    pause()
                    try connection.chunk(Wire.delta("x"))
                }
                try connection.chunk(Wire.finish + Wire.done)
                try connection.send("0\r\n\r\n")
                #expect(try client.response().end == .complete)
            } else {
                try connection.send("HTTP/1.1 200 OK\r\nContent-Length: \(body.utf8.count)\r\n\r\n")
                let bytes = Array(body.utf8)
                let step = kind == .large ? 1100 : 40
                for start in stride(from: 0, to: bytes.count, by: step) {
                    pause()
                    try connection.socket.write(
                        bytes[start..<min(bytes.count, start + step)], before: Deadline(within: .seconds(5)))
                }
                let answer = try client.response()
                #expect(answer.text == body)
                #expect(answer.end == .complete)
            }
            #expect(try gateway.rows(1).map(\.outcome) == [.finished])
        }
    }

    enum Kind: CaseIterable { case held, large, stream, unaskedStream }
}
