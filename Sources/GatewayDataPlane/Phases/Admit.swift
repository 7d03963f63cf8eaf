import GatewayAdmission
import GatewayCore

/// Phase 2: whether this key may make this call. Arithmetic and look-ups only.
enum Admit {
    /// `nil`: admitted.
    static func refusal(of key: KeyEntry, model: String, group: String, budgetStatus: Int) -> GatewayError? {
        if !key.models.allows(model), !key.models.allows(group) {
            return GatewayError(
                status: 403, type: "key_model_access_denied", param: "model", origin: .caller,
                message: "key not allowed to access model. This key can only access models=\(key.record.models). "
                    + "Tried to access \(String(model.prefix(256)))")
        }
        if let budget = key.record.maxBudget, key.spend.spend >= budget {
            return GatewayError(
                status: budgetStatus, type: "budget_exceeded", origin: .caller,
                message: "Budget has been exceeded! Key=\(key.record.alias ?? key.record.keyName) "
                    + "Current cost: \(key.spend.spend.decimalText), Max budget: \(budget.decimalText)")
        }
        return nil
    }

    static func unknownModel(_ model: String, kind: CallKind) -> GatewayError {
        GatewayError(
            status: 400, type: "invalid_request_error", param: "model", origin: .caller,
            message: "\(kind.path): Invalid model name passed in model=\(String(model.prefix(256))). "
                + "Call `/v1/models` to view available models for your key.")
    }
}
