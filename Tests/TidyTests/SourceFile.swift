/// One text file of the repository, with what the tidy rules need to know about it.
struct SourceFile: Sendable {
    /// Relative to the repository's root.
    let path: String
    let text: String
    /// `text` with the insides of comments and string literals blanked, line for line and column for column.
    let code: String

    init(path: String, text: String) {
        self.path = path
        self.text = text
        if path.hasSuffix(".swift"), !text.contains(Self.generatedMark) {
            var masker = CodeMasker(text)
            self.code = masker.masked()
        } else {
            self.code = text
        }
    }

    var lines: [Substring] { self.text.split(separator: "\n", omittingEmptySubsequences: false) }
    var codeLines: [Substring] { self.code.split(separator: "\n", omittingEmptySubsequences: false) }

    /// Generated tables say so for the formatter, and are free of length limits.
    var isGenerated: Bool { self.text.contains(Self.generatedMark) }

    static let generatedMark = "swift-format" + "-ignore-file"

    /// `Sources/<target>/...` gives the target. `nil`: the file is elsewhere.
    var target: String? { self.component(below: "Sources") }

    /// `Tests/<target>/...` gives the test target. `nil`: the file is elsewhere.
    var testTarget: String? { self.component(below: "Tests") }

    private func component(below folder: String) -> String? {
        let parts = self.path.split(separator: "/")
        return parts.count > 2 && parts[0] == folder ? String(parts[1]) : nil
    }
}

/// A broken rule, printed like a compiler's error.
struct Violation: Equatable, Hashable, CustomStringConvertible, Sendable {
    let path: String
    /// From 1; 0: the file as a whole.
    let line: Int
    let message: String

    var description: String {
        self.line == 0 ? "\(self.path): \(self.message)" : "\(self.path):\(self.line): \(self.message)"
    }
}
