import GatewayWire

/// Items of the Responses API: messages, calls, results, reasoning, in requests and in answers.
enum ResponsesItems {
    private static let format = WireFormat.openAIResponses

    /// One item as a message of its own.
    static func read(_ value: JSONValue, _ arena: JSONArena) throws(TranslationError) -> Message {
        var reader = ObjectReader(value)
        let type = reader.peekText("type")
        if type == nil || type == "message" { return try self.message(&reader, arena) }
        if type == "function_call" {
            guard let name = reader.takeText("name") else { throw .wrongType("input.name", "a string") }
            let id = reader.takeText("call_id")
            var call = ToolCall(
                id: id, name: name, arguments: .text(reader.takeText("arguments") ?? .empty),
                extras: Extras(self.format), functionExtras: Extras(self.format))
            if let id, let (plain, signature) = SignedIdentifier.split(id, arena) {
                call.id = plain
                call.signature = signature
            }
            call.extras = reader.rest(self.format)
            return Message(role: .assistant, parts: [.toolCall(call)], extras: Extras(self.format))
        }
        if type == "function_call_output" {
            let id = reader.takeText("call_id")
            let output = reader.take("output")
            var result = ToolResult(
                callID: id.flatMap { SignedIdentifier.split($0, arena)?.id } ?? id, parts: [],
                isStringContent: output?.kind == .string, isError: false, extras: Extras(self.format))
            if let text = output?.text {
                result.parts = [.text(TextPart(text, self.format))]
            } else if let output {
                for element in output.elements { result.parts.append(try self.part(element, arena)) }
            }
            result.extras = reader.rest(self.format)
            return Message(role: .tool, parts: [.toolResult(result)], extras: Extras(self.format))
        }
        if type == "reasoning" {
            return Message(
                role: .assistant, parts: [.reasoning(self.reasoning(&reader, arena))], extras: Extras(self.format))
        }
        let native = NativePart(format: self.format, type: type ?? .empty, raw: value.source)
        return Message(role: .assistant, parts: [.native(native)], extras: Extras(self.format))
    }

    static func reasoning(_ reader: inout ObjectReader, _ arena: JSONArena) -> ReasoningPart {
        var part = ReasoningPart(format: self.format, extras: Extras(self.format))
        let summary = reader.peek("summary")?.elements.compactMap { $0["text"]?.text } ?? []
        let content = reader.peek("content")?.elements.compactMap { $0["text"]?.text } ?? []
        if !(summary + content).isEmpty { part.text = arena.joined(summary + content) }
        part.encrypted = reader.peekText("encrypted_content")
        part.itemID = reader.peekText("id")
        part.extras = reader.rest(self.format)
        return part
    }

    private static func message(
        _ reader: inout ObjectReader, _ arena: JSONArena
    ) throws(TranslationError) -> Message {
        guard let name = reader.takeText("role") else { throw .wrongType("input.role", "a string") }
        let role: Role
        if name == "user" {
            role = .user
        } else if name == "assistant" {
            role = .assistant
        } else if name == "system" {
            role = .system
        } else if name == "developer" {
            role = .developer
        } else {
            throw .request(
                "An input item has an unknown role: send user, assistant, system or developer.", param: "input")
        }
        let content = reader.take("content")
        var message = Message(
            role: role, parts: [], isStringContent: content?.kind == .string, extras: Extras(self.format))
        if let text = content?.text {
            message.parts = [.text(TextPart(text, self.format))]
        } else if let content {
            for element in content.elements { message.parts.append(try self.part(element, arena)) }
        }
        message.extras = reader.rest(self.format)
        return message
    }

    static func part(_ value: JSONValue, _ arena: JSONArena) throws(TranslationError) -> Part {
        guard let type = value["type"]?.text else { throw .wrongType("input.content.type", "a string") }
        var reader = ObjectReader(value)
        if type == "input_text" || type == "output_text" || type == "text" || type == "summary_text" {
            guard let text = reader.takeText("text") else { throw .wrongType("input.content.text", "a string") }
            var part = TextPart(text, self.format)
            part.annotations = reader.peek("annotations")?.elements.map { self.annotation($0) } ?? []
            part.extras = reader.rest(self.format)
            return .text(part)
        }
        if type == "refusal", let text = value["refusal"]?.text { return .refusal(text) }
        var media: MediaPart?
        if type == "input_image" {
            if let url = value["image_url"]?.text {
                let (mediaType, source) = MediaReference.read(url, arena)
                media = MediaPart(kind: .image, mediaType: mediaType, source: source, extras: Extras(self.format))
            } else if let id = value["file_id"]?.text {
                media = MediaPart(kind: .image, source: .file(id), extras: Extras(self.format))
            }
            media?.detail = value["detail"]?.text
        } else if type == "input_file" {
            if let data = value["file_data"]?.text {
                let (mediaType, source) = MediaReference.read(data, arena)
                media = MediaPart(kind: .document, mediaType: mediaType, source: source, extras: Extras(self.format))
            } else if let url = value["file_url"]?.text {
                media = MediaPart(kind: .document, source: .url(url), extras: Extras(self.format))
            } else if let id = value["file_id"]?.text {
                media = MediaPart(kind: .document, source: .file(id), extras: Extras(self.format))
            }
            media?.name = value["filename"]?.text
        }
        if let media { return .media(media) }
        return .native(NativePart(format: self.format, type: type, raw: value.source))
    }

