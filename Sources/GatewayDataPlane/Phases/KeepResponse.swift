import GatewayAdmission
import GatewayCore
import GatewayTranslation
import GatewayWire
import NIOCore

/// Calls of `/v1/responses` that go on from a former one, and those that are kept for later ones.
///
///     start ─► resolving: the former one is looked for ─┬─ kept here: its turns go in front of the input
///                                                       ├─ kept by a provider: the call goes to that one
///                                                       └─ neither: refused
///     last event or whole answer ─► held (bounded) ─ stored, or too late ─► out
extension Call {
    /// Notes what the body says of former responses and of keeping this one.
    func noteResponse(_ facts: FormatFacts) {
        guard self.kind == .responses, self.responses == nil, let archive = self.loop.archive,
            facts.storesResponse || facts.previousResponseID != nil, !(self.origin?.isDryRun ?? false)
        else { return }
        self.responses = ResponseCall(
            archive: archive, key: self.responseOwner, stores: facts.storesResponse,
            previousID: facts.previousResponseID, request: self.body)
    }

    /// A team's keys share what they make; the master key sees all.
    var responseOwner: (owner: String, reader: String?) {
        let record = self.key.record
        let owner = record.teamID.map { "team:\($0)" } ?? "key:\(record.keyID.text)"
        return (owner, self.key.isMaster ? nil : owner)
    }

    // MARK: Going on

    /// Looks for the conversation before this call, off the event loop.
    func findEarlier(_ id: String, _ responses: ResponseCall) {
        self.phase = .resolving
        let bound = NIOLoopBound(self, eventLoop: self.loop.eventLoop)
        let (eventLoop, archive, reader, request) =
            (self.loop.eventLoop, responses.archive, responses.reader, responses.request)
        Task {
            let finding = await archive.find(id, owner: reader, whole: true)
            var body: [UInt8]?
            if case .turns(let turns) = finding {
                body = request.withUnsafeReadableBytes { ResponseTurn.expanded($0, turns: turns) }
            }
            let expanded = body.map { ByteBuffer(bytes: $0) }
            // Scheduled, because unlike an executed task it is no fault when the loop has been shut down meanwhile.
            eventLoop.scheduleTask(in: .nanoseconds(0)) { bound.value.foundEarlier(finding, expanded, id) }
        }
    }

    private func foundEarlier(_ finding: ResponseFinding, _ expanded: ByteBuffer?, _ id: String) {
        guard case .resolving = self.phase, let responses = self.responses else { return }
        self.phase = .starting
        switch finding {
        case .storeAway: return self.refuse(.responseStoreAway)
        case .missing: return self.refuse(.noPreviousResponse(id))
        case .tooLong: return self.refuse(.conversationTooLong)
        case .deployment(let deploymentID, let account): responses.pin = (deploymentID, account)
        case .turns:
            guard let expanded else { return self.refuse(.noPreviousResponse(id)) }
            guard expanded.readableBytes <= self.loop.requestBodyBytesMax else {
                return self.refuse(.conversationTooLong)
            }
            let more = expanded.readableBytes
            self.loop.bounds.requestBodiesBytes.wrappingAdd(more, ordering: .relaxed)
            self.bodyReservation += more
            self.body = expanded
            if let refusal = self.readScan() ?? self.readFormatFacts() { return self.refuse(refusal) }
        }
        self.begin()
    }

    /// The deployments of `group` that know the conversation before this call. `nil`: none does.
    func pinned(_ group: TargetGroup) -> TargetGroup? {
        guard let pin = self.responses?.pin else { return group }
        return self.pinned(group, deploymentID: pin.deploymentID, account: pin.account)
    }

    private func pinned(_ group: TargetGroup, deploymentID: String, account: String) -> TargetGroup? {
        let speaking = group.targets.filter { $0.deployment.formats.target(of: .openAIResponses) == .openAIResponses }
        var targets = speaking.filter { $0.deployment.configuration.deploymentID == deploymentID }
        if targets.isEmpty { targets = speaking.filter { $0.deployment.account == account } }
        return targets.isEmpty ? nil : TargetGroup(name: group.name, targets: targets)
    }

    // MARK: Keeping

    /// How an answer that is made here names itself. `nil`: it is not kept, or its provider names it.
    func responseMark(for target: WireFormat) -> StoredResponseMark? {
        guard let responses = self.responses, responses.stores, target != .openAIResponses else { return nil }
        return StoredResponseMark(id: "resp_" + self.responseIdentifier, previousID: responses.previousID)
    }

    private var responseIdentifier: String { self.requestID.text.replacing("-", with: "") }

