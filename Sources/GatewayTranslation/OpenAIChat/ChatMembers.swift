import GatewayWire

/// Where OpenAI-compatible messages hold reasoning: `reasoning_content` (DeepSeek and most), `reasoning` (Groq,
/// OpenRouter, Ollama), and `thinking_blocks` with signatures (LiteLLM).
enum ChatReasoning {
    /// Reads them without taking them: they go out as they are where the format is the same.
    static func parts(_ reader: inout ObjectReader, _ format: WireFormat, _ arena: JSONArena) -> [Part] {
        var parts: [Part] = []
        let text = reader.peek("reasoning_content")?.text
        let other = reader.peek("reasoning")?.text
        if let blocks = reader.peek("thinking_blocks") {
            for block in blocks.elements {
                var part = ReasoningPart(format: .anthropic, extras: Extras(format))
                part.text = block["thinking"]?.text
                part.signature = block["signature"]?.text
                part.encrypted = block["data"]?.text
                parts.append(.reasoning(part))
            }
        }
        _ = reader.peek("reasoning_details")
        if parts.isEmpty, let text = text ?? other, !text.isEmpty {
            parts.append(.reasoning(ReasoningPart(text: text, format: format, extras: Extras(format))))
        }
        return parts
    }

    /// Writes `reasoning_content`, and `thinking_blocks` where something signed or encrypted is to come back.
    static func write(_ parts: [Part], _ writer: inout JSONWriter, _ arena: JSONArena) {
        let reasoning = parts.compactMap { part -> ReasoningPart? in
            if case .reasoning(let reasoning) = part { return reasoning }
            return nil
        }
        let texts = reasoning.compactMap(\.text)
        if !texts.isEmpty { writer.member("reasoning_content", arena.joined(texts)) }
        guard reasoning.contains(where: { $0.signature != nil || $0.encrypted != nil }) else { return }
        writer.key("thinking_blocks")
        writer.beginArray()
        for part in reasoning {
            writer.beginObject()
            if let data = part.encrypted, part.text == nil {
                writer.member("type", "redacted_thinking")
                writer.member("data", data)
            } else {
                writer.member("type", "thinking")
                writer.member("thinking", part.text ?? .empty)
                writer.member("signature", ifPresent: part.signature)
                writer.member("data", ifPresent: part.encrypted)
            }
            writer.endObject()
        }
        writer.endArray()
    }
}

/// `tool_calls` and the deprecated `function_call` of a message.
enum ChatToolCalls {
    static func read(_ reader: inout ObjectReader, _ format: WireFormat) throws(TranslationError) -> [Part] {
        var parts: [Part] = []
        if let calls = reader.object["tool_calls"], calls.kind == .array, !calls.isEmptyContainer {
            _ = reader.take("tool_calls")
            for call in calls.elements { parts.append(.toolCall(try self.call(call, format))) }
        } else if let function = reader.object["function_call"], function["name"]?.text?.isEmpty == false {
            _ = reader.take("function_call")
            parts.append(.toolCall(try self.function(function, id: nil, format)))
        }
        return parts
    }

    private static func call(_ value: JSONValue, _ format: WireFormat) throws(TranslationError) -> ToolCall {
        var reader = ObjectReader(value)
        let id = reader.takeText("id")
        let type = reader.takeText("type")
        if type == "custom", let custom = reader.take("custom") {
            var call = ToolCall(
                id: id, name: custom["name"]?.text ?? .empty, arguments: .text(custom["input"]?.text ?? .empty),
                extras: reader.rest(format), functionExtras: Extras(format))
            call.isCustom = true
            return call
        }
        guard let function = reader.take("function"), function.kind == .object else {
            throw .wrongType("messages.tool_calls.function", "an object")
        }
        var call = try self.function(function, id: id, format)
        call.signature = self.signature(&reader)
        call.extras = reader.rest(format)
        return call
    }

    /// Gemini's thought signature, from either place where clients keep it.
    private static func signature(_ reader: inout ObjectReader) -> JSONText? {
        let google = reader.peek("extra_content")?["google"]?["thought_signature"]?.text
        return reader.peek("provider_specific_fields")?["thought_signature"]?.text ?? google
    }

    private static func function(
        _ value: JSONValue, id: JSONText?, _ format: WireFormat
    ) throws(TranslationError) -> ToolCall {
        var reader = ObjectReader(value)
        guard let name = reader.takeText("name") else {
            throw .wrongType("messages.tool_calls.function.name", "a string")
        }
        let arguments: ToolCall.Arguments
        if let value = reader.take("arguments") {
            arguments = value.text.map { .text($0) } ?? .json(value.source)
        } else {
            arguments = .text(.empty)
        }
        return ToolCall(
            id: id, name: name, arguments: arguments, extras: Extras(format), functionExtras: reader.rest(format))
    }

    /// Writes the `tool_calls` of `parts`, if there are any.
    static func write(_ parts: [Part], _ writer: inout JSONWriter, _ context: inout EncodingContext) {
        let calls = parts.compactMap { part -> ToolCall? in
            if case .toolCall(let call) = part { return call }
            return nil
        }
        guard let first = calls.first else { return }
        if first.id == nil, first.extras.format == .openAIChat, context.target == .openAIChat, calls.count == 1 {
            writer.key("function_call")
            return self.writeFunction(first, &writer, context)
        }
        writer.key("tool_calls")
        writer.beginArray()
        for call in calls {
            writer.beginObject()
            writer.member("id", call.id ?? context.identifiers.next("call_", context.arena))
            writer.member("type", call.isCustom ? JSONText("custom") : JSONText("function"))
            if call.isCustom {
                writer.key("custom")
                writer.beginObject()
                writer.member("name", call.name)
                ToolArguments.writeText(call.arguments, "input", &writer)
                writer.endObject()
            } else {
                writer.key("function")
                self.writeFunction(call, &writer, context)
            }
            if let signature = call.signature, call.extras.format != .openAIChat {
                self.writeSignature(signature, &writer)
            }
            writer.extras(call.extras, for: context.target)
            writer.endObject()
        }
        writer.endArray()
    }

    private static func writeFunction(_ call: ToolCall, _ writer: inout JSONWriter, _ context: EncodingContext) {
        writer.beginObject()
        writer.member("name", call.name)
        ToolArguments.writeText(call.arguments, "arguments", &writer)
        writer.extras(call.functionExtras, for: context.target)
        writer.endObject()
    }

    /// Both places, so that whichever the client keeps comes back.
    static func writeSignature(_ signature: JSONText, _ writer: inout JSONWriter) {
        writer.key("provider_specific_fields")
        writer.beginObject()
        writer.member("thought_signature", signature)
        writer.endObject()
        writer.key("extra_content")
        writer.beginObject()
        writer.key("google")
        writer.beginObject()
        writer.member("thought_signature", signature)
        writer.endObject()
        writer.endObject()
    }
}
