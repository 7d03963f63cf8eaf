import GatewayCore
import GatewayTranslation
import GatewayWire

extension CallKind {
    /// The format of the conversation that the caller speaks. `nil`: the call is no conversation, and only providers of
    /// OpenAI's API serve it.
    var wireFormat: WireFormat? {
        switch self {
        case .chatCompletion: .openAIChat
        case .completion, .embedding, .imageGeneration, .imageEdit, .imageVariation, .speech, .transcription,
            .translation, .moderation, .rerank, .passThrough:
            nil
        case .messages: .anthropic
        case .responses: .openAIResponses
        case .generateContent: .gemini
        case .converse: .bedrock
        }
    }

    /// The format in which the caller reads errors.
    var errorFormat: WireFormat { self.wireFormat ?? .openAIChat }
}

extension WireFormat {
    /// `Content-Type` of an answer that is made here.
    func contentType(isStream: Bool, framing: StreamFraming) -> StaticString {
        guard isStream else { return "application/json" }
        return switch framing {
        case .serverSentEvents: "text/event-stream"
        case .lines: "application/x-ndjson"
        case .jsonArray: "application/json"
        case .awsEventStream: "application/vnd.amazon.eventstream"
        }
    }

    /// Whether the provider's path, not the body, names the model.
    var hasModelInPath: Bool { self == .gemini || self == .bedrock }
}

extension GatewayError {
    /// The body in the caller's format.
    func body(as format: WireFormat) -> [UInt8] {
        switch format {
        case .openAIChat, .openAIResponses: Array(self.body.utf8)
        default: AnswerTranslator.errorBody(ProviderFailure(self), as: format)
        }
    }

    /// Bedrock's clients tell faults apart by a header alone. Empty: the format has no such line.
    func headerLines(as format: WireFormat) -> [UInt8] {
        guard format == .bedrock else { return [] }
        return ProviderFailure(self).bedrockErrorLine
    }
}

extension ProviderFailure {
    /// The header line with Bedrock's name of the fault.
    var bedrockErrorLine: [UInt8] {
        let name =
            switch self.kind {
            case .authentication, .billing, .permission: "AccessDeniedException"
            case .notFound: "ResourceNotFoundException"
            case .timeout: "ModelTimeoutException"
            case .rateLimited, .quotaExceeded: "ThrottlingException"
            case .overloaded: "ServiceUnavailableException"
            case .server: "InternalServerException"
            case .invalidRequest, .contextWindow, .contentPolicy, .tooLarge, .unprocessable, .conflict:
                "ValidationException"
            }
        return Array("x-amzn-errortype: \(name)\r\n".utf8)
    }
}

extension ProviderFailure {
    init(_ error: GatewayError) {
        self.init(
            kind: Self.kind(error), status: error.status, message: error.message, code: error.code, param: error.param)
        self.retryAfterSeconds = error.retryAfterSeconds
    }

    private static func kind(_ error: GatewayError) -> Kind {
        if error.type == "budget_exceeded" { return .quotaExceeded }
        return switch error.status {
        case 401: .authentication
        case 402: .billing
        case 403: .permission
        case 404: .notFound
        case 408, 504: .timeout
        case 409: .conflict
        case 413: .tooLarge
        case 422: .unprocessable
        case 429: .rateLimited
        case 503, 529: .overloaded
        case 500...: .server
        default: .invalidRequest
        }
    }
}