    /// Takes `out`, whose first `sizeBytes` are free, and puts it behind what is to go out. What comes before the last
    /// event of a response that is to be kept goes out now: only that event waits for the store.
    func appendPiece(_ out: inout ByteBuffer) {
        guard let responses = self.responses, responses.stores, !responses.isKept,
            self.translation?.isStreamFinished == true, let cut = Self.lastEvent(in: out)
        else { return self.appendFramed(&out) }
        if let event = out.getSlice(at: cut, length: out.writerIndex - cut) { self.noteLastEvent(event) }
        guard cut > StreamRelay.sizeBytes else { return self.appendFramed(&out) }
        for range in [StreamRelay.sizeBytes..<cut, cut..<out.writerIndex] {
            var piece = self.loop.buffer(capacity: range.count + StreamRelay.sizeBytes + 16)
            piece.moveWriterIndex(forwardBy: StreamRelay.sizeBytes)
            if let bytes = out.getSlice(at: range.lowerBound, length: range.count) { piece.writeImmutableBuffer(bytes) }
            self.appendFramed(&piece)
            if range.upperBound == cut { self.flushOutgoing() }
        }
        self.loop.recycle(&out)
    }

    /// Copies the end of a stream that goes to the caller as it is, where nobody else keeps it.
    func noteLastEvent(_ event: ByteBuffer) {
        guard let responses = self.responses, responses.stores, !responses.isKept,
            self.translation?.isStraight == true, self.target?.deployment.provider.keepsResponses == false
        else { return }
        responses.lastEvent = ByteBuffer(bytes: event.readableBytesView)
    }

    /// Where the last event begins. `nil`: there is none.
    private static func lastEvent(in out: ByteBuffer) -> Int? {
        out.withUnsafeReadableBytes { bytes in
            guard bytes.count > StreamRelay.sizeBytes else { return nil }
            return ResponseTurn.lastEvent(of: UnsafeRawBufferPointer(rebasing: bytes[StreamRelay.sizeBytes...]))
                .map { $0.start + StreamRelay.sizeBytes }
        }
    }

    /// A stream has come to its end: its last event waits until it is stored.
    func keepStreamed(_ translation: CallTranslation) {
        guard let responses = self.responses, translation.isStreamFinished, translation.streamFailure == nil else {
            return
        }
        self.keep(
            responses, translation, providersID: translation.responseID,
            answer: translation.isStraight ? responses.lastEvent : ByteBuffer(bytes: translation.output), isStream: true
        )
    }

    /// - Returns: `false`: it is not kept, and can go out.
    func keepAnswer(_ body: ByteBuffer, _ translated: TranslatedAnswer?, _ translation: CallTranslation) -> Bool {
        guard let responses = self.responses, let translated else { return false }
        self.keep(
            responses, translation, providersID: translated.responseID, answer: body, isStream: false)
        guard responses.isHolding else { return false }
        responses.answer = body
        self.phase = .storing
        return true
    }

    private func keep(
        _ responses: ResponseCall, _ translation: CallTranslation, providersID: String?, answer: ByteBuffer,
        isStream: Bool
    ) {
        guard responses.stores, !responses.isKept, let deployment = self.target?.deployment else { return }
        responses.isKept = true
        let turn = ResponseDraft.Content.turn(
            request: responses.request.compacted, answer: answer.compacted, isStream: isStream)
        let content: ResponseDraft.Content
        let id: String
        if let mark = translation.options.storedResponse {
            id = mark.id
            content = turn
        } else {
            guard let providersID, ResponseArchive.isIdentifier(providersID) else { return }
            id = providersID
            content =
                deployment.provider.keepsResponses
                ? .deployment(id: deployment.configuration.deploymentID, account: deployment.account) : turn
        }
        responses.heldSince = self.loop.nanoseconds()
        let draft = ResponseDraft(
            id: id, owner: responses.owner,
            previousID: content.isTurn ? responses.previousID : nil,
            identifier: self.responseIdentifier, content: content)
        let bound = NIOLoopBound(self, eventLoop: self.loop.eventLoop)
        let eventLoop = self.loop.eventLoop
        responses.archive.keep(draft) {
            eventLoop.scheduleTask(in: .nanoseconds(0)) { bound.value.responseStored() }
        }
    }

    /// The response is stored, or will not be in time: the rest of the answer goes out.
    func responseStored() {
        guard let responses = self.responses, responses.isHolding else { return }
        responses.heldSince = nil
        switch self.phase {
        case .storing:
            guard let answer = responses.answer else { return }
            self.phase = .done
            self.caller.answer(held: answer, for: self)
        case .streaming: if responses.isComplete { self.completeStream() } else { self.flushOutgoing() }
        default: break
        }
    }

    /// Looks at how long the store takes.
    /// - Returns: whether there is nothing else to be looked at.
    func tickResponse(_ responses: ResponseCall, now: UInt64) -> Bool {
        let configuration = responses.archive.configuration
        if let since = responses.heldSince {
            if now > since, now - since > configuration.storingTimeout.wholeNanoseconds { self.responseStored() }
            return true
        }
        guard case .resolving = self.phase else { return false }
        if now > self.receivedAt, now - self.receivedAt > configuration.readingTimeout.wholeNanoseconds {
            self.refuse(.responseStoreAway)
        }
        return true
    }
}

extension ByteBuffer {
    /// Of a small slice a copy: what waits for the store must not hold the large block that it was read into.
    fileprivate var compacted: ByteBuffer {
        self.readableBytes < self.storageCapacity / 4 ? ByteBuffer(bytes: self.readableBytesView) : self
    }
}
