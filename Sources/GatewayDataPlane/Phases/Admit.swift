import GatewayAdmission
import GatewayCore
import GatewayWire
import NIOCore

/// Phase 2: whether this key may make this call, and whether its budgets and limits have room for it. Arithmetic in
/// memory; a call waits for the store only when this pod's slice of a budget or limit is used up.
///
///     admit ─ all have room ──────────► admitted: route
///       │
///       ├─ one has to ask the store ──► admitting ── answer: again; too long: refused
///       └─ one has nothing left ──────► refused
extension Call {
    func admit(to group: TargetGroup) {
        let now = self.loop.nanoseconds()
        let rules = self.path
        if let refusal = Admit.refusal(
            of: self.key, path: rules, kind: self.kind, route: self.origin?.passThrough?.route, model: self.modelName,
            group: group.name)
        {
            return self.refuse(refusal)
        }
        if let customer = self.endUser,
            let refusal = self.loop.keys.entities.refusal(
                customer: customer, model: self.modelName, group: group.name)
        {
            return self.refuse(refusal)
        }
        guard let gate = self.loop.gate else {
            if let refusal = Admit.spentRefusal(of: self.key, status: self.loop.snapshot.budgetExceededStatus) {
                return self.refuse(refusal)
            }
            return self.beginAttempt()
        }
        // Most keys: nothing to look up, nothing to keep.
        if rules.terms.isEmpty, self.endUser == nil, self.tags.isEmpty { return self.beginAttempt() }
        self.admissionPaths = gate.paths(of: self.key, rules: rules, at: now)
        self.admittingSince = now
        self.reserve(gate, at: now, isLastTry: false)
    }

    /// How long a call waits where there may well be room: the store has not answered yet about the budget or limit, or
    /// had enough when it did. Nanoseconds.
    static let lateAnswerPatience: UInt64 = 3_000_000_000

    private func reserve(_ gate: AdmissionGate, at now: UInt64, isLastTry: Bool) {
        guard let paths = self.admissionPaths, let group = self.group else { return }
        let time = self.loop.storeTime(atNanoseconds: now)
        let ofModel =
            paths.hasModelTerms ? gate.path(of: paths, model: self.modelName, group: group.name, at: now) : nil
        let ofCustomer = self.endUser.flatMap { gate.path(customer: $0, at: now, now: time) }
        let ofTags = self.tags.isEmpty ? [] : self.tags.compactMap { gate.path(tag: $0, at: now, now: time) }
        if paths.base.isEmpty, ofModel?.isEmpty ?? true, ofCustomer == nil, ofTags.isEmpty {
            return self.beginAttempt()
        }
        var ticket = AdmissionTicket()
        let isStrict =
            paths.base.isStrict || ofModel?.isStrict ?? false || ofCustomer?.isStrict ?? false
            || ofTags.contains { $0.isStrict }
        let demand = self.demand(gate, paths, group, isStrict: isStrict)
        var rates = LeastRates()
        var verdict = ticket.admit(paths.base, demand, now: time, at: now, hasWaited: isLastTry, rates: &rates)
        if case .admitted = verdict, let ofModel {
            verdict = ticket.admit(ofModel, demand, now: time, at: now, hasWaited: isLastTry, rates: &rates)
        }
        if case .admitted = verdict, let ofCustomer {
            verdict = ticket.admit(ofCustomer, demand, now: time, at: now, hasWaited: isLastTry, rates: &rates)
        }
        for path in ofTags {
            guard case .admitted = verdict else { break }
            verdict = ticket.admit(path, demand, now: time, at: now, hasWaited: isLastTry, rates: &rates)
        }
        switch verdict {
        case .admitted:
            guard gate.registry.isTrusted(at: now) || !ticket.binds else {
                ticket.abandon()
                return self.refuse(.budgetStoreAway)
            }
            self.ticket = ticket
            if !rates.isEmpty {
                let lines = RateHeaders.lines(rates, now: time)
                self.rateLines = self.rateLines.isEmpty ? lines : lines + self.rateLines
            }
            self.beginAttempt()
        case .waits(let account):
            // Without an answer nobody knows whether anything is left; the first one may take longer.
            let isUnknown = gate.registry.podsWithoutStore > 0 || !account.hasAnswer
            let waited = now > self.admittingSince ? now - self.admittingSince : 0
            // Many pods that begin at once wait for each other at the account's row.
            let isLate = !account.hasAnswer || gate.registry.podsWithoutStore == 0 && account.isAtStore(demand)
            let mayWait = !isLastTry || isLate && waited < Self.lateAnswerPatience
            self.phase = .admitting
            if mayWait, self.loop.enqueue(admitting: self) { return }
            if isUnknown { return self.refuse(.budgetStoreAway) }
            if self.clampOutput(to: account, group) { return self.reserve(gate, at: now, isLastTry: true) }
            self.refuse(by: account, demand, at: now)
        case .refused(let account):
            if self.clampOutput(to: account, group) { return self.reserve(gate, at: now, isLastTry: isLastTry) }
            self.refuse(by: account, demand, at: now)
        }
    }

