import GatewayCore
import GatewayDataPlane
import TestSupport
import Testing

@Suite("A call whose provider fails", .serialized)
struct UpstreamCutTests {
    @Test("after sending began is charged as an estimate, and its end is truthful", arguments: Ending.allCases)
    func cut(ending: Ending) async throws {
        try await withGateway { gateway, provider in
            let client = try gateway.call(Wire.chat(stream: ending.isStream))
            let connection = try provider.accept()
            _ = try connection.request()
            try connection.send(ending.bytes)
            if ending.endsByReset {
                // The bytes before a reset may be lost with it, so they are seen through first.
                if ending.isStream { _ = try client.head(before: Deadline(within: .seconds(10))) }
                connection.reset()
            } else {
                connection.close()
            }
            let rows = try gateway.rows(1)
            if ending == .untilCloseByReset {
                // Whether the head survives the reset is up to the kernel; a whole answer it is not.
                #expect(rows.map(\.outcome) == [.upstreamCut])
            } else {
                #expect(rows.map(\.settled) == [ending.settled])
            }
            if ending.isStream {
                #expect(client.endsUncleanly())
            } else {
                let answer = try client.response()
                #expect(answer.status == 502)
                #expect(answer.openAIError != nil)
            }
        }
    }

    /// How a provider fails after the request was sent.
    enum Ending: CaseIterable {
        case beforeHead, beforeHeadByReset, midHead, midBody, midChunk, midStream, midStreamByReset, midEvent
        case garbage, badChunk, bothLengths, untilCloseByReset

        var isStream: Bool { [.midStream, .midStreamByReset, .midEvent].contains(self) }
        var endsByReset: Bool { [.beforeHeadByReset, .midStreamByReset, .untilCloseByReset].contains(self) }

        private static let stream =
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        private static let json = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"

        private static func chunk(_ text: String) -> String { String(text.utf8.count, radix: 16) + "\r\n\(text)\r\n" }

        var bytes: String {
            switch self {
            case .beforeHead, .beforeHeadByReset: ""
            case .midHead: "HTTP/1.1 200 OK\r\nContent-Ty"
            case .midBody: "\(Self.json)Content-Length: 500\r\n\r\n{\"id\":\"x\",\"choices\":["
            case .midChunk: "\(Self.json)Transfer-Encoding: chunked\r\n\r\n20\r\n{\"id\":"
            case .midStream, .midStreamByReset: Self.stream + Self.chunk(Wire.delta("01234567"))
            case .midEvent: Self.stream + Self.chunk(Wire.delta("01234567") + "data: {\"choi")
            case .garbage: "SSH-2.0-OpenSSH_9.2p1 Debian\r\n"
            case .badChunk: "\(Self.json)Transfer-Encoding: chunked\r\n\r\nxyz\r\n{}\r\n"
            case .bothLengths: "\(Self.json)Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n{}"
            case .untilCloseByReset: "\(Self.json)\r\n{\"id\":\"x\",\"choices\":["
            }
        }

        var settled: Settled {
            switch self {
            case .beforeHead, .beforeHeadByReset, .midHead: .estimated(.upstreamCut, status: 0, isError: true)
            case .midBody, .midChunk, .untilCloseByReset: .estimated(.upstreamCut, status: 200, isError: true)
            case .midStream, .midStreamByReset, .midEvent:
                .estimated(.upstreamCut, outputBytes: 8, status: 200, isError: true)
            case .garbage, .bothLengths: .estimated(.responseInvalid, status: 0, isError: true)
            case .badChunk: .estimated(.responseInvalid, status: 200, isError: true)
            }
        }
    }
}

extension RawHTTPClient {
    /// Reads what is left of a chunked answer, whose head may have been read: `true` when it ends without its last
    /// chunk.
    func endsUncleanly() -> Bool {
        let deadline = Deadline(within: .seconds(10))
        do {
            while true {
                let bytes = try self.socket.read(before: deadline)
                guard let bytes else { return true }
                if String(decoding: bytes, as: UTF8.self).hasSuffix("0\r\n\r\n") { return false }
            }
        } catch let error as SocketError {
            return error.isReset
        } catch {
            return false
        }
    }
}
