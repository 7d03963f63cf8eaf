import GatewayAdmission
import GatewayCore
import GatewayLedger
import Logging
import Synchronization

/// What the data plane works with; made by the composition, shared by all event loops.
package struct DataPlaneServices: Sendable {
    package var configuration: DataPlaneConfiguration
    package var keys: KeyDirectory
    /// Looks up keys that the directory does not hold. `nil`: it holds them all.
    package var resolver: (any KeyResolver)?
    package var journal: Journal
    package var control: any ControlHandler
    package var clock: any WallClock
    package var logger: Logger
    /// Output tokens that a call is expected to use before anything has been learned of its deployment.
    package var expectedOutputTokens: Int
    /// Budgets and limits. `nil`: none are enforced but what a key's own spend says.
    package var escrow: EscrowRegistry?
    /// Keeps what `/v1/responses` answers. `nil`: nothing is kept.
    package var archive: ResponseArchive?

    package init(
        configuration: DataPlaneConfiguration, keys: KeyDirectory, resolver: (any KeyResolver)? = nil,
        journal: Journal, control: any ControlHandler, clock: any WallClock, logger: Logger, expectedOutputTokens: Int,
        escrow: EscrowRegistry? = nil, archive: ResponseArchive? = nil
    ) {
        self.configuration = configuration
        self.keys = keys
        self.resolver = resolver
        self.journal = journal
        self.control = control
        self.clock = clock
        self.logger = logger
        self.expectedOutputTokens = expectedOutputTokens
        self.escrow = escrow
        self.archive = archive
    }
}

/// What all event loops count together: bounds, and what is to be said once.
final class SharedBounds: Sendable {
    /// Bytes of request bodies held.
    let requestBodiesBytes = Atomic<Int>(0)
    let connections = Atomic<Int>(0)
    let isDraining = Atomic<Bool>(false)

    /// Models without a price that are named in the log.
    static let warnedUnpricedMax = 1000
    private let warnedUnpriced = Mutex<Set<String>>([])

    /// `true` once per name, on whichever event loop asks first; never beyond the bound.
    func isFirstUnpriced(_ name: String) -> Bool {
        self.warnedUnpriced.withLock { $0.count < Self.warnedUnpricedMax && $0.insert(name).inserted }
    }
}
