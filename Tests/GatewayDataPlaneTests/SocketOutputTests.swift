import GatewayDataPlane
import Glibc
import NIOCore
import NIOPosix
import TestSupport
import Testing

/// Outputs on sockets of one event loop, and the other ends of these.
private final class Sockets: Sendable {
    /// Confined to the loop.
    final class Handler: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        let output = SocketOutput()
        private let outbox: Outbox

        init(_ outbox: Outbox) { self.outbox = outbox }

        func handlerAdded(context: ChannelHandlerContext) {
            self.output.attach(context, isPlain: true, outbox: self.outbox)
        }

        func handlerRemoved(context: ChannelHandlerContext) { self.output.detach() }
    }

    let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    let loop: any EventLoop
    let outputs: NIOLoopBound<[SocketOutput]>
    let channels: [any Channel]
    /// Blocking; a receive gives up when nothing comes for a minute.
    let peers: [CInt]

    init(_ count: Int) async throws {
        let loop = self.group.next()
        let outbox = try await loop.submit { NIOLoopBound(Outbox(eventLoop: loop), eventLoop: loop) }.get()
        var peers: [CInt] = []
        var channels: [any Channel] = []
        for _ in 0..<count {
            var pair: [CInt] = [0, 0]
            #expect(socketpair(AF_UNIX, CInt(SOCK_STREAM.rawValue), 0, &pair) == 0)
            var patience = timeval(tv_sec: 60, tv_usec: 0)
            setsockopt(pair[1], SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
            peers.append(pair[1])
            channels.append(
                try await ClientBootstrap(group: loop).channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(Handler(outbox.value))
                    }
                }.withConnectedSocket(pair[0]).get())
        }
        let all = channels
        self.outputs = try await loop.submit {
            NIOLoopBound(
                try all.map { try $0.pipeline.syncOperations.handler(type: Handler.self).output }, eventLoop: loop)
        }.get()
        self.loop = loop
        self.channels = channels
        self.peers = peers
    }

    /// In one turn of the loop.
    func turn<Value: Sendable>(_ body: @escaping @Sendable ([SocketOutput]) throws -> Value) async throws -> Value {
        try await self.loop.submit { try body(self.outputs.value) }.get()
    }

    /// All that comes at the other end, up to `count` bytes.
    func receive(_ count: Int, at index: Int) async throws -> [UInt8] {
        let peer = self.peers[index]
        return try await onOwnThread {
            var bytes = [UInt8](repeating: 0, count: count)
            var done = 0
            while done < count {
                let more = bytes.withUnsafeMutableBytes { recv(peer, $0.baseAddress! + done, count - done, 0) }
                guard more > 0 else { break }
                done += more
            }
            return Array(bytes[0..<done])
        }
    }

    func end() async throws {
        for channel in self.channels { try? await channel.close() }
        for peer in self.peers { close(peer) }
        try await self.group.shutdownGracefully()
    }
}

/// Looks without waiting.
private func isEmpty(_ socket: CInt) -> Bool {
    var byte: UInt8 = 0
    return recv(socket, &byte, 1, CInt(MSG_PEEK) | CInt(MSG_DONTWAIT)) < 0
}

private func bytes(_ count: Int, from first: Int = 0) -> ByteBuffer {
    ByteBuffer(bytes: (first..<(first + count)).map { UInt8(truncatingIfNeeded: $0 &* 31) })
}

