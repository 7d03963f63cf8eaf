import GatewayCore
import GatewayLedger

extension ModelAdministration {
    /// What a request is told while models come from the configuration alone. The first sentence is LiteLLM's.
    static var isOff: ControlRefusal {
        .badRequest(
            "Set `'STORE_MODEL_IN_DB='True'` in your env to enable this feature. Or general_settings.store_model_in_db "
                + "in the configuration; then restart.")
    }

    /// The row to store, secrets sealed.
    func sealed(_ model: OpenedModel) throws(ControlRefusal) -> StoredModel {
        let parameters = try self.sealed(model.parameters, .model(model.modelID), .parameters, "litellm_params")
        return StoredModel(
            modelID: model.modelID, modelName: model.modelName, parameters: parameters, info: model.info.text,
            createdBy: model.createdBy, createdAt: model.createdAt, updatedAt: model.updatedAt)
    }

    /// The row to store, every value sealed.
    func sealed(_ credential: OpenedCredential) throws(ControlRefusal) -> StoredCredential {
        let values = try self.sealed(credential.values, .credential(credential.name), .everything, "credential_values")
        return StoredCredential(
            name: credential.name, values: values, info: credential.info.text, createdAt: credential.createdAt,
            updatedAt: credential.updatedAt)
    }

    private func sealed(
        _ plain: JSONValue, _ row: StoredRow, _ scope: SecretTree.Scope, _ name: String
    ) throws(ControlRefusal) -> String {
        guard !SecretTree.holdsSealed(plain) else {
            throw .badRequest(
                "A value of \(name) starts with \(SecretBox.prefix), which marks sealed text. Send the secret itself.",
                param: name)
        }
        let value: JSONValue
        do throws(SecretTree.NoKey) {
            value = try SecretTree(row: row, scope: scope).seal(plain, with: self.vault.keyring)
        } catch {
            throw .badRequest(
                "\(name).\(ModelRequest.shown(error.path.first ?? "")) holds a secret, and there is no key to seal it "
                    + "with. Set LITELLM_SALT_KEY (or a master key) and restart, or name a variable: os.environ/NAME.",
                param: name)
        }
        guard !SecretTree.holdsSealed(value) || !self.vault.hasForeignSecrets else { throw Self.wrongKey }
        let text = value.text
        guard text.utf8.count <= 2 * ModelRequest.objectBytesMax else {
            throw .badRequest("\(name) is too long once it is sealed; store less.", param: name)
        }
        return text
    }

    private static var wrongKey: ControlRefusal {
        .gateway(
            GatewayError(
                status: 500, type: "internal_server_error", origin: .gateway,
                message: "No secret in the store opens with this pod's salt key, so nothing is sealed with it. Set "
                    + "LITELLM_SALT_KEY to the key of the other pods, or delete what was stored with a lost one."))
    }
}
