/// Finds the usage in an OpenAI-shaped answer that is too large to hold: fed in pieces, keeps at most 8 KiB.
///
/// It follows brackets and quotes only. At the top level it notes each key, and copies the value of `usage`,
/// `service_tier` and the beginning of `error`; the copy is parsed when it is whole.
package struct StreamingUsageScanner: Sendable {
    /// Bytes that are kept at most.
    package static let keptBytesMax = 8192

    /// `nil`: none yet, null, malformed or longer than `keptBytesMax`.
    package var usage: ReportedUsage? {
        var usage = self.facts.usage
        usage?.serviceTier = self.facts.serviceTier
        return usage
    }
    /// A top-level `error` that is not null was seen.
    package private(set) var hasError = false

    private enum Interest { case none, usage, error, serviceTier }

    private var facts = AnswerFacts()
    private var level = 0
    /// The top-level object has ended.
    private var isFinished = false
    private var isInString = false
    private var isEscaped = false
    /// At the top level: the next string is a key.
    private var isKeyNext = false
    /// The string being read is a top-level key, or the value being read is of interest; its bytes go to `kept`.
    private var isKeeping = false
    private var interest = Interest.none
    private var kept: [UInt8] = []

    package init() {}

    /// Reads on. Bytes after the object are ignored.
    package mutating func feed(_ bytes: UnsafeRawBufferPointer) {
        guard let base = bytes.baseAddress else { return }
        var position = 0
        while position < bytes.count, !self.isFinished {
            let start = position
            if self.isInString {
                position = self.readString(base, position, bytes.count)
            } else if self.level == 1 {
                position = self.readTopByte(base, position)
                continue
            } else {
                position = self.readBracket(base, position, bytes.count)
            }
            if self.isKeeping { self.keep(base, start, position) }
            if self.level == 1, !self.isInString { self.endOfPart() }
        }
    }

    /// Reads to the end of a string or of the bytes; gives the offset behind.
    private mutating func readString(_ base: UnsafeRawPointer, _ start: Int, _ end: Int) -> Int {
        var position = start
        while position < end {
            if self.isEscaped {
                self.isEscaped = false
                position &+= 1
                continue
            }
            position = ByteScan.quoteOrEscape(base, position, end)
            guard position < end else { break }
            let byte = ByteScan.byte(base, position)
            position &+= 1
            if byte == UInt8(ascii: "\"") {
                self.isInString = false
                break
            }
            self.isEscaped = byte == UInt8(ascii: "\\")
        }
        return position
    }

    /// Outside the top level: reads to behind the next quote, bracket or brace.
    private mutating func readBracket(_ base: UnsafeRawPointer, _ start: Int, _ end: Int) -> Int {
        let position = ByteScan.bracketOrQuote(base, start, end)
        guard position < end else { return end }
        switch ByteScan.byte(base, position) | 0x20 {
        case UInt8(ascii: "{"):
            self.level &+= 1
            if self.level == 1 { self.isKeyNext = true }
        case UInt8(ascii: "}"): self.level = max(self.level &- 1, 0)
        // A quote has bit 5 set already.
        default: if self.level > 0 { self.isInString = true }
        }
        return position &+ 1
    }

    /// One byte at the top level, outside strings.
    private mutating func readTopByte(_ base: UnsafeRawPointer, _ position: Int) -> Int {
        let byte = ByteScan.byte(base, position)
        switch byte {
        case UInt8(ascii: "\""):
            self.isInString = true
            if self.isKeyNext {
                self.kept.removeAll(keepingCapacity: true)
                self.isKeeping = true
            }
            if self.isKeeping { self.keep(base, position, position &+ 1) }
        case UInt8(ascii: ":"): self.isKeyNext = false
        case UInt8(ascii: ","), UInt8(ascii: "}"), UInt8(ascii: "]"):
            self.endOfValue()
            self.isKeyNext = true
            self.isFinished = byte != UInt8(ascii: ",")
        case UInt8(ascii: "{"), UInt8(ascii: "["):
            self.level &+= 1
            if self.isKeeping { self.keep(base, position, position &+ 1) }
        default: if self.isKeeping, byte > 0x20 { self.keep(base, position, position &+ 1) }
        }
        return position &+ 1
    }

    /// A string or container at the top level has ended. If it was a key, what follows may be of interest.
    private mutating func endOfPart() {
        guard self.isKeyNext, self.isKeeping else { return }
        self.isKeyNext = false
        if self.kept.elementsEqual("\"usage\"".utf8) {
            self.interest = .usage
        } else if self.kept.elementsEqual("\"error\"".utf8) {
            self.interest = .error
        } else if self.kept.elementsEqual("\"service_tier\"".utf8) {
            self.interest = .serviceTier
        } else {
            self.interest = .none
        }
        self.kept.removeAll(keepingCapacity: true)
        self.isKeeping = self.interest != .none
    }

    /// A top-level value has ended.
    private mutating func endOfValue() {
        defer {
            self.kept.removeAll(keepingCapacity: true)
            self.isKeeping = false
            self.interest = .none
        }
        switch self.interest {
        case .none: return
        case .error: if self.isKeeping { self.hasError = !self.kept.starts(with: "null".utf8) }
        case .usage, .serviceTier: if self.isKeeping { self.readKept() }
        }
    }

    /// Parses the kept value as the only field of an object, so that one reader serves whole and cut answers.
    private mutating func readKept() {
        let key = self.interest == .usage ? "{\"usage\":" : "{\"service_tier\":"
        let object = Array(key.utf8) + self.kept + Array("}".utf8)
        let facts = object.withUnsafeBytes { bytes -> AnswerFacts? in
            // Not empty, so there is a base address.
            guard let base = bytes.baseAddress else { return nil }
            var reader = AnswerReader(base: base, count: bytes.count, looksIntoChoices: false)
            return reader.read() ? reader.facts : nil
        }
        if self.interest == .usage {
            if self.kept.first == UInt8(ascii: "{") { self.facts.usage = facts?.usage }
        } else {
            self.facts.serviceTier = facts?.serviceTier
        }
    }

    private mutating func keep(_ base: UnsafeRawPointer, _ start: Int, _ end: Int) {
        guard self.kept.count &+ end &- start <= Self.keptBytesMax else {
            // Too long to be what it should be: give it up, but go on reading.
            if self.isKeyNext { self.interest = .none }
            if self.interest == .error { self.hasError = true }
            self.isKeeping = false
            return
        }
        self.kept.append(contentsOf: UnsafeRawBufferPointer(start: base + start, count: end &- start))
    }
}
