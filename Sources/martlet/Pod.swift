import CMartlet
import Foundation
import GatewayAdmission
import GatewayConfiguration
import GatewayControlPlane
import GatewayCore
import GatewayDataPlane
import GatewayFleet
import GatewayLedger
import Logging
import NIOCore
import Synchronization

/// One running pod: everything composed, started in order, stopped in reverse.
///
///     journal (recovered) ► store ► shipped ► keys ► listener ► jobs      SIGTERM: the same backwards
final class Pod: Sendable {
    private let live: LiveConfiguration
    private let logger: Logger
    private let ledger: Ledger
    private let server: DataPlaneServer
    private let readiness: Readiness
    private let coldKeys: ColdKeyResolver
    private let escrow: Escrow
    private let responses: StoredResponses
    private let signals: Signals
    /// `nil`: SQLite, one pod alone.
    private let membership: FleetMembership?

    private init(
        live: LiveConfiguration, logger: Logger, ledger: Ledger, server: DataPlaneServer, readiness: Readiness,
        coldKeys: ColdKeyResolver, escrow: Escrow, responses: StoredResponses, signals: Signals,
        membership: FleetMembership?
    ) {
        self.live = live
        self.logger = logger
        self.ledger = ledger
        self.server = server
        self.readiness = readiness
        self.coldKeys = coldKeys
        self.escrow = escrow
        self.responses = responses
        self.signals = signals
        self.membership = membership
    }

    /// - Throws: `LedgerError` or `StartError`, each with what to do.
    static func start(settings: Settings, source: SettingsSource) async throws -> Pod {
        ProcessLimits.prepare()
        let clock = SystemClock()
        let level = Logger.Level(rawValue: settings.logLevel.rawValue) ?? .info
        let isJSON = settings.logsAreJSON
        let logger = Logger(label: "martlet") { _ in LineLogHandler(logLevel: level, isJSON: isJSON, clock: clock) }
        let startedAt = clock.now()
        let ledger = try await Ledger.open(settings: settings, clock: clock, logger: logger)
        let (stores, shipper) = (ledger.stores, ledger.shipper)
        let responses = StoredResponses(settings: settings, stores: stores, clock: clock, logger: logger)
        let patience = StartPatience(isPatient: stores.postgres != nil, logger: logger)
        let governance = Self.reader(settings.governance)
        let entities = EntityRegistry(
            directory: try Self.entities(settings.governance, reader: governance), store: stores.entities,
            reader: governance)
        let live = try await patience.step {
            try await LiveConfiguration.make(
                settings: settings, source: source, models: stores.models, entities: entities.directory, logger: logger)
        }
        let directory = KeyDirectory(entities: entities.directory)
        let registry = KeyRegistry(
            directory: directory, keyStore: stores.keys, ledger: stores.ledger, reader: governance)
        let readiness = Readiness()
        let coldKeys = ColdKeyResolver(
            registry: registry, now: FleetTime.system.now,
            isStoreAway: { stores.postgres?.isAway ?? (shipper.status.lastError != nil) })
        let reader = Self.changeLog(
            of: stores, entities: entities, registry: registry, coldKeys: coldKeys, live: live, logger: logger)
        let candidate = KeySecret.make(using: .system)
        let master = try await patience.step {
            try await Self.master(
                of: settings, candidate: candidate, stores: stores, directory: directory, now: startedAt)
        }
        try await patience.step { try await reader.start() }

        let identity = PodIdentity(
            name: ProcessInfo.processInfo.hostName, processID: getpid(), version: Version.text, startedAt: startedAt)
        let membership = try Self.membership(
            of: ledger, settings: settings, reader: reader, registry: registry, identity: identity, clock: clock,
            logger: logger)
        let escrow = try await patience.step {
            try await Escrow.open(
                ledger: ledger, membership: membership, holdFor: FleetConfiguration(settings.fleet).holdFor,
                position: { reader.position }, clock: clock, logger: logger)
        }
        let metrics = LateMetrics()
        let control = ControlPlane(
            dependencies: Self.dependencies(
                live: live, ledger: ledger, registry: registry, entities: entities, reader: reader,
                readiness: readiness, metrics: metrics, coldKeys: coldKeys, escrow: escrow, membership: membership,
                identity: identity, clock: clock, logger: logger))
        let server = live.attach { runtime in
            DataPlaneServer(
                services: DataPlaneServices(
                    configuration: settings.dataPlane, keys: directory, resolver: coldKeys, journal: ledger.journal,
                    control: control, clock: clock, logger: logger,
                    expectedOutputTokens: settings.ledger.orphanOutputTokens, escrow: escrow.registry,
                    archive: responses.archive),
                snapshot: runtime)
        }
        metrics.attach(server)
        let pod = Pod(
            live: live, logger: logger, ledger: ledger, server: server, readiness: readiness, coldKeys: coldKeys,
            escrow: escrow, responses: responses, signals: try Signals(), membership: membership)
        let port = try await pod.listen()
        readiness.set(.ready)
        Greeting.print(settings: settings, port: port, madeKey: master.madeKey, models: live.listing.modelNames())
        cmartlet_release_code()
        return pod
    }

