import GatewayCore

/// What one call holds of the accounts on its way. Lives in the call; every way out ends with `finish`.
package struct AdmissionTicket: Sendable {
    package enum Verdict: Sendable {
        case admitted
        /// This account has to ask the store: try again when it has answered.
        case waits(EscrowAccount)
        /// This account has nothing for the call.
        case refused(EscrowAccount)
    }

    private struct Hold: Sendable {
        let account: EscrowAccount
        let generation: Int64
        var reserved: Int64
        /// A budget that must never be passed.
        let isStrictBudget: Bool
    }

    /// Budgets and limits on the way of one call.
    package static let stepsMax = 24
    /// Not inline: two dozen of them would make every call's object too large for the allocator's quick lists.
    private var holds: [Hold] = []
    package var count: Int { self.holds.count }

    package init() {}

    /// Reserves in every account of `path`; all or nothing: unless it says `.admitted`, the ticket is empty afterwards,
    /// paths admitted before included.
    /// - Parameters:
    ///   - now: the store's time as this pod reckons.
    ///   - at: monotonic nanoseconds.
    ///   - hasWaited: for as long as it may: `.waits` will be taken for a refusal.
    package mutating func admit(
        _ path: AccountPath, _ demand: CallDemand, now: UnixMicroseconds, at: UInt64, hasWaited: Bool = false
    ) -> Verdict {
        var waiting: EscrowAccount?
        self.holds.reserveCapacity(self.holds.count + path.steps.count)
        for step in path.steps {
            guard self.count < Self.stepsMax else {
                self.abandon()
                return .refused(step.account)
            }
            let verdict = step.account.reserve(
                demand.amount(step.unit, isStrict: step.isStrict), now: now, at: at, hasWaited: hasWaited)
            switch verdict {
            case .taken(let amount, let generation):
                self.holds.append(
                    Hold(
                        account: step.account, generation: generation, reserved: amount,
                        isStrictBudget: step.isStrict && step.unit == .money))
            // The others are asked all the same, so that one answer of the store tells of all that have to ask.
            case .short: waiting = waiting ?? step.account
            case .dry:
                self.abandon()
                return .refused(step.account)
            }
        }
        if let waiting {
            self.abandon()
            return .waits(waiting)
        }
        return .admitted
    }

    /// Whether a budget that must never be passed is among the accounts.
    package var isStrict: Bool { self.holds.contains { $0.isStrictBudget } }

    /// Makes room in strict budgets for a further attempt; does not wait.
    /// - Returns: the account that has none. `nil`: all have.
    package mutating func raise(to demand: CallDemand, now: UnixMicroseconds, at: UInt64) -> EscrowAccount? {
        for index in 0..<self.count where self.holds[index].isStrictBudget {
            let account = self.holds[index].account
            let missing = demand.amount(.money, isStrict: true) - self.holds[index].reserved
            guard missing > 0 else { continue }
            guard case .taken(let amount, let generation) = account.reserve(missing, now: now, at: at) else {
                return account
            }
            // Part of a call that is counted already. In a window that has begun since it is of no use.
            let isKept = generation == self.holds[index].generation
            account.settle(
                generation: generation, reserved: isKept ? 0 : amount, consumed: 0, sequence: .max, ends: true)
            if isKept { self.holds[index].reserved += amount }
        }
        return nil
    }

    /// How the rates on the way stand: of several of a kind the one with the least left.
    package func leastRates(now: UnixMicroseconds) -> LeastRates {
        var least = LeastRates()
        for hold in self.holds where hold.account.isRate {
            if let rate = hold.account.rate(now: now) { least.take(rate, of: hold.account.unit) }
        }
        return least
    }

    /// Turns what an attempt has used into consumption.
    /// - Parameter sequence: place of its settlement in the journal.
    package mutating func charge(_ charge: CallCharge, sequence: Int64) {
        for index in self.holds.indices {
            let hold = self.holds[index]
            let amount = charge.amount(hold.account.unit)
            guard amount > 0 else { continue }
            let covered = min(amount, hold.reserved)
            hold.account.settle(
                generation: hold.generation, reserved: covered, consumed: amount, sequence: sequence, ends: false)
            self.holds[index].reserved -= covered
        }
    }

    /// The call is over: its places become free, and what it did not use.
    package mutating func finish() { self.end(countsRequest: true) }

    /// The call never began: it does not even count as a request.
    package mutating func abandon() { self.end(countsRequest: false) }

    private mutating func end(countsRequest: Bool) {
        for hold in self.holds {
            hold.account.settle(
                generation: hold.generation, reserved: hold.reserved,
                consumed: countsRequest && hold.account.unit == .requests ? 1 : 0, sequence: .max, ends: true)
        }
        self.holds = []
    }
}
