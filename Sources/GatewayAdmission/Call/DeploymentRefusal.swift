import GatewayCore

/// Why a deployment was passed over.
package struct DeploymentRefusal: Sendable, Equatable {
    package var standing: AccountStanding
    /// What the call had to have, in the unit of the limit.
    package var needs: Int64
    /// The name that callers use.
    package var group: String
    /// The name at the provider.
    package var model: String

    package init(standing: AccountStanding, needs: Int64, group: String, model: String) {
        self.standing = standing
        self.needs = needs
        self.group = group
        self.model = model
    }
}

extension GatewayError {
    /// Deployments told of by name in one refusal.
    private static let toldMax = 8

    /// No deployment of a group has room for the call; texts and statuses are LiteLLM's.
    package static func passedOver(_ refusals: [DeploymentRefusal], now: UnixMicroseconds) -> GatewayError {
        let budgets = refusals.filter { $0.standing.terms.unit == .money }
        let rates = refusals.filter { $0.standing.terms.unit != .money }
        // Several deployments of one provider have one budget.
        var lines: [String] = []
        for line in budgets.map({ Self.line(budget: $0) }) where !lines.contains(line) { lines.append(line) }
        var message = ""
        if !lines.isEmpty {
            message = "No deployments available - crossed budget: " + lines.prefix(Self.toldMax).joined(separator: "; ")
        }
        if let rate = rates.first {
            let standing = rate.standing
            let name = standing.terms.unit == .requests ? "RPM" : "TPM"
            message += message.isEmpty ? "" : ". "
            message +=
                "Model rate limit exceeded. \(name) limit=\(standing.terms.limit), current usage=\(standing.used)"
        }
        let first = refusals.compactMap(\.standing.resetsAt).min()
        if let first { message += ". The first begins anew at \(first.iso8601)" }
        // Another one may come free before, but nobody knows when.
        let seconds = refusals.compactMap { $0.standing.secondsLeft(now: now) }.min()
        return GatewayError(
            status: 429, type: "None", origin: .gateway, message: message, retryAfterSeconds: seconds)
    }

    private static func line(budget refusal: DeploymentRefusal) -> String {
        let standing = refusal.standing
        let spent = NanoUSD(rawValue: standing.used).decimalText
        let limit = NanoUSD(rawValue: standing.terms.limit).decimalText
        let subject =
            standing.terms.subject.kind == .provider
            ? "provider \(standing.terms.subject.id)"
            : "deployment model_name: \(refusal.group), litellm_params.model: \(refusal.model), "
                + "model_id: \(standing.terms.subject.id)"
        var line = "Exceeded budget for \(subject): \(spent) >= \(limit)"
        if standing.left > 0, refusal.needs > standing.left {
            // Without this the text would contradict itself.
            line =
                "Exceeded budget for \(subject): \(spent) of \(limit) used, and this call may need up to "
                + NanoUSD(rawValue: refusal.needs).decimalText
        }
        return line
    }
}
