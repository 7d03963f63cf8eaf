import GatewayCore
import GatewayLedger

extension PostgresStore: ModelStore {
    private static let hash = "sha256(convert_to($1, 'UTF8'))"
    private static let modelColumns = "model_id, model_name, parameters, info, created_by, created_at, updated_at"
    private static let credentialColumns = "name, credential_values, info, created_at, updated_at"

    /// A mutation that hangs its entry of the change log off `k`, and says how many rows it touched.
    private static func mutation(_ name: String, kind: String, _ text: String) -> PostgresStatement {
        PostgresStatement(
            name,
            """
            WITH k AS (\(text)), \(ChangeLogSQL.entries(kind))
            SELECT (SELECT count(*) FROM k), \(ChangeLogSQL.answer)
            """)
    }

    /// - Returns: rows touched.
    private func mutate(
        _ statement: PostgresStatement, _ parameters: PostgresParameters
    ) async throws(PostgresError) -> Int64 {
        let rows = try await self.repeated(statement, parameters, on: self.reader)
        if let head = rows.optionalInteger(0, 1) { self.saw(changeHead: head) }
        return rows.integer(0, 0)
    }

    private func insert(
        _ statement: PostgresStatement, _ parameters: PostgresParameters, taken: String
    ) async throws(LedgerError) {
        do {
            _ = try await self.mutate(statement, parameters)
        } catch {
            throw error.kind == .uniqueViolation ? .conflict(taken) : error.ledgerError
        }
    }

    private func change(
        _ statement: PostgresStatement, _ parameters: PostgresParameters, missing: String
    ) async throws(LedgerError) {
        let count: Int64
        do {
            count = try await self.mutate(statement, parameters)
        } catch {
            throw error.ledgerError
        }
        if count == 0 { throw .notFound(missing) }
    }

    // MARK: models

    private static let insertModel = PostgresStore.mutation(
        "model_insert", kind: "model",
        """
        INSERT INTO {s}.model (id_hash, \(PostgresStore.modelColumns))
        VALUES (\(PostgresStore.hash), $1, $2, $3, $4, $5, $6, $7) RETURNING model_id AS reference
        """)
    private static let updateModel = PostgresStore.mutation(
        "model_update", kind: "model",
        """
        UPDATE {s}.model SET model_name = $2, parameters = $3, info = $4, updated_at = $5
        WHERE id_hash = \(PostgresStore.hash) AND updated_at = $6 RETURNING model_id AS reference
        """)
    private static let removeModel = PostgresStore.mutation(
        "model_delete", kind: "model",
        "DELETE FROM {s}.model WHERE id_hash = \(PostgresStore.hash) RETURNING model_id AS reference")
    private static let oneModel = PostgresStatement(
        "model", isRead: true,
        "SELECT \(PostgresStore.modelColumns) FROM {s}.model WHERE id_hash = \(PostgresStore.hash)")
    private static let allModels = PostgresStatement(
        "models", isRead: true,
        "SELECT \(PostgresStore.modelColumns) FROM {s}.model ORDER BY created_at, model_id LIMIT 10000")

    package func insert(_ model: StoredModel) async throws(LedgerError) {
        var parameters = PostgresParameters()
        for text in [model.modelID, model.modelName, model.parameters, model.info, model.createdBy] {
            parameters.text(text)
        }
        parameters.int8(model.createdAt.rawValue)
        parameters.int8(model.updatedAt.rawValue)
        try await self.insert(
            Self.insertModel, parameters, taken: "Another model has the same identifier: choose another.")
    }

    private static let wasChanged = LedgerError.conflict("It was changed meanwhile: read it again and repeat.")

    package func update(_ model: StoredModel, from former: UnixMicroseconds) async throws(LedgerError) {
        var parameters = PostgresParameters()
        for text in [model.modelID, model.modelName, model.parameters, model.info] { parameters.text(text) }
        parameters.int8(model.updatedAt.rawValue)
        parameters.int8(former.rawValue)
        do throws(LedgerError) {
            try await self.change(Self.updateModel, parameters, missing: "There is no stored model of this identifier.")
        } catch {
            guard case .notFound = error, try await self.model(model.modelID) != nil else { throw error }
            throw Self.wasChanged
        }
    }

    package func deleteModel(_ modelID: String) async throws(LedgerError) {
        var parameters = PostgresParameters()
        parameters.text(modelID)
        try await self.change(Self.removeModel, parameters, missing: "There is no stored model of this identifier.")
    }

