import GatewayCore
import GatewayWire
import Glibc
import NIOCore

/// A stream on its way to the caller as it is. Whole events (or frames, or lines) are forwarded as they arrive; the
/// bytes of one that is not whole wait for the rest, so that a cut never leaves half an event.
package struct StreamRelay {
    /// Room before the payload for a chunk's size line.
    package static let sizeBytes = 10

    package var scanner: EventStreamScanner
    /// Bytes of an event that has not come whole.
    package var pending = ByteBuffer()
    /// Usage was asked for by us: the event that carries nothing else is kept from the caller.
    package let dropsUsageEvents: Bool
    private let framing: StreamFraming
    private let eventBytesMax: Int
    /// The last event ended in a CR whose LF may still come; and whether it was kept from the caller.
    private var endsInCarriageReturn = false
    private var droppedLast = false

    package init(dropsUsageEvents: Bool, eventBytesMax: Int, framing: StreamFraming = .serverSentEvents) {
        self.framing = framing
        self.eventBytesMax = eventBytesMax
        self.scanner = EventStreamScanner(eventBytesMax: eventBytesMax)
        self.dropsUsageEvents = dropsUsageEvents
    }

    /// Adds `payload` and moves the whole events into `out`, behind `sizeBytes` bytes left free.
    /// - Returns: a fault when an event is too large.
    package mutating func take(_ payload: ByteBuffer, into out: inout ByteBuffer) -> EventStreamFault? {
        let base = self.open(&out)
        out.writeImmutableBuffer(payload)
        return self.close(&out, from: base)
    }

    /// Begins a piece of the stream: leaves room for the size line and puts what was left over first.
    /// - Returns: where the new payload is to be written.
    mutating func open(_ out: inout ByteBuffer) -> Int {
        out.moveWriterIndex(forwardBy: Self.sizeBytes)
        if self.pending.readableBytes > 0 {
            out.writeBuffer(&self.pending)
            self.pending.clear()
        }
        return out.writerIndex
    }

    /// Reads the payload from `base` on, and keeps in `out` only what may go to the caller.
    /// - Returns: a fault when an event is too large.
    mutating func close(_ out: inout ByteBuffer, from base: Int) -> EventStreamFault? {
        guard self.framing == .serverSentEvents else { return self.closeFrames(&out) }
        var eventStart = Self.sizeBytes
        var removed: Range<Int>?
        var removedBefore: [Range<Int>] = []
        if self.endsInCarriageReturn, base < out.writerIndex {
            // The line feed that was cut off from the event before shares its fate.
            self.endsInCarriageReturn = false
            if out.getInteger(at: base, as: UInt8.self) == UInt8(ascii: "\n") {
                eventStart = base + 1
                if self.droppedLast { removed = base..<eventStart }
            }
        }
        var end = eventStart
        let drops = self.dropsUsageEvents
        let fault = out.withUnsafeReadableBytes { bytes in
            self.scanner.feed(UnsafeRawBufferPointer(rebasing: bytes[base...])) { event, offset in
                end = base + offset
                self.droppedLast = drops && event.isUsageOnly
                if self.droppedLast {
                    // Providers send one; should there be more, those next to each other go together.
                    if let former = removed, former.upperBound == eventStart {
                        removed = former.lowerBound..<end
                    } else {
                        if let former = removed { removedBefore.append(former) }
                        removed = eventStart..<end
                    }
                }
                eventStart = end
            }
        }
        if let fault { return fault }
        if end < out.writerIndex, let rest = out.getSlice(at: end, length: out.writerIndex - end) {
            self.pending.writeImmutableBuffer(rest)
        }
        out.moveWriterIndex(to: end)
        self.endsInCarriageReturn =
            end > Self.sizeBytes && out.getInteger(at: end - 1, as: UInt8.self) == UInt8(ascii: "\r")
        if let removed {
            out.removeBytes(removed)
            for range in removedBefore.reversed() { out.removeBytes(range) }
        }
        return nil
    }
}

/// Streams that are cut otherwise than into server-sent events.
extension StreamRelay {
    /// Takes out of `out` what is no frame, and all behind it.
    /// - Returns: whether there was such a thing: the stream cannot go on.
    func cutBroken(_ out: inout ByteBuffer) -> Bool {
        guard self.framing == .awsEventStream else { return false }
        let (bytes, isBroken) = out.withUnsafeReadableBytes {
            AWSEventStream.wholeFrames(UnsafeRawBufferPointer(rebasing: $0[Self.sizeBytes...]))
        }
        if isBroken { out.moveWriterIndex(to: Self.sizeBytes + bytes) }
        return isBroken
    }

