import GatewayCore

/// Settlements of one stream on their way to the store through somebody else's hands: `position.applied + 1 ...`, to be
/// stored by the same compare-and-set as `LedgerStore.append`.
package struct LedgerBatch: Sendable {
    package var position: StreamPosition
    package var events: [UsageEvent]

    package init(position: StreamPosition, events: [UsageEvent]) {
        self.position = position
        self.events = events
    }

    /// Sequence number of the last event.
    package var end: Int64 { self.position.applied + Int64(self.events.count) }
}

/// Why bytes are not a batch. The text is for a log; it repeats nothing of what they hold.
package struct LedgerBatchError: Error, Sendable, Equatable {
    package var message: String

    package init(message: String) { self.message = message }
}