    static func annotation(_ value: JSONValue) -> Annotation {
        Annotation(
            url: value["url"]?.text, title: value["title"]?.text, citedText: nil, start: value["start_index"]?.source,
            end: value["end_index"]?.source, format: self.format, raw: value.source)
    }

    // MARK: - Writing

    static func write(
        _ part: Part, isAssistant: Bool, _ writer: inout JSONWriter, _ context: inout EncodingContext
    ) throws(TranslationError) {
        switch part {
        case .text(let text):
            writer.beginObject()
            let isOwn = text.extras.format == self.format && text.extras.contains("type")
            if !isOwn { writer.member("type", isAssistant ? JSONText("output_text") : JSONText("input_text")) }
            writer.member("text", text.text)
            writer.extras(text.extras, for: self.format)
            writer.endObject()
            if text.extras.format != self.format, text.cacheControl != nil { context.drop("cache_control") }
        case .refusal(let text):
            writer.beginObject()
            writer.member("type", "refusal")
            writer.member("refusal", text)
            writer.endObject()
        case .media(let media): try self.write(media, &writer, context)
        case .native(let native) where native.format == self.format: writer.raw(native.raw)
        case .native(let native) where native.isHint: context.drop(native.type.string)
        case .native(let native): throw context.unsupportedContent("Content of type '\(native.type.string)'")
        case .reasoning, .toolCall, .toolResult: return
        }
    }

    private static func write(
        _ media: MediaPart, _ writer: inout JSONWriter, _ context: EncodingContext
    ) throws(TranslationError) {
        writer.beginObject()
        switch (media.kind, media.source) {
        case (_, .plainText(let text)):
            writer.member("type", "input_text")
            writer.member("text", text)
        case (.image, .file(let id)):
            writer.member("type", "input_image")
            writer.member("file_id", id)
        case (.image, _):
            writer.member("type", "input_image")
            writer.key("image_url")
            ChatParts.writeReference(media, &writer)
        case (.document, .file(let id)):
            writer.member("type", "input_file")
            writer.member("file_id", id)
        case (.document, .url(let url)):
            writer.member("type", "input_file")
            writer.member("file_url", url)
        case (.document, .data):
            writer.member("type", "input_file")
            writer.member("filename", media.name ?? JSONText("document"))
            writer.key("file_data")
            ChatParts.writeReference(media, &writer)
        case (.audio, _): throw context.unsupportedContent("Audio")
        case (.video, _): throw context.unsupportedContent("Video")
        }
        writer.member("detail", ifPresent: media.detail)
        writer.endObject()
    }
}

/// `usage` of the Responses API.
enum ResponsesUsage {
    /// Whether an item of the output is a search of the web that is paid for; opening a page is not.
    static func isSearch(_ item: JSONValue) -> Bool {
        guard item["type"]?.text == "web_search_call" else { return false }
        guard let action = item["action"]?["type"]?.text else { return true }
        return action == "search"
    }

    static func read(_ value: JSONValue) -> ConversationUsage {
        var usage = ConversationUsage()
        usage.input = value["input_tokens"]?.count
        usage.output = value["output_tokens"]?.count
        let details = value["input_tokens_details"]
        usage.cachedInput = details?["cached_tokens"]?.count
        usage.cacheWriteInput = details?["cache_write_tokens"]?.count
        let lifetimes = details?["cache_write_tokens_details"]
        usage.cacheWriteLongInput = lifetimes?["ttl_12h_tokens"]?.count
        usage.imageInput = details?["image_tokens"]?.count
        usage.audioInput = details?["audio_tokens"]?.count
        usage.reasoningOutput = value["output_tokens_details"]?["reasoning_tokens"]?.count
        if let input = usage.input, let output = usage.output, let reasoning = usage.reasoningOutput, reasoning > 0,
            value["total_tokens"]?.count == input + output + reasoning
        {
            usage.output = output + reasoning
        }
        ChatUsage.readMoney(value, &usage)
        return usage
    }

    static func write(_ usage: ConversationUsage, _ writer: inout JSONWriter) {
        writer.beginObject()
        writer.member("input_tokens", count: usage.input ?? 0)
        writer.key("input_tokens_details")
        writer.beginObject()
        writer.member("cached_tokens", count: usage.cachedInput ?? 0)
        writer.member("cache_write_tokens", countIfPresent: usage.cacheWriteInput)
        writer.endObject()
        writer.member("output_tokens", count: usage.output ?? 0)
        writer.key("output_tokens_details")
        writer.beginObject()
        writer.member("reasoning_tokens", count: usage.reasoningOutput ?? 0)
        writer.endObject()
        writer.member("total_tokens", count: (usage.input ?? 0) + (usage.output ?? 0))
        writer.endObject()
    }
}
