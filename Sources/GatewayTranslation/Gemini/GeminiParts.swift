import GatewayWire

/// Parts of Gemini's contents. Names are read in camel case and in snake case, written in camel case.
enum GeminiParts {
    private static let format = WireFormat.gemini

    static func read(_ value: JSONValue, _ arena: JSONArena) -> Part {
        var reader = ObjectReader(value)
        let signature = { (reader: inout ObjectReader) in
            reader.peek("thoughtSignature", or: "thought_signature")?.text
        }
        if let call = reader.object["functionCall"] ?? reader.object["function_call"] {
            var part = ToolCall(
                id: call["id"]?.text, name: call["name"]?.text ?? .empty,
                arguments: .json(call["args"]?.source ?? JSONSlice("{}")), extras: Extras(self.format),
                functionExtras: Extras(self.format))
            var inner = ObjectReader(call)
            _ = inner.take("id")
            _ = inner.take("name")
            _ = inner.take("args")
            part.functionExtras = inner.rest(self.format)
            _ = reader.take("functionCall", or: "function_call")
            part.signature = signature(&reader)
            part.extras = reader.rest(self.format)
            return .toolCall(part)
        }
        if let response = reader.take("functionResponse", or: "function_response") {
            var inner = ObjectReader(response)
            var result = ToolResult(
                callID: inner.takeText("id"), name: inner.takeText("name"), parts: [], isStringContent: false,
                json: inner.take("response")?.source, isError: false, extras: Extras(self.format))
            result.extras = inner.rest(self.format)
            return .toolResult(result)
        }
        if let text = reader.takeText("text") {
            if reader.peek("thought")?.bool == true {
                var part = ReasoningPart(text: text, format: self.format, extras: Extras(self.format))
                part.signature = signature(&reader)
                part.extras = reader.rest(self.format)
                return .reasoning(part)
            }
            var part = TextPart(text, self.format)
            part.signature = signature(&reader)
            part.extras = reader.rest(self.format)
            return .text(part)
        }
        if let media = self.media(&reader) { return .media(media) }
        let type = value.members.first { !$0.key.isEmpty }?.key ?? JSONText("part")
        return .native(NativePart(format: self.format, type: type, raw: value.source, isHint: value.isEmptyContainer))
    }

    private static func media(_ reader: inout ObjectReader) -> MediaPart? {
        if let data = reader.take("inlineData", or: "inline_data") {
            let type = data["mimeType"]?.text ?? data["mime_type"]?.text
            var media = MediaPart(
                kind: MediaReference.kind(type), mediaType: type, source: .data(data["data"]?.text ?? .empty),
                extras: Extras(self.format))
            media.extras = reader.rest(self.format)
            return media
        }
        if let file = reader.take("fileData", or: "file_data") {
            let type = file["mimeType"]?.text ?? file["mime_type"]?.text
            let uri = file["fileUri"]?.text ?? file["file_uri"]?.text ?? .empty
            var media = MediaPart(
                kind: MediaReference.kind(type), mediaType: type, source: .url(uri), extras: Extras(self.format))
            media.extras = reader.rest(self.format)
            return media
        }
        return nil
    }

    // MARK: - Writing

    /// - Parameter names: of the calls, by id: a result bears its call's name.
    static func write(
        _ part: Part, isRequest: Bool, names: [String: JSONText], _ writer: inout JSONWriter,
        _ context: inout EncodingContext
    ) throws(TranslationError) {
        switch part {
        case .text(let text):
            writer.beginObject()
            writer.member("text", text.text)
            writer.extras(text.extras, for: self.format)
            writer.endObject()
        case .refusal(let text):
            writer.beginObject()
            writer.member("text", text)
            writer.endObject()
        case .reasoning(let reasoning):
            // Thoughts of other models are not sent to Gemini.
            guard reasoning.format == self.format || !isRequest, let text = reasoning.text else { return }
            writer.beginObject()
            writer.member("text", text)
            if reasoning.extras.format != self.format { writer.member("thought", true) }
            writer.extras(reasoning.extras, for: self.format)
            writer.endObject()
        case .toolCall(let call): try self.write(call, isRequest: isRequest, &writer, context)
        case .toolResult(let result): try self.write(result, names, &writer, &context)
        case .media(let media): try self.write(media, &writer, context)
        case .native(let native) where native.format == self.format: writer.raw(native.raw)
        case .native(let native) where native.isHint || !isRequest: context.drop(native.type.string)
        case .native(let native): throw context.unsupportedContent("Content of type '\(native.type.string)'")
        }
    }

