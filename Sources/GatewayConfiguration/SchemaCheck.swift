/// Compares a file's tree with the schema: unknown, unsupported and useless keys, and values of the wrong kind.
struct SchemaCheck {
    typealias Section = ConfigurationSchema.Section
    typealias Kind = ConfigurationSchema.Kind

    static func check(_ root: ConfigurationNode, into diagnostics: inout DiagnosticCollector) {
        self.check(root, section: .top, keyPath: "", into: &diagnostics)
        for section in [Section.litellmSettings, .routerSettings, .generalSettings, .martlet] {
            guard let node = root[section.rawValue] else { continue }
            self.check(node, section: section, keyPath: section.rawValue, into: &diagnostics)
        }
        for (index, entry) in (root["model_list"]?.sequence ?? []).enumerated() {
            self.checkModel(entry, keyPath: "model_list[\(index)]", into: &diagnostics)
        }
        for (index, entry) in (root["credential_list"]?.sequence ?? []).enumerated() {
            let path = "credential_list[\(index)]"
            self.check(entry, section: .credential, keyPath: path, into: &diagnostics)
            if let node = entry["credential_values"] {
                self.check(
                    node, section: .modelParameters, keyPath: "\(path).credential_values", into: &diagnostics)
            }
        }
    }

    /// Checks an entry of `model_list`, or a stored one.
    static func checkModel(
        _ entry: ConfigurationNode, keyPath: String, into diagnostics: inout DiagnosticCollector
    ) {
        self.check(entry, section: .modelEntry, keyPath: keyPath, into: &diagnostics)
        if let node = entry["litellm_params"] {
            self.check(node, section: .modelParameters, keyPath: "\(keyPath).litellm_params", into: &diagnostics)
        }
        if let node = entry["model_info"] {
            self.check(node, section: .modelInfo, keyPath: "\(keyPath).model_info", into: &diagnostics)
        }
    }

    static func check(
        _ node: ConfigurationNode, section: Section, keyPath: String,
        into diagnostics: inout DiagnosticCollector
    ) {
        guard let entries = node.mapping else {
            // Elsewhere the kind of the section's own key says so.
            guard section == .modelEntry || section == .credential else { return }
            diagnostics.error(
                node.position, keyPath, "\(section.title) is \(node.kindName)",
                mend: "write it as a mapping, `key: value` lines indented below it")
            return
        }
        for entry in entries {
            let path = KeyPathText.appending(entry.key, to: keyPath)
            guard let key = ConfigurationSchema.key(entry.key, in: section) else {
                self.reportUnknown(entry, section: section, keyPath: path, into: &diagnostics)
                continue
            }
            if entry.value.isNull { continue }
            switch key.treatment {
            case .supported:
                self.check(entry.value, is: key.kind, name: entry.key, keyPath: path, into: &diagnostics)
            case .withoutEffect(let why):
                if entry.value.isOff { continue }
                diagnostics.warning(
                    entry.keyPosition, path, "\(self.name(of: entry)) \(section.place) has no effect",
                    mend: why)
            case .unsupported(let mend):
                if entry.value.isOff || self.isHarmless(entry, in: node) { continue }
                diagnostics.error(
                    entry.keyPosition, path, "\(self.name(of: entry)) \(section.place) is not supported",
                    mend: mend)
            }
        }
    }

    /// Values of unsupported keys that ask for nothing we do not do anyway.
    private static func isHarmless(_ entry: ConfigurationEntry, in section: ConfigurationNode) -> Bool {
        if entry.key == "cache", let types = section["cache_params"]?["supported_call_types"]?.sequence {
            // How LiteLLM's users switch Redis on for all but answers.
            return types.isEmpty
        }
        guard entry.key.contains("callback") else { return false }
        let names = entry.value.sequence?.map { $0.scalar?.text } ?? [entry.value.scalar?.text]
        return names.allSatisfy { $0 == "prometheus" }
    }

