import GatewayCore
import GatewayRouting
import GatewayTranslation
import GatewayWire
import NIOCore

/// Phase 6: what comes back from the provider. Answers that are not streams are held until they are whole, so that
/// their cost is in the journal, and in the headers, before the caller sees a byte.
extension Call {
    func upstreamHead(_ head: ResponseHead, bytes: ByteBuffer) {
        guard case .sent = self.phase else { return }
        self.firstByteAt = self.loop.nanoseconds()
        self.lastReadAt = self.firstByteAt
        self.answerHead = head
        self.answerHeadBytes = bytes
        if let meter = self.meter { return self.startUnitAnswer(meter, head) }
        let isStream = self.translation.map { self.isTranslatedStream(head, bytes: bytes, $0) } ?? head.isEventStream
        if isStream, !head.hasNoBody, (200..<300).contains(head.status), self.origin?.response == nil {
            self.startStream()
        } else {
            self.phase = .holding
        }
    }

    func upstreamPayload(_ payload: ByteBuffer) {
        switch self.phase {
        case .holding: self.hold(payload)
        case .streaming: self.relayStream(payload)
        case .relayingLarge: self.relayLarge(payload)
        default: break
        }
    }

    /// All that one read brought has been handed over: out with it. An answer that was whole in it needs no further
    /// look at the clock; of any other it is known now when it last made progress.
    func upstreamReadComplete() {
        self.lastReadAt = self.loop.nanoseconds()
        self.flushOutgoing()
    }

    /// - Parameter byClose: the answer had no length and its connection has ended.
    func upstreamEnded(byClose: Bool) {
        self.upstream = nil
        switch self.phase {
        case .holding: self.answerHeld()
        case .streaming: self.streamEnded(byClose: byClose)
        case .relayingLarge: self.largeEnded(byClose: byClose)
        default: break
        }
    }

    func upstreamFailed(_ failure: UpstreamFailure) {
        self.upstream = nil
        let outcome: AttemptOutcome
        let error: GatewayError
        switch failure {
        case .answerTooLarge:
            outcome = .responseInvalid
            error = GatewayError(
                status: 502, type: "upstream_error", origin: .upstream,
                message: "The provider's answer is larger than \(self.loop.configuration.answerHeldBytesMax) bytes and "
                    + "cannot be translated. An operator can raise answer_held_bytes_max.")
        case .eventTooLarge:
            outcome = .responseInvalid
            error = GatewayError(
                status: 502, type: "upstream_error", origin: .upstream,
                message: "The provider sent an event of more than \(Self.eventBytesMax) bytes.")
        case .cut:
            outcome = .upstreamCut
            error = GatewayError(
                status: 502, type: "upstream_error", origin: .upstream,
                message: "The provider closed the connection before its answer was complete.")
        case .unsent:
            outcome = .connectFailed
            error = .unreachable
        case .invalid(let fault):
            outcome = .responseInvalid
            error = GatewayError(
                status: 502, type: "upstream_error", origin: .upstream,
                message: "The provider's answer is not valid HTTP: \(fault.message)")
        case .timedOut:
            outcome = .timedOut
            error = GatewayError(
                status: 504, type: "timeout_error", origin: .upstream,
                message: "The provider did not answer in time. Try again later, or raise the deployment's timeout.")
        }
        switch self.phase {
        case .sent, .holding, .streaming, .relayingLarge: break
        default: return
        }
        if case .streaming = self.phase, self.isSettled {
            // The stream had said that it was done: the caller has all of it.
            return self.completeStream()
        }
        self.flushOutgoing()
        self.settleUnfinished(outcome)
        self.held = ByteBuffer()
        self.attemptFailed(
            outcome, status: self.answerBegan ? self.answerHead.status : 0, retryAfter: nil, error: error)
    }

    func flushOutgoing() {
        let hasHead = self.outgoingHead.readableBytes > 0
        let hasBody = self.outgoing.readableBytes > 0
        guard hasHead || hasBody else { return }
        // The end of an answer that is being stored.
        if let responses = self.responses, responses.isHolding { return }
        self.answerBegan = true
        if hasHead, hasBody {
            self.caller.write(self.outgoingHead, self.outgoing)
        } else {
            self.caller.write(hasHead ? self.outgoingHead : self.outgoing)
        }
        self.loop.recycle(&self.outgoingHead)
        self.loop.recycle(&self.outgoing)
        if !self.caller.isWritable { self.upstream?.setPaused(true) }
    }