    private func wholeBytes(_ out: ByteBuffer) -> Int {
        out.withUnsafeReadableBytes { bytes in
            let payload = UnsafeRawBufferPointer(rebasing: bytes[Self.sizeBytes...])
            // An array that is cut is none, wherever that is; and it may have no line end at all.
            if self.framing == .jsonArray { return payload.count }
            if self.framing == .awsEventStream { return AWSEventStream.wholeFrames(payload).bytes }
            return payload.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
        }
    }

    private mutating func closeFrames(_ out: inout ByteBuffer) -> EventStreamFault? {
        let end = Self.sizeBytes + self.wholeBytes(out)
        let rest = out.writerIndex - end
        guard rest <= self.eventBytesMax else { return .eventTooLarge }
        if rest > 0, let bytes = out.getSlice(at: end, length: rest) { self.pending.writeImmutableBuffer(bytes) }
        out.moveWriterIndex(to: end)
        return nil
    }
}

extension ByteBuffer {
    /// Closes the gap that `range` (absolute indexes) leaves.
    mutating func removeBytes(_ range: Range<Int>) {
        let tail = self.writerIndex - range.upperBound
        self.withVeryUnsafeMutableBytes { bytes in
            guard tail > 0, let base = bytes.baseAddress else { return }
            memmove(base + range.lowerBound, base + range.upperBound, tail)
        }
        self.moveWriterIndex(to: range.lowerBound + max(0, tail))
    }
}

/// Phase 6 for streams.
extension Call {
    /// The largest event that is held until it is whole, bytes.
    static let eventBytesMax = 8 << 20

    func startStream() {
        self.phase = .streaming
        // Nothing is tried again from here on, so the request is no longer needed.
        self.loop.recycle(&self.body)
        self.translation?.beginStream()
        if self.translation?.isStraight ?? true {
            self.stream = StreamRelay(
                dropsUsageEvents: self.asksForUsage, eventBytesMax: Self.eventBytesMax,
                framing: self.translation?.sourceFraming ?? .serverSentEvents)
        }
        var head = self.loop.buffer(capacity: AnswerHead.bytesMax(for: self))
        AnswerHead.write(to: &head, for: self, status: self.answerHead.status, length: nil)
        self.outgoingHead = head
    }

    func relayStream(_ payload: ByteBuffer) {
        var out = self.openRelay(payloadBytesMax: payload.readableBytes)
        let base = out.writerIndex
        out.writeImmutableBuffer(payload)
        self.relay(&out, from: base)
    }

    var isStreaming: Bool { if case .streaming = self.phase { true } else { false } }

    /// A buffer for the next piece of the stream; payload goes to its end, then `relay` takes it.
    func openRelay(payloadBytesMax: Int) -> ByteBuffer {
        let pending = self.stream?.pending.readableBytes ?? 0
        // Behind the payload: its line end, and the last chunk.
        var out = self.loop.buffer(capacity: payloadBytesMax + pending + StreamRelay.sizeBytes + 16)
        _ = self.stream?.open(&out)
        return out
    }

    /// Takes `out`, which `openRelay` gave, and which is empty afterwards or of no more use.
    func relay(_ out: inout ByteBuffer, from base: Int) {
        let isBroken = self.translation?.isStraight == true && self.stream?.cutBroken(&out) == true
        if let translation = self.translation {
            guard translation.isStraight else { return self.relayTranslated(&out, translation) }
            out.withUnsafeReadableBytes {
                self.readStraight(UnsafeRawBufferPointer(rebasing: $0[min(base, $0.count)...]), translation)
            }
        }
        if self.stream?.close(&out, from: base) != nil { return self.endStream(.eventTooLarge) }
        if self.translation == nil, self.stream?.scanner.sawDone == true, !self.isSettled { self.settleStream() }
        if out.writerIndex > StreamRelay.sizeBytes { self.appendPiece(&out) }
        if self.responses != nil, let translation = self.translation { self.keepStreamed(translation) }
        if isBroken { self.endStream(.cut) }
    }

    /// What the provider sends cannot be forwarded any more.
    private func endStream(_ failure: UpstreamFailure) {
        let upstream = self.upstream
        upstream?.cancel()
        self.upstreamFailed(failure)
    }

    /// Takes `out`, whose first `sizeBytes` are free, and puts it behind what is to go out.
    func appendFramed(_ out: inout ByteBuffer) {
        if self.answersChunked {
            out.frameAsChunk(payloadFrom: StreamRelay.sizeBytes)
        } else {
            out.moveReaderIndex(to: StreamRelay.sizeBytes)
        }
        self.append(&out)
    }

