/// Splits any server-sent event stream (WHATWG HTML, section 9.2) into events as the bytes arrive: CR, LF or CR LF,
/// comments, several data lines, a byte order mark, a last event without its blank line.
package struct ServerSentEventReader: Sendable {
    private let eventBytesMax: Int
    /// The beginning of an event whose end has not come.
    private var carry: [UInt8] = []
    private var finder = BlankLineFinder()
    private var isAtStreamStart = true
    private var joined: [UInt8] = []
    private var fault: EventStreamFault?

    /// - Parameter eventBytesMax: bound of one event with its blank line; also of what is kept between calls.
    package init(eventBytesMax: Int) { self.eventBytesMax = eventBytesMax }

    /// Calls `event` for each event with data that these bytes complete. Name and data are valid within the call only.
    /// After a fault every call gives the same fault and no event.
    package mutating func feed(
        _ bytes: UnsafeRawBufferPointer, event: (_ name: JSONSlice, _ data: JSONSlice) -> Void
    ) -> EventStreamFault? {
        guard let base = bytes.baseAddress, bytes.count > 0, self.fault == nil else { return self.fault }
        var position = 0
        if self.finder.mayLineFeedFollow {
            self.finder = BlankLineFinder()
            if ByteScan.byte(base, 0) == 0x0A { position = 1 }
        }
        while position < bytes.count {
            guard let end = self.finder.find(base, position, bytes.count) else {
                guard self.carry.count + bytes.count - position <= self.eventBytesMax else { return self.fail() }
                self.carry.append(contentsOf: bytes[position...])
                return nil
            }
            guard self.carry.count + end - position <= self.eventBytesMax else { return self.fail() }
            if self.carry.isEmpty {
                self.dispatch(UnsafeRawBufferPointer(rebasing: bytes[position..<end]), event)
            } else {
                self.carry.append(contentsOf: bytes[position..<end])
                self.dispatchCarry(event)
            }
            if !self.finder.mayLineFeedFollow { self.finder = BlankLineFinder() }
            position = end
        }
        return nil
    }

    /// To be called when the stream has ended: dispatches an event whose blank line is missing, as some providers
    /// leave it.
    package mutating func finish(event: (_ name: JSONSlice, _ data: JSONSlice) -> Void) {
        guard !self.carry.isEmpty, self.fault == nil else { return }
        self.dispatchCarry(event)
    }

    private mutating func fail() -> EventStreamFault {
        self.fault = .eventTooLarge
        self.carry = []
        return .eventTooLarge
    }

    private mutating func dispatchCarry(_ event: (JSONSlice, JSONSlice) -> Void) {
        // Taken out, so that reading it needs no copy, and put back for its capacity.
        var carry: [UInt8] = []
        swap(&carry, &self.carry)
        carry.withUnsafeBytes { self.dispatch($0, event) }
        carry.removeAll(keepingCapacity: true)
        swap(&carry, &self.carry)
    }

    private mutating func dispatch(_ block: UnsafeRawBufferPointer, _ event: (JSONSlice, JSONSlice) -> Void) {
        guard let base = block.baseAddress else { return }
        var position = 0
        if self.isAtStreamStart, block.count >= 3, ByteScan.matches(base, 0, "\u{FEFF}") { position = 3 }
        self.isAtStreamStart = false
        var name = JSONSlice.empty
        var data = JSONSlice.empty
        var dataLines = 0
        while position < block.count {
            let end = ByteScan.lineEnd(base, position, block.count)
            let line = JSONSlice(start: base + position, count: end - position)
            position = end + 1
            if let value = Self.value(of: line, "data") {
                dataLines += 1
                if dataLines == 1 {
                    data = value
                } else {
                    self.join(data, value, isFirst: dataLines == 2)
                }
            } else if let value = Self.value(of: line, "event") {
                name = value
            }
        }
        guard dataLines > 0 else { return }
        guard dataLines > 1 else { return event(name, data) }
        self.joined.withUnsafeBytes { bytes in
            guard let start = bytes.baseAddress else { return }
            event(name, JSONSlice(start: start, count: bytes.count))
        }
    }

    private mutating func join(_ first: JSONSlice, _ next: JSONSlice, isFirst: Bool) {
        if isFirst {
            self.joined.removeAll(keepingCapacity: true)
            self.joined.append(contentsOf: first.bytes)
        }
        self.joined.append(0x0A)
        self.joined.append(contentsOf: next.bytes)
    }

    /// What follows the colon and at most one space. `nil`: another field, or a comment.
    @inline(__always)
    private static func value(of line: JSONSlice, _ name: StaticString) -> JSONSlice? {
        let width = name.utf8CodeUnitCount
        guard line.hasPrefix(name) else { return nil }
        if line.count == width { return line.dropFirst(width) }
        guard ByteScan.byte(line.start, width) == UInt8(ascii: ":") else { return nil }
        let hasSpace = line.count > width + 1 && ByteScan.byte(line.start, width + 1) == 0x20
        return line.dropFirst(width + (hasSpace ? 2 : 1))
    }
}

