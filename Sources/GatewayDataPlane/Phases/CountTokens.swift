import GatewayCore
import GatewayTranslation
import GatewayWire
import NIOCore

/// Calls that ask how many tokens a request has: they pass key, models and limits like all others, cost nothing, and
/// leave no row, because nothing is used. Providers of the caller's format count themselves; for the others the gateway
/// tells what it would expect, and says so in a header.
extension Call {
    var isCounting: Bool {
        guard let origin = self.origin else { return false }
        return origin.isCounting || origin.response != nil
    }

    /// Prepares counting at `target`.
    /// - Returns: `false`: its provider cannot, and the call has been answered.
    func prepareCount(at target: Target) -> Bool {
        if self.origin?.response != nil { return true }
        guard let source = self.kind.wireFormat else { return true }
        let formats = target.deployment.formats
        let isUpstream =
            self.scan.mockResponse.isEmpty && target.deployment.configuration.answer == nil && formats.counts(source)
        guard isUpstream else {
            self.answerEstimate(source, target: target)
            return false
        }
        self.translation = CallTranslation(
            source: source, target: source, isStraight: true, sourceFraming: source.framing,
            options: TranslationOptions())
        return true
    }

    /// The provider has counted, or told of a response.
    func answerCount() {
        self.noteResponseDeleted()
        self.leavePlace()
        self.phase = .done
        self.caller.answer(held: self.held, for: self)
    }

    /// What is to be replaced in the body of a count.
    func countEdits(of deployment: Deployment) -> [EncodeRequest.Edit] {
        guard self.kind == .generateContent else {
            var edits = EncodeRequest.edits(for: deployment, scan: self.scan, body: self.body, asksForUsage: false)
            if let version = deployment.provider.anthropicVersionInBody {
                let end = self.scan.objectEnd
                let text = ",\"anthropic_version\":\(jsonQuoted(version))"
                edits.append(EncodeRequest.Edit(range: end..<end, text: Array(text.utf8)))
            }
            return edits
        }
        // Google's own requests within the request name the model once more.
        let range = self.body.withUnsafeReadableBytes { bytes -> Range<Int>? in
            let tree = JSONTree()
            return withExtendedLifetime(tree) {
                guard let root = try? tree.read(bytes), let start = bytes.baseAddress,
                    let model = (root["generateContentRequest"] ?? root["generate_content_request"])?["model"],
                    model.text != nil
                else { return nil }
                let offset = UnsafeRawPointer(model.source.bytes.baseAddress ?? start) - start
                return offset..<offset + model.source.count
            }
        }
        guard let range else { return [] }
        let name = jsonQuoted("models/\(deployment.configuration.model)")
        return [EncodeRequest.Edit(range: range, text: Array(name.utf8))]
    }

    // MARK: Estimates

    /// From the bytes of its text, by what calls of this deployment were counted before.
    private func answerEstimate(_ format: WireFormat, target: Target) {
        if self.body.withUnsafeReadableBytes({ TokenEstimate.hasMedia($0) }) {
            return self.refuse(
                GatewayError(
                    status: 400, type: "invalid_request_error", param: "model", origin: .caller,
                    message: "\(target.deployment.provider.name) does not count tokens, and those of images, documents "
                        + "and other media cannot be estimated from their bytes. Leave them out, or use a model whose "
                        + "provider counts."))
        }
        let tokens = max(1, target.figures.inputTokens(bytes: self.scan.inputTextBytes))
        self.answerHead = ResponseHead()
        self.answerHead.status = 200
        self.answerHeadBytes = ByteBuffer()
        self.rateLines += Array("x-martlet-token-count: estimated\r\n".utf8)
        self.leavePlace()
        self.phase = .done
        let member = format == .gemini ? "totalTokens" : "input_tokens"
        self.caller.answer(held: ByteBuffer(string: "{\"\(member)\":\(tokens)}"), for: self)
    }
}

/// What can be said of a request's tokens without its provider.
enum TokenEstimate {
    /// Whether the request has parts whose tokens have nothing to do with their bytes, in the formats of Anthropic and
    /// Gemini.
    static func hasMedia(_ body: UnsafeRawBufferPointer) -> Bool {
        let tree = JSONTree()
        return withExtendedLifetime(tree) {
            guard let root = try? tree.read(body) else { return false }
            return self.hasMedia(root, depth: 0)
        }
    }

    /// Deeper than parts of results of tools within messages.
    private static let depthMax = 12

    private static func hasMedia(_ value: JSONValue, depth: Int) -> Bool {
        guard depth < self.depthMax else { return false }
        if value.kind == .array {
            for element in value.elements where self.hasMedia(element, depth: depth + 1) { return true }
        }
        guard value.kind == .object else { return false }
        if let type = value["type"]?.text, type == "image" || type == "document", value["source"] != nil { return true }
        for member in value.members {
            let isMedia =
                member.isKey("inlineData") || member.isKey("inline_data") || member.isKey("fileData")
                || member.isKey("file_data")
            if isMedia, member.value.kind == .object { return true }
            if self.hasMedia(member.value, depth: depth + 1) { return true }
        }
        return false
    }
}
