import GatewayAdmission
import GatewayCore
import GatewayLedger
import GatewayRouting
import GatewayWire
import Logging
import NIOCore
import NIOPosix

/// Everything that belongs to one event loop: its connections, pools, figures and prepared deployments.
///
/// `@unchecked Sendable`: it is made before its loop runs and touched on that loop alone afterwards; every way in from
/// outside goes through `eventLoop.execute`, and handlers call it from their own callbacks, which NIO runs there.
final class LoopContext: @unchecked Sendable {
    let eventLoop: any EventLoop
    let group: MultiThreadedEventLoopGroup
    let configuration: DataPlaneConfiguration
    // One field each: reading one out of a struct of all would copy the struct.
    let keys: KeyDirectory
    let resolver: (any KeyResolver)?
    /// `nil`: responses are not kept.
    let archive: ResponseArchive?
    let journal: Journal
    /// `nil`: budgets and limits are not enforced here.
    let gate: AdmissionGate?
    /// Calls that wait for the store's answer about a budget or limit, by arrival.
    var admitting: [Call] = []
    let control: any ControlHandler
    let logger: Logger
    private let clock: any WallClock
    private let expectedOutputTokens: Int
    let bounds: SharedBounds
    let limits: HTTPLimits
    let requestBodyBytesMax: Int
    let timeouts: TimeoutNanoseconds
    var random = Xoshiro()
    private(set) var snapshot: RuntimeSnapshot
    private(set) var targets: [String: TargetGroup] = [:]
    private var lastGroup: (bytes: [UInt8], name: String, group: TargetGroup)?
    private var formerTargets: [String: DeploymentFigures] = [:]
    private var pools: [UpstreamKey: UpstreamPool] = [:]
    let tls = TLSContexts()
    /// Callers' connections; each knows its place, so that leaving is a swap with the last.
    private(set) var callers: [CallerHandler] = []
    private(set) var upstreams: [UpstreamConnection] = []
    /// By status, up to 599.
    private var responsesByStatus = [Int64](repeating: 0, count: 600)
    /// All event loops of the server, this one included.
    var siblings: [LoopContext] = []
    /// How the escrow reaches this loop.
    var waker: NIOLoopBoundBox<LoopContext?>?
    var controlInFlight = 0
    /// Management requests in work at once, per event loop.
    static let controlInFlightMax = 256
    private var warnedUnpriced: Set<String> = []
    /// Wall clock minus monotonic clock, microseconds; refreshed with every tick.
    private var wallOffsetMicroseconds: Int64 = 0
    /// `date: ...` line, refreshed with every tick.
    private(set) var dateLine: [UInt8] = []
    private var waitingDeployments: [Target] = []
    var streamEnds = StreamEnds()
    let outbox: Outbox
    /// Buffers of `ReceiveAllocator.bytes` that nobody holds: making one costs ten times as much as taking it here.
    private var buffers: [ByteBuffer] = []
    /// More are seldom free at once. 512 KB per event loop.
    private static let buffersMax = 16

    /// How often deadlines are looked at.
    static let tickInterval = TimeAmount.milliseconds(100)

    init(
        eventLoop: any EventLoop, group: MultiThreadedEventLoopGroup, services: DataPlaneServices, bounds: SharedBounds,
        snapshot: RuntimeSnapshot
    ) {
        self.eventLoop = eventLoop
        self.outbox = Outbox(eventLoop: eventLoop)
        self.group = group
        self.configuration = services.configuration
        self.keys = services.keys
        self.resolver = services.resolver
        self.archive = services.archive
        self.journal = services.journal
        self.gate = services.escrow.map { AdmissionGate(registry: $0, entities: services.keys.entities) }
        self.control = services.control
        self.logger = services.logger
        self.clock = services.clock
        self.expectedOutputTokens = services.expectedOutputTokens
        self.bounds = bounds
        self.snapshot = snapshot
        var limits = HTTPLimits()
        limits.headBytesMax = services.configuration.headBytesMax
        self.limits = limits
        self.requestBodyBytesMax = services.configuration.requestBodyBytesMax
        self.timeouts = TimeoutNanoseconds(services.configuration)
        self.refreshClock()
    }