    package func model(_ modelID: String) async throws(LedgerError) -> StoredModel? {
        var parameters = PostgresParameters()
        parameters.text(modelID)
        return Self.models(try await self.run(Self.oneModel, parameters, on: self.reader)).first
    }

    package func models() async throws(LedgerError) -> [StoredModel] {
        Self.models(try await self.run(Self.allModels, on: self.reader))
    }

    private static func models(_ rows: PostgresRows) -> [StoredModel] {
        (0..<rows.count).map { row in
            StoredModel(
                modelID: rows.text(row, 0), modelName: rows.text(row, 1), parameters: rows.text(row, 2),
                info: rows.text(row, 3), createdBy: rows.text(row, 4),
                createdAt: UnixMicroseconds(rawValue: rows.integer(row, 5)),
                updatedAt: UnixMicroseconds(rawValue: rows.integer(row, 6)))
        }
    }

    // MARK: credentials

    private static let insertCredential = PostgresStore.mutation(
        "credential_insert", kind: "credential",
        """
        INSERT INTO {s}.credential (name_hash, \(PostgresStore.credentialColumns))
        VALUES (\(PostgresStore.hash), $1, $2, $3, $4, $5) RETURNING name AS reference
        """)
    private static let updateCredential = PostgresStore.mutation(
        "credential_update", kind: "credential",
        """
        UPDATE {s}.credential SET credential_values = $2, info = $3, updated_at = $4
        WHERE name_hash = \(PostgresStore.hash) AND updated_at = $5 RETURNING name AS reference
        """)
    private static let removeCredential = PostgresStore.mutation(
        "credential_delete", kind: "credential",
        "DELETE FROM {s}.credential WHERE name_hash = \(PostgresStore.hash) RETURNING name AS reference")
    private static let oneCredential = PostgresStatement(
        "credential", isRead: true,
        "SELECT \(PostgresStore.credentialColumns) FROM {s}.credential WHERE name_hash = \(PostgresStore.hash)")
    private static let allCredentials = PostgresStatement(
        "credentials", isRead: true,
        "SELECT \(PostgresStore.credentialColumns) FROM {s}.credential ORDER BY name LIMIT 10000")

    package func insert(_ credential: StoredCredential) async throws(LedgerError) {
        var parameters = PostgresParameters()
        for text in [credential.name, credential.values, credential.info] { parameters.text(text) }
        parameters.int8(credential.createdAt.rawValue)
        parameters.int8(credential.updatedAt.rawValue)
        try await self.insert(
            Self.insertCredential, parameters, taken: "Another credential has the same name: choose another.")
    }

    package func update(_ credential: StoredCredential, from former: UnixMicroseconds) async throws(LedgerError) {
        var parameters = PostgresParameters()
        for text in [credential.name, credential.values, credential.info] { parameters.text(text) }
        parameters.int8(credential.updatedAt.rawValue)
        parameters.int8(former.rawValue)
        do throws(LedgerError) {
            try await self.change(Self.updateCredential, parameters, missing: "There is no credential of this name.")
        } catch {
            guard case .notFound = error, try await self.credential(credential.name) != nil else { throw error }
            throw Self.wasChanged
        }
    }

    package func deleteCredential(_ name: String) async throws(LedgerError) {
        var parameters = PostgresParameters()
        parameters.text(name)
        try await self.change(Self.removeCredential, parameters, missing: "There is no credential of this name.")
    }

    package func credential(_ name: String) async throws(LedgerError) -> StoredCredential? {
        var parameters = PostgresParameters()
        parameters.text(name)
        return Self.credentials(try await self.run(Self.oneCredential, parameters, on: self.reader)).first
    }

    package func credentials() async throws(LedgerError) -> [StoredCredential] {
        Self.credentials(try await self.run(Self.allCredentials, on: self.reader))
    }

    private static func credentials(_ rows: PostgresRows) -> [StoredCredential] {
        (0..<rows.count).map { row in
            StoredCredential(
                name: rows.text(row, 0), values: rows.text(row, 1), info: rows.text(row, 2),
                createdAt: UnixMicroseconds(rawValue: rows.integer(row, 3)),
                updatedAt: UnixMicroseconds(rawValue: rows.integer(row, 4)))
        }
    }
}
