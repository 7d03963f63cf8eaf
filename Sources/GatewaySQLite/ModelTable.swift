import GRDB
import GatewayCore
import GatewayLedger

/// Rows of `stored_model` and `stored_credential`. Secrets in them are sealed before they get here.
enum ModelTable {
    /// Rows that one call returns.
    private static let rowsMax: Int64 = 10_000
    private static let modelColumns = "model_id, model_name, parameters, info, created_by, created_at, updated_at"
    private static let credentialColumns = "name, sealed_values, info, created_at, updated_at"

    // MARK: Models

    static func hasModel(_ database: Database, _ modelID: String) throws -> Bool {
        try SQLStatement.first(database, "SELECT 1 FROM stored_model WHERE model_id = ?1", .text(modelID)) { _ in true }
            ?? false
    }

    static func insert(_ database: Database, _ model: StoredModel) throws {
        try SQLStatement.run(
            database, "INSERT INTO stored_model (\(Self.modelColumns)) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            .text(model.modelID), .text(model.modelName), .text(model.parameters), .text(model.info),
            .text(model.createdBy), .integer(model.createdAt.rawValue), .integer(model.updatedAt.rawValue))
    }

    /// Changes everything but who made it, and when.
    static func update(_ database: Database, _ model: StoredModel) throws {
        try SQLStatement.run(
            database,
            "UPDATE stored_model SET model_name = ?2, parameters = ?3, info = ?4, updated_at = ?5 WHERE model_id = ?1",
            .text(model.modelID), .text(model.modelName), .text(model.parameters), .text(model.info),
            .integer(model.updatedAt.rawValue))
    }

    static func deleteModel(_ database: Database, _ modelID: String) throws {
        try SQLStatement.run(database, "DELETE FROM stored_model WHERE model_id = ?1", .text(modelID))
    }

    static func model(_ database: Database, _ modelID: String) throws -> StoredModel? {
        try SQLStatement.first(
            database, "SELECT \(Self.modelColumns) FROM stored_model WHERE model_id = ?1", .text(modelID),
            read: Self.model)
    }

    static func models(_ database: Database) throws -> [StoredModel] {
        try SQLStatement.all(
            database, "SELECT \(Self.modelColumns) FROM stored_model ORDER BY created_at, model_id LIMIT ?1",
            [.integer(Self.rowsMax)], read: Self.model)
    }

    private static func model(_ row: SQLStatement) -> StoredModel {
        StoredModel(
            modelID: row.text(0), modelName: row.text(1), parameters: row.text(2), info: row.text(3),
            createdBy: row.text(4), createdAt: UnixMicroseconds(rawValue: row.integer(5)),
            updatedAt: UnixMicroseconds(rawValue: row.integer(6)))
    }

    // MARK: Credentials

    static func hasCredential(_ database: Database, _ name: String) throws -> Bool {
        try SQLStatement.first(database, "SELECT 1 FROM stored_credential WHERE name = ?1", .text(name)) { _ in true }
            ?? false
    }

    static func insert(_ database: Database, _ credential: StoredCredential) throws {
        try SQLStatement.run(
            database, "INSERT INTO stored_credential (\(Self.credentialColumns)) VALUES (?1, ?2, ?3, ?4, ?5)",
            .text(credential.name), .text(credential.values), .text(credential.info),
            .integer(credential.createdAt.rawValue), .integer(credential.updatedAt.rawValue))
    }

    /// Changes everything but when it was made.
    static func update(_ database: Database, _ credential: StoredCredential) throws {
        try SQLStatement.run(
            database, "UPDATE stored_credential SET sealed_values = ?2, info = ?3, updated_at = ?4 WHERE name = ?1",
            .text(credential.name), .text(credential.values), .text(credential.info),
            .integer(credential.updatedAt.rawValue))
    }

    static func deleteCredential(_ database: Database, _ name: String) throws {
        try SQLStatement.run(database, "DELETE FROM stored_credential WHERE name = ?1", .text(name))
    }

    static func credential(_ database: Database, _ name: String) throws -> StoredCredential? {
        try SQLStatement.first(
            database, "SELECT \(Self.credentialColumns) FROM stored_credential WHERE name = ?1", .text(name),
            read: Self.credential)
    }

    static func credentials(_ database: Database) throws -> [StoredCredential] {
        try SQLStatement.all(
            database, "SELECT \(Self.credentialColumns) FROM stored_credential ORDER BY name LIMIT ?1",
            [.integer(Self.rowsMax)], read: Self.credential)
    }

    private static func credential(_ row: SQLStatement) -> StoredCredential {
        StoredCredential(
            name: row.text(0), values: row.text(1), info: row.text(2),
            createdAt: UnixMicroseconds(rawValue: row.integer(3)), updatedAt: UnixMicroseconds(rawValue: row.integer(4))
        )
    }
}
