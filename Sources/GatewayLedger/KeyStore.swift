import GatewayCore

/// Filter of `/key/list`. `nil` fields do not filter.
package struct KeyQuery: Sendable {
    package var userID: String?
    package var teamID: String?
    package var alias: String?
    package var digest: KeyDigest?
    /// Rows to skip, from 0.
    package var offset: Int
    /// Rows to return at most, 1...1000.
    package var limit: Int

    package init(userID: String?, teamID: String?, alias: String?, digest: KeyDigest?, offset: Int, limit: Int) {
        self.userID = userID
        self.teamID = teamID
        self.alias = alias
        self.digest = digest
        self.offset = offset
        self.limit = limit
    }
}

/// One entry of the change log. It names what changed and never carries values: a reader looks the thing up again.
package struct Change: Sendable, Equatable {
    /// What kind of thing changed.
    package enum Kind: String, Sendable { case key, setting, model, credential, entity }
    /// Gap-free position, from 1.
    package var position: Int64
    package var kind: Kind
    /// For `.key` the key's `VirtualKeyID` text; for `.setting` and `.credential` the name, for `.model` its `modelID`,
    /// for `.entity` the `reference` of its `EntityID`.
    package var reference: String

    package init(position: Int64, kind: Kind, reference: String) {
        self.position = position
        self.kind = kind
        self.reference = reference
    }
}

/// Virtual keys, small settings and the change log. Every mutation bumps the change log in its own transaction.
/// Every conformance passes `KeyStoreConformance`.
package protocol KeyStore: Sendable {
    /// - Throws: `.conflict` when the digest, the identifier or the alias is taken; nothing is stored then.
    func insert(_ key: KeyRecord) async throws(LedgerError)
    /// Replaces the record with the same `keyID`, digest included (regeneration).
    /// - Throws: `.notFound`; `.conflict` when the new digest or alias belongs to another key.
    func update(_ key: KeyRecord) async throws(LedgerError)
    /// Deletes those that exist and returns them. Their usage rows stay.
    func delete(_ digests: [KeyDigest]) async throws(LedgerError) -> [KeyRecord]
    func key(digest: KeyDigest) async throws(LedgerError) -> KeyRecord?
    func key(id: VirtualKeyID) async throws(LedgerError) -> KeyRecord?
    /// Newest first, with the total number that match.
    func keys(_ query: KeyQuery) async throws(LedgerError) -> (records: [KeyRecord], total: Int)
    /// The value stored under `name`. `nil`: none.
    func setting(_ name: String) async throws(LedgerError) -> String?
    /// Stores `value` unless the name has one already; returns the value that stands afterwards.
    func setSettingIfAbsent(_ name: String, value: String) async throws(LedgerError) -> String
    /// Entries above `position`, in order, at most `limit`.
    func changes(after position: Int64, limit: Int) async throws(LedgerError) -> [Change]
}