    /// - Parameter isLastTry: it has waited for as long as it may; what it does not get now it does not get.
    func admitAgain(isLastTry: Bool) {
        guard case .admitting = self.phase, let gate = self.loop.gate else { return }
        self.phase = .starting
        if self.picking?.waits == true { return self.pickAgain(isLastTry: isLastTry) }
        self.reserve(gate, at: self.loop.nanoseconds(), isLastTry: isLastTry)
    }

    /// A further attempt may cost as much as the one before, and one at another group more: budgets that must never be
    /// passed need room for it.
    func beginFurtherAttempt() {
        guard self.ticket?.isStrict ?? false, let gate = self.loop.gate, let paths = self.admissionPaths,
            let group = self.group
        else { return self.beginAttempt() }
        let now = self.loop.nanoseconds()
        let demand = self.demand(gate, paths, group, isStrict: true)
        let time = self.loop.storeTime(atNanoseconds: now)
        if let account = self.ticket?.raise(to: demand, now: time, at: now) {
            return self.refuse(by: account, demand, at: now)
        }
        self.beginAttempt()
    }

    private func refuse(by account: EscrowAccount, _ demand: CallDemand, at now: UInt64) {
        let time = self.loop.storeTime(atNanoseconds: now)
        let standing = account.standing(now: time)
        if self.loop.configuration.admissionIsShadow {
            self.loop.logger.notice(
                "A budget or limit would have refused a call",
                metadata: [
                    "martlet.subject.kind": "\(standing.terms.subject.kind.name)",
                    "martlet.limit.type": "\(standing.terms.unit.limitName)",
                ])
            return self.beginAttempt()
        }
        if standing.terms.isRate { self.rateLines = RateHeaders.refusalLines(standing, now: time) }
        self.refuse(
            GatewayError.refused(
                by: standing, needs: demand.amount(standing.terms.unit, isStrict: standing.terms.isStrict),
                party: RefusedParty(
                    keyName: self.key.record.alias ?? self.key.record.keyName, keyDigest: self.key.record.digest.hex,
                    spendBaseline: self.key.rules.spendBaseline),
                budgetStatus: self.loop.snapshot.budgetExceededStatus, now: time))
    }

    // MARK: what the call may use

    private func demand(
        _ gate: AdmissionGate, _ paths: AdmissionGate.KeyPaths, _ group: TargetGroup, isStrict: Bool
    ) -> CallDemand {
        var demand = CallDemand(costMax: 0, costExpected: 0, inputTokens: 0, outputTokens: 0)
        if self.isCounting { return demand }
        let hasOutput = self.kind != .embedding && self.meter == nil
        let learned = hasOutput ? gate.expectedOutput(paths, model: self.modelName) : 0
        for target in group.targets { demand.grow(to: self.demand(at: target, learned: learned, isStrict: isStrict)) }
        return demand
    }

    /// - Parameter learned: output tokens that calls of the key and model use. `nil`: nothing has been learned yet.
    func demand(at target: Target, learned: Int64?, isStrict: Bool) -> CallDemand {
        if let meter = self.meter { return self.demand(of: meter, at: target, isStrict: isStrict) }
        let choices = max(1, min(self.scan.choiceCount, 128))
        var usage = TokenUsage(
            input: target.figures.inputTokens(bytes: self.scan.inputTextBytes),
            output: self.kind == .embedding ? 0 : learned ?? Int64(target.figures.expectedOutputTokens))
        if self.scan.maxTokens >= 0 { usage.output = min(usage.output, self.scan.maxTokens) }
        usage.output *= choices
        var demand = CallDemand(
            costMax: 0, costExpected: 0, inputTokens: usage.input, outputTokens: usage.output)
        guard let price = target.deployment.priceBox else { return demand }
        demand.costExpected =
            price.cost(of: usage, tier: .standard).rawValue
            + price.searchCostMax(min(self.searchesMax ?? 1, 1)).rawValue
        if isStrict { demand.costMax = self.costMax(target, price, choices: choices) }
        return demand
    }

