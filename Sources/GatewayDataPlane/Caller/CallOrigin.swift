import GatewayWire

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
    /// What the caller speaks, where other formats come as the same kind of call. `nil`: what the kind says.
    let format: WireFormat?
    /// Shape of a request for embeddings. `nil`: OpenAI's, or the call is another.
    let embedding: EmbeddingFormat?
    /// The body and its answer are of the format, the path, frames and errors are those of Bedrock's `invoke`.
    let isInvoke: Bool
    /// How many tokens the request has is asked for, not an answer to it.
    let isCounting: Bool
    /// Header lines that a provider of the same format is to get: Anthropic's version and beta. Empty: none came.
    let carriedLines: [UInt8]
    /// `Content-Type` of a body that is a form. Empty: it is JSON.
    let formType: [UInt8]
    /// `nil`: the path is one of the gateway's own.
    let passThrough: PassThroughRequest?
    /// What is asked about a response that was made before. `nil`: the call makes one, or is another.
    let response: ResponseRequest?

    /// Of `x-litellm-tags`.
    let tags: [String]
    /// `x-martlet-dry-run`: the caller wants to know what would bind the call, not to make it.
    let isDryRun: Bool

    /// Anthropic's betas in the lines. Empty: none.
    var betas: [String] {
        let lines = String(decoding: self.carriedLines, as: UTF8.self).split(whereSeparator: \.isNewline)
        return lines.flatMap { line -> [String] in
            let name = line.prefix { $0 != ":" }
            guard name.lowercased() == "anthropic-beta" else { return [] }
            return line.dropFirst(name.count + 1).split(separator: ",").map { beta in
                beta.split(whereSeparator: \.isWhitespace).joined(separator: " ")
            }.filter { !$0.isEmpty }
        }
    }

    init(
        model: String?, stream: PathStream, format: WireFormat?, embedding: EmbeddingFormat?, isInvoke: Bool,
        isCounting: Bool,
        carriedLines: [UInt8], formType: [UInt8], passThrough: PassThroughRequest?,
        response: ResponseRequest?, tags: [String], isDryRun: Bool
    ) {
        self.isCounting = isCounting
        self.isInvoke = isInvoke
        self.model = model
        self.stream = stream
        self.format = format
        self.embedding = embedding
        self.carriedLines = carriedLines
        self.formType = formType
        self.passThrough = passThrough
        self.response = response
        self.tags = tags
        self.isDryRun = isDryRun
    }
}
