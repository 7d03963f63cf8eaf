import GatewayCore

/// A deployment that was added by the management API (`/model/new`), as the store keeps it.
package struct StoredModel: Sendable, Equatable {
    /// LiteLLM's `model_info.id`; unique.
    package var modelID: String
    /// The model group that callers name.
    package var modelName: String
    /// `litellm_params` as a JSON object. Values that are secret (`api_key` and the like) are sealed text
    /// (`SecretBox`), never plain.
    package var parameters: String
    /// `model_info` as a JSON object.
    package var info: String
    package var createdBy: String
    package var createdAt: UnixMicroseconds
    package var updatedAt: UnixMicroseconds

    package init(
        modelID: String, modelName: String, parameters: String, info: String, createdBy: String,
        createdAt: UnixMicroseconds, updatedAt: UnixMicroseconds
    ) {
        self.modelID = modelID
        self.modelName = modelName
        self.parameters = parameters
        self.info = info
        self.createdBy = createdBy
        self.createdAt = createdAt
        self.updatedAt = updatedAt
    }
}

/// A named set of provider credentials (`/credentials`), which models refer to by `litellm_credential_name`.
package struct StoredCredential: Sendable, Equatable {
    /// Unique.
    package var name: String
    /// `credential_values` as a JSON object; every value is sealed text (`SecretBox`).
    package var values: String
    /// `credential_info` as a JSON object.
    package var info: String
    package var createdAt: UnixMicroseconds
    package var updatedAt: UnixMicroseconds

    package init(
        name: String, values: String, info: String, createdAt: UnixMicroseconds, updatedAt: UnixMicroseconds
    ) {
        self.name = name
        self.values = values
        self.info = info
        self.createdAt = createdAt
        self.updatedAt = updatedAt
    }
}

/// Models and credentials that the management API adds beside the configuration file. Every mutation bumps the change
/// log (`Change.Kind.model`, `.credential`) in its own transaction. Every conformance passes `ModelStoreConformance`.
package protocol ModelStore: Sendable {
    /// - Throws: `.conflict` when the identifier is taken.
    func insert(_ model: StoredModel) async throws(LedgerError)
    /// Replaces the model of the same identifier if, and only if, it still stands as it was changed at `former`; its
    /// `createdAt` and `createdBy` stay. So two pods that change a model at once cannot undo each other's change.
    /// - Parameter former: `updatedAt` of what the change was made from; the new `updatedAt` must be later.
    /// - Throws: `.notFound`; `.conflict` when it was changed since: read it again and repeat.
    func update(_ model: StoredModel, from former: UnixMicroseconds) async throws(LedgerError)
    /// - Throws: `.notFound`.
    func deleteModel(_ modelID: String) async throws(LedgerError)
    func model(_ modelID: String) async throws(LedgerError) -> StoredModel?
    /// By creation time, then identifier; at most 10,000.
    func models() async throws(LedgerError) -> [StoredModel]
    /// - Throws: `.conflict` when the name is taken.
    func insert(_ credential: StoredCredential) async throws(LedgerError)
    /// Replaces the credential of the same name as `update` of a model does; its `createdAt` stays.
    /// - Throws: `.notFound`, `.conflict`, as for a model.
    func update(_ credential: StoredCredential, from former: UnixMicroseconds) async throws(LedgerError)
    /// - Throws: `.notFound`.
    func deleteCredential(_ name: String) async throws(LedgerError)
    func credential(_ name: String) async throws(LedgerError) -> StoredCredential?
    /// By name; at most 10,000.
    func credentials() async throws(LedgerError) -> [StoredCredential]
    /// Replaces every sealed text by what `reseal` makes of it, all in one transaction, or nothing: for the rotation
    /// of the salt key.
    /// - Returns: how many models and credentials were changed.
    func reseal(
        _ model: @Sendable (StoredModel) throws(LedgerError) -> StoredModel,
        _ credential: @Sendable (StoredCredential) throws(LedgerError) -> StoredCredential
    ) async throws(LedgerError) -> Int
}
