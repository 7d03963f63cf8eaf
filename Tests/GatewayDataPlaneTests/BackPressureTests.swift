import Foundation
import GatewayCore
import GatewayDataPlane
import TestSupport
import Testing

@Suite("A caller that reads slowly", .serialized)
struct BackPressureTests {
    @Test("makes the gateway stop reading from the provider, and gets everything later", arguments: [false, true])
    func stopsReading(isStream: Bool) async throws {
        try await withGateway { setup, _ in
            setup.configuration.answerHeldBytesMax = 64 << 10
        } _: { gateway, provider in
            let client = try RawHTTPClient(port: gateway.port, receiveBufferBytes: 16 << 10)
            try client.send(gateway.requestBytes(Wire.chat(stream: isStream)))
            let connection = try provider.accept()
            _ = try connection.request()
            let piece =
                isStream ? Wire.delta(String(repeating: "x", count: 30_000)) : String(repeating: "x", count: 30_000)
            if isStream {
                try connection.startStream()
            } else {
                try connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            }
            let framed = Array((String(piece.utf8.count, radix: 16) + "\r\n\(piece)\r\n").utf8)
            let sent = connection.socket.writeAsMuchAsFits(framed, bytesMax: 256 << 20)
            #expect(sent < 64 << 20, "the gateway took in \(sent) bytes for a caller that does not read")
            let pieces = sent / framed.count + 1
            let rest = Array(framed[(sent % framed.count)...])
            let end = Array(((isStream ? chunked(Wire.finish + Wire.done) : "") + "0\r\n\r\n").utf8)
            let socket = connection.socket
            let writer = Thread { try? socket.write(rest + end, before: Deadline(within: .seconds(30))) }
            writer.start()
            let answer = try client.response(within: .seconds(60))
            #expect(answer.end == .complete)
            let tail = isStream ? Wire.finish + Wire.done : ""
            #expect(answer.body.count == pieces * piece.utf8.count + tail.utf8.count)
            #expect(try gateway.rows(1).map(\.outcome) == [.finished])
            // The provider's connection is read again, so it can be used again.
            try client.send(gateway.requestBytes(Wire.chat()))
            _ = try connection.request()
            try connection.answer(Wire.completion())
            #expect(try client.response().text == Wire.completion())
        }
    }

    @Test("and asks to close gets its whole answer, however long it takes")
    func closesAfterTheAnswer() async throws {
        try await withGateway { gateway, provider in
            let client = try RawHTTPClient(port: gateway.port, receiveBufferBytes: 16 << 10)
            try client.send(gateway.requestBytes(Wire.chat(), headers: ["Connection: close"]))
            let connection = try provider.accept()
            _ = try connection.request()
            let body = Wire.completion(String(repeating: "z", count: 3_900_000))
            try connection.answer(body)
            _ = try gateway.rows(1)
            // Longer than the gateway lingers over a connection that it ends.
            _ = connection.isLeft(within: .milliseconds(1500))
            let answer = try client.response(within: .seconds(60))
            #expect(answer.end == .complete)
            #expect(answer.body.count == body.utf8.count)
            #expect(client.isClosed(within: .seconds(5)))
        }
    }

    @Test("but steadily is not cut, though it takes longer than a caller may that does not read at all")
    func steadyReader() async throws {
        try await withGateway { setup, _ in
            setup.configuration.writeTimeout = .seconds(1)
            setup.configuration.answerHeldBytesMax = 32 << 20
        } _: { gateway, provider in
            let client = try RawHTTPClient(port: gateway.port, receiveBufferBytes: 16 << 10)
            try client.send(gateway.requestBytes(Wire.chat()))
            let connection = try provider.accept()
            _ = try connection.request()
            // Much more than the kernels hold, so that most of it waits in the gateway.
            let body = Wire.completion(String(repeating: "z", count: 12_000_000))
            try connection.answer(body)
            let deadline = Deadline(within: .seconds(60))
            let length = try client.head(before: deadline).header("content-length").flatMap { Int($0) } ?? 0
            #expect(length == body.utf8.count)
            var got = 0
            while got < length {
                got += try client.body(count: min(40_000, length - got), before: deadline).count
                // Three seconds for the whole answer.
                _ = connection.isLeft(within: .milliseconds(10))
            }
            #expect(got == length)
        }
    }

    @Test("and not at all is cut, and the call is settled")
    func writeTimeout() async throws {
        try await withGateway { setup, _ in
            setup.configuration.writeTimeout = .milliseconds(300)
        } _: { gateway, provider in
            let client = try RawHTTPClient(port: gateway.port, receiveBufferBytes: 16 << 10)
            try client.send(gateway.requestBytes(Wire.chat(stream: true)))
            let connection = try provider.accept()
            _ = try connection.request()
            try connection.startStream()
            let framed = Array(chunked(Wire.delta(String(repeating: "x", count: 30_000))).utf8)
            _ = connection.socket.writeAsMuchAsFits(framed, bytesMax: 256 << 20)
            #expect(connection.isLeft())
            #expect(try gateway.rows(1).map(\.outcome) == [.callerLeft])
            client.close()
        }
    }
}

/// `text` as one chunk.
func chunked(_ text: String) -> String { String(text.utf8.count, radix: 16) + "\r\n\(text)\r\n" }
