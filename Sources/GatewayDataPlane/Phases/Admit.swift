import GatewayAdmission
import GatewayCore

/// Phase 2: whether this key may make this call. Arithmetic and look-ups only.
enum Admit {
    /// `nil`: admitted.
    /// - Parameter path: what the key's owners say.
    static func refusal(
        of key: KeyEntry, path: AdmissionPath, kind: CallKind, model: String, group: String, budgetStatus: Int
    ) -> GatewayError? {
        if let refusal = path.refusal { return refusal }
        if !key.rules.routes.allowsAllCalls, !key.rules.routes.allows("/v1" + kind.path, family: .call) {
            return key.rules.routes.refusal(of: kind.path)
        }
        if let refusal = path.refusal(ofModel: model, group: group) { return refusal }
        let spend = key.spend.spend - key.rules.spendBaseline
        if let budget = key.record.maxBudget, spend >= budget {
            return GatewayError(
                status: budgetStatus, type: "budget_exceeded", origin: .caller,
                message: "Budget has been exceeded! Key=\(key.record.alias ?? key.record.keyName) "
                    + "Current cost: \(spend.decimalText), Max budget: \(budget.decimalText)")
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
