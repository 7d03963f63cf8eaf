import GatewayCore
import GatewayLedger

/// Models and credentials in memory: the reference that the stores on databases are compared with.
package actor MemoryModelStore: ModelStore {
    private let log: MemoryChangeLog
    private var modelsByID: [String: StoredModel] = [:]
    private var credentialsByName: [String: StoredCredential] = [:]

    /// - Parameter log: gets an entry for each mutation.
    package init(log: MemoryChangeLog = MemoryChangeLog()) { self.log = log }

    package func insert(_ model: StoredModel) async throws(LedgerError) {
        guard self.modelsByID[model.modelID] == nil else { throw .conflict("the model exists") }
        self.modelsByID[model.modelID] = model
        self.log.append(.model, model.modelID)
    }

    package func update(_ model: StoredModel, from updatedAt: UnixMicroseconds) async throws(LedgerError) {
        guard let former = self.modelsByID[model.modelID] else { throw .notFound("no such model") }
        guard former.updatedAt == updatedAt else { throw .conflict("the model was changed") }
        var model = model
        model.createdAt = former.createdAt
        model.createdBy = former.createdBy
        self.modelsByID[model.modelID] = model
        self.log.append(.model, model.modelID)
    }

    package func deleteModel(_ modelID: String) async throws(LedgerError) {
        guard self.modelsByID.removeValue(forKey: modelID) != nil else { throw .notFound("no such model") }
        self.log.append(.model, modelID)
    }

    package func model(_ modelID: String) async throws(LedgerError) -> StoredModel? { self.modelsByID[modelID] }

    package func models() async throws(LedgerError) -> [StoredModel] {
        Array(self.modelsByID.values.sorted { ($0.createdAt, $0.modelID) < ($1.createdAt, $1.modelID) }.prefix(10_000))
    }

    package func insert(_ credential: StoredCredential) async throws(LedgerError) {
        guard self.credentialsByName[credential.name] == nil else { throw .conflict("the credential exists") }
        self.credentialsByName[credential.name] = credential
        self.log.append(.credential, credential.name)
    }

    package func update(_ credential: StoredCredential, from updatedAt: UnixMicroseconds) async throws(LedgerError) {
        guard let former = self.credentialsByName[credential.name] else { throw .notFound("no such credential") }
        guard former.updatedAt == updatedAt else { throw .conflict("the credential was changed") }
        var credential = credential
        credential.createdAt = former.createdAt
        self.credentialsByName[credential.name] = credential
        self.log.append(.credential, credential.name)
    }

    package func deleteCredential(_ name: String) async throws(LedgerError) {
        guard self.credentialsByName.removeValue(forKey: name) != nil else { throw .notFound("no such credential") }
        self.log.append(.credential, name)
    }

    package func credential(_ name: String) async throws(LedgerError) -> StoredCredential? {
        self.credentialsByName[name]
    }

    package func credentials() async throws(LedgerError) -> [StoredCredential] {
        Array(self.credentialsByName.values.sorted { $0.name < $1.name }.prefix(10_000))
    }

    package func reseal(
        _ model: @Sendable (StoredModel) throws(LedgerError) -> StoredModel,
        _ credential: @Sendable (StoredCredential) throws(LedgerError) -> StoredCredential
    ) async throws(LedgerError) -> Int {
        var models: [StoredModel] = []
        for former in try await self.models() {
            let resealed = try model(former)
            if resealed != former { models.append(resealed) }
        }
        var credentials: [StoredCredential] = []
        for former in try await self.credentials() {
            let resealed = try credential(former)
            if resealed != former { credentials.append(resealed) }
        }
        for model in models { try await self.update(model, from: model.updatedAt) }
        for credential in credentials { try await self.update(credential, from: credential.updatedAt) }
        return models.count + credentials.count
    }
}