    /// Takes `buffer`, which is empty afterwards.
    private func append(_ buffer: inout ByteBuffer) {
        guard self.outgoing.readableBytes > 0 else { return swap(&self.outgoing, &buffer) }
        self.outgoing.writeImmutableBuffer(buffer)
        self.loop.recycle(&buffer)
    }

    func streamEnded(byClose: Bool) {
        if let last = self.stream?.scanner.finish() { self.forwardLast(last) }
        if let translation = self.translation { return self.translatedStreamEnded(translation) }
        guard let scanner = self.stream?.scanner else { return }
        let isWhole = scanner.sawDone || scanner.sawFinish || scanner.sawError
        guard isWhole || self.isSettled else { return self.upstreamFailed(.cut) }
        if !self.isSettled { self.settleStream() }
        self.completeStream()
    }

    /// An event whose blank line is missing at the stream's end.
    private func forwardLast(_ event: EventStreamScanner.Event) {
        guard var pending = self.stream?.pending, pending.readableBytes > 0 else { return }
        self.stream?.pending = ByteBuffer()
        if self.asksForUsage, event.isUsageOnly { return }
        var out = self.loop.buffer(capacity: pending.readableBytes + 64)
        out.moveWriterIndex(forwardBy: StreamRelay.sizeBytes)
        self.noteLastEvent(pending)
        out.writeBuffer(&pending)
        out.writeStaticString("\n\n")
        self.appendFramed(&out)
    }

    /// A line whose line feed is missing at the stream's end.
    func forwardLastLine() {
        guard var pending = self.stream?.pending, pending.readableBytes > 0 else { return }
        self.stream?.pending = ByteBuffer()
        var out = self.loop.buffer(capacity: pending.readableBytes + StreamRelay.sizeBytes + 16)
        out.moveWriterIndex(forwardBy: StreamRelay.sizeBytes)
        self.noteLastEvent(pending)
        out.writeBuffer(&pending)
        self.appendFramed(&out)
    }

    private func settleStream() {
        guard let scanner = self.stream?.scanner else { return }
        self.settle(
            scanner.sawError ? .upstreamCut : .finished, status: self.answerHead.status, reported: scanner.lastUsage,
            contentBytes: scanner.contentBytesTotal)
    }

    /// All events are out: the clean end.
    func completeStream() {
        let isChunked = self.answersChunked
        self.leavePlace()
        if let responses = self.responses, responses.isHolding {
            responses.isComplete = true
            return
        }
        if isChunked {
            self.outgoing.writeStaticString("0\r\n\r\n")
        }
        self.flushOutgoing()
        self.phase = .done
        self.caller.finishAnswer(for: self, keepsAlive: self.keepsAlive && isChunked)
    }

    /// The answer has begun and cannot be finished: the caller gets an error event and a connection that ends without
    /// the last chunk, so that nothing looks complete.
    func abortAnswer(_ error: GatewayError) {
        if case .streaming = self.phase, case let event = self.abortEvent(error), !event.isEmpty {
            var out = self.loop.buffer(capacity: event.count + 64)
            out.moveWriterIndex(forwardBy: StreamRelay.sizeBytes)
            out.writeBytes(event)
            if self.answersChunked {
                out.frameAsChunk(payloadFrom: StreamRelay.sizeBytes)
            } else {
                out.moveReaderIndex(to: StreamRelay.sizeBytes)
            }
            self.caller.write(out)
        }
        self.phase = .done
        self.leavePlace()
        self.caller.abortAnswer(for: self)
    }
}

extension ByteBuffer {
    /// Puts the size line into the free room before the payload and the line end behind it.
    mutating func frameAsChunk(payloadFrom start: Int) {
        let count = self.writerIndex - start
        self.writeStaticString("\r\n")
        var digits = 0
        var rest = count
        repeat {
            digits += 1
            rest >>= 4
        } while rest > 0
        precondition(digits + 2 <= start, "a chunk is too large for its size line")
        self.moveReaderIndex(to: start - digits - 2)
        rest = count
        self.withUnsafeMutableReadableBytes { bytes in
            for position in stride(from: digits - 1, through: 0, by: -1) {
                bytes[position] = hexDigit(UInt8(truncatingIfNeeded: rest & 15))
                rest >>= 4
            }
            bytes[digits] = UInt8(ascii: "\r")
            bytes[digits + 1] = UInt8(ascii: "\n")
        }
    }
}
