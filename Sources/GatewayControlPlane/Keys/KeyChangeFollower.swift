import GatewayLedger
import Logging

/// Follows the change log for keys alone: what a pod without models in its store needs. A pod with more to follow gives
/// `KeyFollower` and the others to one `ChangeLogReader`.
package final class KeyChangeFollower: Sendable {
    private let reader: ChangeLogReader

    package init(registry: KeyRegistry, keyStore: any KeyStore, logger: Logger) {
        self.reader = ChangeLogReader(
            store: keyStore, followers: [KeyFollower(registry: registry, logger: logger, onChange: {})])
    }

    /// Position of the last change that is in force here; 0: none.
    package var position: Int64 { self.reader.position }

    /// Loads all keys with their spend. Call it before the first call is served.
    /// - Throws: as the store; some keys may be in force then; repeat.
    package func start() async throws(LedgerError) { try await self.reader.start() }

    /// Applies what is in the change log above `position`.
    /// - Throws: as the store; what was applied stays, the rest comes with the next call.
    package func catchUp() async throws(LedgerError) { try await self.reader.catchUp() }
}
