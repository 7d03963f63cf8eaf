import GatewayCore
import GatewayLedger
import Testing

/// What every `EntityStore` must do; used as `LedgerStoreBehaviour`.
package struct EntityStoreBehaviour: Sendable, CustomTestStringConvertible {
    /// A fresh, empty store and a look at the change log that it writes to.
    package struct Subject: Sendable {
        package let store: any EntityStore
        /// All entries, oldest first.
        package let changes: @Sendable () async throws -> [Change]

        package init(store: any EntityStore, changes: @escaping @Sendable () async throws -> [Change]) {
            self.store = store
            self.changes = changes
        }
    }

    /// Gives a fresh subject at each call.
    package typealias Factory = @Sendable () async throws -> Subject

    package let name: String
    package let check: @Sendable (Factory) async throws -> Void

    package var testDescription: String { self.name }
}

package enum EntityStoreConformance {
    package static let behaviours = [
        EntityStoreBehaviour(name: "gives entities of every kind back as they were") { try await keepsFields($0()) },
        EntityStoreBehaviour(name: "keeps hostile text") { try await keepsHostileText($0()) },
        EntityStoreBehaviour(name: "refuses an identifier that is taken") { try await refusesTaken($0()) },
        EntityStoreBehaviour(name: "replaces only what stands at its revision") { try await replaces($0()) },
        EntityStoreBehaviour(name: "carries out all writes or none") { try await isAtomic($0()) },
        EntityStoreBehaviour(name: "deletes what exists") { try await deletes($0()) },
        EntityStoreBehaviour(name: "filters, newest first") { try await filters($0()) },
        EntityStoreBehaviour(name: "walks through everything in pages") { try await walks($0()) },
        EntityStoreBehaviour(name: "logs each change without gaps") { try await logsChanges($0()) },
        EntityStoreBehaviour(name: "lets one of many replacements win") { try await oneReplacementWins($0()) },
    ]

    private static func entity(_ kind: EntityKind, _ id: String, age: Int64 = 0) -> EntityRecord {
        EntityRecord(
            id: EntityID(kind, id), alias: nil, email: nil, role: nil, parent: nil, member: nil, fields: "{}",
            createdBy: "admin", createdAt: UnixMicroseconds(rawValue: 1_763_800_000_000_000 - age),
            updatedAt: UnixMicroseconds(rawValue: 7), revision: 1)
    }

    private static func full(_ kind: EntityKind) -> EntityRecord {
        var entity = Self.entity(kind, "id of \(kind.name)")
        entity.alias = "alias"
        entity.email = "ann@example.com"
        entity.role = "admin"
        entity.parent = ""
        entity.member = "ann"
        entity.fields = #"{"models":["a",null],"max_budget":1.5}"#
        return entity
    }

    private static func keepsFields(_ subject: EntityStoreBehaviour.Subject) async throws {
        for kind in EntityKind.allCases {
            for entity in [Self.entity(kind, "bare"), Self.full(kind)] {
                try await subject.store.write([.insert(entity)])
                #expect(try await subject.store.entity(entity.id) == entity)
            }
        }
        #expect(try await subject.store.entity(EntityID(.user, "nobody")) == nil)
        #expect(try await subject.store.entity(EntityID(.user, "id of team")) == nil)
    }

    private static func keepsHostileText(_ subject: EntityStoreBehaviour.Subject) async throws {
        let texts = [
            "", "'; DROP TABLE entity; --", "a\u{0}b", "\u{1}0", "ü\u{308}🙂", String(repeating: "x", count: 9000),
        ]
        for text in texts {
            var entity = Self.full(.tag)
            entity.id = EntityID(.tag, text)
            entity.alias = text
            entity.fields = "{\"a\":\(jsonQuoted(text))}"
            try await subject.store.write([.insert(entity)])
            #expect(try await subject.store.entity(entity.id) == entity)
            entity.parent = text
            try await subject.store.write([.replace(entity)])
            #expect(try await subject.store.entity(entity.id)?.parent == text)
        }
        #expect(try await subject.changes().map(\.reference).last == "tag " + texts[5])
    }

    private static func refusesTaken(_ subject: EntityStoreBehaviour.Subject) async throws {
        let entity = Self.entity(.team, "t")
        try await subject.store.write([.insert(entity)])
        await Self.expectConflict { () async throws(LedgerError) in
            try await subject.store.write([.insert(Self.full(.tag)), .insert(entity)])
        }
        #expect(try await subject.store.entity(Self.full(.tag).id) == nil)
        try await subject.store.write([.insert(Self.entity(.organization, "t"))])
    }

    private static func replaces(_ subject: EntityStoreBehaviour.Subject) async throws {
        let first = Self.entity(.team, "t")
        try await subject.store.write([.insert(first)])
        var next = Self.full(.team)
        next.id = first.id
        next.createdBy = "somebody else"
        next.createdAt = UnixMicroseconds(rawValue: 1)
        next.updatedAt = UnixMicroseconds(rawValue: 99)
        try await subject.store.write([.replace(next)])
        var wanted = next
        wanted.createdBy = first.createdBy
        wanted.createdAt = first.createdAt
        wanted.revision = 2
        #expect(try await subject.store.entity(first.id) == wanted)
        await Self.expectConflict { () async throws(LedgerError) in try await subject.store.write([.replace(next)]) }
        await Self.expectConflict { () async throws(LedgerError) in
            try await subject.store.write([.replace(Self.entity(.team, "missing"))])
        }
        #expect(try await subject.store.entity(first.id) == wanted)
    }

    private static func isAtomic(_ subject: EntityStoreBehaviour.Subject) async throws {
        try await subject.store.write([.insert(Self.entity(.team, "a")), .insert(Self.entity(.team, "b"))])
        var stale = Self.entity(.team, "b")
        stale.revision = 2
        await Self.expectConflict { () async throws(LedgerError) in
            try await subject.store.write([
                .delete(EntityID(.team, "a")), .insert(Self.entity(.team, "c")), .replace(stale),
            ])
        }
        #expect(try await subject.store.entity(EntityID(.team, "a")) != nil)
        #expect(try await subject.store.entity(EntityID(.team, "c")) == nil)
        #expect(try await subject.changes().count == 2)
        try await subject.store.write([
            .delete(EntityID(.team, "a")), .insert(Self.entity(.team, "c")), .replace(Self.entity(.team, "b")),
        ])
        #expect(try await subject.changes().map(\.reference) == ["team a", "team b", "team a", "team c", "team b"])
        try await subject.store.write([])
    }

    private static func deletes(_ subject: EntityStoreBehaviour.Subject) async throws {
        try await subject.store.write([.insert(Self.entity(.user, "ann"))])
        try await subject.store.write([.delete(EntityID(.user, "ann")), .delete(EntityID(.user, "nobody"))])
        #expect(try await subject.store.entity(EntityID(.user, "ann")) == nil)
        #expect(try await subject.changes().count == 2)
        try await subject.store.write([.insert(Self.entity(.user, "ann"))])
        #expect(try await subject.store.entity(EntityID(.user, "ann"))?.revision == 1)
    }

    private static func filters(_ subject: EntityStoreBehaviour.Subject) async throws {
        for number in 1...9 as ClosedRange<Int64> {
            var entity = Self.entity(.teamMember, "member \(number)", age: number)
            entity.parent = number % 2 == 0 ? "even" : "odd"
            entity.member = "user \(number % 3)"
            entity.role = number > 6 ? "admin" : "user"
            entity.alias = number == 4 ? "four" : nil
            entity.email = number == 5 ? "Five@example.com" : nil
            try await subject.store.write([.insert(entity)])
        }
        try await subject.store.write([.insert(Self.entity(.user, "member 3"))])
        func list(offset: Int = 0, limit: Int = 100, _ edit: (inout EntityQuery) -> Void) async throws -> (String, Int)
        {
            var query = EntityQuery(.teamMember, offset: offset, limit: limit)
            edit(&query)
            let (records, total) = try await subject.store.entities(query)
            return (records.map { String($0.id.text.suffix(1)) }.joined(), total)
        }
        #expect(try await list { _ in } == ("123456789", 9))
        #expect(try await list(offset: 2, limit: 3) { _ in } == ("345", 9))
        #expect(try await list(offset: 20) { _ in } == ("", 9))
        #expect(try await list { $0.parent = "odd" } == ("13579", 5))
        #expect(try await list { ($0.parent, $0.member) = ("odd", "user 0") } == ("39", 2))
        #expect(try await list { $0.role = "admin" } == ("789", 3))
        #expect(try await list { $0.alias = "four" } == ("4", 1))
        #expect(try await list { $0.email = "Five@example.com" } == ("5", 1))
        #expect(try await list { $0.search = "our" } == ("4", 1))
        #expect(try await list { $0.search = "example" } == ("5", 1))
        #expect(try await list { $0.search = "ber 7" } == ("7", 1))
        #expect(try await list { $0.search = "%" } == ("", 0))
        #expect(try await list { $0.ids = ["member 2", "member 2", "member 8", "none"] } == ("28", 2))
        #expect(try await list { $0.ids = [] } == ("", 0))
    }

    private static func walks(_ subject: EntityStoreBehaviour.Subject) async throws {
        var wanted: Set<EntityID> = []
        for kind in EntityKind.allCases {
            let entities = (0..<5).map { Self.entity(kind, $0 == 0 ? "" : "e\($0)") }
            try await subject.store.write(entities.map { .insert($0) })
            wanted.formUnion(entities.map(\.id))
        }
        var seen: [EntityID] = []
        while true {
            let page = try await subject.store.entities(after: seen.last, limit: 4)
            seen += page.map(\.id)
            if page.count < 4 { break }
        }
        #expect(seen.count == wanted.count && Set(seen) == wanted)
    }

    private static func logsChanges(_ subject: EntityStoreBehaviour.Subject) async throws {
        let member = EntityID.teamMember(team: "t 1", user: "ann")
        let (team, tag) = (Self.entity(.team, "t 1"), Self.entity(.tag, "x"))
        try await subject.store.write([
            .insert(team), .insert(Self.entity(.teamMember, member.text)), .insert(tag),
        ])
        try await subject.store.write([.replace(team), .delete(tag.id)])
        let changes = try await subject.changes()
        let first = try #require(changes.first?.position)
        #expect(changes.map(\.position) == Array(first..<(first + 5)))
        #expect(changes.allSatisfy { $0.kind == .entity })
        let references = changes.map { EntityID(reference: $0.reference) }
        #expect(references == [team.id, member, tag.id, team.id, tag.id])
    }

    private static func oneReplacementWins(_ subject: EntityStoreBehaviour.Subject) async throws {
        try await subject.store.write([.insert(Self.entity(.team, "t")), .insert(Self.entity(.tag, "x"))])
        let wins = try await withThrowingTaskGroup(of: Int.self) { group in
            for number in 0..<8 {
                group.addTask {
                    var (team, tag) = (Self.entity(.team, "t"), Self.entity(.tag, "x"))
                    (team.alias, tag.alias) = ("\(number)", "\(number)")
                    let writes: [EntityWrite] = [.replace(team), .replace(tag)]
                    do throws(LedgerError) {
                        try await subject.store.write(number % 2 == 0 ? writes : writes.reversed())
                        return 1
                    } catch .conflict {
                        return 0
                    }
                }
            }
            return try await group.reduce(0, +)
        }
        #expect(wins == 1)
        let (team, tag) = (EntityID(.team, "t"), EntityID(.tag, "x"))
        #expect(try await subject.store.entity(team)?.alias == subject.store.entity(tag)?.alias)
        #expect(try await subject.store.entity(team)?.revision == 2)
    }

    private static func expectConflict(_ body: () async throws(LedgerError) -> Void) async {
        do {
            try await body()
            Issue.record("what contradicts the store was accepted")
        } catch {
            guard case .conflict = error else {
                Issue.record("\(error) instead of a conflict")
                return
            }
        }
    }

    /// What a store that is a ledger as well must answer for the spend of users, teams and members.
    package static func countsSpend(_ store: any EntityStore & LedgerStore) async throws {
        let payers: [(user: String?, team: String?)] = [
            ("ann", "t"), ("ann", nil), ("bob", "t"), (nil, "t"), (nil, nil),
        ]
        let events = payers.enumerated().map { index, owner in
            var event = UsageEvent.sample(
                index + 1,
                payer: PayerIdentity(
                    keyID: VirtualKeyID(UUIDBits(high: 9, low: UInt64(index))),
                    digest: KeyDigest((1, 2, 3, UInt64(index))), userID: owner.user, teamID: owner.team))
            event.cost = NanoUSD(rawValue: Int64(1) << (index * 4))
            return event
        }
        let position = try await store.takeStream(JournalID(UUIDBits(high: 7, low: 7)))
        _ = try await store.append(events, at: position)
        _ = try await store.fold()
        func spend(_ kind: EntityKind, _ ids: String...) async throws -> [String: Int64] {
            try await store.spend(of: kind, ids: ids).mapValues(\.rawValue)
        }
        #expect(try await spend(.user, "ann", "bob", "nobody") == ["ann": 0x11, "bob": 0x100])
        #expect(try await spend(.team, "t", "u") == ["t": 0x1101])
        #expect(try await spend(.teamMember, "t\nann", "t\nbob", "t\nnobody", "t") == ["t\nann": 1, "t\nbob": 0x100])
        #expect(try await spend(.budget, "b") == [:])
        #expect(try await spend(.user) == [:])
    }
}
