import GatewayAdmission
import GatewayCore

/// What a call of a group with bound deployments holds and has met while picking one.
final class DeploymentPick {
    /// Of the deployment that the attempt goes to.
    var ticket: AdmissionTicket?
    /// The pick waits for the store's answer.
    var waits = false
    /// Accounts that had no room for this attempt, with what it wanted of them, one a deployment.
    var refused: [(account: EscrowAccount, needs: Int64, target: Target)] = []
}

/// Phase 3 where budgets or limits bind deployments or their providers: those without room for the call are passed
/// over. Room is taken of the picked one alone, for one attempt.
///
///     pick ─ has room ─────────────► attempt ── settled ──► consumed, the rest is free again
///      │▲
///      │└─ has none: another
///      ├─ none has, one has to ask ─► admitting ── answer: pick again
///      └─ none has ─────────────────► fall back, or refused
extension Call {
    func beginBoundAttempt(in group: TargetGroup, now: UInt64) {
        self.leaveDeployment()
        self.picking = DeploymentPick()
        self.admittingSince = now
        self.pick(in: group, now: now, isLastTry: false)
    }

    /// After the store's answer, or without one after all the time that there is.
    func pickAgain(isLastTry: Bool) {
        guard let group = self.group, let picking = self.picking else { return }
        picking.waits = false
        picking.refused = []
        self.pick(in: group, now: self.loop.nanoseconds(), isLastTry: isLastTry)
    }

    private func pick(in group: TargetGroup, now: UInt64, isLastTry: Bool) {
        guard let gate = self.loop.gate, let picking = self.picking else { return }
        var passed: Set<Int> = []
        var late: (account: EscrowAccount, demand: CallDemand)?
        let time = self.loop.storeTime(atNanoseconds: now)
        while let index = group.pick(
            random: self.loop.random.next(), now: now, tried: self.triedTargets, without: passed)
        {
            let target = group.targets[index]
            guard let path = target.accounts else { return self.begin(at: index, of: group, passed, now: now) }
            let demand = self.demand(at: target, gate, isStrict: path.isStrict)
            var ticket = AdmissionTicket()
            switch ticket.admit(path, demand, now: time, at: now, hasWaited: isLastTry) {
            case .admitted:
                picking.ticket = ticket
                guard gate.registry.isTrusted(at: now) else { return self.refuse(.budgetStoreAway) }
                return self.begin(at: index, of: group, passed, now: now)
            case .waits(let account):
                late = late ?? (account, demand)
                picking.refused.append((account, demand.amount(of: account), target))
            case .refused(let account):
                picking.refused.append((account, demand.amount(of: account), target))
            }
            passed.insert(index)
        }
        if let late, self.waits(for: late.account, late.demand, gate, now: now, isLastTry: isLastTry) { return }
        self.foundNoRoom(in: group, gate, now: now, isUnknown: late.map { !$0.account.hasAnswer } ?? false)
    }

    private func demand(at target: Target, _ gate: AdmissionGate, isStrict: Bool) -> CallDemand {
        let learned = self.admissionPaths.flatMap { gate.expectedOutput($0, model: self.modelName) }
        return self.demand(at: target, learned: learned, isStrict: isStrict)
    }

    private func begin(at index: Int, of group: TargetGroup, _ passed: Set<Int>, now: UInt64) {
        self.phase = .starting
        // So that a call which gets no place at the others does not come back to these for ever.
        self.triedTargets.formUnion(passed)
        self.beginAttempt(at: index, of: group, now: now)
    }

    /// As for budgets and limits of keys: without an answer nobody knows whether anything is left.
    private func waits(
        for account: EscrowAccount, _ demand: CallDemand, _ gate: AdmissionGate, now: UInt64, isLastTry: Bool
    ) -> Bool {
        let waited = now > self.admittingSince ? now - self.admittingSince : 0
        let isLate = !account.hasAnswer || gate.registry.podsWithoutStore == 0 && account.isAtStore(demand)
        guard !isLastTry || isLate && waited < Self.lateAnswerPatience else { return false }
        self.phase = .admitting
        self.picking?.waits = true
        if self.loop.enqueue(admitting: self) { return true }
        self.phase = .starting
        self.picking?.waits = false
        return false
    }

    private func foundNoRoom(in group: TargetGroup, _ gate: AdmissionGate, now: UInt64, isUnknown: Bool) {
        let time = self.loop.storeTime(atNanoseconds: now)
        let refusals = (self.picking?.refused ?? []).map { refused in
            DeploymentRefusal(
                standing: refused.account.standing(now: time), needs: refused.needs,
                group: refused.target.deployment.name, model: refused.target.deployment.configuration.model)
        }
        if self.loop.configuration.admissionIsShadow {
            self.loop.logger.notice(
                "A budget or limit would have passed all deployments of a group over",
                metadata: ["gen_ai.request.model": "\(group.name)"])
            let index = group.pick(random: self.loop.random.next(), now: now, tried: self.triedTargets)
            return self.begin(at: index, of: group, [], now: now)
        }
        if isUnknown || gate.registry.podsWithoutStore > 0 { return self.fallBackOrRefuse(.budgetStoreAway) }
        self.fallBackOrRefuse(.passedOver(refusals, now: time))
    }

    // MARK: what the attempt has used

    /// The attempt is over, and so is what it held of its deployment.
    func settleAtDeployment(_ charge: CallCharge, sequence: Int64) {
        self.picking?.ticket?.charge(charge, sequence: sequence)
        self.picking?.ticket?.finish()
        self.picking = nil
        self.loop.pumpAdmittingSoon()
    }

    /// The attempt never began, or was settled already: nothing is held any more.
    func leaveDeployment() {
        self.picking?.ticket?.abandon()
        self.picking = nil
    }
}

extension CallDemand {
    /// What it wants of the account, in its unit.
    func amount(of account: EscrowAccount) -> Int64 {
        self.amount(account.unit, isStrict: account.terms.isStrict)
    }
}
