import GatewayAdmission
import GatewayCore
import GatewayLedger
import Logging
import Synchronization

/// What the data plane works with; made by the composition, shared by all event loops.
package struct DataPlaneServices: Sendable {
    package var configuration: DataPlaneConfiguration
    package var keys: KeyDirectory
    package var journal: Journal
    package var control: any ControlHandler
    package var clock: any WallClock
    package var logger: Logger
    /// Output tokens that a call is expected to use before anything has been learned of its deployment.
    package var expectedOutputTokens: Int

    package init(
        configuration: DataPlaneConfiguration, keys: KeyDirectory, journal: Journal, control: any ControlHandler,
        clock: any WallClock, logger: Logger, expectedOutputTokens: Int
    ) {
        self.configuration = configuration
        self.keys = keys
        self.journal = journal
        self.control = control
        self.clock = clock
        self.logger = logger
        self.expectedOutputTokens = expectedOutputTokens
    }
}

/// Counts that bound what all event loops hold together.
final class SharedBounds: Sendable {
    /// Bytes of request bodies held.
    let requestBodiesBytes = Atomic<Int>(0)
    let connections = Atomic<Int>(0)
    let isDraining = Atomic<Bool>(false)
}
