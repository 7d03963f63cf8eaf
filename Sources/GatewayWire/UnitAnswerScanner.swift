/// What answers of images, audio and rerank say of what they are charged by. A count that did not come is `nil`.
package struct UnitReport: Sendable, Hashable {
    package var inputTokens: Int64?
    package var outputTokens: Int64?
    package var totalTokens: Int64?
    package var cachedInputTokens: Int64?
    package var textInputTokens: Int64?
    package var imageInputTokens: Int64?
    package var audioInputTokens: Int64?
    package var textOutputTokens: Int64?
    package var imageOutputTokens: Int64?
    package var audioOutputTokens: Int64?
    /// Of audio.
    package var microseconds: Int64?
    /// Cohere's `meta.billed_units.search_units`.
    package var searchUnits: Int64?

    package init() {}

    /// Whether any count of tokens came.
    package var hasTokens: Bool { self.inputTokens != nil || self.outputTokens != nil || self.totalTokens != nil }
}

/// Reads, in pieces of any size, what such answers report; keeps at most `keptBytesMax`. Follows brackets and quotes
/// only, so that images of many megabytes in the answer are passed over; of several objects (events of a stream) what
/// the last one says counts.
package struct UnitAnswerScanner: Sendable {
    /// Bytes that are kept at most.
    package static let keptBytesMax = 8192

    package private(set) var report = UnitReport()
    /// Elements of `data`: the images made.
    package private(set) var dataCount: Int64 = 0
    package private(set) var size: String?
    package private(set) var quality: String?
    /// An `error` that is not null stood at the top level, or an event was one.
    package private(set) var hasError = false
    /// The event that ends the stream has come.
    package private(set) var sawLastEvent = false

    private enum Member { case other, usage, meta, duration, data, size, quality, error, type }

    private var depth = 0
    private var isInString = false
    private var isEscaped = false
    private var isKeyNext = false
    private var isKeeping = false
    private var member = Member.other
    private var kept: [UInt8] = []

    package init() {}

    package mutating func feed(_ bytes: UnsafeRawBufferPointer) {
        guard let base = bytes.baseAddress else { return }
        var position = 0
        while position < bytes.count {
            let start = position
            if self.isInString {
                position = self.readString(base, position, bytes.count)
            } else if self.depth == 1 {
                position = self.readTopByte(base, position)
                continue
            } else {
                position = self.readBracket(base, position, bytes.count)
            }
            if self.isKeeping { self.keep(UnsafeRawBufferPointer(start: base + start, count: position - start)) }
            if self.depth == 1, !self.isInString { self.endOfPart() }
        }
    }

    /// Reads to behind the end of a string, or to the end of the bytes.
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

    /// Outside the top level: reads to behind the next quote or bracket.
    private mutating func readBracket(_ base: UnsafeRawPointer, _ start: Int, _ end: Int) -> Int {
        var position = start
        while position < end {
            let byte = ByteScan.byte(base, position)
            position &+= 1
            switch byte {
            case UInt8(ascii: "{"):
                if self.depth == 0 {
                    self.isKeyNext = true
                } else if self.depth == 2, self.member == .data {
                    self.dataCount &+= 1
                }
                self.depth &+= 1
                return position
            case UInt8(ascii: "["):
                // What begins with an array is no answer of these.
                if self.depth > 0 { self.depth &+= 1 }
                return position
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                self.depth = max(0, self.depth &- 1)
                return position
            case UInt8(ascii: "\"") where self.depth > 0:
                self.isInString = true
                return position
            default: continue
            }
        }
        return position
    }

    private mutating func readTopByte(_ base: UnsafeRawPointer, _ position: Int) -> Int {
        let byte = ByteScan.byte(base, position)
        switch byte {
        case UInt8(ascii: "\""):
            self.isInString = true
            if self.isKeyNext {
                self.kept.removeAll(keepingCapacity: true)
                self.isKeeping = true
            }
        case UInt8(ascii: ":"):
            self.isKeyNext = false
            return position &+ 1
        case UInt8(ascii: ","), UInt8(ascii: "}"):
            self.endOfMember()
            self.isKeyNext = true
            if byte == UInt8(ascii: "}") { self.depth = 0 }
            return position &+ 1
        case UInt8(ascii: "{"), UInt8(ascii: "["): self.depth &+= 1
        default: if byte <= 0x20 { return position &+ 1 }
        }
        if self.isKeeping { self.keep(UnsafeRawBufferPointer(start: base + position, count: 1)) }
        return position &+ 1
    }

    /// A string or container at the top level has ended. If it was a key, what follows may be of interest.
    private mutating func endOfPart() {
        guard self.isKeyNext, self.isKeeping else { return }
        self.isKeyNext = false
        self.member =
            switch String(decoding: self.kept, as: UTF8.self) {
            case "\"usage\"": .usage
            case "\"meta\"": .meta
            case "\"duration\"": .duration
            case "\"data\"": .data
            case "\"size\"": .size
            case "\"quality\"": .quality
            case "\"error\"": .error
            case "\"type\"": .type
            default: .other
            }
        self.kept.removeAll(keepingCapacity: true)
        self.isKeeping = self.member != .other && self.member != .data
    }

    private mutating func endOfMember() {
        defer {
            self.kept.removeAll(keepingCapacity: true)
            self.isKeeping = false
            self.member = .other
        }
        guard self.isKeeping, !self.kept.isEmpty else { return }
        let isNull = self.kept.elementsEqual("null".utf8)
        switch self.member {
        case .other, .data: return
        case .error: self.hasError = self.hasError || !isNull
        case .usage, .meta, .duration, .size, .quality, .type: if !isNull { self.readKept() }
        }
    }

    private mutating func readKept() {
        let (member, kept) = (self.member, self.kept)
        let tree = JSONTree()
        withExtendedLifetime(tree) {
            kept.withUnsafeBytes { bytes in
                guard let value = try? tree.read(bytes) else { return }
                switch member {
                case .usage: self.report.readUsage(value)
                case .meta: self.report.readMeta(value)
                case .duration: self.report.microseconds = UnitReport.microseconds(value)
                case .size: self.size = value.text?.string
                case .quality: self.quality = value.text?.string
                case .type:
                    guard let type = value.text?.string else { return }
                    if type == "error" { self.hasError = true }
                    if type.hasSuffix(".done") || type.hasSuffix(".completed") { self.sawLastEvent = true }
                case .other, .data, .error: break
                }
            }
        }
    }

    private mutating func keep(_ bytes: UnsafeRawBufferPointer) {
        guard self.kept.count + bytes.count <= Self.keptBytesMax else {
            // Too long to be what it should be.
            if self.member == .error { self.hasError = true }
            self.isKeeping = false
            self.kept.removeAll(keepingCapacity: true)
            return
        }
        self.kept.append(contentsOf: bytes)
    }
}

