import GatewayAdmission
import GatewayCore

/// How budgets and limits are kept that do not say it themselves.
package struct GovernanceStandard: Sendable, Hashable {
    /// Whether limits of requests and tokens are for any minute or day, instead of those of the clock
    /// (`general_settings.rate_limit_window`).
    package var slides = false
    /// Whether what a window of a budget did not use is added to the next one (`litellm_settings.budget_rollover`).
    package var rollsOver = false
    /// What limits of tokens count (`general_settings.token_rate_limit_type`).
    package var tokenUnit = LimitTerms.Unit.tokens

    package init() {}
}

/// Reads what keys and entities may spend and how fast from their fields. Fields were checked when they were stored;
/// what cannot be read all the same (an imported row) is left out, except a budget, which then allows nothing.
package struct GovernanceReader: Sendable {
    /// Of calendar windows, such as `Europe/Berlin`.
    private let timeZone: String
    private let standard: GovernanceStandard

    package init(timeZone: String, standard: GovernanceStandard) {
        self.timeZone = timeZone
        self.standard = standard
    }

    /// What a key's fields mean.
    package func rules(of record: KeyRecord) -> KeyRules {
        let fields = JSONValue.parsed(record.otherFields) ?? .object([])
        let metadata = JSONValue.parsed(record.metadata) ?? .object([])
        var governance = self.governance(fields, maxBudget: record.maxBudget, duration: record.budgetDuration)
        governance.models = Self.models(fields, in: self, also: metadata)
        let own = fields["allowed_routes"]?.texts ?? []
        let baseline = KeyRendering.spendBaseline(fields)
        if governance.hasMainBudget, governance.budgets[0].window == .lifetime {
            let (sum, isOver) = governance.budgets[0].limit.rawValue.addingReportingOverflow(baseline.rawValue)
            governance.budgets[0].limit.rawValue = isOver ? .max : sum
            governance.budgets[0].softLimit = governance.budgets[0].softLimit.map { soft in
                let (sum, isOver) = soft.rawValue.addingReportingOverflow(baseline.rawValue)
                return NanoUSD(rawValue: isOver ? .max : sum)
            }
        }
        return KeyRules(
            governance: governance, budgetID: fields["budget_id"]?.nonEmptyText,
            organizationID: fields["organization_id"]?.nonEmptyText,
            tags: (fields["tags"]?.texts ?? []) + (metadata["tags"]?.texts ?? []),
            routes: RouteRules(own.isEmpty ? Self.routes(keyType: fields["key_type"]?.nonEmptyText) : own),
            spendBaseline: baseline)
    }

    /// What an entity's fields mean.
    package func facts(of record: EntityRecord) -> EntityFacts {
        let fields = JSONValue.parsed(record.fields) ?? .object([])
        let models =
            switch record.id.kind {
            case .teamMember, .organizationMember: fields["allowed_models"]?.texts ?? []
            case .accessGroup: fields["model_names"]?.texts ?? []
            default: fields["models"]?.texts ?? []
            }
        var member = Governance.none
        if record.id.kind == .team {
            member = self.governance(
                .object(
                    ["rpm_limit", "tpm_limit", "rate_limit_window"].compactMap { name in
                        (fields["team_member_\(name)"] ?? (name == "rate_limit_window" ? fields[name] : nil)).map {
                            JSONMember(name, $0)
                        }
                    }), maxBudget: fields["team_member_budget"]?.money,
                duration: fields["team_member_budget_duration"]?.nonEmptyText)
        }
        var governance = self.governance(
            fields, maxBudget: fields["max_budget"]?.money, duration: fields["budget_duration"]?.nonEmptyText)
        governance.models = Self.models(fields, in: self, also: fields["metadata"] ?? .null)
        return EntityFacts(
            isBlocked: fields["blocked"] == .bool(true), models: models, governance: governance,
            budgetID: fields["budget_id"]?.nonEmptyText, memberGovernance: member,
            tags: (fields["tags"]?.texts ?? []) + (fields["metadata"]?["tags"]?.texts ?? []))
    }

    /// A budget of the configuration: of all calls together, of a provider, of a deployment.
    /// - Parameter duration: LiteLLM's text. `nil`: it never begins anew.
    /// - Returns: `nil` when the duration is none.
    package func configuredBudget(dollars: Double, duration: String?) -> BudgetRule? {
        guard let limit = NanoUSD(dollars: dollars) else { return nil }
        let label = duration ?? ""
        guard label.isEmpty || self.window(label) != .lifetime else { return nil }
        return self.budget(label, limit, softLimit: nil)
    }

    private static func routes(keyType: String?) -> [String] {
        switch keyType {
        case "llm_api": ["llm_api_routes"]
        case "management": ["management_routes"]
        case "read_only": ["info_routes"]
        default: []
        }
    }

    private func governance(_ fields: JSONValue, maxBudget: NanoUSD?, duration: String?) -> Governance {
        let softLimit = fields["soft_budget"]?.money
        var budgets: [BudgetRule] = []
        if let limit = maxBudget ?? softLimit.map({ _ in NanoUSD(rawValue: .max) }) {
            budgets.append(self.budget(duration ?? "", limit, softLimit: softLimit))
        }
        let hasMain = !budgets.isEmpty
        for part in fields["budget_limits"]?.list ?? [] {
            guard let limit = part["max_budget"]?.money, let label = part["budget_duration"]?.nonEmptyText else {
                continue
            }
            if let same = budgets.firstIndex(where: { $0.label == label }) {
                budgets[same].limit = min(budgets[same].limit, limit)
            } else {
                budgets.append(self.budget(label, limit, softLimit: nil))
            }
        }
        var increase: BudgetIncrease?
        if let amount = fields["temp_budget_increase"]?.money,
            let until = fields["temp_budget_expiry"]?.nonEmptyText.flatMap(UnixMicroseconds.init(iso8601:))
        {
            increase = BudgetIncrease(amount: amount, until: until)
        }
        let mode: BudgetMode? =
            switch fields["budget_mode"]?.nonEmptyText {
            case "strict": .strict
            case "expected": .expected
            default: nil
            }
        for index in budgets.indices { budgets[index].rolloverMax = self.rolloverMax(of: budgets[index], fields) }
        return Governance(
            budgets: budgets, hasMainBudget: hasMain, increase: increase, mode: mode,
            limits: self.limits(fields, slides: self.slides(fields)), models: [])
    }

    /// A window may hand on as much as it is for, unless the owner says how much.
    private func rolloverMax(of budget: BudgetRule, _ fields: JSONValue) -> NanoUSD {
        let isOwn: Bool? = if case .bool(let value)? = fields["budget_rollover"] { value } else { nil }
        let most = fields["budget_rollover_max"]?.money
        guard isOwn ?? (self.standard.rollsOver || most != nil), budget.window != .lifetime else { return .zero }
        return max(.zero, most ?? budget.limit)
    }

    private func slides(_ fields: JSONValue) -> Bool {
        switch fields["rate_limit_window"]?.nonEmptyText {
        case "sliding": true
        case "fixed": false
        default: self.standard.slides
        }
    }

    private func limits(_ fields: JSONValue, slides: Bool) -> [LimitRule] {
        let tokens = self.standard.tokenUnit
        let table: [(String, LimitTerms.Unit, LimitTerms.Window)] = [
            ("rpm_limit", .requests, .minute), ("tpm_limit", tokens, .minute), ("rpd_limit", .requests, .day),
            ("tpd_limit", tokens, .day),
        ]
        var limits = table.compactMap { name, unit, window in
            fields[name]?.integer.map { LimitRule(unit: unit, window: slides ? window.sliding : window, value: $0) }
        }
        if let most = fields["max_parallel_requests"]?.integer {
            limits.append(LimitRule(unit: .parallelRequests, window: .minute, value: most))
        }
        return limits
    }

    /// `model_max_budget`, `model_rpm_limit` and `model_tpm_limit`; LiteLLM keeps the latter two in the metadata.
    private static func models(_ fields: JSONValue, in reader: Self, also metadata: JSONValue) -> [ModelRule] {
        var rules: [String: ModelRule] = [:]
        let slides = reader.slides(fields)
        func members(_ name: String) -> [JSONMember] { (fields[name] ?? metadata[name])?.members ?? [] }
        for member in members("model_max_budget") {
            let value = member.value
            var rule = ModelRule(model: member.name, budgets: [], limits: reader.limits(value, slides: slides))
            if let limit = (value["budget_limit"] ?? value["max_budget"] ?? value).money {
                let label = (value["time_period"] ?? value["budget_duration"])?.nonEmptyText ?? ""
                rule.budgets = [reader.budget(label, limit, softLimit: nil)]
                rule.budgets[0].rolloverMax = reader.rolloverMax(of: rule.budgets[0], fields)
            }
            rules[member.name] = rule
        }
        let tables = [("model_rpm_limit", LimitTerms.Unit.requests), ("model_tpm_limit", reader.standard.tokenUnit)]
        for (name, unit) in tables {
            for member in members(name) {
                guard let value = member.value.integer else { continue }
                rules[member.name, default: ModelRule(model: member.name, budgets: [], limits: [])].limits.append(
                    LimitRule(unit: unit, window: slides ? .slidingMinute : .minute, value: value))
            }
        }
        return rules.values.sorted { $0.model < $1.model }
    }

    private func budget(_ label: String, _ limit: NanoUSD, softLimit: NanoUSD?) -> BudgetRule {
        BudgetRule(label: label, limit: limit, window: self.window(label), softLimit: softLimit)
    }

    /// LiteLLM's resets go by the calendar: `1d` at midnight, `7d` on Monday, `30d` and `1mo` on the first of a month.
    private func window(_ label: String) -> BudgetWindow {
        let words = ["hourly": "1h", "daily": "1d", "weekly": "7d", "monthly": "30d"]
        guard let duration = KeyDuration(words[label] ?? label) else { return .lifetime }
        let count = Int(duration.amount)
        func rolling(_ seconds: Int64) -> BudgetWindow {
            .rolling(seconds: duration.amount * seconds, anchor: UnixMicroseconds(rawValue: 0))
        }
        switch duration.unit {
        case .seconds: return rolling(1)
        case .minutes: return rolling(60)
        case .hours: return rolling(3600)
        case .days where count == 7: return .calendar(.week, count: 1, timeZone: self.timeZone)
        case .days where count == 30: return .calendar(.month, count: 1, timeZone: self.timeZone)
        case .days: return .calendar(.day, count: count, timeZone: self.timeZone)
        case .weeks: return .calendar(.week, count: count, timeZone: self.timeZone)
        case .months: return .calendar(.month, count: count, timeZone: self.timeZone)
        }
    }
}

extension JSONValue {
    /// Texts of a list, others left out. `nil`: no list.
    var texts: [String]? {
        self.list.map { $0.compactMap { if case .string(let text) = $0 { text } else { nil } } }
    }

    var nonEmptyText: String? {
        guard case .string(let text) = self, !text.isEmpty else { return nil }
        return text
    }

    var members: [JSONMember]? {
        guard case .object(let members) = self else { return nil }
        return members
    }

    /// Dollars. `nil`: no number.
    var money: NanoUSD? { self.double.flatMap { NanoUSD(dollars: $0) } }
}