    private static func changeLog(
        of stores: Stores, entities: EntityRegistry, registry: KeyRegistry, coldKeys: ColdKeyResolver,
        live: LiveConfiguration, logger: Logger
    ) -> ChangeLogReader {
        ChangeLogReader(
            store: stores.keys,
            followers: [
                EntityFollower(registry: entities, logger: logger),
                KeyFollower(registry: registry, logger: logger, onChange: { coldKeys.forgetUnknown() }),
                ReloadingFollower(kinds: [.model, .credential]) { () async throws(LedgerError) in
                    try await live.reloadStored()
                },
            ])
    }

    private static func master(
        of settings: Settings, candidate: String, stores: Stores, directory: KeyDirectory, now: UnixMicroseconds
    ) async throws -> MasterKey {
        let master = try await MasterKey.establish(
            configured: settings.masterKey?.reveal(), candidate: candidate, store: stores.keys, now: now)
        let spend = try await stores.ledger.counter(.key(.masterKey)).spend
        directory.set(master.record, startingSpend: spend, isMaster: true)
        return master
    }

    private static func reader(_ settings: GovernanceSettings) -> GovernanceReader {
        var standard = GovernanceStandard()
        standard.slides = settings.limitsSlide
        standard.rollsOver = settings.budgetsRollOver
        standard.tokenUnit = settings.tokenUnit
        return GovernanceReader(timeZone: settings.timeZone, standard: standard)
    }

    private static func entities(
        _ settings: GovernanceSettings, reader: GovernanceReader
    ) throws -> EntityDirectory {
        var budget: BudgetRule?
        if let dollars = settings.proxyBudget, dollars > 0 {
            budget = reader.configuredBudget(dollars: dollars, duration: settings.proxyBudgetDuration)
            guard budget != nil else {
                throw StartError(
                    message: "litellm_settings.budget_duration is no duration: write a number and one of s, m, h, d, "
                        + "w, mo, such as 30d.")
            }
        }
        var configuration = EntityDirectoryConfiguration(
            budgetMode: settings.budgetsAreStrict ? .strict : .expected,
            userBudgetBindsTeamKeys: settings.userBudgetBindsTeamKeys,
            customerBudgetID: settings.customerBudgetID, proxyBudget: budget)
        if let count = settings.parallelRequestsMax {
            configuration.proxyLimits = [LimitRule(unit: .parallelRequests, window: .minute, value: Int64(count))]
        }
        return EntityDirectory(configuration: configuration)
    }

    private static func membership(
        of ledger: Ledger, settings: Settings, reader: ChangeLogReader, registry: KeyRegistry, identity: PodIdentity,
        clock: any WallClock, logger: Logger
    ) throws(LedgerError) -> FleetMembership? {
        guard let postgres = ledger.stores.postgres else { return nil }
        var random = SystemRandomNumberGenerator()
        return try FleetMembership.make(
            store: postgres, reader: reader, registry: registry,
            identity: FleetIdentity(
                podID: PodID(.random(using: &random)), name: identity.name, processID: identity.processID,
                version: identity.version, startedAt: identity.startedAt, journal: ledger.journal.journalID),
            settings: settings, journal: ledger.journal, shipper: ledger.shipper, clock: clock, logger: logger)
    }

