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

    /// Of one step of a path. Plain numbers: a call that counted its accounts' holders would pay for each of them.
    private struct Hold: Sendable {
        var generation: Int64
        /// -1: nothing is held.
        var reserved: Int64
        /// What a rate is charged when the call ends.
        var consumed: Int64
    }

    /// Budgets and limits on the way of one call.
    package static let stepsMax = 48
    /// The paths that were admitted, in turn; most calls have one. `nil`: none was.
    private var first: AccountPath?
    private var others: [AccountPath] = []
    /// Of the paths' steps, in turn. Not inline: two dozen of them would make every call's object too large for the
    /// allocator's quick lists.
    private var holds: [Hold] = []
    package var count: Int { self.holds.count }

    package init() {}

    /// As `admit(_:_:now:at:hasWaited:rates:)`, for those who do not ask how rates stand.
    package mutating func admit(
        _ path: AccountPath, _ demand: CallDemand, now: UnixMicroseconds, at: UInt64, hasWaited: Bool = false
    ) -> Verdict {
        var rates = LeastRates()
        return self.admit(path, demand, now: now, at: at, hasWaited: hasWaited, rates: &rates)
    }

    /// Reserves in every account of `path`; all or nothing: unless it says `.admitted`, the ticket is empty afterwards,
    /// paths admitted before included.
    /// - Parameters:
    ///   - now: the store's time as this pod reckons.
    ///   - at: monotonic nanoseconds.
    ///   - hasWaited: for as long as it may: `.waits` will be taken for a refusal.
    ///   - rates: gets how the rates on the way stand, of several of a kind the one with the least left.
    package mutating func admit(
        _ path: AccountPath, _ demand: CallDemand, now: UnixMicroseconds, at: UInt64, hasWaited: Bool,
        rates: inout LeastRates
    ) -> Verdict {
        guard let last = path.accounts.last else { return .admitted }
        guard self.count + path.steps.count <= Self.stepsMax else {
            self.abandon()
            return .refused(last)
        }
        if self.first == nil { self.first = path } else { self.others.append(path) }
        self.holds.reserveCapacity(self.count + path.steps.count)
        var (waiting, dry) = (-1, -1)
        path.steps.withUnsafeBufferPointer { steps in
            for index in steps.indices {
                let step = steps[index]
                let amount = demand.amount(step.unit, isStrict: step.isStrict)
                let verdict = step.account._withUnsafeGuaranteedRef {
                    step.isRate
                        ? $0.reserve(amount, now: now, at: at, rates: &rates)
                        : $0.reserve(amount, now: now, at: at, hasWaited: hasWaited)
                }
                switch verdict {
                case .taken(let amount, let generation):
                    self.holds.append(Hold(generation: generation, reserved: amount, consumed: 0))
                // The others are asked all the same, so that one answer of the store tells of all that have to ask.
                case .short:
                    if waiting < 0 { waiting = index }
                    self.holds.append(Hold(generation: 0, reserved: -1, consumed: 0))
                case .dry:
                    dry = index
                    return
                }
            }
        }
        guard waiting >= 0 || dry >= 0 else { return .admitted }
        self.abandon()
        return dry >= 0 ? .refused(path.accounts[dry]) : .waits(path.accounts[waiting])
    }

    /// Calls `body` with each step that something is held of.
    @inline(__always)
    private mutating func eachHold(_ body: (AccountPath.Step, inout Hold) -> Void) {
        guard let first = self.first else { return }
        var index = 0
        let count = self.holds.count
        self.holds.withUnsafeMutableBufferPointer { holds in
            first.steps.withUnsafeBufferPointer { steps in
                for step in steps where index < count {
                    if holds[index].reserved >= 0 { body(step, &holds[index]) }
                    index += 1
                }
            }
        }
        guard !self.others.isEmpty else { return }
        for path in self.others {
            for step in path.steps where index < count {
                if self.holds[index].reserved >= 0 { body(step, &self.holds[index]) }
                index += 1
            }
        }
    }

    /// Whether a budget that must never be passed is among the accounts.
    package var isStrict: Bool { self.first?.isStrict ?? false || self.others.contains { $0.isStrict } }

    /// Whether any of the accounts could refuse a call.
    package var binds: Bool {
        self.first?.accounts.contains { !$0.terms.isWatched } ?? false
            || self.others.contains { $0.accounts.contains { !$0.terms.isWatched } }
    }

    /// Makes room in strict budgets for a further attempt; does not wait.
    /// - Returns: the account that has none. `nil`: all have.
    package mutating func raise(to demand: CallDemand, now: UnixMicroseconds, at: UInt64) -> EscrowAccount? {
        var refusing: EscrowAccount?
        self.eachHold { step, hold in
            guard refusing == nil, step.isStrict, step.unit == .money else { return }
            let account = step.account.takeUnretainedValue()
            let missing = demand.amount(.money, isStrict: true) - hold.reserved
            guard missing > 0 else { return }
            guard case .taken(let amount, let generation) = account.reserve(missing, now: now, at: at) else {
                refusing = account
                return
            }
            if generation != hold.generation {
                // A window has begun since: the further attempt is of that one, and so is all that the call holds.
                guard case .taken = account.reserve(hold.reserved, now: now, at: at, in: generation) else {
                    account.settle(generation: generation, reserved: amount, consumed: 0, sequence: .max, ends: true)
                    refusing = account
                    return
                }
                account.settle(
                    generation: hold.generation, reserved: hold.reserved, consumed: 0, sequence: .max, ends: true)
                hold.generation = generation
            }
            // Part of a call that is counted already.
            account.settle(generation: generation, reserved: 0, consumed: 0, sequence: .max, ends: true)
            hold.reserved += amount
        }
        return refusing
    }

    /// Turns what an attempt has used into consumption: of money at once, because it has been journaled; of rates when
    /// the call ends.
    /// - Parameter sequence: place of its settlement in the journal.
    package mutating func charge(_ charge: CallCharge, sequence: Int64) {
        self.eachHold { step, hold in
            let amount = charge.amount(step.unit)
            guard amount > 0 else { return }
            guard step.unit == .money else {
                hold.consumed += amount
                return
            }
            let covered = min(amount, hold.reserved)
            step.account._withUnsafeGuaranteedRef {
                $0.settle(
                    generation: hold.generation, reserved: covered, consumed: amount, sequence: sequence, ends: false)
            }
            hold.reserved -= covered
        }
    }

    /// The call is over: its places become free, and what it did not use.
    package mutating func finish() { self.end(countsRequest: true) }

    /// The call never began: it does not even count as a request.
    package mutating func abandon() { self.end(countsRequest: false) }

    private mutating func end(countsRequest: Bool) {
        self.eachHold { step, hold in
            let consumed = countsRequest && step.unit == .requests ? 1 : hold.consumed
            step.account._withUnsafeGuaranteedRef {
                $0.settle(
                    generation: hold.generation, reserved: hold.reserved, consumed: consumed, sequence: .max,
                    ends: true)
            }
        }
        (self.first, self.others, self.holds) = (nil, [], [])
    }
}
