import GatewayCore

/// What an entity's fields mean to calls, read once when it is put in force.
package struct EntityFacts: Sendable, Equatable {
    package var isBlocked: Bool
    /// Names, wildcards and access groups. Empty: all. Of an access group: its models.
    package var models: [String]
    package var governance: Governance
    /// A budget of `/budget/new` that fills what `governance` leaves open.
    package var budgetID: String?
    /// What a team's members get that have nothing of their own.
    package var memberGovernance: Governance
    /// Tags that every call of a team is counted under.
    package var tags: [String]

    package init(
        isBlocked: Bool, models: [String], governance: Governance, budgetID: String?, memberGovernance: Governance,
        tags: [String]
    ) {
        self.isBlocked = isBlocked
        self.models = models
        self.governance = governance
        self.budgetID = budgetID
        self.memberGovernance = memberGovernance
        self.tags = tags
    }

    package static let none = EntityFacts(
        isBlocked: false, models: [], governance: .none, budgetID: nil, memberGovernance: .none, tags: [])

    /// Whether calls would be the same without it.
    var isInert: Bool { self == .none }
}

/// One entity as calls see it: immutable, replaced whole when it changes.
package final class EntityEntry: Sendable {
    package let record: EntityRecord
    package let facts: EntityFacts

    package init(record: EntityRecord, facts: EntityFacts) {
        self.record = record
        self.facts = facts
    }
}
