/// What a request's head says of a call beside its kind. Shared by calls that repeat the same head.
final class CallOrigin: Sendable {
    /// Whether the path says how the answer is to come.
    enum PathStream: Sendable {
        /// The body says it.
        case unsaid
        case whole
        /// Events, or frames, as the format has them.
        case events
        /// One JSON array that grows (Gemini without `alt=sse`).
        case array
    }

    /// Name in the path, decoded. `nil`: the body names the model.
    let model: String?
    let stream: PathStream
    /// Header lines that a provider of the same format is to get: Anthropic's version and beta. Empty: none came.
    let carriedLines: [UInt8]

    init(model: String?, stream: PathStream, carriedLines: [UInt8]) {
        self.model = model
        self.stream = stream
        self.carriedLines = carriedLines
    }
}
