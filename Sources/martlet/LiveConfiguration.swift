import Foundation
import GatewayAdmission
import GatewayConfiguration
import GatewayControlPlane
import GatewayDataPlane
import GatewayLedger
import Logging
import Synchronization

/// What calls and listings are made from: the file, the environment and, with `store_model_in_db`, the store's models.
/// Put in force together and whole, or not at all.
final class LiveConfiguration: Sendable {
    /// As the pod was started; address, bounds, ledger and keys stay so until the next start.
    let initial: Settings
    let listing: CurrentListing
    private let source: SettingsSource
    private let vault: ModelVault?
    private let logger: Logger
    private let entities: EntityDirectory
    private let runtime: Mutex<RuntimeSnapshot>
    private let bound: Mutex<BoundDeployments>
    private let server = Mutex<DataPlaneServer?>(nil)

    private init(
        initial: Settings, builder: SnapshotBuilder, source: SettingsSource, vault: ModelVault?,
        entities: EntityDirectory, logger: Logger
    ) throws {
        self.entities = entities
        self.initial = initial
        self.source = source
        self.vault = vault
        self.logger = logger
        self.listing = CurrentListing(builder.listing())
        self.runtime = Mutex(try builder.snapshot(former: nil))
        self.bound = Mutex(builder.boundDeployments())
        entities.set(configuredGroups: builder.accessGroups())
    }

    /// - Parameter settings: what `source` says now, without the store's models.
    /// - Throws: `LedgerError` when the store's models cannot be read, `StartError`.
    static func make(
        settings: Settings, source: SettingsSource, models: any ModelStore, entities: EntityDirectory, logger: Logger
    ) async throws -> LiveConfiguration {
        guard settings.storesModels else {
            return try LiveConfiguration(
                initial: settings, builder: SnapshotBuilder(settings: settings), source: source, vault: nil,
                entities: entities, logger: logger)
        }
        let vault = ModelVault(
            store: models,
            keyring: SecretKeyring.configured(
                saltKey: settings.saltKey?.reveal(), formerSaltKey: settings.formerSaltKey?.reveal(),
                masterKey: settings.masterKey?.reveal()))
        try await vault.load()
        let result = source.load(stored: vault.opened)
        let whole = result.settings ?? settings
        let live = try LiveConfiguration(
            initial: settings, builder: SnapshotBuilder(settings: whole), source: source, vault: vault,
            entities: entities, logger: logger)
        live.note(result)
        return live
    }

    /// What the server starts with; it gets every later one by itself.
    func attach(_ make: (RuntimeSnapshot) -> DataPlaneServer) -> DataPlaneServer {
        let server = make(self.runtime.withLock { $0 })
        self.server.withLock { $0 = server }
        return server
    }

    /// What binds deployments and providers now.
    var boundDeployments: BoundDeployments { self.bound.withLock { $0 } }

    func load() -> LoadResult { self.source.load(stored: self.vault?.opened) }

    /// Puts settings in force that were loaded without errors.
    func apply(_ settings: Settings, _ diagnostics: [Diagnostic]) {
        self.report(diagnostics)
        do {
            try self.putInForce(settings)
            if settings.dataPlane != self.initial.dataPlane || settings.ledger != self.initial.ledger
                || settings.fleet != self.initial.fleet || settings.masterKey != self.initial.masterKey
            {
                self.logger.warning(
                    "Address, bounds, ledger and fleet settings and the master key take effect at the next start")
            }
            self.logger.notice("The configuration was reloaded")
        } catch {
            self.refuse(error)
        }
    }

    func refuse(_ diagnostics: [Diagnostic]) {
        self.report(diagnostics)
        self.logger.error("The configuration has errors and is refused whole; the former one stays in force")
    }

    /// Reads the store's models again and puts them in force.
    func reloadStored() async throws(LedgerError) {
        guard let vault = self.vault else { return }
        try await vault.load()
        let result = self.load()
        guard let settings = result.settings else {
            return self.refuse(result.diagnostics)
        }
        do { try self.putInForce(settings) } catch { self.refuse(error) }
        self.note(result)
    }

    /// `nil`: models are not kept in the store.
    func administration(modelsChanged: @escaping @Sendable () async -> Void) -> ModelAdministration? {
        guard let vault = self.vault else { return nil }
        let source = self.source
        return ModelAdministration(
            vault: vault,
            check: { candidate in
                ConfigurationLoader().verdict(
                    on: candidate, file: source.file, environment: source.environment, overrides: source.overrides,
                    stored: vault.opened)
            }, modelsChanged: modelsChanged)
    }

    private func putInForce(_ settings: Settings) throws {
        let builder = try SnapshotBuilder(settings: settings)
        let next = try self.runtime.withLock { runtime in
            runtime = try builder.snapshot(former: runtime)
            return runtime
        }
        self.server.withLock { $0 }?.replace(next)
        self.listing.replace(builder.listing())
        self.bound.withLock { $0 = builder.boundDeployments() }
        self.entities.set(configuredGroups: builder.accessGroups())
    }

    private func refuse(_ error: any Error) {
        self.logger.error(
            "The configuration is refused whole; the former one stays in force",
            metadata: ["error.message": "\((error as? StartError)?.message ?? "\(error)")"])
    }

    private func report(_ diagnostics: [Diagnostic]) {
        for diagnostic in diagnostics { StandardError.write(diagnostic.rendered) }
    }

    /// Tells of stored rows that are left out.
    private func note(_ result: LoadResult) {
        guard let vault = self.vault else { return }
        vault.note(rejected: result.stored.rejected)
        for fault in vault.opened.faults + result.stored.rejected {
            self.logger.error(
                "A stored model or credential is left out",
                metadata: ["stored.row": "\(fault.row)", "error.message": "\(fault.message)"])
        }
        for warning in result.stored.warnings {
            self.logger.warning("\(warning.message)", metadata: ["stored.row": "\(warning.row)"])
        }
    }
}
