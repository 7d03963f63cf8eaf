import GatewayCore
import GatewayLedger
import Synchronization

/// The change log of stores in memory: one log that several of them may share, as the stores of one database do.
package final class MemoryChangeLog: Sendable {
    private struct State {
        var entries: [(change: Change, at: UnixMicroseconds)] = []
        var head: Int64 = 0
    }

    private let clock: any WallClock
    private let state = Mutex(State())

    package init(clock: any WallClock = ManualWallClock()) { self.clock = clock }

    /// Position of the newest entry; 0: none.
    package var head: Int64 { self.state.withLock { $0.head } }

    package func append(_ kind: Change.Kind, _ reference: String) {
        let now = self.clock.now()
        self.state.withLock { state in
            state.head += 1
            state.entries.append((Change(position: state.head, kind: kind, reference: reference), now))
        }
    }

    /// As `KeyStore.changes`.
    package func changes(after position: Int64, limit: Int) -> [Change] {
        self.state.withLock { state in
            Array(state.entries.lazy.map(\.change).filter { $0.position > position }.prefix(limit))
        }
    }

    /// Forgets the entries made before `time`; the head stays.
    /// - Returns: how many there were.
    package func forget(before time: UnixMicroseconds) -> Int {
        self.state.withLock { state in
            let count = state.entries.count
            state.entries.removeAll { $0.at < time }
            return count - state.entries.count
        }
    }
}
