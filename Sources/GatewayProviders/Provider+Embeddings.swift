import GatewayWire

extension Provider {
    /// The shape in which a request for embeddings in `source` goes to `model`. `nil`: the model makes none that can
    /// be asked for.
    package func embeddingFormat(of source: EmbeddingFormat, model: String) -> EmbeddingFormat? {
        switch self.embeddings {
        case .openAI: return .openAI
        case .gemini: return source == .gemini || source == .geminiBatch ? source : .openAI
        case .cohere: return source == .cohere ? .cohere : .openAI
        case .vertex: return self.pathStyle == .vertexGemini ? .vertex : .openAI
        case .bedrock:
            if model.contains("titan-embed-text") || model.contains("titan-embed-g1") { return .titan }
            return model.contains("cohere.embed") ? .bedrockCohere : nil
        }
    }

    /// The path and query behind the base URL for embeddings in a format that the provider has.
    package func embeddingPath(_ format: EmbeddingFormat, model: String) -> String {
        switch format {
        case .openAI: self.openAIPath("/embeddings", model: model)
        case .gemini: self.geminiModelPath(model) + ":embedContent"
        case .geminiBatch: self.geminiModelPath(model) + ":batchEmbedContents"
        case .cohere: "/v2/embed"
        case .vertex: self.geminiModelPath(model) + ":predict"
        case .titan, .bedrockCohere: "/model/\(Self.encoded(model))/invoke"
        }
    }
}
