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
    /// Told of when it is passed, once in a window. `nil`: none.
    package let softLimit: Int64?
    /// So much of what a window did not use is added to the next one at most. 0: nothing.
    package let rolloverMax: Int64

    package init(_ budget: BudgetTerms) {
        self.subject = budget.subject
        self.label = budget.label
        self.unit = .money
        self.window = .budget(budget.window)
        self.limit = min(max(0, budget.limit.rawValue), Self.limitMax)
        self.isStrict = budget.mode == .strict && self.limit < Self.limitMax
        self.softLimit = budget.softLimit.map { min(max(0, $0.rawValue), Self.limitMax) }
        let rollsOver = budget.window != .lifetime && self.limit < Self.limitMax
        self.rolloverMax = rollsOver ? min(max(0, budget.rolloverMax.rawValue), Self.limitMax) : 0
    }

    package init(_ limit: LimitTerms) {
        self.subject = limit.subject
        self.limit = min(max(0, limit.value), Self.limitMax)
        self.isStrict = true
        self.softLimit = nil
        self.rolloverMax = 0
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

    /// A budget that has only a soft limit: its spend is counted, and no call is refused for it.
    package var isWatched: Bool { self.unit == .money && self.limit == Self.limitMax }

    /// Whether its window is forgotten, not closed.
    package var isRate: Bool { if case .rate = self.window { true } else { false } }

    /// Whether it is a limit of any minute or day, not of those of the clock.
    package var isSliding: Bool { if case .rate(let window) = self.window { window.isSliding } else { false } }

    /// For people: `1d`, `30d`, `1m`. `nil`: it has none, or lasts for ever.
    package var windowName: String? {
        switch self.window {
        case .rate(.minute): "1m"
        case .rate(.day): "1d"
        case .rate(.slidingMinute): "sliding 1m"
        case .rate(.slidingDay): "sliding 1d"
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
