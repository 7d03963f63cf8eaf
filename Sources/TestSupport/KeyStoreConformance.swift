import GatewayCore
import GatewayLedger
import Testing

/// What every `KeyStore` must do; used as `LedgerStoreBehaviour`.
package struct KeyStoreBehaviour: Sendable, CustomTestStringConvertible {
    /// Gives a fresh, empty store at each call.
    package typealias Factory = @Sendable () async throws -> any KeyStore

    package let name: String
    package let check: @Sendable (Factory) async throws -> Void

    package var testDescription: String { self.name }
}

package enum KeyStoreConformance {
    package static let behaviours = [
        KeyStoreBehaviour(name: "gives a key back as it was") { try await keepsFields($0()) },
        KeyStoreBehaviour(name: "keeps hostile text") { try await keepsHostileText($0()) },
        KeyStoreBehaviour(name: "refuses what another key has") { try await refusesTaken($0()) },
        KeyStoreBehaviour(name: "updates a key, its digest included") { try await updates($0()) },
        KeyStoreBehaviour(name: "deletes the keys that exist") { try await deletes($0()) },
        KeyStoreBehaviour(name: "lists and filters, newest first") { try await lists($0()) },
        KeyStoreBehaviour(name: "keeps the first value of a setting") { try await keepsSettings($0()) },
        KeyStoreBehaviour(name: "logs each change without gaps") { try await logsChanges($0()) },
        KeyStoreBehaviour(name: "agrees on one value when many set it") { try await oneSettingWins($0()) },
    ]

    private static func key(_ number: UInt64, alias: String? = nil) -> KeyRecord {
        KeyRecord(
            keyID: VirtualKeyID(UUIDBits(high: 0x4000, low: number)),
            digest: KeyDigest((number, number, ~number, 1)), keyName: "sk-...\(number)", alias: alias, models: [],
            maxBudget: nil, budgetDuration: nil, expiresAt: nil, isBlocked: false, userID: nil, teamID: nil,
            metadata: "{}", otherFields: "{}", createdBy: "admin",
            createdAt: UnixMicroseconds(rawValue: 1_763_800_000_000_000 + Int64(number / 2)),
            updatedAt: UnixMicroseconds(rawValue: 1_763_800_000_000_000))
    }

    private static func fullKey() -> KeyRecord {
        var key = Self.key(7, alias: "seven")
        key.models = ["gpt-5", "claude-*", "gpt-5", ""]
        key.maxBudget = .zero
        key.budgetDuration = "30d"
        key.expiresAt = UnixMicroseconds(rawValue: -1)
        key.isBlocked = true
        key.userID = "ann"
        key.teamID = ""
        key.metadata = #"{"a":[1,2,{"b":null}]}"#
        key.otherFields = #"{"tpm_limit":5}"#
        return key
    }

    private static func keepsFields(_ store: any KeyStore) async throws {
        for key in [Self.key(1), Self.fullKey()] {
            try await store.insert(key)
            #expect(try await store.key(digest: key.digest) == key)
            #expect(try await store.key(id: key.keyID) == key)
        }
        #expect(try await store.key(digest: Self.key(2).digest) == nil)
        #expect(try await store.key(id: Self.key(2).keyID) == nil)
    }

    private static func keepsHostileText(_ store: any KeyStore) async throws {
        let texts = [
            "'; DELETE FROM virtual_key; --", "nul\u{0}inside", "nul\u{0}other", "👩‍👩‍👧", "\"", "",
            String(repeating: "x", count: 1 << 20),
        ]
        for (index, text) in texts.enumerated() {
            var key = Self.key(UInt64(index), alias: text)
            key.models = [text]
            key.userID = text
            key.metadata = text
            try await store.insert(key)
            let listed = try await store.keys(
                KeyQuery(userID: text, teamID: nil, alias: text, digest: nil, offset: 0, limit: 10))
            #expect(listed.records == [key])
            #expect(try await store.setSettingIfAbsent("name \(text)", value: text) == text)
            #expect(try await store.setting("name \(text)") == text)
        }
    }

    private static func refusesTaken(_ store: any KeyStore) async throws {
        try await store.insert(Self.key(1, alias: "one"))
        try await store.insert(Self.key(2, alias: "two"))
        var (sameID, sameDigest) = (Self.key(3), Self.key(3))
        sameID.keyID = Self.key(1).keyID
        sameDigest.digest = Self.key(1).digest
        for clash in [sameID, sameDigest, Self.key(3, alias: "one")] {
            await Self.expectConflict { () async throws(LedgerError) in try await store.insert(clash) }
        }
        var (taken, digestTaken) = (Self.key(2, alias: "one"), Self.key(2, alias: "two"))
        taken.isBlocked = true
        digestTaken.digest = Self.key(1).digest
        for clash in [taken, digestTaken] {
            await Self.expectConflict { () async throws(LedgerError) in try await store.update(clash) }
        }
        #expect(try await store.key(id: Self.key(2).keyID) == Self.key(2, alias: "two"))
        #expect(try await store.key(id: Self.key(3).keyID) == nil)
        #expect(try await store.changes(after: 0, limit: 10).count == 2)
    }

    private static func updates(_ store: any KeyStore) async throws {
        var key = Self.fullKey()
        let former = key.digest
        try await store.insert(key)
        key.digest = Self.key(99).digest
        key.models = ["only"]
        key.maxBudget = nil
        key.alias = nil
        key.isBlocked = false
        try await store.update(key)
        #expect(try await store.key(digest: former) == nil)
        #expect(try await store.key(digest: key.digest) == key)
        try await store.update(key)
        #expect(try await store.key(id: key.keyID) == key)
        await #expect(throws: LedgerError.self) { try await store.update(Self.key(50)) }
    }

    private static func deletes(_ store: any KeyStore) async throws {
        let keys = [Self.key(1, alias: "one"), Self.fullKey()]
        for key in keys { try await store.insert(key) }
        let digests = [keys[1].digest, Self.key(77).digest, keys[0].digest, keys[0].digest]
        #expect(try await store.delete(digests) == [keys[1], keys[0]])
        #expect(try await store.delete(digests) == [])
        #expect(try await store.key(id: keys[0].keyID) == nil)
        try await store.insert(keys[1])
        #expect(try await store.key(id: keys[1].keyID) == keys[1])
    }

    private static func lists(_ store: any KeyStore) async throws {
        for number in 1...9 as ClosedRange<UInt64> {
            var key = Self.key(number, alias: "alias \(number)")
            key.userID = number % 2 == 0 ? "even" : "odd"
            key.teamID = number > 6 ? "high" : nil
            try await store.insert(key)
        }
        func list(
            user: String? = nil, team: String? = nil, alias: String? = nil, digest: KeyDigest? = nil, offset: Int = 0,
            limit: Int = 100
        ) async throws -> ([UInt64], Int) {
            let (records, total) = try await store.keys(
                KeyQuery(userID: user, teamID: team, alias: alias, digest: digest, offset: offset, limit: limit))
            return (records.map(\.keyID.bits.low), total)
        }
        #expect(try await list() == ([9, 8, 7, 6, 5, 4, 3, 2, 1], 9))
        #expect(try await list(offset: 2, limit: 3) == ([7, 6, 5], 9))
        #expect(try await list(offset: 20) == ([], 9))
        #expect(try await list(user: "odd", team: "high") == ([9, 7], 2))
        #expect(try await list(alias: "alias 4") == ([4], 1))
        #expect(try await list(digest: Self.key(5).digest) == ([5], 1))
        #expect(try await list(user: "nobody") == ([], 0))
    }

    private static func keepsSettings(_ store: any KeyStore) async throws {
        #expect(try await store.setting("master") == nil)
        #expect(try await store.setSettingIfAbsent("master", value: "first") == "first")
        #expect(try await store.setSettingIfAbsent("master", value: "second") == "first")
        #expect(try await store.setting("master") == "first")
        #expect(try await store.changes(after: 0, limit: 10).count == 1)
    }

    private static func logsChanges(_ store: any KeyStore) async throws {
        var key = Self.key(1)
        try await store.insert(key)
        _ = try await store.setSettingIfAbsent("name", value: "value")
        key.isBlocked = true
        try await store.update(key)
        try await store.insert(Self.key(2))
        _ = try await store.delete([Self.key(2).digest, Self.key(3).digest])
        let changes = try await store.changes(after: 0, limit: 100)
        let first = try #require(changes.first?.position)
        #expect(changes.map(\.position) == Array(first..<(first + 5)))
        #expect(changes.map(\.kind) == [.key, .setting, .key, .key, .key])
        let (one, two) = (key.keyID.text, Self.key(2).keyID.text)
        #expect(changes.map(\.reference) == [one, "name", one, two, two])
        #expect(try await store.changes(after: first + 1, limit: 2) == Array(changes[2...3]))
        #expect(try await store.changes(after: first + 4, limit: 2) == [])
    }

    private static func oneSettingWins(_ store: any KeyStore) async throws {
        let values = try await withThrowingTaskGroup(of: String.self) { group in
            for number in 0..<8 {
                group.addTask { try await store.setSettingIfAbsent("master", value: "value \(number)") }
            }
            return try await group.reduce(into: Set()) { $0.insert($1) }
        }
        #expect(values.count == 1)
        #expect(try await store.setting("master") == values.first)
    }

    private static func expectConflict(_ body: () async throws(LedgerError) -> Void) async {
        do {
            try await body()
            Issue.record("a field that another key has was accepted")
        } catch {
            guard case .conflict = error else {
                Issue.record("\(error) instead of a conflict")
                return
            }
        }
    }
}
