import GatewayWire

/// Translates one stream as its bytes arrive: a delta that is in goes out at once. What it keeps is bounded by
/// `TranslationOptions.eventBytesMax`. Belongs to one thread at a time.
package final class StreamTranslator {
    /// What the provider has reported so far. `nil`: nothing yet.
    package private(set) var usage: ConversationUsage?
    /// The provider's error within the stream, or what could not be translated; it has been written to the output.
    /// `nil`: none.
    package private(set) var failure: ProviderFailure?
    /// The last event has been written: nothing comes after it.
    package private(set) var isFinished = false
    /// Bytes of generated text and arguments, escapes as they were written, to estimate usage that nobody reported.
    package private(set) var contentBytes = 0
    /// Of a stream in the format of Responses, as the provider named it. `nil`: another format, or not yet.
    package private(set) var responseID: String?

    private var reader: EventReader
    private var decoder: any StreamDecoder
    private var encoder: any StreamEncoder
    private let scratch = StreamScratch()
    private var writer = JSONWriter()
    private let memory: CallMemory
    private var answerCall: Int?
    /// Caller and provider speak one format in different framings: events go on as they are, and are only read.
    private let copiesEvents: Bool
    private let notesIdentifier: Bool

    /// - Parameters:
    ///   - framing: how the provider's stream is cut. `nil`: as the format usually is.
    ///   - targetFraming: how the caller's stream is to be cut; only Gemini and Anthropic have a choice.
    package init(
        from source: WireFormat, to target: WireFormat, options: TranslationOptions, memory: CallMemory = CallMemory(),
        framing: StreamFraming? = nil, targetFraming: StreamFraming? = nil
    ) {
        self.reader = EventReader(framing: framing ?? source.framing, eventBytesMax: options.eventBytesMax)
        self.decoder = source.streamDecoder()
        self.encoder = target.streamEncoder(options, targetFraming ?? target.framing)
        self.memory = memory
        self.notesIdentifier = source == .openAIResponses
        self.copiesEvents =
            source == target && target.framing == .serverSentEvents && framing ?? source.framing == .awsEventStream
            && targetFraming ?? target.framing == .serverSentEvents
    }

    /// Reads bytes of the provider's stream and appends what they make to `output`.
    package func feed(_ bytes: UnsafeRawBufferPointer, into output: inout [UInt8]) {
        swap(&self.writer.bytes, &output)
        self.reader.feed(bytes) { result in
            switch result {
            case .event(let name, let data): self.translate(name, data)
            case .fault(let message): self.fail(ProviderFailure(kind: .server, status: 502, message: message))
            }
        }
        swap(&self.writer.bytes, &output)
    }

    /// The provider has closed the stream: writes what is left, or an error if the answer was cut.
    package func finish(into output: inout [UInt8]) {
        swap(&self.writer.bytes, &output)
        self.reader.finish { result in
            switch result {
            case .event(let name, let data): self.translate(name, data)
            case .fault(let message): self.fail(ProviderFailure(kind: .server, status: 502, message: message))
            }
        }
        if !self.isFinished {
            self.scratch.events.removeAll(keepingCapacity: true)
            self.decoder.finish(self.scratch)
            self.encodeEvents()
        }
        swap(&self.writer.bytes, &output)
    }

    /// Ends the stream for a reason of the gateway's own: an error event in the caller's format.
    package func abort(_ failure: ProviderFailure, into output: inout [UInt8]) {
        swap(&self.writer.bytes, &output)
        self.fail(failure)
        swap(&self.writer.bytes, &output)
    }

    private func translate(_ name: JSONSlice, _ data: JSONSlice) {
        guard !self.isFinished else { return }
        self.scratch.events.removeAll(keepingCapacity: true)
        self.scratch.arena.reset()
        do throws(TranslationError) {
            try self.decoder.decode(name: name, data: data, self.scratch)
            // An exception of the framing is no event of the format.
            guard self.copiesEvents, name.isEmpty else { return self.encodeEvents() }
            self.copy(data)
            for event in self.scratch.events { self.note(event) }
        } catch {
            self.fail(ProviderFailure(kind: .server, status: 502, message: error.message))
        }
    }

    private func encodeEvents() {
        do throws(TranslationError) {
            for index in self.scratch.events.indices where !self.isFinished {
                guard let event = self.restored(self.scratch.events[index]) else { continue }
                self.note(event)
                try self.encoder.encode(event, &self.writer, self.scratch)
            }
        } catch {
            self.fail(ProviderFailure(kind: .server, status: 502, message: error.message))
        }
    }

    /// Writes an event of the format as it is, as a server-sent one with its type as name.
    private func copy(_ data: JSONSlice) {
        let type = JSONTree.reading(data) { $0["type"]?.text?.string } ?? nil
        if let type, type.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) {
            self.writer.plain("event: ")
            self.writer.bytes += Array(type.utf8)
            self.writer.plain("\n")
        }
        self.writer.plain("data: ")
        // Line ends stand between values only, where they mean nothing.
        self.writer.bytes += data.bytes.lazy.filter { $0 != 0x0A && $0 != 0x0D }
        self.writer.plain("\n\n")
    }

    private func note(_ event: StreamEvent) {
        switch event {
        case .text(_, let text), .reasoning(_, let text), .toolArguments(_, _, let text), .refusal(_, let text):
            self.contentBytes += text.slice.count
        case .usage(let usage):
            if self.usage == nil { self.usage = ConversationUsage() }
            self.usage?.merge(usage)
        case .failure(let failure):
            self.failure = failure
            self.isFinished = true
        case .end: self.isFinished = true
        case .start(let id, _, _): if self.notesIdentifier { self.responseID = id?.string }
        default: break
        }
    }

    private func fail(_ failure: ProviderFailure) {
        guard !self.isFinished else { return }
        self.failure = failure
        self.isFinished = true
        // A failure is always expressible: no encoder throws for it.
        try? self.encoder.encode(.failure(failure), &self.writer, self.scratch)
    }

    /// Gives tools their own names back; the tool that stood in for structured output becomes text.
    private func restored(_ event: StreamEvent) -> StreamEvent? {
        if self.memory.answerTool == nil, self.memory.toolNames.isEmpty { return event }
        switch event {
        case .toolStart(let choice, let call, let id, let name, let signature):
            if self.memory.answerTool == name.string {
                self.answerCall = call
                return nil
            }
            guard let own = self.memory.toolNames[name.string] else { return event }
            return .toolStart(
                choice: choice, call: call, id: id, name: self.scratch.arena.text(own), signature: signature)
        case .toolArguments(let choice, let call, let piece) where call == self.answerCall:
            return .text(choice: choice, piece)
        case .finish(let choice, .toolCalls, let native, let stopSequence) where self.answerCall != nil:
            return .finish(choice: choice, .stop, native: native, stopSequence: stopSequence)
        default: return event
        }
    }
}

