import GatewayCore
import GatewayWire
import Glibc
import NIOCore
import NIOPosix
import NIOTLS

/// Why an exchange with a provider ended without a whole answer.
enum UpstreamFailure {
    /// The connection ended or broke.
    case cut
    /// It ended before the request was sent.
    case unsent
    /// The answer is not HTTP as we accept it.
    case invalid(HTTPFault)
    /// One event of its stream is larger than what is held.
    case eventTooLarge
    /// The whole answer is larger than what is held, and has to be whole to be translated.
    case answerTooLarge
    case timedOut
}

/// One connection to a provider: writes a request, reads its answer, and goes back to its pool.
///
///     idle ──begin──► awaitingHead ──head──► readingBody ──end──► idle (pool) or closed
///       │                  │                     │
///       └────── closed ◄───┴──── cut, fault, timeout, caller left
final class UpstreamConnection: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private enum State {
        case idle
        case awaitingHead
        case readingBody(Framing)
        case closed
    }

    private enum Framing {
        case length(left: Int64)
        case chunked
        case untilClose
    }

    private let pool: UpstreamPool
    private let loop: LoopContext
    var place = Int.max
    private var context: ChannelHandlerContext?
    private var state = State.idle
    private var call: Call?
    /// Bytes of a head that has not come whole.
    private var partialHead: ByteBuffer?
    private var chunks: ChunkedDecoder
    private var keepAlive = true
    private var isPaused = false
    private var isReadHeld = false
    /// The connection ended by a reset or a TLS fault, not by the other side's orderly close.
    private var isBroken = false
    /// Hears once whether TLS was agreed on. `nil`: nobody waits for that.
    private var onSecured: ((Bool) -> Void)?
    private let output = SocketOutput()
    /// What was read last, until all of it is passed on and the memory may be used again.
    private var lastRead = ByteBuffer()
    /// The last piece of a stream, which gives way to first bytes of others. `nil`: none waits.
    private var end: ByteBuffer?
    private var connectedAt: UInt64 = 0
    private var idleSince: UInt64 = 0

    init(pool: UpstreamPool) {
        self.pool = pool
        self.loop = pool.loop
        self.chunks = ChunkedDecoder(limits: pool.loop.limits)
    }

    // MARK: Life

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        // Here, since the call that waits for the connection is told before the channel becomes active.
        self.output.attach(context, isPlain: !self.pool.key.address.isTLS, outbox: self.loop.outbox)
        if context.channel.isActive { self.opened() }
    }

    func channelActive(context: ChannelHandlerContext) {
        self.opened()
        context.fireChannelActive()
    }

    private func opened() {
        guard self.place == Int.max else { return }
        self.connectedAt = self.loop.nanoseconds()
        self.loop.add(self)
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.ended()
        context.fireChannelInactive()
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.ended()
        self.context = nil
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // Whatever broke (reset, TLS alert), the exchange cannot go on; channelInactive reports it.
        self.isBroken = true
        context.close(promise: nil)
    }

    /// Says whether TLS was agreed on, at the latest after the time that connecting may take. To be asked once, right
    /// after the transport has connected.
    func whenSecured(_ report: @escaping (Bool) -> Void) {
        guard case .idle = self.state, self.context != nil else { return report(false) }
        let timeout = self.loop.eventLoop.assumeIsolated().scheduleTask(
            in: .nanoseconds(Int64(clamping: self.loop.timeouts.connect))
        ) { self.close() }
        self.onSecured = { isSecured in
            timeout.cancel()
            report(isSecured)
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .handshakeCompleted? = event as? TLSUserEvent { self.secured(true) }
        context.fireUserInboundEventTriggered(event)
    }

    private func secured(_ isSecured: Bool) {
        guard let report = self.onSecured else { return }
        self.onSecured = nil
        report(isSecured)
    }

    private func ended() {
        if case .closed = self.state { return }
        // The next call of the caller may begin within; the socket is gone, and its number may be another's already.
        self.keepAlive = false
        self.relayEnd()
        if case .closed = self.state { return }
        let former = self.state
        // Of the request nothing had left yet.
        let isUnsent = if case .awaitingHead = former { !self.output.hasSent } else { false }
        self.state = .closed
        self.output.detach()
        self.loop.remove(self)
        self.pool.forget(self)
        self.secured(false)
        guard let call = self.call else { return }
        self.call = nil
        if case .readingBody(.untilClose) = former, !self.isBroken, !self.output.isBroken {
            call.upstreamEnded(byClose: true)
        } else {
            call.upstreamFailed(isUnsent ? .unsent : .cut)
        }
    }

    /// Under TLS the channel stays open until the other side has said its end, which may take seconds: nothing that comes
    /// meanwhile is anybody's, and no call may get the connection.
    func close() {
        self.call = nil
        self.end = nil
        self.output.flush()
        self.leave()
        self.secured(false)
    }

    /// Whether the connection may carry another request. The system is asked whether the other side has closed it: a
    /// request must not be sent where it could be lost half-way.
    func isReusable(now: UInt64) -> Bool {
        guard case .idle = self.state, self.context != nil else { return false }
        if now &- self.idleSince > self.loop.timeouts.upstreamKeepAlive { return false }
        if now &- self.connectedAt > self.loop.timeouts.lifetime, !isAddressLiteral(self.pool.key.address.host) {
            return false
        }
        return self.isStillOpen
    }

    /// Asked however short the connection was idle: the turn of the loop that brought the caller's request may have
    /// brought the provider's end of the connection too, and not have come to it yet.
    private var isStillOpen: Bool {
        guard self.output.socket >= 0 else { return true }
        var byte: UInt8 = 0
        let count = recv(self.output.socket, &byte, 1, CInt(MSG_PEEK) | CInt(MSG_DONTWAIT))
        // Nothing to read is what an idle connection looks like; an end or unasked bytes are not.
        return count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)
    }

    /// After connecting for a call that has left.
    func becomeIdle() {
        self.idleSince = self.loop.nanoseconds()
        self.pool.giveBack(self)
    }

    func tick(now: UInt64) {
        // One that became idle in this very tick has a time behind `now`.
        if case .idle = self.state, self.idleSince != 0, now > self.idleSince,
            now - self.idleSince > self.loop.timeouts.upstreamKeepAlive
        {
            self.close()
        }
    }

    // MARK: Exchange

    /// Sends the request in `parts` for `call`, which then hears of the answer.
    func begin(_ call: Call, parts: inout EncodeRequest.Parts) {
        self.loop.eventLoop.preconditionInEventLoop()
        guard case .idle = self.state, self.context != nil else {
            return call.upstreamFailed(.cut)
        }
        self.call = call
        self.state = .awaitingHead
        self.idleSince = 0
        self.output.hasSent = false
        if parts.pieces.count == 2, parts.last.readableBytes == 0 {
            self.output.write(parts.pieces[0], parts.pieces[1])
        } else {
            for piece in parts.pieces { self.output.write(piece) }
            if parts.last.readableBytes > 0 { self.output.write(parts.last) }
        }
        self.loop.recycle(&parts.last)
    }

    /// The call has left: nobody reads the answer, so the connection ends, which cancels the work at the provider.
    func cancel() {
        self.call = nil
        self.close()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let buffer = self.unwrapInboundIn(data)
        self.lastRead = buffer
        self.relayEnd()
        if !self.putsOff(buffer) { self.readAll(buffer) }
        // Left to NIO, asking for the next read goes the long way round, through every handler from behind.
        if let context = self.context { self.read(context: context) }
    }

    private func readAll(_ bytes: ByteBuffer) {
        var buffer = bytes
        while buffer.readableBytes > 0 {
            switch self.state {
            case .closed: return
            case .idle:
                // Bytes nobody asked for: the next answer could not be told apart from them.
                return self.close()
            case .awaitingHead where !self.output.hasSent:
                return self.abandonUnsent()
            case .awaitingHead:
                guard self.readHead(&buffer) else { return }
            case .readingBody(let framing):
                self.readBody(&buffer, framing: framing)
            }
        }
    }

    /// Ends here: there is no handler behind this one.
    func channelReadComplete(context: ChannelHandlerContext) {
        if self.end == nil { self.call?.upstreamReadComplete() }
        self.loop.recycle(&self.lastRead)
    }

    /// Larger ones are relayed at once.
    private static let endBytesMax = 4096

    /// Puts the last piece of a stream off (`StreamEnds`).
    /// - Returns: `false`: `buffer` is none, or its first too.
    private func putsOff(_ buffer: ByteBuffer) -> Bool {
        guard case .readingBody(.chunked) = self.state, let call = self.call, call.isStreaming, call.answerBegan,
            buffer.readableBytes <= Self.endBytesMax,
            buffer.withUnsafeReadableBytes({ $0.suffix(5).elementsEqual("0\r\n\r\n".utf8) })
        else { return false }
        // A copy, since there are few of the large buffers that are read into.
        self.end = ByteBuffer(bytes: buffer.readableBytesView)
        self.loop.putOffEnd(of: self)
        return true
    }

    /// Relays what was put off, if anything was.
    func relayEnd() {
        guard let buffer = self.end.take() else { return }
        self.readAll(buffer)
        self.call?.upstreamReadComplete()
    }

    /// - Returns: whether the head is whole (and what follows in `buffer` can be read).
    private func readHead(_ buffer: inout ByteBuffer) -> Bool {
        if self.partialHead != nil {
            self.partialHead?.writeBuffer(&buffer)
            guard let whole = self.partialHead else { return false }
            buffer = whole
            self.partialHead = nil
        }
        let limits = self.loop.limits
        switch buffer.withUnsafeReadableBytes({ HTTPParser.parseResponseHead($0, limits: limits) }) {
        case .incomplete:
            self.partialHead = buffer
            return false
        case .malformed(let fault):
            self.fail(.invalid(fault))
            return false
        case .complete(let head):
            guard let headBytes = buffer.readSlice(length: head.headBytes) else { return false }
            // The gateway asks for no other protocol (RFC 9110, section 15.2.2).
            guard head.status != 101 else {
                self.fail(.invalid(.badStatusLine))
                return false
            }
            if head.isInterim { return true }
            self.startBody(head, headBytes: headBytes, hasSurplus: buffer.readableBytes > 0)
            return true
        }
    }

    /// - Parameter hasSurplus: bytes have come behind the head; with a body of none they belong to no answer.
    private func startBody(_ head: ResponseHead, headBytes: ByteBuffer, hasSurplus: Bool) {
        self.keepAlive = head.keepAlive
        if head.hasNoBody {
            self.state = .readingBody(.length(left: 0))
        } else if head.isChunked {
            self.chunks = ChunkedDecoder(limits: self.loop.limits)
            self.state = .readingBody(.chunked)
        } else if head.contentLength >= 0 {
            self.state = .readingBody(.length(left: head.contentLength))
        } else {
            self.state = .readingBody(.untilClose)
        }
        self.call?.upstreamHead(head, bytes: headBytes)
        if case .readingBody(.length(left: 0)) = self.state { self.finish(hasSurplus: hasSurplus) }
    }

    private func readBody(_ buffer: inout ByteBuffer, framing: Framing) {
        switch framing {
        case .untilClose:
            let payload = buffer
            buffer.clear()
            self.call?.upstreamPayload(payload)
        case .length(let left):
            let count = Int(min(left, Int64(buffer.readableBytes)))
            guard let payload = buffer.readSlice(length: count) else { return }
            self.state = .readingBody(.length(left: left - Int64(count)))
            let isEnd = left == Int64(count)
            self.call?.upstreamPayload(payload)
            if isEnd { self.finish(hasSurplus: buffer.readableBytes > 0) }
        case .chunked:
            self.readChunks(&buffer)
        }
    }

    private func readChunks(_ buffer: inout ByteBuffer) {
        if let call = self.call, call.isStreaming { return self.relayChunks(&buffer, to: call) }
        var first: Range<Int>?
        var gathered: ByteBuffer?
        let result = buffer.withUnsafeReadableBytes { bytes in
            self.chunks.decode(bytes) { range in
                if first == nil {
                    first = range
                } else {
                    if gathered == nil, let first {
                        var buffer = self.loop.buffer(capacity: bytes.count)
                        buffer.writeBytes(UnsafeRawBufferPointer(rebasing: bytes[first]))
                        gathered = consume buffer
                    }
                    gathered?.writeBytes(UnsafeRawBufferPointer(rebasing: bytes[range]))
                }
            }
        }
        switch result {
        case .failure(let fault):
            self.fail(.invalid(fault))
        case .success(let progress):
            let start = buffer.readerIndex
            if let payload = gathered ?? first.flatMap({ buffer.getSlice(at: start + $0.lowerBound, length: $0.count) })
            {
                gathered = nil
                self.call?.upstreamPayload(payload)
            }
            buffer.moveReaderIndex(forwardBy: min(progress.consumed, buffer.readableBytes))
            if progress.isComplete { self.finish(hasSurplus: buffer.readableBytes > 0) }
        }
    }

    /// A stream's payload goes from what was read straight into what is sent.
    private func relayChunks(_ buffer: inout ByteBuffer, to call: Call) {
        var out = call.openRelay(payloadBytesMax: buffer.readableBytes)
        let base = out.writerIndex
        var result = Result<ChunkedDecoder.Progress, HTTPFault>.failure(.badChunkSize)
        buffer.withUnsafeReadableBytes { bytes in
            _ = out.writeWithUnsafeMutableBytes(minimumWritableBytes: bytes.count) { memory in
                var written = 0
                result = self.chunks.decode(bytes) { range in
                    guard let source = bytes.baseAddress, let target = memory.baseAddress else { return }
                    memcpy(target + written, source + range.lowerBound, range.count)
                    written += range.count
                }
                return written
            }
        }
        call.relay(&out, from: base)
        switch result {
        case .failure(let fault): self.fail(.invalid(fault))
        case .success(let progress):
            buffer.moveReaderIndex(forwardBy: min(progress.consumed, buffer.readableBytes))
            if progress.isComplete { self.finish(hasSurplus: buffer.readableBytes > 0) }
        }
    }

    /// The answer is whole.
    private func finish(hasSurplus: Bool) {
        guard let call = self.call, self.context != nil else { return }
        self.call = nil
        // An answer may come before the request was sent whole; what is left of it would corrupt the next one.
        self.partialHead = nil
        self.setPaused(false)
        if self.keepAlive, !hasSurplus, self.output.queuedBytes == 0,
            !self.loop.bounds.isDraining.load(ordering: .relaxed)
        {
            self.state = .idle
            self.idleSince = self.loop.nanoseconds()
            self.pool.giveBack(self)
        } else {
            self.leave()
        }
        call.upstreamEnded(byClose: false)
    }

    /// Bytes came before the request left: no answer to it, and what is sent here now might be answered by them.
    private func abandonUnsent() {
        let call = self.call
        self.call = nil
        self.leave()
        call?.upstreamFailed(.unsent)
    }

    /// All that `ended` lets go of, since it passes over a connection that is closed already. What is not sent yet never
    /// is.
    private func leave() {
        if case .closed = self.state { return }
        self.state = .closed
        self.output.detach()
        self.loop.remove(self)
        self.pool.forget(self)
        self.context?.close(promise: nil)
    }

    private func fail(_ failure: UpstreamFailure) {
        let call = self.call
        self.call = nil
        self.close()
        call?.upstreamFailed(failure)
    }

    // MARK: Back-pressure

    /// While paused nothing is read, so that a caller that reads slowly never makes the gateway hold the answer.
    func setPaused(_ paused: Bool) {
        guard self.isPaused != paused else { return }
        self.isPaused = paused
        if !paused, self.isReadHeld {
            self.isReadHeld = false
            self.context?.read()
        }
    }

    func read(context: ChannelHandlerContext) {
        if self.isPaused {
            self.isReadHeld = true
        } else {
            context.read()
        }
    }
}
