import GatewayCore
import GatewayLedger
import Logging

/// Puts changes of keys in force on this pod.
package struct KeyFollower: ChangeFollower {
    private let registry: KeyRegistry
    private let logger: Logger
    private let onChange: @Sendable () -> Void

    /// - Parameter onChange: runs before changed keys are read again; must be quick. For what remembers that a key does
    ///   not exist (`ColdKeyResolver.forgetUnknown`).
    package init(registry: KeyRegistry, logger: Logger, onChange: @escaping @Sendable () -> Void) {
        self.registry = registry
        self.logger = logger
        self.onChange = onChange
    }

    package var kinds: Set<Change.Kind> { [.key] }

    package func reload() async throws(LedgerError) {
        self.onChange()
        let count = try await self.registry.loadAll()
        self.logger.debug("All keys were loaded", metadata: [LogKey.keyCount.rawValue: "\(count)"])
    }

    package func apply(_ changes: [Change]) async throws(LedgerError) {
        self.onChange()
        var seen: Set<VirtualKeyID> = []
        for change in changes {
            guard let keyID = VirtualKeyID(text: change.reference) else {
                self.logger.warning(
                    "Change log names no key, skipped", metadata: [LogKey.changePosition.rawValue: "\(change.position)"]
                )
                continue
            }
            if seen.insert(keyID).inserted { try await self.registry.refresh(keyID) }
        }
    }
}
