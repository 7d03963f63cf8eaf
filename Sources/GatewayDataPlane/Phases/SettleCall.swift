import GatewayCore
import GatewayLedger
import GatewayPricing
import GatewayProviders
import GatewayWire

/// Phase 7: one row for every attempt, on every way out.
///
/// | the attempt | charged | flags |
/// |---|---|---|
/// | finished, usage reported | what was reported | measured |
/// | finished, no usage | counted from the bytes | estimated |
/// | caller left, pod drains | input and what was generated so far | estimated |
/// | cut, timed out or garbled after sending began | input and what was relayed | estimated, error |
/// | refused, or never reached | nothing | measured, error |
/// | pod died | set down at recovery | orphaned |
extension Call {
    /// Settles an attempt that ended before its answer did.
    func settleUnfinished(_ outcome: AttemptOutcome) {
        guard !self.isSettled else { return }
        if let translation = self.translation { return self.settleUnfinishedTranslated(outcome, translation) }
        if let meter = self.meter { return self.settleUnfinishedUnits(outcome, meter) }
        let scanner = self.stream?.scanner
        var reported = scanner?.lastUsage ?? self.largeUsage?.usage
        var contentBytes = scanner?.contentBytesTotal ?? self.largeContentBytes
        if case .holding = self.phase, self.held.readableBytes > 0 {
            // All of the text may have come and only the end of its framing be missing.
            reported = self.held.withUnsafeReadableBytes { JSONScanner.scanAnswer($0) }.usage
            contentBytes = self.held.withUnsafeReadableBytes { JSONScanner.contentBytes($0) }
        }
        self.settle(
            outcome, status: self.firstByteAt == 0 ? 0 : self.answerHead.status, reported: reported,
            contentBytes: contentBytes)
    }

    /// - Parameters:
    ///   - reported: usage as the provider reported it. `nil`: it did not.
    ///   - contentBytes: text generated so far, for an estimate and for learning.
    func settle(_ outcome: AttemptOutcome, status: Int, reported: ReportedUsage?, contentBytes: Int) {
        guard !self.isSettled, let target = self.target else { return }
        self.isSettled = true
        let now = self.loop.nanoseconds()
        let deployment = target.deployment
        var usage = TokenUsage()
        var flags = UsageFlags()
        let isRefused = outcome == .upstreamRefused || outcome == .connectFailed
        let metered = isRefused ? nil : self.meter.map { self.metered($0, at: target) }
        if let metered {
            usage = metered.usage
            flags = metered.isMeasured && outcome == .finished ? .measured : .estimated
        } else if let reported {
            usage = TokenUsage(reported: reported, convention: deployment.usageConvention)
            flags = .measured
            if outcome == .finished, contentBytes > 0 {
                target.figures.learn(
                    inputBytes: self.scan.inputTextBytes, outputBytes: contentBytes, usage: usage)
            }
        } else if let settled = self.settledTranslated(outcome, contentBytes: contentBytes, figures: target.figures) {
            (usage, flags) = settled
        } else if isRefused {
            flags = .measured
        } else {
            usage.input = target.figures.inputTokens(bytes: self.scan.inputTextBytes)
            usage.output = target.figures.outputTokens(bytes: contentBytes)
            flags = .estimated
        }
        if outcome != .finished, outcome != .callerLeft, outcome != .draining { flags.formUnion(.error) }
        let tier = reported?.serviceTier ?? self.translation?.usage?.serviceTier ?? .standard
        var route = deployment.route
        var cost = NanoUSD.zero
        if let metered {
            cost = metered.cost ?? .zero
            if metered.cost == nil { flags.formUnion(.unpriced) }
        } else if deployment.reportsCost, let reported, let charged = deployment.provider.reportedCost(reported) {
            cost = charged
            route = deployment.reportedRoute
        } else if let box = deployment.priceBox {
            cost = box.cost(of: usage, tier: tier)
            let searches = self.translation?.usage?.webSearchRequests
            if !isRefused, searches != nil || outcome == .finished {
                cost.rawValue += box.searchCost(reported: searches).rawValue
            }
        } else if usage.total > 0 {
            flags.formUnion(.unpriced)
        }
        let event = UsageEvent(
            requestID: self.requestID, attempt: UInt8(clamping: self.attempt), payer: self.key.payer, route: route,
            kind: self.kind, isStream: self.scan.stream,
            startedAt: self.loop.wallTime(atNanoseconds: self.attemptStartedAt),
            durationMicroseconds: Int64((now &- self.attemptStartedAt) / 1000),
            firstByteMicroseconds: self.firstByteAt == 0
                ? -1 : Int64((self.firstByteAt &- self.attemptStartedAt) / 1000),
            usage: usage, serviceTier: tier, cost: cost, status: UInt16(clamping: status), outcome: outcome,
            flags: flags, endUser: self.endUser)
        self.record(event, figures: target.figures)
        self.settledCost = cost
        self.settledAt = now
    }

    /// What a provider of another format than OpenAI's chat reported. `nil`: nothing, or there is none.
    private func settledTranslated(
        _ outcome: AttemptOutcome, contentBytes: Int, figures: DeploymentFigures
    ) -> (usage: TokenUsage, flags: UsageFlags)? {
        guard let translation = self.translation else { return nil }
        let isFinished = outcome == .finished
        let settled = translation.settled(
            isFinished: isFinished, estimatedOutput: figures.outputTokens(bytes: contentBytes))
        if isFinished, contentBytes > 0, let settled {
            figures.learn(inputBytes: self.scan.inputTextBytes, outputBytes: contentBytes, usage: settled.usage)
        }
        return settled
    }

    private func record(_ event: UsageEvent, figures: DeploymentFigures) {
        // Before it is in the journal: what the store tells of this key's spend must never be ahead of what was added here.
        self.key.spend.add(event.cost)
        // Consumption is counted after it is in the journal, never before.
        var sequence = Int64.max
        do {
            sequence = try self.loop.journal.recordSettlement(event)
        } catch {
            // The intent stands in the journal, so the attempt is settled as orphaned at the next start.
            self.loop.logger.error(
                "A settlement could not be recorded", metadata: ["error.message": "\(error.message)"])
        }
        self.charge(event, sequence: sequence)
        figures.metrics.attemptsByOutcome[Int(event.outcome.rawValue)] += 1
        figures.metrics.duration.record(microseconds: event.durationMicroseconds)
        if event.firstByteMicroseconds >= 0 {
            figures.metrics.firstByte.record(microseconds: event.firstByteMicroseconds)
        }
        figures.metrics.overhead.record(
            microseconds: Int64((self.attemptStartedAt &- self.receivedAt) / 1000))
        // Wrapping: a provider that reports absurd counts a thousand times must not stop the pod.
        figures.metrics.inputTokens &+= event.usage.input
        figures.metrics.cachedInputTokens &+= event.usage.cachedInput
        figures.metrics.outputTokens &+= event.usage.output
        figures.metrics.cost.rawValue &+= event.cost.rawValue
        if event.flags.contains(.unpriced) { self.loop.warnUnpriced(event.route) }
    }
}
