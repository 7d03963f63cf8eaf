extension ConfigurationSchema {
    /// `docs/configuration.md`: all keys, variables and flags, made from the tables.
    package static var markdown: String {
        var text = self.introduction
        for section in Section.allCases where section != .martlet {
            text += "\n## \(section == .top ? "Top level" : "`\(section.rawValue)`")\n\n"
            text += self.table(of: self.keys(of: section))
        }
        text += "\n## `martlet`\n\n| key | value | default | meaning |\n|---|---|---|---|\n"
        let defaults = Settings(
            routing: .init(deployments: [], aliases: [], retriesMax: 0, fallbacks: [], cooldown: .zero))
        for option in self.martletOptions {
            text += "| `\(option.name)` | \(option.kind.text) | \(option.defaultText(in: defaults)) | "
            text += "\(self.cell(option.summary)) |\n"
        }
        text += "\n## Flags of `martlet serve`\n\n| flag | meaning |\n|---|---|\n"
        for flag in self.flags { text += "| `\(flag.name)` | \(self.cell(flag.summary)) |\n" }
        text += "\n## Environment variables\n\n"
        text += "A twin wins over its variable; set to nothing it hides it.\n\n"
        text += "| variable | twin | treatment |\n|---|---|---|\n"
        for variable in self.variables {
            let twin = variable.twin.map { "`\($0)`" } ?? ""
            text += "| `\(variable.name)` | \(twin) | \(self.cell(variable.treatment.text)) |\n"
        }
        return text
            + "\nProviders' own variables, such as `OPENAI_API_KEY`, stand in\n"
            + "`Sources/GatewayProviders/ProviderTable.swift`.\n"
    }

    private static let introduction = """
        # Configuration

        Made from the tables in `Sources/GatewayConfiguration/Schema` by the tests; do not edit.

        Martlet reads LiteLLM's `config.yaml` and a section of its own, `martlet:`. Each key is one of

        - **supported**: applied as described;
        - **no effect**: accepted with a warning, because ignoring it does no harm; the reason is given;
        - **not supported**: an error that says what to do, because ignoring it would change behaviour silently. A value
          that is off (`false`, `null`, empty) is accepted;
        - anything else: an error that names the nearest known key.

        `os.environ/NAME` as a whole value and `${NAME}` inside one stand for environment variables (`$${` for the
        characters `${`). A variable that is not set is an error. Files are at most 4 MiB, values nest at
        most 40 levels.
        `*` in a name below stands for any text.

        """

    private static func table(of keys: [Key]) -> String {
        var text = "| key | value | treatment |\n|---|---|---|\n"
        for key in keys {
            text += "| `\(self.cell(key.name))` | \(key.kind.text) | \(self.cell(key.treatment.text)) |\n"
        }
        return text
    }

    private static func cell(_ text: String) -> String { text.replacing("|", with: "\\|") }
}

extension ConfigurationSchema.Treatment {
    /// For the documentation.
    var text: String {
        switch self {
        case .supported(let summary): summary
        case .withoutEffect(let why): "**no effect**: \(why)"
        case .unsupported(let mend): "**not supported**: \(mend)"
        }
    }
}

extension ConfigurationSchema.Kind {
    /// For the documentation.
    var text: String {
        switch self {
        case .any: ""
        case .text: "text"
        case .secret: "text, secret"
        case .boolean: "true or false"
        case .mapping: "mapping"
        case .list: "list"
        case .texts: "list of texts"
        case .textOrList: "text or list"
        case .booleanOrText: "true, false or text"
        case .integer(let range): "\(range.lowerBound) to \(range.upperBound)"
        case .number(let range): "\(range.lowerBound.formatted) to \(range.upperBound.formatted)"
        case .seconds: "seconds"
        case .choice(let choices): choices.joined(separator: ", ")
        case .price: "number"
        }
    }
}
