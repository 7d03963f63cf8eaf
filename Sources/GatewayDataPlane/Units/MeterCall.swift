import GatewayCore
import GatewayPricing
import GatewayWire
import NIOCore

/// Calls of images, audio, moderation and rerank: straight through, the form or JSON as it is but for the model's name.
extension Call {
    /// Reads what such a request asks for. `nil`: the call may go on.
    func readUnits() -> GatewayError? {
        let formType = self.origin?.formType ?? []
        do throws(GatewayError) {
            let facts = try self.body.withUnsafeReadableBytes { bytes throws(GatewayError) -> UnitFacts in
                guard formType.isEmpty else {
                    return try UnitFacts(form: bytes, contentType: formType, scan: &self.scan)
                }
                if let refusal = self.readScan() { throw refusal }
                return try UnitFacts(bytes, kind: self.kind, choiceCount: self.scan.choiceCount)
            }
            self.meter = CallMeter(kind: self.kind, facts: facts)
            // What they stream has no chunk of usage that would have to be asked for.
            return nil
        } catch {
            return error
        }
    }

    func metered(_ meter: CallMeter, at target: Target) -> CallMeter.Charge {
        meter.charge(at: target.deployment, figures: target.figures, inputTextBytes: self.scan.inputTextBytes)
    }

    // MARK: The request

    func unitParts(_ meter: CallMeter, to target: Target) -> EncodeRequest.Parts {
        let deployment = target.deployment
        var head = deployment.unitHeads[Int(self.kind.rawValue)]
        guard let formType = self.origin?.formType, !formType.isEmpty, let insertion = meter.facts.formInsertion else {
            head += Array("application/json\r\ncontent-length: ".utf8)
            let edits = EncodeRequest.edits(for: deployment, scan: self.scan, body: self.body, asksForUsage: false)
            return EncodeRequest.parts(head: head, body: self.body, edits: edits, loop: self.loop)
        }
        head += formType + Array("\r\ncontent-length: ".utf8)
        let name = Array(deployment.configuration.model.utf8)
        var edit = EncodeRequest.Edit(range: insertion..<insertion, text: [])
        if let range = meter.facts.formModel {
            edit = EncodeRequest.Edit(range: range.range, text: name)
        } else if let boundary = formType.withUnsafeBytes({ FormScan.boundary(ofContentType: $0) }) {
            edit.text =
                Array("--".utf8) + boundary
                + Array("\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n".utf8) + name + Array("\r\n".utf8)
        }
        return EncodeRequest.parts(head: head, body: self.body, edits: [edit], loop: self.loop)
    }

    // MARK: The answer

    /// Audio and streams go out as they come; the rest is held for its cost.
    func startUnitAnswer(_ meter: CallMeter, _ head: ResponseHead) {
        self.answerHeadBytes.withUnsafeReadableBytes { meter.begin(head, bytes: $0) }
        self.phase = .holding
        guard (200..<300).contains(head.status), !head.hasNoBody else { return }
        let isJSON = self.answerHeadBytes.withUnsafeReadableBytes {
            HeaderName.hasPrefix($0, head.contentType, "application/json")
        }
        if meter.isEventStream || !isJSON && (self.kind == .speech || self.kind == .passThrough) { self.startLarge() }
    }

    /// A whole answer, status 2xx.
    func answerUnits(_ meter: CallMeter) {
        self.held.withUnsafeReadableBytes { meter.feed($0) }
        self.settle(
            meter.answer.hasError ? .upstreamRefused : .finished, status: self.answerHead.status, reported: nil,
            contentBytes: 0)
        self.leavePlace()
        self.phase = .done
        self.caller.answer(held: self.held, for: self)
    }

    /// How an answer that was relayed has ended.
    func largeOutcome(_ meter: CallMeter) -> AttemptOutcome {
        guard meter.answer.hasError else { return .finished }
        return meter.isEventStream ? .upstreamCut : .upstreamRefused
    }

    /// An attempt that ended before its answer did.
    func settleUnfinishedUnits(_ outcome: AttemptOutcome, _ meter: CallMeter) {
        if case .holding = self.phase, self.held.readableBytes > 0 {
            self.held.withUnsafeReadableBytes { meter.feed($0) }
        }
        self.settle(
            outcome, status: self.firstByteAt == 0 ? 0 : self.answerHead.status, reported: nil, contentBytes: 0)
    }
}
