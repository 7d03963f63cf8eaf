/// Every key of LiteLLM's configuration and of our own `martlet:` section, each with what becomes of it. The one table
/// from which files are checked and `docs/configuration.md` is made; the rows stand in the extensions.
package enum ConfigurationSchema {
    /// A mapping in the file whose keys the schema knows.
    package enum Section: String, CaseIterable, Sendable {
        case top = ""
        case modelEntry = "model_list[]"
        case modelParameters = "model_list[].litellm_params"
        case modelInfo = "model_list[].model_info"
        case credential = "credential_list[]"
        case litellmSettings = "litellm_settings"
        case routerSettings = "router_settings"
        case generalSettings = "general_settings"
        case martlet = "martlet"

        /// Where a key is, for messages.
        var place: String { self == .top ? "at the top level" : "in \(self.title)" }

        /// Name for messages.
        var title: String {
            switch self {
            case .top: "the top level"
            case .modelEntry: "model_list"
            case .modelParameters: "litellm_params"
            case .modelInfo: "model_info"
            case .credential: "credential_list"
            case .litellmSettings, .routerSettings, .generalSettings, .martlet: self.rawValue
            }
        }
    }

    /// What a value must be.
    package enum Kind: Sendable, Hashable {
        case any, text, secret, boolean, mapping, list, texts
        case integer(ClosedRange<Int>)
        /// A number within the range.
        case number(ClosedRange<Double>)
        /// More than 0, at most 10 million.
        case seconds
        case choice([String])
        /// A price in US dollars per unit.
        case price
        /// Text, or a list of texts or mappings.
        case textOrList
        case booleanOrText
    }

    /// What becomes of a key.
    package enum Treatment: Sendable, Hashable {
        case supported(String)
        /// Harmless to ignore; the text says why. A warning.
        case withoutEffect(String)
        /// Ignoring it would change behaviour silently; the text says what to do. An error unless the value is "off".
        case unsupported(String)
    }

    package struct Key: Sendable, Hashable {
        /// May start or end with `*`.
        package var name: String
        package var kind: Kind
        package var treatment: Treatment

        func matches(_ text: String) -> Bool {
            if self.name.hasPrefix("*"), self.name.hasSuffix("*") {
                return text.contains(self.name.dropFirst().dropLast())
            }
            if self.name.hasSuffix("*") { return text.hasPrefix(self.name.dropLast()) }
            if self.name.hasPrefix("*") { return text.hasSuffix(self.name.dropFirst()) }
            return self.name == text
        }
    }

    /// One row of the table for several keys that are treated alike; `names` are separated by spaces.
    static func rows(_ names: String, _ kind: Kind = .any, _ treatment: Treatment) -> [Key] {
        names.split { $0 == " " || $0 == "\n" }.map {
            Key(name: String($0), kind: kind, treatment: treatment)
        }
    }

    /// One array of several; long sums of arrays are slow to compile.
    static func join<Element>(_ parts: [Element]...) -> [Element] { parts.flatMap { $0 } }

    package static func keys(of section: Section) -> [Key] {
        switch section {
        case .top: self.topKeys
        case .modelEntry: self.modelEntryKeys
        case .modelParameters: self.modelParameterKeys
        case .modelInfo: self.modelInfoKeys
        case .credential: self.credentialKeys
        case .litellmSettings: self.litellmSettingsKeys
        case .routerSettings: self.routerSettingsKeys
        case .generalSettings: self.generalSettingsKeys
        case .martlet: self.martletKeys
        }
    }

    /// Exact names win over patterns. `nil`: unknown.
    package static func key(_ name: String, in section: Section) -> Key? {
        if let exact = self.exactKeys[section]?[name] { return exact }
        return self.patternKeys[section]?.first { $0.matches(name) }
    }

    private static let exactKeys: [Section: [String: Key]] = Dictionary(
        uniqueKeysWithValues: Section.allCases.map { section in
            let plain = Self.keys(of: section).filter { !$0.name.contains("*") }
            return (section, Dictionary(plain.map { ($0.name, $0) }) { first, _ in first })
        })

    private static let patternKeys: [Section: [Key]] = Dictionary(
        uniqueKeysWithValues: Section.allCases.map { section in
            (section, Self.keys(of: section).filter { $0.name.contains("*") })
        })
}
