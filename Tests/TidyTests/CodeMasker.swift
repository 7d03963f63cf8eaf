/// Blanks comments and string literals of Swift source, so that rules look at code only. Knows nested comments, raw
/// and multi-line strings, and strings inside interpolations; not regex literals, which this repository does not use.
struct CodeMasker {
    private let input: [UInt8]
    private var output: [UInt8]
    private var position = 0

    init(_ text: String) {
        self.input = Array(text.utf8)
        self.output = self.input
    }

    mutating func masked() -> String {
        while self.position < self.input.count {
            if ![UInt8(ascii: "/"), UInt8(ascii: "\""), UInt8(ascii: "#")].contains(self.input[self.position]) {
                self.position += 1
            } else if self.starts("//") {
                self.blankLine()
            } else if self.starts("/*") {
                self.blankComment()
            } else if let hashes = self.stringStart() {
                self.blankString(hashes: hashes)
            } else {
                self.position += 1
            }
        }
        return String(decoding: self.output, as: UTF8.self)
    }

    private func starts(_ text: StaticString, at offset: Int = 0) -> Bool {
        let start = self.position + offset
        guard start + text.utf8CodeUnitCount <= self.input.count else { return false }
        return (0..<text.utf8CodeUnitCount).allSatisfy { self.input[start + $0] == text.utf8Start[$0] }
    }

    /// The number of `#` before a string literal that starts here. `nil`: none starts here.
    private func stringStart() -> Int? {
        var hashes = 0
        while self.starts("#", at: hashes) { hashes += 1 }
        return self.starts("\"", at: hashes) ? hashes : nil
    }

    private mutating func blank(_ count: Int) {
        for _ in 0..<min(count, self.input.count - self.position) {
            if self.input[self.position] != UInt8(ascii: "\n") { self.output[self.position] = UInt8(ascii: " ") }
            self.position += 1
        }
    }

    private mutating func blankLine() {
        while self.position < self.input.count, !self.starts("\n") { self.blank(1) }
    }

    private mutating func blankComment() {
        var depth = 0
        while self.position < self.input.count {
            if self.starts("/*") {
                depth += 1
                self.blank(2)
            } else if self.starts("*/") {
                depth -= 1
                self.blank(2)
                if depth == 0 { return }
            } else {
                self.blank(1)
            }
        }
    }

    private mutating func blankString(hashes: Int) {
        let isMultiline = self.starts("\"\"\"", at: hashes)
        let quotes = isMultiline ? 3 : 1
        self.blank(hashes + quotes)
        while self.position < self.input.count {
            if self.starts("\\"), self.hasHashes(hashes, at: 1) {
                if self.starts("(", at: 1 + hashes) {
                    self.blank(1 + hashes)
                    self.blankInterpolation()
                } else {
                    self.blank(2 + hashes)
                }
            } else if isMultiline ? self.starts("\"\"\"") : self.starts("\""), self.hasHashes(hashes, at: quotes) {
                self.blank(quotes + hashes)
                return
            } else if !isMultiline, self.starts("\n") {
                return  // not valid Swift; the rest of the file stays readable
            } else {
                self.blank(1)
            }
        }
    }

    private mutating func blankInterpolation() {
        var depth = 0
        while self.position < self.input.count {
            if self.starts("(") {
                depth += 1
                self.blank(1)
            } else if self.starts(")") {
                depth -= 1
                self.blank(1)
                if depth == 0 { return }
            } else if let hashes = self.stringStart() {
                self.blankString(hashes: hashes)
            } else {
                self.blank(1)
            }
        }
    }

    private func hasHashes(_ count: Int, at offset: Int) -> Bool {
        (0..<count).allSatisfy { self.starts("#", at: offset + $0) }
    }
}