    /// Writes to the caller and stops reading from the provider while the caller does not keep up.
    func write(_ buffer: ByteBuffer) {
        self.answerBegan = true
        self.caller.write(buffer)
        if !self.caller.isWritable { self.upstream?.setPaused(true) }
    }

    func callerWritabilityChanged(_ isWritable: Bool) {
        if isWritable { self.lastReadAt = self.loop.nanoseconds() }
        self.upstream?.setPaused(!isWritable)
    }

    // MARK: Held answers

    private func hold(_ payload: ByteBuffer) {
        if self.held.readableBytes == 0 {
            self.held = payload
        } else {
            var payload = payload
            self.held.writeBuffer(&payload)
        }
        guard self.held.readableBytes > self.loop.configuration.answerHeldBytesMax else { return }
        if (200..<300).contains(self.answerHead.status) {
            if self.kind == .passThrough {
                // What goes on as it is needs not be whole to be metered.
                self.translation?.beginLarge()
            } else if self.translation != nil || self.embedding?.isStraight == false {
                return self.upstreamFailedTooLarge()
            }
            self.startLarge()
        } else {
            // An error text of that size is no error text: the refusal stands, its words do not.
            let upstream = self.upstream
            self.upstream = nil
            upstream?.cancel()
            self.held = ByteBuffer()
            self.answerRefused(status: self.answerHead.status)
        }
    }

    private func answerHeld() {
        let status = self.answerHead.status
        guard (200..<300).contains(status) else { return self.answerRefused(status: status) }
        if self.isCounting { return self.answerCount() }
        if let translation = self.translation { return self.answerTranslated(translation) }
        if let embedding = self.embedding { return self.answerEmbedding(embedding) }
        if let meter = self.meter { return self.answerUnits(meter) }
        let scan = self.held.withUnsafeReadableBytes { JSONScanner.scanAnswer($0) }
        var contentBytes = 0
        // With usage the text is counted for learning only, of which some calls give enough.
        if scan.usage == nil || self.loop.samplesThisCall() {
            contentBytes = self.held.withUnsafeReadableBytes { JSONScanner.contentBytes($0) }
        }
        // Some providers report a failure inside a 200.
        self.settle(
            scan.hasError ? .upstreamRefused : .finished, status: status, reported: scan.usage,
            contentBytes: contentBytes)
        self.leavePlace()
        self.phase = .done
        self.caller.answer(held: self.held, for: self)
    }

    /// The provider said no: nothing is charged, and another attempt may follow.
    /// - Parameter failure: what it said inside an answer of status 2xx. `nil`: its status says it.
    func answerRefused(status: Int, failure: ProviderFailure? = nil) {
        self.settle(.upstreamRefused, status: status, reported: nil, contentBytes: 0)
        self.noteRefusedCredential(status: status)
        var retryAfter = self.answerHeadBytes.withUnsafeReadableBytes { bytes in
            Int(String(decoding: bytes[self.answerHead.retryAfter], as: UTF8.self)).map { max(0, min($0, 86_400)) }
        }
        if retryAfter == nil, self.translation != nil {
            retryAfter = (failure ?? self.readFailure()).retryAfterSeconds
        }
        self.attemptFailed(
            .upstreamRefused, status: status, retryAfter: retryAfter,
            error: GatewayError(
                // What is no error, such as a redirect, would mean something else to the caller.
                status: status < 400 ? 502 : status, type: Self.errorType(status: status), origin: .upstream,
                message: "The provider refused the call with status \(status).", retryAfterSeconds: retryAfter))
    }

    private static func errorType(status: Int) -> String {
        switch status {
        case 401: "authentication_error"
        case 403: "permission_error"
        case 404: "not_found_error"
        case 429: "rate_limit_error"
        case 400..<500: "invalid_request_error"
        default: "upstream_error"
        }
    }

    /// The provider's own error goes through as it is when it is JSON, but for a refused credential, which is ours and
    /// not the caller's.
    func answerUpstreamError(_ error: GatewayError) {
        self.phase = .done
        if self.answerHead.status == 401 { return self.caller.answer(.credentialsRefused, for: self) }
        // Clouds that serve Anthropic's format have errors of their own.
        let isElsewhere = self.target?.deployment.provider.anthropicVersionInBody != nil
        if let translation = self.translation, !translation.isStraight || isElsewhere {
            return self.answerTranslatedError(error)
        }
        if let embedding = self.embedding, !embedding.isStraight { return self.answerTranslatedError(error) }
        if self.kind == .passThrough { return self.caller.answer(held: self.held, for: self) }
        guard self.answerHead.status >= 400,
            self.held.getInteger(at: self.held.readerIndex, as: UInt8.self) == UInt8(ascii: "{")
        else {
            return self.caller.answer(error, for: self)
        }
        self.caller.answer(held: self.held, for: self)
    }

