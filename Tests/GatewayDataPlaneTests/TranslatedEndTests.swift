import Foundation
import GatewayCore
import GatewayDataPlane
import GatewayRouting
import TestSupport
import Testing

/// Every way in which a translated attempt ends has its row, and tells the caller in the caller's format.
@Suite("A translated attempt", .serialized)
struct TranslatedEndTests {
    /// How a stream ends that never came to its last event.
    enum Ending: CaseIterable {
        case beforeHead, beforeFirstEvent, afterStart, afterDelta, midEvent, afterFinish, errorEvent, garbage, endless
        case timedOut, callerLeft

        private static let events = Wire.messageEvents

        var sent: String {
            switch self {
            case .beforeHead, .beforeFirstEvent: ""
            case .afterStart: Self.events[0]
            case .afterDelta, .timedOut, .callerLeft: Self.events[..<3].joined()
            case .midEvent: Self.events[..<3].joined() + "event: content_block_delta\ndata: {\"typ"
            case .afterFinish: Self.events[..<6].joined()
            case .errorEvent: Self.events[..<3].joined() + "event: error\ndata: \(Wire.messageError())\n\n"
            case .garbage: Self.events[..<3].joined() + "event: content_block_delta\ndata: {{{\n\n"
            case .endless: Self.events[..<3].joined() + "data: " + String(repeating: "a", count: 9 << 20)
            }
        }

        var isByProvider: Bool { self != .timedOut && self != .callerLeft }
        /// The error has become the stream's last event, and the answer is whole as HTTP.
        var endsInOrder: Bool { [.errorEvent, .garbage, .endless].contains(self) }

        var outcome: AttemptOutcome {
            switch self {
            case .timedOut: .timedOut
            case .callerLeft: .callerLeft
            default: .upstreamCut
            }
        }

        /// Input is booked as reported once it was; output by what has come, or what was reported if that is more.
        var tokens: (input: Int64, output: Int64) {
            switch self {
            case .beforeHead, .beforeFirstEvent: (Wire.promptTokens, 0)
            case .afterStart: (100, 1)
            case .afterDelta, .timedOut, .callerLeft, .midEvent, .errorEvent, .garbage, .endless: (100, 2)
            case .afterFinish: (100, 7)
            }
        }
    }

