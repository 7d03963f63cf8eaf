import GatewayCore
import GatewayLedger
import GatewayRouting
import GatewayWire
import NIOCore

/// Phases 3 and 5: pick a deployment, wait for a place at it, connect, and send the request.
extension Call {
    func beginAttempt() {
        guard let group = self.group else { return }
        let now = self.loop.nanoseconds()
        if group.isBound { return self.beginBoundAttempt(in: group, now: now) }
        let index = group.pick(random: self.loop.random.next(), now: now, tried: self.triedTargets)
        self.beginAttempt(at: index, of: group, now: now)
    }

    func beginAttempt(at index: Int, of group: TargetGroup, now: UInt64) {
        if group.targets.count > 1 { self.triedTargets.insert(index) }
        let target = group.targets[index]
        self.target = target
        self.attempt += 1
        self.attemptsInGroup += 1
        self.firstByteAt = 0
        if self.attempt > 0 {
            // What the attempt before left is not this one's answer.
            self.held = ByteBuffer()
            self.answerHead = ResponseHead()
            self.answerHeadBytes = ByteBuffer()
        }
        if target.takePlaceAtOnce() {
            self.hasPlace = true
            return self.connect(to: target, now: now)
        }
        self.phase = .waiting
        self.waitingSince = now
        guard target.enqueue(self) else {
            return self.gotNoPlace(
                GatewayError(
                    status: 429, type: "throttling_error", origin: .gateway,
                    message: "Rate limit exceeded: the deployment has \(target.inFlightMax) calls in flight and "
                        + "\(target.waitingMax) waiting. Try again later, or raise max_parallel_requests.",
                    retryAfterSeconds: 1))
        }
    }

    /// Nothing was sent, so this was no attempt: another deployment of the group that has not been asked, then the
    /// groups it falls back to, then the caller gets `error`.
    func gotNoPlace(_ error: GatewayError) {
        self.attempt -= 1
        self.attemptsInGroup -= 1
        self.leaveDeployment()
        if let group = self.group, self.triedTargets.count < group.targets.count, group.targets.count > 1 {
            return self.beginFurtherAttempt()
        }
        self.fallBackOrRefuse(error)
    }

    /// The groups that this one falls back to, then the caller gets `error`.
    func fallBackOrRefuse(_ error: GatewayError) {
        guard self.groupsLeft > 0 else { return self.refuse(error) }
        self.fallBack(error)
    }

    func placeGranted() {
        self.hasPlace = true
        if let target = self.target { self.connect(to: target, now: self.loop.nanoseconds()) }
    }

    func waitedTooLong() {
        self.gotNoPlace(
            GatewayError(
                status: 429, type: "throttling_error", origin: .gateway,
                message: "Rate limit exceeded: no place at the deployment became free in time. Try again later, or "
                    + "raise max_parallel_requests.", retryAfterSeconds: 1))
    }

    private func connect(to target: Target, now: UInt64) {
        if self.isCounting {
            guard self.prepareCount(at: target), self.hasCredential(for: target) else { return }
            return self.openConnection(to: target, now: now)
        }
        if let answer = self.builtInAnswer(of: target) {
            guard self.meter == nil else { return self.refuse(.noBuiltInAnswer(self.kind)) }
            return self.answerBuiltIn(answer, target: target)
        }
        self.meter?.beginAttempt()
        guard target.pool != nil else { return }
        guard target.deployment.supportedKinds & (1 << self.kind.rawValue) != 0 else {
            return self.refuse(
                GatewayError(
                    status: 400, type: "invalid_request_error", param: "model", origin: .caller,
                    message: "\(target.deployment.provider.name) does not serve \(self.kind.path). Use another model."))
        }
        if self.origin?.passThrough != nil {
            self.beginPassThrough(at: target)
        } else if self.kind == .embedding {
            guard self.prepareEmbedding(at: target) else { return }
        } else if target.deployment.plainKinds & (1 << self.kind.rawValue) == 0
            || self.origin?.format != nil
        {
            guard self.translateRequest(for: target) else { return }
        } else if self.attempt > 0 {
            self.translation = nil
        }
        guard self.hasCredential(for: target) else { return }
        self.openConnection(to: target, now: now)
    }