extension UnitReport {
    fileprivate mutating func readUsage(_ usage: JSONValue) {
        self.inputTokens = (usage["input_tokens"] ?? usage["prompt_tokens"])?.count ?? self.inputTokens
        self.outputTokens = (usage["output_tokens"] ?? usage["completion_tokens"])?.count ?? self.outputTokens
        self.totalTokens = usage["total_tokens"]?.count ?? self.totalTokens
        if let seconds = usage["seconds"] ?? usage["prompt_audio_seconds"] {
            self.microseconds = Self.microseconds(seconds) ?? self.microseconds
        }
        // Images have the one name, transcriptions the other.
        if let details = usage["input_tokens_details"] ?? usage["input_token_details"] ?? usage["prompt_tokens_details"]
        {
            self.textInputTokens = details["text_tokens"]?.count
            self.imageInputTokens = details["image_tokens"]?.count
            self.audioInputTokens = details["audio_tokens"]?.count
            self.cachedInputTokens = details["cached_tokens"]?.count
        }
        if let details = usage["output_tokens_details"] ?? usage["completion_tokens_details"] {
            self.textOutputTokens = details["text_tokens"]?.count
            self.imageOutputTokens = details["image_tokens"]?.count
            self.audioOutputTokens = details["audio_tokens"]?.count
        }
    }

    fileprivate mutating func readMeta(_ meta: JSONValue) {
        if let units = meta["billed_units"]?["search_units"] {
            // Cohere writes it as 1 or as 1.0.
            self.searchUnits = units.count
        }
        if let tokens = meta["billed_units"]?["input_tokens"]?.count { self.inputTokens = tokens }
        if let tokens = meta["tokens"] {
            self.inputTokens = tokens["input_tokens"]?.count
            self.outputTokens = tokens["output_tokens"]?.count
        }
    }

    /// A day of audio: more is no duration.
    private static let microsecondsMax = 86_400e6

    /// A number of seconds, or a string with one, as some versions of OpenAI's API have it. `nil`: neither.
    fileprivate static func microseconds(_ value: JSONValue) -> Int64? {
        guard let seconds = value.double ?? value.text.flatMap({ Double($0.string) }), seconds.isFinite, seconds >= 0
        else { return nil }
        return Int64(min(seconds * 1e6, Self.microsecondsMax).rounded())
    }
}
