import GatewayWire

/// Reads the stream of `:streamGenerateContent`: every event is an answer with the next parts; nothing marks the end.
struct GeminiStreamDecoder: StreamDecoder {
    private var hasStarted = false
    private var callCount = 0
    private var finish: (reason: FinishReason, native: [UInt8])?
    private var sawFailure = false
    /// Searches of the web so far. `nil`: none.
    private var searches: Int64?
    /// A call whose arguments come in pieces.
    private var partial: PartialArguments?

    init() {}

    mutating func decode(name: JSONSlice, data: JSONSlice, _ scratch: StreamScratch) throws(TranslationError) {
        let root = try scratch.read(data)
        if let error = root["error"] {
            self.sawFailure = true
            return scratch.events.append(.failure(FailureReader.openAI(error, root: root, status: nil)))
        }
        if !self.hasStarted {
            self.hasStarted = true
            scratch.events.append(.start(id: root["responseId"]?.text, model: root["modelVersion"]?.text, created: nil))
        }
        for candidate in root["candidates"]?.elements ?? root.elements where candidate["index"]?.count ?? 0 == 0 {
            for part in candidate["content"]?["parts"]?.elements ?? root.elements {
                try self.decode(part, scratch)
            }
            if let grounding = candidate["groundingMetadata"] {
                for annotation in GeminiGrounding.annotations(grounding) {
                    scratch.events.append(.annotation(choice: 0, annotation))
                }
                self.searches = GeminiGrounding.searches(grounding) ?? self.searches
            }
            if let reason = candidate["finishReason"]?.text {
                self.finish = (GeminiFinish.read(reason), Array(reason.slice.bytes))
            }
        }
        if let reason = root["promptFeedback"]?["blockReason"]?.text {
            self.finish = (.contentFilter, Array(reason.slice.bytes))
        }
        if let usage = root["usageMetadata"], usage["promptTokenCount"] != nil {
            var counts = GeminiUsage.read(usage)
            counts.webSearchRequests = self.searches
            scratch.events.append(.usage(counts))
        }
    }

    mutating func finish(_ scratch: StreamScratch) {
        if self.sawFailure { return }
        guard let finish = self.finish else { return scratch.finish(sawFinish: false, sawEnd: false) }
        let reason = finish.reason == .stop && self.callCount > 0 ? .toolCalls : finish.reason
        scratch.events.append(
            .finish(choice: 0, reason, native: JSONText(scratch.arena.copy(finish.native)), stopSequence: nil))
        scratch.events.append(.end)
    }

    private mutating func decode(_ value: JSONValue, _ scratch: StreamScratch) throws(TranslationError) {
        if let call = value["functionCall"],
            call["willContinue"] != nil || call["partialArgs"] != nil || self.partial != nil
        {
            return try self.decode(partial: call, value["thoughtSignature"]?.text, scratch)
        }
        switch GeminiParts.read(value, scratch.arena) {
        case .text(let text):
            if !text.text.isEmpty { scratch.events.append(.text(choice: 0, text.text)) }
        case .reasoning(let reasoning):
            if let text = reasoning.text, !text.isEmpty { scratch.events.append(.reasoning(choice: 0, text)) }
        case .toolCall(let call):
            self.start(id: call.id, name: call.name, signature: call.signature, scratch)
            if case .json(let json) = call.arguments {
                scratch.events.append(
                    .toolArguments(choice: 0, call: self.callCount - 1, scratch.arena.escaped(json.bytes)))
            }
            scratch.events.append(.blockEnd(choice: 0))
        case .media(let media): scratch.events.append(.media(choice: 0, media))
        case .refusal, .toolResult, .native: break
        }
    }

    private mutating func start(id: JSONText?, name: JSONText, signature: JSONText?, _ scratch: StreamScratch) {
        scratch.events.append(
            .toolStart(choice: 0, call: self.callCount, id: id, name: name, signature: signature))
        self.callCount += 1
    }

