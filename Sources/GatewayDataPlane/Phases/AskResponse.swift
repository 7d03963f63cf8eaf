import GatewayAdmission
import GatewayCore
import GatewayTranslation
import GatewayWire
import NIOCore

/// Requests about responses that were made before: what is kept here is answered here, the rest by the provider that
/// keeps it. They use nothing, so they cost nothing and leave no row.
extension Call {
    func askResponse(_ request: ResponseRequest) {
        guard let archive = self.loop.archive else { return self.refuse(.noResponse(request.id)) }
        if let refusal = self.path.refusal { return self.refuse(refusal) }
        let routes = self.key.rules.routes
        if !routes.allowsAllCalls, !routes.allows(self.kind.route, family: .call) {
            return self.refuse(routes.refusal(of: self.kind.path))
        }
        self.phase = .resolving
        self.responses = ResponseCall(
            archive: archive, key: self.responseOwner, stores: false, previousID: nil, request: self.loop.empty)
        let reader = self.responseOwner.reader
        let bound = NIOLoopBound(self, eventLoop: self.loop.eventLoop)
        let eventLoop = self.loop.eventLoop
        Task {
            let reply = await archive.reply(to: request, reader: reader)
            // Scheduled, because unlike an executed task it is no fault when the loop has been shut down meanwhile.
            eventLoop.scheduleTask(in: .nanoseconds(0)) { bound.value.answerAsked(request, reply) }
        }
    }

    private func answerAsked(_ request: ResponseRequest, _ reply: ResponseReply) {
        guard case .resolving = self.phase else { return }
        self.phase = .starting
        switch reply {
        case .storeAway: self.refuse(.responseStoreAway)
        case .missing: self.refuse(.noResponse(request.id))
        case .body(let body):
            self.answerHead.status = 200
            self.phase = .done
            self.caller.answer(held: ByteBuffer(bytes: body), for: self)
        case .deployment(let id, let account):
            self.responses?.pin = (id, account)
            guard let group = self.keepingGroup(id: id, account: account) else {
                return self.refuse(.noResponse(request.id))
            }
            self.group = group
            self.beginAttempt(at: 0, of: group, now: self.loop.nanoseconds())
        }
    }

    /// The deployment that made the response, else another of its account. `nil`: none is configured any more.
    private func keepingGroup(id: String, account: String) -> TargetGroup? {
        let groups = self.loop.snapshot.groups
        let name =
            groups.first { $0.value.contains { $0.configuration.deploymentID == id } }?.key
            ?? groups.first { $0.value.contains { $0.account == account } }?.key
        return name.flatMap { self.loop.targetGroup($0) }.flatMap { self.pinned($0) }
    }

    /// The request as it goes to the provider.
    func responseParts(_ request: ResponseRequest, to target: Target) -> EncodeRequest.Parts {
        EncodeRequest.parts(
            head: request.head(for: target.deployment), body: self.loop.empty, edits: [], loop: self.loop)
    }

    /// The provider has answered with success: what it has deleted is not asked for again.
    func noteResponseDeleted() {
        guard let request = self.origin?.response, request.action == .delete, let responses = self.responses else {
            return
        }
        let (archive, reader) = (responses.archive, responses.reader)
        Task { _ = await archive.remove(request.id, owner: reader) }
    }
}
