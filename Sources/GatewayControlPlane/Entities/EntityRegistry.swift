import GatewayAdmission
import GatewayCore
import GatewayLedger

/// Entities as the store keeps them and as calls on this pod see them. Every change goes to the store first and is in
/// force here before it returns. Changes and the change log's follower take turns, so that an older state read from the
/// store can never overwrite a newer one.
package final class EntityRegistry: Sendable {
    private static let pageSize = 1000
    /// Other pods may change the same entity at the same time; each try reads it anew.
    private static let attemptsMax = 10
    package let directory: EntityDirectory
    package let store: any EntityStore
    private let reader: GovernanceReader
    private let turns = TurnQueue(waitingMax: 1000)

    package init(directory: EntityDirectory, store: any EntityStore, reader: GovernanceReader) {
        self.directory = directory
        self.store = store
        self.reader = reader
    }

    // MARK: Changes

    /// Makes changes from what the store holds, all or none, and puts them in force. `plan` runs again when another pod
    /// has changed one of the entities since it was read.
    func change<Value: Sendable>(
        _ plan: @Sendable (EntityReading) async throws(ControlRefusal) -> (writes: [EntityWrite], value: Value)
    ) async throws(ControlRefusal) -> Value {
        try await self.turns.run(orThrow: .tooManyMutations) { () async throws(ControlRefusal) in
            var attempt = 0
            while true {
                attempt += 1
                let (writes, value) = try await plan(EntityReading(store: self.store))
                try self.requireRoom(writes)
                do throws(LedgerError) {
                    try await self.write(writes)
                    return value
                } catch {
                    await self.reconcile(writes, after: error)
                    guard case .conflict = error else { throw .store(error) }
                    guard attempt < Self.attemptsMax else { throw .tooManyMutations }
                }
            }
        }
    }

    private func requireRoom(_ writes: [EntityWrite]) throws(ControlRefusal) {
        for case .insert(let record) in writes where !self.directory.hasRoom(for: record.id.kind) {
            throw .badRequest(
                "This gateway holds at most \(self.directory.configuration.countMax) entities of the kind "
                    + "\(record.id.kind.name). Delete some that are not used.")
        }
    }

    /// In pieces that the store takes at once; only deletions are ever that many.
    private func write(_ writes: [EntityWrite]) async throws(LedgerError) {
        var rest = writes[...]
        while !rest.isEmpty {
            let piece = Array(rest.prefix(Self.pageSize))
            try await self.store.write(piece)
            for write in piece {
                switch write {
                case .insert(let record): self.putInForce(record)
                case .replace(var record):
                    record.revision += 1
                    self.putInForce(record)
                case .delete(let id): self.directory.remove(id)
                }
            }
            rest = rest.dropFirst(Self.pageSize)
        }
    }

    /// A store that did not answer may have carried the change out. Should it not answer now either, the change log
    /// brings the change later.
    private func reconcile(_ writes: [EntityWrite], after error: LedgerError) async {
        guard case .unavailable = error else { return }
        for write in writes.prefix(Self.pageSize) {
            do throws(LedgerError) { try await self.refreshInTurn(write.id) } catch { return }
        }
    }

    // MARK: Following the store

    /// Makes what is in force the same as what the store holds for some entities.
    func refresh(_ ids: [EntityID]) async throws(LedgerError) {
        try await self.turns.run(orThrow: Self.isFull) { () async throws(LedgerError) in
            for id in ids { try await self.refreshInTurn(id) }
        }
    }

    /// Puts all stored entities in force and drops those that the store no longer has.
    /// - Returns: how many there are.
    func loadAll() async throws(LedgerError) -> Int {
        try await self.turns.run(orThrow: Self.isFull) { () async throws(LedgerError) in
            var gone = self.directory.identifiers
            var count = 0
            var last: EntityID?
            while true {
                let page = try await self.store.entities(after: last, limit: Self.pageSize)
                for record in page {
                    self.putInForce(record)
                    gone.remove(record.id)
                }
                count += page.count
                guard page.count == Self.pageSize else { break }
                last = page.last?.id
            }
            for id in gone { self.directory.remove(id) }
            return count
        }
    }

    private static let isFull = LedgerError.unavailable("too many changes of entities wait already; repeat")

    private func refreshInTurn(_ id: EntityID) async throws(LedgerError) {
        if let record = try await self.store.entity(id) {
            self.putInForce(record)
        } else {
            self.directory.remove(id)
        }
    }

    private func putInForce(_ record: EntityRecord) {
        self.directory.set(record, facts: self.reader.facts(of: record))
    }
}

/// Reads entities for management, with its refusals.
struct EntityReading: Sendable {
    let store: any EntityStore

    func entity(_ id: EntityID) async throws(ControlRefusal) -> EntityRecord? {
        do throws(LedgerError) { return try await self.store.entity(id) } catch { throw .store(error) }
    }

    func page(_ query: EntityQuery) async throws(ControlRefusal) -> (records: [EntityRecord], total: Int) {
        do throws(LedgerError) { return try await self.store.entities(query) } catch { throw .store(error) }
    }

    /// All that match, however many pages; at most 100,000.
    func all(_ query: EntityQuery) async throws(ControlRefusal) -> [EntityRecord] {
        var query = query
        query.offset = 0
        query.limit = 1000
        var records: [EntityRecord] = []
        while records.count < 100_000 {
            let page = try await self.page(query).records
            records += page
            guard page.count == query.limit else { break }
            query.offset += query.limit
        }
        return records
    }

    func members(of kind: EntityKind, parent: String) async throws(ControlRefusal) -> [EntityRecord] {
        var query = EntityQuery(kind, offset: 0, limit: 1000)
        query.parent = parent
        // Oldest first, as they came.
        return try await self.all(query).reversed()
    }

    func memberships(_ kind: EntityKind, of user: String) async throws(ControlRefusal) -> [EntityRecord] {
        var query = EntityQuery(kind, offset: 0, limit: 1000)
        query.member = user
        return try await self.all(query).reversed()
    }

    /// The user of this email. Emails are compared as written.
    func user(email: String) async throws(ControlRefusal) -> EntityRecord? {
        var query = EntityQuery(.user, offset: 0, limit: 1)
        query.email = email
        return try await self.page(query).records.first
    }
}
