import GatewayWire

/// One turn of a conversation by `/v1/responses`, as it is kept for later: what was asked, item by item with
/// identifiers, and the response.
///
///     {"input":[{"id":"msg_...","type":"message","role":"user","content":[...],"status":"completed"}],"response":{...}}
package enum ResponseTurn {
    /// Makes the turn of a call.
    ///
    /// - Parameters:
    ///   - request: the body of the call, as the caller wrote it.
    ///   - response: the whole answer, or the end of its stream with the event that repeats the response.
    ///   - isStream: which of the two.
    ///   - identifier: makes identifiers of items, of letters, digits and `_`.
    /// - Returns: `nil`: there is no response in it that has come to its end.
    package static func record(
        request: UnsafeRawBufferPointer, response: UnsafeRawBufferPointer, isStream: Bool, identifier: String
    ) -> [UInt8]? {
        let (asked, answered) = (JSONTree(), JSONTree())
        return withExtendedLifetime((asked, answered)) {
            guard let root = try? asked.read(request),
                let body = isStream ? self.lastResponse(response, answered) : (try? answered.read(response)),
                let status = body["status"]?.text, status == "completed" || status == "incomplete",
                body["output"]?.kind == .array
            else { return nil }
            var writer = JSONWriter()
            writer.beginObject()
            writer.key("input")
            writer.beginArray()
            if let text = root["input"]?.text {
                self.writeUserMessage(text, id: "msg_\(identifier)_0", &writer)
            } else if let items = root["input"]?.elements {
                for (index, item) in items.enumerated() { self.write(item, id: "\(identifier)_\(index)", &writer) }
            }
            writer.endArray()
            writer.key("response")
            writer.raw(body.source)
            writer.endObject()
            return writer.bytes
        }
    }

    /// The response within the event that ends the stream.
    private static func lastResponse(_ events: UnsafeRawBufferPointer, _ tree: JSONTree) -> JSONValue? {
        guard let data = self.lastEvent(of: events)?.data,
            let event = try? tree.read(UnsafeRawBufferPointer(rebasing: events[data])), let type = event["type"]?.text,
            type == "response.completed" || type == "response.incomplete"
        else { return nil }
        return event["response"]
    }

    /// The last event of a stream, or of the end of one, but for OpenAI's `[DONE]`: where it begins, and its data.
    /// - Returns: `nil`: there is none with data in one line.
    package static func lastEvent(of events: UnsafeRawBufferPointer) -> (start: Int, data: Range<Int>)? {
        var last: (start: Int, data: Range<Int>)?
        var (start, data): (Int, Range<Int>?) = (0, nil)
        var position = 0
        while position < events.count {
            let end = events[position...].firstIndex(of: UInt8(ascii: "\n")) ?? events.count
            let isCR = end > position && events[end - 1] == UInt8(ascii: "\r")
            let line = position..<(isCR ? end - 1 : end)
            position = end + 1
            if let value = self.data(of: line, in: events) { data = value }
            guard line.isEmpty || position >= events.count else { continue }
            if let data { last = (start, data) }
            (start, data) = (position, nil)
        }
        return last
    }

    /// `nil`: the line is no data, or the mark of the end.
    private static func data(of line: Range<Int>, in events: UnsafeRawBufferPointer) -> Range<Int>? {
        let name = "data:".utf8
        guard line.count > name.count, events[line].starts(with: name) else { return nil }
        var value = line.dropFirst(name.count)
        if events[value.startIndex] == UInt8(ascii: " ") { value = value.dropFirst() }
        return value.isEmpty || events[value].elementsEqual("[DONE]".utf8) ? nil : value
    }

    // MARK: Items

    private static func writeUserMessage(_ text: JSONText, id: String, _ writer: inout JSONWriter) {
        writer.beginObject()
        writer.key("id")
        writer.string(escaping: id)
        writer.member("type", "message")
        writer.member("status", "completed")
        writer.member("role", "user")
        writer.key("content")
        self.writeText(text, isAssistant: false, &writer)
        writer.endObject()
    }

    private static func writeText(_ text: JSONText, isAssistant: Bool, _ writer: inout JSONWriter) {
        writer.beginArray()
        writer.beginObject()
        writer.member("type", isAssistant ? JSONText("output_text") : JSONText("input_text"))
        writer.member("text", text)
        if isAssistant { writer.member("annotations", raw: JSONSlice("[]")) }
        writer.endObject()
        writer.endArray()
    }

    /// As OpenAI lists input items: with an identifier, messages with a type and a list of parts.
    private static func write(_ item: JSONValue, id: String, _ writer: inout JSONWriter) {
        guard item.kind == .object else { return }
        let type = item["type"]?.text
        let isMessage = type == nil || type == "message"
        writer.beginObject()
        if item["id"] == nil {
            let prefix = isMessage ? "msg_" : type == "function_call" ? "fc_" : "item_"
            writer.key("id")
            writer.string(escaping: prefix + id)
        }
        if type == nil { writer.member("type", "message") }
        if isMessage, item["status"] == nil { writer.member("status", "completed") }
        for member in item.members where !member.value.isNull {
            writer.key(member.key)
            if isMessage, member.isKey("content"), let text = member.value.text {
                self.writeText(text, isAssistant: item["role"]?.text == "assistant", &writer)
            } else {
                writer.raw(member.value.source)
            }
        }
        writer.endObject()
    }

    // MARK: Going on

    /// The request with the turns before it in front of its own input, and without `previous_response_id`.
    ///
    /// - Parameter turns: the oldest first.
    /// - Returns: `nil`: a turn cannot be read.
    package static func expanded(_ request: UnsafeRawBufferPointer, turns: [[UInt8]]) -> [UInt8]? {
        let tree = JSONTree()
        return withExtendedLifetime(tree) {
            guard let root = try? tree.read(request), root.kind == .object else { return nil }
            var writer = JSONWriter()
            writer.beginObject()
            for member in root.members where !member.isKey("input") && !member.isKey("previous_response_id") {
                writer.key(member.key)
                writer.raw(member.value.source)
            }
            writer.key("input")
            writer.beginArray()
            for turn in turns {
                guard turn.withUnsafeBytes({ self.writeTurn($0, &writer) }) else { return nil }
            }
            if let text = root["input"]?.text {
                writer.beginObject()
                writer.member("type", "message")
                writer.member("role", "user")
                writer.member("content", text)
                writer.endObject()
            } else {
                for item in root["input"]?.elements ?? root.elements { writer.raw(item.source) }
            }
            writer.endArray()
            writer.endObject()
            return writer.bytes
        }
    }

    private static func writeTurn(_ turn: UnsafeRawBufferPointer, _ writer: inout JSONWriter) -> Bool {
        let tree = JSONTree()
        return withExtendedLifetime(tree) {
            guard let root = try? tree.read(turn), let input = root["input"], let output = root["response"]?["output"]
            else { return false }
            for item in input.elements { self.writeAgain(item, isOutput: false, &writer) }
            for item in output.elements { self.writeAgain(item, isOutput: true, &writer) }
            return true
        }
    }

    /// An item as a provider that has not made it takes it: without identifiers that it has not given. What a model
    /// has thought goes to nobody but its provider, which the item does not name.
    private static func writeAgain(_ item: JSONValue, isOutput: Bool, _ writer: inout JSONWriter) {
        let type = item["type"]?.text
        if isOutput, !(type == "message" || type == "function_call") { return }
        let isPlain = type == "message" || type == "function_call" || type == "function_call_output"
        guard isPlain else { return writer.raw(item.source) }
        writer.beginObject()
        for member in item.members where !member.isKey("id") && !member.isKey("status") {
            writer.key(member.key)
            writer.raw(member.value.source)
        }
        writer.endObject()
    }

    // MARK: Answering

    /// The response as it was answered. `nil`: the turn cannot be read.
    package static func response(of turn: [UInt8]) -> [UInt8]? {
        turn.withUnsafeBytes { bytes in
            let tree = JSONTree()
            return withExtendedLifetime(tree) {
                (try? tree.read(bytes))?["response"].map { Array($0.source.bytes) }
            }
        }
    }

    /// Which input items are asked for.
    package struct Page: Sendable, Hashable {
        /// Identifier of the item before the first one. `nil`: from the begin.
        package var after: String?
        /// 1...100.
        package var limit = 20
        package var isAscending = false

        package init() {}
    }

    /// The list of `/v1/responses/ID/input_items` (OpenAI API reference, "List input items").
    /// - Returns: `nil`: the turn cannot be read.
    package static func inputItems(of turn: [UInt8], _ page: Page) -> [UInt8]? {
        turn.withUnsafeBytes { bytes in
            let tree = JSONTree()
            return withExtendedLifetime(tree) { () -> [UInt8]? in
                guard let input = (try? tree.read(bytes))?["input"] else { return nil }
                var items = Array(input.elements)
                if !page.isAscending { items.reverse() }
                if let after = page.after {
                    let place = items.firstIndex { $0["id"]?.text?.string == after }
                    items = place.map { Array(items[($0 + 1)...]) } ?? []
                }
                let shown = items.prefix(page.limit)
                var writer = JSONWriter()
                writer.beginObject()
                writer.member("object", "list")
                writer.key("data")
                writer.beginArray()
                for item in shown { writer.raw(item.source) }
                writer.endArray()
                self.writeID(of: shown.first, "first_id", &writer)
                self.writeID(of: shown.last, "last_id", &writer)
                writer.member("has_more", items.count > shown.count)
                writer.endObject()
                return writer.bytes
            }
        }
    }

    private static func writeID(of item: JSONValue?, _ name: StaticString, _ writer: inout JSONWriter) {
        writer.key(name)
        if let id = item?["id"]?.text { writer.string(id) } else { writer.raw("null") }
    }
}
