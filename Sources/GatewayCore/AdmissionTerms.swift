/// Whom a budget or a limit binds.
package enum SubjectKind: UInt8, Hashable, Sendable, CaseIterable {
    case key = 0
    case user = 1
    case team = 2
    case teamMember = 3
    case organization = 4
    case organizationMember = 5
    case customer = 6
    case tag = 7
    case keyModel = 8
    case teamModel = 9
    case provider = 10
    case deployment = 11
    case proxy = 12

    /// As refusals and management answers say it.
    package var name: String {
        switch self {
        case .key: "key"
        case .user: "user"
        case .team: "team"
        case .teamMember: "team_member"
        case .organization: "organization"
        case .organizationMember: "organization_member"
        case .customer: "customer"
        case .tag: "tag"
        case .keyModel: "model_per_key"
        case .teamModel: "model_per_team"
        case .provider: "provider"
        case .deployment: "deployment"
        case .proxy: "proxy"
        }
    }
}

/// The one that a budget or a limit binds, such as the team `t-1` or the model `gpt-5` within a key.
package struct Subject: Hashable, Sendable {
    package let kind: SubjectKind
    /// The subject's identifier; for a pair (member of a team, model within a key) both, joined by a line feed.
    package let id: String

    package init(_ kind: SubjectKind, _ id: String) {
        self.kind = kind
        self.id = id
    }
}

/// How a budget is kept.
package enum BudgetMode: UInt8, Hashable, Sendable {
    /// A call reserves what it is expected to cost: spend can pass the limit by the estimate error of calls in flight.
    case expected = 0
    /// A call reserves the most that it can cost: spend never passes the limit.
    case strict = 1
}

/// When a budget begins anew.
package enum BudgetWindow: Hashable, Sendable {
    case lifetime
    /// Every so many seconds, counted from `anchor`.
    case rolling(seconds: Int64, anchor: UnixMicroseconds)
    /// At midnight of a calendar unit in a time zone (`Etc/UTC`, `Europe/Berlin`).
    case calendar(CalendarUnit, count: Int, timeZone: String)

    package enum CalendarUnit: UInt8, Hashable, Sendable {
        case day = 0
        case week = 1
        case month = 2
    }
}

/// One budget as its owner set it; what is spent and granted of it is the escrow's business.
package struct BudgetTerms: Hashable, Sendable {
    package var subject: Subject
    /// Tells several budgets of one subject apart: LiteLLM's duration text such as `30d`; empty: the lifetime budget.
    package var label: String
    package var limit: NanoUSD
    package var window: BudgetWindow
    package var mode: BudgetMode
    /// Reported, not refused, when passed. `nil`: none.
    package var softLimit: NanoUSD?
    /// So much of what a window did not use is added to the next one at most; zero: nothing. Of no meaning for a budget
    /// that never begins anew.
    package var rolloverMax = NanoUSD.zero

    package init(
        subject: Subject, label: String, limit: NanoUSD, window: BudgetWindow, mode: BudgetMode, softLimit: NanoUSD?
    ) {
        self.subject = subject
        self.label = label
        self.limit = limit
        self.window = window
        self.mode = mode
        self.softLimit = softLimit
    }
}

/// One rate limit as its owner set it.
package struct LimitTerms: Hashable, Sendable {
    package enum Unit: UInt8, Hashable, Sendable {
        case requests = 0
        case tokens = 1
        case inputTokens = 2
        case outputTokens = 3
        /// Calls at one time; its window is ignored.
        case parallelRequests = 4
    }

    package enum Window: UInt8, Hashable, Sendable {
        /// Fixed, from the UTC minute.
        case minute = 0
        /// Fixed, from UTC midnight.
        case day = 1
        /// Any 60 seconds, kept in slices of half a second.
        case slidingMinute = 2
        /// Any 24 hours, kept in slices of ten minutes.
        case slidingDay = 3

        package var isSliding: Bool { self == .slidingMinute || self == .slidingDay }

        /// The same length, sliding.
        package var sliding: Window {
            switch self {
            case .minute, .slidingMinute: .slidingMinute
            case .day, .slidingDay: .slidingDay
            }
        }
    }

    package var subject: Subject
    package var unit: Unit
    package var window: Window
    package var value: Int64

    package init(subject: Subject, unit: Unit, window: Window, value: Int64) {
        self.subject = subject
        self.unit = unit
        self.window = window
        self.value = value
    }
}