    private static func write(
        _ call: ToolCall, isRequest: Bool, _ writer: inout JSONWriter, _ context: EncodingContext
    ) throws(TranslationError) {
        writer.beginObject()
        writer.key("functionCall")
        writer.beginObject()
        let isSame = call.extras.format == self.format
        if let id = call.id, isSame || !isRequest { writer.member("id", id) }
        writer.member("name", call.name)
        let arguments =
            call.isCustom
            ? ToolArguments.wrapped(AnthropicParts.text(call.arguments), context.arena)
            : try ToolArguments.object(call.arguments, isRequest: isRequest, context.arena)
        writer.member("args", raw: arguments)
        writer.extras(call.functionExtras, for: self.format)
        writer.endObject()
        if !isSame {
            if let signature = call.signature {
                writer.member("thoughtSignature", signature)
            } else if isRequest, context.options.traits.hasThinkingLevels {
                // Documented for histories that another model wrote; without it the call is refused.
                writer.member("thoughtSignature", "skip_thought_signature_validator")
            }
        }
        writer.extras(call.extras, for: self.format)
        writer.endObject()
    }

    private static func write(
        _ result: ToolResult, _ names: [String: JSONText], _ writer: inout JSONWriter, _ context: inout EncodingContext
    ) throws(TranslationError) {
        var pictures: [Part] = []
        var texts: [JSONText] = []
        for part in result.parts {
            switch part {
            case .text(let text): texts.append(text.text)
            case .media: pictures.append(part)
            case .native(let native) where native.isHint: continue
            default: throw context.unsupportedContent("A tool result that is neither text nor media")
            }
        }
        writer.beginObject()
        writer.key("functionResponse")
        writer.beginObject()
        if result.extras.format == self.format { writer.member("id", ifPresent: result.callID) }
        let known = result.callID.flatMap { names[$0.string] }
        writer.member("name", result.name ?? known ?? result.callID ?? .empty)
        writer.key("response")
        self.writeResponse(result, texts, &writer, context.arena)
        writer.extras(result.extras, for: self.format)
        writer.endObject()
        writer.endObject()
        for picture in pictures {
            try self.write(picture, isRequest: true, names: names, &writer, &context)
        }
    }

    /// An object: the text itself if it is one.
    private static func writeResponse(
        _ result: ToolResult, _ texts: [JSONText], _ writer: inout JSONWriter, _ arena: JSONArena
    ) {
        if let json = result.json, json.bytes.first == UInt8(ascii: "{") { return writer.raw(json) }
        let text = arena.joined(texts)
        let plain = arena.unescaped(text)
        // Its first byte says that it is an object if it is JSON at all.
        if plain.bytes.first == UInt8(ascii: "{"), let source = JSONTree.reading(plain, { $0.source }) {
            return writer.raw(source)
        }
        writer.beginObject()
        writer.key(result.isError ? "error" : "result")
        if let json = result.json {
            writer.raw(json)
        } else {
            writer.string(text)
        }
        writer.endObject()
    }

    private static func write(
        _ media: MediaPart, _ writer: inout JSONWriter, _ context: EncodingContext
    ) throws(TranslationError) {
        writer.beginObject()
        switch media.source {
        case .data(let data):
            writer.key("inlineData")
            writer.beginObject()
            writer.member("mimeType", media.mediaType ?? JSONText("application/octet-stream"))
            writer.member("data", data)
            writer.endObject()
        case .plainText(let text): writer.member("text", text)
        case .url(let url):
            let isOwn = media.extras.format == self.format || url.slice.hasPrefix("gs://")
            guard isOwn || url.slice.firstRange(of: "generativelanguage.googleapis.com") != nil else {
                throw context.unsupportedContent("Media by URL, other than Google's own files,")
            }
            writer.key("fileData")
            writer.beginObject()
            writer.member("mimeType", ifPresent: media.mediaType)
            writer.member("fileUri", url)
            writer.endObject()
        case .file: throw context.unsupportedContent("A file of another provider")
        }
        writer.extras(media.extras, for: self.format)
        writer.endObject()
    }
}
