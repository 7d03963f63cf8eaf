/// Finds members of the one object of an answer that is too large to hold: fed in pieces of any size, keeps the values
/// of those whose names are asked for, each up to `keptBytesMax`, as an object of their own.
///
/// It follows brackets and quotes only; what is no JSON gives nothing or something malformed, which the reader of what
/// was kept refuses.
package struct MemberScanner: Sendable {
    /// Bytes of one value that are kept at most.
    package static let keptBytesMax = 8192
    private static let nameBytesMax = 64

    private let names: [[UInt8]]
    private var depth = 0
    private var isInString = false
    private var isEscaped = false
    /// At the top level: the next string is a name.
    private var isNameNext = false
    private var isInName = false
    private var name: [UInt8] = []
    /// Index in `names` of the member whose value is being read. `nil`: none of them.
    private var place: Int?
    private var value: [UInt8] = []
    private var isFinished = false
    /// By index in `names`.
    private var found: [Int: [UInt8]] = [:]

    /// - Parameter names: without characters that JSON escapes.
    package init(names: [StaticString]) { self.names = names.map { Array("\($0)".utf8) } }

    /// An object with the members that were found, in the order of their names. `nil`: none.
    package var object: [UInt8]? {
        guard !self.found.isEmpty else { return nil }
        var bytes = [UInt8(ascii: "{")]
        for (index, value) in self.found.sorted(by: { $0.key < $1.key }) {
            if bytes.count > 1 { bytes.append(UInt8(ascii: ",")) }
            bytes += [UInt8(ascii: "\"")] + self.names[index] + Array("\":".utf8) + value
        }
        return bytes + [UInt8(ascii: "}")]
    }

    package mutating func feed(_ bytes: UnsafeRawBufferPointer) {
        guard let base = bytes.baseAddress else { return }
        var position = 0
        while position < bytes.count, !self.isFinished {
            if self.isInString {
                position = self.readString(base, position, bytes.count)
            } else {
                self.read(ByteScan.byte(base, position))
                position &+= 1
            }
        }
    }

    /// Reads to behind the end of a string, or to the end of the bytes: nearly all of a large answer is strings.
    private mutating func readString(_ base: UnsafeRawPointer, _ start: Int, _ end: Int) -> Int {
        var position = start
        if self.isEscaped {
            self.isEscaped = false
            position &+= 1
        } else {
            position = ByteScan.quoteOrEscape(base, position, end)
            if position < end {
                let byte = ByteScan.byte(base, position)
                position &+= 1
                self.isEscaped = byte == UInt8(ascii: "\\")
                self.isInString = self.isEscaped
            }
        }
        let piece = UnsafeRawBufferPointer(start: base + start, count: position &- start)
        if self.isInName {
            if self.name.count &+ piece.count <= Self.nameBytesMax { self.name += piece }
            if !self.isInString { self.endName() }
        } else if self.place != nil {
            self.keep(piece)
        }
        return position
    }

    private mutating func endName() {
        self.isInName = false
        self.isNameNext = false
        // With the quote behind it.
        self.place = self.names.firstIndex { $0.count + 1 == self.name.count && self.name.starts(with: $0) }
        self.value.removeAll(keepingCapacity: true)
    }

    private mutating func read(_ byte: UInt8) {
        switch byte {
        case UInt8(ascii: "\""):
            self.isInString = true
            if self.depth == 1, self.isNameNext {
                self.isInName = true
                self.name.removeAll(keepingCapacity: true)
                return
            }
        case UInt8(ascii: "{"), UInt8(ascii: "["):
            self.depth &+= 1
            if self.depth == 1 {
                // An array at the top has no members.
                self.isFinished = byte == UInt8(ascii: "[")
                self.isNameNext = true
                return
            }
        case UInt8(ascii: "}"), UInt8(ascii: "]"):
            self.depth &-= 1
            if self.depth <= 0 {
                self.endValue()
                self.isFinished = true
                return
            }
        case UInt8(ascii: ",") where self.depth == 1:
            self.endValue()
            self.isNameNext = true
            return
        case UInt8(ascii: ":") where self.depth == 1: return
        default: break
        }
        guard self.place != nil else { return }
        withUnsafeBytes(of: byte) { self.keep($0) }
        // An object is whole with its last bracket, also when nothing comes after it.
        if self.depth == 1, byte == UInt8(ascii: "}") || byte == UInt8(ascii: "]") { self.endValue() }
    }

    private mutating func endValue() {
        guard let place = self.place else { return }
        self.place = nil
        if !self.value.isEmpty { self.found[place] = self.value }
    }

    private mutating func keep(_ piece: UnsafeRawBufferPointer) {
        guard self.value.count &+ piece.count <= Self.keptBytesMax else {
            // Too long to be what it should be.
            self.place = nil
            return
        }
        self.value += piece
    }
}
