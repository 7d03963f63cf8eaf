import Crypto
import GatewayCore

/// What an account counts.
package enum EscrowUnit: UInt8, Hashable, Sendable {
    /// Nano-dollars of a budget.
    case money = 0
    /// Places for calls at one time.
    case permits = 1
    case requests = 2
    case tokens = 3
    case inputTokens = 4
    case outputTokens = 5
}

/// A budget or a rate limit as the escrow sees it: so much of a unit, for a subject, in a window. Of both kinds the
/// store keeps what has been handed out to pods, and pods hold slices of it.
package struct EscrowTerms: Hashable, Sendable {
    package enum Window: Hashable, Sendable {
        /// Kept in the store for good, pods hold leases of it; permits are among these.
        case budget(BudgetWindow)
        /// Forgotten with its window; nothing has to be handed back.
        case rate(LimitTerms.Window)
    }

    package let subject: Subject
    package let label: String
    package let unit: EscrowUnit
    package let window: Window
    package private(set) var limit: Int64
    package let isStrict: Bool

    package init(_ budget: BudgetTerms) {
        self.subject = budget.subject
        self.label = budget.label
        self.unit = .money
        self.window = .budget(budget.window)
        self.limit = min(max(0, budget.limit.rawValue), Self.limitMax)
        self.isStrict = budget.mode == .strict
    }

    package init(_ limit: LimitTerms) {
        self.subject = limit.subject
        self.limit = min(max(0, limit.value), Self.limitMax)
        self.isStrict = true
        switch limit.unit {
        case .parallelRequests:
            (self.unit, self.window, self.label) = (.permits, .budget(.lifetime), "parallel")
            return
        case .requests: self.unit = .requests
        case .tokens: self.unit = .tokens
        case .inputTokens: self.unit = .inputTokens
        case .outputTokens: self.unit = .outputTokens
        }
        self.window = .rate(limit.window)
        self.label = "\(self.unit.rawValue).\(limit.window.rawValue)"
    }

    /// The same with another limit, for texts.
    func with(limit: Int64) -> EscrowTerms {
        var terms = self
        terms.limit = limit
        return terms
    }

    /// Far above any budget and any limit, and low enough that sums of a few never overflow.
    package static let limitMax: Int64 = 1 << 60

    /// Whether its window is forgotten, not closed.
    package var isRate: Bool { if case .rate = self.window { true } else { false } }

    /// For people: `1d`, `30d`, `1m`. `nil`: it has none, or lasts for ever.
    package var windowName: String? {
        switch self.window {
        case .rate(.minute): "1m"
        case .rate(.day): "1d"
        case .rate(.slidingMinute): "sliding 1m"
        case .budget: self.unit == .permits || self.label.isEmpty ? nil : self.label
        }
    }

    /// What tells this account from all others, the same on all pods; kept beside `id` in the store to find collisions.
    package var name: String { "\(self.unit.rawValue)/\(self.subject.kind.rawValue)/\(self.label)/\(self.subject.id)" }

    /// The first 8 bytes of the SHA-256 of `name`: the same on all pods, and nobody can choose a customer's name so that it
    /// shares somebody else's account.
    package var id: Int64 {
        var hash = SHA256()
        hash.update(data: Array(self.name.utf8))
        return hash.finalize().prefix(8).reduce(0) { $0 << 8 | Int64($1) }
    }
}