    private func demand(of meter: CallMeter, at target: Target, isStrict: Bool) -> CallDemand {
        let expected = self.metered(meter, at: target)
        var demand = CallDemand(
            costMax: 0, costExpected: max(0, expected.cost?.rawValue ?? 0), inputTokens: expected.usage.input,
            outputTokens: expected.usage.output)
        if isStrict {
            demand.costMax =
                meter.costMax(
                    at: target.deployment, bodyBytes: self.body.readableBytes,
                    outputTokensCap: self.loop.configuration.outputTokensCap
                ).rawValue
        }
        return demand
    }

    /// Every token is made of a byte of the body at least. What the body only points to has no such bound, so a model's
    /// own bound on its input stands in where the body may point to something. Searches of the web cost what they may
    /// cost beside.
    func costMax(_ target: Target, _ price: PriceBox, choices: Int64, output: Int64? = nil) -> Int64 {
        let bytes = Int64(self.body.readableBytes)
        let modelInput = price.price.maxInputTokens ?? .max
        var input = min(bytes, modelInput)
        if self.body.withUnsafeReadableBytes({ Admit.mayPointElsewhere($0, isOther: self.hasFormatFacts) }) {
            input = price.price.maxInputTokens ?? max(bytes, Admit.inputTokensCap)
        }
        guard self.kind != .embedding else {
            return price.costMax(inputTokens: input, outputTokens: 0).rawValue
        }
        let cap = price.price.maxOutputTokens ?? Int64(self.loop.configuration.outputTokensCap)
        let output = output ?? (self.scan.maxTokens >= 0 ? self.scan.maxTokens : cap)
        let searches = self.searchesMax ?? Int64(self.loop.configuration.webSearchesCap)
        return price.costMax(inputTokens: input, outputTokens: min(output, 1 << 40) * choices).rawValue
            + price.searchCostMax(searches).rawValue
    }

    // MARK: what it has used

    func charge(_ event: UsageEvent, sequence: Int64) {
        let charge = CallCharge(
            cost: event.cost, inputTokens: event.usage.input, outputTokens: event.usage.output)
        if self.picking != nil { self.settleAtDeployment(charge, sequence: sequence) }
        guard self.ticket != nil else { return }
        self.ticket?.charge(charge, sequence: sequence)
        guard event.outcome == .finished, event.usage.output > 0, let gate = self.loop.gate,
            let paths = self.admissionPaths
        else { return }
        gate.learn(
            paths, model: self.modelName,
            outputTokens: event.usage.output / max(1, min(self.scan.choiceCount, 128)))
    }

    func endAdmission() {
        self.ticket?.finish()
        self.ticket = nil
        self.loop.pumpAdmittingSoon()
    }
}

enum Admit {
    /// Input of a call that points to media, when the model's own bound is not known.
    static let inputTokensCap: Int64 = 1 << 20

    private static let pointers: [StaticString] = [
        "image_url\"", "input_image\"", "file\"", "input_file\"", "input_audio\"", "file_id\"",
    ]
    /// The same in other formats, with what makes the provider read more than it was sent.
    private static let otherPointers: [StaticString] = [
        "image\"", "document\"", "file\"", "file_id\"", "url\"", "uri\"", "fileUri\"", "file_uri\"", "input_image\"",
        "input_file\"", "input_audio\"", "item_reference\"", "previous_response_id\"", "conversation\"", "prompt\"",
        "inlineData\"", "inline_data\"", "fileData\"", "file_data\"", "cachedContent\"", "cached_content\"", "video\"",
        "audio\"", "s3Location\"", "mcp_servers\"", "mcp\"", "container\"", "googleSearch\"", "google_search\"",
        "urlContext\"", "url_context\"", "web_search", "web_fetch", "file_search\"", "code_interpreter\"",
        "code_execution", "systemTool\"", "guardContent\"",
    ]

    /// Before the last two digits of an escaped character that such a name may be written with.
    private static let escape: StaticString = "u00"

