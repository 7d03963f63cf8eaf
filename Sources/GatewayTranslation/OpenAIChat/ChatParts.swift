import GatewayWire

/// Parts of message content in OpenAI's chat format and its relatives (Cohere, Mistral).
enum ChatParts {
    static func read(
        _ value: JSONValue, _ format: WireFormat, _ arena: JSONArena
    ) throws(TranslationError) -> Part {
        if let text = value.text { return .text(TextPart(text, format)) }
        guard let type = value["type"]?.text else { throw .wrongType("messages.content.type", "a string") }
        var reader = ObjectReader(value)
        _ = reader.take("type")
        if type == "text" || type == "input_text" || type == "output_text" {
            guard let text = reader.takeText("text") else { throw .wrongType("messages.content.text", "a string") }
            var part = TextPart(text, format)
            part.cacheControl = reader.peek("cache_control")?.source
            part.extras = reader.rest(format)
            return .text(part)
        }
        if type == "refusal", let text = reader.takeText("refusal") { return .refusal(text) }
        if type == "thinking", let part = self.thinking(value, format, arena) { return part }
        if let media = self.media(type, value, &reader, format, arena) { return .media(media) }
        return .native(NativePart(format: format, type: type, raw: value.source))
    }

    /// Mistral's `{type: thinking, thinking: [{type: text, text}]}`, Cohere's with a string.
    private static func thinking(_ value: JSONValue, _ format: WireFormat, _ arena: JSONArena) -> Part? {
        guard let thinking = value["thinking"] else { return nil }
        let texts = thinking.text.map { [$0] } ?? thinking.elements.compactMap { $0["text"]?.text }
        return .reasoning(
            ReasoningPart(text: arena.joined(texts), format: format, extras: Extras(format)))
    }

    private static func media(
        _ type: JSONText, _ value: JSONValue, _ reader: inout ObjectReader, _ format: WireFormat, _ arena: JSONArena
    ) -> MediaPart? {
        var media: MediaPart
        if type == "image_url" || type == "video_url" || type == "document_url" {
            let key: StaticString =
                type == "image_url" ? "image_url" : type == "video_url" ? "video_url" : "document_url"
            guard let body = reader.take(key), let url = body.text ?? body["url"]?.text else { return nil }
            let (mediaType, source) = MediaReference.read(url, arena)
            let kind: MediaPart.Kind = type == "image_url" ? .image : type == "video_url" ? .video : .document
            media = MediaPart(kind: kind, mediaType: mediaType, source: source, extras: Extras(format))
            media.detail = body["detail"]?.text
            media.name = reader.peekText("document_name")
        } else if type == "input_audio", let body = reader.take("input_audio"), let data = body["data"]?.text {
            let mediaType = body["format"]?.text.map { MediaReference.audioType($0, arena) }
            media = MediaPart(kind: .audio, mediaType: mediaType, source: .data(data), extras: Extras(format))
        } else if type == "file", let body = reader.take("file") {
            if let data = body["file_data"]?.text {
                let (mediaType, source) = MediaReference.read(data, arena)
                media = MediaPart(kind: .document, mediaType: mediaType, source: source, extras: Extras(format))
            } else if let id = body["file_id"]?.text {
                media = MediaPart(kind: .document, source: .file(id), extras: Extras(format))
            } else {
                return nil
            }
            media.name = body["filename"]?.text
        } else {
            return nil
        }
        media.cacheControl = reader.peek("cache_control")?.source
        media.extras = reader.rest(format)
        return media
    }

    // MARK: - Writing

