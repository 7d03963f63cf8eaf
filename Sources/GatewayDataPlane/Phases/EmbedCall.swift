import GatewayCore
import GatewayTranslation
import GatewayWire
import NIOCore

/// What an attempt needs that asks for embeddings otherwise than in OpenAI's shape from end to end.
final class EmbeddingCall {
    let source: EmbeddingFormat
    let target: EmbeddingFormat
    let options: TranslationOptions
    /// The translated request. `nil`: the caller's own goes to the provider.
    let body: ByteBuffer?
    let memory: EmbeddingMemory

    init(
        source: EmbeddingFormat, target: EmbeddingFormat, options: TranslationOptions, body: ByteBuffer?,
        memory: EmbeddingMemory
    ) {
        self.source = source
        self.target = target
        self.options = options
        self.body = body
        self.memory = memory
    }

    var isStraight: Bool { self.body == nil }
}

/// Phases 4 and 6 of requests for embeddings in the shapes of Gemini and Cohere, or to providers that have no other.
extension Call {
    /// Prepares the attempt's request for the shape of `target`.
    /// - Returns: `false`: it cannot be expressed there, and the call has gone on or been refused.
    func prepareEmbedding(at target: Target) -> Bool {
        self.embedding = nil
        let deployment = target.deployment
        if deployment.embedsPlainly, self.origin?.embedding == nil { return true }
        let source = self.origin?.embedding ?? .openAI
        let configuration = deployment.configuration
        guard let format = deployment.provider.embeddingFormat(of: source, model: configuration.model) else {
            self.refuseUntranslatable(
                TranslationError(
                    .unsupported, "This model makes no embeddings that can be asked for here.", param: "model"))
            return false
        }
        var options = TranslationOptions()
        options.model = configuration.model
        options.dropsUnsupported = configuration.dropsUnsupported
        options.seed = self.loop.random.next()
        guard source != format else {
            self.embedding = EmbeddingCall(
                source: source, target: format, options: options, body: nil, memory: EmbeddingMemory())
            return true
        }
        do throws(TranslationError) {
            let request = try self.body.withUnsafeReadableBytes { bytes throws(TranslationError) in
                try EmbeddingTranslator.request(bytes, from: source, to: format, options: options)
            }
            self.embedding = EmbeddingCall(
                source: source, target: format, options: options, body: ByteBuffer(bytes: request.body),
                memory: request.memory)
            return true
        } catch {
            self.refuseUntranslatable(error)
            return false
        }
    }

    /// The request as it goes to the provider.
    func embeddingParts(_ embedding: EmbeddingCall, to target: Target) -> EncodeRequest.Parts {
        let deployment = target.deployment
        let configuration = deployment.configuration
        let body = embedding.body ?? self.body
        var head = Deployment.headStart(
            path: deployment.provider.embeddingPath(embedding.target, model: configuration.model), configuration)
        let edits = embedding.isStraight ? self.embeddingEdits(embedding, of: deployment) : []
        if let signer = deployment.signer {
            let date = self.loop.wallTime(atNanoseconds: self.attemptStartedAt).rawValue / 1_000_000
            let lines = body.withUnsafeReadableBytes { signer.lines(head: head, body: $0, date: date) }
            head += lines
        } else {
            head += deployment.bearerLine
        }
        head += Array("content-length: ".utf8)
        return EncodeRequest.parts(head: head, body: body, edits: edits, loop: self.loop)
    }

    /// The model's name, where the body has it. Gemini's is that of the path, with what kind of thing it names.
    private func embeddingEdits(_ embedding: EmbeddingCall, of deployment: Deployment) -> [EncodeRequest.Edit] {
        guard embedding.target == .gemini || embedding.target == .geminiBatch else {
            return EncodeRequest.edits(for: deployment, scan: self.scan, body: self.body, asksForUsage: false)
        }
        let model = deployment.configuration.model
        let name = Array(jsonQuoted(model.contains("/") ? model : "models/" + model).utf8)
        return self.body.withUnsafeReadableBytes { bytes in
            let tree = JSONTree()
            return withExtendedLifetime(tree) {
                guard let root = try? tree.read(bytes), let start = bytes.baseAddress else { return [] }
                let requests = (root["requests"]?.elements ?? root.elements).map { $0 }
                let objects = embedding.target == .gemini ? [root] : requests
                return objects.compactMap { object in
                    guard let model = object["model"], let place = model.source.bytes.baseAddress else { return nil }
                    let offset = place - start
                    return EncodeRequest.Edit(range: offset..<offset + model.source.count, text: name)
                }
            }
        }
    }

    /// A whole answer, status 2xx.
    func answerEmbedding(_ embedding: EmbeddingCall) {
        let status = self.answerHead.status
        var body = self.held
        var tokens: Int64?
        if embedding.isStraight {
            tokens = self.held.withUnsafeReadableBytes {
                EmbeddingTranslator.inputTokens($0, of: embedding.target)
            }
        } else {
            do throws(TranslationError) {
                let inHeader = embedding.target == .bedrockCohere ? self.bedrockInputTokens : nil
                let answer = try self.held.withUnsafeReadableBytes { bytes throws(TranslationError) in
                    try EmbeddingTranslator.answer(
                        bytes, from: embedding.target, to: embedding.source, options: embedding.options,
                        memory: embedding.memory, inputTokens: inHeader)
                }
                body = ByteBuffer(bytes: answer.body)
                tokens = answer.inputTokens
            } catch {
                return self.untranslatable(error)
            }
        }
        let reported = tokens.map { count in
            var usage = ReportedUsage()
            usage.promptTokens = count
            usage.completionTokens = 0
            return usage
        }
        self.settle(.finished, status: status, reported: reported, contentBytes: 0)
        self.leavePlace()
        self.phase = .done
        self.caller.answer(held: body, for: self)
    }

    /// Where models on Bedrock count whose answers do not. `nil`: they have not.
    private var bedrockInputTokens: Int64? {
        self.answerHeadBytes.withUnsafeReadableBytes { bytes in
            var headers = HeaderIterator(bytes, headBytes: self.answerHead.headBytes)
            while let (name, value) = headers.next() {
                guard HeaderName.equals(bytes, name, "x-amzn-bedrock-input-token-count") else { continue }
                return Int64(String(decoding: bytes[value], as: UTF8.self)).flatMap { $0 >= 0 ? $0 : nil }
            }
            return nil
        }
    }
}