    /// Whether the body has parts whose tokens are not in it: images, files and audio by address or identifier.
    /// - Parameter isOther: the body is of another format than OpenAI's chat.
    static func mayPointElsewhere(_ body: UnsafeRawBufferPointer, isOther: Bool) -> Bool {
        func matches(_ text: StaticString, at index: Int) -> Bool {
            index + text.utf8CodeUnitCount <= body.count
                && (0..<text.utf8CodeUnitCount).allSatisfy { body[index + $0] == text.utf8Start[$0] }
        }
        for index in body.indices {
            switch body[index] {
            case UInt8(ascii: "\""):
                let next = index + 1
                if isOther {
                    if Self.otherPointers.contains(where: { matches($0, at: next) }) { return true }
                    continue
                }
                guard next < body.count, body[next] == UInt8(ascii: "i") || body[next] == UInt8(ascii: "f") else {
                    continue
                }
                if Self.pointers.contains(where: { matches($0, at: next) }) { return true }
            case UInt8(ascii: "\\"):
                // Letters and the underscore, U+0040 to U+007F.
                guard matches(Self.escape, at: index + 1), index + 4 < body.count else { continue }
                if (UInt8(ascii: "4")...UInt8(ascii: "7")).contains(body[index + 4]) { return true }
            default: continue
            }
        }
        return false
    }

    /// `nil`: admitted.
    /// - Parameter path: what the key's owners say.
    static func refusal(
        of key: KeyEntry, path: AdmissionPath, kind: CallKind, route: String?, model: String, group: String
    ) -> GatewayError? {
        if let refusal = path.refusal { return refusal }
        if !key.rules.routes.allowsAllCalls, !key.rules.routes.allows(route ?? kind.route, family: .call) {
            return key.rules.routes.refusal(of: route ?? kind.path)
        }
        return path.refusal(ofModel: model, group: group)
    }

    /// Where no slices are kept: by what this pod knows of the key's spend.
    static func spentRefusal(of key: KeyEntry, status: Int) -> GatewayError? {
        let spend = key.spend.spend - key.rules.spendBaseline
        if let budget = key.record.maxBudget, spend >= budget {
            return GatewayError(
                status: status, type: "budget_exceeded", origin: .caller,
                message: "Budget has been exceeded! Key=\(key.record.alias ?? key.record.keyName) "
                    + "Current cost: \(spend.decimalText), Max budget: \(budget.decimalText)")
        }
        return nil
    }

    static func unknownModel(_ model: String, kind: CallKind) -> GatewayError {
        GatewayError(
            status: 400, type: "invalid_request_error", param: "model", origin: .caller,
            message: "\(kind.path): Invalid model name passed in model=\(String(model.prefix(256))). "
                + "Call `/v1/models` to view available models for your key.")
    }
}

/// `x-ratelimit-*` as OpenAI and LiteLLM send them.
enum RateHeaders {
    /// Six lines with a number of any size each.
    private static let bytesMax = 512

    static func lines(_ rates: LeastRates, now: UnixMicroseconds) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: self.bytesMax) { memory, count in
            var writer = RawWriter(UnsafeMutableRawBufferPointer(memory))
            if let requests = rates.requests { self.write(requests, "requests: ", now: now, to: &writer) }
            if let tokens = rates.tokens { self.write(tokens, "tokens: ", now: now, to: &writer) }
            count = writer.count
        }
    }

    private static func write(
        _ rate: RateStanding, _ kind: StaticString, now: UnixMicroseconds, to writer: inout RawWriter
    ) {
        writer.append("x-ratelimit-limit-")
        writer.append(kind)
        writer.append(decimal: rate.limit)
        writer.append("\r\nx-ratelimit-remaining-")
        writer.append(kind)
        writer.append(decimal: rate.left)
        writer.append("\r\nx-ratelimit-reset-")
        writer.append(kind)
        writer.append(decimal: rate.secondsLeft(now: now))
        writer.append("s\r\n")
    }

    /// Of a refusal, with what LiteLLM sends besides.
    static func refusalLines(_ standing: AccountStanding, now: UnixMicroseconds) -> [UInt8] {
        var rates = LeastRates()
        var text = "rate_limit_type: \(standing.terms.unit.limitName)\r\n"
        if let reset = standing.resetsAt {
            rates.take(
                RateStanding(limit: standing.terms.limit, left: standing.left, resetsAt: reset),
                of: standing.terms.unit)
            text += "reset_at: \(reset.iso8601)\r\n"
        }
        return Self.lines(rates, now: now) + Array(text.utf8)
    }
}