extension WireFormat {
    /// How streams of the format are cut if nobody asks for another way.
    package var framing: StreamFraming {
        switch self {
        case .bedrock: .awsEventStream
        case .ollama: .lines
        default: .serverSentEvents
        }
    }

    func streamDecoder() -> any StreamDecoder {
        switch self {
        case .openAIChat: ChatStreamDecoder()
        case .anthropic: AnthropicStreamDecoder()
        case .gemini: GeminiStreamDecoder()
        case .openAIResponses: ResponsesStreamDecoder()
        case .bedrock: BedrockStreamDecoder()
        case .cohere: CohereStreamDecoder()
        case .ollama: OllamaStreamDecoder()
        }
    }

    func streamEncoder(_ options: TranslationOptions, _ framing: StreamFraming) -> any StreamEncoder {
        switch self {
        case .openAIChat: ChatStreamEncoder(options: options)
        case .anthropic where framing == .awsEventStream: AnthropicInvokeStreamEncoder(options: options)
        case .anthropic: AnthropicStreamEncoder(options: options)
        case .gemini: GeminiStreamEncoder(options: options, isArray: framing == .jsonArray)
        case .openAIResponses: ResponsesStreamEncoder(options: options)
        case .bedrock: BedrockStreamEncoder(options: options)
        case .cohere: CohereStreamEncoder(options: options)
        case .ollama: OllamaStreamEncoder(options: options)
        }
    }
}
