import GatewayCore

/// What binds calls on one event loop, prepared: the accounts of keys, of models within them, and of customers. Made
/// anew when a key or one of its owners changes. Not shared: each event loop has its own.
package final class AdmissionGate {
    /// What a key's calls pass, and what has been learned of them.
    package final class KeyPaths {
        fileprivate let source: AdmissionPath
        fileprivate let key: KeyEntry
        package let base: AccountPath
        package let hasModelTerms: Bool
        fileprivate var models: [String: AccountPath] = [:]
        fileprivate var outputs: [String: OutputExpectation] = [:]
        /// Most calls of a key name the same model as the call before.
        fileprivate var lastOutput: (model: String, expectation: OutputExpectation)?

        fileprivate init(source: AdmissionPath, key: KeyEntry, base: AccountPath) {
            self.source = source
            self.key = key
            self.base = base
            self.hasModelTerms = !source.terms.models.isEmpty
        }
    }

    package let registry: EscrowRegistry
    private let entities: EntityDirectory
    private var keys: [VirtualKeyID: KeyPaths] = [:]
    private var last: KeyPaths?
    private var customers: [String: (generation: UInt64, path: AccountPath)] = [:]
    private var tags: [String: (generation: UInt64, path: AccountPath)] = [:]

    private static let keysMax = 20_000
    private static let modelsMax = 256
    private static let customersMax = 20_000

    package init(registry: EscrowRegistry, entities: EntityDirectory) {
        self.registry = registry
        self.entities = entities
    }

    /// - Parameter at: monotonic nanoseconds.
    package func paths(of key: KeyEntry, rules: AdmissionPath, at: UInt64) -> KeyPaths {
        if let last = self.last, last.key === key, last.source === rules { return last }
        let id = key.record.keyID
        if let known = self.keys[id], known.key === key, known.source === rules {
            self.last = known
            return known
        }
        if self.keys.count >= Self.keysMax { self.keys = [:] }
        let made = KeyPaths(
            source: rules, key: key,
            base: AccountPath(Self.terms(rules.terms.budgets, rules.terms.limits), registry: self.registry, at: at))
        made.outputs = self.keys[id]?.outputs ?? [:]
        self.keys[id] = made
        self.last = made
        return made
    }

    /// What binds calls of one model within the key or its team.
    /// - Parameter group: the configured name that covers `model`.
    package func path(of paths: KeyPaths, model: String, group: String, at: UInt64) -> AccountPath {
        if let known = paths.models[model] { return known }
        let bound = paths.source.terms.models.filter { $0.binds(model) || $0.binds(group) }
        let path = AccountPath(
            Self.terms(bound.flatMap(\.budgets), bound.flatMap(\.limits)), registry: self.registry, at: at)
        if paths.models.count >= Self.modelsMax { paths.models = [:] }
        paths.models[model] = path
        return path
    }

    /// What binds calls for a customer. `nil`: nothing does.
    package func path(customer: String, at: UInt64, now: UnixMicroseconds) -> AccountPath? {
        let generation = self.entities.generation
        if let known = self.customers[customer], known.generation == generation {
            return known.path.isEmpty ? nil : known.path
        }
        let terms = self.entities.customerTerms(customer, now: now)
        if self.customers.count >= Self.customersMax { self.customers = [:] }
        let path = AccountPath(Self.terms(terms.budgets, terms.limits), registry: self.registry, at: at)
        self.customers[customer] = (generation, path)
        return path.isEmpty ? nil : path
    }

    /// What binds calls that name the tag. `nil`: nothing does.
    package func path(tag: String, at: UInt64, now: UnixMicroseconds) -> AccountPath? {
        let generation = self.entities.generation
        if let known = self.tags[tag], known.generation == generation { return known.path.isEmpty ? nil : known.path }
        let terms = self.entities.tagTerms(tag, now: now)
        if self.tags.count >= Self.customersMax { self.tags = [:] }
        let path = AccountPath(Self.terms(terms.budgets, terms.limits), registry: self.registry, at: at)
        self.tags[tag] = (generation, path)
        return path.isEmpty ? nil : path
    }

    private static func terms(_ budgets: [BudgetTerms], _ limits: [LimitTerms]) -> [EscrowTerms] {
        limits.map { EscrowTerms($0) } + budgets.map { EscrowTerms($0) }
    }

    // MARK: expectations

    /// Output tokens that a call of the key and model is expected to use. `nil`: nothing has been learned yet.
    package func expectedOutput(_ paths: KeyPaths, model: String) -> Int64? {
        self.output(paths, model: model)?.withMargin
    }

    package func learn(_ paths: KeyPaths, model: String, outputTokens: Int64) {
        if let known = self.output(paths, model: model) { return known.learn(outputTokens) }
        if paths.outputs.count >= Self.modelsMax { paths.outputs = [:] }
        let made = OutputExpectation()
        made.learn(outputTokens)
        paths.outputs[model] = made
    }

    private func output(_ paths: KeyPaths, model: String) -> OutputExpectation? {
        if let last = paths.lastOutput, last.model == model { return last.expectation }
        guard let known = paths.outputs[model] else { return nil }
        paths.lastOutput = (model, known)
        return known
    }
}

/// The decayed mean of what calls used, and of how far off it was.
final class OutputExpectation {
    private var mean = 0.0
    private var deviation = 0.0
    private var count = 0

    func learn(_ tokens: Int64) {
        let value = Double(min(max(0, tokens), 1 << 24))
        self.count += 1
        // The first calls weigh more, so that the start does not stay in the mean.
        let part = max(1 / 16.0, 1 / Double(self.count))
        self.deviation += (abs(value - self.mean) - self.deviation) * part
        self.mean += (value - self.mean) * part
    }

    /// Half a deviation above the mean.
    var withMargin: Int64 { Int64((self.mean + self.deviation / 2).rounded(.up)) }
}
