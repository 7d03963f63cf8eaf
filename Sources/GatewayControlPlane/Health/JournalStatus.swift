import GatewayCore

/// How journal and store stand, for health, metrics and `/fleet`.
package struct JournalStatus: Sendable, Equatable {
    /// Bytes in the journal's segments.
    package var depthBytes: Int64
    /// Settlements that the store does not have yet.
    package var lagEvents: Int64
    /// Attempts under way.
    package var openIntents: Int64
    /// Sequence number of the last settlement in the store; 0: none.
    package var applied: Int64
    /// Whether the last exchange with the store went well.
    package var isStoreReachable: Bool
    /// One word or sentence, `ok` when all is well. Anybody may read it at `/readyz`: no paths, hosts or keys.
    package var state: String

    package init(
        depthBytes: Int64, lagEvents: Int64, openIntents: Int64, applied: Int64, isStoreReachable: Bool, state: String
    ) {
        self.depthBytes = depthBytes
        self.lagEvents = lagEvents
        self.openIntents = openIntents
        self.applied = applied
        self.isStoreReachable = isStoreReachable
        self.state = state
    }
}

/// Who this pod is.
package struct PodIdentity: Sendable, Equatable {
    package var name: String
    package var processID: Int32
    package var version: String
    package var startedAt: UnixMicroseconds

    package init(name: String, processID: Int32, version: String, startedAt: UnixMicroseconds) {
        self.name = name
        self.processID = processID
        self.version = version
        self.startedAt = startedAt
    }
}
