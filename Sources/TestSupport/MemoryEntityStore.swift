import GatewayCore
import GatewayLedger
import Synchronization

/// Entities in memory: the reference that the stores on databases are compared with.
package final class MemoryEntityStore: EntityStore {
    private let log: MemoryChangeLog
    private let records = Mutex<[EntityID: EntityRecord]>([:])
    private let isDown = Mutex(false)

    /// - Parameter log: gets an entry for each mutation.
    package init(log: MemoryChangeLog = MemoryChangeLog()) { self.log = log }

    package func setDown(_ isDown: Bool) { self.isDown.withLock { $0 = isDown } }

    private func all() throws(LedgerError) -> [EntityRecord] {
        if self.isDown.withLock({ $0 }) { throw .unavailable("the test took the store away") }
        return self.records.withLock { Array($0.values) }
    }

    package func write(_ writes: [EntityWrite]) async throws(LedgerError) {
        _ = try self.all()
        let changed = self.records.withLock { records -> Result<[EntityID], LedgerError> in
            var next = records
            var changed: [EntityID] = []
            for write in writes {
                switch write {
                case .insert(var record):
                    guard next[record.id] == nil else { return .failure(.conflict("the entity exists")) }
                    record.revision = 1
                    next[record.id] = record
                case .replace(var record):
                    guard let former = next[record.id], former.revision == record.revision else {
                        return .failure(.conflict("changed meanwhile"))
                    }
                    record.revision += 1
                    record.createdAt = former.createdAt
                    record.createdBy = former.createdBy
                    next[record.id] = record
                case .delete(let id): if next.removeValue(forKey: id) == nil { continue }
                }
                changed.append(write.id)
            }
            records = next
            return .success(changed)
        }
        for id in try changed.get() { self.log.append(.entity, id.reference) }
    }

    package func entity(_ id: EntityID) async throws(LedgerError) -> EntityRecord? {
        try self.all().first { $0.id == id }
    }

    package func entities(_ query: EntityQuery) async throws(LedgerError) -> (records: [EntityRecord], total: Int) {
        let found = try self.all().filter { record in
            record.id.kind == query.kind && (query.ids?.contains(record.id.text) ?? true)
                && (query.parent == nil || query.parent == record.parent)
                && (query.member == nil || query.member == record.member)
                && (query.alias == nil || query.alias == record.alias)
                && (query.email == nil || query.email == record.email)
                && (query.role == nil || query.role == record.role)
                && (query.search.map { text in
                    [record.id.text, record.alias ?? "", record.email ?? ""].contains { $0.contains(text) }
                } ?? true)
        }
        let sorted = found.sorted { a, b in
            a.createdAt != b.createdAt
                ? a.createdAt > b.createdAt : Array(b.id.text.utf8).lexicographicallyPrecedes(Array(a.id.text.utf8))
        }
        return (Array(sorted.dropFirst(query.offset).prefix(query.limit)), found.count)
    }

    package func entities(after last: EntityID?, limit: Int) async throws(LedgerError) -> [EntityRecord] {
        func place(_ id: EntityID) -> (UInt8, String) { (id.kind.rawValue, id.text) }
        let sorted = try self.all().sorted { place($0.id) < place($1.id) }
        return Array(sorted.filter { record in last.map { place(record.id) > place($0) } ?? true }.prefix(limit))
    }

    private let spent = Mutex<[EntityID: NanoUSD]>([:])

    /// Sets what an entity has spent.
    package func set(spend: NanoUSD, of id: EntityID) { self.spent.withLock { $0[id] = spend } }

    package func spend(of kind: EntityKind, ids: [String]) async throws(LedgerError) -> [String: NanoUSD] {
        _ = try self.all()
        return self.spent.withLock { spent in
            ids.reduce(into: [:]) { $0[$1] = spent[EntityID(kind, $1)] }
        }
    }
}
