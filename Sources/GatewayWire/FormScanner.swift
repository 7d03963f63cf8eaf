import CMartlet

/// One part of a form. Ranges point into the scanned bytes.
package struct FormPart: Sendable {
    /// Without quotes.
    package let name: ByteRange
    package let content: ByteRange
    /// The part is a file, not a field.
    package let isFile: Bool
}

/// What is wrong with a form. The message says how to mend it.
package struct FormFault: Error, Sendable {
    package let message: String
    /// The field it is about. `nil`: the form as a whole.
    package var param: String?
}

/// The parts of a multipart/form-data body (RFC 7578; framing: RFC 2046, section 5.1.1). Only the heads of the parts are
/// read: files are passed over by looking for the next delimiter, and nothing is copied.
package struct FormScan: Sendable {
    package private(set) var parts: [FormPart] = []
    /// Offset of the first delimiter, where parts can be put in front.
    package private(set) var firstDelimiter = 0

    /// Parts of one form at most: a request has a dozen fields and up to 16 images.
    package static let partsMax = 256
    /// Head of one part at most, bytes.
    package static let headBytesMax = 8192
    /// RFC 2046, section 5.1.1.
    package static let boundaryBytesMax = 70

    /// The boundary that a `Content-Type` names. `nil`: it is not multipart/form-data, or names none that is allowed.
    package static func boundary(ofContentType value: UnsafeRawBufferPointer) -> [UInt8]? {
        guard HeaderName.hasPrefix(value, ByteRange(0, value.count), "multipart/form-data") else { return nil }
        var boundary: [UInt8]?
        for field in value.split(separator: UInt8(ascii: ";")).dropFirst() {
            let bytes = UnsafeRawBufferPointer(rebasing: field)
            let range = trimmed(bytes, 0, bytes.count)
            guard HeaderName.hasPrefix(bytes, range, "boundary=") else { continue }
            // Of two boundaries each reader takes another one.
            guard boundary == nil else { return nil }
            var text = Array(bytes[range].dropFirst(9))
            if text.count >= 2, text.first == UInt8(ascii: "\""), text.last == UInt8(ascii: "\"") {
                text = Array(text.dropFirst().dropLast())
            }
            boundary = text
        }
        guard let boundary, (1...Self.boundaryBytesMax).contains(boundary.count),
            boundary.allSatisfy({ Self.isBoundaryByte($0) }), boundary.last != 0x20
        else { return nil }
        return boundary
    }

    private static func isBoundaryByte(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
        default: "'()+_,-./:=? *!#$%&^`|~{}".utf8.contains(byte)
        }
    }

    /// - Throws: the form is malformed, or readers could differ in what it says.
    package init(_ body: UnsafeRawBufferPointer, boundary: [UInt8]) throws(FormFault) {
        let delimiter = Array("\r\n--".utf8) + boundary
        let opening = Array(delimiter.dropFirst(2))
        if body.count >= opening.count, body.prefix(opening.count).elementsEqual(opening) {
            self.firstDelimiter = 0
        } else if let found = Self.find(delimiter, in: body, from: 0) {
            self.firstDelimiter = found + 2
        } else {
            throw .unfinished
        }
        var position = self.firstDelimiter + opening.count
        while true {
            if position + 2 <= body.count, body[position] == UInt8(ascii: "-"), body[position + 1] == UInt8(ascii: "-")
            {
                return
            }
            while position < body.count, body[position] == 0x20 || body[position] == 0x09 { position += 1 }
            guard position + 2 <= body.count, body[position] == 0x0D, body[position + 1] == 0x0A else {
                throw .unfinished
            }
            guard self.parts.count < Self.partsMax else {
                throw FormFault(message: "The form has more than \(Self.partsMax) parts: send fewer.")
            }
            let head = try Self.readHead(body, from: position + 2)
            guard let end = Self.find(delimiter, in: body, from: head.contentStart - 2) else { throw .unfinished }
            // The delimiter may stand right behind the head, whose last line end is then its own.
            let content = ByteRange(head.contentStart, max(head.contentStart, end))
            self.parts.append(FormPart(name: head.name, content: content, isFile: head.isFile))
            position = end + delimiter.count
        }
    }

    private struct Head {
        var name = ByteRange.empty
        var isFile = false
        var contentStart = 0
    }

    /// Reads the lines of a part's head, which ends with an empty one.
    private static func readHead(_ body: UnsafeRawBufferPointer, from start: Int) throws(FormFault) -> Head {
        var head = Head()
        var position = start
        var hasName = false
        while true {
            let bound = min(body.count, start + Self.headBytesMax)
            guard let end = Self.find(Array("\r\n".utf8), in: body, from: position), end < bound else {
                throw FormFault(
                    message: "The head of a part of the form does not end within \(Self.headBytesMax) bytes.")
            }
            if end == position {
                guard hasName else {
                    throw FormFault(message: "A part of the form has no name in its Content-Disposition.")
                }
                head.contentStart = end + 2
                return head
            }
            // A folded line, which readers take in different ways (RFC 9112, section 5.2).
            guard body[position] != 0x20, body[position] != 0x09 else {
                throw FormFault(message: "A header of a part of the form is folded over lines: send it in one.")
            }
            let line = ByteRange(position, end)
            if HeaderName.hasPrefix(body, line, "content-disposition:") {
                guard !hasName else {
                    throw FormFault(message: "A part of the form has two Content-Disposition headers: send one.")
                }
                try Self.readDisposition(body, position + 20, end, into: &head)
                hasName = true
            }
            position = end + 2
        }
    }

    /// `form-data; name="file"; filename="a.wav"` (RFC 7578, section 4.2).
    private static func readDisposition(
        _ body: UnsafeRawBufferPointer, _ start: Int, _ end: Int, into head: inout Head
    ) throws(FormFault) {
        var position = start
        var hasName = false
        var isFirst = true
        while position < end {
            let parameterStart = position
            var isQuoted = false
            while position < end, isQuoted || body[position] != UInt8(ascii: ";") {
                // What stands behind a backslash ends nothing (RFC 9110, section 5.6.4).
                let isEscape = isQuoted && body[position] == UInt8(ascii: "\\")
                if body[position] == UInt8(ascii: "\"") { isQuoted.toggle() }
                position += isEscape ? 2 : 1
            }
            let parameter = trimmed(body, parameterStart, min(position, end))
            position += 1
            if isFirst {
                guard HeaderName.equals(body, parameter, "form-data") else { throw .notFormData }
                isFirst = false
            } else if HeaderName.hasPrefix(body, parameter, "filename") {
                head.isFile = true
            } else if HeaderName.hasPrefix(body, parameter, "name") {
                guard !hasName, HeaderName.hasPrefix(body, parameter, "name=") else { throw .unclearName }
                head.name = try Self.plainName(body, Int(parameter.start) + 5, Int(parameter.end))
                hasName = true
            }
        }
        guard hasName else { throw .notFormData }
    }

    /// Names that readers would undo in different ways are refused: gateway and provider must see the same fields.
    private static func plainName(_ body: UnsafeRawBufferPointer, _ start: Int, _ end: Int) throws(FormFault)
        -> ByteRange
    {
        var range = ByteRange(start, end)
        if range.count >= 2, body[start] == UInt8(ascii: "\""), body[end - 1] == UInt8(ascii: "\"") {
            range = ByteRange(start + 1, end - 1)
        }
        let isPlain = body[range].allSatisfy {
            $0 > 0x20 && $0 != 0x7F && $0 != UInt8(ascii: "\\") && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "%")
        }
        guard isPlain, range.count > 0 else { throw .unclearName }
        return range
    }

    /// Offset of the first occurrence at or behind `start`. `nil`: none.
    private static func find(_ text: [UInt8], in bytes: UnsafeRawBufferPointer, from start: Int) -> Int? {
        guard let base = bytes.baseAddress, start >= 0, start < bytes.count else { return nil }
        let found = cmartlet_find(base + start, bytes.count - start, text, text.count)
        return found < 0 ? nil : start + Int(found)
    }
}

/// The range without blanks at its ends.
private func trimmed(_ bytes: UnsafeRawBufferPointer, _ start: Int, _ end: Int) -> ByteRange {
    var (start, end) = (start, end)
    while start < end, bytes[start] == 0x20 || bytes[start] == 0x09 { start += 1 }
    while end > start, bytes[end - 1] == 0x20 || bytes[end - 1] == 0x09 { end -= 1 }
    return ByteRange(start, end)
}

extension FormFault {
    fileprivate static let unfinished = FormFault(
        message: "The form does not have the delimiters that its Content-Type names, or lacks the last one. Send "
            + "multipart/form-data, whole.")
    fileprivate static let notFormData = FormFault(
        message: "A part of the form lacks 'Content-Disposition: form-data' with a name.")
    fileprivate static let unclearName = FormFault(
        message: "A part of the form has a name with escapes or blanks, or two names: send one plain name.")
}
