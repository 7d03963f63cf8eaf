import Foundation
import GatewayAdmission
import GatewayConfiguration
import GatewayControlPlane
import GatewayCore
import GatewayDataPlane
import GatewayLedger
import GatewaySQLite
import Logging
import NIOCore
import Synchronization

/// One running pod: everything composed, started in order, stopped in reverse.
///
///     journal (recovered) ► store ► shipped ► keys ► listener ► jobs      SIGTERM: the same backwards
final class Pod: Sendable {
    private let settings: Settings
    private let source: SettingsSource
    private let logger: Logger
    private let journal: Journal
    private let store: SQLiteStore
    private let shipper: LedgerShipper
    private let server: DataPlaneServer
    private let readiness: Readiness
    private let listing: CurrentListing
    private let runtime: Mutex<RuntimeSnapshot>

    private init(
        settings: Settings, source: SettingsSource, logger: Logger, journal: Journal, store: SQLiteStore,
        shipper: LedgerShipper, server: DataPlaneServer, readiness: Readiness, listing: CurrentListing,
        runtime: RuntimeSnapshot
    ) {
        self.settings = settings
        self.source = source
        self.logger = logger
        self.journal = journal
        self.store = store
        self.shipper = shipper
        self.server = server
        self.readiness = readiness
        self.listing = listing
        self.runtime = Mutex(runtime)
    }

    /// - Throws: `LedgerError` or `StartError`, each with what to do.
    static func start(settings: Settings, source: SettingsSource) async throws -> Pod {
        ProcessLimits.prepare()
        let clock = SystemClock()
        let level = Logger.Level(rawValue: settings.logLevel.rawValue) ?? .info
        let isJSON = settings.logsAreJSON
        let logger = Logger(label: "martlet") { _ in LineLogHandler(logLevel: level, isJSON: isJSON, clock: clock) }
        let startedAt = clock.now()
        let builder = try SnapshotBuilder(settings: settings)
        let runtime = try builder.snapshot(former: nil)
        let listing = CurrentListing(builder.listing())

        let ledger = try await Ledger.open(settings: settings, clock: clock, logger: logger)
        let directory = KeyDirectory()
        let registry = KeyRegistry(directory: directory, keyStore: ledger.store, ledger: ledger.store)
        let follower = KeyChangeFollower(registry: registry, keyStore: ledger.store, logger: logger)
        let master = try await MasterKey.establish(
            configured: settings.masterKey?.reveal(), store: ledger.store, now: startedAt)
        let masterSpend = try await ledger.store.counter(.key(.masterKey)).spend
        directory.set(master.record, startingSpend: masterSpend, isMaster: true)
        try await follower.start()

        let readiness = Readiness()
        let metrics = LateMetrics()
        let shipper = ledger.shipper
        let journal = ledger.journal
        let control = ControlPlane(
            dependencies: ControlPlaneDependencies(
                keys: registry, keyStore: ledger.store, ledger: ledger.store, models: listing, metrics: metrics,
                readiness: readiness, journalStatus: { JournalStatus(journal: journal, shipper: shipper.status) },
                changePosition: { follower.position }, clock: clock, logger: logger,
                pod: PodIdentity(
                    name: ProcessInfo.processInfo.hostName, processID: getpid(), version: Version.text,
                    startedAt: startedAt),
                afterMutation: { _ in }, metricsRequireKey: settings.metricsRequireKey, randomness: .system))
        let server = DataPlaneServer(
            services: DataPlaneServices(
                configuration: settings.dataPlane, keys: directory, journal: journal, control: control, clock: clock,
                logger: logger, expectedOutputTokens: settings.ledger.orphanOutputTokens),
            snapshot: runtime)
        metrics.attach(server)
        let pod = Pod(
            settings: settings, source: source, logger: logger, journal: journal, store: ledger.store,
            shipper: shipper, server: server, readiness: readiness, listing: listing, runtime: runtime)
        let port = try await pod.listen()
        readiness.set(.ready)
        Greeting.print(settings: settings, port: port, madeKey: master.madeKey, models: listing.modelNames())
        return pod
    }

    private func listen() async throws -> Int {
        let plane = self.settings.dataPlane
        do {
            return try await self.server.start()
        } catch {
            throw StartError(
                message: "Martlet cannot listen on \(plane.host):\(plane.port): \(error). Choose another --port, or "
                    + "mend the certificate and key.")
        }
    }

