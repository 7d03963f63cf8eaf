import GatewayCore
import GatewayLedger
import Synchronization

/// Keys in memory, with failures on demand: a call can fail before it took effect or lose its answer after it.
final class MemoryKeyStore: KeyStore {
    enum Failure: Sendable { case before, after }
    private struct State {
        var records: [KeyRecord] = []
        var changes: [Change] = []
        var position: Int64 = 0
        var settings: [String: String] = [:]
        var calls = 0
        var failures: [Int: Failure] = [:]
        var isDown = false
    }

    private let state = Mutex(State())

    /// Calls so far.
    var calls: Int { self.state.withLock { $0.calls } }

    /// Makes the call of this number, counted from now and from 1, fail.
    func fail(call number: Int, _ failure: Failure) {
        self.state.withLock { $0.failures[$0.calls + number] = failure }
    }

    /// Takes back failures that have not happened.
    func heal() { self.state.withLock { $0.failures = [:] } }

    func setDown(_ isDown: Bool) { self.state.withLock { $0.isDown = isDown } }

    /// Forgets the change log up to a position, as retention does.
    func cutChanges(through position: Int64) {
        self.state.withLock { state in state.changes.removeAll { $0.position <= position } }
    }

    private func run<Value: Sendable>(
        _ body: (inout State) -> Result<Value, LedgerError>
    ) throws(LedgerError) -> Value {
        let result = self.state.withLock { state -> Result<Value, LedgerError> in
            state.calls += 1
            let unavailable = LedgerError.unavailable("the test took the store away")
            if state.isDown { return .failure(unavailable) }
            switch state.failures[state.calls] {
            case .before: return .failure(unavailable)
            case .after:
                _ = body(&state)
                return .failure(unavailable)
            case nil: return body(&state)
            }
        }
        return try result.get()
    }

    private static func log(_ kind: Change.Kind, _ reference: String, _ state: inout State) {
        state.position += 1
        state.changes.append(Change(position: state.position, kind: kind, reference: reference))
    }

    private static func clashes(_ key: KeyRecord, _ state: State) -> Bool {
        state.records.contains {
            $0.keyID != key.keyID && ($0.digest == key.digest || ($0.alias != nil && $0.alias == key.alias))
        }
    }

    func insert(_ key: KeyRecord) async throws(LedgerError) {
        try self.run { state -> Result<Void, LedgerError> in
            if Self.clashes(key, state) || state.records.contains(where: { $0.keyID == key.keyID }) {
                return .failure(.conflict("taken"))
            }
            state.records.append(key)
            Self.log(.key, key.keyID.text, &state)
            return .success(())
        }
    }

    func update(_ key: KeyRecord) async throws(LedgerError) {
        try self.run { state -> Result<Void, LedgerError> in
            guard let index = state.records.firstIndex(where: { $0.keyID == key.keyID }) else {
                return .failure(.notFound("no such key"))
            }
            if Self.clashes(key, state) { return .failure(.conflict("taken")) }
            state.records[index] = key
            Self.log(.key, key.keyID.text, &state)
            return .success(())
        }
    }

    func delete(_ digests: [KeyDigest]) async throws(LedgerError) -> [KeyRecord] {
        try self.run { state in
            var deleted: [KeyRecord] = []
            for digest in digests {
                guard let index = state.records.firstIndex(where: { $0.digest == digest }) else { continue }
                deleted.append(state.records.remove(at: index))
            }
            for record in deleted { Self.log(.key, record.keyID.text, &state) }
            return .success(deleted)
        }
    }

    func key(digest: KeyDigest) async throws(LedgerError) -> KeyRecord? {
        try self.run { state in .success(state.records.first { $0.digest == digest }) }
    }

    func key(id: VirtualKeyID) async throws(LedgerError) -> KeyRecord? {
        try self.run { state in .success(state.records.first { $0.keyID == id }) }
    }

    func keys(_ query: KeyQuery) async throws(LedgerError) -> (records: [KeyRecord], total: Int) {
        let found = try self.run { state -> Result<[KeyRecord], LedgerError> in
            .success(
                state.records.reversed().filter { record in
                    (query.userID == nil || query.userID == record.userID)
                        && (query.teamID == nil || query.teamID == record.teamID)
                        && (query.alias == nil || query.alias == record.alias)
                        && (query.digest == nil || query.digest == record.digest)
                })
        }
        return (Array(found.dropFirst(query.offset).prefix(query.limit)), found.count)
    }

    func setting(_ name: String) async throws(LedgerError) -> String? {
        try self.run { state in .success(state.settings[name]) }
    }

    func setSettingIfAbsent(_ name: String, value: String) async throws(LedgerError) -> String {
        try self.run { state in
            if state.settings[name] == nil {
                state.settings[name] = value
                Self.log(.setting, name, &state)
            }
            return .success(state.settings[name] ?? value)
        }
    }

    func changes(after position: Int64, limit: Int) async throws(LedgerError) -> [Change] {
        try self.run { state in .success(Array(state.changes.filter { $0.position > position }.prefix(limit))) }
    }
}
