/// The formats of conversations that are read and written, one codec each.
package enum WireFormat: UInt8, Hashable, Sendable, CaseIterable {
    /// OpenAI `/v1/chat/completions` and all that is compatible with it.
    case openAIChat = 0
    /// OpenAI `/v1/responses`.
    case openAIResponses
    /// Anthropic `/v1/messages`.
    case anthropic
    /// Gemini and Vertex AI `:generateContent` and `:streamGenerateContent`.
    case gemini
    /// AWS Bedrock `/converse` and `/converse-stream`.
    case bedrock
    /// Cohere `/v2/chat`.
    case cohere
    /// Ollama `/api/chat`.
    case ollama

    /// As people call it, for messages.
    package var name: String {
        switch self {
        case .openAIChat: "OpenAI chat completions"
        case .openAIResponses: "OpenAI Responses"
        case .anthropic: "Anthropic Messages"
        case .gemini: "Gemini generateContent"
        case .bedrock: "Bedrock Converse"
        case .cohere: "Cohere v2 chat"
        case .ollama: "Ollama chat"
        }
    }
}

/// How a stream is cut into events.
package enum StreamFraming: Hashable, Sendable {
    case serverSentEvents
    /// Newline-delimited JSON (Ollama).
    case lines
    /// One JSON array that grows (Gemini without `alt=sse`).
    case jsonArray
    /// AWS event-stream frames (Bedrock).
    case awsEventStream
}

/// Some formats, such as those that a provider takes as they are.
package struct WireFormatSet: OptionSet, Hashable, Sendable {
    package let rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue }

    package static let openAIChat = WireFormatSet(.openAIChat)
    package static let openAIResponses = WireFormatSet(.openAIResponses)
    package static let anthropic = WireFormatSet(.anthropic)
    package static let gemini = WireFormatSet(.gemini)
    package static let bedrock = WireFormatSet(.bedrock)
    package static let cohere = WireFormatSet(.cohere)
    package static let ollama = WireFormatSet(.ollama)

    package init(_ format: WireFormat) { self.init(rawValue: 1 << format.rawValue) }

    package func contains(_ format: WireFormat) -> Bool { self.contains(WireFormatSet(format)) }
}
