import GatewayWire

/// Reads the stream of `/v1/chat/completions` as OpenAI and the providers like it send it: calls without index or with
/// repeated names, arguments as objects, content in parts, usage anywhere, errors within, no `[DONE]`.
struct ChatStreamDecoder: StreamDecoder {
    private struct Call {
        let choice: Int64
        let wireIndex: Int64
        var id: [UInt8]
        /// `toolStart` has been sent.
        var hasStarted: Bool
        let number: Int
    }

    private var calls: [Call] = []
    private var hasStarted = false
    private var sawFinish = false
    private var sawEnd = false
    /// Text, reasoning or a call has come in a delta.
    private var sawDelta = false
    /// Calls of one stream at most; each is remembered.
    private static let callsMax = 4096

    init() {}

    mutating func decode(name: JSONSlice, data: JSONSlice, _ scratch: StreamScratch) throws(TranslationError) {
        if data.hasPrefix("[DONE]") {
            self.sawEnd = true
            return scratch.events.append(.end)
        }
        let root = try scratch.read(data)
        guard root.kind == .object else { throw .answer("The provider sent an event that is no object.") }
        let choices = root["choices"]
        self.start(root, choices, scratch)
        if let choices {
            for choice in choices.elements { try self.decode(choice, scratch) }
        }
        if let usage = root["usage"] ?? root["x_groq"]?["usage"], usage.kind == .object {
            var usage = ChatUsage.read(usage)
            usage.serviceTier = ServiceTierNames.priced(root["service_tier"]?.text) ?? usage.serviceTier
            scratch.events.append(.usage(usage))
        }
        if let error = root["error"] {
            scratch.events.append(.failure(FailureReader.openAI(error, root: root, status: nil)))
            self.sawEnd = true
        } else if name == "error" {
            scratch.events.append(.failure(FailureReader.openAI(root, root: root, status: nil)))
            self.sawEnd = true
        }
    }

    mutating func finish(_ scratch: StreamScratch) {
        scratch.finish(sawFinish: self.sawFinish, sawEnd: self.sawEnd)
    }

    /// Azure's first chunk has no id and no choice yet: the start waits for one that has.
    private mutating func start(_ root: JSONValue, _ choices: JSONValue?, _ scratch: StreamScratch) {
        guard !self.hasStarted, let choices, !choices.isEmptyContainer else { return }
        self.hasStarted = true
        scratch.events.append(
            .start(id: root["id"]?.text, model: root["model"]?.text, created: root["created"]?.numberSource))
    }

    private mutating func decode(_ choice: JSONValue, _ scratch: StreamScratch) throws(TranslationError) {
        let index = choice["index"]?.count ?? 0
        if let delta = choice["delta"] {
            try self.decode(delta, index, scratch)
        } else if let message = choice["message"], !self.sawDelta {
            try self.decode(message, index, scratch)
        } else if let text = choice["text"]?.text {
            scratch.events.append(.text(choice: index, text))
        }
        if let logprobs = choice["logprobs"], logprobs.kind == .object {
            scratch.events.append(.logprobs(choice: index, logprobs.source))
        }
        if let usage = choice["usage"], usage.kind == .object { scratch.events.append(.usage(ChatUsage.read(usage))) }
        if let reason = choice["finish_reason"]?.text, !reason.isEmpty {
            self.sawFinish = true
            let finish = ChatFinish.read(reason)
            scratch.events.append(
                .finish(
                    choice: index, finish, native: reason == ChatFinish.name(finish) ? nil : reason, stopSequence: nil))
        }
    }

    private mutating func decode(
        _ delta: JSONValue, _ choice: Int64, _ scratch: StreamScratch
    ) throws(TranslationError) {
        for member in delta.members where !member.value.isNull {
            if member.isKey("content") {
                try self.decode(content: member.value, choice, scratch)
            } else if member.isKey("reasoning_content")
                || member.isKey("reasoning") && delta["reasoning_content"] == nil
            {
                if let text = member.value.text, !text.isEmpty {
                    self.sawDelta = true
                    scratch.events.append(.reasoning(choice: choice, text))
                }
            } else if member.isKey("tool_calls") {
                var position: Int64 = 0
                for call in member.value.elements {
                    try self.decode(call: call, position, choice, scratch)
                    position += 1
                }
            } else if member.isKey("function_call"), delta["tool_calls"] == nil {
                try self.decode(function: member.value, id: nil, wireIndex: 0, choice, scratch)
            } else if member.isKey("refusal") {
                if let text = member.value.text, !text.isEmpty { scratch.events.append(.refusal(choice: choice, text)) }
            } else if member.isKey("annotations") {
                for annotation in member.value.elements {
                    scratch.events.append(
                        .annotation(choice: choice, ChatResponseDecoder.annotation(annotation)))
                }
            } else {
                self.decode(rare: member, choice, scratch)
            }
        }
    }