    /// Starts the ticks; they end when the loop is shut down.
    func start() {
        self.eventLoop.assertInEventLoop()
        self.eventLoop.scheduleRepeatedTask(initialDelay: Self.tickInterval, delay: Self.tickInterval) { _ in
            self.tick()
        }
    }

    // MARK: Time

    /// Monotonic nanoseconds.
    @inline(__always)
    func nanoseconds() -> UInt64 { NIODeadline.now().uptimeNanoseconds }

    @inline(__always)
    func wallTime(atNanoseconds nanoseconds: UInt64) -> UnixMicroseconds {
        UnixMicroseconds(rawValue: Int64(nanoseconds / 1000) &+ self.wallOffsetMicroseconds)
    }

    private func refreshClock() {
        let wall = self.clock.now()
        self.wallOffsetMicroseconds = wall.rawValue - Int64(self.nanoseconds() / 1000)
        self.dateLine = Array("date: \(httpDate(wall))\r\n".utf8)
    }

    private func tick() {
        self.refreshClock()
        let now = self.nanoseconds()
        // Backwards, since a connection that is closed here is replaced by the last one.
        for index in self.callers.indices.reversed() where index < self.callers.count {
            self.callers[index].tick(now: now)
        }
        for index in self.upstreams.indices.reversed() where index < self.upstreams.count {
            self.upstreams[index].tick(now: now)
        }
        self.tickAdmitting(now: now)
        for target in self.waitingDeployments { target.tick(now: now) }
        self.waitingDeployments.removeAll { $0.waiting.isEmpty }
    }

    // MARK: Connections

    func add(_ caller: CallerHandler) {
        caller.place = self.callers.count
        self.callers.append(caller)
    }

    func remove(_ caller: CallerHandler) {
        guard caller.place < self.callers.count, self.callers[caller.place] === caller else { return }
        let last = self.callers.removeLast()
        if last !== caller {
            self.callers[caller.place] = last
            last.place = caller.place
        }
    }

    func add(_ upstream: UpstreamConnection) {
        upstream.place = self.upstreams.count
        self.upstreams.append(upstream)
    }

    func remove(_ upstream: UpstreamConnection) {
        guard upstream.place < self.upstreams.count, self.upstreams[upstream.place] === upstream else { return }
        let last = self.upstreams.removeLast()
        if last !== upstream {
            self.upstreams[upstream.place] = last
            last.place = upstream.place
        }
    }

    func countResponse(status: Int) { self.responsesByStatus[min(max(status, 0), 599)] += 1 }

    private var sampleCount: UInt8 = 0

    /// True for one call in sixteen.
    func samplesThisCall() -> Bool {
        self.sampleCount &+= 1
        return self.sampleCount & 15 == 1
    }

    func drainIdle() {
        for caller in self.callers.reversed() { caller.drain() }
    }

    func drainNow() {
        for caller in self.callers.reversed() { caller.drainNow() }
        for upstream in self.upstreams.reversed() { upstream.close() }
        // Each loop knows all, itself included, and the escrow knows each: without this none would ever be freed.
        self.siblings = []
        self.waker?.value = nil
    }

    /// Says once per provider and model, whichever event loop meets it first, that its price is not known.
    func warnUnpriced(_ route: RouteIdentity) {
        let name = "\(route.provider)/\(route.model)"
        // The loop's own set first, so that calls do not meet at the lock of the one that all share.
        guard self.warnedUnpriced.count < SharedBounds.warnedUnpricedMax, self.warnedUnpriced.insert(name).inserted,
            self.bounds.isFirstUnpriced(name)
        else { return }
        self.logger.warning(
            "The price of a model is not known: its calls are booked at cost 0, flagged unpriced",
            metadata: ["gen_ai.provider.name": "\(route.provider)", "gen_ai.request.model": "\(route.model)"])
    }

    // MARK: Buffers

    /// An empty buffer for at least `capacity` bytes: one that has been used before, if there is any.
    func buffer(capacity: Int) -> ByteBuffer {
        guard capacity <= ReceiveAllocator.bytes else { return ByteBufferAllocator().buffer(capacity: capacity) }
        return self.buffers.popLast() ?? ByteBufferAllocator().buffer(capacity: ReceiveAllocator.bytes)
    }

