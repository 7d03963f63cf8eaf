import GatewayCore
import GatewayWire

extension Provider {
    /// The path and query behind the base URL of the endpoint for conversations in `format`, which is `chatFormat` or
    /// one of `nativeFormats`.
    ///
    /// - Parameter model: the model's name at the provider; percent-encoded here where it is part of the path.
    package func path(for format: WireFormat, model: String, isStream: Bool) -> String {
        switch format {
        case .openAIChat: return self.openAIPath("/chat/completions", model: model)
        case .openAIResponses: return self.openAIPath("/responses", model: model)
        case .anthropic: return self.messagesPath(model: model, isStream: isStream)
        case .gemini:
            let method = isStream ? ":streamGenerateContent?alt=sse" : ":generateContent"
            return self.geminiModelPath(model) + method
        case .bedrock: return "/model/\(Self.encoded(model))/converse" + (isStream ? "-stream" : "")
        case .cohere: return "/v2/chat"
        case .ollama: return "/api/chat"
        }
    }

    /// The path and query of an endpoint of OpenAI's shape, such as `/embeddings`.
    package func openAIPath(_ operation: String, model: String) -> String {
        switch self.pathStyle {
        case .azure:
            switch self.placement.apiVersion {
            case "v1", "latest": return "/openai/v1" + operation
            case "preview": return "/openai/v1\(operation)?api-version=preview"
            case let version:
                let version = Self.encoded(version ?? Self.azureVersion)
                // Responses take the deployment from the body.
                let isOutside = operation.hasPrefix("/responses")
                let deployment = isOutside ? "" : "/deployments/\(Self.encoded(model))"
                return "/openai\(deployment)\(operation)?api-version=\(version)"
            }
        case .azureInference:
            guard let version = self.placement.apiVersion else {
                return "/models\(operation)?api-version=\(Self.azureInferenceVersion)"
            }
            if version == "v1" || version == "latest" { return "/openai/v1" + operation }
            return "/models\(operation)?api-version=\(Self.encoded(version))"
        case .vertexOpenAI: return self.vertexPrefix(version: "v1") + "/endpoints/openapi" + operation
        case .standard, .azureAnthropic, .vertexGemini, .vertexAnthropic, .bedrockInvoke:
            return self.openAIPrefix + operation
        }
    }

    /// The path and query of `kind`, which is none of a conversation's.
    package func path(of kind: CallKind, model: String) -> String {
        guard kind == .rerank else { return self.openAIPath(kind.path, model: model) }
        return switch self.pathStyle {
        case .azureInference: "/v1/rerank"
        // Its path of OpenAI's shape has none.
        default: self.chatFormat == .cohere ? "/v2/rerank" : self.openAIPath(kind.path, model: model)
        }
    }

    /// The path that counts the tokens of a request in `format`. `nil`: the provider has none.
    package func countTokensPath(for format: WireFormat, model: String) -> String? {
        switch (format, self.pathStyle) {
        case (.anthropic, .standard) where self.chatFormat == .anthropic: "/v1/messages/count_tokens"
        case (.anthropic, .azureAnthropic): "/anthropic/v1/messages/count_tokens"
        case (.anthropic, .vertexAnthropic):
            self.vertexPrefix(version: "v1") + "/publishers/anthropic/models/count-tokens:rawPredict"
        case (.gemini, .standard), (.gemini, .vertexGemini): self.geminiModelPath(model) + ":countTokens"
        case (.bedrock, _): "/model/\(Self.encoded(model))/count-tokens"
        default: nil
        }
    }

    /// LiteLLM's defaults.
    private static let azureVersion = "2025-02-01-preview"
    private static let azureInferenceVersion = "2024-05-01-preview"

    private func messagesPath(model: String, isStream: Bool) -> String {
        switch self.pathStyle {
        case .azureAnthropic: "/anthropic/v1/messages"
        case .vertexAnthropic:
            self.vertexPrefix(version: "v1") + "/publishers/anthropic/models/\(Self.encoded(model))"
                + (isStream ? ":streamRawPredict" : ":rawPredict")
        case .bedrockInvoke:
            "/model/\(Self.encoded(model))/invoke" + (isStream ? "-with-response-stream" : "")
        // The base URL of a provider with OpenAI's shape ends in the version.
        default: self.chatFormat == .anthropic ? "/v1/messages" : "/messages"
        }
    }

    func geminiModelPath(_ model: String) -> String {
        let name = Self.encoded(model)
        guard self.pathStyle == .vertexGemini else {
            for kind in ["models/", "tunedModels/"] where model.hasPrefix(kind) {
                return "/v1beta/" + kind + Self.encoded(String(model.dropFirst(kind.count)))
            }
            return "/v1beta/models/" + name
        }
        guard self.placement.project != nil else { return "/v1beta1/publishers/google/models/" + name }
        // A model that was tuned or deployed has a number.
        if !model.isEmpty, model.utf8.allSatisfy({ (0x30...0x39).contains($0) }) {
            return self.vertexPrefix(version: "v1") + "/endpoints/" + name
        }
        return self.vertexPrefix(version: "v1") + "/publishers/google/models/" + name
    }

    private func vertexPrefix(version: String) -> String {
        let location = Self.encoded(self.placement.location ?? Placement.defaultLocation)
        guard let project = self.placement.project else { return "/" + version }
        return "/\(version)/projects/\(Self.encoded(project))/locations/\(location)"
    }

    /// `text` as one segment of a path: all but RFC 3986's unreserved characters in percent, as AWS wants it.
    package static func encoded(_ text: String) -> String {
        let digits = Array("0123456789ABCDEF".utf8)
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.utf8.count)
        for byte in text.utf8 {
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F, 0x7E: bytes.append(byte)
            default: bytes += [0x25, digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
