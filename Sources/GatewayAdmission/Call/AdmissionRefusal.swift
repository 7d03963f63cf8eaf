import GatewayCore

/// How an account stands, for refusals, headers and reports.
package struct AccountStanding: Sendable, Equatable {
    package var terms: EscrowTerms
    /// What calls may still take, all pods together, as far as this pod knows.
    package var left: Int64
    /// What calls have consumed and running ones have reserved; above the limit where calls cost more than expected.
    package var used: Int64
    /// When the window ends; of a sliding limit, when there is more room. `nil`: never.
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

extension AccountStanding {
    /// A key whose spend was reset has what it spent before added to its limit; people see neither.
    package func withoutBaseline(_ baseline: NanoUSD) -> AccountStanding {
        guard self.terms.subject.kind == .key, self.terms.unit == .money, self.terms.label.isEmpty else { return self }
        var standing = self
        standing.terms = self.terms.with(limit: self.terms.limit - baseline.rawValue)
        standing.used -= baseline.rawValue
        return standing
    }
}

extension EscrowAccount {
    /// - Parameter now: the store's time as this pod reckons.
    package func standing(now: UnixMicroseconds) -> AccountStanding {
        let pool = self.snapshot
        let outstanding = pool.standing?.outstanding ?? pool.current.granted
        let used = max(0, outstanding - pool.current.free)
        let end = pool.isSliding ? pool.nextRoom(now: now) : pool.terms.bounds(at: now).end
        return AccountStanding(
            terms: pool.terms.with(limit: pool.limit), left: max(0, pool.limit - used), used: used,
            resetsAt: end == .max ? nil : UnixMicroseconds(rawValue: end))
    }
}

/// How a rate stands, for the headers of every call that passes it.
package struct RateStanding: Sendable, Equatable {
    package var limit: Int64
    /// What calls may still take, all pods together, as far as this pod knows.
    package var left: Int64
    package var resetsAt: UnixMicroseconds

    package init(limit: Int64, left: Int64, resetsAt: UnixMicroseconds) {
        self.limit = limit
        self.left = left
        self.resetsAt = resetsAt
    }

    /// Whole seconds until the window ends, at least 1.
    package func secondsLeft(now: UnixMicroseconds) -> Int64 {
        max(1, (self.resetsAt.rawValue - now.rawValue + 999_999) / 1_000_000)
    }
}

/// The rates that a call's headers speak of. `nil`: the call passes none of that kind.
package struct LeastRates: Sendable, Equatable {
    package private(set) var requests: RateStanding?
    package private(set) var tokens: RateStanding?

    package init() {}

    package var isEmpty: Bool { self.requests == nil && self.tokens == nil }

    package mutating func take(_ rate: RateStanding, of unit: EscrowUnit) {
        switch unit {
        case .requests: if rate.left < self.requests?.left ?? .max { self.requests = rate }
        case .tokens, .inputTokens, .outputTokens: if rate.left < self.tokens?.left ?? .max { self.tokens = rate }
        case .money, .permits: break
        }
    }
}

extension EscrowPool {
    /// How a rate stands, just after a call has asked: its window is that of `now`.
    @inline(__always)
    func tell(_ rates: inout LeastRates, now: UnixMicroseconds) {
        let used = max(0, (self.standing?.outstanding ?? self.current.granted) - self.current.free)
        let end = self.isSliding ? self.nextRoom(now: now) : self.windowEnd
        rates.take(
            RateStanding(
                limit: self.terms.limit, left: max(0, self.terms.limit - used),
                resetsAt: UnixMicroseconds(rawValue: end)), of: self.terms.unit)
    }

    /// When a sliding limit has more room than now, microseconds: the oldest of what is counted leaves the window.
    func nextRoom(now: UnixMicroseconds) -> Int64 {
        self.standing == nil ? now.rawValue : max(now.rawValue, self.windowEnd)
    }
}

/// Whose call is refused, for the texts.
package struct RefusedParty: Sendable {
    /// The key's alias, or the short form of its secret.
    package var keyName: String
    /// SHA-256 of the key, hexadecimal.
    package var keyDigest: String
    /// What the key had spent when its spend was reset.
    package var spendBaseline: NanoUSD

    package init(keyName: String, keyDigest: String, spendBaseline: NanoUSD) {
        self.keyName = keyName
        self.keyDigest = keyDigest
        self.spendBaseline = spendBaseline
    }
}

/// Refusals of spent budgets and of rates that are used up; texts and types are LiteLLM's.
extension GatewayError {
    /// - Parameters:
    ///   - needs: what the call had to have of it, in the unit of the limit.
    ///   - budgetStatus: of a spent budget, a setting.
    package static func refused(
        by standing: AccountStanding, needs: Int64, party: RefusedParty, budgetStatus: Int, now: UnixMicroseconds
    ) -> GatewayError {
        let standing = standing.withoutBaseline(party.spendBaseline)
        var error =
            switch standing.terms.unit {
            case .money: Self.budgetExceeded(standing, party, status: budgetStatus, now: now)
            case .permits, .requests, .tokens, .inputTokens, .outputTokens:
                Self.rateExceeded(standing, party, now: now)
            }
        // Something is left, only not enough: without this the text would contradict itself.
        if standing.left > 0, needs > standing.left, standing.terms.unit != .permits {
            let amount =
                standing.terms.unit == .money
                ? NanoUSD(rawValue: needs).decimalText : "\(needs) \(standing.terms.unit.limitName)"
            error.message += ". This call may need up to \(amount)"
            if needs > standing.terms.limit { error.message += ", more than the whole limit" }
        }
        return error
    }

    private static func budgetExceeded(
        _ standing: AccountStanding, _ party: RefusedParty, status: Int, now: UnixMicroseconds
    ) -> GatewayError {
        let terms = standing.terms
        let limit = NanoUSD(rawValue: terms.limit).decimalText
        let spent = NanoUSD(rawValue: standing.used).decimalText
        let id = String(terms.subject.id.split(separator: "\n").joined(separator: ", ").prefix(256))
        let message: String
        if !terms.label.isEmpty, terms.subject.kind != .proxy {
            let subject = terms.subject.kind == .key ? "Key=\(party.keyName)" : "\(terms.subject.kind.title)=\(id)"
            message = "ExceededBudget: \(subject) over \(terms.label) budget. Spend: \(spent), Limit: \(limit)"
        } else {
            message =
                switch terms.subject.kind {
                case .proxy: "Budget has been exceeded! Current cost: \(spent), Max budget: \(limit)"
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
        let id =
            switch terms.subject.kind {
            case .key: party.keyDigest
            case .proxy: "global_max_parallel_requests"
            default: String(name)
            }
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
