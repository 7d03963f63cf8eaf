import GatewayPricing
import GatewayProviders
import GatewayRouting

/// Reads `model_list` and stored models: each entry becomes a deployment, its price and its description.
struct DeploymentReader {
    static let deploymentsMax = 10_000

    let defaults: RoutingDefaults
    let credentials: CredentialTable
    let environment: [String: String]
    private(set) var deployments: [DeploymentConfiguration] = []
    private(set) var prices: [String: DeploymentPrice] = [:]
    private(set) var modelInfo: [String: ModelInfo] = [:]
    private(set) var providers: [String: Provider] = [:]
    /// `model_name` of entries that gave no deployment because of an error.
    private(set) var failedGroups: Set<String> = []
    /// Entries as read, until weights are settled per group.
    private var weights: [EntryWeights] = []
    private var identifiers = DeploymentIdentifiers()
    /// Models may be stored, so `model_list` may lack them all.
    private var isOpenEnded: Bool { self.credentials.isOpenEnded }

    init(defaults: RoutingDefaults, credentials: CredentialTable, environment: [String: String]) {
        self.defaults = defaults
        self.credentials = credentials
        self.environment = environment
    }

    mutating func read(_ root: ConfigurationNode, into diagnostics: inout DiagnosticCollector) {
        let entries = root["model_list"]?.sequence ?? []
        guard !entries.isEmpty else {
            if self.isOpenEnded { return }
            if root["model_list"] == nil || root["model_list"]?.sequence != nil {
                diagnostics.error(
                    root["model_list"]?.position ?? root.position, "model_list",
                    "model_list is missing or empty",
                    mend: "add a deployment, or start without a configuration for the demo model")
            }
            return
        }
        guard entries.count <= Self.deploymentsMax else {
            diagnostics.error(
                entries[Self.deploymentsMax].position, "model_list",
                "model_list holds more than \(Self.deploymentsMax) entries", mend: "use wildcards")
            return
        }
        for (index, entry) in entries.enumerated() {
            self.read(entry, keyPath: "model_list[\(index)]", isStored: false, into: &diagnostics)
        }
        if self.deployments.isEmpty, !self.isOpenEnded, !diagnostics.hasErrors {
            diagnostics.error(
                entries[0].position, "model_list", "every entry of model_list is blocked",
                mend: "unblock one")
        }
    }

    /// Takes identifiers that deployments from elsewhere have.
    mutating func reserve(_ identifiers: [String]) {
        for identifier in identifiers { self.identifiers.reserve(identifier, at: .environment) }
    }

    /// Reads a stored model as an entry of `model_list`. With an error nothing of it stays.
    /// - Parameters:
    ///   - identifier: what the entry's `model_info.id` says.
    ///   - diagnostics: of this entry alone.
    mutating func readStored(
        _ entry: ConfigurationNode, identifier: String, into diagnostics: inout DiagnosticCollector
    ) {
        let keyPath = StoredModelReader.keyPath
        guard self.deployments.count < Self.deploymentsMax else {
            return diagnostics.error(
                entry.position, keyPath, "there are more than \(Self.deploymentsMax) deployments",
                mend: "use wildcards"
            )
        }
        guard !self.identifiers.isUsed(identifier) else {
            return diagnostics.error(
                entry.position, keyPath, "another deployment has the same model_info.id",
                mend: "store the model under another, or change the one in the configuration file")
        }
        let count = self.deployments.count
        self.read(entry, keyPath: keyPath, isStored: true, into: &diagnostics)
        guard diagnostics.hasErrors else { return }
        self.identifiers.release(identifier)
        guard self.deployments.count > count else { return }
        self.deployments.removeLast()
        self.weights.removeLast()
        self.prices[identifier] = nil
        self.providers[identifier] = nil
        self.modelInfo[identifier] = nil
    }

