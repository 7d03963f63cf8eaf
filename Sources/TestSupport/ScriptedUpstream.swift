import Foundation
import Synchronization

/// An OpenAI-compatible server on the loopback interface that does what its scripts say, well-behaved and not, and
/// keeps its own count of what it received, answered and reported: the truth that a ledger is compared with.
///
/// One thread per connection with blocking calls: simple enough to be trusted.
package final class ScriptedUpstream: Sendable {
    package let port: Int
    let scripts: [String: UpstreamScript]
    let gate = Gate()
    private let listener: StreamSocket
    private let state = Mutex<State>(State())
    private let isStopping = Atomic<Bool>(false)

    struct State {
        var calls: [UpstreamCall] = []
        var connections: [StreamSocket] = []
        var connectionsAccepted = 0
        var attemptsOfModel: [String: Int] = [:]
    }

    /// - Parameter scripts: by the model name that the upstream gets to see; any other name answers 404.
    package init(_ scripts: [String: UpstreamScript]) throws {
        self.scripts = scripts
        self.listener = try StreamSocket.listen()
        self.port = self.listener.localPort
        let thread = Thread { [self] in self.acceptLoop() }
        thread.stackSize = 512 << 10
        thread.start()
    }

    /// All calls received so far, in order.
    package var calls: [UpstreamCall] { self.state.withLock { $0.calls } }
    package var connectionsAccepted: Int { self.state.withLock { $0.connectionsAccepted } }

    /// Connections that it has not closed yet.
    package var connectionsOpen: Int { self.state.withLock { $0.connections.count } }

    /// Calls whose body named this `user`.
    package func calls(of user: String) -> [UpstreamCall] { self.calls.filter { $0.user == user } }

    /// Lets all held answers and streams go on, now and later.
    package func openGate() { self.gate.open() }

    /// Closes the listener and all connections.
    package func stop() {
        guard !self.isStopping.exchange(true, ordering: .acquiringAndReleasing) else { return }
        self.gate.open()
        for connection in self.state.withLock({ $0.connections }) { connection.shutdownBoth() }
    }

    deinit { self.listener.close() }

    // MARK: the connections' view

    var isStopped: Bool { self.isStopping.load(ordering: .acquiring) }

    /// Counts a request and gives it its number.
    func received(_ make: (Int) -> UpstreamCall) -> UpstreamCall {
        self.state.withLock { state in
            let call = make(state.calls.count)
            state.calls.append(call)
            state.attemptsOfModel[call.model, default: 0] += 1
            return call
        }
    }

    func update(_ sequence: Int, _ change: (inout UpstreamCall) -> Void) {
        self.state.withLock { change(&$0.calls[sequence]) }
    }

    /// How often `model` was asked for, this time included.
    func attempts(of model: String) -> Int { self.state.withLock { $0.attemptsOfModel[model] ?? 0 } }

    private func acceptLoop() {
        while !self.isStopped {
            guard let socket = try? self.listener.accept(within: .milliseconds(100)) else { continue }
            self.state.withLock {
                $0.connections.append(socket)
                $0.connectionsAccepted += 1
            }
            let thread = Thread { [self] in
                ScriptedUpstreamConnection(upstream: self, socket: socket).run()
                self.state.withLock { $0.connections.removeAll { $0 === socket } }
            }
            thread.stackSize = 512 << 10
            thread.start()
        }
    }
}

/// A door that is opened once. Waiting on it ends when it opens. A pipe, so that a thousand threads wait without work.
final class Gate: Sendable {
    private let readEnd: Int32
    private let writeEnd: Int32
    private let isOpen = Atomic<Bool>(false)

    init() {
        var ends: [Int32] = [-1, -1]
        precondition(pipe(&ends) == 0, "no descriptors left for the gate's pipe")
        (self.readEnd, self.writeEnd) = (ends[0], ends[1])
    }

    deinit {
        close(self.readEnd)
        close(self.writeEnd)
    }

    func open() {
        guard !self.isOpen.exchange(true, ordering: .acquiringAndReleasing) else { return }
        // Never read, so the pipe stays readable for all who wait, now and later.
        var byte: UInt8 = 1
        precondition(write(self.writeEnd, &byte, 1) == 1, "the gate's pipe is broken")
    }

    /// `true`: the gate is open. `false`: the peer of `socket` left first.
    func wait(or socket: StreamSocket) -> Bool {
        var entries = [
            pollfd(fd: self.readEnd, events: Int16(POLLIN), revents: 0),
            pollfd(fd: socket.descriptor, events: StreamSocket.peerLeft, revents: 0),
        ]
        while poll(&entries, 2, -1) < 0, errno == EINTR {}
        return entries[0].revents != 0
    }
}
