import GatewayWire

/// What the reading of one event needs; used again for the next, which ends all slices of the one before.
final class StreamScratch {
    let tree = JSONTree()
    let arena = JSONArena()
    /// The steps of the event being read.
    var events: [StreamEvent] = []

    init() {}
}

/// Reads one provider's stream, event by event.
protocol StreamDecoder {
    /// Appends the steps that the event makes to `scratch.events`.
    ///
    /// - Parameters:
    ///   - name: of the event; empty where the framing has none.
    ///   - data: JSON, or what the provider sends instead (`[DONE]`).
    mutating func decode(name: JSONSlice, data: JSONSlice, _ scratch: StreamScratch) throws(TranslationError)

    /// The provider has closed the stream.
    mutating func finish(_ scratch: StreamScratch)
}

/// Writes one format's stream.
protocol StreamEncoder {
    mutating func encode(
        _ event: StreamEvent, _ writer: inout JSONWriter, _ scratch: StreamScratch
    ) throws(TranslationError)
}

extension StreamScratch {
    /// Reads the data of an event.
    func read(_ data: JSONSlice) throws(TranslationError) -> JSONValue {
        do throws(JSONFault) {
            return try self.tree.read(data)
        } catch {
            throw .answer("The provider sent an event that is not valid JSON.")
        }
    }

    /// A stream that ends without its last event was cut.
    func finish(sawFinish: Bool, sawEnd: Bool) {
        if sawEnd { return }
        guard sawFinish else {
            let message = "The provider's stream ended before the answer did."
            return self.events.append(.failure(ProviderFailure(kind: .server, status: 502, message: message)))
        }
        self.events.append(.end)
    }
}
