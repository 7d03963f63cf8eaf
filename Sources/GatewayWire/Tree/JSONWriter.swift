/// Writes compact JSON behind what `bytes` holds. Commas set themselves: one comes before every key and value that does
/// not open its container.
package struct JSONWriter {
    package var bytes: [UInt8]

    package init() { self.bytes = [] }
    package init(appendingTo bytes: consuming [UInt8]) { self.bytes = bytes }

    @inline(__always)
    private mutating func separate() {
        guard let last = self.bytes.last else { return }
        switch last {
        case UInt8(ascii: "{"), UInt8(ascii: "["), UInt8(ascii: ":"), UInt8(ascii: " "), UInt8(ascii: "\n"): return
        default: self.bytes.append(UInt8(ascii: ","))
        }
    }

    /// Bytes that are no JSON, such as `data: `; end them with a space or a line feed.
    @inline(__always)
    package mutating func plain(_ literal: StaticString) { self.append(JSONSlice(literal)) }

    @inline(__always)
    package mutating func append(_ slice: JSONSlice) { self.bytes.append(contentsOf: slice.bytes) }

    @inline(__always) package mutating func beginObject() { self.open(UInt8(ascii: "{")) }
    @inline(__always) package mutating func endObject() { self.bytes.append(UInt8(ascii: "}")) }
    @inline(__always) package mutating func beginArray() { self.open(UInt8(ascii: "[")) }
    @inline(__always) package mutating func endArray() { self.bytes.append(UInt8(ascii: "]")) }

    @inline(__always)
    private mutating func open(_ bracket: UInt8) {
        self.separate()
        self.bytes.append(bracket)
    }

    @inline(__always)
    package mutating func key(_ name: StaticString) { self.key(JSONText(name)) }

    package mutating func key(_ name: JSONText) {
        self.separate()
        self.quoted(name)
        self.bytes.append(UInt8(ascii: ":"))
    }

    package mutating func string(_ text: JSONText) {
        self.separate()
        self.quoted(text)
    }

    @inline(__always)
    package mutating func string(_ literal: StaticString) { self.string(JSONText(literal)) }

    /// Escapes `text`.
    package mutating func string(escaping text: String) {
        self.separate()
        self.bytes.append(UInt8(ascii: "\""))
        var text = text
        text.withUTF8 { JSONUnescape.appendEscaped(UnsafeRawBufferPointer($0), to: &self.bytes) }
        self.bytes.append(UInt8(ascii: "\""))
    }

    /// One string of several pieces, each of which is string content.
    package mutating func string(pieces: JSONText...) {
        self.separate()
        self.bytes.append(UInt8(ascii: "\""))
        for piece in pieces { self.append(piece.slice) }
        self.bytes.append(UInt8(ascii: "\""))
    }

    /// A string whose text is `json`.
    package mutating func string(holding json: JSONSlice) {
        self.separate()
        self.bytes.append(UInt8(ascii: "\""))
        JSONUnescape.appendEscaped(json.bytes, to: &self.bytes)
        self.bytes.append(UInt8(ascii: "\""))
    }

    @inline(__always)
    private mutating func quoted(_ text: JSONText) {
        self.bytes.append(UInt8(ascii: "\""))
        self.append(text.slice)
        self.bytes.append(UInt8(ascii: "\""))
    }

    /// A whole value as it stands; line ends, which in JSON are white space and in an event stream are not, as spaces.
    package mutating func raw(_ value: JSONSlice) {
        self.separate()
        let start = self.bytes.count
        self.append(value)
        guard value.bytes.contains(where: { $0 == 0x0A || $0 == 0x0D }) else { return }
        for index in start..<self.bytes.count where self.bytes[index] == 0x0A || self.bytes[index] == 0x0D {
            self.bytes[index] = 0x20
        }
    }

    @inline(__always)
    package mutating func raw(_ literal: StaticString) { self.raw(JSONSlice(literal)) }

    package mutating func bool(_ value: Bool) { self.raw(value ? JSONSlice("true") : JSONSlice("false")) }

    package mutating func number(_ value: Int64) {
        self.separate()
        self.digits(value)
    }

    /// A number without the comma before it.
    @inline(__always)
    package mutating func digits(_ value: Int64) {
        if value >= 0, value < 10 {
            self.bytes.append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: value))
        } else {
            self.bytes.append(contentsOf: String(value).utf8)
        }
    }

    // MARK: - Members

    package mutating func member(_ name: StaticString, _ text: JSONText) {
        self.key(name)
        self.string(text)
    }

    @_disfavoredOverload
    package mutating func member(_ name: StaticString, _ literal: StaticString) { self.member(name, JSONText(literal)) }

    package mutating func member(_ name: StaticString, raw value: JSONSlice) {
        self.key(name)
        self.raw(value)
    }

    package mutating func member(_ name: StaticString, _ value: Bool) {
        self.key(name)
        self.bool(value)
    }

    package mutating func member(_ name: StaticString, count value: Int64) {
        self.key(name)
        self.number(value)
    }

    /// The last byte is a comma's place: nothing has been written in the innermost container.
    package var isAtOpening: Bool { self.bytes.last == UInt8(ascii: "{") || self.bytes.last == UInt8(ascii: "[") }
}