    // MARK: Answers too large to be held

    /// What is not whole cannot be translated.
    private func upstreamFailedTooLarge() {
        let upstream = self.upstream
        upstream?.cancel()
        self.upstreamFailed(.answerTooLarge)
    }

    func startLarge() {
        self.phase = .relayingLarge
        if let meter = self.meter {
            self.held.withUnsafeReadableBytes { meter.feed($0) }
        } else if let translation = self.translation {
            self.held.withUnsafeReadableBytes { translation.feedLarge($0) }
        } else {
            var scanner = StreamingUsageScanner()
            self.held.withUnsafeReadableBytes { scanner.feed($0) }
            self.largeUsage = scanner
        }
        self.largeBytes = self.held.readableBytes
        var head = self.loop.buffer(capacity: AnswerHead.bytesMax(for: self))
        let length = self.answerHead.isChunked ? nil : self.answerHead.contentLength
        AnswerHead.write(
            to: &head, for: self, status: self.answerHead.status, length: length.flatMap { $0 >= 0 ? $0 : nil })
        let held = self.held
        self.held = ByteBuffer()
        self.body = ByteBuffer()
        self.write(head)
        self.writeLarge(held)
    }

    private func relayLarge(_ payload: ByteBuffer) {
        payload.withUnsafeReadableBytes {
            self.largeUsage?.feed($0)
            self.meter?.feed($0)
            self.translation?.feedLarge($0)
        }
        self.largeBytes += payload.readableBytes
        self.writeLarge(payload)
    }

    private func writeLarge(_ payload: ByteBuffer) {
        guard payload.readableBytes > 0 else { return }
        guard self.answersChunked else { return self.write(payload) }
        var size = self.loop.buffer(capacity: 32)
        size.write(capacity: ChunkedEncoder.sizeBytesMax) { writer in writer.append(chunkSize: payload.readableBytes) }
        self.caller.write(size)
        self.loop.recycle(&size)
        self.caller.write(payload)
        self.write(ByteBuffer(staticString: "\r\n"))
    }

    private func largeEnded(byClose: Bool) {
        let reported = self.largeUsage?.usage
        self.translation?.endLarge()
        // Its bytes are no measure of its text, so nothing is learned from them where usage was reported.
        // An event stream without a length ends with an event that says so.
        if byClose, let meter = self.meter, meter.isEventStream, !meter.answer.sawLastEvent, !meter.answer.hasError {
            return self.upstreamFailed(.cut)
        }
        self.settle(
            self.meter.map { self.largeOutcome($0) }
                ?? (self.largeUsage?.hasError == true ? .upstreamRefused : .finished), status: self.answerHead.status,
            reported: reported,
            contentBytes: reported == nil && self.translation?.usage == nil ? self.largeContentBytes : 0)
        self.leavePlace()
        self.phase = .done
        if self.answersChunked { self.caller.write(ByteBuffer(staticString: "0\r\n\r\n")) }
        self.caller.finishAnswer(for: self, keepsAlive: self.keepsAlive && (self.answersChunked || self.hasKnownLength))
    }

    /// What has been relayed stands for the text in it, which was not looked for: nearly all of so large an answer is
    /// text, but for that of an embedding, which has none.
    var largeContentBytes: Int { self.kind == .embedding ? 0 : self.largeBytes }

    private var hasKnownLength: Bool { !self.answerHead.isChunked && self.answerHead.contentLength >= 0 }

    /// Whether nothing but the connection's end would tell the caller that the answer is over.
    var answerEndsWithConnection: Bool {
        !self.isHTTP11 && (self.stream != nil || self.translation?.hasStream ?? false || !self.hasKnownLength)
    }

    /// Whether the caller's answer is chunked: its length is not known and the caller speaks HTTP/1.1.
    var answersChunked: Bool {
        if case .streaming = self.phase { return self.isHTTP11 }
        return self.isHTTP11 && !self.hasKnownLength
    }
}
