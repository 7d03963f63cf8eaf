import GatewayWire

/// Cuts a stream into events, whatever its framing.
struct EventReader {
    enum Result {
        case event(name: JSONSlice, data: JSONSlice)
        /// Nothing can be read any more.
        case fault(String)
    }

    private enum Reader {
        case events(ServerSentEventReader)
        case lines(LineReader)
        case array(JSONArrayReader)
        case frames(AWSEventStream.Reader)
    }

    private var reader: Reader

    init(framing: StreamFraming, eventBytesMax: Int) {
        switch framing {
        case .serverSentEvents: self.reader = .events(ServerSentEventReader(eventBytesMax: eventBytesMax))
        case .lines: self.reader = .lines(LineReader(lineBytesMax: eventBytesMax))
        case .jsonArray: self.reader = .array(JSONArrayReader(elementBytesMax: eventBytesMax))
        case .awsEventStream: self.reader = .frames(AWSEventStream.Reader(messageBytesMax: eventBytesMax))
        }
    }

    mutating func feed(_ bytes: UnsafeRawBufferPointer, _ result: (Result) -> Void) {
        switch self.reader {
        case .events(var reader):
            // Out of the enum and back, so that its buffers are not copied.
            self.reader = .lines(LineReader(lineBytesMax: 0))
            let fault = reader.feed(bytes) { result(.event(name: $0, data: $1)) }
            self.reader = .events(reader)
            if fault != nil { result(.fault("The provider sent an event that is too large.")) }
        case .lines(var reader):
            self.reader = .array(JSONArrayReader(elementBytesMax: 0))
            let fault = reader.feed(bytes) { result(.event(name: .empty, data: $0)) }
            self.reader = .lines(reader)
            if fault != nil { result(.fault("The provider sent a line that is too large.")) }
        case .array(var reader):
            self.reader = .lines(LineReader(lineBytesMax: 0))
            let fault = reader.feed(bytes) { result(.event(name: .empty, data: $0)) }
            self.reader = .array(reader)
            if fault != nil { result(.fault("The provider sent an event that is too large.")) }
        case .frames(var reader):
            self.reader = .lines(LineReader(lineBytesMax: 0))
            let fault = reader.feed(bytes) { Self.deliver($0, result) }
            self.reader = .frames(reader)
            if let fault { result(.fault("The provider's event stream is damaged (\(fault)).")) }
        }
    }

    mutating func finish(_ result: (Result) -> Void) {
        switch self.reader {
        case .events(var reader):
            reader.finish { result(.event(name: $0, data: $1)) }
            self.reader = .events(reader)
        case .lines(var reader):
            reader.finish { result(.event(name: .empty, data: $0)) }
            self.reader = .lines(reader)
        case .array: break
        case .frames(let reader):
            if reader.carriedBytes > 0 { result(.fault("The provider's event stream ends within a frame.")) }
        }
    }

    /// Bedrock's `/invoke-with-response-stream`: an event of the model's own format, in base64.
    private static func deliver(chunk payload: JSONSlice, _ result: (Result) -> Void) {
        let event = JSONTree.reading(payload) { root in
            root["bytes"]?.text.flatMap { Base64.decoded(Array($0.string.utf8)) }
        }
        guard let event = event ?? nil, !event.isEmpty else {
            return result(.fault("The provider sent a chunk without an event."))
        }
        event.withUnsafeBytes { bytes in
            guard let start = bytes.baseAddress else { return }
            result(.event(name: .empty, data: JSONSlice(start: start, count: bytes.count)))
        }
    }

    /// Events have their type as name; exceptions and errors theirs, told apart by a `!` before it.
    private static func deliver(_ message: AWSEventStream.Message, _ result: (Result) -> Void) {
        if message.messageType == "event" || message.messageType.isEmpty {
            if message.eventType == "chunk" { return self.deliver(chunk: message.payload, result) }
            return result(.event(name: message.eventType, data: message.payload))
        }
        let isException = message.messageType == "exception"
        var name = [UInt8(ascii: "!")] + (isException ? message.exceptionType : message.errorCode).bytes
        if name.count == 1 { name += Array("error".utf8) }
        var payload = JSONWriter()
        payload.beginObject()
        payload.key("message")
        payload.string(escaping: message.errorMessage.string)
        payload.endObject()
        name.withUnsafeBytes { name in
            payload.bytes.withUnsafeBytes { own in
                guard let start = name.baseAddress, let ownStart = own.baseAddress else { return }
                let data = isException ? message.payload : JSONSlice(start: ownStart, count: own.count)
                result(.event(name: JSONSlice(start: start, count: name.count), data: data))
            }
        }
    }
}
