import Glibc
import NIOCore
import NIOPosix

/// What one connection sends: straight into the socket while that takes it all, through NIO's queue when it does not.
///
/// Nearly every write fits into the socket's buffer at once, and then the way through the pipeline, its boxes and its
/// queue is a tenth of a call's cost for nothing. The order is kept: as long as NIO holds bytes, more go behind them.
/// Confined to the connection's event loop; the descriptor is the channel's own and lives as long as `context` does.
final class SocketOutput {
    private var context: ChannelHandlerContext?
    /// -1: TLS lies between, or the channel has no socket (tests); all goes through NIO.
    private var descriptor: CInt = -1
    /// For looking at the socket without reading from it, also where TLS lies between. -1: the channel has none.
    private(set) var socket: CInt = -1
    /// The socket refused bytes: the connection is about to be closed, and not by its other side's wish.
    private(set) var isBroken = false
    /// Bytes that NIO holds for us.
    private(set) var queuedBytes = 0

    /// - Parameter isPlain: no handler between us and the socket changes the bytes.
    func attach(_ context: ChannelHandlerContext, isPlain: Bool) {
        self.context = context
        self.socket =
            (try? context.channel.pipeline.syncOperations.withUnsafeTransportIfAvailable(
                of: NIOBSDSocket.Handle.self
            ) { $0 }) ?? -1
        if isPlain { self.descriptor = self.socket }
    }

    func detach() {
        self.context = nil
        self.descriptor = -1
        self.socket = -1
    }

    func write(_ buffer: ByteBuffer) {
        guard self.descriptor >= 0, self.queuedBytes == 0 else { return self.queue(buffer) }
        let count = buffer.readableBytes
        // Not write(2), which goes through the file layer first: about 0.2 us.
        let sent = buffer.withUnsafeReadableBytes {
            send(self.descriptor, $0.baseAddress, $0.count, CInt(MSG_NOSIGNAL))
        }
        if sent == count { return }
        guard self.canContinue(sent) else { return }
        self.queue(buffer.droppingFirst(max(0, sent)))
    }

    /// Both in one system call.
    func write(_ first: ByteBuffer, _ second: ByteBuffer) {
        guard self.descriptor >= 0, self.queuedBytes == 0 else {
            self.queue(first)
            return self.queue(second)
        }
        let sent = first.withUnsafeReadableBytes { head in
            second.withUnsafeReadableBytes { tail in
                withUnsafeTemporaryAllocation(of: iovec.self, capacity: 2) { vectors in
                    vectors[0] = iovec(
                        iov_base: UnsafeMutableRawPointer(mutating: head.baseAddress), iov_len: head.count)
                    vectors[1] = iovec(
                        iov_base: UnsafeMutableRawPointer(mutating: tail.baseAddress), iov_len: tail.count)
                    return writev(self.descriptor, vectors.baseAddress, 2)
                }
            }
        }
        if sent == first.readableBytes + second.readableBytes { return }
        guard self.canContinue(sent) else { return }
        let done = max(0, sent)
        if done < first.readableBytes { self.queue(first.droppingFirst(done)) }
        self.queue(second.droppingFirst(max(0, done - first.readableBytes)))
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
