import GatewayWire

/// Writes a failure as the body of an error in each format.
enum FailureWriter {
    /// The object alone: `{"error":{...}}` and the like.
    static func write(_ failure: ProviderFailure, as format: WireFormat, _ writer: inout JSONWriter) {
        switch format {
        case .openAIChat, .openAIResponses: self.openAI(failure, &writer)
        case .anthropic: self.anthropic(failure, &writer)
        case .gemini: self.gemini(failure, &writer)
        case .bedrock, .cohere:
            writer.beginObject()
            writer.key("message")
            writer.string(escaping: failure.message)
            writer.endObject()
        case .ollama:
            writer.beginObject()
            writer.key("error")
            writer.string(escaping: failure.message)
            writer.endObject()
        }
    }

    static func openAI(_ failure: ProviderFailure, _ writer: inout JSONWriter) {
        let (type, code) = self.openAINames(failure)
        writer.beginObject()
        writer.key("error")
        writer.beginObject()
        writer.key("message")
        writer.string(escaping: failure.message)
        writer.member("type", JSONText(type))
        writer.key("param")
        if let param = failure.param {
            writer.string(escaping: param)
        } else {
            writer.raw("null")
        }
        writer.key("code")
        writer.string(escaping: code)
        writer.endObject()
        writer.endObject()
    }

    static func openAINames(_ failure: ProviderFailure) -> (type: StaticString, code: String) {
        switch failure.kind {
        case .invalidRequest, .conflict, .unprocessable, .tooLarge:
            ("invalid_request_error", failure.code ?? "\(failure.status)")
        case .contextWindow: ("invalid_request_error", "context_length_exceeded")
        case .contentPolicy: ("invalid_request_error", "content_policy_violation")
        case .authentication: ("authentication_error", failure.code ?? "invalid_api_key")
        case .billing: ("insufficient_quota", failure.code ?? "billing_error")
        case .permission: ("permission_error", failure.code ?? "permission_denied")
        case .notFound: ("invalid_request_error", failure.code ?? "model_not_found")
        case .timeout: ("timeout_error", failure.code ?? "timeout")
        case .rateLimited: ("rate_limit_error", failure.code ?? "rate_limit_exceeded")
        case .quotaExceeded: ("insufficient_quota", "insufficient_quota")
        case .overloaded: ("server_error", failure.code ?? "overloaded")
        case .server: ("server_error", failure.code ?? "server_error")
        }
    }

    static func anthropicType(_ failure: ProviderFailure) -> StaticString {
        switch failure.kind {
        case .invalidRequest, .contextWindow, .contentPolicy, .conflict, .unprocessable: "invalid_request_error"
        case .authentication: "authentication_error"
        case .billing: "billing_error"
        case .permission: "permission_error"
        case .notFound: "not_found_error"
        case .tooLarge: "request_too_large"
        case .timeout: "timeout_error"
        case .rateLimited, .quotaExceeded: "rate_limit_error"
        case .overloaded: "overloaded_error"
        case .server: "api_error"
        }
    }

    static func anthropic(_ failure: ProviderFailure, _ writer: inout JSONWriter) {
        writer.beginObject()
        writer.member("type", "error")
        writer.key("error")
        writer.beginObject()
        writer.member("type", JSONText(self.anthropicType(failure)))
        writer.key("message")
        writer.string(escaping: failure.message)
        writer.endObject()
        writer.endObject()
    }

    static func gemini(_ failure: ProviderFailure, _ writer: inout JSONWriter) {
        writer.beginObject()
        writer.key("error")
        writer.beginObject()
        writer.member("code", count: Int64(failure.status))
        writer.key("message")
        writer.string(escaping: failure.message)
        let name: StaticString =
            switch failure.kind {
            case .invalidRequest, .contextWindow, .contentPolicy, .unprocessable, .tooLarge: "INVALID_ARGUMENT"
            case .authentication: "UNAUTHENTICATED"
            case .billing, .permission: "PERMISSION_DENIED"
            case .notFound: "NOT_FOUND"
            case .timeout: "DEADLINE_EXCEEDED"
            case .conflict: "ABORTED"
            case .rateLimited, .quotaExceeded: "RESOURCE_EXHAUSTED"
            case .overloaded: "UNAVAILABLE"
            case .server: "INTERNAL"
            }
        writer.member("status", JSONText(name))
        writer.endObject()
        writer.endObject()
    }

    /// Bedrock's name of the fault: `x-amzn-errortype` of an answer; with a small first letter, of a stream's event.
    static func bedrockName(_ failure: ProviderFailure) -> (header: StaticString, event: StaticString) {
        switch failure.kind {
        case .invalidRequest, .contextWindow, .contentPolicy, .tooLarge, .unprocessable, .conflict:
            ("ValidationException", "validationException")
        case .authentication, .billing, .permission: ("AccessDeniedException", "validationException")
        case .notFound: ("ResourceNotFoundException", "validationException")
        case .timeout: ("ModelTimeoutException", "modelStreamErrorException")
        case .rateLimited, .quotaExceeded: ("ThrottlingException", "throttlingException")
        case .overloaded: ("ServiceUnavailableException", "serviceUnavailableException")
        case .server: ("InternalServerException", "internalServerException")
        }
    }
}
