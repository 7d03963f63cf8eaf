import GatewayCore

/// How an account stands, for refusals, headers and reports.
package struct AccountStanding: Sendable, Equatable {
    package var terms: EscrowTerms
    /// What calls may still take, all pods together, as far as this pod knows.
    package var left: Int64
    /// What calls have consumed and running ones have reserved; above the limit where calls cost more than expected.
    package var used: Int64
    /// When the window ends. `nil`: never.
    package var resetsAt: UnixMicroseconds?

    package init(terms: EscrowTerms, left: Int64, used: Int64, resetsAt: UnixMicroseconds?) {
        self.terms = terms
        self.left = left
        self.used = used
        self.resetsAt = resetsAt
    }

    /// Whole seconds until the window ends, at least 1. `nil`: it never does.
    package func secondsLeft(now: UnixMicroseconds) -> Int? {
        self.resetsAt.map { Int(max(1, min(1 << 40, ($0.rawValue - now.rawValue + 999_999) / 1_000_000))) }
    }
}

extension EscrowAccount {
    /// - Parameter now: the store's time as this pod reckons.
    package func standing(now: UnixMicroseconds) -> AccountStanding {
        let pool = self.snapshot
        let outstanding = pool.standing?.outstanding ?? pool.current.granted
        let used = max(0, outstanding - pool.current.free)
        let end = pool.terms.bounds(at: now).end
        return AccountStanding(
            terms: pool.terms, left: max(0, pool.terms.limit - used), used: used,
            resetsAt: end == .max ? nil : UnixMicroseconds(rawValue: end))
    }
}

/// Whose call is refused, for the texts.
package struct RefusedParty: Sendable {
    /// The key's alias, or the short form of its secret.
    package var keyName: String
    /// SHA-256 of the key, hexadecimal.
    package var keyDigest: String

    package init(keyName: String, keyDigest: String) {
        self.keyName = keyName
        self.keyDigest = keyDigest
    }
}

/// Refusals of spent budgets and of rates that are used up; texts and types are LiteLLM's.
extension GatewayError {
    /// - Parameter status: of a spent budget, a setting.
    package static func refused(
        by standing: AccountStanding, party: RefusedParty, budgetStatus: Int, now: UnixMicroseconds
    ) -> GatewayError {
        switch standing.terms.unit {
        case .money: Self.budgetExceeded(standing, party, status: budgetStatus, now: now)
        case .permits, .requests, .tokens, .inputTokens, .outputTokens: Self.rateExceeded(standing, party, now: now)
        }
    }

    private static func budgetExceeded(
        _ standing: AccountStanding, _ party: RefusedParty, status: Int, now: UnixMicroseconds
    ) -> GatewayError {
        let terms = standing.terms
        let limit = NanoUSD(rawValue: terms.limit).decimalText
        let spent = NanoUSD(rawValue: standing.used).decimalText
        let id = String(terms.subject.id.split(separator: "\n").joined(separator: ", ").prefix(256))
        let message: String
        if !terms.label.isEmpty {
            let subject = terms.subject.kind == .key ? "Key=\(party.keyName)" : "\(terms.subject.kind.title)=\(id)"
            message = "ExceededBudget: \(subject) over \(terms.label) budget. Spend: \(spent), Limit: \(limit)"
        } else {
            message =
                switch terms.subject.kind {
                case .key:
                    "Budget has been exceeded! Key=\(party.keyName) Current cost: \(spent), Max budget: \(limit)"
                case .user: "ExceededBudget: User=\(id) over budget. Spend=\(spent), Budget=\(limit)"
                case .customer: "ExceededBudget: End User=\(id) over budget. Spend=\(spent), Budget=\(limit)"
                default:
                    "Budget has been exceeded! \(terms.subject.kind.title)=\(id) Current cost: \(spent), "
                        + "Max budget: \(limit)"
                }
        }
        let reset = standing.resetsAt.map { ". It begins anew at \($0.iso8601)" } ?? ""
        return GatewayError(
            status: status, type: "budget_exceeded", origin: .caller, message: message + reset,
            retryAfterSeconds: standing.secondsLeft(now: now))
    }

    private static func rateExceeded(
        _ standing: AccountStanding, _ party: RefusedParty, now: UnixMicroseconds
    ) -> GatewayError {
        let terms = standing.terms
        let isKey = terms.subject.kind == .key
        let subject = isKey ? "api_key" : terms.subject.kind.name
        let name = terms.subject.id.split(separator: "\n").joined(separator: ":").prefix(256)
        let id = isKey ? party.keyDigest : String(name)
        let reset = terms.isRate ? standing.resetsAt.map { " Limit resets at: \($0.iso8601)" } ?? "" : ""
        return GatewayError(
            status: 429, type: "throttling_error", origin: .caller,
            message: "Rate limit exceeded for \(subject): \(id). Limit type: \(terms.unit.limitName). "
                + "Current limit: \(terms.limit), Remaining: \(terms.unit == .permits ? 0 : standing.left).\(reset)",
            retryAfterSeconds: terms.isRate ? standing.secondsLeft(now: now) : 1)
    }

    /// The store has been silent for so long that slices may have been given to others.
    package static let budgetStoreAway = GatewayError(
        status: 503, type: "no_db_connection", origin: .gateway,
        message: "The gateway cannot check this key's budget or limits: its store does not answer. Try again later; an "
            + "operator finds the cause in /health/readiness.", retryAfterSeconds: 5)
}

extension SubjectKind {
    /// As LiteLLM's refusals say it.
    fileprivate var title: String {
        switch self {
        case .key: "Key"
        case .user: "User"
        case .team: "Team"
        case .teamMember: "TeamMember"
        case .organization: "Organization"
        case .organizationMember: "OrganizationMember"
        case .customer: "End User"
        case .tag: "Tag"
        case .keyModel: "Model per key"
        case .teamModel: "Model per team"
        case .provider: "Provider"
        case .deployment: "Deployment"
        case .proxy: "Proxy"
        }
    }
}

extension EscrowUnit {
    /// As LiteLLM's refusals and headers say it.
    package var limitName: String {
        switch self {
        case .money: "budget"
        case .permits: "max_parallel_requests"
        case .requests: "requests"
        case .tokens: "tokens"
        case .inputTokens: "input_tokens"
        case .outputTokens: "output_tokens"
        }
    }
}