/// Splits text into lines as the bytes arrive, for newline-delimited JSON.
package struct LineReader: Sendable {
    private let lineBytesMax: Int
    private var carry: [UInt8] = []
    private var fault: EventStreamFault?

    package init(lineBytesMax: Int) { self.lineBytesMax = lineBytesMax }

    /// Calls `line` for each line that these bytes complete and that is not empty; valid within the call only.
    package mutating func feed(_ bytes: UnsafeRawBufferPointer, line: (JSONSlice) -> Void) -> EventStreamFault? {
        guard let base = bytes.baseAddress, bytes.count > 0, self.fault == nil else { return self.fault }
        var position = 0
        while position < bytes.count {
            let end = ByteScan.lineEnd(base, position, bytes.count)
            guard self.carry.count + end - position <= self.lineBytesMax else {
                self.fault = .eventTooLarge
                self.carry = []
                return self.fault
            }
            guard end < bytes.count else {
                self.carry.append(contentsOf: bytes[position...])
                return nil
            }
            if self.carry.isEmpty {
                if end > position { line(JSONSlice(start: base + position, count: end - position)) }
            } else {
                self.carry.append(contentsOf: bytes[position..<end])
                self.finish(line: line)
            }
            position = end + 1
        }
        return nil
    }

    /// To be called at the end: the last line may lack its line end.
    package mutating func finish(line: (JSONSlice) -> Void) {
        guard !self.carry.isEmpty, self.fault == nil else { return }
        self.carry.withUnsafeBytes { bytes in
            if let start = bytes.baseAddress { line(JSONSlice(start: start, count: bytes.count)) }
        }
        self.carry.removeAll(keepingCapacity: true)
    }
}

/// Splits a JSON array that arrives in pieces into its elements, as Gemini streams without `alt=sse`. It follows
/// brackets and quotes only; whoever reads an element finds out whether it is JSON.
package struct JSONArrayReader: Sendable {
    private let elementBytesMax: Int
    private var carry: [UInt8] = []
    private var level = 0
    private var isInString = false
    private var isEscaped = false
    private var fault: EventStreamFault?

    package init(elementBytesMax: Int) { self.elementBytesMax = elementBytesMax }

    /// Calls `element` for each object of the array that these bytes complete; valid within the call only.
    package mutating func feed(_ bytes: UnsafeRawBufferPointer, element: (JSONSlice) -> Void) -> EventStreamFault? {
        for byte in bytes where self.fault == nil {
            guard self.level > 0 || byte == UInt8(ascii: "{") else { continue }
            self.carry.append(byte)
            if self.carry.count > self.elementBytesMax {
                self.carry = []
                self.fault = .eventTooLarge
            }
            self.note(byte)
            guard self.level == 0, self.fault == nil else { continue }
            self.carry.withUnsafeBytes { held in
                if let start = held.baseAddress { element(JSONSlice(start: start, count: held.count)) }
            }
            self.carry.removeAll(keepingCapacity: true)
        }
        return self.fault
    }

    private mutating func note(_ byte: UInt8) {
        if self.isInString {
            if self.isEscaped {
                self.isEscaped = false
            } else if byte == UInt8(ascii: "\\") {
                self.isEscaped = true
            } else if byte == UInt8(ascii: "\"") {
                self.isInString = false
            }
            return
        }
        switch byte {
        case UInt8(ascii: "\""): self.isInString = true
        case UInt8(ascii: "{"), UInt8(ascii: "["): self.level += 1
        case UInt8(ascii: "}"), UInt8(ascii: "]"): self.level -= 1
        default: break
        }
    }
}
