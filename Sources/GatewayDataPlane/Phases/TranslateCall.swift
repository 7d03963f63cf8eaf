import GatewayCore
import GatewayLedger
import GatewayRouting
import GatewayTranslation
import GatewayWire
import NIOCore

/// Phase 4 where caller and deployment speak different formats, or one other than OpenAI's chat: each attempt is
/// translated anew, since the next deployment may speak yet another.
extension Call {
    /// Prepares the attempt's request for the format of `target`.
    /// - Returns: `false`: it cannot be expressed there, and the call has gone on or been refused.
    func translateRequest(for target: Target) -> Bool {
        guard let source = self.format else { return true }
        let format = target.deployment.formats.target(of: source)
        let framing = self.callerFraming(source)
        let isInvoke = target.deployment.provider.pathStyle == .bedrockInvoke
        let upstreamFraming: StreamFraming = isInvoke ? .awsEventStream : format.framing
        let isReframed = self.scan.stream && framing != upstreamFraming
        let isSame = source == format && (isInvoke || self.origin?.isInvoke != true)
        let translation = CallTranslation(
            source: source, target: format, isStraight: isSame && !isReframed, sourceFraming: framing,
            upstreamFraming: upstreamFraming,
            options: self.translationOptions(for: target, format: format))
        self.translation = translation
        if isSame {
            if isInvoke { translation.body = self.invokeBody(for: target) }
            return true
        }
        do throws(TranslationError) {
            try self.checkStored(target: format)
            let request = try self.body.withUnsafeReadableBytes { bytes throws(TranslationError) in
                try RequestTranslator.translate(bytes, from: source, to: format, options: translation.options)
            }
            translation.memory = request.memory
            translation.body = ByteBuffer(bytes: request.body)
            return true
        } catch {
            self.translation = nil
            self.refuseUntranslatable(error)
            return false
        }
    }

    private func callerFraming(_ format: WireFormat) -> StreamFraming {
        guard let origin = self.origin else { return format.framing }
        if origin.isInvoke { return .awsEventStream }
        return origin.stream == .array ? .jsonArray : format.framing
    }

    /// Where one deployment cannot express the request another may; a malformed one is malformed for all.
    func refuseUntranslatable(_ error: TranslationError) {
        guard error.kind == .unsupported else { return self.refuse(error.gatewayError) }
        self.leavePlace()
        self.gotNoPlace(error.gatewayError)
    }

    /// What a provider of Responses keeps is nothing that another could be told.
    private func checkStored(target: WireFormat) throws(TranslationError) {
        guard self.kind == .responses else { return }
        let facts = self.body.withUnsafeReadableBytes { bytes in
            try? FormatFacts.read(bytes, kind: self.kind, format: self.format)
        }
        guard let member = facts?.storedMember else { return }
        throw TranslationError(
            .unsupported,
            "'\(member)' refers to what is stored at the provider, and this model's provider stores nothing. Send the "
                + "whole conversation in 'input'.", param: member)
    }

    /// Anthropic's format as Bedrock's `/invoke` wants it: the path names the model and says whether the answer is a
    /// stream, the body the version, and the betas that a header names elsewhere. All else is as the caller wrote it.
    private func invokeBody(for target: Target) -> ByteBuffer? {
        let version = target.deployment.provider.anthropicVersionInBody ?? ""
        let betas = target.deployment.configuration.dropsUnsupported ? [] : self.origin?.betas ?? []
        return self.body.withUnsafeReadableBytes { bytes in
            let tree = JSONTree()
            return withExtendedLifetime(tree) {
                guard let root = try? tree.read(bytes) else { return nil }
                var writer = JSONWriter()
                writer.beginObject()
                writer.key("anthropic_version")
                writer.string(escaping: version)
                var namesBetas = false
                for member in root.members {
                    if member.isKey("model") || member.isKey("stream") || member.isKey("anthropic_version") { continue }
                    if member.isKey("anthropic_beta") { namesBetas = true }
                    writer.key(member.key)
                    writer.append(member.value.source)
                }
                if !namesBetas, !betas.isEmpty {
                    writer.key("anthropic_beta")
                    writer.beginArray()
                    for beta in betas { writer.string(escaping: beta) }
                    writer.endArray()
                }
                writer.endObject()
                return ByteBuffer(bytes: writer.bytes)
            }
        }
    }

