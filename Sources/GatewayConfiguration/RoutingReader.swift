import GatewayControlPlane
import GatewayCore
import GatewayRouting

/// What `router_settings` and `litellm_settings` say for deployments that do not say it themselves.
struct RoutingDefaults {
    var inFlightMax: Int?
    var streamTimeout: Duration?
    var verifyTLS: ConfigurationScalar?
    var dropsUnsupported = false
    /// `rpm` and `tpm` of a deployment are limits, not only weights.
    var enforcesRates = false
    /// Reads budgets of deployments and providers.
    let governance: GovernanceReader

    init(root: ConfigurationNode, environment: [String: String]) {
        let router = root["router_settings"]
        let general = root["general_settings"]?["max_parallel_requests"]?.scalar?.integer ?? 0
        self.inFlightMax =
            router?["default_max_parallel_requests"]?.scalar?.integer ?? (general > 0 ? general : nil)
        self.dropsUnsupported = root["litellm_settings"]?["drop_params"]?.scalar?.boolean ?? false
        self.streamTimeout = router?["stream_timeout"]?.seconds
        self.governance = GovernanceReader(root: root)
        self.enforcesRates = (router?["optional_pre_call_checks"]?.sequence ?? []).contains {
            $0.scalar?.text == PreCallChecks.rates
        }
        let variable = VariableLookup(environment: environment).value("SSL_VERIFY").map {
            ConfigurationScalar(text: $0.value, isPlain: false, isFromEnvironment: true)
        }
        self.verifyTLS = root["litellm_settings"]?["ssl_verify"]?.scalar ?? variable
    }
}

/// Reads retries, fallbacks, aliases and cooldowns, and checks that they point at groups that exist.
struct RoutingReader {
    static let entriesMax = 10_000
    static let retriesDefault = 2
    static let cooldownDefault: Duration = .seconds(5)

    let root: ConfigurationNode
    let deployments: [DeploymentConfiguration]
    /// Models may be stored, so a group that is missing now is not the file's fault.
    let isOpenEnded: Bool
    /// Names of entries with errors: what points at them is not at fault.
    private let failedGroups: Set<String>
    private let groups: Set<String>
    private let wildcards: [WildcardPattern]

    init(
        root: ConfigurationNode, deployments: [DeploymentConfiguration], failedGroups: Set<String>, isOpenEnded: Bool
    ) {
        self.root = root
        self.isOpenEnded = isOpenEnded
        self.failedGroups = failedGroups
        self.deployments = deployments
        let groups = Set(deployments.map(\.modelGroup))
        self.groups = groups
        self.wildcards = groups.filter { $0.contains("*") }.map { WildcardPattern($0) }
    }

    private var router: ConfigurationNode? { self.root["router_settings"] }
    private var litellm: ConfigurationNode? { self.root["litellm_settings"] }

    func read(into diagnostics: inout DiagnosticCollector) -> RoutingConfiguration {
        let retries = (self.router?["num_retries"] ?? self.litellm?["num_retries"])?.scalar?.integer
        let aliases = self.aliases(into: &diagnostics)
        PreCallChecks.check(self.router?["optional_pre_call_checks"], into: &diagnostics)
        var routing = RoutingConfiguration(
            deployments: self.deployments, aliases: aliases,
            retriesMax: min(max(retries ?? Self.retriesDefault, 0), 10),
            fallbacks: self.fallbacks(aliases: Set(aliases.map(\.alias)), into: &diagnostics),
            cooldown: self.cooldown)
        routing.providerBudgets = ProviderBudgetReader(
            providers: Set(self.deployments.map(\.provider)), governance: GovernanceReader(root: self.root)
        ).read(self.router?["provider_budget_config"], into: &diagnostics)
        return routing
    }

    private var cooldown: Duration {
        if self.router?["disable_cooldowns"]?.scalar?.boolean == true { return .zero }
        let node = self.router?["cooldown_time"] ?? self.litellm?["cooldown_time"]
        guard let seconds = node?.scalar?.number, seconds >= 0, seconds <= 1e7 else {
            return Self.cooldownDefault
        }
        return .milliseconds(Int64((seconds * 1000).rounded()))
    }

    private func isServed(_ name: String) -> Bool {
        self.groups.isEmpty || self.groups.contains(name) || self.failedGroups.contains(name)
            || self.wildcards.contains { $0.matches(name) }
    }

    // MARK: Aliases

