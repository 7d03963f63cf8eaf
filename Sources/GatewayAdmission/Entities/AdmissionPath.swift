import GatewayCore

/// Budgets and limits of one model within a key or a team.
package struct ModelTerms: Sendable, Equatable {
    /// The name that callers use, perhaps with wildcards: the terms bind calls whose model or group it matches.
    package var model: String
    package var budgets: [BudgetTerms]
    package var limits: [LimitTerms]

    package func binds(_ model: String) -> Bool {
        self.model.contains("*") ? WildcardPattern(self.model).matches(model) : self.model == model
    }
}

/// Everything that binds the calls of one key, with a customer and tags or without.
package struct AdmissionTerms: Sendable, Equatable {
    package var budgets: [BudgetTerms]
    package var limits: [LimitTerms]
    package var models: [ModelTerms]

    package static let none = AdmissionTerms(budgets: [], limits: [], models: [])

    package var isEmpty: Bool { self.budgets.isEmpty && self.limits.isEmpty && self.models.isEmpty }

    mutating func add(_ subject: Subject, _ governance: Governance, standard: BudgetMode, now: UnixMicroseconds) {
        let mode = governance.mode ?? standard
        for (index, rule) in governance.budgets.enumerated() {
            var terms = Self.terms(rule, subject, mode)
            if index == 0, governance.hasMainBudget, let increase = governance.increase, now < increase.until {
                let (sum, isOver) = terms.limit.rawValue.addingReportingOverflow(increase.amount.rawValue)
                terms.limit.rawValue = isOver ? .max : sum
            }
            self.budgets.append(terms)
        }
        self.limits += governance.limits.map { Self.terms($0, subject) }
        let modelKind: SubjectKind? =
            switch subject.kind {
            case .key: .keyModel
            case .team: .teamModel
            default: nil
            }
        guard let modelKind else { return }
        for rule in governance.models {
            let part = Subject(modelKind, "\(subject.id)\n\(rule.model)")
            self.models.append(
                ModelTerms(
                    model: rule.model, budgets: rule.budgets.map { Self.terms($0, part, mode) },
                    limits: rule.limits.map { Self.terms($0, part) }))
        }
    }

    private static func terms(_ rule: BudgetRule, _ subject: Subject, _ mode: BudgetMode) -> BudgetTerms {
        var terms = BudgetTerms(
            subject: subject, label: rule.label, limit: rule.limit, window: rule.window, mode: mode,
            softLimit: rule.softLimit)
        terms.rolloverMax = rule.rolloverMax
        return terms
    }

    private static func terms(_ rule: LimitRule, _ subject: Subject) -> LimitTerms {
        LimitTerms(subject: subject, unit: rule.unit, window: rule.window, value: rule.value)
    }
}

/// What binds a key's calls through its owners, and what they may not do at all: the same for all its calls until an
/// entity changes.
package final class AdmissionPath: Sendable {
    /// One owner's list of models.
    struct ModelList: Sendable {
        /// As LiteLLM's texts and types say it: `key`, `team`, `user`, `org`.
        let owner: String
        let names: [String]
        let matcher: ModelMatcher
    }

    /// Of the entity directory when this was made.
    package let generation: UInt64
    /// When the terms change by themselves: a temporary increase ends. `nil`: never.
    package let validUntil: UnixMicroseconds?
    package let terms: AdmissionTerms
    package let organizationID: String?
    /// Tags of the key and its team, each once.
    package let tags: [String]
    /// An owner is blocked. `nil`: none is.
    package let refusal: GatewayError?
    private let modelLists: [ModelList]

    init(
        generation: UInt64, validUntil: UnixMicroseconds?, terms: AdmissionTerms, organizationID: String?,
        tags: [String], refusal: GatewayError?, modelLists: [ModelList]
    ) {
        self.generation = generation
        self.validUntil = validUntil
        self.terms = terms
        self.organizationID = organizationID
        self.tags = tags
        self.refusal = refusal
        self.modelLists = modelLists
    }

    /// Whether the key and all its owners may use the model.
    package func allows(_ model: String) -> Bool { self.modelLists.allSatisfy { $0.matcher.allows(model) } }

    /// Why a call of the model is refused. `nil`: it is not.
    /// - Parameter group: the configured name that covers `model`.
    package func refusal(ofModel model: String, group: String) -> GatewayError? {
        for list in self.modelLists where !list.matcher.allows(model) && !list.matcher.allows(group) {
            return .modelDenied(owner: list.owner, models: list.names, model: model)
        }
        return nil
    }
}

/// The refusals of entities; statuses, types and texts are LiteLLM's.
extension GatewayError {
    static func modelDenied(owner: String, models: [String], model: String) -> GatewayError {
        GatewayError(
            status: 403, type: "\(owner)_model_access_denied", param: "model", origin: .caller,
            message: "\(owner) not allowed to access model. This \(owner) can only access models=\(models). "
                + "Tried to access \(String(model.prefix(256)))")
    }

    static func blocked(_ id: EntityID) -> GatewayError {
        switch id.kind {
        case .customer:
            GatewayError(
                status: 400, type: "auth_error", param: "user", origin: .caller,
                message: "User blocked from making LLM API Calls. User=\(String(id.text.prefix(256)))")
        case .organization:
            GatewayError(
                status: 403, type: "auth_error", origin: .caller,
                message: "Authentication Error, Organization=\(id.text) is blocked.")
        case .user:
            GatewayError(
                status: 401, type: "auth_error", origin: .caller,
                message: "Authentication Error, User=\(id.text) is blocked.")
        default:
            GatewayError(
                status: 401, type: "auth_error", origin: .caller,
                message: "Authentication Error, Team=\(id.text) is blocked. Update via `/team/unblock` if your admin.")
        }
    }
}
