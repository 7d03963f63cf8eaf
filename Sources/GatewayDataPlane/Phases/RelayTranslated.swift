import GatewayCore
import GatewayTranslation
import GatewayWire
import NIOCore

/// Phase 6 for streams that are translated: whole events of the caller's format go out as the provider's come in.
extension Call {
    /// Takes `payload`, which is of no more use afterwards.
    func relayTranslated(_ payload: inout ByteBuffer, _ translation: CallTranslation) {
        payload.withUnsafeReadableBytes { translation.feed($0) }
        self.loop.recycle(&payload)
        self.appendTranslated(translation)
        if translation.streamFailure != nil { return self.endFailedStream(translation) }
        if translation.isStreamFinished, !self.isSettled { self.settleTranslated(.finished) }
        if self.responses != nil { self.keepStreamed(translation) }
    }

    /// Moves what the last bytes have become behind what is to go out.
    private func appendTranslated(_ translation: CallTranslation) {
        guard !translation.output.isEmpty else { return }
        var out = self.loop.buffer(capacity: translation.output.count + StreamRelay.sizeBytes + 16)
        out.moveWriterIndex(forwardBy: StreamRelay.sizeBytes)
        out.writeBytes(translation.output)
        self.appendPiece(&out)
    }

    /// The caller has its error event: whatever the provider still sends is of no use.
    private func endFailedStream(_ translation: CallTranslation) {
        if !self.isSettled { self.settleTranslated(.upstreamCut) }
        let upstream = self.upstream
        self.upstream = nil
        upstream?.cancel()
        self.completeStream()
    }

    func translatedStreamEnded(_ translation: CallTranslation) {
        translation.finishStream()
        if !translation.isStraight || translation.streamFailure != nil { self.appendTranslated(translation) }
        if translation.isStraight, translation.streamFailure == nil { self.forwardLastLine() }
        guard translation.streamFailure == nil || self.isSettled else { return self.upstreamFailed(.cut) }
        if !self.isSettled { self.settleTranslated(.finished) }
        if self.responses != nil { self.keepStreamed(translation) }
        self.completeStream()
    }

    /// Books the stream as it stands.
    func settleTranslated(_ outcome: AttemptOutcome) {
        guard let translation = self.translation else { return }
        self.settle(
            outcome, status: self.answerHead.status, reported: translation.reported,
            contentBytes: translation.contentBytes)
    }

    /// An attempt that ended before its answer did.
    func settleUnfinishedTranslated(_ outcome: AttemptOutcome, _ translation: CallTranslation) {
        var reported = translation.reported
        if case .holding = self.phase, self.held.readableBytes > 0 {
            // All of the text may have come and only the end of its framing be missing.
            _ = try? translation.translate(self.held)
            if translation.target == .openAIChat {
                reported = self.held.withUnsafeReadableBytes { JSONScanner.scanAnswer($0) }.usage
            }
        }
        var contentBytes = translation.contentBytes
        if case .relayingLarge = self.phase {
            translation.endLarge()
            contentBytes = self.largeContentBytes
        }
        self.settle(
            outcome, status: self.firstByteAt == 0 ? 0 : self.answerHead.status, reported: reported,
            contentBytes: contentBytes)
    }

    /// Reads bytes that go to the caller as they are.
    func readStraight(_ bytes: UnsafeRawBufferPointer, _ translation: CallTranslation) {
        translation.feed(bytes)
        guard translation.isStreamFinished, !self.isSettled else { return }
        self.settleTranslated(translation.streamFailure == nil ? .finished : .upstreamCut)
    }

    /// The error event of an answer that cannot be finished. Empty: the caller has been told already.
    func abortEvent(_ error: GatewayError) -> [UInt8] {
        guard let translation = self.translation else { return Array("data: \(error.body)\n\n".utf8) }
        translation.abortStream(ProviderFailure(error))
        return translation.output
    }
}
