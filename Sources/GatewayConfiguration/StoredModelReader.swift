import GatewayControlPlane

/// What the rows of the store gave, beside the configuration.
package struct StoredReport: Sendable, Equatable {
    /// Rows that are left out, with why; the rest is in force.
    package var rejected: [StoredFault] = []
    /// What is worth a word about rows that are in force.
    package var warnings: [StoredFault] = []

    package init() {}
}

/// Reads models and credentials of the store through the same checks and readers as the file's. A row with an error is
/// left out alone: neither the file nor another row can be at fault for it.
struct StoredModelReader {
    /// What stands before `litellm_params` in messages.
    static let keyPath = "model"
    /// Variables that stored models name are those of the process and of the file.
    let environment: [String: String]
    /// Names that the file gives to aliases.
    let aliases: Set<String>
    private(set) var report = StoredReport()

    init(root: ConfigurationNode, environment: [String: String]) {
        self.environment = environment
        self.aliases = Set((root["router_settings"]?["model_group_alias"]?.mapping ?? []).map(\.key))
    }

    /// Whether models of the store are served. LiteLLM's rule: the variable or the setting turns it on. Our variable
    /// wins over both.
    static func isOn(root: ConfigurationNode, environment: [String: String]) -> Bool {
        let isInFile = root["general_settings"]?["store_model_in_db"]?.scalar?.boolean ?? false
        guard let (name, value) = VariableLookup(environment: environment).value("STORE_MODEL_IN_DB") else {
            return isInFile
        }
        let isInVariable = ConfigurationScalar(text: value, isPlain: false).boolean ?? (value == "1")
        return name == "STORE_MODEL_IN_DB" ? isInVariable || isInFile : isInVariable
    }

    // MARK: Credentials

    /// Adds them to `table`. A name of the file's wins.
    mutating func add(_ credentials: [OpenedCredential], to table: inout CredentialTable) {
        for credential in credentials {
            let row = StoredRow.credential(credential.name)
            guard !table.has(credential.name) else {
                self.report.rejected.append(
                    StoredFault(row: row, message: "an entry of credential_list has the same name, and it wins"))
                continue
            }
            var diagnostics = DiagnosticCollector()
            let position = SourcePosition(file: "stored credential")
            let node = self.expanded(
                credential.values.node(at: position, isSecret: { _ in true }), keyPath: "credential_values",
                into: &diagnostics)
            SchemaCheck.check(
                node, section: .modelParameters, keyPath: "credential_values", into: &diagnostics)
            if self.note(diagnostics, row) { table.add(credential.name, values: node.mapping ?? []) }
        }
    }

    // MARK: Models

    mutating func read(_ models: [OpenedModel], into reader: inout DeploymentReader) {
        for model in models {
            var diagnostics = DiagnosticCollector()
            let entry = self.entry(model, into: &diagnostics)
            if self.aliases.contains(model.modelName) {
                diagnostics.error(
                    entry.position, Self.keyPath, "model_name is an alias in router_settings.model_group_alias",
                    mend: "rename one of them")
            }
            SchemaCheck.checkModel(entry, keyPath: Self.keyPath, into: &diagnostics)
            if !diagnostics.hasErrors {
                reader.readStored(entry, identifier: model.modelID, into: &diagnostics)
            }
            _ = self.note(diagnostics, .model(model.modelID))
        }
    }

    /// The row as an entry of `model_list`.
    private func entry(_ model: OpenedModel, into diagnostics: inout DiagnosticCollector) -> ConfigurationNode {
        let position = SourcePosition(file: "stored model")
        let name = JSONValue.string(model.modelName).node(at: position, isSecret: { _ in false })
        let parameters = model.parameters.node(at: position, isSecret: { !Self.shownKeys.contains($0) })
        var info: [JSONMember] = []
        if case .object(let members) = model.info { info = members.filter { $0.name != "id" } }
        info.append(JSONMember("id", .string(model.modelID)))
        let infoNode = JSONValue.object(info).node(at: position, isSecret: { _ in false })
        func member(_ key: String, _ value: ConfigurationNode) -> ConfigurationEntry {
            ConfigurationEntry(key: key, keyPosition: position, value: value)
        }
        let path = "\(Self.keyPath).litellm_params"
        return ConfigurationNode(
            content: .mapping([
                member("model_name", name),
                member("litellm_params", self.expanded(parameters, keyPath: path, into: &diagnostics)),
                member("model_info", infoNode),
            ]), position: position)
    }

    /// Keys of `litellm_params` whose text messages may repeat.
    private static let shownKeys: Set<String> = ["model", "custom_llm_provider", "litellm_credential_name"]

    private func expanded(
        _ node: ConfigurationNode, keyPath: String, into diagnostics: inout DiagnosticCollector
    ) -> ConfigurationNode {
        EnvironmentExpansion(environment: self.environment, isStored: true)
            .expand(node, keyPath: keyPath, into: &diagnostics)
    }

    /// - Returns: whether the row is without errors.
    private mutating func note(_ diagnostics: DiagnosticCollector, _ row: StoredRow) -> Bool {
        let found = diagnostics.sorted(files: [])
        func faults(_ severity: Diagnostic.Severity) -> [StoredFault] {
            found.filter { $0.severity == severity }.map { diagnostic in
                StoredFault(
                    row: row,
                    message: printable(
                        diagnostic.mend.map { "\(diagnostic.message); \($0)" } ?? diagnostic.message))
            }
        }
        self.report.rejected += faults(.error)
        if !diagnostics.hasErrors { self.report.warnings += faults(.warning) }
        return !diagnostics.hasErrors
    }
}

extension JSONValue {
    /// The value as a file would hold it.
    /// - Parameter isSecret: whether messages must not repeat what stands under a key of the outermost object.
    func node(at position: SourcePosition, isSecret: (String) -> Bool) -> ConfigurationNode {
        guard case .object(let members) = self else { return self.node(at: position, isSecret: false) }
        return Self.mapping(members, at: position) { $0.value.node(at: position, isSecret: isSecret($0.name)) }
    }

    private func node(at position: SourcePosition, isSecret: Bool) -> ConfigurationNode {
        func scalar(_ text: String, isPlain: Bool) -> ConfigurationNode {
            let scalar = ConfigurationScalar(text: text, isPlain: isPlain, isFromEnvironment: isSecret && !isPlain)
            return ConfigurationNode(content: .scalar(scalar), position: position)
        }
        switch self {
        case .null: return scalar("null", isPlain: true)
        case .bool(let value): return scalar(value ? "true" : "false", isPlain: true)
        case .number(let digits): return scalar(digits, isPlain: true)
        case .string(let text): return scalar(text, isPlain: false)
        case .array(let values):
            return ConfigurationNode(
                content: .sequence(values.map { $0.node(at: position, isSecret: isSecret) }), position: position)
        case .object(let members):
            return Self.mapping(members, at: position) { $0.value.node(at: position, isSecret: isSecret) }
        }
    }

    private static func mapping(
        _ members: [JSONMember], at position: SourcePosition, _ node: (JSONMember) -> ConfigurationNode
    ) -> ConfigurationNode {
        ConfigurationNode(
            content: .mapping(
                members.map { ConfigurationEntry(key: $0.name, keyPosition: position, value: node($0)) }),
            position: position)
    }
}
