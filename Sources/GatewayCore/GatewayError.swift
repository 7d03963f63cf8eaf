/// The one error that a caller of the gateway gets, in the shape of OpenAI's API with LiteLLM's types.
/// Messages are for people and may change; `status`, `type`, `param` and `code` are part of our API.
package struct GatewayError: Error, Equatable, Sendable {
    /// Who has to act.
    package enum Origin: Sendable { case caller, upstream, gateway }

    package var status: Int
    package var type: String
    /// The field or header at fault. `nil`: none in particular.
    package var param: String?
    /// LiteLLM sends the HTTP status as a string here.
    package var code: String
    package var origin: Origin
    /// Sent to the caller: no host names, keys or account details.
    package var message: String
    /// Seconds for `Retry-After`. `nil`: no such header.
    package var retryAfterSeconds: Int?

    package init(
        status: Int, type: String, param: String? = nil, code: String? = nil, origin: Origin, message: String,
        retryAfterSeconds: Int? = nil
    ) {
        self.status = status
        self.type = type
        self.param = param
        self.code = code ?? String(status)
        self.origin = origin
        self.message = message
        self.retryAfterSeconds = retryAfterSeconds
    }

    /// `{"error":{"message":...,"type":...,"param":...,"code":...}}`; `param` is present even when null.
    package var body: String {
        "{\"error\":{\"message\":\(jsonQuoted(self.message)),\"type\":\(jsonQuoted(self.type)),"
            + "\"param\":\(self.param.map(jsonQuoted) ?? "null"),\"code\":\(jsonQuoted(self.code))}}"
    }
}

/// A JSON string literal of `text` with its quotes (RFC 8259, section 7).
package func jsonQuoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
        switch scalar {
        case "\"": result += "\\\""
        case "\\": result += "\\\\"
        case "\n": result += "\\n"
        case "\r": result += "\\r"
        case "\t": result += "\\t"
        case let control where control.value < 0x20 || control.value == 0x7F:
            let hex = String(control.value, radix: 16)
            result += "\\u" + String(repeating: "0", count: 4 - hex.utf8.count) + hex
        default: result.unicodeScalars.append(scalar)
        }
    }
    return result + "\""
}
