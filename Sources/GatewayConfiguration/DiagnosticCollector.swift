/// Gathers diagnostics within bounds: at most so many errors, and a warning that comes many times only once.
struct DiagnosticCollector {
    static let errorsMax = 200
    static let warningsMax = 200

    private var errors: [Diagnostic] = []
    private var warnings: [Diagnostic] = []
    /// Place in `warnings` and how often, by text.
    private var warningIndex: [String: (index: Int, count: Int)] = [:]
    private var omittedErrors = 0
    private var omittedWarnings = 0

    /// Further errors are counted only, so making up their texts is a waste.
    var isFull: Bool { self.errors.count >= Self.errorsMax }

    var hasErrors: Bool { !self.errors.isEmpty }

    mutating func error(
        _ position: SourcePosition, _ keyPath: String, _ message: String, mend: String?
    ) {
        guard self.errors.count < Self.errorsMax else {
            self.omittedErrors += 1
            return
        }
        self.errors.append(
            Diagnostic(
                severity: .error, position: position, keyPath: keyPath, message: message, mend: mend))
    }

    mutating func warning(
        _ position: SourcePosition, _ keyPath: String, _ message: String, mend: String?
    ) {
        let text = "\(message)\n\(mend ?? "")"
        if let known = self.warningIndex[text] {
            self.warningIndex[text] = (known.index, known.count + 1)
            return
        }
        guard self.warnings.count < Self.warningsMax else {
            self.omittedWarnings += 1
            return
        }
        self.warningIndex[text] = (self.warnings.count, 1)
        self.warnings.append(
            Diagnostic(
                severity: .warning, position: position, keyPath: keyPath, message: message, mend: mend))
    }

    /// Everything, by place: environment and command line first, then `files` in order.
    func sorted(files: [String]) -> [Diagnostic] {
        var all = self.errors + self.warnings
        for (index, count) in self.warningIndex.values where count > 1 {
            all[self.errors.count + index].message += " (here and at \(count - 1) more places)"
        }
        let ranks = Dictionary(files.enumerated().map { ($1, $0) }) { first, _ in first }
        func rank(_ diagnostic: Diagnostic) -> (Int, Int, Int) {
            (ranks[diagnostic.position.file] ?? -1, diagnostic.position.line, diagnostic.position.column)
        }
        let order = all.enumerated().sorted { a, b in
            let (left, right) = (rank(a.element), rank(b.element))
            return left == right ? a.offset < b.offset : left < right
        }
        var result = order.map(\.element)
        let last = result.last?.position ?? .environment
        for (severity, count) in [
            (Diagnostic.Severity.error, self.omittedErrors), (.warning, self.omittedWarnings),
        ]
        where count > 0 {
            result.append(
                Diagnostic(
                    severity: severity, position: last, keyPath: "", message: "\(count) more like these",
                    mend: "mend those above first"))
        }
        return result
    }
}