    private func aliases(
        into diagnostics: inout DiagnosticCollector
    ) -> [(alias: String, group: String, isHidden: Bool)] {
        var result: [(alias: String, group: String, isHidden: Bool)] = []
        for entry in (self.router?["model_group_alias"]?.mapping ?? []).prefix(Self.entriesMax) {
            let path = KeyPathText.appending(entry.key, to: "router_settings.model_group_alias")
            let target = entry.value.scalar.map { _ in entry.value } ?? entry.value["model"]
            guard let target, let group = target.scalar, !group.isNull else {
                diagnostics.error(
                    entry.value.position, path, "the alias is \(entry.value.kindName)",
                    mend: "write `alias: group` or `alias: {model: group, hidden: true}`")
                continue
            }
            for inner in entry.value.mapping ?? [] where inner.key != "model" && inner.key != "hidden" {
                diagnostics.error(
                    inner.keyPosition, path, "an alias has only `model` and `hidden`",
                    mend: "remove the other key")
            }
            if let fault = ModelName.fault(of: entry.key) {
                diagnostics.error(entry.keyPosition, path, "the alias \(fault.problem)", mend: fault.mend)
            } else if entry.key.contains("*") {
                diagnostics.error(
                    entry.keyPosition, path, "the alias holds `*`",
                    mend: "use an entry of model_list with a wildcard")
            } else if self.groups.contains(entry.key) {
                diagnostics.error(
                    entry.keyPosition, path,
                    "the alias \(ConfigurationScalar.quote(entry.key)) is also a model_name of model_list",
                    mend: "rename one of them")
            } else if !self.isServed(group.text) {
                self.reportMissing(
                    group, at: target.position, path, "the alias points at", into: &diagnostics)
            } else {
                let isHidden = entry.value["hidden"]?.scalar?.boolean ?? false
                result.append((alias: entry.key, group: group.text, isHidden: isHidden))
            }
        }
        return result
    }

    // MARK: Fallbacks

    private func fallbacks(
        aliases: Set<String>, into diagnostics: inout DiagnosticCollector
    ) -> [(group: String, targets: [String])] {
        var result: [(group: String, targets: [String])] = []
        let (name, node) = self.setting("fallbacks")
        for (index, item) in (node?.sequence ?? []).prefix(Self.entriesMax).enumerated() {
            let path = "\(name)[\(index)]"
            guard let entries = item.mapping, !entries.isEmpty else {
                diagnostics.error(
                    item.position, path, "a fallback is \(item.kindName)", mend: "write `- group: [targets]`")
                continue
            }
            for entry in entries {
                let isKnown = entry.key == "*" || aliases.contains(entry.key) || self.isServed(entry.key)
                let group = ConfigurationScalar(text: entry.key, isPlain: true)
                if !isKnown {
                    self.reportMissing(
                        group, at: entry.keyPosition, path, "the fallback is for", into: &diagnostics)
                }
                if result.contains(where: { $0.group == entry.key }) {
                    diagnostics.error(
                        entry.keyPosition, path, "the group \(group.quoted) has two lists of fallbacks",
                        mend: "join them into one")
                }
                let targets = self.targets(entry.value, of: entry.key, path, aliases, into: &diagnostics)
                if !targets.isEmpty { result.append((group: entry.key, targets: targets)) }
            }
        }
        let (defaultName, defaults) = self.setting("default_fallbacks")
        guard let defaults else { return result }
        let targets = self.targets(defaults, of: "*", defaultName, aliases, into: &diagnostics)
        // LiteLLM tries a `*` entry before the default list.
        guard !targets.isEmpty, !result.contains(where: { $0.group == "*" }) else { return result }
        return result + [(group: "*", targets: targets)]
    }

    private func setting(_ key: String) -> (name: String, node: ConfigurationNode?) {
        if let node = self.router?[key] { return ("router_settings.\(key)", node) }
        return ("litellm_settings.\(key)", self.litellm?[key])
    }

    private func targets(
        _ node: ConfigurationNode, of group: String, _ path: String, _ aliases: Set<String>,
        into diagnostics: inout DiagnosticCollector
    ) -> [String] {
        var result: [String] = []
        let nodes = node.sequence ?? [node]
        for target in nodes.prefix(Self.entriesMax) {
            guard let scalar = target.scalar, !scalar.isNull else {
                diagnostics.error(
                    target.position, path, "a target of a fallback is \(target.kindName)",
                    mend: "write the name of a group")
                continue
            }
            guard aliases.contains(scalar.text) || self.isServed(scalar.text), !scalar.text.contains("*")
            else {
                self.reportMissing(
                    scalar, at: target.position, path, "the fallback leads to", into: &diagnostics)
                continue
            }
            if scalar.text == group {
                diagnostics.warning(
                    target.position, path, "a group falls back to itself", mend: "use num_retries")
            } else if !result.contains(scalar.text) {
                result.append(scalar.text)
            }
        }
        return result
    }

    private func reportMissing(
        _ name: ConfigurationScalar, at position: SourcePosition, _ path: String, _ what: String,
        into diagnostics: inout DiagnosticCollector
    ) {
        guard !self.isOpenEnded else {
            return diagnostics.warning(
                position, path, "\(what) \(name.quoted), which there is not now, stored or in model_list",
                mend: "add it, or remove this")
        }
        let near = name.isFromEnvironment ? nil : NearMatch.find(name.text, among: self.groups.sorted())
        diagnostics.error(
            position, path, "\(what) \(name.quoted), which model_list does not have",
            mend: near.map { "did you mean \(ConfigurationScalar.quote($0))?" }
                ?? "add it to model_list, or remove this")
    }
}
