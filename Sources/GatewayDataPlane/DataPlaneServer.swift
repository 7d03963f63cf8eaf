import CMartlet
import GatewayCore
import GatewayLedger
import Logging
import NIOCore
import NIOPosix
import NIOSSL
import Synchronization

/// The public port: listens, runs the event loops, takes new configurations, and drains.
package final class DataPlaneServer: Sendable {
    private let group: MultiThreadedEventLoopGroup
    private let loops: [LoopContext]
    private let bounds = SharedBounds()
    private let services: DataPlaneServices
    private let listener = Mutex<(any Channel)?>(nil)

    package init(services: DataPlaneServices, snapshot: RuntimeSnapshot) {
        self.services = services
        let configured = services.configuration.eventLoops
        let count = configured > 0 ? configured : Int(cmartlet_usable_processors())
        let group = MultiThreadedEventLoopGroup(numberOfThreads: count)
        self.group = group
        let bounds = self.bounds
        self.loops = group.makeIterator().map { eventLoop in
            LoopContext(
                eventLoop: eventLoop, group: group, services: services, bounds: bounds, snapshot: snapshot)
        }
        for loop in self.loops {
            loop.siblings = self.loops
            let waker = NIOLoopBoundBox<LoopContext?>.makeBoxSendingValue(loop, eventLoop: loop.eventLoop)
            loop.waker = waker
            services.escrow?.onAnswer { waker.eventLoop.execute { waker.value?.pumpAdmitting() } }
        }
    }

    /// Binds the port and starts to serve.
    /// - Returns: the port, which is of interest when 0 was configured.
    /// - Throws: an `IOError` when the address cannot be bound; an `NIOSSLError` for a bad certificate or key.
    package func start() async throws -> Int {
        let configuration = self.services.configuration
        let tls = try Self.tlsContext(configuration)
        for loop in self.loops {
            loop.eventLoop.execute {
                // Where the kernel refuses, a call may wait a few milliseconds longer for a busy core, no more.
                _ = cmartlet_prefer_latency()
                loop.start()
            }
        }
        let loops = self.loops
        let bounds = self.bounds
        let channel = try await ServerBootstrap(group: self.group)
            .serverChannelOption(.backlog, value: 4096)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelOption(.maxMessagesPerRead, value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let taken = bounds.connections.wrappingAdd(1, ordering: .relaxed).newValue
                    guard taken <= configuration.connectionsMax else {
                        bounds.connections.wrappingSubtract(1, ordering: .relaxed)
                        throw ChannelError.operationUnsupported
                    }
                    guard let loop = loops.first(where: { $0.eventLoop === channel.eventLoop }) else {
                        throw ChannelError.operationUnsupported
                    }
                    try channel.syncOptions?.setOption(.recvAllocator, value: ReceiveAllocator(loop: loop))
                    if let tls {
                        try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: tls))
                    }
                    try channel.pipeline.syncOperations.addHandler(CallerHandler(loop: loop, isTLS: tls != nil))
                }
            }
            .bind(host: configuration.host, port: configuration.port).get()
        self.listener.withLock { $0 = channel }
        return channel.localAddress?.port ?? configuration.port
    }

    private static func tlsContext(_ configuration: DataPlaneConfiguration) throws -> NIOSSLContext? {
        guard let certificateFile = configuration.certificateFile, let keyFile = configuration.keyFile else {
            return nil
        }
        let chain = try NIOSSLCertificate.fromPEMFile(certificateFile).map { NIOSSLCertificateSource.certificate($0) }
        let key = try NIOSSLPrivateKey(file: keyFile, format: .pem)
        var tls = TLSConfiguration.makeServerConfiguration(certificateChain: chain, privateKey: .privateKey(key))
        tls.applicationProtocols = ["http/1.1"]
        return try NIOSSLContext(configuration: tls)
    }

    /// Bytes of request bodies that count against the bound on all of them together.
    package var heldRequestBytes: Int { self.bounds.requestBodiesBytes.load(ordering: .relaxed) }

    /// Calls that start from now on use `snapshot`; those in work keep what they have.
    package func replace(_ snapshot: RuntimeSnapshot) {
        for loop in self.loops { loop.eventLoop.execute { loop.replace(snapshot) } }
    }

    /// Stops listening, lets running calls end for at most `drainTimeout`, and cuts what is left.
    package func drain() async {
        // Once: the event loops are gone afterwards, and would answer nobody.
        guard !self.bounds.isDraining.exchange(true, ordering: .relaxed) else { return }
        if let channel = self.listener.withLock({ listener in
            defer { listener = nil }
            return listener
        }) {
            try? await channel.close()
        }
        for loop in self.loops { loop.eventLoop.execute { loop.drainIdle() } }
        let deadline =
            NIODeadline.now()
            + .nanoseconds(
                Int64(clamping: self.services.configuration.drainTimeout.wholeNanoseconds))
        while self.bounds.connections.load(ordering: .relaxed) > 0, NIODeadline.now() < deadline {
            try? await self.group.next().scheduleTask(in: .milliseconds(20)) {}.futureResult.get()
            for loop in self.loops { loop.eventLoop.execute { loop.drainIdle() } }
        }
        for loop in self.loops { try? await loop.eventLoop.submit { loop.drainNow() }.get() }
        try? await self.group.shutdownGracefully()
    }
}

extension DataPlaneServer: MetricsSource {
    package func metrics() async -> MetricsSnapshot {
        var total = MetricsSnapshot()
        var calls: [String: CallMetrics] = [:]
        for loop in self.loops {
            // Scheduled, because unlike a submitted task it fails when the loop has been shut down.
            let answer = loop.eventLoop.scheduleTask(in: .nanoseconds(0)) { loop.metrics() }.futureResult
            guard let part = try? await answer.get() else { continue }
            for figures in part.calls {
                if calls[figures.deploymentID] == nil {
                    calls[figures.deploymentID] = figures
                } else {
                    calls[figures.deploymentID]?.add(figures)
                }
            }
            total.responsesByStatus.merge(part.responsesByStatus, uniquingKeysWith: +)
            total.callsInFlight += part.callsInFlight
            total.connectionsOpen += part.connectionsOpen
            total.upstreamConnectionsOpen += part.upstreamConnectionsOpen
            total.upstreamConnectionsIdle += part.upstreamConnectionsIdle
            total.callsWaiting += part.callsWaiting
        }
        total.calls = calls.values.sorted { $0.deploymentID < $1.deploymentID }
        return total
    }
}
