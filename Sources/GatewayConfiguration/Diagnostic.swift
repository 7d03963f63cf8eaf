/// One finding about a configuration: what is wrong, where, and how to mend it. Never holds the value of a secret or
/// of an environment variable.
package struct Diagnostic: Sendable, Hashable {
    package enum Severity: String, Sendable { case error, warning }

    package var severity: Severity
    package var position: SourcePosition
    /// Such as `model_list[2].litellm_params.api_kye`; empty for the file as a whole.
    package var keyPath: String
    package var message: String
    /// What to do. `nil`: the message says it.
    package var mend: String?

    package init(
        severity: Severity, position: SourcePosition, keyPath: String, message: String, mend: String?
    ) {
        self.severity = severity
        self.position = position
        self.keyPath = keyPath
        self.message = message
        self.mend = mend
    }

    /// One line like a compiler's: `config.yaml:12:7: error: unknown key "api_kye" ...; did you mean "api_key"?`.
    package var rendered: String {
        let text = self.mend.map { "\(self.message); \($0)" } ?? self.message
        return "\(self.position.rendered): \(self.severity.rawValue): \(printable(text))"
    }
}

/// Where in the sources of a configuration something stands.
package struct SourcePosition: Sendable, Hashable {
    /// Path as given; `environment` or `command line` for those.
    package var file: String
    /// From 1; 0: the file as a whole.
    package var line: Int
    /// From 1, in Unicode scalars; 0: the file as a whole.
    package var column: Int

    package init(file: String, line: Int = 0, column: Int = 0) {
        self.file = file
        self.line = line
        self.column = column
    }

    package static let environment = SourcePosition(file: "environment")
    package static let commandLine = SourcePosition(file: "command line")

    package var rendered: String {
        self.line > 0 ? "\(printable(self.file)):\(self.line):\(self.column)" : printable(self.file)
    }
}

/// `text` without control characters, so that a hostile file cannot write to the operator's terminal.
func printable(_ text: String) -> String {
    String(
        String.UnicodeScalarView(
            text.unicodeScalars.map { $0.value < 0x20 || $0.value == 0x7F ? " " : $0 }))
}
