/// The shapes in which embeddings are asked for.
package enum EmbeddingFormat: Hashable, Sendable, CaseIterable {
    /// OpenAI's `/embeddings`, which most providers have.
    case openAI
    /// Gemini's `:embedContent`: one text.
    case gemini
    /// Gemini's `:batchEmbedContents`.
    case geminiBatch
    /// Cohere's `/v2/embed`.
    case cohere
    /// `:predict` of Vertex AI's embedding models.
    case vertex
    /// Amazon's Titan on Bedrock: one text.
    case titan
    /// Cohere's models on Bedrock.
    case bedrockCohere
}
