import GatewayAdmission
import GatewayCore
import GatewayLedger
import Synchronization

/// Virtual keys as the store keeps them and as calls on this pod see them. Every change goes to the store first and is
/// in force here before it returns. Changes and the change log's follower take turns, so that an older state read
/// from the store can never overwrite a newer one.
package final class KeyRegistry: Sendable {
    private static let pageSize = 1000
    package let directory: KeyDirectory
    private let keyStore: any KeyStore
    private let ledger: any LedgerStore
    private let reader: GovernanceReader
    private let turns = TurnQueue(waitingMax: 1000)
    /// Keys that came from the store, so that a reload can drop those that are gone. Never the master key.
    private let known = Mutex<Set<VirtualKeyID>>([])
    /// Grows with every key put in or taken out of force: what was read from the store at one number is still good
    /// while the number stands.
    private let version = Atomic<UInt64>(0)

    package init(
        directory: KeyDirectory, keyStore: any KeyStore, ledger: any LedgerStore, reader: GovernanceReader
    ) {
        self.reader = reader
        self.directory = directory
        self.keyStore = keyStore
        self.ledger = ledger
    }

    /// What a record's fields mean to calls.
    func rules(of record: KeyRecord) -> KeyRules { self.reader.rules(of: record) }

    /// Stores a new key and puts it in force.
    func create(_ record: KeyRecord) async throws(ControlRefusal) {
        try await self.turns.run(orThrow: .tooManyMutations) { () async throws(ControlRefusal) in
            guard self.directory.entry(digest: record.digest)?.isMaster != true else { throw .masterKeyIsFixed }
            try await self.requireFreeAlias(record)
            do throws(LedgerError) { try await self.keyStore.insert(record) } catch {
                await self.reconcile(record.keyID, after: error)
                throw .store(error)
            }
            self.putInForce(record, startingSpend: .zero)
        }
    }

    /// Replaces the key's record by what `edit` makes of it. The spend stays.
    func change(_ digest: KeyDigest, edit: @Sendable (KeyRecord) throws(ControlRefusal) -> KeyRecord)
        async throws(ControlRefusal) -> KeyRecord
    {
        try await self.turns.run(orThrow: .tooManyMutations) { () async throws(ControlRefusal) in
            guard self.directory.entry(digest: digest)?.isMaster != true else { throw .masterKeyIsFixed }
            guard let former = try await self.stored(digest) else { throw .keyNotFound }
            let record = try edit(former)
            precondition(record.keyID == former.keyID, "a change must keep the key's identity")
            guard self.directory.entry(digest: record.digest)?.isMaster != true else { throw .masterKeyIsFixed }
            if record.alias != former.alias { try await self.requireFreeAlias(record) }
            do throws(LedgerError) { try await self.keyStore.update(record) } catch {
                await self.reconcile(record.keyID, after: error)
                throw .store(error)
            }
            self.putInForce(record, startingSpend: .zero)
            return record
        }
    }

    /// Deletes those of the keys that exist and returns them.
    func delete(_ digests: [KeyDigest]) async throws(ControlRefusal) -> [KeyRecord] {
        try await self.turns.run(orThrow: .tooManyMutations) { () async throws(ControlRefusal) in
            for digest in digests where self.directory.entry(digest: digest)?.isMaster == true {
                throw .masterKeyIsFixed
            }
            do throws(LedgerError) {
                let deleted = try await self.keyStore.delete(digests)
                for record in deleted { self.takeOutOfForce(record.keyID) }
                return deleted
            } catch {
                for digest in digests {
                    guard let entry = self.directory.entry(digest: digest) else { continue }
                    await self.reconcile(entry.record.keyID, after: error)
                }
                throw .store(error)
            }
        }
    }

    /// The key's record and its live spend. While the store is away, what this pod holds is answered.
    /// `nil`: there is no such key.
    func find(_ digest: KeyDigest) async throws(ControlRefusal) -> (record: KeyRecord, spend: NanoUSD)? {
        let entry = self.directory.entry(digest: digest)
        do throws(LedgerError) {
            if let entry, entry.isMaster { return (entry.record, try await self.freshSpend(of: entry.record.keyID)) }
            guard let record = try await self.keyStore.key(digest: digest) else { return nil }
            return (record, try await self.freshSpend(of: record.keyID))
        } catch {
            guard case .unavailable = error, let entry else { throw .store(error) }
            return (entry.record, entry.spend.spend)
        }
    }

    /// Spend of a key: live when it is in force here, else what the store has folded.
    func spend(of keyID: VirtualKeyID) async throws(LedgerError) -> NanoUSD {
        if let entry = self.directory.entry(id: keyID) { return entry.spend.spend }
        return try await self.ledger.counter(.key(keyID)).spend
    }

    /// Spend of a key with what all pods have folded until now.
    func freshSpend(of keyID: VirtualKeyID) async throws(LedgerError) -> NanoUSD {
        let folded = try await self.ledger.counter(.key(keyID)).spend
        guard let entry = self.directory.entry(id: keyID) else { return folded }
        entry.spend.raise(to: folded)
        return entry.spend.spend
    }

    /// Puts a key in force that this pod does not know yet, because another one made it a moment ago.
    /// - Returns: `nil`: there is no such key.
    func admit(_ digest: KeyDigest) async throws(LedgerError) -> KeyEntry? {
        if let entry = self.directory.entry(digest: digest) { return entry }
        let version = self.version.load(ordering: .acquiring)
        guard let record = try await self.keyStore.key(digest: digest) else { return nil }
        let spend = try await self.ledger.counter(.key(record.keyID)).spend
        try await self.turns.run(orThrow: Self.isFull) { () async throws(LedgerError) in
            if self.version.load(ordering: .acquiring) == version {
                self.putInForce(record, startingSpend: spend)
            } else {
                // A change was put in force since the read began, perhaps of this very key.
                try await self.refreshInTurn(record.keyID)
            }
        }
        return self.directory.entry(digest: digest)
    }

    /// Makes what is in force the same as what the store holds for one key.
    func refresh(_ keyID: VirtualKeyID) async throws(LedgerError) {
        try await self.turns.run(orThrow: Self.isFull) { () async throws(LedgerError) in
            try await self.refreshInTurn(keyID)
        }
    }

    /// Puts all stored keys in force and drops those that the store no longer has.
    /// - Returns: how many there are.
    func loadAll() async throws(LedgerError) -> Int {
        try await self.turns.run(orThrow: Self.isFull) { () async throws(LedgerError) in
            let spend = try await self.ledger.keySpend()
            var seen: Set<VirtualKeyID> = []
            var offset = 0
            while true {
                let page = try await self.keyStore.keys(
                    KeyQuery(userID: nil, teamID: nil, alias: nil, digest: nil, offset: offset, limit: Self.pageSize))
                for record in page.records {
                    seen.insert(record.keyID)
                    self.putInForce(record, startingSpend: spend[record.keyID] ?? .zero)
                }
                offset += page.records.count
                if page.records.count < Self.pageSize { break }
            }
            for keyID in self.known.withLock({ $0.subtracting(seen) }) { self.takeOutOfForce(keyID) }
            return seen.count
        }
    }

    private static let isFull = LedgerError.unavailable("too many changes of keys wait already; repeat")

    private func refreshInTurn(_ keyID: VirtualKeyID) async throws(LedgerError) {
        guard let record = try await self.keyStore.key(id: keyID) else {
            self.takeOutOfForce(keyID)
            return
        }
        let isKnown = self.directory.entry(id: keyID) != nil
        let spend = isKnown ? NanoUSD.zero : try await self.ledger.counter(.key(keyID)).spend
        self.putInForce(record, startingSpend: spend)
    }

    /// A store that did not answer may have carried the change out. Should it not answer now either, the change log
    /// brings the change later.
    private func reconcile(_ keyID: VirtualKeyID, after error: LedgerError) async {
        guard case .unavailable = error else { return }
        try? await self.refreshInTurn(keyID)
    }

    private func putInForce(_ record: KeyRecord, startingSpend: NanoUSD) {
        // The master key wins over a stored key of the same secret, whichever came first.
        guard self.directory.entry(digest: record.digest)?.isMaster != true else { return }
        self.directory.set(
            record, rules: self.reader.rules(of: record), startingSpend: startingSpend, isMaster: false)
        self.known.withLock { _ = $0.insert(record.keyID) }
        self.version.wrappingAdd(1, ordering: .releasing)
    }

    private func takeOutOfForce(_ keyID: VirtualKeyID) {
        guard keyID != .masterKey else { return }
        self.directory.remove(id: keyID)
        self.known.withLock { _ = $0.remove(keyID) }
        self.version.wrappingAdd(1, ordering: .releasing)
    }

    private func stored(_ digest: KeyDigest) async throws(ControlRefusal) -> KeyRecord? {
        do throws(LedgerError) { return try await self.keyStore.key(digest: digest) } catch { throw .store(error) }
    }

    private func requireFreeAlias(_ record: KeyRecord) async throws(ControlRefusal) {
        guard let alias = record.alias else { return }
        let holders: [KeyRecord]
        do throws(LedgerError) {
            holders = try await self.keyStore.keys(
                KeyQuery(userID: nil, teamID: nil, alias: alias, digest: nil, offset: 0, limit: 2)
            ).records
        } catch { throw .store(error) }
        guard holders.allSatisfy({ $0.keyID == record.keyID }) else {
            throw .badRequest(
                "Key with alias '\(alias)' already exists. Unique key aliases across all keys are required.",
                param: "key_alias")
        }
    }
}
