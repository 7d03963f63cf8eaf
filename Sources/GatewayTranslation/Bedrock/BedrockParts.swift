import GatewayWire

/// Content blocks of Bedrock's Converse API.
enum BedrockParts {
    private static let format = WireFormat.bedrock

    static func read(_ value: JSONValue, _ arena: JSONArena) throws(TranslationError) -> [Part] {
        if let text = value["text"]?.text { return [.text(TextPart(text, self.format))] }
        if let use = value["toolUse"] {
            guard let name = use["name"]?.text else { throw .wrongType("messages.content.toolUse.name", "a string") }
            return [
                .toolCall(
                    ToolCall(
                        id: use["toolUseId"]?.text, name: name,
                        arguments: .json(use["input"]?.source ?? JSONSlice("{}")), extras: Extras(self.format),
                        functionExtras: Extras(self.format)))
            ]
        }
        if let result = value["toolResult"] { return [.toolResult(try self.result(result, arena))] }
        if let reasoning = value["reasoningContent"] {
            var part = ReasoningPart(format: self.format, extras: Extras(self.format))
            part.text = reasoning["reasoningText"]?["text"]?.text
            part.signature = reasoning["reasoningText"]?["signature"]?.text
            part.encrypted = reasoning["redactedContent"]?.text
            return [.reasoning(part)]
        }
        if let cited = value["citationsContent"] {
            let annotations = cited["citations"]?.elements.map { self.annotation($0) } ?? []
            return (cited["content"]?.elements ?? cited.elements).compactMap { $0["text"]?.text }.map { text in
                var part = TextPart(text, self.format)
                part.annotations = annotations
                return .text(part)
            }
        }
        for (key, kind) in self.media {
            if let body = value[key], let media = self.media(body, kind, arena) { return [.media(media)] }
        }
        let type = value.members.first { !$0.key.isEmpty }?.key ?? JSONText("block")
        let isHint = type == "cachePoint"
        return [.native(NativePart(format: self.format, type: type, raw: value.source, isHint: isHint))]
    }

    private static let media: [(key: StaticString, kind: MediaPart.Kind)] = [
        ("image", .image), ("document", .document), ("video", .video), ("audio", .audio),
    ]

    static func annotation(_ value: JSONValue) -> Annotation {
        let web = value["location"]?["web"]?["url"]?.text
        return Annotation(
            url: web, title: value["title"]?.text,
            citedText: value["sourceContent"]?.elements.lazy.compactMap { $0["text"]?.text }.first, start: nil,
            end: nil, format: self.format, raw: value.source)
    }

    private static func media(_ body: JSONValue, _ kind: MediaPart.Kind, _ arena: JSONArena) -> MediaPart? {
        let source = body["source"]
        let place: MediaPart.Source
        if let data = source?["bytes"]?.text {
            place = .data(data)
        } else if let uri = source?["s3Location"]?["uri"]?.text {
            place = .url(uri)
        } else if let text = source?["text"]?.text {
            place = .plainText(text)
        } else {
            return nil
        }
        var media = MediaPart(kind: kind, source: place, extras: Extras(self.format))
        media.name = body["name"]?.text
        if let format = body["format"]?.text {
            switch kind {
            case .image: media.mediaType = arena.joined([JSONText("image/"), format])
            case .audio: media.mediaType = MediaReference.audioType(format, arena)
            case .video: media.mediaType = arena.joined([JSONText("video/"), format])
            case .document: media.mediaType = MediaReference.documentType(format)
            }
        }
        return media
    }

    private static func result(_ value: JSONValue, _ arena: JSONArena) throws(TranslationError) -> ToolResult {
        var result = ToolResult(
            callID: value["toolUseId"]?.text, parts: [], isStringContent: false,
            isError: value["status"]?.text == "error", extras: Extras(self.format))
        for element in value["content"]?.elements ?? value.elements {
            if let json = element["json"], value["content"]?.elements.reduce(0, { count, _ in count + 1 }) == 1 {
                result.json = json.source
            } else if let json = element["json"] {
                result.parts.append(.text(TextPart(arena.escaped(json.source.bytes), self.format)))
            } else {
                result.parts += try self.read(element, arena)
            }
        }
        return result
    }

