import GatewayWire

/// Reads the stream of `/v1/responses`.
struct ResponsesStreamDecoder: StreamDecoder {
    private struct Call {
        let outputIndex: Int64
        let number: Int
        var hasArguments = false
    }

    private var calls: [Call] = []
    private var hasStarted = false
    private var sawEnd = false
    private var searches: Int64 = 0
    private static let callsMax = 4096

    init() {}

    mutating func decode(name: JSONSlice, data: JSONSlice, _ scratch: StreamScratch) throws(TranslationError) {
        if data.hasPrefix("[DONE]") { return }
        let root = try scratch.read(data)
        guard let type = root["type"]?.text else {
            guard let error = root["error"] else { throw .answer("The provider sent an event without a type.") }
            return self.fail(error, root, scratch)
        }
        if type == "response.output_text.delta" {
            guard let text = root["delta"]?.text, !text.isEmpty else { return }
            scratch.events.append(.text(choice: 0, text))
        } else if type == "response.function_call_arguments.delta" {
            guard let place = self.place(root), let piece = root["delta"]?.text, !piece.isEmpty else { return }
            self.calls[place].hasArguments = true
            scratch.events.append(.toolArguments(choice: 0, call: self.calls[place].number, piece))
        } else if type == "response.reasoning_summary_text.delta" || type == "response.reasoning_text.delta" {
            guard let text = root["delta"]?.text, !text.isEmpty else { return }
            scratch.events.append(.reasoning(choice: 0, text))
        } else if type == "response.refusal.delta" {
            guard let text = root["delta"]?.text, !text.isEmpty else { return }
            scratch.events.append(.refusal(choice: 0, text))
        } else if type == "response.output_item.added" {
            if let item = root["item"] { try self.begin(item, root, scratch) }
        } else if type == "response.output_item.done" {
            if let item = root["item"] { self.end(item, root, scratch) }
        } else if type == "response.output_text.annotation.added" {
            guard let annotation = root["annotation"] else { return }
            scratch.events.append(.annotation(choice: 0, ResponsesItems.annotation(annotation)))
        } else {
            self.decode(frame: type, root, scratch)
        }
    }

    mutating func finish(_ scratch: StreamScratch) { scratch.finish(sawFinish: false, sawEnd: self.sawEnd) }

    /// Events about the response as a whole.
    private mutating func decode(frame type: JSONText, _ root: JSONValue, _ scratch: StreamScratch) {
        let response = root["response"]
        if type == "response.created" || type == "response.in_progress" || type == "response.queued" {
            guard !self.hasStarted, let response else { return }
            self.hasStarted = true
            scratch.events.append(
                .start(
                    id: response["id"]?.text, model: response["model"]?.text,
                    created: response["created_at"]?.numberSource))
        } else if type == "response.completed" || type == "response.incomplete" {
            guard let response else { return }
            self.sawEnd = true
            let finish = ResponsesAnswerDecoder.finish(response, hasCalls: !self.calls.isEmpty)
            scratch.events.append(.finish(choice: 0, finish, native: nil, stopSequence: nil))
            if let usage = response["usage"] {
                var usage = ResponsesUsage.read(usage)
                usage.serviceTier = ServiceTierNames.priced(response["service_tier"]?.text)
                if self.searches > 0 { usage.webSearchRequests = self.searches }
                scratch.events.append(.usage(usage))
            }
            scratch.events.append(.end)
        } else if type == "response.failed" {
            self.fail(response?["error"] ?? root, root, scratch)
        } else if type == "error" {
            self.fail(root["error"] ?? root, root, scratch)
        }
    }

    private mutating func fail(_ error: JSONValue, _ root: JSONValue, _ scratch: StreamScratch) {
        self.sawEnd = true
        scratch.events.append(.failure(FailureReader.openAI(error, root: root, status: nil)))
    }

    private func place(_ root: JSONValue) -> Int? {
        let index = root["output_index"]?.count ?? 0
        return self.calls.lastIndex { $0.outputIndex == index }
    }

    private mutating func begin(
        _ item: JSONValue, _ root: JSONValue, _ scratch: StreamScratch
    ) throws(TranslationError) {
        guard item["type"]?.text == "function_call" else { return }
        guard self.calls.count < Self.callsMax else {
            throw TranslationError(.tooLarge, "The provider made more than \(Self.callsMax) tool calls in one stream.")
        }
        let call = Call(outputIndex: root["output_index"]?.count ?? 0, number: self.calls.count)
        self.calls.append(call)
        scratch.events.append(
            .toolStart(
                choice: 0, call: call.number, id: item["call_id"]?.text ?? item["id"]?.text,
                name: item["name"]?.text ?? .empty, signature: nil))
    }

    private mutating func end(_ item: JSONValue, _ root: JSONValue, _ scratch: StreamScratch) {
        let type = item["type"]?.text
        if ResponsesUsage.isSearch(item) { self.searches += 1 }
        if type == "function_call" {
            // Some servers send the arguments here alone.
            if let place = self.place(root), !self.calls[place].hasArguments,
                let arguments = item["arguments"]?.text, !arguments.isEmpty
            {
                scratch.events.append(.toolArguments(choice: 0, call: self.calls[place].number, arguments))
            }
        } else if type == "reasoning", let encrypted = item["encrypted_content"]?.text {
            scratch.events.append(.encryptedReasoning(choice: 0, encrypted, format: .openAIResponses))
        } else if type == "image_generation_call", let data = item["result"]?.text {
            let media = MediaPart(
                kind: .image, mediaType: JSONText("image/png"), source: .data(data), extras: Extras(.openAIResponses))
            scratch.events.append(.media(choice: 0, media))
        }
        scratch.events.append(.blockEnd(choice: 0))
    }
}
