import Foundation
import GatewayTranslation
import TestSupport
import Testing

@Suite("A turn of a conversation by Responses", .ownThread)
struct ResponseTurnTests {
    private static let response =
        #"{"id":"resp_1","status":"completed","output":[{"type":"reasoning","id":"rs_1","summary":[]},"#
        + #"{"type":"message","id":"msg_9","role":"assistant","status":"completed","content":[{"type":"#
        + #""output_text","text":"a \"quoted\" \u00e9","annotations":[]}]},{"type":"function_call","#
        + #""id":"fc_1","call_id":"c","name":"f","arguments":"{}","status":"completed"},{"type":"image_generation_call","id":"ig"}],"n":1.50}"#

    private static func record(
        _ request: String, _ response: String = Self.response, isStream: Bool = false
    ) -> [UInt8]? {
        Array(request.utf8).withUnsafeBytes { request in
            Array(response.utf8).withUnsafeBytes {
                ResponseTurn.record(request: request, response: $0, isStream: isStream, identifier: "00ff")
            }
        }
    }

    private static func expanded(_ request: String, _ turns: [[UInt8]]) throws -> [String: Any] {
        let bytes = try #require(Array(request.utf8).withUnsafeBytes { ResponseTurn.expanded($0, turns: turns) })
        return try #require(try JSONSerialization.jsonObject(with: Data(bytes)) as? [String: Any])
    }

    private static func items(
        _ turn: [UInt8], _ change: (inout ResponseTurn.Page) -> Void = { _ in }
    ) throws -> [String: Any] {
        var page = ResponseTurn.Page()
        change(&page)
        let bytes = try #require(ResponseTurn.inputItems(of: turn, page))
        return try #require(try JSONSerialization.jsonObject(with: Data(bytes)) as? [String: Any])
    }

    @Test("keeps the response byte for byte, whole or from the end of its stream")
    func keeps() throws {
        let whole = try #require(Self.record(#"{"input":"hi"}"#))
        #expect(ResponseTurn.response(of: whole) == Array(Self.response.utf8))
        let events =
            "event: response.output_text.delta\ndata: {\"delta\":\"event: response.completed\"}\n\n"
            + "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":\(Self.response)}\n\n"
        let streamed = try #require(Self.record(#"{"input":"hi"}"#, events, isStream: true))
        #expect(streamed == whole)
    }

    @Test("is read from an end of a stream as any server cuts it")
    func ends() throws {
        let whole = try #require(Self.record(#"{"input":"hi"}"#))
        let event = "{\"type\":\"response.completed\",\"response\":\(Self.response)}"
        for events in [
            "data: \(event)", "data:\(event)\n", "id: 7\r\nevent: response.completed\r\ndata: \(event)\r\n\r\n",
            "data: {}\n\ndata: \(event)\n\n: a comment\n\ndata: [DONE]\n\n", "\n\n\ndata: \(event)\n\n\n",
        ] {
            #expect(Self.record(#"{"input":"hi"}"#, events, isStream: true) == whole, "\(events)")
            for cut in 0..<events.utf8.count {
                let part = String(decoding: events.utf8.prefix(cut), as: UTF8.self)
                let record = Self.record(#"{"input":"hi"}"#, part, isStream: true)
                #expect(record == nil || record == whole, "\(cut) of \(events)")
            }
        }
    }

    @Test("is none where the response has not come to its end")
    func unfinished() {
        for response in [
            "", "[]", "{}", #"{"status":"completed"}"#, #"{"status":"failed","output":[]}"#,
            #"{"status":"in_progress","output":[]}"#, "<html>",
        ] {
            #expect(Self.record(#"{"input":"hi"}"#, response) == nil, "\(response)")
        }
        for events in ["", "event: response.created\ndata: {}\n\n", "event: response.completed\ndata: {\"respo"] {
            #expect(Self.record(#"{"input":"hi"}"#, events, isStream: true) == nil, "\(events)")
        }
        #expect(Self.record("{", Self.response) == nil)
    }

    @Test("lists its input as OpenAI does, page by page")
    func lists() throws {
        let text = try #require(Self.record(#"{"input":"h\"i"}"#))
        let one = try #require((try Self.items(text)["data"] as? [[String: Any]])?.first)
        #expect(one["id"] as? String == "msg_00ff_0" && one["type"] as? String == "message")
        #expect((one["content"] as? [[String: Any]])?.first?["text"] as? String == "h\"i")

        let input = (0..<5).map { #"{"role":"user","content":"\#($0)"}"# } + [#"{"type":"item_reference","id":"x"}"#]
        let turn = try #require(Self.record("{\"input\":[\(input.joined(separator: ","))]}"))
        func ids(_ change: (inout ResponseTurn.Page) -> Void) throws -> [String] {
            (try Self.items(turn, change)["data"] as? [[String: Any]] ?? []).compactMap { $0["id"] as? String }
        }
        #expect(try ids { $0.isAscending = true } == (0..<5).map { "msg_00ff_\($0)" } + ["x"])
        #expect(try ids { $0.limit = 2 } == ["x", "msg_00ff_4"])
        #expect(try ids { ($0.limit, $0.after) = (2, "msg_00ff_4") } == ["msg_00ff_3", "msg_00ff_2"])
        #expect(try ids { ($0.isAscending, $0.after) = (true, "msg_00ff_4") } == ["x"])
        #expect(try ids { $0.after = "nowhere" } == [])
        let page = try Self.items(turn) { $0.limit = 2 }
        #expect(page["has_more"] as? Bool == true && page["first_id"] as? String == "x")
        #expect(page["last_id"] as? String == "msg_00ff_4")
        let last = try Self.items(turn) { $0.after = "nowhere" }
        #expect(last["has_more"] as? Bool == false && last["first_id"] is NSNull)
    }

    @Test("goes before the next one's input, without identifiers and thoughts")
    func expands() throws {
        let first = try #require(Self.record(#"{"input":"one","instructions":"not carried on"}"#))
        let second = try #require(
            Self.record(#"{"input":[{"type":"function_call_output","id":"z","call_id":"c","output":"42"}]}"#))
        let request =
            #"{"previous_response_id":"resp_1","model":"m","big":123456789012345678901234567890,"#
            + #""input":[{"role":"user","content":"three"}],"store":true}"#
        let all = try Self.expanded(request, [first, second])
        #expect(all["previous_response_id"] == nil && all["model"] as? String == "m" && all["store"] as? Bool == true)
        let input = try #require(all["input"] as? [[String: Any]])
        #expect(
            input.map { $0["type"] as? String ?? "-" } == [
                "message", "message", "function_call", "function_call_output", "message", "function_call", "-",
            ])
        #expect(input.allSatisfy { $0["id"] == nil && $0["status"] == nil })
        #expect(((input[1]["content"] as? [[String: Any]])?.first?["text"] as? String) == "a \"quoted\" \u{e9}")
        #expect(input[3]["output"] as? String == "42")

        let text = try Self.expanded(#"{"input":"next"}"#, [first])
        #expect((text["input"] as? [[String: Any]])?.last?["content"] as? String == "next")
        let none = try Self.expanded("{}", [first])
        #expect((none["input"] as? [[String: Any]])?.count == 3)
        #expect(Array("{}".utf8).withUnsafeBytes { ResponseTurn.expanded($0, turns: [[1, 2]]) } == nil)
    }
}
