import GatewayCore
import Synchronization

/// Running spend of one virtual key as this pod knows it: what the store had folded when it was last asked, and every
/// settlement made here since. Never more than what was really spent, and the same on all pods as soon as everything
/// has been folded.
package final class SpendCounter: Sendable {
    private let nanos: Atomic<Int64>

    package init(_ start: NanoUSD) { self.nanos = Atomic(start.rawValue) }

    package var spend: NanoUSD { NanoUSD(rawValue: self.nanos.load(ordering: .relaxed)) }

    package func add(_ cost: NanoUSD) { self.nanos.wrappingAdd(cost.rawValue, ordering: .relaxed) }

    /// Takes over what the store has folded, of all pods. Both figures are lower bounds of the truth, so the larger one
    /// is right and nothing counts twice, provided that a settlement is added here before the store can have it.
    package func raise(to folded: NanoUSD) { self.nanos.max(folded.rawValue, ordering: .relaxed) }
}

/// One virtual key as calls see it: an immutable state, replaced whole when the key changes. The spend counter lives on
/// over such changes.
package final class KeyEntry: Sendable {
    package let record: KeyRecord
    package let payer: PayerIdentity
    package let spend: SpendCounter
    package let models: ModelMatcher
    package let isMaster: Bool
    package let rules: KeyRules
    /// What was made of the entity directory last; valid at its generation only.
    private let path = Mutex<AdmissionPath?>(nil)

    package init(record: KeyRecord, rules: KeyRules, spend: SpendCounter, isMaster: Bool) {
        self.rules = rules
        self.record = record
        self.payer = PayerIdentity(
            keyID: record.keyID, digest: record.digest, userID: record.userID, teamID: record.teamID)
        self.spend = spend
        self.models = ModelMatcher(record.models)
        self.isMaster = isMaster
    }

    var cachedPath: AdmissionPath? {
        get { self.path.withLock { $0 } }
        set { self.path.withLock { $0 = newValue } }
    }
}

/// All virtual keys that this pod knows, by digest. Looked up on every call from every event loop; shards keep the
/// locks short and apart, and under them is a dictionary access only.
package final class KeyDirectory: Sendable {
    private static let shardCount = 16
    private final class Shard: Sendable {
        let entries = Mutex<[KeyDigest: KeyEntry]>([:])
    }
    private let shards: [Shard]
    private let digests = Mutex<[VirtualKeyID: KeyDigest]>([:])
    private let changes = Atomic<UInt64>(0)
    /// The keys' owners.
    package let entities: EntityDirectory

    package init(entities: EntityDirectory = EntityDirectory(configuration: .standard)) {
        self.entities = entities
        self.shards = (0..<Self.shardCount).map { _ in Shard() }
    }

    private func shard(_ digest: KeyDigest) -> Shard {
        self.shards[Int(truncatingIfNeeded: digest.words.0) & (Self.shardCount - 1)]
    }

    /// Grows with every change, after it is in force: what was looked up at one number holds until the next.
    package var generation: UInt64 { self.changes.load(ordering: .acquiring) }

    /// `nil`: unknown key.
    package func entry(digest: KeyDigest) -> KeyEntry? {
        self.shard(digest).entries.withLock { $0[digest] }
    }

    package func entry(id: VirtualKeyID) -> KeyEntry? {
        guard let digest = self.digests.withLock({ $0[id] }) else { return nil }
        return self.entry(digest: digest)
    }

    /// Adds the key or replaces its former state, whatever digest that had. The spend counter is kept;
    /// `startingSpend` counts only for a key that was not known.
    @discardableResult
    package func set(_ record: KeyRecord, startingSpend: NanoUSD, isMaster: Bool = false) -> KeyEntry {
        self.set(
            record, rules: .plain(maxBudget: record.maxBudget), startingSpend: startingSpend, isMaster: isMaster)
    }

    /// The same for a key whose fields have been read.
    @discardableResult
    package func set(_ record: KeyRecord, rules: KeyRules, startingSpend: NanoUSD, isMaster: Bool) -> KeyEntry {
        // One change at a time: two at once could each leave the secret behind that the other has just replaced.
        // Look-ups of calls wait for a shard only, never for this.
        let entry = self.digests.withLock { digests in
            let former = digests.updateValue(record.digest, forKey: record.keyID)
            let formerEntry = former.flatMap { digest in
                self.shard(digest).entries.withLock { entries in
                    digest == record.digest ? entries[digest] : entries.removeValue(forKey: digest)
                }
            }
            let entry = KeyEntry(
                record: record, rules: rules, spend: formerEntry?.spend ?? SpendCounter(startingSpend),
                isMaster: isMaster)
            self.shard(record.digest).entries.withLock { $0[record.digest] = entry }
            return entry
        }
        self.changes.wrappingAdd(1, ordering: .releasing)
        return entry
    }

    package func remove(id: VirtualKeyID) {
        self.digests.withLock { digests in
            guard let digest = digests.removeValue(forKey: id) else { return }
            _ = self.shard(digest).entries.withLock { $0.removeValue(forKey: digest) }
        }
        self.changes.wrappingAdd(1, ordering: .releasing)
    }

    package var count: Int { self.digests.withLock { $0.count } }
}
