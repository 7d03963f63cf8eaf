/// The fields of one server-sent event (WHATWG HTML, section 9.2.6).
struct EventLines {
    let base: UnsafeRawPointer
    private let end: Int
    private var position: Int
    /// Value of the last `data` line.
    private(set) var data = ByteRange.empty
    private(set) var dataLineCount = 0
    /// There was a field, known or not, besides comments.
    private(set) var hasField = false
    /// `event: error`
    private(set) var isNamedError = false
    /// Where the first line begins, behind the byte order mark.
    private(set) var start: Int

    init(base: UnsafeRawPointer, start: Int, end: Int) {
        self.base = base
        self.start = start
        self.position = start
        self.end = end
    }

    /// The stream may begin with one.
    mutating func skipByteOrderMark() {
        if self.end &- self.position >= 3, ByteScan.matches(self.base, self.position, "\u{FEFF}") {
            self.start &+= 3
            self.position = self.start
        }
    }

    @inline(__always)
    mutating func read() {
        while let line = self.nextLine() { self.readLine(line) }
    }

    /// All `data` lines with a line feed between them.
    func joinedData() -> [UInt8] {
        var lines = EventLines(base: self.base, start: self.start, end: self.end)
        var result: [UInt8] = []
        result.reserveCapacity(self.end &- self.start)
        while let line = lines.nextLine() {
            let count = lines.dataLineCount
            lines.readLine(line)
            guard lines.dataLineCount > count else { continue }
            if count > 0 { result.append(0x0A) }
            result.append(
                contentsOf: UnsafeRawBufferPointer(start: self.base + Int(lines.data.start), count: lines.data.count))
        }
        return result
    }

    /// A CR LF gives an empty line between CR and LF, which changes nothing: empty lines are ignored here.
    @inline(__always)
    private mutating func nextLine() -> ByteRange? {
        guard self.position < self.end else { return nil }
        let start = self.position
        let stop = ByteScan.lineEnd(self.base, start, self.end)
        self.position = stop &+ 1
        return ByteRange(start, stop)
    }

    @inline(__always)
    private mutating func readLine(_ line: ByteRange) {
        guard line.count > 0 else { return }
        let start = Int(line.start)
        let first = ByteScan.byte(self.base, start)
        if first == UInt8(ascii: ":") { return }
        self.hasField = true
        if first == UInt8(ascii: "d"), let value = self.value(of: line, "data") {
            self.data = value
            self.dataLineCount &+= 1
        } else if first == UInt8(ascii: "e"), let value = self.value(of: line, "event") {
            self.isNamedError = value.count == 5 && ByteScan.matches(self.base, Int(value.start), "error")
        }
    }

    /// What follows the colon and at most one space. `nil`: another field.
    @inline(__always)
    private func value(of line: ByteRange, _ name: StaticString) -> ByteRange? {
        let count = name.utf8CodeUnitCount
        var start = Int(line.start)
        guard line.count >= count, ByteScan.matches(self.base, start, name) else { return nil }
        start &+= count
        let end = Int(line.end)
        if start == end { return ByteRange(end, end) }
        guard ByteScan.byte(self.base, start) == UInt8(ascii: ":") else { return nil }
        start &+= 1
        if start < end, ByteScan.byte(self.base, start) == 0x20 { start &+= 1 }
        return ByteRange(start, end)
    }
}