    /// Takes `buffer`, which is empty afterwards, and keeps its memory for the next one, unless somebody else still holds
    /// it, it is of another size, or enough are kept.
    func recycle(_ buffer: inout ByteBuffer) {
        if self.buffers.count < Self.buffersMax, buffer.storageCapacity == ReceiveAllocator.bytes,
            buffer.modifyIfUniquelyOwned({ $0.clear() }) != nil
        {
            self.buffers.append(buffer)
        }
        buffer = self.empty
    }

    /// `ByteBuffer()` is one object for all event loops, and counting its holders would make them wait for each other.
    let empty = ByteBufferAllocator().buffer(capacity: 1)

    // MARK: Deployments

    func replace(_ snapshot: RuntimeSnapshot) {
        self.eventLoop.assertInEventLoop()
        for group in self.targets.values {
            for target in group.targets {
                self.formerTargets[target.deployment.configuration.deploymentID] = target.figures
                target.moveWaiting()
            }
        }
        self.snapshot = snapshot
        self.targets = [:]
        self.lastGroup = nil
    }

    /// The group that serves the model of this name, given as bytes: most calls name the same one as the call before.
    @inline(__always)
    func targetGroup(bytes: UnsafeRawBufferPointer) -> (name: String, group: TargetGroup)? {
        if let last = self.lastGroup, last.bytes.withUnsafeBytes({ sameBytes($0, bytes) }) {
            return (last.name, last.group)
        }
        let name = String(decoding: bytes, as: UTF8.self)
        guard let group = self.targetGroup(name) else { return nil }
        self.lastGroup = (Array(bytes), name, group)
        return (name, group)
    }

    /// The group that serves `name`. `nil`: none does.
    @inline(__always)
    func targetGroup(_ name: String) -> TargetGroup? {
        if let group = self.targets[name] { return group }
        return self.makeTargetGroup(name)
    }

    /// Names that wildcards serve come from callers, so only so many are kept prepared.
    private static let preparedNamesMax = 4096
    /// Longer than any model's name; each is kept several times.
    private static let preparedNameBytesMax = 512

    private func makeTargetGroup(_ name: String) -> TargetGroup? {
        guard name.utf8.count <= Self.preparedNameBytesMax, let resolution = self.snapshot.routing.resolve(name),
            let deployments = self.snapshot.groups[resolution.group]
        else { return nil }
        if self.targets.count >= Self.preparedNamesMax { self.forgetTargets() }
        let lookup = self.snapshot.priceLookup
        let targets = deployments.map { deployment in
            let concrete = resolution.capture.map { capture in
                deployment.specialised(name: name, capture: capture) {
                    lookup(deployment.configuration.provider, $0)
                }
            }
            return Target(
                deployment: concrete ?? deployment, figures: self.figures(of: deployment), loop: self)
        }
        let group = TargetGroup(name: resolution.group, targets: targets)
        self.targets[name] = group
        return group
    }

    /// The deployment that a provider's own paths go to, as a group. `nil`: none is configured.
    /// - Parameter name: the provider's name and, behind a slash, the model's.
    func passThroughGroup(_ provider: String, name: String) -> TargetGroup? {
        guard name.utf8.count <= Self.preparedNameBytesMax, let deployment = self.snapshot.passThrough[provider] else {
            return nil
        }
        // No model's name begins so.
        let key = "\u{1}" + name
        if let group = self.targets[key] { return group }
        let lookup = self.snapshot.priceLookup
        let concrete = deployment.specialised(name: name, capture: String(name.dropFirst(provider.count + 1))) {
            lookup(provider, $0)
        }
        let group = TargetGroup(
            name: "\(provider)/*",
            targets: [Target(deployment: concrete, figures: self.figures(of: deployment), loop: self)])
        if self.targets.count >= Self.preparedNamesMax { self.forgetTargets() }
        self.targets[key] = group
        return group
    }

    private func forgetTargets() {
        for target in self.targets.values.flatMap(\.targets) {
            self.formerTargets[target.deployment.configuration.deploymentID] = target.figures
            target.moveWaiting()
        }
        self.targets = [:]
    }