    @Test("whose stream does not come to its end is booked by what came", arguments: Ending.allCases)
    func unfinished(ending: Ending) async throws {
        try await withProvider("anthropic") {
            if ending == .timedOut { $0.configuration.idleTimeout = .milliseconds(300) }
        } _: { gateway, provider in
            let client = try gateway.call(Wire.chat(stream: true))
            let connection = try provider.accept()
            _ = try connection.request()
            if ending != .beforeHead { try connection.startStream() }
            if !ending.sent.isEmpty { try? connection.chunk(ending.sent) }
            if ending == .callerLeft {
                _ = try client.head(before: Deadline(within: .seconds(10)))
                gateway.turnLoop()
                client.close()
                #expect(connection.isLeft())
            } else if ending.isByProvider, !ending.endsInOrder {
                connection.close()
            }
            let row = try #require(try gateway.rows(1).first).settled
            #expect(row.outcome == ending.outcome)
            #expect(row.flags == (ending == .callerLeft ? .estimated : [.estimated, .error]))
            #expect(row.input == ending.tokens.input && row.output == ending.tokens.output, "\(row)")
            #expect(row.cost == row.input * 1000 + row.output * 2000)
            guard ending != .callerLeft else { return }
            let answer = try client.response()
            if ending == .beforeHead { return #expect(answer.status == 502 && answer.openAIError != nil) }
            #expect(answer.end == (ending.endsInOrder ? .complete : .cut))
            #expect(answer.events.last?.hasPrefix("{\"error\":{") == true, "\(answer.events)")
            #expect(answer.events.count { $0.contains("\"error\":{") } == 1)
            #expect(!answer.events.contains("[DONE]"))
            if ending.endsInOrder { #expect(connection.isLeft()) }
        }
    }

    @Test("whose caller leaves while an answer is held is booked by what came of it", arguments: [false, true])
    func held(isWhole: Bool) async throws {
        try await withProvider("anthropic") { gateway, provider in
            let client = try gateway.call()
            let connection = try provider.accept()
            _ = try connection.request()
            try connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            try connection.chunk(isWhole ? Wire.message() : String(Wire.message().prefix(60)))
            gateway.turnLoop()
            client.close()
            #expect(connection.isLeft())
            let row = try gateway.rows(1)[0].settled
            #expect(row.outcome == .callerLeft && row.flags == (isWhole ? .measured : .estimated))
            #expect(row.input == (isWhole ? 100 : Wire.promptTokens))
        }
    }

    /// What a provider says instead of an answer, and what becomes of it.
    struct Refusal: CustomTestStringConvertible, Sendable {
        var status: Int
        var body: String
        var headers: [String] = []
        var expected: (status: Int, type: String)
        var retryAfter: String?
        var testDescription: String { "\(self.status) \(self.body.prefix(40))" }

        static let all = [
            Refusal(
                status: 429, body: Wire.messageError("rate_limit_error"), headers: ["retry-after: 7"],
                expected: (429, "rate_limit_error"), retryAfter: "7"),
            Refusal(
                status: 400, body: Wire.messageError("invalid_request_error"),
                expected: (400, "invalid_request_error")),
            Refusal(status: 404, body: Wire.messageError("not_found_error"), expected: (404, "invalid_request_error")),
            Refusal(status: 500, body: Wire.messageError("api_error"), expected: (500, "server_error")),
            Refusal(
                status: 502, body: "<html><body>Bad Gateway</body></html>", headers: [],
                expected: (502, "server_error")),
            Refusal(
                status: 401, body: Wire.messageError("authentication_error"), expected: (401, "authentication_error")),
        ]
    }

    @Test("that is refused tells the caller in the caller's format, and costs nothing", arguments: Refusal.all)
    func refused(refusal: Refusal) async throws {
        try await withProvider("anthropic") { gateway, provider in
            let client = try gateway.call()
            let connection = try provider.accept()
            _ = try connection.request()
            try connection.answer(refusal.body, status: refusal.status, headers: refusal.headers)
            let answer = try client.response()
            #expect(answer.status == refusal.expected.status)
            #expect(answer.openAIError?["type"] as? String == refusal.expected.type, "\(answer.text)")
            #expect(answer.header("retry-after") == refusal.retryAfter)
            // What the provider says of our own credential is nothing for callers; HTML is no message.
            let isQuoted = refusal.status != 401 && !refusal.body.hasPrefix("<")
            #expect(answer.text.contains("scripted") == isQuoted && !answer.text.contains("<html"))
            #expect(
                try gateway.rows().map(\.settled) == [
                    .refused(.upstreamRefused, status: UInt16(refusal.status))
                ])
        }
    }

    @Test("whose failure stands inside a 200 is refused with the status that it names")
    func failureWithin() async throws {
        try await withProvider("anthropic") { gateway, provider in
            let client = try gateway.call()
            let connection = try provider.accept()
            _ = try connection.request()
            try connection.answer(Wire.messageError("rate_limit_error"))
            let answer = try client.response()
            #expect(answer.status == 429 && answer.openAIError?["type"] as? String == "rate_limit_error")
            #expect(try gateway.rows().map(\.settled) == [.refused(.upstreamRefused, status: 429)])
        }
    }

    @Test(
        "whose answer cannot be read is a 502 and charged as an estimate",
        arguments: ["", "{", "<html>", "[]", "{\"type\":\"message\",\"content\":7}"])
    func unreadable(body: String) async throws {
        try await withProvider("anthropic") { gateway, provider in
            let client = try gateway.call()
            let connection = try provider.accept()
            _ = try connection.request()
            try connection.answer(body)
            let answer = try client.response()
            #expect(answer.status == 502 && answer.openAIError != nil, "\(answer.text)")
            #expect(
                try gateway.rows().map(\.settled) == [.estimated(.responseInvalid, status: 200, isError: true)])
        }
    }

    @Test("whose answer is larger than what is held is a 502")
    func tooLarge() async throws {
        try await withProvider("anthropic") {
            $0.configuration.answerHeldBytesMax = 10_000
        } _: { gateway, provider in
            let client = try gateway.call()
            let connection = try provider.accept()
            _ = try connection.request()
            try connection.answer(Wire.message(String(repeating: "a", count: 20_000)))
            let answer = try client.response()
            #expect(answer.status == 502 && answer.text.contains("answer_held_bytes_max"))
            #expect(try gateway.rows().map(\.outcome) == [.responseInvalid])
        }
    }
}
