/// Bytes of JSON text that lie in memory of someone else: a body that is being read, a literal of the program or a
/// `JSONArena`. It is valid as long as that memory is; whoever keeps it longer copies the bytes.
package struct JSONSlice {
    package let start: UnsafeRawPointer
    package let count: Int

    @inline(__always)
    package init(start: UnsafeRawPointer, count: Int) {
        self.start = start
        self.count = count
    }

    /// A literal, which lives as long as the program.
    @inline(__always)
    package init(_ literal: StaticString) {
        self.init(start: UnsafeRawPointer(literal.utf8Start), count: literal.utf8CodeUnitCount)
    }

    package static var empty: JSONSlice { JSONSlice("") }

    @inline(__always) package var isEmpty: Bool { self.count == 0 }
    @inline(__always) package var bytes: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: self.start, count: self.count)
    }
    /// The bytes as they stand, for messages and look-ups; escapes unresolved.
    package var string: String { String(decoding: self.bytes, as: UTF8.self) }

    @inline(__always)
    package static func == (slice: JSONSlice, literal: StaticString) -> Bool {
        slice.count == literal.utf8CodeUnitCount && ByteScan.matches(slice.start, 0, literal)
    }

    package func isEqual(to other: JSONSlice) -> Bool {
        self.count == other.count && self.bytes.elementsEqual(other.bytes)
    }

    package func hasPrefix(_ literal: StaticString) -> Bool {
        self.count >= literal.utf8CodeUnitCount && ByteScan.matches(self.start, 0, literal)
    }

    /// Offset of the first `byte`. `nil`: none.
    package func firstIndex(of byte: UInt8) -> Int? { self.bytes.firstIndex(of: byte) }

    /// The bytes from `offset` on, which must lie within 0...count.
    package func dropFirst(_ offset: Int) -> JSONSlice {
        JSONSlice(start: self.start + offset, count: self.count - offset)
    }

    package func prefix(_ length: Int) -> JSONSlice { JSONSlice(start: self.start, count: min(length, self.count)) }

    /// Offset of the first occurrence of `literal`, which is not empty. `nil`: none.
    package func firstRange(of literal: StaticString) -> Int? {
        let width = literal.utf8CodeUnitCount
        guard self.count >= width else { return nil }
        for offset in 0...(self.count - width) where ByteScan.matches(self.start, offset, literal) { return offset }
        return nil
    }
}

/// The content of a JSON string without its quotes, escapes as they were written. Copied between quotes it is the same
/// string again, so text goes from format to format without being decoded.
package struct JSONText {
    package let slice: JSONSlice

    @inline(__always) package init(_ slice: JSONSlice) { self.slice = slice }
    /// A literal that needs no escapes.
    @inline(__always) package init(_ literal: StaticString) { self.slice = JSONSlice(literal) }

    package static var empty: JSONText { JSONText("") }

    @inline(__always) package var isEmpty: Bool { self.slice.isEmpty }
    /// Whether no escape stands in it, so that the bytes are the text.
    package var isPlain: Bool { self.slice.firstIndex(of: UInt8(ascii: "\\")) == nil }

    @inline(__always)
    package static func == (text: JSONText, literal: StaticString) -> Bool { text.slice == literal }

    /// Whether both are the same text when neither has escapes; texts written in different ways differ.
    package func isEqual(to other: JSONText) -> Bool { self.slice.isEqual(to: other.slice) }

    /// The text with its escapes resolved; half a surrogate pair becomes U+FFFD.
    package var string: String {
        if self.isPlain { return self.slice.string }
        var bytes: [UInt8] = []
        JSONUnescape.append(self.slice.bytes, to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }
}

extension Optional where Wrapped == JSONText {
    /// `false` for `nil`.
    @inline(__always)
    package static func == (text: JSONText?, literal: StaticString) -> Bool {
        guard let text else { return false }
        return text.slice == literal
    }
}

/// Resolving and writing the escapes of JSON strings (RFC 8259, section 7).
package enum JSONUnescape {
    /// Appends the text of a string's content that has been validated. Half a surrogate pair, which UTF-8 cannot hold,
    /// becomes U+FFFD.
    package static func append(_ content: UnsafeRawBufferPointer, to output: inout [UInt8]) {
        guard let base = content.baseAddress else { return }
        output.reserveCapacity(output.count + content.count)
        var position = 0
        while position < content.count {
            let stop = Self.backslash(base, position, content.count)
            output.append(contentsOf: UnsafeRawBufferPointer(start: base + position, count: stop - position))
            guard stop + 1 < content.count else { return }
            if let byte = JSONEscape.byte(ofLetter: ByteScan.byte(base, stop + 1)) {
                output.append(byte)
                position = stop + 2
            } else {
                position = Self.appendUnit(base, stop, content.count, &output)
            }
        }
    }

    private static func backslash(_ base: UnsafeRawPointer, _ start: Int, _ end: Int) -> Int {
        var position = start
        while position < end, ByteScan.byte(base, position) != UInt8(ascii: "\\") { position &+= 1 }
        return position
    }

    /// Appends the character of the `\uXXXX` at `position`; gives the offset behind it.
    private static func appendUnit(
        _ base: UnsafeRawPointer, _ position: Int, _ end: Int, _ output: inout [UInt8]
    ) -> Int {
        guard position + 6 <= end, let unit = JSONEscape.codeUnit(base, position + 2) else { return end }
        var scalar = UInt32(unit)
        var next = position + 6
        if unit & 0xFC00 == 0xD800, next + 6 <= end, ByteScan.matches(base, next, "\\u"),
            let low = JSONEscape.codeUnit(base, next + 2), low & 0xFC00 == 0xDC00
        {
            scalar = 0x10000 + (scalar - 0xD800) << 10 + (UInt32(low) - 0xDC00)
            next += 6
        }
        let character = Unicode.Scalar(scalar) ?? "\u{FFFD}"
        output.append(contentsOf: UTF8.encode(character) ?? UTF8.encodedReplacementCharacter)
        return next
    }

    /// Appends `text`, which is UTF-8, as the content of a JSON string.
    package static func appendEscaped(_ text: UnsafeRawBufferPointer, to output: inout [UInt8]) {
        guard let base = text.baseAddress else { return }
        output.reserveCapacity(output.count + text.count)
        var position = 0
        while position < text.count {
            let start = position
            while position < text.count, !Self.needsEscape(ByteScan.byte(base, position)) { position &+= 1 }
            output.append(contentsOf: UnsafeRawBufferPointer(start: base + start, count: position - start))
            guard position < text.count else { return }
            Self.appendEscape(of: ByteScan.byte(base, position), to: &output)
            position &+= 1
        }
    }

    @inline(__always)
    private static func needsEscape(_ byte: UInt8) -> Bool {
        byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\")
    }

    private static func appendEscape(of byte: UInt8, to output: inout [UInt8]) {
        output.append(UInt8(ascii: "\\"))
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"): output.append(byte)
        case 0x08: output.append(UInt8(ascii: "b"))
        case 0x0C: output.append(UInt8(ascii: "f"))
        case 0x0A: output.append(UInt8(ascii: "n"))
        case 0x0D: output.append(UInt8(ascii: "r"))
        case 0x09: output.append(UInt8(ascii: "t"))
        default:
            output.append(contentsOf: "u00".utf8)
            for digit in [byte >> 4, byte & 15] { output.append(digit < 10 ? 0x30 + digit : 0x57 + digit) }
        }
    }
}
