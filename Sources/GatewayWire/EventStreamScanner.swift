/// Why an event stream cannot be read on.
package enum EventStreamFault: Error, Hashable, Sendable {
    /// One event is longer than the bound.
    case eventTooLarge
}

/// Splits a server-sent event stream (WHATWG HTML, section 9.2) of an OpenAI-shaped provider into events as the bytes
/// arrive, and reads from each what relay and ledger need.
///
/// The events of a stream differ in little but the text they carry. So the bytes around the text of one event are kept
/// as a template; an event that fits it need not be parsed, since equal bytes mean equal structure.
package struct EventStreamScanner: Sendable {
    package enum Kind: UInt8, Hashable, Sendable {
        /// A JSON object without an error.
        case chunk
        /// `[DONE]`
        case done
        /// A JSON object with a top-level `error`, or an event named `error`.
        case error
        /// Comments, or an empty event: nothing is dispatched.
        case comment
        /// Data that is not a JSON object, or no data.
        case other
    }

    package struct Event: Hashable, Sendable {
        package var kind: Kind
        /// `"choices":[]` and a usage object: the event exists only because usage was asked for.
        package var isUsageOnly = false
        package var usage: ReportedUsage?
        /// Bytes of generated text, escapes counted as the bytes they stand for.
        package var contentBytes = 0
        package var hasFinishReason = false
    }

    package private(set) var sawDone = false
    package private(set) var sawFinish = false
    package private(set) var sawError = false
    /// The last usage that was not null: some providers repeat it, growing, in each event.
    package private(set) var lastUsage: ReportedUsage?
    package private(set) var contentBytesTotal = 0
    /// Events so far, comments not counted.
    package private(set) var eventCount = 0

    private let eventBytesMax: Int
    /// The beginning of an event whose end has not come.
    private var carry: [UInt8] = []
    private var finder = BlankLineFinder()
    private var isAtStreamStart = true
    private var template = EventTemplate()
    private var fault: EventStreamFault?

    /// - Parameter eventBytesMax: bound of one event with its blank line; also of what is kept between calls.
    package init(eventBytesMax: Int = 1 << 20) {
        self.eventBytesMax = eventBytesMax
    }

    /// Bytes of an incomplete event, kept for the next call.
    package var carriedBytes: Int { self.carry.count }

    /// Calls `event` for each event that these bytes complete. `endOffset` is relative to `bytes` and lies behind the
    /// blank line; the event begins where the one before ended, maybe in an earlier call. After a fault every call
    /// gives the same fault and no event.
    package mutating func feed(
        _ bytes: UnsafeRawBufferPointer, event: (Event, _ endOffset: Int) -> Void
    ) -> EventStreamFault? {
        guard let base = bytes.baseAddress, bytes.count > 0, self.fault == nil else { return self.fault }
        var position = 0
        // The LF of a CR LF that was cut in two still belongs to the event before.
        if self.finder.mayLineFeedFollow {
            self.finder = BlankLineFinder()
            if ByteScan.byte(base, 0) == 0x0A { position = 1 }
        }
        if !self.carry.isEmpty {
            guard let end = self.completeCarry(base, bytes.count, event) else { return self.fault }
            position = end
        }
        while position < bytes.count {
            if let match = self.template.match(base, position, bytes.count), match.end &- position <= self.eventBytesMax
            {
                position = match.end
                event(self.note(match), position)
                continue
            }
            guard let end = self.finder.find(base, position, bytes.count) else {
                self.keep(base, position, bytes.count)
                return self.fault
            }
            guard end &- position <= self.eventBytesMax else { return self.fail() }
            event(self.readEvent(base, position, end), end)
            self.resetFinder()
            position = end
        }
        return nil
    }

    /// To be called when the stream has ended: reads an event whose blank line is missing, as some providers leave it.
    /// `nil`: nothing was left.
    package mutating func finish() -> Event? {
        guard !self.carry.isEmpty, self.fault == nil else { return nil }
        return self.readCarry()
    }

    // MARK: - Carry

    /// Adds the bytes of the event that began earlier and reads it. `nil`: its end has not come, or a fault.
    @inline(never)
    private mutating func completeCarry(
        _ base: UnsafeRawPointer, _ count: Int, _ event: (Event, _ endOffset: Int) -> Void
    ) -> Int? {
        guard let end = self.finder.find(base, 0, count) else {
            self.keep(base, 0, count)
            return nil
        }
        guard self.carry.count &+ end <= self.eventBytesMax else {
            _ = self.fail()
            return nil
        }
        self.carry.append(contentsOf: UnsafeRawBufferPointer(start: base, count: end))
        event(self.readCarry(), end)
        self.resetFinder()
        return end
    }

    private mutating func keep(_ base: UnsafeRawPointer, _ start: Int, _ end: Int) {
        guard self.carry.count &+ end &- start <= self.eventBytesMax else {
            _ = self.fail()
            return
        }
        self.carry.append(contentsOf: UnsafeRawBufferPointer(start: base + start, count: end &- start))
    }

    private mutating func readCarry() -> Event {
        // Taken out, so that reading it needs no copy, and put back for its capacity.
        var carry: [UInt8] = []
        swap(&carry, &self.carry)
        let event = carry.withUnsafeBytes { bytes in
            // Not empty, so there is a base address.
            bytes.baseAddress.map { self.readWholeEvent($0, bytes.count) } ?? Event(kind: .comment)
        }
        carry.removeAll(keepingCapacity: true)
        swap(&carry, &self.carry)
        return event
    }

    private mutating func readWholeEvent(_ base: UnsafeRawPointer, _ count: Int) -> Event {
        guard let match = self.template.match(base, 0, count), match.end == count else {
            return self.readEvent(base, 0, count)
        }
        return self.note(match)
    }

    private mutating func fail() -> EventStreamFault {
        self.fault = .eventTooLarge
        self.carry = []
        return .eventTooLarge
    }

    @inline(__always)
    private mutating func resetFinder() {
        if !self.finder.mayLineFeedFollow { self.finder = BlankLineFinder() }
    }

    // MARK: - Events

    /// Reads the event whose bytes, with the blank line, are `start ..< end`.
    private mutating func readEvent(_ base: UnsafeRawPointer, _ start: Int, _ end: Int) -> Event {
        var lines = EventLines(base: base, start: start, end: end)
        if self.isAtStreamStart { lines.skipByteOrderMark() }
        self.isAtStreamStart = false
        lines.read()
        var event: Event
        if lines.dataLineCount > 1 {
            event = lines.joinedData().withUnsafeBytes { data in
                // Two lines or more hold at least the line feed between them.
                data.baseAddress.map { self.readData($0, ByteRange(0, data.count), nil) } ?? Event(kind: .other)
            }
        } else if lines.dataLineCount == 1 {
            // An event named "error" must not pass for the chunk that its data looks like.
            event = self.readData(base, lines.data, lines.isNamedError ? nil : (lines.start, end))
        } else {
            event = Event(kind: lines.hasField ? .other : .comment)
        }
        if lines.isNamedError, event.kind != .comment, event.kind != .done { event.kind = .error }
        self.note(event)
        return event
    }

    @inline(__always)
    private mutating func note(_ match: EventTemplate.Match) -> Event {
        self.eventCount &+= 1
        self.contentBytesTotal &+= match.contentBytes
        return Event(kind: .chunk, contentBytes: match.contentBytes)
    }

    private mutating func note(_ event: Event) {
        if event.kind != .comment { self.eventCount &+= 1 }
        if event.kind == .done { self.sawDone = true }
        if event.kind == .error { self.sawError = true }
        if event.hasFinishReason { self.sawFinish = true }
        if let usage = event.usage { self.lastUsage = usage }
        self.contentBytesTotal &+= event.contentBytes
    }

    /// - Parameter block: where the event with all its lines lies around `data`. `nil`: it makes no template.
    private mutating func readData(_ base: UnsafeRawPointer, _ data: ByteRange, _ block: (Int, Int)?) -> Event {
        let start = Int(data.start)
        if data.count >= 6, ByteScan.matches(base, start, "[DONE]") { return Event(kind: .done) }
        var reader = AnswerReader(base: base, start: start, count: data.count, looksIntoChoices: true)
        guard reader.read() else { return Event(kind: .other) }
        let facts = reader.facts
        var event = Event(kind: facts.hasError ? .error : .chunk)
        event.usage = facts.usage
        event.isUsageOnly = facts.hasChoices && facts.choiceCount == 0 && facts.usage != nil && !facts.hasError
        event.contentBytes = facts.contentBytes
        event.hasFinishReason = facts.hasFinishReason
        if let block, event.kind == .chunk, event.usage == nil, !event.hasFinishReason, facts.contentStringCount == 1 {
            self.template.learn(
                base, start: block.0, end: block.1, content: facts.contentString, padding: facts.padding)
        }
        return event
    }
}