    func openConnection(to target: Target, now: UInt64) {
        guard let pool = target.pool else { return }
        if let connection = pool.take(now: now) {
            self.send(to: target, on: connection)
        } else {
            self.phase = .connecting
            pool.connect(for: self, attempt: self.attempt)
        }
    }

    /// - Returns: whether the connection was taken.
    func connected(_ connection: UpstreamConnection, attempt: Int) -> Bool {
        guard case .connecting = self.phase, attempt == self.attempt, let target = self.target else { return false }
        self.send(to: target, on: connection)
        return true
    }

    /// Nothing was sent; the attempt is booked at no cost and the next one may follow.
    func connectFailed(attempt: Int) {
        guard case .connecting = self.phase, attempt == self.attempt, let target = self.target else { return }
        self.attemptStartedAt = self.loop.nanoseconds()
        guard self.recordIntent(to: target) else { return }
        self.settle(.connectFailed, status: 0, reported: nil, contentBytes: 0)
        self.attemptFailed(.connectFailed, status: 0, retryAfter: nil, error: .unreachable)
    }

    private func send(to target: Target, on connection: UpstreamConnection) {
        self.attemptStartedAt = self.loop.nanoseconds()
        guard self.recordIntent(to: target) else { return connection.becomeIdle() }
        let deployment = target.deployment
        if let request = self.origin?.response {
            self.phase = .sent
            self.upstream = connection
            var parts = self.responseParts(request, to: target)
            return connection.begin(self, parts: &parts)
        }
        if let request = self.origin?.passThrough {
            self.asksForUsage = false
            self.phase = .sent
            self.upstream = connection
            var parts = self.passThroughParts(request, to: target)
            return connection.begin(self, parts: &parts)
        }
        if let translation = self.translation {
            self.asksForUsage = false
            self.phase = .sent
            self.upstream = connection
            var parts = self.translatedParts(translation, to: target)
            return connection.begin(self, parts: &parts)
        }
        if let embedding = self.embedding {
            self.asksForUsage = false
            self.phase = .sent
            self.upstream = connection
            var parts = self.embeddingParts(embedding, to: target)
            return connection.begin(self, parts: &parts)
        }
        if let meter = self.meter {
            self.phase = .sent
            self.upstream = connection
            var parts = self.unitParts(meter, to: target)
            return connection.begin(self, parts: &parts)
        }
        self.asksForUsage = EncodeRequest.asksForUsage(deployment, kind: self.kind, scan: self.scan)
        let edits = EncodeRequest.edits(
            for: deployment, scan: self.scan, body: self.body, asksForUsage: self.asksForUsage)
        self.phase = .sent
        self.upstream = connection
        var parts = EncodeRequest.parts(call: self, target: target, edits: edits)
        connection.begin(self, parts: &parts)
    }

    /// Makes the attempt durable before its first byte is sent. `false`: refused, because it cannot be.
    func recordIntent(to target: Target) -> Bool {
        // Counting uses nothing, so there is nothing to settle.
        if self.isCounting { return true }
        let metered = self.meter.map { self.metered($0, at: target) }
        let expected = metered?.usage ?? self.expectedUsage(target)
        let intent = UsageIntent(
            requestID: self.requestID, attempt: UInt8(clamping: self.attempt), payer: self.key.payer,
            route: target.deployment.route, kind: self.kind, isStream: self.scan.stream,
            startedAt: self.loop.wallTime(atNanoseconds: self.attemptStartedAt), orphanUsage: expected,
            orphanCost: metered.map { $0.cost ?? .zero }
                ?? target.deployment.priceBox?.cost(of: expected, tier: .standard) ?? .zero,
            isUnpriced: metered.map { $0.cost == nil } ?? (target.deployment.priceBox == nil))
        do {
            try self.loop.journal.recordIntent(intent)
            self.isSettled = false
            return true
        } catch {
            self.loop.logger.error(
                "Metered calls are refused: the journal takes no more", metadata: ["error.message": "\(error.message)"])
            self.refuse(
                GatewayError(
                    status: 503, type: "ledger_unavailable", origin: .gateway,
                    message:
                        "The gateway cannot record this call and so does not make it. Try again later; an operator "
                        + "finds the cause in /health/readiness.", retryAfterSeconds: 5))
            return false
        }
    }

