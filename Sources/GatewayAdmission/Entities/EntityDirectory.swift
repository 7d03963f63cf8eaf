import GatewayCore
import Synchronization

/// Settings of the entity directory.
package struct EntityDirectoryConfiguration: Sendable, Equatable {
    /// How budgets are kept that say nothing of their own.
    package var budgetMode: BudgetMode
    /// Whether a user's budget also binds keys of a team (`apply_user_budget_to_team_keys`).
    package var userBudgetBindsTeamKeys: Bool
    /// The budget of customers that have none (`max_end_user_budget_id`). `nil`: they have no bound.
    package var customerBudgetID: String?
    /// Of all calls together. `nil`: they have none.
    package var proxyBudget: BudgetRule?
    /// Of all calls together.
    package var proxyLimits: [LimitRule] = []
    /// Entities of one kind that are held.
    package var countMax: Int

    package init(
        budgetMode: BudgetMode, userBudgetBindsTeamKeys: Bool, customerBudgetID: String?,
        proxyBudget: BudgetRule? = nil, countMax: Int = 200_000
    ) {
        self.budgetMode = budgetMode
        self.userBudgetBindsTeamKeys = userBudgetBindsTeamKeys
        self.customerBudgetID = customerBudgetID
        self.proxyBudget = proxyBudget
        self.countMax = countMax
    }

    /// LiteLLM's.
    package static let standard = EntityDirectoryConfiguration(
        budgetMode: .expected, userBudgetBindsTeamKeys: false, customerBudgetID: nil)
}

