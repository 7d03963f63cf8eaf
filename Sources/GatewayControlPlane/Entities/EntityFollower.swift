import GatewayCore
import GatewayLedger
import Logging

/// Puts changes of entities in force on this pod.
package struct EntityFollower: ChangeFollower {
    private let registry: EntityRegistry
    private let logger: Logger

    package init(registry: EntityRegistry, logger: Logger) {
        self.registry = registry
        self.logger = logger
    }

    package var kinds: Set<Change.Kind> { [.entity] }

    package func reload() async throws(LedgerError) {
        let count = try await self.registry.loadAll()
        self.logger.debug("All entities were loaded", metadata: [LogKey.entityCount.rawValue: "\(count)"])
    }

    package func apply(_ changes: [Change]) async throws(LedgerError) {
        var seen: Set<EntityID> = []
        var changed: [EntityID] = []
        for change in changes {
            guard let id = EntityID(reference: change.reference) else {
                self.logger.warning(
                    "Change log names no entity of a known kind, skipped",
                    metadata: [LogKey.changePosition.rawValue: "\(change.position)"])
                continue
            }
            if seen.insert(id).inserted { changed.append(id) }
        }
        try await self.registry.refresh(changed)
    }
}