    private func translationOptions(for target: Target, format: WireFormat) -> TranslationOptions {
        let deployment = target.deployment
        let configuration = deployment.configuration
        var options = TranslationOptions()
        options.dropsUnsupported = configuration.dropsUnsupported
        options.model = configuration.model
        // These say nothing of the model in their answers.
        if format == .bedrock || format == .cohere { options.answerModel = configuration.model }
        options.outputTokensMax = deployment.price?.maxOutputTokens
        options.quirks = CompatibilityQuirks.named(deployment.provider.name)
        if configuration.streamUsage != .onRequest { options.quirks.takesStreamOptions = false }
        options.anthropicVersionInBody = deployment.provider.anthropicVersionInBody
        options.traits = ModelTraits(format: format, model: configuration.model)
        options.now = self.loop.wallTime(atNanoseconds: self.receivedAt).rawValue / 1_000_000
        options.seed = self.loop.random.next()
        options.isStream = self.scan.stream
        options.includesUsage = self.scan.includeUsage
        options.eventBytesMax = Self.eventBytesMax
        if self.responses != nil { options.storedResponse = self.responseMark(for: format) }
        return options
    }

    /// The request as it goes to the provider.
    func translatedParts(_ translation: CallTranslation, to target: Target) -> EncodeRequest.Parts {
        // Of what Bedrock reads, the body says it.
        let isInvoke = target.deployment.provider.pathStyle == .bedrockInvoke
        let isCarried = translation.source == translation.target && !isInvoke
        let carried = isCarried ? self.origin?.carriedLines ?? [] : []
        let body = translation.body.take()
        let edits = self.translatedEdits(translation, body: body, of: target.deployment)
        let head = target.deployment.formats.head(
            of: translation.target, isStream: self.scan.stream, isCounting: self.isCounting, carried: carried
        ) { head in
            if target.deployment.credentials != nil, target.deployment.signer == nil {
                return target.deployment.bearerLine
            }
            // Only what goes to Bedrock is signed, whose body has no model to be replaced.
            guard let signer = target.deployment.signer, edits.isEmpty else { return [] }
            let date = self.loop.wallTime(atNanoseconds: self.attemptStartedAt).rawValue / 1_000_000
            return (body ?? self.body).withUnsafeReadableBytes { signer.lines(head: head, body: $0, date: date) }
        }
        return EncodeRequest.parts(head: head, body: body ?? self.body, edits: edits, loop: self.loop)
    }

    /// What is to be replaced in the body: the model's name where it is the caller's own, or all that names the model
    /// where the path does.
    private func translatedEdits(
        _ translation: CallTranslation, body: ByteBuffer?, of deployment: Deployment
    ) -> [EncodeRequest.Edit] {
        if self.isCounting { return self.countEdits(of: deployment) }
        if body != nil || translation.target.hasModelInPath { return [] }
        let token = self.scan.modelToken
        guard let version = deployment.provider.anthropicVersionInBody, !token.isEmpty else {
            return EncodeRequest.edits(for: deployment, scan: self.scan, body: self.body, asksForUsage: false)
        }
        let member = self.body.withUnsafeReadableBytes { Self.memberStart(of: token, in: $0) }
        let text = "\"anthropic_version\":\(jsonQuoted(version))"
        return [EncodeRequest.Edit(range: member..<Int(token.end), text: Array(text.utf8))]
    }

    /// Where the member of an object begins whose value is `value`: its name holds no quote.
    private static func memberStart(of value: ByteRange, in bytes: UnsafeRawBufferPointer) -> Int {
        let quote = UInt8(ascii: "\"")
        guard let end = bytes[..<Int(value.start)].lastIndex(of: quote) else { return Int(value.start) }
        return bytes[..<end].lastIndex(of: quote) ?? Int(value.start)
    }

