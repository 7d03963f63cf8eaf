import GRDB
import GatewayCore
import GatewayLedger

extension SQLiteStore: ModelStore {
    package func insert(_ model: StoredModel) async throws(LedgerError) {
        try await self.write { database in
            if try ModelTable.hasModel(database, model.modelID) {
                throw LedgerError.conflict(
                    "A model with this identifier is stored already: update it, or choose another.")
            }
            try ModelTable.insert(database, model)
            try Self.logChange(database, .model, reference: model.modelID)
        }
    }

    package func update(_ model: StoredModel, from former: UnixMicroseconds) async throws(LedgerError) {
        try await self.write { database in
            guard let standing = try ModelTable.model(database, model.modelID) else { throw Self.noModel }
            guard standing.updatedAt == former else { throw Self.wasChanged }
            try ModelTable.update(database, model)
            try Self.logChange(database, .model, reference: model.modelID)
        }
    }

    package func deleteModel(_ modelID: String) async throws(LedgerError) {
        try await self.write { database in
            guard try ModelTable.hasModel(database, modelID) else { throw Self.noModel }
            try ModelTable.deleteModel(database, modelID)
            try Self.logChange(database, .model, reference: modelID)
        }
    }

    package func model(_ modelID: String) async throws(LedgerError) -> StoredModel? {
        try await self.read { try ModelTable.model($0, modelID) }
    }

    package func models() async throws(LedgerError) -> [StoredModel] {
        try await self.read { try ModelTable.models($0) }
    }

    package func insert(_ credential: StoredCredential) async throws(LedgerError) {
        try await self.write { database in
            if try ModelTable.hasCredential(database, credential.name) {
                throw LedgerError.conflict("A credential of this name is stored already: update it, or choose another.")
            }
            try ModelTable.insert(database, credential)
            try Self.logChange(database, .credential, reference: credential.name)
        }
    }

    package func update(_ credential: StoredCredential, from former: UnixMicroseconds) async throws(LedgerError) {
        try await self.write { database in
            guard let standing = try ModelTable.credential(database, credential.name) else { throw Self.noCredential }
            guard standing.updatedAt == former else { throw Self.wasChanged }
            try ModelTable.update(database, credential)
            try Self.logChange(database, .credential, reference: credential.name)
        }
    }

    package func deleteCredential(_ name: String) async throws(LedgerError) {
        try await self.write { database in
            guard try ModelTable.hasCredential(database, name) else { throw Self.noCredential }
            try ModelTable.deleteCredential(database, name)
            try Self.logChange(database, .credential, reference: name)
        }
    }

    package func credential(_ name: String) async throws(LedgerError) -> StoredCredential? {
        try await self.read { try ModelTable.credential($0, name) }
    }

    package func credentials() async throws(LedgerError) -> [StoredCredential] {
        try await self.read { try ModelTable.credentials($0) }
    }

    package func reseal(
        _ model: @Sendable (StoredModel) throws(LedgerError) -> StoredModel,
        _ credential: @Sendable (StoredCredential) throws(LedgerError) -> StoredCredential
    ) async throws(LedgerError) -> Int {
        try await self.write { database in
            var changed = 0
            for former in try ModelTable.models(database) {
                let next = try model(former)
                precondition(next.modelID == former.modelID, "resealing must keep the model's identity")
                guard next != former else { continue }
                try ModelTable.update(database, next)
                try Self.logChange(database, .model, reference: next.modelID)
                changed += 1
            }
            for former in try ModelTable.credentials(database) {
                let next = try credential(former)
                precondition(next.name == former.name, "resealing must keep the credential's name")
                guard next != former else { continue }
                try ModelTable.update(database, next)
                try Self.logChange(database, .credential, reference: next.name)
                changed += 1
            }
            return changed
        }
    }

    private static var wasChanged: LedgerError { .conflict("It was changed meanwhile: read it again and repeat.") }
    private static var noModel: LedgerError { .notFound("There is no stored model with this identifier.") }
    private static var noCredential: LedgerError { .notFound("There is no stored credential of this name.") }
}