    /// `streamFunctionCallArguments`: the name first, then values by path, at last an empty call.
    private mutating func decode(
        partial call: JSONValue, _ signature: JSONText?, _ scratch: StreamScratch
    ) throws(TranslationError) {
        if let name = call["name"]?.text {
            self.start(id: call["id"]?.text, name: name, signature: signature, scratch)
            self.partial = PartialArguments()
        }
        for piece in call["partialArgs"]?.elements ?? call.elements { try self.partial?.add(piece) }
        guard call["willContinue"]?.bool != true, let partial = self.partial else { return }
        self.partial = nil
        let json = scratch.arena.copy(partial.json)
        scratch.events.append(.toolArguments(choice: 0, call: self.callCount - 1, scratch.arena.escaped(json.bytes)))
        scratch.events.append(.blockEnd(choice: 0))
    }
}

/// Arguments of a call that come as values by JSON path (`$.city`, `$.stops[1].name`), strings in pieces.
struct PartialArguments: Sendable {
    private indirect enum Node: Sendable {
        case object([(key: String, value: Node)])
        case array([Node])
        /// Content of a string, escapes as they came.
        case string([UInt8])
        case other([UInt8])
    }

    private enum Step {
        case key(String)
        case index(Int)
    }

    private var root = Node.object([])
    private var bytes = 0
    private static let bytesMax = 4 << 20
    private static let stepsMax = 64
    /// Of one object or list.
    private static let elementsMax = 4096

    init() {}

    mutating func add(_ piece: JSONValue) throws(TranslationError) {
        guard let path = piece["jsonPath"]?.text else { return }
        let value: Node
        if let text = piece["stringValue"]?.text {
            value = .string(Array(text.slice.bytes))
        } else if let other = piece["numberValue"] ?? piece["boolValue"] {
            value = .other(Array(other.source.bytes))
        } else if piece.members.contains(where: { $0.isKey("nullValue") }) {
            value = .other(Array("null".utf8))
        } else {
            return
        }
        self.bytes += piece.source.count
        guard self.bytes <= Self.bytesMax else {
            throw TranslationError(.tooLarge, "The provider sent a tool call of more than \(Self.bytesMax) bytes.")
        }
        let steps = try Self.steps(path.string)
        try Self.put(value, at: steps[...], in: &self.root)
    }

    var json: [UInt8] {
        var writer = JSONWriter()
        Self.write(self.root, &writer)
        return writer.bytes
    }

    private static func steps(_ path: String) throws(TranslationError) -> [Step] {
        var steps: [Step] = []
        var rest = path.dropFirst(path.hasPrefix("$") ? 1 : 0)
        while let first = rest.first {
            if first == "." {
                let name = rest.dropFirst().prefix { $0 != "." && $0 != "[" }
                steps.append(.key(String(name)))
                rest = rest.dropFirst(1 + name.count)
            } else if first == "[", let end = rest.firstIndex(of: "]") {
                let inner = rest[rest.index(after: rest.startIndex)..<end]
                if let index = Int(inner), (0..<self.elementsMax).contains(index) {
                    steps.append(.index(index))
                } else {
                    steps.append(.key(inner.trimmingQuotes))
                }
                rest = rest[rest.index(after: end)...]
            } else {
                throw .answer("The provider sent arguments with a path that cannot be read.")
            }
        }
        guard steps.count <= self.stepsMax else { throw .answer("The provider sent arguments nested too deeply.") }
        return steps
    }

    private static func put(
        _ value: Node, at steps: ArraySlice<Step>, in node: inout Node
    ) throws(TranslationError) {
        // What is changed is taken out of the node first, so that nothing is copied but what comes new.
        let old = node
        node = .other([])
        guard let step = steps.first else {
            node = self.joined(consume old, value)
            return
        }
        switch step {
        case .key(let key):
            var members = self.members(consume old)
            let place: Int
            if let known = members.firstIndex(where: { $0.key == key }) {
                place = known
            } else {
                guard members.count < self.elementsMax else { throw .answer("The provider sent too many arguments.") }
                place = members.count
                members.append((key, .other([])))
            }
            try self.put(value, at: steps.dropFirst(), in: &members[place].value)
            node = .object(members)
        case .index(let index):
            var elements = self.elements(consume old)
            guard index <= elements.count else { throw .answer("The provider left out elements of arguments.") }
            if index == elements.count { elements.append(.other([])) }
            try self.put(value, at: steps.dropFirst(), in: &elements[index])
            node = .array(elements)
        }
    }

