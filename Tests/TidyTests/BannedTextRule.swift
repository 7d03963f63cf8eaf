/// Calls and words that have no place in the code, and where they are allowed all the same.
enum BannedTextRule {
    struct Ban: Sendable {
        let text: String
        let why: String
        /// Looks at code without comments and strings; `false`: at everything.
        var isCodeOnly = true
        /// A letter before it makes it another word, as in `sprint(`.
        var isWholeWord = true
        let applies: @Sendable (SourceFile) -> Bool
    }

    /// Not the program's edge, where the real clock and the terminal are composed in.
    private static let insideLibraries: @Sendable (SourceFile) -> Bool = {
        $0.target != nil && $0.target != "martlet" && $0.target != LayerRule.testSupport
    }
    private static let everywhere: @Sendable (SourceFile) -> Bool = { $0.path.hasSuffix(".swift") }
    private static let inTests: @Sendable (SourceFile) -> Bool = { $0.testTarget != nil && $0.path.hasSuffix(".swift") }

    static let bans: [Ban] = [
        Ban(text: "try" + "!", why: "handle the error, or throw it", applies: Self.everywhere),
        Ban(text: "fatal" + "Error(", why: "use precondition with the state in its message", applies: Self.everywhere),
        Ban(text: "FIX" + "ME", why: "mend it now or file an issue", isCodeOnly: false, applies: Self.everywhere),
        Ban(text: "TO" + "DO", why: "do it now or file an issue", isCodeOnly: false, applies: Self.everywhere),
        Ban(text: "print(", why: "only the command line prints", applies: Self.insideLibraries),
        Ban(text: "Date()", why: "time is injected", applies: Self.insideLibraries),
        Ban(text: "ContinuousClock", why: "time is injected", applies: Self.insideLibraries),
        Ban(text: "Task.sleep", why: "time is injected", applies: Self.insideLibraries),
        Ban(text: "Task.sleep", why: "tests wait for conditions", applies: Self.inTests),
        Ban(text: "Thread.sleep", why: "tests wait for conditions", applies: Self.inTests),
        Ban(text: "usleep(", why: "tests wait for conditions", applies: Self.inTests),
        Ban(
            text: "sleep(", why: "tests wait for conditions",
            applies: { Self.inTests($0) && !$0.code.contains("func sleep(") }),
        Ban(text: "@testable", why: "tests use the package API", applies: Self.everywhere),
    ]

    static func violations(in file: SourceFile) -> [Violation] {
        var result: [Violation] = []
        for ban in self.bans where ban.applies(file) {
            for (index, line) in (ban.isCodeOnly ? file.codeLines : file.lines).enumerated()
            where self.contains(line, ban) {
                result.append(Violation(path: file.path, line: index + 1, message: "\(ban.text): \(ban.why)"))
            }
        }
        return result
    }

    private static func contains(_ line: Substring, _ ban: Ban) -> Bool {
        var rest = line
        while let range = rest.range(of: ban.text) {
            let before = rest[..<range.lowerBound].last
            let isPartOfWord = before.map { $0.isLetter || $0.isNumber || $0 == "_" } ?? false
            if !ban.isWholeWord || !isPartOfWord, !(before == "." && ban.text.first?.isLowercase == true) {
                return true
            }
            rest = rest[range.upperBound...]
        }
        return false
    }
}

/// Escapes from the compiler's concurrency checks need a proof beside them and an entry here.
enum UncheckedConcurrencyRule {
    /// Path and how many escapes it may hold, with the reason in short.
    static let allowed: [String: (count: Int, reason: String)] = [
        "Sources/GatewayDataPlane/LoopContext.swift": (1, "touched on its own event loop alone"),
        "Sources/GatewayPostgres/PostgresRows.swift": (1, "a PGresult is read-only after its creation"),
        "Sources/GatewayLedger/JournalSegment.swift": (1, "touched under the journal's lock alone"),
    ]

    static func violations(
        in file: SourceFile, allowed: [String: (count: Int, reason: String)] = Self.allowed
    ) -> [Violation] {
        guard file.path.hasSuffix(".swift") else { return [] }
        let lines = file.codeLines.enumerated().filter { _, line in
            ["@unchecked Send" + "able", "nonisolated(un" + "safe)"].contains { line.contains($0) }
        }
        guard lines.count > allowed[file.path]?.count ?? 0 else { return [] }
        return lines.map { index, _ in
            Violation(
                path: file.path, line: index + 1,
                message: "an unchecked concurrency escape that TidyTests does not list (BannedTextRule.swift)")
        }
    }
}

/// Tracked files know nothing of the machine they were written on.
enum MachinePathRule {
    static let patterns = ["/wo" + "rk/", "/ro" + "ot/", "/ho" + "me/"]

    static func violations(in file: SourceFile) -> [Violation] {
        file.lines.enumerated().compactMap { index, line in
            guard let pattern = self.patterns.first(where: { line.contains($0) }) else { return nil }
            return Violation(path: file.path, line: index + 1, message: "a path of one machine (\(pattern)...)")
        }
    }
}

/// A golden file that no test names proves nothing.
enum GoldenRule {
    /// - Parameter files: everything below Tests, golden files among them.
    static func violations(in files: [SourceFile]) -> [Violation] {
        files.compactMap { file in
            let parts = file.path.split(separator: "/")
            guard let target = file.testTarget, let golden = parts.firstIndex(of: "Golden"),
                golden + 1 < parts.count
            else { return nil }
            let stem = parts.last!.prefix { $0 != "." }
            // A test may read a folder of golden files whole; then it names the folder, and lists it if it is Golden.
            let names = [stem] + parts[(golden + 1)...].dropLast()
            let isNamed = files.contains { other in
                other.testTarget == target && other.path.hasSuffix(".swift")
                    && (names.contains { other.text.contains($0) }
                        || other.text.contains("contentsOfDirectory") && other.text.contains("\"Golden\""))
            }
            return isNamed
                ? nil : Violation(path: file.path, line: 0, message: "no test of \(target) names this golden file")
        }
    }
}