    // MARK: - Writing

    static func write(
        _ part: Part, isRequest: Bool, _ writer: inout JSONWriter, _ context: inout EncodingContext
    ) throws(TranslationError) {
        var cacheControl: JSONSlice?
        switch part {
        case .text(let text):
            // Blank text is refused there.
            if isRequest, AnthropicRequestEncoder.isBlank(text.text) { return }
            writer.beginObject()
            writer.member("text", text.text)
            writer.endObject()
            cacheControl = text.cacheControl
        case .refusal(let text):
            writer.beginObject()
            writer.member("text", text)
            writer.endObject()
        case .toolCall(let call):
            writer.beginObject()
            writer.key("toolUse")
            writer.beginObject()
            writer.member("toolUseId", ToolNames.id(of: call, &context))
            writer.member("name", isRequest ? ToolNames.safe(call.name, &context) : call.name)
            let input = try ToolArguments.object(call.arguments, isRequest: isRequest, context.arena)
            writer.member("input", raw: input)
            writer.endObject()
            writer.endObject()
            cacheControl = call.cacheControl
        case .toolResult(let result):
            try self.write(result, &writer, &context)
            cacheControl = result.cacheControl
        case .reasoning(let reasoning): self.write(reasoning, isRequest: isRequest, &writer)
        case .media(let media):
            try self.write(media, &writer, &context)
            cacheControl = media.cacheControl
        case .native(let native) where native.format == self.format: writer.raw(native.raw)
        case .native(let native) where native.isHint || !isRequest: context.drop(native.type.string)
        case .native(let native): throw context.unsupportedContent("Content of type '\(native.type.string)'")
        }
        if let cacheControl, isRequest { self.writeCachePoint(cacheControl, &writer) }
    }

    static func writeCachePoint(_ control: JSONSlice, _ writer: inout JSONWriter) {
        let isLong = JSONTree.reading(control) { $0["ttl"]?.text == "1h" } ?? false
        writer.beginObject()
        writer.key("cachePoint")
        writer.beginObject()
        writer.member("type", "default")
        if isLong { writer.member("ttl", "1h") }
        writer.endObject()
        writer.endObject()
    }

    private static func write(_ reasoning: ReasoningPart, isRequest: Bool, _ writer: inout JSONWriter) {
        let isOwn = reasoning.format == self.format || reasoning.format == .anthropic
        guard isOwn && (reasoning.signature != nil || reasoning.encrypted != nil) || !isRequest else { return }
        writer.beginObject()
        writer.key("reasoningContent")
        writer.beginObject()
        if let data = reasoning.encrypted, reasoning.text == nil {
            writer.member("redactedContent", data)
        } else {
            writer.key("reasoningText")
            writer.beginObject()
            writer.member("text", reasoning.text ?? .empty)
            if isOwn { writer.member("signature", ifPresent: reasoning.signature) }
            writer.endObject()
        }
        writer.endObject()
        writer.endObject()
    }

    private static func write(
        _ result: ToolResult, _ writer: inout JSONWriter, _ context: inout EncodingContext
    ) throws(TranslationError) {
        writer.beginObject()
        writer.key("toolResult")
        writer.beginObject()
        writer.member("toolUseId", result.callID ?? result.name ?? .empty)
        writer.key("content")
        writer.beginArray()
        if let json = result.json {
            writer.beginObject()
            writer.member("json", raw: json)
            writer.endObject()
        }
        for part in result.parts {
            if case .text(let text) = part {
                writer.beginObject()
                writer.member("text", text.text)
                writer.endObject()
            } else {
                try self.write(part, isRequest: true, &writer, &context)
            }
        }
        writer.endArray()
        if result.isError { writer.member("status", "error") }
        writer.endObject()
        writer.endObject()
    }

