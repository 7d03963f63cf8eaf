import GatewayAdmission
import GatewayCore
import GatewayWire
import Glibc
import NIOCore

/// One caller's connection: reads requests in order, one at a time, and writes their answers.
///
///     idle ─bytes─► head ─whole─► body ─whole─► inCall or inControl ─answered─► idle, or draining input, or closed
///       ▲                                                                │
///       └────────────────────── keep-alive, pipelined bytes first ◄──────┘
///
/// Anything malformed is answered with a 4xx and the connection ends, since nobody can say where the next request
/// would start.
final class CallerHandler: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    enum State {
        case idle
        /// Part of a head has come.
        case head
        case body(PendingRequest)
        /// The head is whole, still in `input`, and its key is looked up in the store.
        case resolving(id: UInt64, isHead: Bool)
        case inCall(Call)
        case inControl(id: UInt64, isHead: Bool)
        /// The answer is out and the connection ends; input is thrown away for a moment so that the answer is not lost
        /// to a reset.
        case lingering
        case closed
    }

    /// Longest wait for the store to tell whether a key exists.
    private static let resolvingNanoseconds: UInt64 = 10_000_000_000

    let loop: LoopContext
    var place = Int.max
    /// The key that the store has just told of: asked for once, so that a request cannot go round for ever.
    private var resolvedKey: KeyDigest?
    var context: ChannelHandlerContext?
    var state = State.idle
    /// Bytes that have come and belong to nothing yet: a partial head, or pipelined requests.
    var input = ByteBuffer()
    private var stateSince: UInt64 = 0
    /// No request has begun on this connection yet; a TLS handshake that is never finished looks the same.
    private var isFresh = true
    /// When the caller last took bytes of what is buffered for it; 0: little or nothing is.
    private var unwritableSince: UInt64 = 0
    /// Bytes that were buffered for the caller at the tick before.
    private var bytesBuffered = Int.max
    private var isReadHeld = false
    private var isProcessing = false
    private var controlID: UInt64 = 0
    private var lastCredential = LastCredential()
    /// The format in which the caller of the request being read understands errors.
    private var errorFormat = WireFormat.openAIChat
    /// `nil`: there was none, or it cannot be kept.
    private var lastCall: LastCall?
    private(set) var isWritable = true

    /// Pipelined bytes that are held while a request is in work; beyond them nothing is read.
    private static let inputBytesMax = 64 << 10
    private static let lingerNanoseconds: UInt64 = 1_000_000_000

    private let output = SocketOutput()
    private let isTLS: Bool

    /// - Parameter isTLS: a handler before this one encrypts.
    init(loop: LoopContext, isTLS: Bool) {
        self.loop = loop
        self.isTLS = isTLS
    }

    var isInCall: Bool { if case .inCall = self.state { true } else { false } }

    // MARK: Life

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        self.output.attach(context, isPlain: !self.isTLS, outbox: self.loop.outbox)
        self.stateSince = self.loop.nanoseconds()
        self.loop.add(self)
    }

    func handlerRemoved(context: ChannelHandlerContext) { self.ended() }

    func channelInactive(context: ChannelHandlerContext) {
        self.ended()
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }

    private func ended() {
        guard self.context != nil else { return }
        let former = self.state
        self.state = .closed
        self.context = nil
        self.output.detach()
        self.loop.remove(self)
        self.loop.bounds.connections.wrappingSubtract(1, ordering: .relaxed)
        switch former {
        case .inCall(let call):
            self.releaseBody(of: call)
            call.callerLeft()
        case .body(let request): self.release(request)
        default: break
        }
    }

    func close() {
        self.output.flush()
        self.context?.close(promise: nil)
    }

    /// The pod is going down: idle connections end at once, others after their answer.
    func drain() {
        if case .idle = self.state { self.close() }
    }

    /// The pod's patience has ended.
    func drainNow() {
        if case .inCall(let call) = self.state {
            self.releaseBody(of: call)
            call.drained()
        }
        self.state = .closed
        self.close()
    }

    // MARK: Reading

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = self.unwrapInboundIn(data)
        switch self.state {
        case .lingering, .closed: return
        case .body(let request):
            self.readBody(&bytes, of: request)
            if bytes.readableBytes > 0 { self.keep(bytes) }
        case .idle, .head: self.keep(bytes)
        case .resolving, .inCall, .inControl:
            self.keep(bytes)
            return self.readOn()
        }
        self.process()
        self.readOn()
    }

    /// Asks for the next read itself: left to NIO, the same goes the long way round, through every handler from behind.
    private func readOn() {
        guard let context = self.context else { return }
        self.read(context: context)
    }

    private func keep(_ bytes: ByteBuffer) {
        if self.input.readableBytes == 0 {
            self.input = bytes
        } else {
            // Otherwise a caller that always has a request under way would make the buffer grow for ever.
            self.input.discardReadBytes()
            self.input.writeImmutableBuffer(bytes)
        }
    }

    /// Works through `input` until it is used up or a request is in work.
    private func process() {
        guard !self.isProcessing else { return }
        self.isProcessing = true
        defer {
            self.isProcessing = false
            self.resumeReading()
        }
        while self.input.readableBytes > 0 {
            switch self.state {
            case .idle, .head:
                // For a caller that does not read its answers no further ones are made.
                guard self.isWritable, self.readHead() else { return }
            case .body(let request):
                var bytes = self.input
                self.input = ByteBuffer()
                self.readBody(&bytes, of: request)
                if bytes.readableBytes > 0 { self.keep(bytes) }
            case .resolving, .inCall, .inControl, .lingering, .closed: return
            }
        }
    }

    /// - Returns: whether a head was whole.
    private func readHead() -> Bool {
        if self.repeatCall() { return true }
        let limits = self.loop.limits
        let parse = self.input.withUnsafeReadableBytes { HTTPParser.parseRequestHead($0, limits: limits) }
        switch parse {
        case .incomplete:
            if case .idle = self.state {
                self.state = .head
                self.stateSince = self.loop.nanoseconds()
            }
            return false
        case .malformed(let fault):
            self.refuseAndClose(
                GatewayError(
                    status: fault.status, type: "invalid_request_error", origin: .caller, message: fault.message))
            return false
        case .complete(let head):
            self.beginRequest(head)
            return true
        }
    }

    /// Begins a call whose head is that of the call before and whose body has come with it. `false`: it is no such.
    private func repeatCall() -> Bool {
        guard let last = self.lastCall else { return false }
        let generation = self.loop.keys.generation
        guard let sizes = self.input.withUnsafeReadableBytes({ last.sizes($0, generation: generation) }),
            sizes.body <= self.loop.requestBodyBytesMax
        else { return false }
        let now = self.loop.nanoseconds()
        // What refuses the key since the last call is said where all refusals are.
        guard last.key.isInForce(at: self.loop.wallTime(atNanoseconds: now)) else { return false }
        self.stateSince = now
        self.input.moveReaderIndex(forwardBy: sizes.head)
        var body = self.loop.empty
        if self.input.readableBytes == sizes.body {
            swap(&body, &self.input)
        } else if let slice = self.input.readSlice(length: sizes.body) {
            body = slice
        }
        self.startCall(
            kind: last.kind, key: last.key, origin: last.origin, body: body, bodyReservation: 0,
            receivedAt: now, keepsAlive: last.keepsAlive, isHTTP11: last.isHTTP11)
        return true
    }

    private func beginRequest(_ head: RequestHead) {
        self.stateSince = self.loop.nanoseconds()
        self.isFresh = false
        self.errorFormat = .openAIChat
        let start = self.input.readerIndex
        guard let headBytes = self.input.readSlice(length: head.headBytes) else { return }
        let request: PendingRequest
        switch PendingRequest.begin(
            head, bytes: headBytes, loop: self.loop, receivedAt: self.stateSince, last: &self.lastCredential,
            errorFormat: &self.errorFormat)
        {
        case .refused(let error): return self.refuseAndClose(error, isHead: head.method == .head)
        case .unknownKey(let digest):
            guard let resolver = self.loop.resolver, self.resolvedKey != digest else {
                return self.refuseAndClose(.unknownKey, isHead: head.method == .head)
            }
            self.input.moveReaderIndex(to: start)
            return self.resolve(digest, by: resolver, isHead: head.method == .head)
        case .begun(let begun): request = begun
        }
        self.resolvedKey = nil
        if case .call(let kind, let key, let origin) = request.purpose {
            let generation = self.lastCredential.generation
            self.lastCall = headBytes.withUnsafeReadableBytes {
                LastCall(head, bytes: $0, kind: kind, key: key, origin: origin, generation: generation)
            }
        }
        if self.input.readableBytes == 0 { self.input = ByteBuffer() }
        if !request.isBodyComplete {
            if head.expectsContinue, self.input.readableBytes == 0 {
                self.write(ByteBuffer(staticString: "HTTP/1.1 100 Continue\r\n\r\n"))
            }
            self.state = .body(request)
            return
        }
        self.dispatch(request)
    }

    private func readBody(_ bytes: inout ByteBuffer, of request: PendingRequest) {
        switch request.take(&bytes, bounds: self.loop.bounds, configuration: self.loop.configuration) {
        case .more: break
        case .complete: self.dispatch(request)
        case .refused(let error):
            self.release(request)
            self.refuseAndClose(error)
        }
    }

    private func dispatch(_ request: PendingRequest) {
        switch request.purpose {
        case .call(let kind, let key, let origin):
            var body = ByteBuffer()
            swap(&body, &request.body)
            self.startCall(
                kind: kind, key: key, origin: origin, body: body, bodyReservation: request.reservation,
                receivedAt: request.receivedAt, keepsAlive: request.keepsAlive, isHTTP11: request.isHTTP11)
        case .control(let exchange):
            self.controlID += 1
            self.state = .inControl(id: self.controlID, isHead: request.isHead)
            self.stateSince = self.loop.nanoseconds()
            var exchange = exchange
            exchange.body = Array(request.body.readableBytesView)
            self.release(request)
            self.handOver(
                exchange, persistence: Persistence(keepsAlive: request.keepsAlive, isHTTP11: request.isHTTP11),
                isHead: request.isHead)
        }
    }

    private func startCall(
        kind: CallKind, key: KeyEntry, origin: CallOrigin?, body: consuming ByteBuffer, bodyReservation: Int,
        receivedAt: UInt64, keepsAlive: Bool, isHTTP11: Bool
    ) {
        let loop = self.loop
        let wall = loop.wallTime(atNanoseconds: receivedAt)
        let call = Call(
            loop: loop, caller: self, requestID: RequestID(.timeOrdered(at: wall, using: &loop.random)), kind: kind,
            key: key, receivedAt: receivedAt, body: body, origin: origin,
            keepsAlive: keepsAlive && !loop.bounds.isDraining.load(ordering: .relaxed), isHTTP11: isHTTP11)
        call.bodyReservation = bodyReservation
        self.state = .inCall(call)
        call.start()
    }

    private func release(_ request: PendingRequest) {
        if request.reservation > 0 {
            self.loop.bounds.requestBodiesBytes.wrappingSubtract(request.reservation, ordering: .relaxed)
            request.reservation = 0
        }
    }

    private func releaseBody(of call: Call) {
        if call.bodyReservation > 0 {
            self.loop.bounds.requestBodiesBytes.wrappingSubtract(call.bodyReservation, ordering: .relaxed)
            call.bodyReservation = 0
        }
    }

    // MARK: Keys of other pods

    /// Asks the store for a key that this pod has not heard of; the request is begun again when it has answered.
    private func resolve(_ digest: KeyDigest, by resolver: any KeyResolver, isHead: Bool) {
        self.controlID += 1
        let id = self.controlID
        self.state = .resolving(id: id, isHead: isHead)
        let eventLoop = self.loop.eventLoop
        let caller = NIOLoopBound(self, eventLoop: eventLoop)
        resolver.resolve(digest) { resolution in
            // Scheduled, because unlike an executed task it is no fault when the loop has been shut down meanwhile.
            eventLoop.scheduleTask(in: .nanoseconds(0)) { caller.value.resolved(resolution, digest, id: id) }
        }
    }

    private func resolved(_ resolution: KeyResolution, _ digest: KeyDigest, id: UInt64) {
        guard case .resolving(id, let isHead) = self.state else { return }
        switch resolution {
        case .found:
            self.resolvedKey = digest
            self.state = .idle
            self.process()
        case .unknown: self.refuseAndClose(.unknownKey, isHead: isHead)
        case .storeAway: self.refuseAndClose(.keyStoreAway, isHead: isHead)
        }
    }

    // MARK: Control

    private func handOver(_ exchange: ControlRequest, persistence: Persistence, isHead: Bool) {
        let id = self.controlID
        // Probes are answered whatever else is going on: a pod that is only busy must not be taken for dead.
        guard self.loop.controlInFlight < LoopContext.controlInFlightMax || Self.isProbe(exchange.path) else {
            return self.answered(
                ControlResponse(
                    status: 503, headers: [("retry-after", "1")],
                    body: Array(
                        GatewayError(
                            status: 503, type: "overloaded", origin: .gateway,
                            message: "Too many management requests at once. Try again in a second."
                        ).body.utf8)),
                id: id, persistence: persistence, isHead: isHead)
        }
        self.loop.controlInFlight += 1
        let handler = self.loop.control
        let eventLoop = self.loop.eventLoop
        let caller = NIOLoopBound(self, eventLoop: eventLoop)
        Task {
            let response = await handler.respond(to: exchange)
            // Scheduled, because unlike an executed task it is no fault when the loop has been shut down meanwhile.
            eventLoop.scheduleTask(in: .nanoseconds(0)) {
                caller.value.loop.controlInFlight -= 1
                caller.value.answered(response, id: id, persistence: persistence, isHead: isHead)
            }
        }
    }

    private static func isProbe(_ path: String) -> Bool {
        path == "/livez" || path == "/readyz" || path.hasPrefix("/health/")
    }

    private func answered(_ response: ControlResponse, id: UInt64, persistence: Persistence, isHead: Bool) {
        guard case .inControl(let current, _) = self.state, current == id else { return }
        let persistence = self.loop.bounds.isDraining.load(ordering: .relaxed) ? .close : persistence
        self.write(
            ControlAnswer.bytes(response, persistence: persistence, isHead: isHead, dateLine: self.loop.dateLine))
        self.loop.countResponse(status: response.status)
        self.next(keepsAlive: persistence != .close)
    }

    // MARK: Answers to calls

    func write(_ buffer: ByteBuffer) {
        guard self.context != nil else { return }
        self.output.write(buffer)
    }

    func write(_ first: ByteBuffer, _ second: ByteBuffer) {
        guard self.context != nil else { return }
        self.output.write(first, second)
    }

    /// A whole answer that came from the provider or was made here.
    func answer(held body: ByteBuffer, for call: Call) {
        let status = call.answerHead.status
        let hasNoBody = call.answerHead.hasNoBody
        var out = self.loop.buffer(
            capacity: AnswerHead.bytesMax(for: call)
                + (body.readableBytes <= Self.joinedBytesMax ? body.readableBytes : 0))
        AnswerHead.write(to: &out, for: call, status: status, length: hasNoBody ? 0 : Int64(body.readableBytes))
        if body.readableBytes <= Self.joinedBytesMax {
            body.withUnsafeReadableBytes { _ = out.writeBytes($0) }
            self.write(out)
        } else {
            self.write(out, body)
        }
        self.loop.recycle(&out)
        self.finishAnswer(for: call, keepsAlive: call.keepsAlive)
    }

    /// Bodies up to this size are copied behind their head, so that one write carries both.
    private static let joinedBytesMax = 16 << 10

    /// An error of the gateway's own.
    func answer(_ error: GatewayError, for call: Call) {
        self.write(
            ErrorAnswer.bytes(
                error, persistence: Persistence(keepsAlive: call.keepsAlive, isHTTP11: call.isHTTP11),
                requestID: call.requestID, attempts: call.attempt, dateLine: self.loop.dateLine,
                extraLines: call.rateLines, format: call.errorFormat))
        call.answerHead.status = error.status
        self.finishAnswer(for: call, keepsAlive: call.keepsAlive)
    }

    /// The control plane answers in the call's place.
    /// - Parameter body: of `POST /utils/admission`.
    func explain(_ call: Call, body: String) {
        guard case .inCall(let current) = self.state, current === call else { return }
        self.releaseBody(of: call)
        self.loop.recycle(&call.body)
        self.controlID += 1
        self.state = .inControl(id: self.controlID, isHead: false)
        self.stateSince = self.loop.nanoseconds()
        self.handOver(
            ControlRequest(
                method: "POST", path: "/utils/admission", query: nil, headers: [("content-type", "application/json")],
                body: Array(body.utf8), credential: call.key.record.digest),
            persistence: Persistence(keepsAlive: call.keepsAlive, isHTTP11: call.isHTTP11), isHead: false)
    }

    func finishAnswer(for call: Call, keepsAlive: Bool) {
        guard case .inCall(let current) = self.state, current === call else { return }
        self.releaseBody(of: call)
        self.loop.countResponse(status: call.answerHead.status)
        self.loop.recycle(&call.body)
        self.next(keepsAlive: keepsAlive)
    }

    /// Ends the connection so that the caller cannot take the answer for a whole one: its length or last chunk is
    /// missing. An answer that only the connection's end would end is cut by a reset.
    func abortAnswer(for call: Call) {
        guard case .inCall(let current) = self.state, current === call else { return }
        self.releaseBody(of: call)
        self.loop.countResponse(status: call.answerHead.status)
        guard call.answerEndsWithConnection else { return self.linger() }
        self.state = .closed
        let socket = self.context?.channel as? any SocketOptionProvider
        _ = socket?.setSoLinger(Glibc.linger(l_onoff: 1, l_linger: 0))
        self.close()
    }

    private func next(keepsAlive: Bool) {
        self.stateSince = self.loop.nanoseconds()
        guard keepsAlive else { return self.linger() }
        self.state = .idle
        if self.input.readableBytes > 0 { self.process() } else { self.resumeReading() }
    }

    private func refuseAndClose(_ error: GatewayError, isHead: Bool = false) {
        self.write(
            ErrorAnswer.bytes(
                error, persistence: .close, isHead: isHead, requestID: nil, attempts: 0, dateLine: self.loop.dateLine,
                format: self.errorFormat))
        self.loop.countResponse(status: error.status)
        self.linger()
    }

    /// Ends our side and throws away what still comes, for a moment: closing with unread input would reset the
    /// connection and could take the answer with it.
    private func linger() {
        self.state = .lingering
        self.stateSince = self.loop.nanoseconds()
        self.input = ByteBuffer()
        self.resumeReading()
        self.output.flush()
        self.context?.close(mode: .output, promise: nil)
    }

    // MARK: Flow

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        self.isWritable = context.channel.isWritable
        self.unwritableSince = self.isWritable ? 0 : self.loop.nanoseconds()
        self.bytesBuffered = .max
        if case .inCall(let call) = self.state {
            call.callerWritabilityChanged(self.isWritable)
        } else if self.isWritable {
            self.process()
        }
        context.fireChannelWritabilityChanged()
    }

    func read(context: ChannelHandlerContext) {
        if self.input.readableBytes > Self.inputBytesMax, !self.wantsInput {
            self.isReadHeld = true
        } else {
            context.read()
        }
    }

    /// Reads on where reading was held back and there is room again.
    private func resumeReading() {
        guard self.isReadHeld, self.wantsInput || self.input.readableBytes <= Self.inputBytesMax else { return }
        self.isReadHeld = false
        self.context?.read()
    }

    private var wantsInput: Bool {
        switch self.state {
        case .idle, .head: self.isWritable
        case .body, .lingering, .closed: true
        case .resolving, .inCall, .inControl: false
        }
    }

    /// Whether the caller has taken none of what is buffered for it for too long.
    private func isStuck(now: UInt64) -> Bool {
        guard self.unwritableSince != 0 else { return false }
        let buffered = (try? self.context?.channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0
        if buffered < self.bytesBuffered { self.unwritableSince = now }
        self.bytesBuffered = buffered
        return now &- self.unwritableSince > self.loop.timeouts.write
    }

    /// Ends here: there is no handler behind this one.
    func channelReadComplete(context: ChannelHandlerContext) {}

    func tick(now: UInt64) {
        if self.isStuck(now: now) { return self.close() }
        switch self.state {
        case .idle:
            // Somebody who connects and says nothing has no claim to the time of a caller that is between two requests.
            let timeouts = self.loop.timeouts
            let bound = self.isFresh ? min(timeouts.head, timeouts.keepAlive) : timeouts.keepAlive
            if now &- self.stateSince > bound { self.close() }
        case .head:
            if self.isWritable, now &- self.stateSince > self.loop.timeouts.head { self.refuseAndClose(.slowHead) }
        case .body(let request):
            let perSecond = UInt64(max(1, self.loop.configuration.bodyBytesPerSecondMin))
            let grace = UInt64(request.bodyBytes) / perSecond &* 1_000_000_000
            if now &- self.stateSince > self.loop.timeouts.body &+ grace {
                self.release(request)
                self.refuseAndClose(.slowBody)
            }
        case .inCall(let call): call.tick(now: now)
        case .resolving(_, let isHead):
            if now &- self.stateSince > Self.resolvingNanoseconds { self.refuseAndClose(.keyStoreAway, isHead: isHead) }
        case .inControl(_, let isHead):
            // What the control plane answers later finds another state, and is dropped.
            if now &- self.stateSince > self.loop.timeouts.control {
                self.refuseAndClose(.slowControl, isHead: isHead)
            }
        case .lingering, .closed:
            // What is still buffered goes out first; how long that may take, `isStuck` says.
            if self.output.queuedBytes > 0 {
                self.stateSince = now
                // Also of what is too little to count as unwritable.
                if self.unwritableSince == 0 { (self.unwritableSince, self.bytesBuffered) = (now, .max) }
            } else if now &- self.stateSince > Self.lingerNanoseconds {
                self.close()
            }
        }
    }
}

extension GatewayError {
    static let keyStoreAway = GatewayError(
        status: 503, type: "service_unavailable", origin: .gateway,
        message: "The key is not known on this pod, and the store that may know it cannot be reached. Try again soon.",
        retryAfterSeconds: 1)
    static let slowHead = GatewayError(
        status: 408, type: "timeout_error", origin: .caller,
        message: "The request's head did not arrive in time. Send it at once.")
    static let slowBody = GatewayError(
        status: 408, type: "timeout_error", origin: .caller,
        message: "The request's body did not arrive in time. Send it faster.")
    static let slowControl = GatewayError(
        status: 504, type: "timeout_error", origin: .gateway,
        message: "The management request was not answered in time. It may still be carried out: look at its result "
            + "before repeating it.")
}
