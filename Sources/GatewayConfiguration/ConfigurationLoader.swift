import GatewayControlPlane
import GatewayRouting

/// What loading gave. `settings` is `nil` exactly when a diagnostic is an error.
package struct LoadResult: Sendable {
    package var settings: Settings?
    /// By place, errors and warnings mixed; at most about 400.
    package var diagnostics: [Diagnostic]
    /// Files that were read or should have been: the configuration and what it includes.
    package var files: [String]
    /// What became of the rows of the store, if they were given and `store_model_in_db` is on. Their errors are none
    /// of the configuration's.
    package var stored = StoredReport()

    package init(settings: Settings?, diagnostics: [Diagnostic], files: [String]) {
        self.settings = settings
        self.diagnostics = diagnostics
        self.files = files
    }

    package var hasErrors: Bool { self.diagnostics.contains { $0.severity == .error } }
}

/// Turns a configuration file, the environment and flags into `Settings`. Pure but for `reader`; thread-safe.
///
///     files -> tree (YAMLSource, include) -> variables expanded -> schema check -> readers -> cross checks -> Settings
package struct ConfigurationLoader: Sendable {
    private let reader: any ConfigurationReader

    package init(reader: any ConfigurationReader = SystemConfigurationReader()) {
        self.reader = reader
    }

    /// - Parameters:
    ///   - file: path of the configuration. `nil`: configured from `environment` alone.
    ///   - environment: all variables of the process.
    package func load(
        file: String?, environment: [String: String], overrides: CommandLineOverrides
    ) -> LoadResult {
        self.load(file: file, environment: environment, overrides: overrides, stored: nil)
    }

    /// The same with the rows of the store beside the file's models.
    /// - Parameter stored: `nil`: not read yet. They count only while `store_model_in_db` is on.
    package func load(
        file: String?, environment: [String: String], overrides: CommandLineOverrides, stored: OpenedModels?
    ) -> LoadResult {
        var report = StoredReport()
        var diagnostics = DiagnosticCollector()
        var tree = ConfigurationTree(reader: self.reader)
        var settings: Settings?
        if let file {
            if let root = tree.load(file, into: &diagnostics) {
                settings = Self.settings(
                    of: root, environment: environment, overrides: overrides, stored: stored, report: &report,
                    into: &diagnostics)
            }
        } else {
            settings = Self.settings(
                environment: environment, overrides: overrides, stored: stored, report: &report, into: &diagnostics)
        }
        var result = LoadResult(
            settings: diagnostics.hasErrors ? nil : settings,
            diagnostics: diagnostics.sorted(files: tree.files),
            files: tree.files)
        result.stored = report
        return result
    }

    private static func settings(
        of root: ConfigurationNode, environment: [String: String], overrides: CommandLineOverrides,
        stored: OpenedModels?, report: inout StoredReport, into diagnostics: inout DiagnosticCollector
    ) -> Settings {
        let variables = self.environment(environment, with: root, into: &diagnostics)
        EnvironmentCheck.check(variables, into: &diagnostics)
        let expansion = EnvironmentExpansion(environment: variables)
        let expanded = self.expand(root, with: expansion, into: &diagnostics)
        SchemaCheck.check(expanded, into: &diagnostics)
        let isOpenEnded = StoredModelReader.isOn(root: expanded, environment: variables)
        var credentials = CredentialTable(expanded, isOpenEnded: isOpenEnded, into: &diagnostics)
        var rows = StoredModelReader(root: expanded, environment: variables)
        let stored = isOpenEnded ? stored : nil
        if let stored { rows.add(stored.credentials, to: &credentials) }
        var models = DeploymentReader(
            defaults: RoutingDefaults(root: expanded, environment: variables), credentials: credentials,
            environment: variables)
        models.read(expanded, into: &diagnostics)
        if let stored { rows.read(stored.models, into: &models) }
        models.settleWeights(into: &diagnostics)
        report = rows.report
        let routing = RoutingReader(
            root: expanded, deployments: models.deployments, failedGroups: models.failedGroups,
            isOpenEnded: isOpenEnded
        ).read(into: &diagnostics)
        var settings = Settings(routing: routing)
        settings.prices = models.prices
        settings.providers = models.providers
        settings.modelInfo = models.modelInfo
        for (deployment, provider) in EnvironmentModels(environment: variables).passThrough() {
            settings.passThrough.append(deployment)
            settings.providers[deployment.deploymentID] = provider
        }
        SettingsReader(root: expanded, environment: variables, overrides: overrides)
            .apply(to: &settings, into: &diagnostics)
        return settings
    }

    private static func settings(
        environment: [String: String], overrides: CommandLineOverrides, stored: OpenedModels?,
        report: inout StoredReport, into diagnostics: inout DiagnosticCollector
    ) -> Settings {
        EnvironmentCheck.check(environment, into: &diagnostics)
        let empty = ConfigurationNode(content: .mapping([]), position: .environment)
        let models = EnvironmentModels(environment: environment)
        var settings = models.settings(into: &diagnostics)
        settings.passThrough = models.passThrough().map(\.deployment)
        SettingsReader(root: empty, environment: environment, overrides: overrides)
            .apply(to: &settings, into: &diagnostics)
        if settings.storesModels, let stored {
            var rows = StoredModelReader(root: empty, environment: environment)
            var credentials = CredentialTable(empty, isOpenEnded: true, into: &diagnostics)
            rows.add(stored.credentials, to: &credentials)
            var models = DeploymentReader(
                defaults: RoutingDefaults(root: empty, environment: environment), credentials: credentials,
                environment: environment)
            models.reserve(settings.routing.deployments.map(\.deploymentID))
            rows.read(stored.models, into: &models)
            models.settleWeights(into: &diagnostics)
            report = rows.report
            settings.add(models)
        }
        return settings
    }

    /// The process's variables with those of `environment_variables`, which may refer to the former.
    private static func environment(
        _ environment: [String: String], with root: ConfigurationNode,
        into diagnostics: inout DiagnosticCollector
    ) -> [String: String] {
        guard let section = root["environment_variables"], let entries = section.mapping else {
            return environment
        }
        let expansion = EnvironmentExpansion(environment: environment)
        var result = environment
        for entry in entries where !entry.value.isNull {
            let path = KeyPathText.appending(entry.key, to: "environment_variables")
            guard EnvironmentExpansion.isName(entry.key) else {
                diagnostics.error(
                    entry.keyPosition, path, "a key of environment_variables is not the name of a variable",
                    mend: "use letters, digits and underscores")
                continue
            }
            let value = expansion.expand(entry.value, keyPath: path, into: &diagnostics)
            guard let scalar = value.scalar else {
                diagnostics.error(
                    entry.value.position, path, "the variable \(entry.key) is \(value.kindName)",
                    mend: "write text")
                continue
            }
            result[entry.key] = scalar.text
        }
        return result
    }

    /// Everything but `environment_variables`, which are expanded already, and `include`, which is followed already.
    private static func expand(
        _ root: ConfigurationNode, with expansion: EnvironmentExpansion,
        into diagnostics: inout DiagnosticCollector
    ) -> ConfigurationNode {
        var result = root
        result.content = .mapping(
            (root.mapping ?? []).map { entry in
                if entry.key == "environment_variables" || entry.key == "include" { return entry }
                var expanded = entry
                let path = KeyPathText.appending(entry.key, to: "")
                expanded.value = expansion.expand(entry.value, keyPath: path, into: &diagnostics)
                return expanded
            })
        return result
    }
}