    private static func reportUnknown(
        _ entry: ConfigurationEntry, section: Section, keyPath: String,
        into diagnostics: inout DiagnosticCollector
    ) {
        let names = ConfigurationSchema.keys(of: section).map(\.name).filter { !$0.contains("*") }
        let near = diagnostics.isFull ? nil : NearMatch.find(entry.key, among: names)
        // LiteLLM's users keep blocks for YAML anchors under such names, as in Compose files.
        if section == .top, entry.key.hasPrefix("x-") { return }
        let message = "unknown key \(self.name(of: entry)) \(section.place)"
        if let near {
            diagnostics.error(entry.keyPosition, keyPath, message, mend: "did you mean \"\(near)\"?")
        } else if section == .modelInfo {
            // LiteLLM lets people put descriptions of their own there.
            diagnostics.warning(
                entry.keyPosition, keyPath, message, mend: "it is taken for a description")
        } else if let other = self.homes.first(where: { self.isSupported(entry.key, in: $0) }),
            other != section
        {
            diagnostics.error(
                entry.keyPosition, keyPath, message, mend: "it belongs under \(other.title)")
        } else {
            let anchors = section == .top ? "for a block of anchors, start its name with x-; " : ""
            diagnostics.error(
                entry.keyPosition, keyPath, message,
                mend: "remove it; \(anchors)docs/configuration.md lists all keys")
        }
    }

    private static func name(of entry: ConfigurationEntry) -> String {
        KeyPathText.isHarmless(entry.key) ? "\"\(entry.key)\"" : "(not repeated here)"
    }

    /// Where a misplaced key is looked for, in this order.
    private static let homes: [Section] = [
        .routerSettings, .litellmSettings, .generalSettings, .martlet, .modelParameters, .modelInfo,
        .modelEntry, .top,
    ]

    private static func isSupported(_ name: String, in section: Section) -> Bool {
        guard let key = ConfigurationSchema.key(name, in: section), !key.name.contains("*") else {
            return false
        }
        if case .supported = key.treatment { return true }
        return false
    }

    /// Reports a value that is not of its kind.
    private static func check(
        _ node: ConfigurationNode, is kind: Kind, name: String, keyPath: String,
        into diagnostics: inout DiagnosticCollector
    ) {
        guard let fault = self.fault(of: node, kind: kind) else { return }
        diagnostics.error(
            node.position, keyPath,
            "\"\(name)\" is \(node.kindName)\(fault.isRange ? " out of range" : "")",
            mend: "it must be \(fault.expected)")
    }

    private static func fault(
        of node: ConfigurationNode, kind: Kind
    ) -> (expected: String, isRange: Bool)? {
        func unless(_ isRight: Bool, _ expected: String) -> (String, Bool)? {
            isRight ? nil : (expected, false)
        }
        let scalar = node.scalar
        switch kind {
        case .any, .price: return nil
        case .text, .secret:
            return unless(scalar.map { !$0.text.isEmpty } ?? false, "text that is not empty")
        case .boolean: return unless(scalar?.boolean != nil, "true or false")
        case .booleanOrText:
            return unless(scalar.map { !$0.text.isEmpty } ?? false, "true, false or a path")
        case .mapping:
            return unless(node.mapping != nil, "a mapping, `key: value` lines indented below it")
        case .list: return unless(node.sequence != nil, "a list, lines that start with `- `")
        case .texts:
            let isRight =
                node.sequence?.allSatisfy { $0.scalar.map { !$0.text.isEmpty } ?? false } ?? false
            return unless(isRight, "a list of texts")
        case .textOrList: return unless(node.mapping == nil, "text or a list of texts")
        case .integer(let range):
            let expected = "a whole number, \(range.lowerBound) to \(range.upperBound)"
            guard let value = scalar?.integer else { return (expected, false) }
            return range.contains(value) ? nil : (expected, true)
        case .number(let range):
            let expected = "a number, \(range.lowerBound.formatted) to \(range.upperBound.formatted)"
            guard let value = scalar?.number else { return (expected, false) }
            return range.contains(value) ? nil : (expected, true)
        case .seconds:
            let expected = "seconds, more than 0 and at most 10000000"
            guard let value = scalar?.number else { return (expected, false) }
            return value >= 0.001 && value <= 1e7 ? nil : (expected, true)
        case .choice(let choices):
            let isRight = scalar.map { choices.contains($0.text.lowercased()) } ?? false
            return unless(isRight, "one of: \(choices.joined(separator: ", "))")
        }
    }
}
