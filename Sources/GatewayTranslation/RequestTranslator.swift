import GatewayWire

/// A request in the target's format.
package struct TranslatedRequest: Hashable, Sendable {
    package var body: [UInt8]
    /// Members that were left out: hints that the target does not know, and what `drop_params` let go.
    package var dropped: [String]
    /// For the answer's translation.
    package var memory: CallMemory
}

/// Translates whole requests. Pure: bytes in, bytes out.
package enum RequestTranslator {
    /// - Parameter body: one JSON object in the format `source`.
    /// - Throws: `.invalidRequest`: malformed; `.unsupported`: the target cannot express it.
    package static func translate(
        _ body: UnsafeRawBufferPointer, from source: WireFormat, to target: WireFormat, options: TranslationOptions
    ) throws(TranslationError) -> TranslatedRequest {
        let arena = JSONArena()
        let tree = JSONTree()
        // They own what the request consists of.
        defer { withExtendedLifetime((tree, arena)) {} }
        let root: JSONValue
        do throws(JSONFault) {
            root = try tree.read(body)
        } catch {
            throw .json(error)
        }
        guard root.kind == .object else { throw .json(.notAnObject) }
        var request = try self.decode(root, source, arena)
        if source != target { request.numberCalls(arena) }
        if let isStream = options.isStream {
            request.isStream = isStream
            // What the path says, and what Bedrock and Vertex AI want in a body of Anthropic's.
            request.extras.members.removeAll { $0.key == "stream" || $0.key == "anthropic_version" }
        }
        let context = EncodingContext(options: options, arena: arena, target: target)
        var result = try self.encode(request, context)
        result.memory.isStream = request.isStream
        return result
    }

    private static func decode(
        _ root: JSONValue, _ source: WireFormat, _ arena: JSONArena
    ) throws(TranslationError) -> ConversationRequest {
        switch source {
        case .openAIChat: try ChatRequestDecoder(arena: arena).decode(root)
        case .anthropic: try AnthropicRequestDecoder(arena: arena).decode(root)
        case .gemini: try GeminiRequestDecoder(arena: arena).decode(root)
        case .openAIResponses: try ResponsesRequestDecoder(arena: arena).decode(root)
        case .bedrock: try BedrockRequestDecoder(arena: arena).decode(root)
        case .cohere: try CohereRequestDecoder(arena: arena).decode(root)
        case .ollama: try OllamaRequestDecoder(arena: arena).decode(root)
        }
    }

    private static func encode(
        _ request: ConversationRequest, _ context: EncodingContext
    ) throws(TranslationError) -> TranslatedRequest {
        switch context.target {
        case .openAIChat:
            var encoder = ChatRequestEncoder(context: context)
            let body = try encoder.encode(request)
            return TranslatedRequest(body: body, dropped: encoder.context.dropped, memory: encoder.context.memory)
        case .anthropic:
            var encoder = AnthropicRequestEncoder(context: context)
            let body = try encoder.encode(request)
            return TranslatedRequest(body: body, dropped: encoder.context.dropped, memory: encoder.context.memory)
        case .gemini:
            var encoder = GeminiRequestEncoder(context: context)
            let body = try encoder.encode(request)
            return TranslatedRequest(body: body, dropped: encoder.context.dropped, memory: encoder.context.memory)
        case .openAIResponses:
            var encoder = ResponsesRequestEncoder(context: context)
            let body = try encoder.encode(request)
            return TranslatedRequest(body: body, dropped: encoder.context.dropped, memory: encoder.context.memory)
        case .bedrock:
            var encoder = BedrockRequestEncoder(context: context)
            let body = try encoder.encode(request)
            return TranslatedRequest(body: body, dropped: encoder.context.dropped, memory: encoder.context.memory)
        case .cohere:
            var encoder = CohereRequestEncoder(context: context)
            let body = try encoder.encode(request)
            return TranslatedRequest(body: body, dropped: encoder.context.dropped, memory: encoder.context.memory)
        case .ollama:
            var encoder = OllamaRequestEncoder(context: context)
            let body = try encoder.encode(request)
            return TranslatedRequest(body: body, dropped: encoder.context.dropped, memory: encoder.context.memory)
        }
    }
}