@Suite("What a connection sends")
struct SocketOutputTests {
    @Test("leaves at the end of the loop's turn, in the order in which it was written")
    func order() async throws {
        let sockets = try await Sockets(3)
        let peers = sockets.peers
        let early = try await sockets.turn { outputs in
            for piece in 0..<9 { outputs[piece % 3].write(bytes(10, from: piece / 3 * 10)) }
            outputs[0].write(bytes(5, from: 30), bytes(7, from: 35))
            #expect(outputs.map(\.gatheredBytes) == [42, 30, 30])
            return peers.allSatisfy { isEmpty($0) }
        }
        #expect(early, "something left before the turn's end")
        #expect(try await sockets.receive(42, at: 0) == Array(bytes(42).readableBytesView))
        for peer in 1...2 { #expect(try await sockets.receive(30, at: peer) == Array(bytes(30).readableBytesView)) }
        #expect(try await sockets.turn { $0.map(\.gatheredBytes) } == [0, 0, 0])
        try await sockets.end()
    }

    @Test("does not overtake itself, whatever the sizes", arguments: [3, 4, 5] as [UInt64])
    func sizes(seed: UInt64) async throws {
        let sockets = try await Sockets(40)
        var generator = SeededGenerator(seed: seed)
        // Far more than a socket takes at once, and more outputs than are gathered for.
        let plan = (0..<400).map { _ in
            (
                output: Int.random(in: 0..<40, using: &generator),
                size: [1, 700, Outbox.pieceBytesMax, Outbox.pieceBytesMax + 1, 200_000].randomElement(using: &generator)
                    ?? 1,
                isPair: Bool.random(using: &generator)
            )
        }
        var totals = [Int](repeating: 0, count: 40)
        for step in plan { totals[step.output] += step.size }
        let expected = totals
        let all = bytes(totals.max() ?? 0)
        async let received = withThrowingTaskGroup(of: Bool.self) { group in
            for index in 0..<40 {
                group.addTask {
                    try await sockets.receive(expected[index], at: index)
                        .elementsEqual(all.readableBytesView.prefix(expected[index]))
                }
            }
            return try await group.reduce(true) { $0 && $1 }
        }
        try await sockets.turn { outputs in
            var written = [Int](repeating: 0, count: 40)
            for step in plan {
                var tail = try #require(all.getSlice(at: written[step.output], length: step.size))
                written[step.output] += step.size
                if step.isPair {
                    let head = tail.readSlice(length: step.size / 2) ?? ByteBuffer()
                    outputs[step.output].write(head, tail)
                } else {
                    outputs[step.output].write(tail)
                }
            }
        }
        #expect(try await received)
        try await sockets.end()
    }

    @Test("does not overtake what the socket refused while room was made for it")
    func refusedForRoom() async throws {
        let sockets = try await Sockets(Outbox.sendsMax)
        let sizes = [10_000, 10, 20, Outbox.pieceBytesMax + 1, 30]
        let total = sizes.reduce(0, +)
        try await sockets.turn { outputs in
            var small: CInt = 4_096
            setsockopt(
                outputs[0].socket, SOL_SOCKET, SO_SNDBUF, &small, socklen_t(MemoryLayout<CInt>.size))
            let all = bytes(total)
            var written = 0
            for (index, size) in sizes.enumerated() {
                outputs[0].write(try #require(all.getSlice(at: written, length: size)))
                written += size
                if index == 0 { for other in outputs.dropFirst() { other.write(bytes(1)) } }
                // The second piece found the outbox full, and the first then the socket.
                if index == 1 { #expect(outputs[0].queuedBytes > 0) }
            }
        }
        #expect(try await sockets.receive(total, at: 0) == Array(bytes(total).readableBytesView))
        try await sockets.end()
    }

    @Test("leaves before the connection is closed")
    func close() async throws {
        let sockets = try await Sockets(1)
        let channel = sockets.channels[0]
        try await sockets.turn { outputs in
            outputs[0].write(bytes(100))
            outputs[0].flush()
            channel.close(promise: nil)
        }
        #expect(try await sockets.receive(101, at: 0) == Array(bytes(100).readableBytesView))
        try await sockets.end()
    }

    @Test("is dropped once the connection is left: its socket may be another's by then")
    func left() async throws {
        let sockets = try await Sockets(2)
        try await sockets.turn { outputs in
            outputs[0].write(bytes(100))
            outputs[1].write(bytes(20))
            outputs[0].detach()
        }
        #expect(try await sockets.receive(20, at: 1).count == 20)
        #expect(isEmpty(sockets.peers[0]))
        try await sockets.end()
    }

    @Test("to a socket that is broken ends the connection, and no other one")
    func broken() async throws {
        let sockets = try await Sockets(2)
        #expect(shutdown(sockets.peers[0], CInt(SHUT_RDWR)) == 0)
        try await sockets.turn { outputs in for output in outputs { output.write(bytes(50)) } }
        #expect(try await sockets.receive(50, at: 1).count == 50)
        // What never left may be sent again elsewhere.
        #expect(try await sockets.turn { $0.map(\.hasSent) } == [false, true])
        try await sockets.channels[0].closeFuture.get()
        #expect(sockets.channels[1].isActive)
        try await sockets.end()
    }
}
