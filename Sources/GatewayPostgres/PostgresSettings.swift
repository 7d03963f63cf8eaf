/// Where the database is and how to talk to it; made by `PostgresSettings.init(url:)` or `init(environment:)`.
package struct PostgresSettings: Sendable {
    /// libpq's keywords with their values, the password among them: never printed.
    var keywords: [(name: String, value: String)]
    /// The schema that holds all our tables.
    package var schema: String
    /// Whether statements are prepared once per connection. `false` behind a pooler that hands each transaction to
    /// another session; found out by itself as well.
    package var preparesStatements = true
    /// For one attempt at one host; at least two seconds (libpq's own bound).
    package var connectTimeout: Duration = .seconds(5)
    /// From sending a statement to its answer, where a caller names no other time.
    package var statementTimeout: Duration = .seconds(30)
    /// The longest pause between two attempts to connect.
    package var backoffMax: Duration = .seconds(2)
    /// What an operator should know about the settings, such as parameters that are ignored.
    package var notes: [String] = []

    package static let schemaDefault = "martlet"

    /// Hosts, port, database and user, for logs; never the password.
    package var target: String {
        let known = Dictionary(self.keywords.map { ($0.name, $0.value) }) { _, last in last }
        let host = known["host"] ?? known["hostaddr"] ?? "the local socket"
        let port = known["port"].map { ":\($0)" } ?? ""
        return "\(host)\(port)/\(known["dbname"] ?? known["user"] ?? "") as \(known["user"] ?? "the system's user")"
    }

    /// The value given for one of libpq's keywords. `nil`: none, or it is the password.
    package func value(of name: String) -> String? {
        name.contains("password") ? nil : self.keywords.last { $0.name == name }?.value
    }

    /// The schema's name as SQL quotes it.
    var quotedSchema: String {
        "\"" + self.schema.split(separator: "\"", omittingEmptySubsequences: false).joined(separator: "\"\"") + "\""
    }

    /// - Returns: the statement's text with the schema's name in it.
    func render(_ text: String) -> String {
        text.split(separator: "{s}", omittingEmptySubsequences: false).joined(separator: self.quotedSchema)
    }
}
