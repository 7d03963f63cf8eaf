/// A name in which `*` stands for any text, also none.
package struct WildcardPattern: Sendable, Hashable {
    package let text: String
    private let parts: [String]

    package init(_ text: String) {
        self.text = text
        self.parts = text.split(separator: "*", omittingEmptySubsequences: false).map(String.init)
    }

    /// Characters that are not wildcards; the more, the more specific.
    package var literalCount: Int { self.parts.reduce(0) { $0 + $1.utf8.count } }

    package func matches(_ name: String) -> Bool {
        guard let first = self.parts.first, let last = self.parts.last else { return false }
        if self.parts.count == 1 { return name == first }
        guard name.hasPrefix(first), name.hasSuffix(last), name.utf8.count >= first.utf8.count + last.utf8.count else {
            return false
        }
        var rest = name.dropFirst(first.count).dropLast(last.count)
        for part in self.parts.dropFirst().dropLast() where !part.isEmpty {
            guard let found = rest.firstRange(of: part) else { return false }
            rest = rest[found.upperBound...]
        }
        return true
    }

    /// What `*` stood for in `name`. `nil`: no match, or more than one wildcard.
    package func capture(in name: String) -> String? {
        guard self.parts.count == 2, self.matches(name) else { return nil }
        return String(name.dropFirst(self.parts[0].count).dropLast(self.parts[1].count))
    }
}
