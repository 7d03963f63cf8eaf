import GatewayAdmission
import GatewayCore
import GatewayLedger
import Logging
import Synchronization

/// Tells this pod what the other pods' calls have cost: reads the folded spend of all keys now and then and raises the
/// running spend of those in force to it (`SpendCounter.raise`), for headers and reports: what budgets allow is told by
/// their slices. A running spend is never above the truth; when the fleet is quiet it is the truth after the next fold
/// and the next reading.
package final class SpendRefresher: Sendable {
    /// Keys read in a second on average: with more keys, the readings are further apart.
    private static let keysPerSecond = 5000
    private let directory: KeyDirectory
    private let ledger: any LedgerStore
    private let interval: Duration
    private let sleep: @Sendable (Duration) async throws -> Void
    private let generator: Mutex<any RandomNumberGenerator & Sendable>
    private let logger: Logger

    /// - Parameter interval: between two readings while there are few keys.
    package init(
        directory: KeyDirectory, ledger: any LedgerStore, interval: Duration = .seconds(5),
        generator: any RandomNumberGenerator & Sendable, logger: Logger,
        sleep: @escaping @Sendable (Duration) async throws -> Void
    ) {
        self.directory = directory
        self.ledger = ledger
        self.interval = interval
        self.generator = Mutex(generator)
        self.logger = logger
        self.sleep = sleep
    }

    /// Refreshes until the task is cancelled.
    package func run() async {
        var failures = 0
        while !Task.isCancelled {
            var pause = self.interval
            do throws(LedgerError) {
                let count = try await self.refresh()
                failures = 0
                pause = max(pause, .milliseconds(count * 1000 / Self.keysPerSecond))
            } catch {
                failures += 1
                if failures == 1 {
                    self.logger.warning(
                        "Spend of other pods cannot be read",
                        metadata: [LogKey.errorMessage.rawValue: "\(error.message)"])
                }
                pause = min(pause * (1 << min(failures, 6)), .seconds(30))
            }
            let part = self.generator.withLock { generator in Int.random(in: 900...1100, using: &generator) }
            do { try await self.sleep(pause / 1000 * part) } catch { return }
        }
    }

    /// Reads once.
    /// - Returns: how many keys have spent anything.
    @discardableResult package func refresh() async throws(LedgerError) -> Int {
        let spend = try await self.ledger.keySpend()
        for (keyID, folded) in spend { self.directory.entry(id: keyID)?.spend.raise(to: folded) }
        return spend.count
    }
}