    /// Text goes on where it stopped; anything else replaces what was there.
    private static func joined(_ old: consuming Node, _ value: Node) -> Node {
        guard case .string(var known) = consume old, case .string(let more) = value else { return value }
        known += more
        return .string(known)
    }

    private static func members(_ node: consuming Node) -> [(key: String, value: Node)] {
        if case .object(let members) = consume node { return members }
        return []
    }

    private static func elements(_ node: consuming Node) -> [Node] {
        if case .array(let elements) = consume node { return elements }
        return []
    }

    private static func write(_ node: Node, _ writer: inout JSONWriter) {
        switch node {
        case .object(let members):
            writer.beginObject()
            for (key, value) in members {
                var key = key
                let escaped = key.withUTF8 { bytes in
                    var result: [UInt8] = []
                    JSONUnescape.appendEscaped(UnsafeRawBufferPointer(bytes), to: &result)
                    return result
                }
                escaped.withUnsafeBytes { bytes in
                    writer.key(bytes.baseAddress.map { JSONText(JSONSlice(start: $0, count: bytes.count)) } ?? .empty)
                }
                self.write(value, &writer)
            }
            writer.endObject()
        case .array(let elements):
            writer.beginArray()
            for element in elements { self.write(element, &writer) }
            writer.endArray()
        case .string(let bytes):
            bytes.withUnsafeBytes { bytes in
                writer.string(bytes.baseAddress.map { JSONText(JSONSlice(start: $0, count: bytes.count)) } ?? .empty)
            }
        case .other(let bytes):
            bytes.withUnsafeBytes { bytes in
                writer.raw(bytes.baseAddress.map { JSONSlice(start: $0, count: bytes.count) } ?? JSONSlice("null"))
            }
        }
    }
}

extension Substring {
    fileprivate var trimmingQuotes: String {
        String(self.drop { $0 == "'" || $0 == "\"" }.reversed().drop { $0 == "'" || $0 == "\"" }.reversed())
    }
}

/// Writes the stream of `:streamGenerateContent`. A call goes out whole, as Gemini sends it.
struct GeminiStreamEncoder: StreamEncoder {
    private let options: TranslationOptions
    private let isArray: Bool
    private var identifiers: IdentifierSource
    private var sequencer: BlockSequencer
    private var steps: [BlockStep] = []
    private var call = HeldToolCall()
    /// The end of every event: model and id.
    private var tail: [UInt8] = []
    private var usage: ConversationUsage?
    private var finish: FinishReason?
    private var eventCount = 0
    private var hasEnded = false

    init(options: TranslationOptions, isArray: Bool) {
        self.options = options
        self.isArray = isArray
        self.identifiers = IdentifierSource(seed: options.seed)
        self.sequencer = BlockSequencer(heldBytesMax: options.eventBytesMax)
    }

    mutating func encode(
        _ event: StreamEvent, _ writer: inout JSONWriter, _ scratch: StreamScratch
    ) throws(TranslationError) {
        if self.hasEnded { return }
        self.steps.removeAll(keepingCapacity: true)
        try self.sequencer.feed(event, &self.steps, scratch.arena)
        for index in self.steps.indices { try self.write(self.steps[index], &writer, scratch) }
    }

