import GatewayConfiguration
import GatewayControlPlane
import GatewayCore
import GatewayDataPlane
import GatewayLedger
import Logging

/// What is kept of `/v1/responses`: sealed where a key to seal with is configured, and deleted when it is old.
struct StoredResponses: Sendable {
    /// `nil`: nothing is kept.
    let archive: ResponseArchive?
    private let stores: Stores
    private let clock: any WallClock
    private let logger: Logger
    private static let retentionInterval = Duration.seconds(3600)

    init(settings: Settings, stores: Stores, clock: any WallClock, logger: Logger) {
        self.stores = stores
        self.clock = clock
        self.logger = logger
        guard settings.responses.isOn else {
            self.archive = nil
            return
        }
        let keyring = SecretKeyring.configured(
            saltKey: settings.saltKey?.reveal(), formerSaltKey: settings.formerSaltKey?.reveal(),
            masterKey: settings.masterKey?.reveal())
        self.archive = ResponseArchive(
            store: stores.responses,
            seal: keyring.map { keyring in
                ResponseSeal(
                    seal: { keyring.seal(content: $0, ofResponse: $1) },
                    open: { keyring.open(content: $0, ofResponse: $1) })
            }, configuration: settings.responses, clock: clock, logger: logger,
            pause: {
                // A cancelled wait only makes the next try come sooner.
                try? await Task.sleep(for: .seconds(1))
            })
    }

    /// Deletes what was kept long enough, with SQLite, where no fleet does it; until the task is cancelled.
    func run() async {
        guard self.stores.postgres == nil else { return }
        while !Task.isCancelled {
            do throws(LedgerError) {
                let count = try await self.stores.responses.deleteResponses(endedBy: self.clock.now())
                if count > 0 { self.logger.info("Old responses were deleted", metadata: ["ledger.rows": "\(count)"]) }
            } catch {
                self.logger.warning(
                    "Old responses could not be deleted", metadata: ["error.message": "\(error.message)"])
            }
            do { try await Task.sleep(for: Self.retentionInterval) } catch { return }
        }
    }
}
