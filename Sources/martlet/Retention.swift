import GatewayCore
import GatewayLedger
import Logging

/// Deletes usage rows that are older than the configured time, and windows of budgets that were over long ago, every hour;
/// with SQLite, where no fleet does it.
struct Retention: Sendable {
    private static let interval = Duration.seconds(3600)
    let stores: Stores
    /// `nil`: all rows are kept.
    let period: Duration?
    let clock: any WallClock
    let logger: Logger

    /// Runs until the task is cancelled.
    func run() async {
        guard self.stores.postgres == nil else { return }
        while !Task.isCancelled {
            do throws(LedgerError) {
                if let period = self.period {
                    let cutoff = self.clock.now().advanced(bySeconds: -period.components.seconds)
                    let count = try await self.stores.dropRows(startedBefore: cutoff)
                    if count > 0 {
                        self.logger.info("Old usage rows were deleted", metadata: ["ledger.rows": "\(count)"])
                    }
                }
                _ = try await self.stores.escrow.forgetEscrow(EscrowRetention())
            } catch {
                self.logger.warning(
                    "What is over could not be deleted", metadata: ["error.message": "\(error.message)"])
            }
            do { try await Task.sleep(for: Self.interval) } catch { return }
        }
    }
}
