import GatewayCore

/// Stored models and credentials as LiteLLM's JSON, secrets masked. Pure.
enum ModelRendering {
    static func row(_ model: OpenedModel, warnings: [String], actor: String) -> [JSONMember] {
        [
            JSONMember("model_id", .string(model.modelID)), JSONMember("model_name", .string(model.modelName)),
            JSONMember("litellm_params", Self.parameters(model)), JSONMember("model_info", Self.info(model)),
            JSONMember("created_at", .string(model.createdAt.iso8601)),
            JSONMember("created_by", .string(model.createdBy)),
            JSONMember("updated_at", .string(model.updatedAt.iso8601)), JSONMember("updated_by", .string(actor)),
        ] + KeyRendering.warnings(warnings)
    }

    static func parameters(_ model: OpenedModel) -> JSONValue {
        SecretTree(row: .model(model.modelID), scope: .parameters).masked(model.parameters)
    }

    /// `model_info` as stored, with what we say of it.
    static func info(_ model: OpenedModel) -> JSONValue {
        .object(
            [JSONMember("id", .string(model.modelID)), JSONMember("db_model", .bool(true))] + Self.ownInfo(model)
                + Self.origin(model))
    }

    /// Members that the caller gave.
    static func ownInfo(_ model: OpenedModel) -> [JSONMember] {
        guard case .object(let members) = model.info else { return [] }
        return members.filter { member in !Self.ours.contains(member.name) }
    }

    static func origin(_ model: OpenedModel) -> [JSONMember] {
        [
            JSONMember("created_at", .string(model.createdAt.iso8601)),
            JSONMember("created_by", .string(model.createdBy)),
            JSONMember("updated_at", .string(model.updatedAt.iso8601)),
        ]
    }

    private static let ours: Set<String> = ["id", "db_model", "created_at", "created_by", "updated_at", "fault"]

    /// An entry of `/model/info` for a model that is stored, but not in force.
    static func outOfForce(_ model: OpenedModel, fault: String?) -> JSONValue {
        var info: [JSONMember] = []
        if case .object(let members) = Self.info(model) { info = members }
        if let fault { info.append(JSONMember("fault", .string(fault))) }
        return .object([
            JSONMember("model_name", .string(model.modelName)), JSONMember("litellm_params", Self.parameters(model)),
            JSONMember("model_info", .object(info)),
        ])
    }

    /// An entry of `/model/info` for a row that cannot be opened: enough to find and delete it.
    static func unopened(_ modelID: String, fault: String) -> JSONValue {
        .object([
            JSONMember("model_name", .null), JSONMember("litellm_params", .object([])),
            JSONMember(
                "model_info",
                .object([
                    JSONMember("id", .string(modelID)), JSONMember("db_model", .bool(true)),
                    JSONMember("fault", .string(fault)),
                ])),
        ])
    }

    static func credential(_ credential: OpenedCredential, fault: String?) -> JSONValue {
        let tree = SecretTree(row: .credential(credential.name), scope: .everything)
        return .object(
            [
                JSONMember("credential_name", .string(credential.name)),
                JSONMember("credential_values", tree.masked(credential.values)),
                JSONMember("credential_info", credential.info),
            ] + (fault.map { [JSONMember("fault", .string($0))] } ?? []))
    }

    /// What of a model's parameters says where its provider is and who calls it, as LiteLLM's CredentialLiteLLMParams.
    static func ownCredential(_ model: OpenedModel) -> JSONValue {
        var values: [JSONMember] = []
        if case .object(let members) = Self.parameters(model) {
            values = members.filter { Self.credentialFields.contains($0.name) }
        }
        return .object([
            JSONMember("credential_name", .string("\(model.modelName)-credential-\(model.modelID)")),
            JSONMember("credential_values", .object(values)), JSONMember("credential_info", .object([])),
        ])
    }

    private static let credentialFields: Set<String> = [
        "api_key", "api_base", "api_version", "vertex_project", "vertex_location", "vertex_credentials", "region_name",
        "aws_access_key_id", "aws_secret_access_key", "aws_region_name", "watsonx_region_name",
    ]

    static func unopenedCredential(_ name: String, fault: String) -> JSONValue {
        .object([
            JSONMember("credential_name", .string(name)), JSONMember("credential_values", .object([])),
            JSONMember("credential_info", .object([])), JSONMember("fault", .string(fault)),
        ])
    }
}
