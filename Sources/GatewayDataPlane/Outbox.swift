import NIOCore

/// What the connections of one event loop send in one turn of it: gathered, and sent together.
///
/// Sending wakes the other side, and a wake-up is what the system call costs most for. When a turn's sends stand together,
/// the first wakes the other process and the next ones find it awake; sent each in its place, with the work for a call in
/// between, it has fallen asleep again (docs/benchmarks.md). Nothing waits for more than its turn.
/// Confined to its event loop.
package final class Outbox {
    /// Sends in a row. More would make who reads the first of them wait for whoever is last.
    package static let sendsMax = 16
    /// Larger pieces are sent in their place: copying them costs more than is gained.
    package static let pieceBytesMax = 16 << 10
    private static let bytesMax = 128 << 10

    private let eventLoop: any EventLoop
    private let memory: UnsafeMutableRawPointer
    private var used = 0
    private var sends: [(output: SocketOutput, offset: Int, count: Int)] = []
    /// Those before it have been sent.
    private var next = 0

    package init(eventLoop: any EventLoop) {
        self.eventLoop = eventLoop
        self.memory = .allocate(byteCount: Self.bytesMax, alignment: 16)
        self.sends.reserveCapacity(Self.sendsMax)
    }

    deinit { self.memory.deallocate() }

    /// Before `put`: sends what stands here if `count` bytes, at most `pieceBytesMax`, of one more output would not fit.
    /// A call of its own, because a socket that does not take all of it changes where the caller's bytes have to go.
    func makeRoom(for count: Int) {
        if self.used + count > Self.bytesMax || self.sends.count == Self.sendsMax { self.flush() }
    }

    /// Takes a copy of `first` and `second`, which `output` sends behind all it has put here. There must be room.
    func put(_ first: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer, for output: SocketOutput) {
        let count = first.count + second.count
        let place = UnsafeMutableRawBufferPointer(start: self.memory + self.used, count: count)
        place.copyMemory(from: first)
        UnsafeMutableRawBufferPointer(rebasing: place[first.count...]).copyMemory(from: second)
        if self.sends.count > self.next, self.sends[self.sends.count - 1].output === output {
            self.sends[self.sends.count - 1].count += count
        } else {
            if self.sends.isEmpty { self.eventLoop.assumeIsolated().execute { self.flush() } }
            self.sends.append((output, self.used, count))
        }
        self.used += count
    }

    /// Sends everything, also what is put here within, when NIO has been given what a socket did not take and tells a
    /// handler of it.
    func flush() {
        while self.next < self.sends.count {
            let send = self.sends[self.next]
            self.next += 1
            send.output.sendGathered(UnsafeRawBufferPointer(start: self.memory + send.offset, count: send.count))
        }
        self.sends.removeAll(keepingCapacity: true)
        self.next = 0
        self.used = 0
    }
}