    private mutating func read(
        _ entry: ConfigurationNode, keyPath: String, isStored: Bool, into diagnostics: inout DiagnosticCollector
    ) {
        guard entry.mapping != nil else { return }
        let group = self.modelName(of: entry, keyPath: keyPath, into: &diagnostics)
        let path = "\(keyPath).litellm_params"
        guard let given = entry["litellm_params"], given.mapping != nil else {
            if let group { self.failedGroups.insert(group) }
            if entry["litellm_params"] == nil {
                diagnostics.error(
                    entry.position, path, "the entry has no litellm_params",
                    mend: "add it with at least `model`")
            }
            return
        }
        if self.isOpenEnded, !isStored, let missing = self.credentials.missing(in: given) {
            // The store, not the file, decides about it, so it must not be able to take the file out of force.
            if let group { self.failedGroups.insert(group) }
            return diagnostics.warning(
                missing.node.position, "\(path).litellm_credential_name",
                "no credential is called \(missing.name.quoted), stored or in credential_list; the entry is left out",
                mend: "store it by POST /credentials")
        }
        let parameters = self.credentials.apply(to: given, keyPath: path, into: &diagnostics)
        let reader = ParameterReader(
            parameters: parameters, keyPath: path, defaults: self.defaults, environment: self.environment)
        let target = reader.target(group: group, into: &diagnostics)
        let override = self.priceOverride(entry, parameters, keyPath: path, into: &diagnostics)
        let identifier = self.identifiers.identifier(
            of: entry, group: group ?? "", parameters: parameters, keyPath: keyPath, into: &diagnostics)
        guard let group, let target, let identifier else {
            if let group { self.failedGroups.insert(group) }
            return
        }
        guard entry["model_info"]?["blocked"]?.scalar?.boolean != true else { return }
        self.deployments.append(
            reader.deployment(group: group, target: target, identifier: identifier, into: &diagnostics))
        self.weights.append(EntryWeights(parameters, position: entry.position, keyPath: path))
        let info = entry["model_info"]
        self.providers[identifier] = target.definition
        self.prices[identifier] = DeploymentPrice(
            provider: target.provider, model: info?["base_model"]?.scalar?.text ?? target.model,
            override: override)
        self.modelInfo[identifier] = ModelInfo(
            mode: info?["mode"]?.scalar?.text, inputTokensMax: info?["max_input_tokens"]?.scalar?.integer,
            outputTokensMax: info?["max_output_tokens"]?.scalar?.integer,
            accessGroups: (info?["access_groups"]?.sequence ?? []).compactMap { $0.scalar?.text })
    }

    private func modelName(
        of entry: ConfigurationNode, keyPath: String, into diagnostics: inout DiagnosticCollector
    ) -> String? {
        guard let node = entry["model_name"], let scalar = node.scalar else {
            if entry["model_name"] == nil {
                diagnostics.error(
                    entry.position, "\(keyPath).model_name", "the entry has no model_name",
                    mend: "add the name that callers use")
            }
            return nil
        }
        let fault = ModelName.fault(of: scalar.text)
        if let fault {
            diagnostics.error(
                node.position, "\(keyPath).model_name", "model_name \(fault.problem)", mend: fault.mend)
        }
        return fault == nil ? scalar.text : nil
    }

    private func priceOverride(
        _ entry: ConfigurationNode, _ parameters: ConfigurationNode, keyPath: String,
        into diagnostics: inout DiagnosticCollector
    ) -> PriceOverride? {
        // Of one key in both places that of litellm_params wins, as the later one.
        let info = entry["model_info"]?.mapping ?? []
        let entries = (info + (parameters.mapping ?? [])).filter {
            PriceOverride.isPriceKey($0.key) && !$0.value.isNull
        }
        guard !entries.isEmpty else { return nil }
        do throws(PriceOverrideError) {
            return try PriceOverride(entries: entries.map { ($0.key, Self.priceValue($0.value)) })
        } catch {
            let key = error.key.prefix { $0 != "[" && $0 != "." }
            let culprit = entries.last { $0.key == key } ?? entries[0]
            let name = KeyPathText.appending(error.key, to: keyPath)
            diagnostics.error(culprit.value.position, name, "\(error.key): \(error.reason)", mend: nil)
            return nil
        }
    }

    private static func priceValue(_ node: ConfigurationNode) -> PriceValue {
        switch node.content {
        case .scalar(let scalar): .text(scalar.text)
        case .sequence(let nodes): .list(nodes.map { self.priceValue($0) })
        case .mapping(let entries): .mapping(entries.map { ($0.key, self.priceValue($0.value)) })
        }
    }

    /// Comes after all entries. LiteLLM picks by `weight` if an entry of the group has one, else by `rpm`, else by
    /// `tpm`, else evenly.
    mutating func settleWeights(into diagnostics: inout DiagnosticCollector) {
        let groups = Dictionary(grouping: self.deployments.indices) { self.deployments[$0].modelGroup }
        for indices in groups.values where indices.count > 1 {
            let metric = EntryWeights.metrics.first { metric in
                indices.contains { self.weights[$0][metric] != nil }
            }
            guard let metric else { continue }
            let least = indices.compactMap { self.weights[$0][metric] }.min() ?? 1
            for index in indices.sorted() {
                self.deployments[index].weight = self.weights[index][metric] ?? least
                guard self.weights[index][metric] == nil else { continue }
                diagnostics.warning(
                    self.weights[index].position, self.weights[index].keyPath,
                    "the entry has no \(metric), but others of its group have; it gets the smallest of theirs",
                    mend: "give every entry of the group a weight")
            }
        }
    }
}

/// What an entry says about its share of its group's calls.
private struct EntryWeights {
    static let metrics = ["weight", "rpm", "tpm"]

    let position: SourcePosition
    let keyPath: String
    private let values: [String: Double]

    init(_ parameters: ConfigurationNode, position: SourcePosition, keyPath: String) {
        self.position = position
        self.keyPath = keyPath
        var values: [String: Double] = [:]
        for metric in Self.metrics {
            if let value = parameters[metric]?.scalar?.number, value > 0 { values[metric] = value }
        }
        self.values = values
    }

    subscript(metric: String) -> Double? { self.values[metric] }
}
