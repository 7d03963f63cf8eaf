import GatewayWire

/// Content blocks of Anthropic's Messages API.
enum AnthropicParts {
    private static let format = WireFormat.anthropic

    static func read(_ value: JSONValue, _ arena: JSONArena) throws(TranslationError) -> Part {
        guard let type = value["type"]?.text else { throw .wrongType("messages.content.type", "a string") }
        var reader = ObjectReader(value)
        _ = reader.take("type")
        if type == "text", let text = reader.takeText("text") {
            var part = TextPart(text, self.format)
            part.cacheControl = reader.peek("cache_control")?.source
            if let citations = reader.peek("citations"), citations.kind == .array {
                part.annotations = citations.elements.map { self.annotation($0) }
            }
            part.extras = reader.rest(self.format)
            return .text(part)
        }
        if type == "thinking" {
            var part = ReasoningPart(format: self.format, extras: Extras(self.format))
            part.text = reader.takeText("thinking")
            part.signature = reader.takeText("signature")
            part.extras = reader.rest(self.format)
            return .reasoning(part)
        }
        if type == "redacted_thinking" {
            var part = ReasoningPart(format: self.format, extras: Extras(self.format))
            part.encrypted = reader.takeText("data")
            part.extras = reader.rest(self.format)
            return .reasoning(part)
        }
        if type == "tool_use" { return .toolCall(try self.toolUse(&reader, arena)) }
        if type == "tool_result" { return .toolResult(try self.toolResult(&reader, arena)) }
        if type == "image" || type == "document", let media = self.media(type, &reader) { return .media(media) }
        return .native(NativePart(format: self.format, type: type, raw: value.source))
    }

    static func annotation(_ value: JSONValue) -> Annotation {
        Annotation(
            url: value["url"]?.text, title: value["title"]?.text ?? value["document_title"]?.text,
            citedText: value["cited_text"]?.text, start: value["start_char_index"]?.source,
            end: value["end_char_index"]?.source, format: self.format, raw: value.source)
    }

    private static func toolUse(
        _ reader: inout ObjectReader, _ arena: JSONArena
    ) throws(TranslationError) -> ToolCall {
        let input = reader.take("input")?.source ?? JSONSlice("{}")
        guard let id = reader.takeText("id"), let name = reader.takeText("name") else {
            throw .wrongType("messages.content.tool_use", "an id and a name")
        }
        var call = ToolCall(
            id: id, name: name, arguments: .json(input), extras: Extras(self.format),
            functionExtras: Extras(self.format))
        if let (plain, signature) = SignedIdentifier.split(id, arena) {
            call.id = plain
            call.signature = signature
        }
        call.cacheControl = reader.peek("cache_control")?.source
        call.extras = reader.rest(self.format)
        return call
    }

    private static func toolResult(
        _ reader: inout ObjectReader, _ arena: JSONArena
    ) throws(TranslationError) -> ToolResult {
        let content = reader.take("content")
        var parts: [Part] = []
        if let text = content?.text {
            parts = [.text(TextPart(text, self.format))]
        } else if let content {
            for element in content.elements { parts.append(try self.read(element, arena)) }
        }
        let id = reader.takeText("tool_use_id")
        var result = ToolResult(
            callID: id.flatMap { SignedIdentifier.split($0, arena)?.id } ?? id, parts: parts,
            isStringContent: content?.kind == .string, isError: reader.peek("is_error")?.bool ?? false,
            extras: Extras(self.format))
        result.cacheControl = reader.peek("cache_control")?.source
        result.extras = reader.rest(self.format)
        return result
    }

    private static func media(_ type: JSONText, _ reader: inout ObjectReader) -> MediaPart? {
        guard let source = reader.object["source"], let kind = source["type"]?.text else { return nil }
        let place: MediaPart.Source
        if kind == "base64", let data = source["data"]?.text {
            place = .data(data)
        } else if kind == "url", let url = source["url"]?.text {
            place = .url(url)
        } else if kind == "file", let id = source["file_id"]?.text {
            place = .file(id)
        } else if kind == "text", let text = source["data"]?.text {
            place = .plainText(text)
        } else {
            return nil
        }
        _ = reader.take("source")
        var media = MediaPart(
            kind: type == "image" ? .image : .document, mediaType: source["media_type"]?.text, source: place,
            extras: Extras(self.format))
        media.name = reader.peekText("title")
        media.cacheControl = reader.peek("cache_control")?.source
        media.extras = reader.rest(self.format)
        return media
    }

    // MARK: - Writing

    static func write(
        _ part: Part, isRequest: Bool, _ writer: inout JSONWriter, _ context: inout EncodingContext
    ) throws(TranslationError) {
        switch part {
        case .text(let text): self.write(text, &writer)
        case .refusal(let text): self.write(TextPart(text, self.format), &writer)
        case .media(let media): try self.write(media, &writer, context)
        case .toolCall(let call): try self.write(call, isRequest: isRequest, &writer, &context)
        case .toolResult(let result): try self.write(result, &writer, &context)
        case .reasoning(let reasoning): self.write(reasoning, isRequest: isRequest, &writer)
        case .native(let native) where native.format == self.format: writer.raw(native.raw)
        case .native(let native) where native.isHint || !isRequest: context.drop(native.type.string)
        case .native(let native): throw context.unsupportedContent("Content of type '\(native.type.string)'")
        }
    }