    /// Ships, watches the configuration, and serves until SIGTERM or SIGINT; then drains.
    func runUntilStopped() async {
        let watcher = self.watcher()
        let initial = watcher.fingerprint(of: self.source.load().files)
        let signals = Signals()
        let jobs = Task {
            await withTaskGroup(of: Void.self) { group in
                group.addTask { await self.shipper.run() }
                group.addTask { await watcher.run(from: initial) }
                group.addTask { await self.watchHealth() }
                await group.waitForAll()
            }
        }
        for await signal in signals.stream {
            switch signal {
            case .reload: await watcher.reload(seen: initial)
            case .stop: signals.end()
            }
        }
        await self.stop(jobs)
    }

    private func stop(_ jobs: Task<Void, Never>) async {
        self.readiness.set(.draining)
        self.logger.notice("Draining: no new calls, running ones end")
        await self.server.drain()
        jobs.cancel()
        await jobs.value
        do {
            try await self.shipper.shipNow()
            try self.journal.close()
            try self.store.close()
        } catch {
            self.logger.error(
                "What is left in the journal is shipped at the next start",
                metadata: ["error.message": "\(error.message)"])
        }
        self.logger.notice("Stopped")
    }

    // MARK: Configuration

    private func watcher() -> ConfigurationWatcher {
        ConfigurationWatcher(
            reader: SystemConfigurationReader(), load: { self.source.load() }, sleep: { try await Task.sleep(for: $0) },
            onReload: { settings, diagnostics in self.reload(settings, diagnostics) },
            onRefusal: { diagnostics in
                self.report(diagnostics)
                self.logger.error("The configuration has errors and is refused whole; the former one stays in force")
            })
    }

    private func report(_ diagnostics: [Diagnostic]) {
        for diagnostic in diagnostics { StandardError.write(diagnostic.rendered) }
    }

    private func reload(_ settings: Settings, _ diagnostics: [Diagnostic]) {
        self.report(diagnostics)
        do {
            let builder = try SnapshotBuilder(settings: settings)
            let next = try self.runtime.withLock { runtime in
                runtime = try builder.snapshot(former: runtime)
                return runtime
            }
            self.server.replace(next)
            self.listing.replace(builder.listing())
            if settings.dataPlane != self.settings.dataPlane || settings.ledger != self.settings.ledger
                || settings.masterKey != self.settings.masterKey
            {
                self.logger.warning("Address, bounds, ledger settings and the master key take effect at the next start")
            }
            self.logger.notice("The configuration was reloaded")
        } catch {
            self.logger.error(
                "The configuration is refused whole; the former one stays in force",
                metadata: ["error.message": "\((error as? StartError)?.message ?? "\(error)")"])
        }
    }

    // MARK: Health

    /// Turns what journal and shipper say into readiness, once a second.
    private func watchHealth() async {
        while !Task.isCancelled {
            let status = JournalStatus(journal: self.journal, shipper: self.shipper.status)
            let isDegraded = if case .degraded = self.readiness.state { true } else { false }
            if status.state == "ok" {
                if isDegraded { self.readiness.set(.ready) }
            } else {
                if !isDegraded { self.logTrouble(status) }
                self.readiness.set(.degraded(status.state))
            }
            do { try await Task.sleep(for: .seconds(1)) } catch { return }
        }
    }
}

extension Pod {
    private func logTrouble(_ status: JournalStatus) {
        var detail = self.shipper.status.lastError ?? ""
        if case .full(let text) = self.journal.state { detail = text }
        if case .failed(let text) = self.journal.state { detail = text }
        self.logger.error(
            "The pod is degraded", metadata: ["ledger.state": "\(status.state)", "error.message": "\(detail)"])
    }
}

extension JournalStatus {
    init(journal: Journal, shipper: ShipperStatus) {
        var state = "ok"
        switch journal.state {
        case .healthy: break
        // Health is open to everybody, so it names the trouble and the log says where: texts of errors hold paths.
        case .full: state = "journal full: metered calls are refused until it has been shipped or the disk has room"
        case .failed: state = "journal not durable: a sync failed, metered calls are refused until a restart"
        case .closed: state = "closed"
        }
        if shipper.lastError != nil { state = "store not reachable: calls go on, their rows wait in the journal" }
        self.init(
            depthBytes: Int64(journal.depthBytes), lagEvents: journal.lastSequence - (shipper.applied ?? 0),
            openIntents: Int64(journal.openIntents), applied: shipper.applied ?? 0,
            isStoreReachable: shipper.lastError == nil, state: state)
    }
}

/// The data plane's figures, for a control plane that is made before it.
private final class LateMetrics: MetricsSource {
    private let source = Mutex<(any MetricsSource)?>(nil)

    func attach(_ source: any MetricsSource) { self.source.withLock { $0 = source } }

    func metrics() async -> MetricsSnapshot {
        await self.source.withLock { $0 }?.metrics() ?? MetricsSnapshot()
    }
}