extension Settings {
    /// Adds deployments of the store. The demo model, which stands in while there is nothing else, goes.
    fileprivate mutating func add(_ models: DeploymentReader) {
        let demo = EnvironmentModels.demo.deploymentID
        if !models.deployments.isEmpty, self.routing.deployments.map(\.deploymentID) == [demo] {
            self.routing.deployments = []
            self.prices[demo] = nil
            self.modelInfo[demo] = nil
        }
        self.routing.deployments += models.deployments
        self.prices.merge(models.prices) { former, _ in former }
        self.providers.merge(models.providers) { former, _ in former }
        self.modelInfo.merge(models.modelInfo) { former, _ in former }
    }
}

/// Reports variables of LiteLLM that are set but not followed.
enum EnvironmentCheck {
    static func check(_ environment: [String: String], into diagnostics: inout DiagnosticCollector) {
        let lookup = VariableLookup(environment: environment)
        for variable in ConfigurationSchema.variables {
            guard let (name, _) = lookup.value(of: variable) else { continue }
            switch variable.treatment {
            case .supported: continue
            case .withoutEffect(let why):
                diagnostics.warning(.environment, name, "the variable \(name) has no effect", mend: why)
            case .unsupported(let mend):
                diagnostics.error(.environment, name, "the variable \(name) is not supported", mend: mend)
            }
        }
    }
}