    private static func write(_ text: TextPart, _ writer: inout JSONWriter) {
        writer.beginObject()
        writer.member("type", "text")
        writer.member("text", text.text)
        if text.extras.format != self.format {
            writer.member("cache_control", rawIfPresent: text.cacheControl)
            self.writeCitations(text.annotations, &writer)
        }
        writer.extras(text.extras, for: self.format)
        writer.endObject()
    }

    /// Sources on the web; other places in a text have no equal.
    private static func writeCitations(_ annotations: [Annotation], _ writer: inout JSONWriter) {
        guard annotations.contains(where: { $0.url != nil }) else { return }
        writer.key("citations")
        writer.beginArray()
        for annotation in annotations where annotation.url != nil { self.writeCitation(annotation, &writer) }
        writer.endArray()
    }

    static func writeCitation(_ annotation: Annotation, _ writer: inout JSONWriter) {
        if annotation.format == self.format { return writer.raw(annotation.raw) }
        writer.beginObject()
        writer.member("type", "web_search_result_location")
        writer.member("url", annotation.url ?? .empty)
        writer.member("title", annotation.title ?? .empty)
        writer.member("encrypted_index", "")
        writer.member("cited_text", annotation.citedText ?? .empty)
        writer.endObject()
    }

    private static func write(
        _ media: MediaPart, _ writer: inout JSONWriter, _ context: EncodingContext
    ) throws(TranslationError) {
        guard media.kind == .image || media.kind == .document else {
            throw context.unsupportedContent(media.kind == .audio ? "Audio" : "Video")
        }
        // Text of other types than PDF is a source of its own.
        var isText = false
        if case .plainText = media.source { isText = true }
        writer.beginObject()
        writer.member("type", media.kind == .image ? "image" : "document")
        writer.key("source")
        writer.beginObject()
        switch media.source {
        case .data(let data):
            writer.member("type", "base64")
            let fallback = media.kind == .image ? JSONText("image/png") : JSONText("application/pdf")
            writer.member("media_type", media.mediaType ?? fallback)
            writer.member("data", data)
        case .url(let url):
            writer.member("type", "url")
            writer.member("url", url)
        case .file(let id):
            writer.member("type", "file")
            writer.member("file_id", id)
        case .plainText(let text):
            writer.member("type", "text")
            writer.member("media_type", "text/plain")
            writer.member("data", text)
        }
        writer.endObject()
        if media.extras.format != self.format {
            if media.kind == .document || isText { writer.member("title", ifPresent: media.name) }
            writer.member("cache_control", rawIfPresent: media.cacheControl)
        }
        writer.extras(media.extras, for: self.format)
        writer.endObject()
    }

    private static func write(
        _ call: ToolCall, isRequest: Bool, _ writer: inout JSONWriter, _ context: inout EncodingContext
    ) throws(TranslationError) {
        writer.beginObject()
        writer.member("type", "tool_use")
        let id = ToolNames.id(of: call, &context)
        writer.member("id", isRequest ? id : SignedIdentifier.join(id, call.signature, context.arena))
        writer.member("name", isRequest ? ToolNames.safe(call.name, &context) : call.name)
        let arguments =
            call.isCustom
            ? ToolArguments.wrapped(Self.text(call.arguments), context.arena)
            : try ToolArguments.object(call.arguments, isRequest: isRequest, context.arena)
        writer.member("input", raw: arguments)
        if call.extras.format != self.format { writer.member("cache_control", rawIfPresent: call.cacheControl) }
        writer.extras(call.extras, for: self.format)
        writer.endObject()
    }

    static func text(_ arguments: ToolCall.Arguments) -> JSONText {
        if case .text(let text) = arguments { return text }
        return .empty
    }

    private static func write(
        _ result: ToolResult, _ writer: inout JSONWriter, _ context: inout EncodingContext
    ) throws(TranslationError) {
        writer.beginObject()
        writer.member("type", "tool_result")
        writer.member("tool_use_id", result.callID ?? result.name ?? .empty)
        if let json = result.json {
            writer.key("content")
            writer.string(holding: json)
        } else if result.isStringContent, result.parts.count == 1, case .text(let text) = result.parts[0] {
            writer.member("content", text.text)
        } else if !result.parts.isEmpty {
            writer.key("content")
            writer.beginArray()
            for part in result.parts { try self.write(part, isRequest: true, &writer, &context) }
            writer.endArray()
        }
        if result.extras.format != self.format {
            if result.isError { writer.member("is_error", true) }
            writer.member("cache_control", rawIfPresent: result.cacheControl)
        }
        writer.extras(result.extras, for: self.format)
        writer.endObject()
    }

    /// A caller of Anthropic gets all reasoning; Anthropic itself only what it has signed.
    private static func write(_ reasoning: ReasoningPart, isRequest: Bool, _ writer: inout JSONWriter) {
        let isOwn = reasoning.format == self.format || reasoning.format == .bedrock
        if let data = reasoning.encrypted, reasoning.text == nil || isOwn && reasoning.signature == nil {
            guard isOwn || !isRequest else { return }
            writer.beginObject()
            writer.member("type", "redacted_thinking")
            writer.member("data", data)
            writer.extras(reasoning.extras, for: self.format)
            return writer.endObject()
        }
        guard !isRequest || isOwn && reasoning.signature != nil || reasoning.extras.format == self.format else {
            return
        }
        writer.beginObject()
        writer.member("type", "thinking")
        writer.member("thinking", reasoning.text ?? .empty)
        writer.member("signature", isOwn ? reasoning.signature ?? .empty : .empty)
        writer.extras(reasoning.extras, for: self.format)
        writer.endObject()
    }
}
