import Foundation

/// Bodies and answers that tests send.
enum Wire {
    /// The 16 bytes of `user` and `hello world!` at the rate at which estimates start.
    static let promptTokens: Int64 = 4

    /// A chat request.
    static func chat(_ model: String = "chat", stream: Bool = false, extra: String = "") -> String {
        "{\"model\":\"\(model)\",\"messages\":[{\"role\":\"user\",\"content\":\"hello world!\"}]"
            + (stream ? ",\"stream\":true" : "") + extra + "}"
    }

    static func completion(_ text: String = "Hi there", usage: (input: Int, output: Int)? = (100, 7)) -> String {
        let usageField =
            usage.map {
                ",\"usage\":{\"prompt_tokens\":\($0.input),\"completion_tokens\":\($0.output),"
                    + "\"total_tokens\":\($0.input + $0.output)}"
            } ?? ""
        return "{\"id\":\"c\",\"object\":\"chat.completion\",\"model\":\"up\",\"choices\":[{\"index\":0,\"message\":"
            + "{\"role\":\"assistant\",\"content\":\"\(text)\"},\"finish_reason\":\"stop\"}]\(usageField)}"
    }

    static func delta(_ text: String) -> String {
        "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{\"content\":"
            + "\"\(text)\"},\"finish_reason\":null}]}\n\n"
    }

    static let finish =
        "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{},"
        + "\"finish_reason\":\"stop\"}]}\n\n"
    static let done = "data: [DONE]\n\n"

    static func usageEvent(input: Int = 100, output: Int = 7) -> String {
        "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"choices\":[],\"usage\":{\"prompt_tokens\":\(input),"
            + "\"completion_tokens\":\(output),\"total_tokens\":\(input + output)}}\n\n"
    }

    static func error(_ message: String = "no") -> String {
        "{\"error\":{\"message\":\"\(message)\",\"type\":\"scripted\",\"param\":null,\"code\":null}}"
    }
}
