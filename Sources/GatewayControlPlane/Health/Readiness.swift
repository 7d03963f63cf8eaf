import Synchronization

/// Whether this pod wants calls. Written by composition, read by health routes from any thread.
package final class Readiness: Sendable {
    package enum State: Sendable, Equatable {
        /// Recovery or loading is not finished: no calls yet.
        case starting
        case ready
        /// Calls are served, but an operator should look: the text says what is wrong. Anybody
        /// may read it at `/readyz`, so it names no paths, hosts or keys.
        case degraded(String)
        /// Something has been wrong for so long that calls should go to other pods; those that come are still served.
        case unfit(String)
        /// Shutting down: running calls end, new ones should go elsewhere.
        case draining
    }

    private let current: Mutex<State>

    package init(_ state: State = .starting) { self.current = Mutex(state) }

    package var state: State { self.current.withLock { $0 } }

    /// Sets the state. Draining is final: nothing leaves it, so a late `ready` cannot bring calls to a dying pod.
    package func set(_ state: State) {
        self.current.withLock { current in if current != .draining { current = state } }
    }

    /// Whether a load balancer should send calls here.
    package var acceptsCalls: Bool {
        switch self.state {
        case .ready, .degraded: true
        case .starting, .unfit, .draining: false
        }
    }
}