    /// Figures go by configured deployment, also those of names that a wildcard serves: labels come from configuration.
    private func figures(of deployment: Deployment) -> DeploymentFigures {
        let id = deployment.configuration.deploymentID
        if let figures = self.formerTargets[id] { return figures }
        let figures = DeploymentFigures(
            CallMetrics(
                modelGroup: deployment.configuration.modelGroup, provider: deployment.configuration.provider,
                deploymentID: id), expectedOutputTokens: self.expectedOutputTokens)
        self.formerTargets[id] = figures
        return figures
    }

    func watchWaiting(of target: Target) {
        if !self.waitingDeployments.contains(where: { $0 === target }) { self.waitingDeployments.append(target) }
    }

    /// Lets waiting calls go on after a place has become free on any loop.
    func pumpWaiting() {
        for target in self.waitingDeployments { target.pump() }
    }

    /// A place at a deployment has become free: any loop may have calls that wait for it.
    func wakeAllLoops() {
        for loop in self.siblings { loop.eventLoop.execute { loop.pumpWaiting() } }
    }

    func pool(for configuration: DeploymentConfiguration, address: UpstreamAddress) -> UpstreamPool {
        let key = UpstreamKey(
            address: address, verifiesTLS: configuration.verifiesTLS, authorityFile: configuration.authorityFile)
        if let pool = self.pools[key] { return pool }
        let pool = UpstreamPool(key: key, loop: self)
        self.pools[key] = pool
        return pool
    }

    // MARK: Figures

    func metrics() -> MetricsSnapshot {
        self.eventLoop.assertInEventLoop()
        var snapshot = MetricsSnapshot()
        snapshot.calls = self.formerTargets.values.map(\.metrics)
        for (status, count) in self.responsesByStatus.enumerated() where count > 0 {
            snapshot.responsesByStatus[status] = count
        }
        snapshot.connectionsOpen = Int64(self.callers.count)
        snapshot.callsInFlight = Int64(self.callers.reduce(0) { $0 + ($1.isInCall ? 1 : 0) })
        snapshot.upstreamConnectionsOpen = Int64(self.upstreams.count)
        snapshot.upstreamConnectionsIdle = Int64(self.pools.values.reduce(0) { $0 + $1.idleCount })
        snapshot.callsWaiting = Int64(self.waitingDeployments.reduce(0) { $0 + $1.waiting.count })
        return snapshot
    }
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, section 5.6.7).
func httpDate(_ time: UnixMicroseconds) -> String {
    let weekdays = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"]
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    let day = time.day
    let (year, month, date) = civilDate(day: day)
    let seconds = time.rawValue / 1_000_000 - day * 86_400
    func two(_ value: Int64) -> String { value < 10 ? "0\(value)" : "\(value)" }
    return "\(weekdays[Int(((day % 7) + 7) % 7)]), \(two(date)) \(months[Int(month) - 1]) \(year) "
        + "\(two(seconds / 3600)):\(two(seconds / 60 % 60)):\(two(seconds % 60)) GMT"
}

/// The configured timeouts in monotonic nanoseconds.
struct TimeoutNanoseconds: Sendable {
    let head, body, keepAlive, control, write, connect, firstByte, idle, total, waiting, admitting, upstreamKeepAlive,
        lifetime: UInt64

    init(_ configuration: DataPlaneConfiguration) {
        self.head = configuration.headTimeout.wholeNanoseconds
        self.body = configuration.bodyTimeout.wholeNanoseconds
        self.keepAlive = configuration.keepAliveTimeout.wholeNanoseconds
        self.control = configuration.controlTimeout.wholeNanoseconds
        self.write = configuration.writeTimeout.wholeNanoseconds
        self.connect = configuration.connectTimeout.wholeNanoseconds
        self.firstByte = configuration.firstByteTimeout.wholeNanoseconds
        self.idle = configuration.idleTimeout.wholeNanoseconds
        self.total = configuration.totalTimeout.wholeNanoseconds
        self.waiting = configuration.waitingTimeout.wholeNanoseconds
        self.admitting = configuration.admittingTimeout.wholeNanoseconds
        self.upstreamKeepAlive = configuration.upstreamKeepAlive.wholeNanoseconds
        self.lifetime = configuration.resolutionLifetime.wholeNanoseconds
    }
}
