import GatewayWire

/// Reads the stream of `/v1/messages`.
struct AnthropicStreamDecoder: StreamDecoder {
    private enum Block {
        case none, text, reasoning
        case tool(Int)
        case other
    }

    private var block = Block.none
    private var usage = AnthropicUsage()
    private var hasStarted = false
    private var sawFinish = false
    private var sawEnd = false
    private var callCount = 0

    init() {}

    mutating func decode(name: JSONSlice, data: JSONSlice, _ scratch: StreamScratch) throws(TranslationError) {
        // OpenRouter's endpoint of this format appends it.
        if data.hasPrefix("[DONE]") { return }
        // An exception of AWS' frames.
        if name.bytes.first == UInt8(ascii: "!") {
            self.sawEnd = true
            let failure = FailureReader.read(body: data.bytes, status: 0, errorType: name.dropFirst(1).string)
            return scratch.events.append(.failure(failure))
        }
        let root = try scratch.read(data)
        guard let type = root["type"]?.text else { throw .answer("The provider sent an event without a type.") }
        if type == "content_block_delta" {
            guard let delta = root["delta"] else { return }
            self.decode(delta: delta, scratch)
        } else if type == "content_block_start" {
            guard let block = root["content_block"] else { return }
            self.start(block, scratch)
        } else if type == "content_block_stop" {
            if case .none = self.block { return }
            self.block = .none
            scratch.events.append(.blockEnd(choice: 0))
        } else if type == "message_start" {
            // A proxy that tries again sends it twice.
            guard let message = root["message"] else { return }
            if let value = message["usage"] { self.usage.read(value) }
            if !self.hasStarted {
                self.hasStarted = true
                scratch.events.append(.start(id: message["id"]?.text, model: message["model"]?.text, created: nil))
                scratch.events.append(.usage(self.usage.usage))
            }
        } else if type == "message_delta" {
            self.decode(messageDelta: root, scratch)
        } else if type == "message_stop" {
            self.sawEnd = true
            scratch.events.append(.end)
        } else if type == "error" {
            self.sawEnd = true
            scratch.events.append(.failure(FailureReader.openAI(root["error"] ?? root, root: root, status: nil)))
        }
    }

    mutating func finish(_ scratch: StreamScratch) {
        scratch.finish(sawFinish: self.sawFinish, sawEnd: self.sawEnd)
    }

    private mutating func start(_ block: JSONValue, _ scratch: StreamScratch) {
        guard let type = block["type"]?.text else { return }
        if type == "text" {
            self.block = .text
            if let text = block["text"]?.text, !text.isEmpty { scratch.events.append(.text(choice: 0, text)) }
        } else if type == "thinking" {
            self.block = .reasoning
            if let text = block["thinking"]?.text, !text.isEmpty { scratch.events.append(.reasoning(choice: 0, text)) }
            if let text = block["signature"]?.text, !text.isEmpty {
                scratch.events.append(.signature(choice: 0, text, format: .anthropic))
            }
        } else if type == "redacted_thinking" {
            self.block = .other
            if let data = block["data"]?.text {
                scratch.events.append(.encryptedReasoning(choice: 0, data, format: .anthropic))
            }
        } else if type == "tool_use" {
            self.block = .tool(self.callCount)
            scratch.events.append(
                .toolStart(
                    choice: 0, call: self.callCount, id: block["id"]?.text, name: block["name"]?.text ?? .empty,
                    signature: nil))
            if let input = block["input"], !input.isEmptyContainer {
                scratch.events.append(
                    .toolArguments(choice: 0, call: self.callCount, scratch.arena.escaped(input.source.bytes)))
            }
            self.callCount += 1
        } else {
            self.block = .other
        }
    }

    private func decode(delta: JSONValue, _ scratch: StreamScratch) {
        guard let type = delta["type"]?.text else { return }
        if type == "text_delta" {
            if let text = delta["text"]?.text, !text.isEmpty { scratch.events.append(.text(choice: 0, text)) }
        } else if type == "input_json_delta" {
            guard case .tool(let call) = self.block, let piece = delta["partial_json"]?.text, !piece.isEmpty else {
                return
            }
            scratch.events.append(.toolArguments(choice: 0, call: call, piece))
        } else if type == "thinking_delta" {
            if let text = delta["thinking"]?.text, !text.isEmpty { scratch.events.append(.reasoning(choice: 0, text)) }
        } else if type == "signature_delta" {
            if let text = delta["signature"]?.text, !text.isEmpty {
                scratch.events.append(.signature(choice: 0, text, format: .anthropic))
            }
        } else if type == "citations_delta", let citation = delta["citation"] {
            scratch.events.append(.annotation(choice: 0, AnthropicParts.annotation(citation)))
        }
    }

    private mutating func decode(messageDelta root: JSONValue, _ scratch: StreamScratch) {
        if let value = root["usage"] {
            self.usage.read(value)
            scratch.events.append(.usage(self.usage.usage))
        }
        guard let delta = root["delta"], let reason = delta["stop_reason"]?.text else { return }
        self.sawFinish = true
        scratch.events.append(
            .finish(
                choice: 0, AnthropicFinish.read(reason), native: reason, stopSequence: delta["stop_sequence"]?.text))
    }
}
