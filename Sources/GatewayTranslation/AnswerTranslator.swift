import GatewayWire

/// A whole answer in the caller's format.
package struct TranslatedAnswer: Hashable, Sendable {
    package var body: [UInt8]
    /// `nil`: the provider reported none.
    package var usage: ConversationUsage?
    /// Of an answer in the format of Responses, as the provider named it. `nil`: another format, or it did not.
    package var responseID: String?
}

/// Translates whole answers and errors. Pure: bytes in, bytes out.
package enum AnswerTranslator {
    package enum Outcome: Hashable, Sendable {
        case answer(TranslatedAnswer)
        /// The provider sent an error with status 200.
        case failure(ProviderFailure)
    }

    /// - Parameter memory: what the request's translation left.
    /// - Throws: `.invalidAnswer`: not JSON, or not an answer of the format.
    package static func translate(
        _ body: UnsafeRawBufferPointer, from source: WireFormat, to target: WireFormat, options: TranslationOptions,
        memory: CallMemory = CallMemory()
    ) throws(TranslationError) -> Outcome {
        let arena = JSONArena()
        let tree = JSONTree()
        defer { withExtendedLifetime((tree, arena)) {} }
        let root: JSONValue
        do throws(JSONFault) {
            root = try tree.read(body)
        } catch {
            throw .answer("The provider's answer is not valid JSON.")
        }
        guard root.kind == .object else { throw .answer("The provider's answer is no JSON object.") }
        if FailureReader.isFailure(root, source) {
            return .failure(FailureReader.openAI(root["error"] ?? root, root: root, status: nil))
        }
        var response = try self.decode(root, source, arena)
        memory.restore(&response, arena)
        let context = EncodingContext(options: options, arena: arena, target: target)
        var result = TranslatedAnswer(body: try self.encode(response, context), usage: response.usage)
        if source == .openAIResponses { result.responseID = response.id?.string }
        return .answer(result)
    }

    /// Members of an answer's object that say what it used.
    package static func usageMembers(of format: WireFormat) -> [StaticString] {
        switch format {
        case .openAIChat, .openAIResponses: ["usage", "service_tier"]
        case .anthropic, .bedrock, .cohere: ["usage"]
        case .gemini: ["usageMetadata"]
        case .ollama: ["done", "prompt_eval_count", "eval_count"]
        }
    }

    /// - Parameter members: an object that has `usageMembers` and nothing else.
    /// - Returns: `nil`: they say nothing, or cannot be read.
    package static func usage(_ members: UnsafeRawBufferPointer, of format: WireFormat) -> ConversationUsage? {
        let tree = JSONTree()
        return withExtendedLifetime(tree) {
            guard let root = try? tree.read(members) else { return nil }
            if format == .ollama { return OllamaFacts.usage(root) }
            guard let value = root[format == .gemini ? "usageMetadata" : "usage"] else { return nil }
            switch format {
            case .openAIChat, .openAIResponses:
                var usage = format == .openAIChat ? ChatUsage.read(value) : ResponsesUsage.read(value)
                usage.serviceTier = ServiceTierNames.priced(root["service_tier"]?.text) ?? usage.serviceTier
                return usage
            case .anthropic:
                var usage = AnthropicUsage()
                usage.read(value)
                return usage.usage
            case .gemini: return GeminiUsage.read(value)
            case .bedrock: return BedrockUsage.read(value)
            case .cohere: return CohereUsage.read(value)
            case .ollama: return nil
            }
        }
    }

    /// Reads the body of an answer whose status is not 2xx: any format, HTML, or nothing.
    ///
    /// - Parameter errorType: Bedrock's header `x-amzn-errortype` up to a colon. `nil`: no such header.
    package static func readFailure(
        _ body: UnsafeRawBufferPointer, status: Int, errorType: String? = nil
    ) -> ProviderFailure {
        FailureReader.read(body: body, status: status, errorType: errorType)
    }

    /// The body of an error in the caller's format.
    package static func errorBody(_ failure: ProviderFailure, as format: WireFormat) -> [UInt8] {
        var writer = JSONWriter()
        FailureWriter.write(failure, as: format, &writer)
        return writer.bytes
    }

    private static func decode(
        _ root: JSONValue, _ source: WireFormat, _ arena: JSONArena
    ) throws(TranslationError) -> ConversationResponse {
        do throws(TranslationError) {
            switch source {
            case .openAIChat: return try ChatResponseDecoder(arena: arena).decode(root)
            case .anthropic: return try AnthropicResponseDecoder(arena: arena).decode(root)
            case .gemini: return try GeminiResponseDecoder(arena: arena).decode(root)
            case .openAIResponses: return try ResponsesAnswerDecoder(arena: arena).decode(root)
            case .bedrock: return try BedrockResponseDecoder(arena: arena).decode(root)
            case .cohere: return try CohereResponseDecoder(arena: arena).decode(root)
            case .ollama: return try OllamaResponseDecoder(arena: arena).decode(root)
            }
        } catch {
            // Parts are read by the code that reads requests: here it is not the caller who has to mend them.
            throw error.kind == .invalidRequest
                ? .answer("The provider's answer is malformed: " + error.message) : error
        }
    }

    private static func encode(
        _ response: ConversationResponse, _ context: EncodingContext
    ) throws(TranslationError) -> [UInt8] {
        switch context.target {
        case .openAIChat:
            var encoder = ChatResponseEncoder(context: context)
            return try encoder.encode(response)
        case .anthropic:
            var encoder = AnthropicResponseEncoder(context: context)
            return try encoder.encode(response)
        case .gemini:
            var encoder = GeminiResponseEncoder(context: context)
            return try encoder.encode(response)
        case .openAIResponses:
            var encoder = ResponsesAnswerEncoder(context: context)
            return try encoder.encode(response)
        case .bedrock:
            var encoder = BedrockResponseEncoder(context: context)
            return try encoder.encode(response)
        case .cohere:
            var encoder = CohereResponseEncoder(context: context)
            return try encoder.encode(response)
        case .ollama:
            var encoder = OllamaResponseEncoder(context: context)
            return try encoder.encode(response)
        }
    }
}

extension CallMemory {
    /// Gives tools their own names back, and makes the answer of what came as the input of the tool that stood in.
    func restore(_ response: inout ConversationResponse, _ arena: JSONArena) {
        guard self.answerTool != nil || !self.toolNames.isEmpty else { return }
        for index in response.choices.indices {
            var parts = response.choices[index].parts
            var isAnswered = false
            for (place, part) in parts.enumerated() {
                guard case .toolCall(var call) = part else { continue }
                if let answerTool = self.answerTool, call.name.string == answerTool {
                    let text: JSONText
                    switch call.arguments {
                    case .text(let arguments): text = arguments
                    case .json(let json): text = arena.escaped(json.bytes)
                    }
                    parts[place] = .text(TextPart(text, response.format))
                    isAnswered = true
                } else if let name = self.toolNames[call.name.string] {
                    call.name = arena.text(name)
                    parts[place] = .toolCall(call)
                }
            }
            response.choices[index].parts = parts
            if isAnswered, !response.choices[index].hasToolCalls, response.choices[index].finish == .toolCalls {
                response.choices[index].finish = .stop
            }
        }
    }
}