    private static func dependencies(
        live: LiveConfiguration, ledger: Ledger, registry: KeyRegistry, entities: EntityRegistry,
        reader: ChangeLogReader, readiness: Readiness, metrics: any MetricsSource, coldKeys: ColdKeyResolver,
        escrow: Escrow, membership: FleetMembership?, identity: PodIdentity, clock: any WallClock, logger: Logger
    ) -> ControlPlaneDependencies {
        let (journal, shipper) = (ledger.journal, ledger.shipper)
        var dependencies = ControlPlaneDependencies(
            keys: registry, keyStore: ledger.stores.keys, entities: entities, ledger: ledger.stores.ledger,
            models: live.listing,
            metrics: metrics, readiness: readiness,
            journalStatus: { JournalStatus(journal: journal, shipper: shipper.status) },
            changePosition: { reader.position }, clock: clock, logger: logger, pod: identity,
            afterMutation: { _ in }, metricsRequireKey: live.initial.metricsRequireKey, randomness: .system)
        dependencies.fleet = membership?.fleet
        dependencies.queue = ledger.transport
        dependencies.keyResolver = coldKeys
        dependencies.escrow = escrow.registry
        let store = ledger.stores.escrow
        dependencies.escrowStandings = { accounts async throws(LedgerError) in
            accounts.isEmpty ? [] : try await store.standings(of: accounts)
        }
        dependencies.boundDeployments = { live.boundDeployments }
        dependencies.modelAdministration = live.administration {
            do throws(LedgerError) { try await live.reloadStored() } catch {
                // It is in the store, and its entry in the change log brings it again.
                logger.warning(
                    "A change of stored models is not in force yet", metadata: ["error.message": "\(error.message)"])
            }
        }
        return dependencies
    }

    private func listen() async throws -> Int {
        let plane = self.live.initial.dataPlane
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
        let initial = watcher.fingerprint(of: self.live.load().files)
        let jobs = Task {
            await withTaskGroup(of: Void.self) { group in
                group.addTask(executorPreference: self.ledger.thread) { await self.ledger.shipper.run() }
                group.addTask { await watcher.run(from: initial) }
                group.addTask { await self.watchHealth() }
                group.addTask { await self.coldKeys.run() }
                group.addTask { await self.retention.run() }
                group.addTask { await self.escrow.run() }
                group.addTask { await self.responses.run() }
                if let membership = self.membership { group.addTask { await membership.run() } }
                if let transport = self.ledger.transport {
                    group.addTask(executorPreference: self.ledger.writerThread) { await transport.run() }
                }
                await group.waitForAll()
            }
        }
        for await signal in self.signals.stream {
            switch signal {
            case .reload: await watcher.reload()
            case .stop: self.signals.end()
            }
        }
        await self.stop(jobs)
    }

    private func stop(_ jobs: Task<Void, Never>) async {
        self.readiness.set(.draining)
        self.logger.notice("Draining: no new calls, running ones end")
        await self.server.drain()
        await self.responses.archive?.close()
        jobs.cancel()
        await jobs.value
        do {
            try await self.ledger.shipAll()
            await self.escrow.drain()
            await self.ledger.transport?.shutdown()
            await self.membership?.fleet.leave()
            try self.ledger.journal.close()
            try await self.ledger.stores.close()
        } catch {
            self.logger.error(
                "What is left in the journal is shipped at the next start",
                metadata: ["error.message": "\((error as? LedgerError)?.message ?? "\(error)")"])
        }
        self.logger.notice("Stopped")
    }

    private func watcher() -> ConfigurationWatcher {
        ConfigurationWatcher(
            reader: SystemConfigurationReader(), load: { self.live.load() }, sleep: { try await Task.sleep(for: $0) },
            onReload: { settings, diagnostics in self.live.apply(settings, diagnostics) },
            onRefusal: { diagnostics in self.live.refuse(diagnostics) })
    }

    private var retention: Retention {
        Retention(
            stores: self.ledger.stores, period: self.live.initial.fleet.retention, clock: SystemClock(),
            logger: self.logger)
    }

    // MARK: Health

    /// Turns what journal and shipper say into readiness, once a second.
    private func watchHealth() async {
        while !Task.isCancelled {
            let status = JournalStatus(journal: self.ledger.journal, shipper: self.ledger.shipper.status)
            let isWell = if case .ready = self.readiness.state { true } else { false }
            if status.state == "ok" {
                self.readiness.set(.ready)
            } else {
                if isWell { self.logTrouble(status) }
                let isBeyondGrace = self.membership?.fleet.health.isBeyondGrace ?? false
                self.readiness.set(isBeyondGrace ? .unfit(status.state) : .degraded(status.state))
            }
            do { try await Task.sleep(for: .seconds(1)) } catch { return }
        }
    }
}

extension Pod {
    private func logTrouble(_ status: JournalStatus) {
        var detail = self.ledger.shipper.status.lastError ?? ""
        if case .full(let text) = self.ledger.journal.state { detail = text }
        if case .failed(let text) = self.ledger.journal.state { detail = text }
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