    private static func write(
        _ media: MediaPart, _ writer: inout JSONWriter, _ context: inout EncodingContext
    ) throws(TranslationError) {
        let key: StaticString
        var format: JSONText?
        switch media.kind {
        case .image:
            key = "image"
            format = media.mediaType.flatMap(MediaReference.subtype)
            if format == "jpg" { format = JSONText("jpeg") }
        case .audio:
            key = "audio"
            format = MediaReference.audioFormat(media.mediaType)
        case .video:
            key = "video"
            format = media.mediaType.flatMap(MediaReference.subtype)
        case .document:
            key = "document"
            format = media.mediaType.flatMap(MediaReference.documentName).map { JSONText($0) }
            if format == nil { format = JSONText("txt") }
        }
        writer.beginObject()
        writer.key(key)
        writer.beginObject()
        writer.member("format", ifPresent: format)
        if media.kind == .document { writer.member("name", self.documentName(media.name, &context)) }
        writer.key("source")
        writer.beginObject()
        switch media.source {
        case .data(let data): writer.member("bytes", data)
        case .plainText(let text): writer.member("text", text)
        case .url(let url):
            guard url.slice.hasPrefix("s3://") else { throw context.unsupportedContent("Media by URL") }
            writer.key("s3Location")
            writer.beginObject()
            writer.member("uri", url)
            writer.endObject()
        case .file: throw context.unsupportedContent("A file of another provider")
        }
        writer.endObject()
        writer.endObject()
        writer.endObject()
    }

    /// Letters, digits, single spaces, hyphens and brackets; each once in a request.
    private static func documentName(_ name: JSONText?, _ context: inout EncodingContext) -> JSONText {
        var result: [UInt8] = []
        for byte in (name?.string ?? "document").utf8.prefix(150) {
            let isAllowed =
                byte < 0x80 && (Unicode.Scalar(byte).properties.isAlphabetic || byte >= 0x30 && byte <= 0x39)
                || "-()[]".utf8.contains(byte)
            if isAllowed {
                result.append(byte)
            } else if result.last != 0x20 {
                result.append(0x20)
            }
        }
        context.documentCount += 1
        if context.documentCount > 1 { result += Array(" (\(context.documentCount))".utf8) }
        return JSONText(context.arena.copy(result))
    }
}

/// `usage` of Converse: input leaves out what was read from and written to the cache.
enum BedrockUsage {
    static func read(_ value: JSONValue) -> ConversationUsage {
        var usage = ConversationUsage()
        usage.cachedInput = value["cacheReadInputTokens"]?.count
        usage.cacheWriteInput = value["cacheWriteInputTokens"]?.count
        if let input = value["inputTokens"]?.count {
            usage.input = input + (usage.cachedInput ?? 0) + (usage.cacheWriteInput ?? 0)
        }
        for detail in value["cacheDetails"]?.elements ?? value.elements where detail["ttl"]?.text == "1h" {
            usage.cacheWriteLongInput = detail["inputTokens"]?.count
        }
        usage.output = value["outputTokens"]?.count
        return usage
    }

    static func write(_ usage: ConversationUsage, _ writer: inout JSONWriter) {
        writer.beginObject()
        writer.member("inputTokens", count: usage.plainInput)
        writer.member("outputTokens", count: usage.output ?? 0)
        writer.member("totalTokens", count: (usage.input ?? 0) + (usage.output ?? 0))
        writer.member("cacheReadInputTokens", countIfPresent: usage.cachedInput)
        writer.member("cacheWriteInputTokens", countIfPresent: usage.cacheWriteInput)
        writer.endObject()
    }
}

/// `stopReason` of Converse.
enum BedrockFinish {
    static func read(_ text: JSONText) -> FinishReason {
        if text == "end_turn" { return .stop }
        if text == "stop_sequence" { return .stopSequence }
        if text == "tool_use" { return .toolCalls }
        if text == "max_tokens" { return .length }
        if text == "model_context_window_exceeded" { return .contextWindow }
        if text == "guardrail_intervened" || text == "content_filtered" { return .contentFilter }
        return text.slice.hasPrefix("malformed") ? .malformed : .stop
    }

    static func name(_ reason: FinishReason) -> StaticString {
        switch reason {
        case .stop, .error: "end_turn"
        case .stopSequence: "stop_sequence"
        case .length, .pause: "max_tokens"
        case .contextWindow: "model_context_window_exceeded"
        case .toolCalls: "tool_use"
        case .contentFilter, .refusal: "content_filtered"
        case .malformed: "malformed_model_output"
        }
    }
}
