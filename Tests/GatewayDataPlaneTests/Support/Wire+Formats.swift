import GatewayWire

/// Requests and answers of other formats than OpenAI's chat.
extension Wire {
    // MARK: Anthropic

    static func messages(_ model: String = "chat", stream: Bool = false, extra: String = "") -> String {
        "{\"model\":\"\(model)\",\"max_tokens\":64,\"messages\":[{\"role\":\"user\",\"content\":\"hello world!\"}]"
            + (stream ? ",\"stream\":true" : "") + extra + "}"
    }

    static func message(_ text: String = "Hi there", input: Int = 100, output: Int = 7) -> String {
        "{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"up\",\"content\":[{\"type\":\"text\","
            + "\"text\":\"\(text)\"}],\"stop_reason\":\"end_turn\",\"stop_sequence\":null,"
            + "\"usage\":{\"input_tokens\":\(input),\"output_tokens\":\(output)}}"
    }

    /// The events of a message of 16 bytes in two pieces, with 100 tokens in and 7 out.
    static let messageEvents: [String] = [
        event(
            "message_start",
            "\"message\":{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"up\",\"content\":[],"
                + "\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{\"input_tokens\":100,\"output_tokens\":1}}"),
        event("content_block_start", "\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}"),
        event("content_block_delta", "\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"01234567\"}"),
        event("content_block_delta", "\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"89abcdef\"}"),
        event("content_block_stop", "\"index\":0"),
        event(
            "message_delta",
            "\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":7}"),
        event("message_stop", nil),
    ]

    static func event(_ name: String, _ members: String?) -> String {
        "event: \(name)\ndata: {\"type\":\"\(name)\"\(members.map { "," + $0 } ?? "")}\n\n"
    }

    static func messageError(_ type: String = "overloaded_error", _ message: String = "scripted") -> String {
        "{\"type\":\"error\",\"error\":{\"type\":\"\(type)\",\"message\":\"\(message)\"}}"
    }

    // MARK: Gemini

    static func contents(_ settings: String = "") -> String {
        "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"hello world!\"}]}]\(settings)}"
    }

    static func candidate(_ text: String = "Hi there", finish: String? = "STOP", output: Int = 7) -> String {
        "{\"candidates\":[{\"content\":{\"role\":\"model\",\"parts\":[{\"text\":\"\(text)\"}]}"
            + (finish.map { ",\"finishReason\":\"\($0)\"" } ?? "")
            + ",\"index\":0}],\"usageMetadata\":{\"promptTokenCount\":100,\"candidatesTokenCount\":\(output),"
            + "\"totalTokenCount\":\(100 + output)},\"modelVersion\":\"up\",\"responseId\":\"r1\"}"
    }

    // MARK: Responses

    static func responses(_ model: String = "chat", extra: String = "") -> String {
        "{\"model\":\"\(model)\",\"input\":\"hello world!\"\(extra)}"
    }

    static func response(_ text: String = "Hi there", status: String = "completed") -> String {
        "{\"id\":\"resp_1\",\"object\":\"response\",\"created_at\":1,\"status\":\"\(status)\",\"error\":null,"
            + "\"model\":\"up\",\"output\":[{\"type\":\"message\",\"id\":\"m\",\"role\":\"assistant\",\"status\":"
            + "\"completed\",\"content\":[{\"type\":\"output_text\",\"text\":\"\(text)\",\"annotations\":[]}]}],"
            + "\"usage\":{\"input_tokens\":100,\"input_tokens_details\":{\"cached_tokens\":0},\"output_tokens\":7,"
            + "\"output_tokens_details\":{\"reasoning_tokens\":0},\"total_tokens\":107}}"
    }

    // MARK: Bedrock

    static func converse(_ text: String = "Hi there") -> String {
        "{\"output\":{\"message\":{\"role\":\"assistant\",\"content\":[{\"text\":\"\(text)\"}]}},\"stopReason\":"
            + "\"end_turn\",\"usage\":{\"inputTokens\":100,\"outputTokens\":7,\"totalTokens\":107},"
            + "\"metrics\":{\"latencyMs\":5}}"
    }

    /// The frames of the same message as `messageEvents`.
    static let converseFrames: [[UInt8]] = [
        frame("messageStart", "{\"role\":\"assistant\"}"),
        frame("contentBlockDelta", "{\"contentBlockIndex\":0,\"delta\":{\"text\":\"01234567\"}}"),
        frame("contentBlockDelta", "{\"contentBlockIndex\":0,\"delta\":{\"text\":\"89abcdef\"}}"),
        frame("contentBlockStop", "{\"contentBlockIndex\":0}"),
        frame("messageStop", "{\"stopReason\":\"end_turn\"}"),
        frame(
            "metadata",
            "{\"usage\":{\"inputTokens\":100,\"outputTokens\":7,\"totalTokens\":107},\"metrics\":{\"latencyMs\":5}}"),
    ]

    static func frame(_ type: StaticString, _ payload: String) -> [UInt8] {
        var bytes: [UInt8] = []
        Array(payload.utf8).withUnsafeBytes {
            AWSEventStream.append(kind: "event", type: type, payload: $0, to: &bytes)
        }
        return bytes
    }
}