    /// Writes a part of user or system content.
    static func write(
        _ part: Part, _ writer: inout JSONWriter, _ context: inout EncodingContext
    ) throws(TranslationError) {
        switch part {
        case .text(let text):
            writer.beginObject()
            writer.member("type", "text")
            writer.member("text", text.text)
            self.writeCacheControl(text.cacheControl, text.extras, &writer, &context)
            writer.extras(text.extras, for: context.target, skipping: ["cache_control"])
            writer.endObject()
        case .media(let media): try self.write(media, &writer, &context)
        case .native(let native) where native.format == context.target: writer.raw(native.raw)
        case .native(let native) where native.isHint: context.drop(native.type.string)
        case .native(let native): throw context.unsupportedContent("Content of type '\(native.type.string)'")
        case .refusal(let text):
            writer.beginObject()
            writer.member("type", "refusal")
            writer.member("refusal", text)
            writer.endObject()
        case .reasoning, .toolCall, .toolResult: return
        }
    }

    private static func writeCacheControl(
        _ value: JSONSlice?, _ extras: Extras, _ writer: inout JSONWriter, _ context: inout EncodingContext
    ) {
        guard let value else { return }
        if context.options.quirks.takesCacheControl || extras.contains("cache_control") {
            writer.member("cache_control", raw: value)
        } else {
            context.drop("cache_control")
        }
    }

    private static func write(
        _ media: MediaPart, _ writer: inout JSONWriter, _ context: inout EncodingContext
    ) throws(TranslationError) {
        if case .plainText(let text) = media.source {
            writer.beginObject()
            writer.member("type", "text")
            writer.member("text", text)
            return writer.endObject()
        }
        switch media.kind {
        case .image:
            if case .file = media.source { throw context.unsupportedContent("An image by file id") }
            writer.beginObject()
            writer.member("type", "image_url")
            writer.key("image_url")
            self.writeURL(media, &writer)
        case .video:
            writer.beginObject()
            writer.member("type", "video_url")
            writer.key("video_url")
            self.writeURL(media, &writer)
        case .audio:
            guard case .data(let data) = media.source, let format = MediaReference.audioFormat(media.mediaType) else {
                throw context.unsupportedContent("Audio that is not in the request")
            }
            writer.beginObject()
            writer.member("type", "input_audio")
            writer.key("input_audio")
            writer.beginObject()
            writer.member("data", data)
            writer.member("format", format)
            writer.endObject()
        case .document: try self.writeDocument(media, &writer, context)
        }
        writer.extras(media.extras, for: context.target, skipping: media.kind == .document ? [] : ["document_name"])
        writer.endObject()
    }

    private static func writeURL(_ media: MediaPart, _ writer: inout JSONWriter) {
        writer.beginObject()
        writer.key("url")
        self.writeReference(media, &writer)
        writer.member("detail", ifPresent: media.detail)
        writer.endObject()
    }

    /// A string: the address, or a data URI.
    static func writeReference(_ media: MediaPart, _ writer: inout JSONWriter) {
        switch media.source {
        case .data(let data):
            let type = media.mediaType ?? JSONText("application/octet-stream")
            writer.string(pieces: JSONText("data:"), type, JSONText(";base64,"), data)
        case .url(let url), .file(let url), .plainText(let url): writer.string(url)
        }
    }

    private static func writeDocument(
        _ media: MediaPart, _ writer: inout JSONWriter, _ context: EncodingContext
    ) throws(TranslationError) {
        let isMistral = context.options.quirks.name == "mistral"
        if case .url(let url) = media.source {
            // Only Mistral reads documents from an address.
            guard media.extras.format == .openAIChat || isMistral else {
                throw context.unsupportedContent("A document by URL")
            }
            writer.beginObject()
            writer.member("type", "document_url")
            return writer.member("document_url", url)
        }
        if isMistral, case .data = media.source {
            writer.beginObject()
            writer.member("type", "document_url")
            writer.key("document_url")
            return self.writeReference(media, &writer)
        }
        writer.beginObject()
        writer.member("type", "file")
        writer.key("file")
        writer.beginObject()
        if case .file(let id) = media.source {
            writer.member("file_id", id)
            writer.member("filename", ifPresent: media.name)
        } else {
            writer.member("filename", media.name ?? JSONText("document"))
            writer.key("file_data")
            self.writeReference(media, &writer)
        }
        writer.endObject()
    }
}
