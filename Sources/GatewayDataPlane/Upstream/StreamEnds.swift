import NIOCore

/// Ends of streams that wait for their turn on one event loop.
///
/// Streams that began together end together, and their callers' next calls come at once. Handled as they come, all of
/// the ends, with their settlements, would stand before the first of those calls. So an end is put off until the loop
/// has done what else it found, and after a few ends it looks at its sockets again: whoever waits for a first byte goes
/// before who waits for a last one.
///
///     epoll ─┬─ requests, first bytes, all else ──► at once
///            └─ ends of streams ──────────────────► put off ─► `turnMax` of them, then epoll again, and so on
struct StreamEnds {
    /// In one turn: about 0.3 ms of work.
    static let turnMax = 8
    /// So soon that the loop hardly sleeps, and not so soon that it does not look at its sockets in between.
    static let pause = TimeAmount.microseconds(20)

    /// `nil`: has had its turn.
    private var connections: [UpstreamConnection?] = []
    private var next = 0

    var isEmpty: Bool { self.next == self.connections.count }

    /// - Returns: whether nobody else waits: a turn has to be arranged.
    mutating func append(_ connection: UpstreamConnection) -> Bool {
        let isFirst = self.isEmpty
        // Half of it at least has had its turn, so that moving the rest is cheap in the mean.
        if isFirst || self.next > 64 && self.next > self.connections.count / 2 {
            self.connections.removeFirst(self.next)
            self.next = 0
        }
        self.connections.append(connection)
        return isFirst
    }

    /// `nil`: nobody waits.
    mutating func pop() -> UpstreamConnection? {
        guard !self.isEmpty else { return nil }
        defer { self.next += 1 }
        return self.connections[self.next].take()
    }
}

extension LoopContext {
    /// Has the connection relay the end that it has put off, after everything that the loop has found with it.
    func putOffEnd(of connection: UpstreamConnection) {
        guard self.streamEnds.append(connection) else { return }
        self.eventLoop.execute { self.takeTurnOfEnds() }
    }

    private func takeTurnOfEnds() {
        for _ in 0..<StreamEnds.turnMax {
            guard let connection = self.streamEnds.pop() else { return }
            connection.relayEnd()
        }
        if self.streamEnds.isEmpty { return }
        // A task that is due at once would run before the loop looks at its sockets.
        self.eventLoop.assumeIsolated().scheduleTask(in: StreamEnds.pause) { self.takeTurnOfEnds() }
    }
}
