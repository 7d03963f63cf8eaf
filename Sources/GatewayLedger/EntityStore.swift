import GatewayCore

/// Filter of entities of one kind. `nil` fields do not filter.
package struct EntityQuery: Sendable {
    package var kind: EntityKind
    /// Only those; at most 1000.
    package var ids: [String]?
    package var parent: String?
    package var member: String?
    package var alias: String?
    package var email: String?
    package var role: String?
    /// A part of the identifier, the alias or the email, as written.
    package var search: String?
    /// Rows to skip, from 0.
    package var offset: Int
    /// Rows to return at most, 1...1000.
    package var limit: Int

    package init(_ kind: EntityKind, offset: Int, limit: Int) {
        self.kind = kind
        self.offset = offset
        self.limit = limit
    }
}

/// One change of an entity.
package enum EntityWrite: Sendable, Equatable {
    /// Stores what must not exist yet, as revision 1.
    case insert(EntityRecord)
    /// Replaces what stands at the record's `revision`; it stands at the next one then. Who made it and when stays.
    case replace(EntityRecord)
    /// Takes away what may exist.
    case delete(EntityID)

    package var id: EntityID {
        switch self {
        case .insert(let record), .replace(let record): record.id
        case .delete(let id): id
        }
    }
}

/// Users, teams, members, organizations, customers, tags, budgets and access groups. Every change has its entry in the
/// change log (`Change.Kind.entity`, the identifier's `reference`) in its own transaction.
/// Every conformance passes `EntityStoreConformance`.
package protocol EntityStore: Sendable {
    /// Carries out all writes or none; each names another entity, at most 1000.
    /// - Throws: `.conflict` when an inserted entity exists or a replaced one does not stand at its revision.
    func write(_ writes: [EntityWrite]) async throws(LedgerError)
    func entity(_ id: EntityID) async throws(LedgerError) -> EntityRecord?
    /// Newest first, with the total number that match.
    func entities(_ query: EntityQuery) async throws(LedgerError) -> (records: [EntityRecord], total: Int)
    /// All entities in the store's own order, for a walk in pages: those behind `last`, at most `limit`. `nil`: from the
    /// start.
    func entities(after last: EntityID?, limit: Int) async throws(LedgerError) -> [EntityRecord]
    /// Spend of entities of one kind, up to the last fold; those that have none are left out. Budgets and access groups
    /// spend nothing of their own.
    /// - Parameter ids: as `EntityID.text`; at most 1000.
    func spend(of kind: EntityKind, ids: [String]) async throws(LedgerError) -> [String: NanoUSD]
}
