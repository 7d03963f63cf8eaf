import GatewayCore

/// What a key's fields mean to calls, read once when the key is put in force.
package struct KeyRules: Sendable, Equatable {
    package var governance: Governance
    /// A budget of `/budget/new` that fills what `governance` leaves open.
    package var budgetID: String?
    /// `nil`: that of its team, if any.
    package var organizationID: String?
    /// Tags that every call of the key is counted under.
    package var tags: [String]
    package var routes: RouteRules
    /// What of the key's spend no longer counts, because an administrator has reset it. Its lifetime budget in
    /// `governance` is that much larger.
    package var spendBaseline: NanoUSD

    package init(
        governance: Governance, budgetID: String?, organizationID: String?, tags: [String], routes: RouteRules,
        spendBaseline: NanoUSD
    ) {
        self.spendBaseline = spendBaseline
        self.governance = governance
        self.budgetID = budgetID
        self.organizationID = organizationID
        self.tags = tags
        self.routes = routes
    }

    /// Of a key that has nothing but a budget for its lifetime.
    package static func plain(maxBudget: NanoUSD?) -> KeyRules {
        let budgets = maxBudget.map { [BudgetRule(label: "", limit: $0, window: .lifetime, softLimit: nil)] } ?? []
        return KeyRules(
            governance: Governance(
                budgets: budgets, hasMainBudget: maxBudget != nil, increase: nil, mode: nil, limits: [], models: []),
            budgetID: nil, organizationID: nil, tags: [], routes: .all, spendBaseline: .zero)
    }
}

/// Which paths a key may call (`allowed_routes`, `key_type`).
package struct RouteRules: Sendable, Equatable {
    package enum Family: Sendable {
        /// A call to a model, or the list of models.
        case call
        /// Management that changes nothing.
        case info
        case management
    }

    /// As given: paths, paths with wildcards, and LiteLLM's names of families. Empty: everything.
    package let allowed: [String]
    private let patterns: [WildcardPattern]

    package init(_ allowed: [String]) {
        self.allowed = allowed
        self.patterns = allowed.filter { $0.contains("*") }.map { WildcardPattern($0) }
    }

    package static let all = RouteRules([])

    package static func == (a: RouteRules, b: RouteRules) -> Bool { a.allowed == b.allowed }

    /// Whether every call to a model is allowed; the common case, told without looking at the path.
    package var allowsAllCalls: Bool {
        self.allowed.isEmpty || self.allowed.contains { Self.callFamilies.contains($0) }
    }

    /// - Parameter path: decoded, without the query.
    package func allows(_ path: String, family: Family) -> Bool {
        if self.allowed.isEmpty { return true }
        let names: Set<String> =
            switch family {
            case .call: Self.callFamilies
            case .info: ["info_routes", "management_routes", "self_managed_routes"]
            case .management: ["management_routes", "self_managed_routes"]
            }
        let bare = path.hasPrefix("/v1/") ? String(path.dropFirst(3)) : path
        return self.allowed.contains { names.contains($0) || $0 == path || $0 == bare }
            || self.patterns.contains { $0.matches(path) || $0.matches(bare) }
    }

    private static let callFamilies: Set<String> = [
        "llm_api_routes", "openai_routes", "anthropic_routes", "google_routes", "mcp_routes",
    ]

    package func refusal(of path: String) -> GatewayError {
        GatewayError(
            status: 403, type: "auth_error", origin: .caller,
            message: "Virtual key is not allowed to call this route. Only allowed to call routes: "
                + "\(self.allowed). Tried to call route: \(String(path.prefix(256)))")
    }
}