    private mutating func decode(rare member: JSONValue.Member, _ choice: Int64, _ scratch: StreamScratch) {
        if member.isKey("images") {
            for image in member.value.elements {
                guard let url = image["image_url"]?["url"]?.text else { continue }
                let (type, source) = MediaReference.read(url, scratch.arena)
                let media = MediaPart(kind: .image, mediaType: type, source: source, extras: Extras(.openAIChat))
                scratch.events.append(.media(choice: choice, media))
            }
        } else if member.isKey("thinking_blocks") {
            for block in member.value.elements {
                if let signature = block["signature"]?.text, !signature.isEmpty {
                    scratch.events.append(.signature(choice: choice, signature, format: .anthropic))
                }
            }
        }
    }

    private mutating func decode(
        content: JSONValue, _ choice: Int64, _ scratch: StreamScratch
    ) throws(TranslationError) {
        if let text = content.text {
            guard !text.isEmpty else { return }
            self.sawDelta = true
            return scratch.events.append(.text(choice: choice, text))
        }
        guard content.kind == .array else { throw .answer("The provider sent content that is neither text nor parts.") }
        for element in content.elements {
            switch try ChatParts.read(element, .openAIChat, scratch.arena) {
            case .text(let part): scratch.events.append(.text(choice: choice, part.text))
            case .reasoning(let part):
                if let text = part.text, !text.isEmpty { scratch.events.append(.reasoning(choice: choice, text)) }
            case .media(let media): scratch.events.append(.media(choice: choice, media))
            default: break
            }
            self.sawDelta = true
        }
    }

    // MARK: - Tool calls

    private mutating func decode(
        call: JSONValue, _ position: Int64, _ choice: Int64, _ scratch: StreamScratch
    ) throws(TranslationError) {
        self.sawDelta = true
        guard let function = call["function"] ?? call["custom"], function.kind == .object else { return }
        let index = call["index"]?.count ?? self.index(ofID: call["id"]?.text, choice) ?? position
        try self.decode(function: function, id: call["id"]?.text, wireIndex: index, choice, scratch)
        if let signature = call["provider_specific_fields"]?["thought_signature"]?.text, let last = scratch.events.last,
            case .toolStart(let choice, let number, let id, let name, nil) = last
        {
            scratch.events[scratch.events.count - 1] =
                .toolStart(choice: choice, call: number, id: id, name: name, signature: signature)
        }
    }

    /// Where the index is missing, the id tells calls apart; a new id is a new call.
    private func index(ofID id: JSONText?, _ choice: Int64) -> Int64? {
        let own = self.calls.filter { $0.choice == choice }
        guard let id, !id.isEmpty else { return own.last?.wireIndex }
        return own.first { $0.id.elementsEqual(id.slice.bytes) }?.wireIndex ?? Int64(own.count)
    }

    private mutating func decode(
        function: JSONValue, id: JSONText?, wireIndex: Int64, _ choice: Int64, _ scratch: StreamScratch
    ) throws(TranslationError) {
        let place = try self.place(wireIndex, id, choice)
        let name = function["name"]?.text
        let arguments = function["arguments"] ?? function["input"]
        let hasArguments = arguments.map { $0.text?.isEmpty != true } ?? false
        if !self.calls[place].hasStarted, name?.isEmpty == false || hasArguments {
            self.calls[place].hasStarted = true
            let known = self.calls[place].id
            let callID = known.isEmpty ? nil : JSONText(scratch.arena.copy(known))
            scratch.events.append(
                .toolStart(
                    choice: choice, call: self.calls[place].number, id: callID, name: name ?? .empty, signature: nil))
        }
        guard let arguments, hasArguments else { return }
        let piece = arguments.text ?? scratch.arena.escaped(arguments.source.bytes)
        scratch.events.append(.toolArguments(choice: choice, call: self.calls[place].number, piece))
    }

    /// The call of that index. Another id at the same index is another call: some providers send 0 for all.
    private mutating func place(_ wireIndex: Int64, _ id: JSONText?, _ choice: Int64) throws(TranslationError) -> Int {
        let id = id.map { Array($0.slice.bytes) } ?? []
        if let place = self.calls.lastIndex(where: { $0.choice == choice && $0.wireIndex == wireIndex }) {
            let known = self.calls[place].id
            if id.isEmpty || known == id { return place }
            if known.isEmpty, !self.calls[place].hasStarted {
                self.calls[place].id = id
                return place
            }
        }
        guard self.calls.count < Self.callsMax else {
            throw TranslationError(.tooLarge, "The provider made more than \(Self.callsMax) tool calls in one stream.")
        }
        let number = self.calls.count { $0.choice == choice }
        self.calls.append(Call(choice: choice, wireIndex: wireIndex, id: id, hasStarted: false, number: number))
        return self.calls.count - 1
    }
}
