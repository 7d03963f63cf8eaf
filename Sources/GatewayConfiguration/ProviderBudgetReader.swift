import GatewayControlPlane
import GatewayCore
import GatewayProviders

/// Reads budgets of providers and deployments, which the file alone can set.
struct ProviderBudgetReader {
    /// That deployments of the file have.
    let providers: Set<String>
    let governance: GovernanceReader

    private static let entriesMax = 1000
    private static let path = "router_settings.provider_budget_config"

    /// `provider: {budget_limit: dollars, time_period: 1d}`, or with `max_budget` and `budget_duration`.
    func read(
        _ node: ConfigurationNode?, into diagnostics: inout DiagnosticCollector
    ) -> [(provider: String, budget: BudgetRule)] {
        var result: [(provider: String, budget: BudgetRule)] = []
        for entry in (node?.mapping ?? []).prefix(Self.entriesMax) {
            let path = KeyPathText.appending(entry.key, to: Self.path)
            let name = Provider.named(entry.key)?.name ?? entry.key
            let value = entry.value
            guard let limit = value["budget_limit"] ?? value["max_budget"] else {
                diagnostics.error(
                    value.position, path, "the provider has no budget_limit",
                    mend: "write `provider: {budget_limit: 100, time_period: 1d}`")
                continue
            }
            let known = ["budget_limit", "max_budget", "time_period", "budget_duration"]
            for inner in value.mapping ?? [] where !known.contains(inner.key) {
                diagnostics.warning(
                    inner.keyPosition, path, "a budget of a provider has only budget_limit and time_period",
                    mend: "remove the other key")
            }
            if !self.providers.contains(name) {
                diagnostics.warning(
                    entry.keyPosition, path, "no deployment of the file has this provider",
                    mend: "the part of `model` before the slash names it, such as openai")
            }
            let budget = self.governance.budget(
                limit, period: value["time_period"] ?? value["budget_duration"], path, into: &diagnostics)
            guard let budget else { continue }
            if result.contains(where: { $0.provider == name }) {
                diagnostics.error(
                    entry.keyPosition, path, "the provider has two budgets", mend: "remove one of them")
                continue
            }
            result.append((provider: name, budget: budget))
        }
        return result
    }
}

extension GovernanceReader {
    init(root: ConfigurationNode) {
        self.init(
            timeZone: root["litellm_settings"]?["timezone"]?.scalar?.text ?? "Etc/UTC", standard: GovernanceStandard())
    }

    /// - Parameters:
    ///   - limit: US dollars.
    ///   - period: LiteLLM's duration. `nil`: the budget never begins anew.
    /// - Returns: `nil`: a diagnostic says why.
    func budget(
        _ limit: ConfigurationNode, period: ConfigurationNode?, _ path: String,
        into diagnostics: inout DiagnosticCollector
    ) -> BudgetRule? {
        guard let dollars = limit.scalar?.number, dollars >= 0, dollars <= 1e9 else {
            diagnostics.error(
                limit.position, path, "the budget is no number of dollars from 0 to 1000000000",
                mend: "write such as 100")
            return nil
        }
        let isText = period.map { $0.scalar != nil } ?? true
        guard isText, let budget = self.configuredBudget(dollars: dollars, duration: period?.scalar?.text) else {
            diagnostics.error(
                period?.position ?? limit.position, path, "the budget's duration is none",
                mend: "write a number and one of s, m, h, d, w, mo, such as 30d")
            return nil
        }
        return budget
    }
}

/// `router_settings.optional_pre_call_checks`: what may stand there.
enum PreCallChecks {
    static let rates = "enforce_model_rate_limits"
    /// Always on where there are budgets.
    private static let budgets = "router_budget_limiting"

    static func check(_ node: ConfigurationNode?, into diagnostics: inout DiagnosticCollector) {
        for item in node?.sequence ?? [] {
            guard let name = item.scalar?.text, name != Self.rates, name != Self.budgets else {
                if item.scalar != nil { continue }
                diagnostics.error(
                    item.position, "router_settings.optional_pre_call_checks",
                    "a check is \(item.kindName)", mend: "write its name")
                continue
            }
            diagnostics.error(
                item.position, "router_settings.optional_pre_call_checks",
                "calls would be routed without the check \(item.scalar?.quoted ?? "")",
                mend: "remove it; \(Self.rates) and \(Self.budgets) may stay")
        }
    }
}