    private mutating func write(
        _ step: BlockStep, _ writer: inout JSONWriter, _ scratch: StreamScratch
    ) throws(TranslationError) {
        switch step {
        case .start(let id, let model, _): self.start(id, model)
        case .text(let text), .refusal(let text):
            self.beginParts(&writer)
            writer.plain("{\"text\":\"")
            writer.append(text.slice)
            writer.plain("\"}")
            self.endParts(&writer)
        case .reasoning(let text):
            self.beginParts(&writer)
            writer.plain("{\"text\":\"")
            writer.append(text.slice)
            writer.plain("\",\"thought\":true}")
            self.endParts(&writer)
        case .openTool(let id, let name, let signature): self.call.begin(id, name, signature)
        case .arguments(let piece): try self.call.add(piece, max: self.options.eventBytesMax)
        case .closeTool:
            self.beginParts(&writer)
            try self.writeCall(&writer, scratch)
            self.endParts(&writer)
        case .media(let media):
            guard case .data(let data) = media.source else { return }
            self.beginParts(&writer)
            writer.plain("{\"inlineData\":")
            writer.beginObject()
            writer.member("mimeType", media.mediaType ?? JSONText("application/octet-stream"))
            writer.member("data", data)
            writer.plain("}}")
            self.endParts(&writer)
        case .finish(let reason, _, _, _): self.finish = reason
        case .usage(let usage): self.usage = usage
        case .failure(let failure):
            self.hasEnded = true
            self.separate(&writer)
            FailureWriter.gemini(failure, &writer)
            self.endEvent(&writer)
            if self.isArray { writer.plain("]") }
        case .end: self.end(&writer)
        case .openText, .openReasoning, .openRefusal, .closeText, .closeReasoning, .closeRefusal, .signature,
            .encryptedReasoning, .annotation, .logprobs:
            return
        }
    }

    private mutating func writeCall(_ writer: inout JSONWriter, _ scratch: StreamScratch) throws(TranslationError) {
        let call = self.call.end(scratch.arena)
        writer.plain("{\"functionCall\":")
        writer.beginObject()
        writer.member("id", ifPresent: call.id)
        writer.member("name", call.name)
        writer.member(
            "args", raw: try ToolArguments.object(.text(call.arguments), isRequest: false, scratch.arena))
        writer.endObject()
        if let signature = call.signature { writer.member("thoughtSignature", signature) }
        writer.plain("}")
    }

    private mutating func start(_ id: JSONText?, _ model: JSONText?) {
        guard self.tail.isEmpty else { return }
        var tail = JSONWriter()
        tail.plain(",\"modelVersion\":")
        if let name = self.options.answerModel {
            tail.string(escaping: name)
        } else {
            tail.string(model ?? .empty)
        }
        tail.key("responseId")
        if let id, !id.isEmpty {
            tail.string(id)
        } else {
            tail.string(escaping: String(decoding: self.identifiers.next(""), as: UTF8.self))
        }
        tail.plain("}")
        self.tail = tail.bytes
    }

    private mutating func separate(_ writer: inout JSONWriter) {
        if self.isArray {
            writer.plain(self.eventCount == 0 ? "[" : ",\n")
        } else {
            writer.plain("data: ")
        }
        self.eventCount += 1
    }

    private func endEvent(_ writer: inout JSONWriter) {
        if !self.isArray { writer.plain("\n\n") }
    }

    private mutating func beginParts(_ writer: inout JSONWriter) {
        self.start(nil, nil)
        self.separate(&writer)
        writer.plain("{\"candidates\":[{\"content\":{\"parts\":[")
    }

    private func endParts(_ writer: inout JSONWriter) {
        writer.plain("],\"role\":\"model\"},\"index\":0}]")
        writer.bytes.append(contentsOf: self.tail)
        self.endEvent(&writer)
    }

    private mutating func end(_ writer: inout JSONWriter) {
        self.hasEnded = true
        self.start(nil, nil)
        self.separate(&writer)
        writer.plain("{\"candidates\":[{\"content\":{\"parts\":[],\"role\":\"model\"},\"finishReason\":")
        writer.string(GeminiFinish.name(self.finish ?? .stop))
        writer.plain(",\"index\":0}]")
        if let usage = self.usage {
            writer.plain(",\"usageMetadata\":")
            GeminiUsage.write(usage, &writer)
        }
        writer.bytes.append(contentsOf: self.tail)
        self.endEvent(&writer)
        if self.isArray { writer.plain("]") }
    }
}
