import GatewayWire

/// Writes the stream of Bedrock's `InvokeModelWithResponseStream` for Claude: each event of `/v1/messages` in base64,
/// in a frame of type `chunk` (Amazon Bedrock API reference, "PayloadPart").
struct AnthropicInvokeStreamEncoder: StreamEncoder {
    private var events: AnthropicStreamEncoder
    /// The events of one step; kept for its capacity.
    private var text = JSONWriter()
    private var payload = JSONWriter()

    init(options: TranslationOptions) { self.events = AnthropicStreamEncoder(options: options) }

    mutating func encode(
        _ event: StreamEvent, _ writer: inout JSONWriter, _ scratch: StreamScratch
    ) throws(TranslationError) {
        if case .failure(let failure) = event {
            self.payload.bytes.removeAll(keepingCapacity: true)
            FailureWriter.write(failure, as: .bedrock, &self.payload)
            return self.frame("exception", FailureWriter.bedrockName(failure).event, &writer)
        }
        self.text.bytes.removeAll(keepingCapacity: true)
        try self.events.encode(event, &self.text, scratch)
        // Of each event the line with its data; JSON has no line feeds.
        for line in self.text.bytes.split(separator: UInt8(ascii: "\n")) where line.starts(with: "data: ".utf8) {
            self.payload.bytes.removeAll(keepingCapacity: true)
            self.payload.plain("{\"bytes\":\"")
            Base64.append(line.dropFirst(6), to: &self.payload.bytes)
            self.payload.plain("\"}")
            self.frame("event", "chunk", &writer)
        }
    }

    private func frame(_ kind: StaticString, _ type: StaticString, _ writer: inout JSONWriter) {
        self.payload.bytes.withUnsafeBytes {
            AWSEventStream.append(kind: kind, type: type, payload: $0, to: &writer.bytes)
        }
    }
}
