import Foundation
import GatewayCore
import Synchronization
import TestSupport

/// A clock that can be stopped in the middle of being read. Each event loop reads it with every tick, so a stopped one
/// holds the loop, and what arrives meanwhile is found by the loop all at once.
final class GatedClock: WallClock {
    private struct State {
        var isClosed = false
        var isInside = false
    }
    private let state = Mutex(State())
    private let manual = ManualWallClock()

    func now() -> UnixMicroseconds {
        // Bounded, so that a failing test ends.
        let deadline = Deadline(within: .seconds(60))
        while self.state.withLock({ state in
            state.isInside = state.isClosed
            return state.isClosed
        }), !deadline.hasPassed {
            poll(nil, 0, 1)
        }
        return self.manual.now()
    }

    /// Comes back when the event loop stands still.
    func close() throws {
        self.state.withLock { $0.isClosed = true }
        try waitUntil("the event loop to stand still") { self.state.withLock { $0.isInside } }
    }

    func open() { self.state.withLock { $0 = State() } }
}
