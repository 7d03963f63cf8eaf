import GatewayCore
import GatewayLedger

/// A stored model with its secrets in the clear: for the settings of this pod, never for logs and answers.
package struct OpenedModel: Sendable, Equatable, CustomStringConvertible, CustomDebugStringConvertible {
    package var modelID: String
    package var modelName: String
    /// `litellm_params`, an object.
    package var parameters: JSONValue
    /// `model_info`, an object.
    package var info: JSONValue
    package var createdBy: String
    package var createdAt: UnixMicroseconds
    package var updatedAt: UnixMicroseconds

    package init(
        modelID: String, modelName: String, parameters: JSONValue, info: JSONValue, createdBy: String,
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

    package var description: String { "<stored model \(self.modelID)>" }
    package var debugDescription: String { self.description }
}

/// A stored credential in the clear, as `OpenedModel`.
package struct OpenedCredential: Sendable, Equatable, CustomStringConvertible, CustomDebugStringConvertible {
    package var name: String
    /// `credential_values`, an object.
    package var values: JSONValue
    /// `credential_info`, an object.
    package var info: JSONValue
    package var createdAt: UnixMicroseconds
    package var updatedAt: UnixMicroseconds

    package init(
        name: String, values: JSONValue, info: JSONValue, createdAt: UnixMicroseconds, updatedAt: UnixMicroseconds
    ) {
        self.name = name
        self.values = values
        self.info = info
        self.createdAt = createdAt
        self.updatedAt = updatedAt
    }

    package var description: String { "<stored credential>" }
    package var debugDescription: String { self.description }
}

/// What is wrong with one row; only that row is left out.
package struct StoredFault: Sendable, Equatable {
    package var row: StoredRow
    /// What and how to mend it; holds no secret.
    package var message: String

    package init(row: StoredRow, message: String) {
        self.row = row
        self.message = message
    }
}

/// Everything that the store holds of models and credentials, as far as it could be opened.
package struct OpenedModels: Sendable {
    package var models: [OpenedModel] = []
    package var credentials: [OpenedCredential] = []
    /// Rows that could not be opened.
    package var faults: [StoredFault] = []
    /// Rows with sealed values, opened or not.
    package var sealedRows = 0

    package init() {}

    package init(models: [OpenedModel], credentials: [OpenedCredential]) {
        self.models = models
        self.credentials = credentials
    }
}