    // MARK: Answers

    /// Whether the answer with this head is a stream in the format of the provider.
    func isTranslatedStream(_ head: ResponseHead, bytes: ByteBuffer, _ translation: CallTranslation) -> Bool {
        guard self.scan.stream else { return false }
        let framing = translation.upstreamFraming ?? translation.target.framing
        if framing == .serverSentEvents { return head.isEventStream }
        if framing == .jsonArray { return true }
        return bytes.withUnsafeReadableBytes { !HeaderName.hasPrefix($0, head.contentType, "application/json") }
    }

    /// A whole answer of the provider, status 2xx.
    func answerTranslated(_ translation: CallTranslation) {
        let status = self.answerHead.status
        var body = self.held
        var answer: TranslatedAnswer?
        let reported: ReportedUsage? =
            translation.target == .openAIChat
            ? self.held.withUnsafeReadableBytes { JSONScanner.scanAnswer($0) }.usage : nil
        do throws(TranslationError) {
            switch try translation.translate(self.held) {
            case .failure(let failure): return self.refusedWithin(failure)
            case .answer(let translated):
                answer = translated
                if !translation.isStraight { body = ByteBuffer(bytes: translated.body) }
            }
        } catch {
            // A straight answer is passed on whatever it is; its usage is not known then.
            guard translation.isStraight else { return self.untranslatable(error) }
        }
        self.settle(.finished, status: status, reported: reported, contentBytes: 0)
        self.leavePlace()
        if self.keepAnswer(body, answer, translation) { return }
        self.phase = .done
        self.caller.answer(held: body, for: self)
    }

    /// The provider reports a failure inside a 200.
    private func refusedWithin(_ failure: ProviderFailure) {
        self.answerHead.status = failure.status
        self.answerRefused(status: failure.status, failure: failure)
    }

    func untranslatable(_ error: TranslationError) {
        self.held = ByteBuffer()
        self.settle(.responseInvalid, status: self.answerHead.status, reported: nil, contentBytes: 0)
        self.attemptFailed(
            .responseInvalid, status: self.answerHead.status, retryAfter: nil, error: error.gatewayError)
    }

    /// The provider's error in the caller's format.
    func answerTranslatedError(_ error: GatewayError) {
        let failure = self.readFailure()
        guard failure.kind != .authentication else {
            return self.caller.answer(.credentialsRefused, for: self)
        }
        // What is no error, such as a redirect, would mean something else to the caller.
        self.answerHead.status = failure.status >= 400 ? failure.status : error.status
        if let seconds = failure.retryAfterSeconds, self.answerHead.retryAfter.isEmpty {
            self.rateLines += Array("retry-after: \(seconds)\r\n".utf8)
        }
        if self.errorFormat == .bedrock { self.rateLines += failure.bedrockErrorLine }
        let body = AnswerTranslator.errorBody(failure, as: self.errorFormat)
        self.caller.answer(held: ByteBuffer(bytes: body), for: self)
    }

    /// What the held answer, which is no answer, says.
    func readFailure() -> ProviderFailure {
        let errorType = self.answerHeadBytes.withUnsafeReadableBytes { bytes -> String? in
            var headers = HeaderIterator(bytes, headBytes: self.answerHead.headBytes)
            while let (name, value) = headers.next() {
                guard HeaderName.equals(bytes, name, "x-amzn-errortype") else { continue }
                return String(decoding: bytes[value].prefix { $0 != UInt8(ascii: ":") }, as: UTF8.self)
            }
            return nil
        }
        return self.held.withUnsafeReadableBytes {
            AnswerTranslator.readFailure($0, status: self.answerHead.status, errorType: errorType)
        }
    }
}

extension GatewayError {
    /// The provider refused a credential that is ours and not the caller's.
    static let credentialsRefused = GatewayError(
        status: 401, type: "authentication_error", origin: .upstream,
        message: "The provider refused the gateway's credentials. An operator has to check the api_key of this model's "
            + "deployment.")
}
