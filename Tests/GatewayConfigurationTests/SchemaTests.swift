import GatewayConfiguration
import Testing

@Suite("The configuration's schema")
struct SchemaTests {
    typealias Section = ConfigurationSchema.Section
    typealias Key = ConfigurationSchema.Key

    struct Row: Sendable, CustomTestStringConvertible {
        var section: Section
        var key: Key
        /// A name that the row matches.
        var name: String { self.key.name.replacing("*", with: "x") }
        var testDescription: String { "\(self.section.rawValue).\(self.key.name)" }

        /// A configuration with the key set to `value`.
        func file(_ value: String) -> String {
            let line = "\(self.name): \(value)\n"
            switch self.section {
            case .top: return Fixture.model(line)
            case .modelEntry: return Fixture.model("    \(line)")
            case .modelParameters:
                return
                    "model_list:\n  - model_name: m\n    litellm_params:\n      model: openai/m\n      api_key: k\n"
                    + "      \(line)"
            case .modelInfo: return Fixture.model("    model_info:\n      \(line)")
            case .credential:
                return Fixture.model("credential_list:\n  - credential_name: c\n    \(line)")
            case .litellmSettings, .routerSettings, .generalSettings, .martlet:
                return Fixture.model("\(self.section.rawValue):\n  \(line)")
            }
        }

        /// Where its diagnostics point.
        var path: String {
            switch self.section {
            case .top: self.name
            case .modelEntry: "model_list[0].\(self.name)"
            case .modelParameters: "model_list[0].litellm_params.\(self.name)"
            case .modelInfo: "model_list[0].model_info.\(self.name)"
            case .credential: "credential_list[0].\(self.name)"
            default: "\(self.section.rawValue).\(self.name)"
            }
        }
    }

    static let rows = Section.allCases.flatMap { section in
        ConfigurationSchema.keys(of: section).map { Row(section: section, key: $0) }
    }
    static let supported = rows.filter {
        if case .supported = $0.key.treatment { true } else { false }
    }
    static let withoutEffect = rows.filter {
        if case .withoutEffect = $0.key.treatment { true } else { false }
    }
    static let unsupported = rows.filter {
        if case .unsupported = $0.key.treatment { true } else { false }
    }

    @Test("has no key twice in a section")
    func hasNoDuplicates() {
        for section in Section.allCases {
            let names = ConfigurationSchema.keys(of: section).map(\.name)
            let doubles = Dictionary(grouping: names) { $0 }.filter { $1.count > 1 }.keys.sorted()
            #expect(doubles.isEmpty, "\(section): \(doubles)")
        }
    }

    @Test("refuses each unsupported key with its mend", arguments: unsupported)
    func refusesUnsupported(row: Row) throws {
        let result = Fixture.load(row.file("[1]"))
        let diagnostic = try #require(result.diagnostics.first { $0.keyPath == row.path })
        #expect(diagnostic.severity == .error)
        #expect(diagnostic.message.contains("is not supported"))
        #expect(.unsupported(diagnostic.mend ?? "") == row.key.treatment)
        #expect(result.settings == nil)
    }

    @Test("takes an unsupported key that is off", arguments: unsupported)
    func takesUnsupportedOff(row: Row) {
        for value in ["false", "null", "[]", "{}", "\"\""] {
            #expect(Fixture.load(row.file(value)).diagnostics.isEmpty, "\(row.testDescription): \(value)")
        }
    }

    @Test("warns of each key without effect and goes on", arguments: withoutEffect)
    func warnsOfUseless(row: Row) throws {
        let result = Fixture.load(row.file("17"))
        let diagnostic = try #require(result.diagnostics.first { $0.keyPath == row.path })
        #expect(diagnostic.severity == .warning)
        #expect(.withoutEffect(diagnostic.mend ?? "") == row.key.treatment)
        #expect(result.settings != nil)
    }

    @Test("neither refuses nor ignores a supported key", arguments: supported)
    func takesSupported(row: Row) {
        for diagnostic in Fixture.load(row.file("3")).diagnostics where diagnostic.keyPath == row.path {
            let isIgnored = ["unknown key", "has no effect", "is not supported"].contains {
                diagnostic.message.hasPrefix($0) || diagnostic.message.contains("\" in ")
            }
            #expect(!isIgnored, "\(diagnostic.rendered)")
        }
    }

    @Test("knows every key of LiteLLM's that its users set")
    func isComplete() {
        for (section, names) in LiteLLMKeys.all {
            for name in names.split(whereSeparator: \.isWhitespace).map(String.init) {
                #expect(ConfigurationSchema.key(name, in: section) != nil, "\(section.rawValue).\(name)")
            }
        }
        let variables = Set(ConfigurationSchema.variables.map(\.name))
        for name in LiteLLMKeys.variables.split(whereSeparator: \.isWhitespace).map(String.init) {
            #expect(variables.contains(name), "\(name)")
        }
    }

    @Test("is what docs/configuration.md says")
    func isDocumented() throws {
        try Golden.compare(
            ConfigurationSchema.markdown, with: Golden.repository.appending(path: "docs/configuration.md")
        )
    }

    @Test(
        "has a message for each variable that it does not follow",
        arguments: ConfigurationSchema.variables)
    func reportsVariables(variable: ConfigurationSchema.Variable) {
        for name in [variable.name, variable.twin].compactMap({ $0 }) {
            let environment = Fixture.environment.merging([name: "30"]) { $1 }
            let result = Fixture.load(Fixture.model(), environment: environment)
            let mine = result.diagnostics.filter { $0.keyPath == name }
            switch variable.treatment {
            case .supported:
                #expect(mine.allSatisfy { !$0.message.hasPrefix("the variable \(name) has no effect") })
            case .withoutEffect: #expect(mine.map(\.severity) == [.warning])
            case .unsupported: #expect(mine.map(\.severity) == [.error])
            }
        }
    }

    @Test("lets an empty twin hide its variable")
    func letsTwinsHide() {
        let environment = [
            "DATABASE_URL": "postgresql://user:hunter2@db/x", "MARTLET_DATABASE_URL": "",
        ]
        #expect(Fixture.load(Fixture.model(), environment: environment).diagnostics.isEmpty)
    }
}
