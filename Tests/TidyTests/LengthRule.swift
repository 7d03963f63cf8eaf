/// Files of at most 700 lines, functions of at most 70. Generated tables, which the formatter is told to ignore, are
/// free of both.

enum LengthRule {
    static let fileLinesMax = 700
    static let functionLinesMax = 70

    static func violations(in file: SourceFile) -> [Violation] {
        guard file.path.hasSuffix(".swift"), !file.isGenerated else { return [] }
        var result: [Violation] = []
        if file.lines.count > self.fileLinesMax {
            result.append(
                Violation(path: file.path, line: 0, message: "\(file.lines.count) lines, at most \(self.fileLinesMax)"))
        }
        for function in self.functions(in: file.code) where function.lineCount > self.functionLinesMax {
            result.append(
                Violation(
                    path: file.path, line: function.line,
                    message: "a function of \(function.lineCount) lines, at most \(self.functionLinesMax)"))
        }
        return result
    }

    struct Function: Equatable {
        /// Of the keyword, from 1.
        let line: Int
        /// From the keyword's line to the closing brace's, both counted.
        let lineCount: Int
    }

    /// Every function, initialiser, subscript and computed property with a body, in masked code.
    static func functions(in code: String) -> [Function] {
        let bytes = Array(code.utf8)
        var result: [Function] = []
        var line = 1
        var index = 0
        while index < bytes.count {
            if bytes[index] == UInt8(ascii: "\n") { line += 1 }
            if let length = self.keyword(at: index, in: bytes),
                let open = self.bodyStart(after: index + length, in: bytes),
                let close = self.matchingBrace(of: open, in: bytes)
            {
                let newlines = bytes[index...close].count { $0 == UInt8(ascii: "\n") }
                result.append(Function(line: line, lineCount: newlines + 1))
            }
            index += 1
        }
        return result
    }

    private static let keywords = ["func", "init", "deinit", "subscript", "var"].map { Array($0.utf8) }

    private static func keyword(at index: Int, in bytes: [UInt8]) -> Int? {
        if index > 0, self.isWordByte(bytes[index - 1]) || bytes[index - 1] == UInt8(ascii: ".") { return nil }
        let keyword = self.keywords.first { word in
            index + word.count < bytes.count && bytes[index..<(index + word.count)].elementsEqual(word)
                && !self.isWordByte(bytes[index + word.count])
        }
        return keyword?.count
    }

    private static func isWordByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "`"):
            true
        default: byte >= 0x80
        }
    }

    /// The brace that opens the body. `nil`: a declaration without one, or no declaration at all.
    private static func bodyStart(after start: Int, in bytes: [UInt8]) -> Int? {
        var depth = 0
        var index = start
        while index < bytes.count {
            switch bytes[index] {
            case UInt8(ascii: "("), UInt8(ascii: "["): depth += 1
            case UInt8(ascii: ")"), UInt8(ascii: "]"):
                depth -= 1
                if depth < 0 { return nil }
            case UInt8(ascii: "{") where depth == 0: return index
            case UInt8(ascii: "}") where depth == 0, UInt8(ascii: ";") where depth == 0: return nil
            case UInt8(ascii: "=") where depth == 0 && bytes[start - 1] == UInt8(ascii: "r"):
                // `var x = ...` has no body; `==` in a where clause of a function does not come here.
                return nil
            case UInt8(ascii: "\n") where depth == 0 && self.startsDeclaration(index + 1, in: bytes): return nil
            default: break
            }
            index += 1
        }
        return nil
    }

    private static let declarationWords = Set([
        "func", "init", "deinit", "subscript", "var", "let", "case", "static", "package", "private", "fileprivate",
        "mutating", "associatedtype", "typealias", "struct", "class", "enum", "protocol", "extension", "if", "guard",
        "return", "for", "while", "switch", "self", "override", "nonisolated", "final", "actor",
    ])

    private static func startsDeclaration(_ start: Int, in bytes: [UInt8]) -> Bool {
        let rest = bytes[start...].drop { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\n") }
        let word = String(decoding: rest.prefix { self.isWordByte($0) }, as: UTF8.self)
        return self.declarationWords.contains(word) || rest.first == UInt8(ascii: "@")
    }

    private static func matchingBrace(of open: Int, in bytes: [UInt8]) -> Int? {
        var depth = 0
        for index in open..<bytes.count {
            if bytes[index] == UInt8(ascii: "{") { depth += 1 }
            if bytes[index] == UInt8(ascii: "}") {
                depth -= 1
                if depth == 0 { return index }
            }
        }
        return nil
    }
}
