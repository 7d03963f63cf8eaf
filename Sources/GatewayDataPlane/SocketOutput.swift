import Glibc
import NIOCore
import NIOPosix

/// What one connection sends: into the socket at the end of the loop's turn (`Outbox`) while that takes it all, through
/// NIO's queue when it does not.
///
/// Nearly every write fits into the socket's buffer at once, and then the way through the pipeline, its boxes and its
/// queue is a tenth of a call's cost for nothing. The order is kept: as long as NIO holds bytes, more go behind them.
/// Confined to the connection's event loop; the descriptor is the channel's own and lives as long as `context` does.
package final class SocketOutput {
    private var context: ChannelHandlerContext?
    /// -1: TLS lies between, or the channel has no socket (tests); all goes through NIO.
    private var descriptor: CInt = -1
    /// For looking at the socket without reading from it, also where TLS lies between. -1: the channel has none.
    package private(set) var socket: CInt = -1
    /// The socket refused bytes: the connection is about to be closed, and not by its other side's wish.
    package private(set) var isBroken = false
    /// Whether anything has left, or has been given to NIO, since the owner last said no.
    package var hasSent = false
    /// Bytes that NIO holds for us.
    package private(set) var queuedBytes = 0
    /// What is gathered for the end of the loop's turn. `nil` before `attach`.
    private var outbox: Outbox?
    /// Ours among them: nothing of these has been sent.
    package private(set) var gatheredBytes = 0

    package init() {}

    /// - Parameter isPlain: no handler between us and the socket changes the bytes.
    package func attach(_ context: ChannelHandlerContext, isPlain: Bool, outbox: Outbox) {
        self.context = context
        self.outbox = outbox
        self.socket =
            (try? context.channel.pipeline.syncOperations.withUnsafeTransportIfAvailable(
                of: NIOBSDSocket.Handle.self
            ) { $0 }) ?? -1
        if isPlain { self.descriptor = self.socket }
    }

    /// What is still gathered is dropped: the socket may be gone, and its number another's.
    package func detach() {
        self.context = nil
        self.descriptor = -1
        self.socket = -1
    }

    package func write(_ buffer: ByteBuffer) { self.writeAll(buffer, nil) }

    /// Both in one system call.
    package func write(_ first: ByteBuffer, _ second: ByteBuffer) { self.writeAll(first, second) }

    @inline(__always)
    private func writeAll(_ first: ByteBuffer, _ second: ByteBuffer?) {
        if self.descriptor >= 0, self.queuedBytes == 0 {
            let count = first.readableBytes + (second?.readableBytes ?? 0)
            let isSmall = count <= Outbox.pieceBytesMax
            if isSmall { self.outbox?.makeRoom(for: count) } else { self.flush() }
            // The socket may have refused what was gathered, and NIO has it now: nothing may overtake that.
            if self.queuedBytes == 0, !self.isBroken {
                return isSmall ? self.gather(first, second, count: count) : self.send(first, second)
            }
        }
        self.flush()
        self.queue(first)
        if let second { self.queue(second) }
    }

    private func gather(_ first: ByteBuffer, _ second: ByteBuffer?, count: Int) {
        guard count > 0, let outbox = self.outbox else { return }
        self.gatheredBytes += count
        first.withUnsafeReadableBytes { head in
            guard let second else { return outbox.put(head, UnsafeRawBufferPointer(start: nil, count: 0), for: self) }
            second.withUnsafeReadableBytes { outbox.put(head, $0, for: self) }
        }
    }

    /// Sends now what is gathered: before the connection is closed, and before what must not overtake it.
    package func flush() {
        if self.gatheredBytes > 0 { self.outbox?.flush() }
    }

    /// The turn has ended for these bytes.
    func sendGathered(_ bytes: UnsafeRawBufferPointer) {
        self.gatheredBytes -= bytes.count
        guard self.descriptor >= 0, self.queuedBytes == 0 else { return self.queue(ByteBuffer(bytes: bytes)) }
        // Not write(2), which goes through the file layer first: about 0.2 us.
        let sent = Glibc.send(self.descriptor, bytes.baseAddress, bytes.count, CInt(MSG_NOSIGNAL))
        if sent > 0 { self.hasSent = true }
        if sent == bytes.count || !self.canContinue(sent) { return }
        // A copy, made before NIO calls anybody, who may have the outbox use this memory again.
        self.queue(ByteBuffer(bytes: UnsafeRawBufferPointer(rebasing: bytes[max(0, sent)...])))
    }

    private func send(_ first: ByteBuffer, _ second: ByteBuffer?) {
        let sent = first.withUnsafeReadableBytes { head in
            guard let second else {
                return Glibc.send(self.descriptor, head.baseAddress, head.count, CInt(MSG_NOSIGNAL))
            }
            return second.withUnsafeReadableBytes { tail in
                withUnsafeTemporaryAllocation(of: iovec.self, capacity: 2) { vectors in
                    vectors[0] = iovec(
                        iov_base: UnsafeMutableRawPointer(mutating: head.baseAddress), iov_len: head.count)
                    vectors[1] = iovec(
                        iov_base: UnsafeMutableRawPointer(mutating: tail.baseAddress), iov_len: tail.count)
                    return writev(self.descriptor, vectors.baseAddress, 2)
                }
            }
        }
        if sent > 0 { self.hasSent = true }
        if sent == first.readableBytes + (second?.readableBytes ?? 0) || !self.canContinue(sent) { return }
        let done = max(0, sent)
        if done < first.readableBytes { self.queue(first.droppingFirst(done)) }
        if let second { self.queue(second.droppingFirst(max(0, done - first.readableBytes))) }
    }

    /// A full socket goes on later; a broken one ends the connection, and its handler hears of that from NIO.
    private func canContinue(_ sent: Int) -> Bool {
        if sent >= 0 || errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR { return true }
        self.isBroken = true
        // In the next turn of the loop, because the writer is in the middle of its own state.
        guard let channel = self.context?.channel else { return false }
        channel.eventLoop.execute { channel.close(promise: nil) }
        return false
    }

    private func queue(_ buffer: ByteBuffer) {
        guard let context = self.context, buffer.readableBytes > 0 else { return }
        let count = buffer.readableBytes
        self.hasSent = true
        self.queuedBytes += count
        // Many small pieces for a slow reader must not hold a large block each.
        let queued = count < buffer.storageCapacity / 4 ? ByteBuffer(bytes: buffer.readableBytesView) : buffer
        context.writeAndFlush(NIOAny(queued)).assumeIsolated().whenComplete { _ in self.queuedBytes -= count }
    }
}

extension ByteBuffer {
    fileprivate func droppingFirst(_ count: Int) -> ByteBuffer {
        var rest = self
        rest.moveReaderIndex(forwardBy: count)
        return rest
    }
}
