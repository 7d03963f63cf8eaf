/// Where aliases may stand in a YAML text. A purely lexical check, made before parsing, that takes more for an alias
/// than YAML does but never less: an alias that passes is the value of a key or an item of a block list, and so never
/// part of a key.
///
/// Why that follows: a key without `?` lies on a single line (YAML 1.2.2, section 7.4, implicit keys; libyaml enforces
/// it), and an alias that passes ends its line, so nothing that holds it can be followed by the `:` of a key; `?` does
/// not pass.
enum AliasPolicy {
    /// Line of the first alias or `?` that does not pass, from 1. `nil`: all pass, or the text has no alias at all.
    static func offendingLine(in text: String) -> Int? {
        guard text.utf8.contains(UInt8(ascii: "&")), text.utf8.contains(UInt8(ascii: "*")) else { return nil }
        let lines = text.utf8.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        for (index, line) in lines.enumerated() where !self.passes(Array(line)) { return index + 1 }
        return nil
    }

    private static func passes(_ line: [UInt8]) -> Bool {
        for index in line.indices {
            if line[index] == UInt8(ascii: "?"), self.isExplicitKey(line, at: index) { return false }
            guard line[index] == UInt8(ascii: "*"), self.isAlias(line, at: index) else { continue }
            return self.isSingleAlias(line, at: index) || self.isAliasList(line)
        }
        return true
    }

    private static func isNameByte(_ byte: UInt8) -> Bool {
        (byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9")) || byte == UInt8(ascii: "_")
            || byte == UInt8(ascii: "-")
            || ((byte | 0x20) >= UInt8(ascii: "a") && (byte | 0x20) <= UInt8(ascii: "z"))
    }

    private static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0D }

    /// A `*` directly behind one of these continues plain or quoted text, such as `openai/*`.
    private static func continuesText(_ byte: UInt8) -> Bool { self.isNameByte(byte) || "/.\"'*".utf8.contains(byte) }

    private static func isAlias(_ line: [UInt8], at index: Int) -> Bool {
        guard index + 1 < line.count, self.isNameByte(line[index + 1]) else { return false }
        return index == 0 || !self.continuesText(line[index - 1])
    }

    private static func isExplicitKey(_ line: [UInt8], at index: Int) -> Bool {
        let isFollowed = index + 1 == line.count || self.isBlank(line[index + 1])
        return isFollowed && (index == 0 || !self.continuesText(line[index - 1]))
    }

    /// `key: *name` or `- *name`, and nothing but a comment behind it.
    private static func isSingleAlias(_ line: [UInt8], at index: Int) -> Bool {
        let before = line[..<index].last { !self.isBlank($0) }
        guard before == UInt8(ascii: ":") || before == UInt8(ascii: "-") else { return false }
        return self.isEnd(line[(index + 1)...].drop { self.isNameByte($0) })
    }

    /// `key: [*one, *two]`, and nothing but a comment behind it.
    private static func isAliasList(_ line: [UInt8]) -> Bool {
        guard let open = line.firstIndex(of: UInt8(ascii: "[")), let close = line.lastIndex(of: UInt8(ascii: "]")),
            open < close, line[..<open].last(where: { !self.isBlank($0) }) == UInt8(ascii: ":")
        else { return false }
        let isPlain = line[(open + 1)..<close].allSatisfy {
            self.isNameByte($0) || self.isBlank($0) || $0 == UInt8(ascii: "*") || $0 == UInt8(ascii: ",")
        }
        let hasAliasBefore = line[..<open].contains(UInt8(ascii: "*"))
        return isPlain && !hasAliasBefore && self.isEnd(line[(close + 1)...])
    }

    private static func isEnd(_ rest: ArraySlice<UInt8>) -> Bool {
        let text = rest.drop { self.isBlank($0) }
        return text.isEmpty || (text.first == UInt8(ascii: "#") && text.count < rest.count)
    }
}
