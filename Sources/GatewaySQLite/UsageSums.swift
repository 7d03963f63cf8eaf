import GatewayCore

/// Sums over usage rows. Addition stops at the ends of Int64 instead of trapping: a broken figure from a provider may
/// spoil a sum, but neither ends the process nor blocks the ledger.
struct UsageSums: Equatable {
    var spend: Int64 = 0
    var inputTokens: Int64 = 0
    var cachedTokens: Int64 = 0
    var outputTokens: Int64 = 0
    var reasoningTokens: Int64 = 0
    var requests: Int64 = 0
    var errors: Int64 = 0

    @inline(__always)
    mutating func add(cost: Int64, input: Int64, cached: Int64, output: Int64, reasoning: Int64, isError: Bool) {
        self.spend = saturatingSum(self.spend, cost)
        self.inputTokens = saturatingSum(self.inputTokens, input)
        self.cachedTokens = saturatingSum(self.cachedTokens, cached)
        self.outputTokens = saturatingSum(self.outputTokens, output)
        self.reasoningTokens = saturatingSum(self.reasoningTokens, reasoning)
        self.requests &+= 1
        self.errors &+= isError ? 1 : 0
    }

    mutating func add(_ other: UsageSums) {
        self.spend = saturatingSum(self.spend, other.spend)
        self.inputTokens = saturatingSum(self.inputTokens, other.inputTokens)
        self.cachedTokens = saturatingSum(self.cachedTokens, other.cachedTokens)
        self.outputTokens = saturatingSum(self.outputTokens, other.outputTokens)
        self.reasoningTokens = saturatingSum(self.reasoningTokens, other.reasoningTokens)
        self.requests = saturatingSum(self.requests, other.requests)
        self.errors = saturatingSum(self.errors, other.errors)
    }

    /// In the order of the columns of `usage_total` and `usage_daily`.
    var values: [Int64] {
        [
            self.spend, self.inputTokens, self.cachedTokens, self.outputTokens, self.reasoningTokens, self.requests,
            self.errors,
        ]
    }

    /// Without the array, for the hot path.
    @inline(__always)
    func forEachValue(_ body: (Int64) -> Void) {
        body(self.spend)
        body(self.inputTokens)
        body(self.cachedTokens)
        body(self.outputTokens)
        body(self.reasoningTokens)
        body(self.requests)
        body(self.errors)
    }

    static let columns = [
        "spend", "input_tokens", "cached_tokens", "output_tokens", "reasoning_tokens", "requests", "errors",
    ]

    /// Reads the seven columns from `first` on.
    init(_ statement: SQLStatement, first: Int32) {
        self.spend = statement.integer(first)
        self.inputTokens = statement.integer(first + 1)
        self.cachedTokens = statement.integer(first + 2)
        self.outputTokens = statement.integer(first + 3)
        self.reasoningTokens = statement.integer(first + 4)
        self.requests = statement.integer(first + 5)
        self.errors = statement.integer(first + 6)
    }

    init() {}
}

@inline(__always)
func saturatingSum(_ a: Int64, _ b: Int64) -> Int64 {
    let (sum, overflow) = a.addingReportingOverflow(b)
    return overflow ? (a < 0 ? Int64.min : Int64.max) : sum
}

/// What one sum is over.
struct UsageGroup: Hashable, Comparable {
    var day: Int64
    var payer: Int64
    var route: Int64

    /// In key order, so that neighbouring rows are written together.
    static func < (a: UsageGroup, b: UsageGroup) -> Bool {
        (a.day, a.payer, a.route) < (b.day, b.payer, b.route)
    }

    func hash(into hasher: inout Hasher) {
        // Payers and routes are small row numbers; one word keeps the hash at half its cost.
        hasher.combine(self.payer << 24 ^ self.route ^ self.day << 48)
    }
}

/// The sums of a set of rows by day, payer and route; as many entries as groups occur.
struct UsageSummary {
    private var indices: [UsageGroup: Int] = [:]
    private var sums: [UsageSums] = []
    private var lastGroup = UsageGroup(day: .min, payer: -1, route: -1)
    private var lastIndex = 0
    /// Start of the day of the last row and of the day after it: a division saved for nearly every row.
    private var dayRange: Range<Int64> = 0..<0
    private var day: Int64 = 0

    init() {}

    @inline(__always)
    mutating func add(
        startedAt: Int64, payer: Int64, route: Int64, cost: Int64, input: Int64, cached: Int64, output: Int64,
        reasoning: Int64, isError: Bool
    ) {
        if !self.dayRange.contains(startedAt) { self.moveDay(startedAt) }
        let group = UsageGroup(day: self.day, payer: payer, route: route)
        if group != self.lastGroup { self.move(to: group) }
        self.sums[self.lastIndex].add(
            cost: cost, input: input, cached: cached, output: output, reasoning: reasoning, isError: isError)
    }

    mutating func add(_ sums: UsageSums, to group: UsageGroup) {
        if group != self.lastGroup { self.move(to: group) }
        self.sums[self.lastIndex].add(sums)
    }

    private mutating func moveDay(_ startedAt: Int64) {
        self.day = UnixMicroseconds(rawValue: startedAt).day
        let (start, overflow) = self.day.multipliedReportingOverflow(by: 86_400_000_000)
        let (end, endOverflow) = start.addingReportingOverflow(86_400_000_000)
        self.dayRange = overflow || endOverflow ? 0..<0 : start..<end
    }

    private mutating func move(to group: UsageGroup) {
        self.lastGroup = group
        if let index = self.indices[group] {
            self.lastIndex = index
            return
        }
        self.lastIndex = self.sums.count
        self.indices[group] = self.lastIndex
        self.sums.append(UsageSums())
    }

    /// In key order.
    var daily: [(group: UsageGroup, sums: UsageSums)] {
        self.indices.sorted { $0.key < $1.key }.map { ($0.key, self.sums[$0.value]) }
    }

    /// The same with the days added up, each group's day 0; in key order.
    var totals: [(group: UsageGroup, sums: UsageSums)] {
        let byPayer = self.indices.sorted { ($0.key.payer, $0.key.route) < ($1.key.payer, $1.key.route) }
        var totals: [(group: UsageGroup, sums: UsageSums)] = []
        totals.reserveCapacity(byPayer.count)
        for (group, index) in byPayer {
            let last = totals.count - 1
            if last >= 0 && totals[last].group.payer == group.payer && totals[last].group.route == group.route {
                totals[last].sums.add(self.sums[index])
            } else {
                totals.append((UsageGroup(day: 0, payer: group.payer, route: group.route), self.sums[index]))
            }
        }
        return totals
    }
}
