import GatewayAdmission
import GatewayCore
import GatewayRouting
import NIOCore
import Synchronization

/// What one event loop has measured of a deployment.
final class DeploymentFigures {
    var metrics: CallMetrics
    /// Bytes of text per token, learned from calls whose provider reported usage; starts at a common value for English.
    var inputBytesPerToken = 4.0
    var outputBytesPerToken = 4.0
    /// Output tokens that a call is expected to use when it names no bound.
    var expectedOutputTokens: Double

    init(_ metrics: CallMetrics, expectedOutputTokens: Int) {
        self.metrics = metrics
        self.expectedOutputTokens = Double(expectedOutputTokens)
    }

    /// Moves the estimates towards a measured call; a text shorter than this says little.
    private static let bytesMin = 64

    func learn(inputBytes: Int, outputBytes: Int, usage: TokenUsage) {
        // Cached or not, the provider counts the same text; image and audio tokens have no text.
        let textInput = usage.input - usage.imageInput - usage.audioInput
        if inputBytes >= Self.bytesMin, textInput > 0 {
            let ratio = Double(inputBytes) / Double(textInput)
            if ratio > 0.5, ratio < 20 { self.inputBytesPerToken += (ratio - self.inputBytesPerToken) / 16 }
        }
        let textOutput = usage.output - usage.reasoningOutput - usage.audioOutput
        if outputBytes >= Self.bytesMin, textOutput > 0 {
            let ratio = Double(outputBytes) / Double(textOutput)
            if ratio > 0.5, ratio < 20 { self.outputBytesPerToken += (ratio - self.outputBytesPerToken) / 16 }
        }
        if usage.output > 0 {
            self.expectedOutputTokens += (Double(min(usage.output, 1 << 20)) - self.expectedOutputTokens) / 16
        }
    }

    func inputTokens(bytes: Int) -> Int64 { Int64((Double(bytes) / self.inputBytesPerToken).rounded(.up)) }
    func outputTokens(bytes: Int) -> Int64 { Int64((Double(bytes) / self.outputBytesPerToken).rounded(.up)) }
}

/// A deployment on one event loop: its pool, its figures, and the calls that wait for a place at it.
final class Target {
    let deployment: Deployment
    let figures: DeploymentFigures
    unowned let loop: LoopContext
    /// `nil` with a built-in answer.
    let pool: UpstreamPool?
    let inFlightMax: Int
    let waitingMax: Int
    let totalTimeout: UInt64
    let streamTimeout: UInt64
    /// Budgets and limits of the deployment and its provider. `nil`: none bind it.
    let accounts: AccountPath?
    private(set) var waiting = CircularBuffer<Call>()

    init(deployment: Deployment, figures: DeploymentFigures, loop: LoopContext) {
        self.deployment = deployment
        self.figures = figures
        self.loop = loop
        let configuration = deployment.configuration
        self.pool = configuration.address.map { loop.pool(for: configuration, address: $0) }
        let limits = configuration.limits
        self.inFlightMax = limits.inFlightMax ?? loop.configuration.inFlightMax
        self.waitingMax = limits.waitingMax ?? loop.configuration.waitingMax
        let total = limits.totalTimeout?.wholeNanoseconds ?? loop.timeouts.total
        self.totalTimeout = total
        self.streamTimeout = limits.streamTimeout?.wholeNanoseconds ?? total
        if deployment.terms.isEmpty {
            self.accounts = nil
        } else {
            self.accounts = loop.gate.map {
                AccountPath(deployment.terms, registry: $0.registry, at: loop.nanoseconds())
            }
        }
    }

    func isCooling(now: UInt64) -> Bool {
        self.deployment.gauge.coolUntil.load(ordering: .relaxed) > now
    }

    /// Takes a place for a call that has just come, unless others wait for one. `false`: it has to wait, too.
    func takePlaceAtOnce() -> Bool { self.waiting.isEmpty && self.takePlace() }

    /// Takes a place for a call in flight. `false`: all are taken.
    private func takePlace() -> Bool {
        let gauge = self.deployment.gauge
        if gauge.inFlight.wrappingAdd(1, ordering: .relaxed).newValue <= self.inFlightMax { return true }
        gauge.inFlight.wrappingSubtract(1, ordering: .relaxed)
        return false
    }

    func returnPlace() {
        let gauge = self.deployment.gauge
        gauge.inFlight.wrappingSubtract(1, ordering: .relaxed)
        if gauge.waiting.load(ordering: .relaxed) > 0 { self.loop.wakeAllLoops() }
    }

    /// Lets a call wait for a place. `false`: too many wait already.
    func enqueue(_ call: Call) -> Bool {
        let gauge = self.deployment.gauge
        guard gauge.waiting.wrappingAdd(1, ordering: .relaxed).newValue <= self.waitingMax else {
            gauge.waiting.wrappingSubtract(1, ordering: .relaxed)
            return false
        }
        self.waiting.append(call)
        self.loop.watchWaiting(of: self)
        return true
    }

    func cancelWaiting(_ call: Call) {
        guard let index = self.waiting.firstIndex(where: { $0 === call }) else { return }
        self.waiting.remove(at: index)
        self.deployment.gauge.waiting.wrappingSubtract(1, ordering: .relaxed)
    }

    func pump() {
        while !self.waiting.isEmpty, self.takePlace() {
            let call = self.waiting.removeFirst()
            self.deployment.gauge.waiting.wrappingSubtract(1, ordering: .relaxed)
            call.placeGranted()
        }
    }

    func tick(now: UInt64) {
        self.pump()
        // One that began to wait in this very tick has a time behind `now`.
        while let first = self.waiting.first, now > first.waitingSince,
            now - first.waitingSince >= self.loop.timeouts.waiting
        {
            self.cancelWaiting(first)
            first.waitedTooLong()
        }
    }

    /// Before a reload: calls that wait stay with this object, which the loop goes on to watch.
    func moveWaiting() {
        if !self.waiting.isEmpty { self.loop.watchWaiting(of: self) }
    }
}

/// The deployments of one name on one event loop.
final class TargetGroup {
    /// As configured.
    let name: String
    let targets: [Target]
    /// Whether budgets or limits bind a deployment.
    let isBound: Bool
    private let choice: WeightedChoice

    init(name: String, targets: [Target]) {
        self.name = name
        self.targets = targets
        self.isBound = targets.contains { $0.accounts != nil }
        self.choice = WeightedChoice(targets.map(\.deployment.configuration.weight))
    }

    /// Picks by weight among those not tried in this call and not cooling; then among those not tried; then any.
    func pick(random: UInt64, now: UInt64, tried: Set<Int>) -> Int {
        if self.targets.count == 1 { return 0 }
        return self.choice.pick(random: random) { !tried.contains($0) && !self.targets[$0].isCooling(now: now) }
            ?? self.choice.pick(random: random) { !tried.contains($0) }
            ?? self.choice.pick(random: random) { _ in true }
            ?? 0
    }

    /// The same without those that have no room for the call. `nil`: none is left.
    func pick(random: UInt64, now: UInt64, tried: Set<Int>, without passed: Set<Int>) -> Int? {
        self.choice.pick(random: random) {
            !passed.contains($0) && !tried.contains($0) && !self.targets[$0].isCooling(now: now)
        } ?? self.choice.pick(random: random) { !passed.contains($0) && !tried.contains($0) }
            ?? self.choice.pick(random: random) { !passed.contains($0) }
    }
}
