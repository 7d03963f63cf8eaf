import GatewayCore
import Synchronization

/// A clock that stands still until a test moves it.
package final class ManualWallClock: WallClock {
    private let microseconds: Mutex<Int64>

    /// Starts at 2026-11-22T12:00:00Z unless told otherwise.
    package init(_ start: UnixMicroseconds = UnixMicroseconds(rawValue: 1_795_348_800_000_000)) {
        self.microseconds = Mutex(start.rawValue)
    }

    package func now() -> UnixMicroseconds { UnixMicroseconds(rawValue: self.microseconds.withLock { $0 }) }

    package func advance(by duration: Duration) {
        let (seconds, attoseconds) = duration.components
        self.microseconds.withLock { $0 += seconds * 1_000_000 + attoseconds / 1_000_000_000_000 }
    }
}