/// All entities that this pod knows. Looked up by calls on every event loop: a key's path is made once and kept with
/// the key until something changes; customers and tags of a call are one dictionary access each.
package final class EntityDirectory: Sendable {
    private static let shardCount = 16
    private final class Shard: Sendable {
        let entries = Mutex<[EntityID: EntityEntry]>([:])
    }
    private struct Groups {
        /// Of the configuration: models by access group.
        var configured: [String: [String]] = [:]
        /// Of the store.
        var stored: [String: [String]] = [:]
    }

    package let configuration: EntityDirectoryConfiguration
    private let shards: [Shard]
    private let counts = Mutex<[EntityKind: Int]>([:])
    private let groups = Mutex(Groups())
    private let changes = Atomic<UInt64>(1)
    private let tagCount = Atomic<Int>(0)

    package init(configuration: EntityDirectoryConfiguration) {
        self.configuration = configuration
        self.shards = (0..<Self.shardCount).map { _ in Shard() }
    }

    /// Grows with every change, after it is in force: what was looked up at one number holds until the next.
    package var generation: UInt64 { self.changes.load(ordering: .acquiring) }

    private func shard(_ id: EntityID) -> Shard { self.shards[id.hashValue & (Self.shardCount - 1)] }

    /// `nil`: there is none, or it is a customer that restricts nothing.
    package func entry(_ id: EntityID) -> EntityEntry? { self.shard(id).entries.withLock { $0[id] } }

    package func entry(_ kind: EntityKind, _ text: String?) -> EntityEntry? {
        text.flatMap { self.entry(EntityID(kind, $0)) }
    }

    /// Whether there is any tag that calls could name.
    package var hasTags: Bool { self.tagCount.load(ordering: .relaxed) > 0 }

    /// Whether one more of the kind can be held.
    package func hasRoom(for kind: EntityKind) -> Bool {
        self.counts.withLock { $0[kind] ?? 0 } < self.configuration.countMax
    }

    /// Adds the entity or replaces its former state.
    package func set(_ record: EntityRecord, facts: EntityFacts) {
        // Customers are by far the most, and most of them are only counted.
        if record.id.kind == .customer, facts.isInert { return self.remove(record.id) }
        let entry = EntityEntry(record: record, facts: facts)
        let former = self.shard(record.id).entries.withLock { $0.updateValue(entry, forKey: record.id) }
        if former == nil {
            self.counts.withLock { $0[record.id.kind, default: 0] += 1 }
            if record.id.kind == .tag { self.tagCount.wrappingAdd(1, ordering: .relaxed) }
        }
        if record.id.kind == .accessGroup {
            self.groups.withLock { $0.stored[record.id.text] = facts.models }
        }
        self.noteChange()
    }

    package func remove(_ id: EntityID) {
        guard self.shard(id).entries.withLock({ $0.removeValue(forKey: id) }) != nil else { return }
        self.counts.withLock { $0[id.kind, default: 1] -= 1 }
        if id.kind == .tag { self.tagCount.wrappingSubtract(1, ordering: .relaxed) }
        if id.kind == .accessGroup { self.groups.withLock { $0.stored[id.text] = nil } }
        self.noteChange()
    }

    /// Puts the configuration's access groups in force (`model_info.access_groups`).
    package func set(configuredGroups: [String: [String]]) {
        self.groups.withLock { $0.configured = configuredGroups }
        self.noteChange()
    }

    private func noteChange() { self.changes.wrappingAdd(1, ordering: .releasing) }

    /// All entities held, in no order.
    package var identifiers: Set<EntityID> {
        self.shards.reduce(into: []) { result, shard in result.formUnion(shard.entries.withLock { Array($0.keys) }) }
    }

    /// Models by access group, configured and stored.
    package var accessGroups: [String: [String]] {
        self.groups.withLock { $0.configured.merging($0.stored) { $0 + $1 } }
    }

    // MARK: Paths

    /// What binds the key's calls through its owners. Made once for each state of the key and of the directory.
    package func path(of key: KeyEntry, now: UnixMicroseconds) -> AdmissionPath {
        let generation = self.generation
        if let path = key.cachedPath, path.generation == generation, path.validUntil.map({ now < $0 }) ?? true {
            return path
        }
        let path = PathBuilder(directory: self, key: key, now: now).path(generation: generation)
        key.cachedPath = path
        return path
    }

    /// Everything that binds one call: the key's path, its customer, and the tags of key, team and call.
    package func terms(
        for key: KeyEntry, customer: String?, tags: [String], now: UnixMicroseconds
    ) -> (path: AdmissionPath, terms: AdmissionTerms) {
        let path = self.path(of: key, now: now)
        var terms = path.terms
        if let customer { self.add(customer: customer, to: &terms, now: now) }
        for (index, tag) in tags.enumerated() where !path.tags.contains(tag) && !tags[..<index].contains(tag) {
            self.add(tag: tag, to: &terms, now: now)
        }
        return (path, terms)
    }

    /// What binds the calls for a customer, whichever key makes them.
    package func customerTerms(_ customer: String, now: UnixMicroseconds) -> AdmissionTerms {
        var terms = AdmissionTerms.none
        self.add(customer: customer, to: &terms, now: now)
        return terms
    }

    /// What binds calls that name the tag.
    package func tagTerms(_ tag: String, now: UnixMicroseconds) -> AdmissionTerms {
        var terms = AdmissionTerms.none
        self.add(tag: tag, to: &terms, now: now)
        return terms
    }

    /// Why calls for a customer are refused. `nil`: they are not.
    package func refusal(customer: String, model: String, group: String) -> GatewayError? {
        guard let entry = self.entry(.customer, customer) else { return nil }
        if entry.facts.isBlocked { return .blocked(entry.record.id) }
        let matcher = self.matcher(entry.facts.models)
        if matcher.allows(model) || matcher.allows(group) { return nil }
        return .modelDenied(owner: "customer", models: entry.facts.models, model: model)
    }

    private func add(customer: String, to terms: inout AdmissionTerms, now: UnixMicroseconds) {
        let facts = self.entry(.customer, customer)?.facts ?? .none
        let budgetID = facts.budgetID ?? self.configuration.customerBudgetID
        let governance = self.governance(facts.governance, budgetID: budgetID)
        terms.add(Subject(.customer, customer), governance, standard: self.configuration.budgetMode, now: now)
    }

    func add(tag: String, to terms: inout AdmissionTerms, now: UnixMicroseconds) {
        guard let facts = self.entry(.tag, tag)?.facts else { return }
        let governance = self.governance(facts.governance, budgetID: facts.budgetID)
        terms.add(Subject(.tag, tag), governance, standard: self.configuration.budgetMode, now: now)
    }

    /// What an owner set, with what its shared budget adds.
    func governance(_ own: Governance, budgetID: String?) -> Governance {
        guard let shared = self.entry(.budget, budgetID) else { return own }
        return own.filled(from: shared.facts.governance)
    }

    /// Access groups among the names stand for their models.
    func matcher(_ names: [String]) -> ModelMatcher {
        if names.isEmpty { return ModelMatcher(names) }
        let groups = self.groups.withLock { groups in
            names.reduce(into: [[String]]()) { result, name in
                if let models = groups.configured[name] { result.append(models) }
                if let models = groups.stored[name] { result.append(models) }
            }
        }
        return ModelMatcher(names + groups.joined())
    }
}
