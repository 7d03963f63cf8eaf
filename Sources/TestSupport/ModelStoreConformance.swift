import GatewayCore
import GatewayLedger
import Testing

/// What every `ModelStore` must do; used as `LedgerStoreBehaviour`.
package struct ModelStoreBehaviour: Sendable, CustomTestStringConvertible {
    /// A fresh, empty store and a look at the change log that it writes to.
    package struct Subject: Sendable {
        package let store: any ModelStore
        /// All entries, oldest first.
        package let changes: @Sendable () async throws -> [Change]

        package init(store: any ModelStore, changes: @escaping @Sendable () async throws -> [Change]) {
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

package enum ModelStoreConformance {
    package static let behaviours = [
        ModelStoreBehaviour(name: "gives models and credentials back as they were") { try await keepsFields($0()) },
        ModelStoreBehaviour(name: "keeps hostile text") { try await keepsHostileText($0()) },
        ModelStoreBehaviour(name: "refuses a name that is taken") { try await refusesTaken($0()) },
        ModelStoreBehaviour(name: "updates all but the creation") { try await updates($0()) },
        ModelStoreBehaviour(name: "deletes, and says what is missing") { try await deletes($0()) },
        ModelStoreBehaviour(name: "lists in order") { try await lists($0()) },
        ModelStoreBehaviour(name: "logs each change without gaps") { try await logsChanges($0()) },
        ModelStoreBehaviour(name: "seals anew everything or nothing") { try await reseals($0()) },
        ModelStoreBehaviour(name: "lets one of many inserts win") { try await oneInsertWins($0()) },
        ModelStoreBehaviour(name: "lets one of many updates of the same version win") { try await oneUpdateWins($0()) },
    ]

    private static func model(_ number: Int, name: String = "group") -> StoredModel {
        StoredModel(
            modelID: "model-\(number)", modelName: name, parameters: #"{"model":"openai/gpt-\#(number)"}"#, info: "{}",
            createdBy: "admin", createdAt: UnixMicroseconds(rawValue: 1_763_800_000_000_000 + Int64(number / 2)),
            updatedAt: UnixMicroseconds(rawValue: 1_763_800_000_000_007))
    }

    private static func credential(_ number: Int) -> StoredCredential {
        StoredCredential(
            name: "credential-\(number)", values: #"{"api_key":"sealed-\#(number)"}"#, info: #"{"a":[null]}"#,
            createdAt: UnixMicroseconds(rawValue: -5), updatedAt: UnixMicroseconds(rawValue: 6))
    }

    private static func keepsFields(_ subject: ModelStoreBehaviour.Subject) async throws {
        let store = subject.store
        try await store.insert(Self.model(1))
        try await store.insert(Self.credential(1))
        #expect(try await store.model("model-1") == Self.model(1))
        #expect(try await store.credential("credential-1") == Self.credential(1))
        #expect(try await store.model("model-2") == nil)
        #expect(try await store.credential("model-1") == nil)
    }

    private static func keepsHostileText(_ subject: ModelStoreBehaviour.Subject) async throws {
        for text in LedgerSample.hostileTexts {
            var (model, credential) = (Self.model(1), Self.credential(1))
            (model.modelID, model.modelName, model.parameters) = (text, text, text)
            (model.info, model.createdBy) = (text, text)
            (credential.name, credential.values, credential.info) = (text, text, text)
            try await subject.store.insert(model)
            try await subject.store.insert(credential)
            #expect(try await subject.store.model(text) == model)
            #expect(try await subject.store.credential(text) == credential)
        }
        #expect(try await subject.store.models().count == LedgerSample.hostileTexts.count)
        #expect(try await subject.store.credentials().count == LedgerSample.hostileTexts.count)
    }

    private static func refusesTaken(_ subject: ModelStoreBehaviour.Subject) async throws {
        let store = subject.store
        try await store.insert(Self.model(1))
        try await store.insert(Self.credential(1))
        await Self.expect(.conflict) { () async throws(LedgerError) in
            try await store.insert(Self.model(1, name: "other"))
        }
        await Self.expect(.conflict) { () async throws(LedgerError) in try await store.insert(Self.credential(1)) }
        #expect(try await store.model("model-1") == Self.model(1))
        #expect(try await subject.changes().count == 2)
    }

    private static func updates(_ subject: ModelStoreBehaviour.Subject) async throws {
        let store = subject.store
        try await store.insert(Self.model(1))
        try await store.insert(Self.credential(1))
        var (model, credential) = (Self.model(1, name: "renamed"), Self.credential(1))
        model.parameters = #"{"model":"other"}"#
        model.info = #"{"mode":"chat"}"#
        model.updatedAt = UnixMicroseconds(rawValue: 99)
        credential.values = "{}"
        credential.info = "{}"
        credential.updatedAt = UnixMicroseconds(rawValue: 98)
        var (changedModel, changedCredential) = (model, credential)
        changedModel.createdAt = UnixMicroseconds(rawValue: 1)
        changedModel.createdBy = "somebody else"
        changedCredential.createdAt = UnixMicroseconds(rawValue: 1)
        let (modelAt, credentialAt) = (Self.model(1).updatedAt, Self.credential(1).updatedAt)
        try await store.update(changedModel, from: modelAt)
        try await store.update(changedCredential, from: credentialAt)
        #expect(try await store.model("model-1") == model)
        #expect(try await store.credential("credential-1") == credential)
        await Self.expect(.notFound) { () async throws(LedgerError) in
            try await store.update(Self.model(2), from: modelAt)
        }
        await Self.expect(.notFound) { () async throws(LedgerError) in
            try await store.update(Self.credential(2), from: credentialAt)
        }
        // What was changed since cannot be replaced.
        await Self.expect(.conflict) { () async throws(LedgerError) in
            try await store.update(Self.model(1), from: modelAt)
        }
        await Self.expect(.conflict) { () async throws(LedgerError) in
            try await store.update(Self.credential(1), from: credentialAt)
        }
        #expect(try await store.model("model-1") == model)
        #expect(try await store.credential("credential-1") == credential)
        #expect(try await subject.changes().count == 4)
    }

    private static func deletes(_ subject: ModelStoreBehaviour.Subject) async throws {
        let store = subject.store
        try await store.insert(Self.model(1))
        try await store.insert(Self.credential(1))
        try await store.deleteModel("model-1")
        try await store.deleteCredential("credential-1")
        #expect(try await store.models() == [])
        #expect(try await store.credentials() == [])
        await Self.expect(.notFound) { () async throws(LedgerError) in try await store.deleteModel("model-1") }
        await Self.expect(.notFound) { () async throws(LedgerError) in
            try await store.deleteCredential("credential-1")
        }
        try await store.insert(Self.model(1, name: "again"))
        #expect(try await store.model("model-1")?.modelName == "again")
    }

    private static func lists(_ subject: ModelStoreBehaviour.Subject) async throws {
        for number in [5, 3, 2, 4, 9, 1] {
            try await subject.store.insert(Self.model(number))
            try await subject.store.insert(Self.credential(number))
        }
        #expect(try await subject.store.models() == [1, 2, 3, 4, 5, 9].map { Self.model($0) })
        #expect(try await subject.store.credentials() == [1, 2, 3, 4, 5, 9].map { Self.credential($0) })
    }

    private static func logsChanges(_ subject: ModelStoreBehaviour.Subject) async throws {
        let store = subject.store
        try await store.insert(Self.model(1))
        try await store.insert(Self.credential(1))
        try await store.update(Self.model(1), from: Self.model(1).updatedAt)
        try await store.deleteCredential("credential-1")
        try await store.deleteModel("model-1")
        let changes = try await subject.changes()
        let first = try #require(changes.first?.position)
        #expect(changes.map(\.position) == Array(first..<(first + 5)))
        #expect(changes.map(\.kind) == [.model, .credential, .model, .credential, .model])
        #expect(
            changes.map(\.reference) == ["model-1", "credential-1", "model-1", "credential-1", "model-1"])
    }

    private static func reseals(_ subject: ModelStoreBehaviour.Subject) async throws {
        let store = subject.store
        for number in 1...3 {
            try await store.insert(Self.model(number))
            try await store.insert(Self.credential(number))
        }
        await Self.expect(.corrupt) { () async throws(LedgerError) in
            _ = try await store.reseal(
                { Self.resealed($0) },
                { credential throws(LedgerError) in
                    if credential.name == "credential-3" { throw .corrupt("sealed with another key") }
                    return Self.resealed(credential)
                })
        }
        #expect(try await store.models() == (1...3).map { Self.model($0) })
        #expect(try await store.credentials() == (1...3).map { Self.credential($0) })
        let changed = try await store.reseal(
            { $0.modelID == "model-2" ? $0 : Self.resealed($0) }, { Self.resealed($0) })
        #expect(changed == 5)
        #expect(try await store.model("model-1") == Self.resealed(Self.model(1)))
        #expect(try await store.model("model-2") == Self.model(2))
        #expect(try await store.credential("credential-3") == Self.resealed(Self.credential(3)))
    }

    private static func resealed(_ model: StoredModel) -> StoredModel {
        var model = model
        model.parameters = #"{"sealed":"anew"}"#
        return model
    }

    private static func resealed(_ credential: StoredCredential) -> StoredCredential {
        var credential = credential
        credential.values = #"{"sealed":"anew"}"#
        return credential
    }

    private static func oneInsertWins(_ subject: ModelStoreBehaviour.Subject) async throws {
        let wins = await withTaskGroup(of: Bool.self) { group in
            for number in 0..<8 {
                group.addTask {
                    do {
                        try await subject.store.insert(Self.model(1, name: "by \(number)"))
                        return true
                    } catch {
                        return false
                    }
                }
            }
            return await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
        }
        #expect(wins == 1)
        #expect(try await subject.changes().count == 1)
    }

    private static func oneUpdateWins(_ subject: ModelStoreBehaviour.Subject) async throws {
        try await subject.store.insert(Self.model(1))
        let wins = await withTaskGroup(of: Int?.self) { group in
            for number in 0..<8 {
                group.addTask {
                    var model = Self.model(1, name: "by \(number)")
                    model.updatedAt = UnixMicroseconds(rawValue: model.updatedAt.rawValue + 1)
                    do {
                        try await subject.store.update(model, from: Self.model(1).updatedAt)
                        return number
                    } catch {
                        if case .conflict = error as? LedgerError { return nil }
                        return -1
                    }
                }
            }
            return await group.reduce(into: []) { $0 += $1.map { [$0] } ?? [] }
        }
        #expect(wins.count == 1)
        #expect(try await subject.store.model("model-1")?.modelName == wins.first.map { "by \($0)" })
        #expect(try await subject.changes().count == 2)
    }

    private enum Kind { case conflict, notFound, corrupt }

    private static func expect(_ wanted: Kind, _ body: () async throws(LedgerError) -> Void) async {
        do {
            try await body()
            Issue.record("accepted instead of refused as \(wanted)")
        } catch {
            switch (error, wanted) {
            case (.conflict, .conflict), (.notFound, .notFound), (.corrupt, .corrupt): break
            default: Issue.record("\(error) instead of \(wanted)")
            }
        }
    }
}