    /// What the attempt is expected to use; charged should the pod die with it in flight.
    private func expectedUsage(_ target: Target) -> TokenUsage {
        let figures = target.figures
        let input = figures.inputTokens(bytes: self.scan.inputTextBytes)
        guard self.kind != .embedding else { return TokenUsage(input: input, output: 0) }
        let expected = Int64(figures.expectedOutputTokens)
        let output = self.scan.maxTokens >= 0 ? min(self.scan.maxTokens, expected) : expected
        return TokenUsage(input: input, output: output * max(1, min(self.scan.choiceCount, 128)))
    }

    /// After a failed and settled attempt: another one, another group, or the caller gets `error`.
    func attemptFailed(_ outcome: AttemptOutcome, status: Int, retryAfter: Int?, error: GatewayError) {
        self.upstream = nil
        self.cool(after: outcome, status: status)
        self.leavePlace()
        // Nobody knows what a second request would do at a path of the provider's own.
        if self.kind == .passThrough || self.origin?.response != nil { return self.giveUp(error) }
        let decision = self.loop.snapshot.retry.decide(
            after: outcome, status: status, attemptsInGroup: self.attemptsInGroup, answerBegan: self.answerBegan,
            groupsLeft: self.groupsLeft)
        switch decision {
        case .retry: self.retryLater(retryAfter: retryAfter)
        case .fallBack: self.fallBack(error)
        case .giveUp: self.giveUp(error)
        }
    }

    /// Groups that may still be fallen back to.
    private var groupsLeft: Int {
        if self.groupsTried == 1, self.fallbacksLeft.isEmpty, let group = self.group {
            self.fallbacksLeft = self.loop.snapshot.routing.fallbacks(of: group.name)
        }
        return min(self.fallbacksLeft.count, RetryPolicy.groupsMax - self.groupsTried)
    }

    /// A deployment that fails is left out for a while where its group has another.
    private func cool(after outcome: AttemptOutcome, status: Int) {
        guard let target = self.target, let group = self.group, group.targets.count > 1,
            outcome != .upstreamRefused || RetryPolicy.isRetryable(status: status) || status == 401 || status == 403
        else { return }
        target.deployment.gauge.coolUntil.store(
            self.loop.nanoseconds() &+ self.loop.snapshot.cooldownNanoseconds, ordering: .relaxed)
    }

    /// At once where another deployment has not been tried; otherwise after a growing pause with jitter.
    private func retryLater(retryAfter: Int?) {
        guard let group = self.group else { return }
        if self.triedTargets.count < group.targets.count, group.targets.count > 1 { return self.beginFurtherAttempt() }
        self.triedTargets = []
        self.phase = .pausing
        let attempt = self.attempt
        let base = min(8_000, 500 << min(4, self.attemptsInGroup - 1))
        let jittered = base * 3 / 4 + Int(self.loop.random.next() % UInt64(base / 4 + 1))
        let milliseconds = retryAfter.map { min(8_000, $0 * 1000) } ?? jittered
        self.loop.eventLoop.assumeIsolated().scheduleTask(in: .milliseconds(Int64(milliseconds))) {
            guard case .pausing = self.phase, self.attempt == attempt else { return }
            self.beginFurtherAttempt()
        }
    }

    private func fallBack(_ error: GatewayError) {
        while !self.fallbacksLeft.isEmpty {
            let name = self.fallbacksLeft.removeFirst()
            self.groupsTried += 1
            guard let found = self.loop.targetGroup(name), self.path.allows(name), let group = self.pinned(found)
            else { continue }
            self.group = group
            self.triedTargets = []
            self.attemptsInGroup = 0
            return self.beginFurtherAttempt()
        }
        self.giveUp(error)
    }

    private func giveUp(_ error: GatewayError) {
        if self.answerBegan { return self.abortAnswer(error) }
        if error.origin == .upstream, self.held.readableBytes > 0 {
            self.answerUpstreamError(error)
        } else {
            self.refuse(error)
        }
    }
}

extension GatewayError {
    /// No connection, or none that lasted until the request could be sent.
    static let unreachable = GatewayError(
        status: 503, type: "api_connection_error", origin: .upstream,
        message: "The provider could not be reached. Try again later.")
}
