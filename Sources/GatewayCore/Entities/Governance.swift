/// One budget of an owner, whoever that is.
package struct BudgetRule: Hashable, Sendable {
    /// LiteLLM's duration text, such as `30d`; empty: for the owner's lifetime.
    package var label: String
    package var limit: NanoUSD
    package var window: BudgetWindow
    /// Reported, not refused, when passed. `nil`: none.
    package var softLimit: NanoUSD?
    /// So much of what a window did not use is added to the next one at most; zero: nothing.
    package var rolloverMax = NanoUSD.zero

    package init(label: String, limit: NanoUSD, window: BudgetWindow, softLimit: NanoUSD?) {
        self.label = label
        self.limit = limit
        self.window = window
        self.softLimit = softLimit
    }
}

/// One rate limit of an owner.
package struct LimitRule: Hashable, Sendable {
    package var unit: LimitTerms.Unit
    package var window: LimitTerms.Window
    package var value: Int64

    package init(unit: LimitTerms.Unit, window: LimitTerms.Window, value: Int64) {
        self.unit = unit
        self.window = window
        self.value = value
    }
}

/// Budgets and limits of one model within an owner.
package struct ModelRule: Hashable, Sendable {
    /// The name that callers use, perhaps with wildcards.
    package var model: String
    package var budgets: [BudgetRule]
    package var limits: [LimitRule]

    package init(model: String, budgets: [BudgetRule], limits: [LimitRule]) {
        self.model = model
        self.budgets = budgets
        self.limits = limits
    }
}

/// Money that is added to an owner's main budget for a while (`temp_budget_increase`).
package struct BudgetIncrease: Hashable, Sendable {
    package var amount: NanoUSD
    package var until: UnixMicroseconds

    package init(amount: NanoUSD, until: UnixMicroseconds) {
        self.amount = amount
        self.until = until
    }
}

/// What an owner (a key, a team, ...) may spend and how fast, read once from its fields.
package struct Governance: Hashable, Sendable {
    /// The first is the main one (`max_budget`), if `hasMainBudget`.
    package var budgets: [BudgetRule]
    package var hasMainBudget: Bool
    package var increase: BudgetIncrease?
    /// `nil`: the configured standard.
    package var mode: BudgetMode?
    package var limits: [LimitRule]
    package var models: [ModelRule]

    package init(
        budgets: [BudgetRule], hasMainBudget: Bool, increase: BudgetIncrease?, mode: BudgetMode?, limits: [LimitRule],
        models: [ModelRule]
    ) {
        self.budgets = budgets
        self.hasMainBudget = hasMainBudget
        self.increase = increase
        self.mode = mode
        self.limits = limits
        self.models = models
    }

    package static let none = Governance(
        budgets: [], hasMainBudget: false, increase: nil, mode: nil, limits: [], models: [])

    /// These rules, and where they say nothing, those of `shared` (a row of `/budget/new` that the owner names).
    package func filled(from shared: Governance) -> Governance {
        var result = self
        if !self.hasMainBudget, shared.hasMainBudget {
            result.budgets = Array(shared.budgets.prefix(1)) + self.budgets
            result.hasMainBudget = true
        }
        let own = Set(result.budgets.map(\.label))
        result.budgets += shared.budgets.dropFirst(shared.hasMainBudget ? 1 : 0).filter { !own.contains($0.label) }
        for limit in shared.limits
        where !self.limits.contains(where: { $0.unit == limit.unit && $0.window.sliding == limit.window.sliding }) {
            result.limits.append(limit)
        }
        result.models += shared.models.filter { rule in !self.models.contains { $0.model == rule.model } }
        result.mode = self.mode ?? shared.mode
        result.increase = self.increase ?? shared.increase
        return result
    }
}
