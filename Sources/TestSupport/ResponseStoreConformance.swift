import GatewayCore
import GatewayLedger
import Testing

/// What every `ResponseStore` must do; used as `LedgerStoreBehaviour`.
package struct ResponseStoreBehaviour: Sendable, CustomTestStringConvertible {
    /// Gives a fresh, empty store at each call.
    package typealias Factory = @Sendable () async throws -> any ResponseStore

    package let name: String
    package let check: @Sendable (Factory) async throws -> Void

    package var testDescription: String { self.name }
}

package enum ResponseStoreConformance {
    package static let behaviours = [
        ResponseStoreBehaviour(name: "gives responses back as they were") { try await givesBack($0()) },
        ResponseStoreBehaviour(name: "keeps hostile text and any bytes") { try await keepsHostile($0()) },
        ResponseStoreBehaviour(name: "lets nobody take an identifier twice") { try await keepsFirst($0()) },
        ResponseStoreBehaviour(name: "follows a conversation backwards") { try await follows($0()) },
        ResponseStoreBehaviour(name: "cuts a conversation at turns and bytes") { try await cuts($0()) },
        ResponseStoreBehaviour(name: "shows a response to its owner alone") { try await hides($0()) },
        ResponseStoreBehaviour(name: "finds nothing that has ended, and deletes it") { try await ends($0()) },
        ResponseStoreBehaviour(name: "deletes one response of its owner") { try await deletes($0()) },
        ResponseStoreBehaviour(name: "takes many at once from many sides") { try await takesMany($0()) },
    ]

    private static let now = UnixMicroseconds(rawValue: 1_763_800_000_000_000)

    private static func response(
        _ id: String, owner: String = "key:1", previous: String? = nil, bytes: Int = 10, endsIn seconds: Int64 = 60
    ) -> StoredResponse {
        StoredResponse(
            id: id, owner: owner, previousID: previous, place: .content([UInt8](repeating: 7, count: bytes)),
            createdAt: Self.now, expiresAt: Self.now.advanced(bySeconds: seconds))
    }

    private static func find(
        _ store: any ResponseStore, _ id: String, owner: String? = "key:1", turns: Int = 100, bytes: Int = 1 << 20
    ) async throws -> StoredConversation {
        try await store.conversation(id, owner: owner, now: Self.now, turnsMax: turns, bytesMax: bytes)
    }

    private static func givesBack(_ store: any ResponseStore) async throws {
        var elsewhere = Self.response("resp_2")
        elsewhere.place = .deployment(id: "d-1", account: "a-1")
        try await store.insert([Self.response("resp_1", bytes: 0), elsewhere])
        try await store.insert([])
        #expect(try await Self.find(store, "resp_1").turns == [Self.response("resp_1", bytes: 0)])
        #expect(try await Self.find(store, "resp_2").turns == [elsewhere])
        #expect(try await Self.find(store, "resp_3") == StoredConversation(turns: [], isCut: false))
    }

    private static func keepsHostile(_ store: any ResponseStore) async throws {
        for text in LedgerSample.hostileTexts where !text.isEmpty {
            var response = Self.response(text, owner: text)
            response.place = .content(Array(0...255) + Array(text.utf8))
            try await store.insert([response])
            #expect(try await Self.find(store, text, owner: text).turns == [response])
            var elsewhere = Self.response("at " + text, owner: text)
            elsewhere.place = .deployment(id: text, account: text)
            try await store.insert([elsewhere])
            #expect(try await Self.find(store, "at " + text, owner: text).turns == [elsewhere])
        }
    }

    private static func keepsFirst(_ store: any ResponseStore) async throws {
        try await store.insert([Self.response("resp_1")])
        try await store.insert([Self.response("resp_1", owner: "key:2", bytes: 3), Self.response("resp_2")])
        #expect(try await Self.find(store, "resp_1", owner: nil).turns == [Self.response("resp_1")])
        #expect(try await Self.find(store, "resp_2").turns.count == 1)
    }

    private static func follows(_ store: any ResponseStore) async throws {
        try await store.insert([
            Self.response("resp_1"), Self.response("resp_2", previous: "resp_1"),
            Self.response("resp_3", previous: "resp_2"), Self.response("fork", previous: "resp_1"),
            Self.response("orphan", previous: "resp_0"),
        ])
        #expect(try await Self.find(store, "resp_3").turns.map(\.id) == ["resp_3", "resp_2", "resp_1"])
        #expect(try await Self.find(store, "fork").turns.map(\.id) == ["fork", "resp_1"])
        let orphan = try await Self.find(store, "orphan")
        #expect(orphan.turns.map(\.previousID) == ["resp_0"] && !orphan.isCut)
    }

    private static func cuts(_ store: any ResponseStore) async throws {
        try await store.insert(
            (1...9).map { Self.response("resp_\($0)", previous: $0 > 1 ? "resp_\($0 - 1)" : nil, bytes: 100) })
        for turns in 1...8 {
            let found = try await Self.find(store, "resp_9", turns: turns)
            #expect(found.turns.count == turns && found.isCut)
        }
        #expect(try await Self.find(store, "resp_9", turns: 9).isCut == false)
        for bytes in [0, 99, 100, 199] {
            let found = try await Self.find(store, "resp_9", bytes: bytes)
            #expect(found.turns.map(\.id) == ["resp_9"] && found.isCut)
        }
        #expect(try await Self.find(store, "resp_9", bytes: 250).turns.count == 2)
        let whole = try await Self.find(store, "resp_9", bytes: 900)
        #expect(whole.turns.count == 9 && !whole.isCut)
    }

    private static func hides(_ store: any ResponseStore) async throws {
        try await store.insert([
            Self.response("resp_1", owner: "team:a"), Self.response("resp_2", owner: "key:1", previous: "resp_1"),
        ])
        #expect(try await Self.find(store, "resp_1").turns.isEmpty)
        #expect(try await Self.find(store, "resp_1", owner: "team:b").turns.isEmpty)
        #expect(try await Self.find(store, "resp_1", owner: "team:a").turns.count == 1)
        #expect(try await Self.find(store, "resp_1", owner: nil).turns.count == 1)
        // What came before belongs to somebody else: nobody is shown the two together.
        #expect(try await Self.find(store, "resp_2", owner: nil).turns.map(\.id) == ["resp_2"])
    }

    private static func ends(_ store: any ResponseStore) async throws {
        try await store.insert((0..<700).map { Self.response("old_\($0)", endsIn: $0 % 2 == 0 ? 0 : -1) })
        try await store.insert([Self.response("resp_1", endsIn: 1), Self.response("next", previous: "old_0")])
        #expect(try await Self.find(store, "old_0").turns.isEmpty)
        #expect(try await Self.find(store, "next").turns.map(\.id) == ["next"])
        #expect(try await store.deleteResponses(endedBy: Self.now) == 700)
        #expect(try await store.deleteResponses(endedBy: Self.now) == 0)
        #expect(try await Self.find(store, "resp_1").turns.count == 1)
    }

    private static func deletes(_ store: any ResponseStore) async throws {
        try await store.insert([Self.response("resp_1"), Self.response("resp_2", previous: "resp_1")])
        #expect(try await store.deleteResponse("resp_1", owner: "key:2") == false)
        #expect(try await store.deleteResponse("resp_1", owner: "key:1"))
        #expect(try await store.deleteResponse("resp_1", owner: "key:1") == false)
        #expect(try await Self.find(store, "resp_2").turns.map(\.id) == ["resp_2"])
        #expect(try await store.deleteResponse("resp_2", owner: nil))
    }

    private static func takesMany(_ store: any ResponseStore) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for side in 0..<8 {
                group.addTask {
                    for round in 0..<10 {
                        // All sides write all identifiers, in different orders.
                        let numbers = (0..<20).map { ($0 * (side + 1) + round) % 20 }
                        try await store.insert(Set(numbers).map { Self.response("resp_\($0)") })
                    }
                }
            }
            try await group.waitForAll()
        }
        for number in 0..<20 { #expect(try await Self.find(store, "resp_\(number)").turns.count == 1) }
    }
}
