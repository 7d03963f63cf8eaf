import GatewayCore
import GatewayWire
import Glibc

/// What a request's target asks for.
enum Endpoint {
    case call(CallKind, Path)
    /// Anything else: the control plane's.
    case control

    /// What else the path says.
    struct Path {
        /// The model's name, still percent-encoded. Empty: the body names it.
        var model = ByteRange.empty
        var stream = CallOrigin.PathStream.unsaid
        /// `nil`: what the kind of call says.
        var format: WireFormat?
        var isInvoke = false
        /// Of a request for embeddings. `nil`: OpenAI's, or the call is another.
        var embedding: EmbeddingFormat?
        /// Tokens are to be counted, not made.
        var isCounting = false
        /// Of a path that is the provider's own: the provider's name in the table. Empty: another path.
        var provider = ""
        /// What of the target stands behind that name, with the query; of a request about a response, the query.
        var rest = ByteRange.empty
        /// `nil`: no request about a response.
        var responseAction: ResponseRequest.Action?
        /// Its identifier, still percent-encoded.
        var responseID = ByteRange.empty
    }

    /// `target` is a verified origin-form within `bytes`.
    static func find(_ bytes: UnsafeRawBufferPointer, target: ByteRange) -> Endpoint {
        var end = Int(target.end)
        let start = Int(target.start)
        if start < end, let base = bytes.baseAddress,
            let query = memchr(base + start, CInt(UInt8(ascii: "?")), end - start)
        {
            end = UnsafeRawPointer(query) - base
        }
        var cursor = PathCursor(bytes: bytes, position: start, end: end)
        if cursor.skip("/openai/deployments/") || cursor.skip("/engines/") {
            return Self.deploymentEndpoint(cursor)
        }
        let whole = cursor
        _ = cursor.skip("/openai/v1/") || cursor.skip("/v1/") || cursor.skip("/")
        if let kind = cursor.kindAtEnd() ?? cursor.unitKindAtEnd() { return .call(kind, Path()) }
        if cursor.isCountAtEnd { return .call(.messages, Path(stream: .whole, isCounting: true)) }
        let native = Self.nativeEndpoint(whole, query: UnsafeRawBufferPointer(rebasing: bytes[end..<Int(target.end)]))
        guard case .control = native else { return native }
        return Self.passThrough(whole, targetEnd: Int(target.end))
    }

    /// What is called by POST, or is a provider's own path.
    /// - Parameter keepsResponses: those of `/v1/responses` can be asked for again.
    static func find(_ bytes: UnsafeRawBufferPointer, head: RequestHead, keepsResponses: Bool) -> Endpoint {
        if keepsResponses, head.method == .get || head.method == .delete,
            let path = Self.response(bytes, target: head.target, isDelete: head.method == .delete)
        {
            return .call(.responses, path)
        }
        let endpoint = Self.find(bytes, target: head.target)
        switch (head.method, endpoint) {
        case (.post, _): return endpoint
        case (.get, .call(.passThrough, _)), (.put, .call(.passThrough, _)), (.patch, .call(.passThrough, _)),
            (.delete, .call(.passThrough, _)):
            return endpoint
        case (.get, _), (.put, _), (.patch, _), (.delete, _):
            // By other methods than POST a provider's path is none of those that are served.
            return Self.passThrough(bytes, target: head.target)
        default: return .control
        }
    }

    /// `nil`: another path.
    private static func response(_ bytes: UnsafeRawBufferPointer, target: ByteRange, isDelete: Bool) -> Path? {
        let end = Int(target.end)
        var cursor = PathCursor(bytes: bytes, position: Int(target.start), end: end)
        _ = cursor.skip("/openai/v1/") || cursor.skip("/v1/") || cursor.skip("/")
        guard cursor.skip("responses/") else { return nil }
        let question = bytes[cursor.position..<end].firstIndex(of: UInt8(ascii: "?")) ?? end
        var path = Path(responseAction: isDelete ? .delete : .retrieve)
        path.rest = ByteRange(min(question + 1, end), end)
        cursor = PathCursor(bytes: bytes, position: cursor.position, end: question)
        var id = ByteRange(cursor.position, question)
        if !isDelete, let before = cursor.prefix(before: "/input_items") {
            id = before
            path.responseAction = .listInput
        }
        guard !id.isEmpty, !bytes[id].contains(UInt8(ascii: "/")) else { return nil }
        path.responseID = id
        return path
    }

    private static func passThrough(_ bytes: UnsafeRawBufferPointer, target: ByteRange) -> Endpoint {
        let cursor = PathCursor(bytes: bytes, position: Int(target.start), end: Int(target.end))
        return Self.passThrough(cursor, targetEnd: Int(target.end))
    }

    /// By LiteLLM's names of the routes.
    private static let passThroughs: [(prefix: StaticString, provider: String)] = [
        ("/anthropic/", "anthropic"), ("/azure/", "azure"), ("/azure_ai/", "azure_ai"), ("/bedrock/", "bedrock"),
        ("/cohere/", "cohere"), ("/gemini/", "gemini"), ("/groq/", "groq"), ("/mistral/", "mistral"),
        ("/openai/", "openai"), ("/openai_passthrough/", "openai"), ("/openrouter/", "openrouter"),
        ("/vertex_ai/", "vertex_ai"), ("/vertex-ai/", "vertex_ai"), ("/vllm/", "hosted_vllm"),
    ]

    private static func passThrough(_ path: PathCursor, targetEnd: Int) -> Endpoint {
        for (prefix, provider) in Self.passThroughs {
            var cursor = path
            guard cursor.skip(prefix) else { continue }
            var found = Path()
            found.provider = provider
            found.rest = ByteRange(cursor.position - 1, targetEnd)
            return .call(.passThrough, found)
        }
        return .control
    }

    /// Paths that other makers' clients call below the gateway's address.
    private static func nativeEndpoint(_ path: PathCursor, query: UnsafeRawBufferPointer) -> Endpoint {
        var cursor = path
        if cursor.skip("/anthropic/v1/") {
            if cursor.isCountAtEnd { return .call(.messages, Path(stream: .whole, isCounting: true)) }
            return cursor.kindAtEnd() == .messages ? .call(.messages, Path()) : .control
        }
        if path.isAll("/v2/chat") { return .call(.chatCompletion, Path(format: .cohere)) }
        if path.isAll("/v2/embed") { return .call(.embedding, Path(format: .cohere, embedding: .cohere)) }
        if path.isAll("/api/chat") { return .call(.chatCompletion, Path(format: .ollama)) }
        cursor = path
        _ = cursor.skip("/bedrock")
        if cursor.skip("/model/") {
            if let model = cursor.prefix(before: "/converse") {
                return .call(.converse, Path(model: model, stream: .whole))
            }
            if let model = cursor.prefix(before: "/converse-stream") {
                return .call(.converse, Path(model: model, stream: .events))
            }
            // Of the models that are called so, Claude has a format that others are translated into.
            if let model = cursor.prefix(before: "/invoke") {
                return .call(.messages, Path(model: model, stream: .whole, isInvoke: true))
            }
            if let model = cursor.prefix(before: "/invoke-with-response-stream") {
                return .call(.messages, Path(model: model, stream: .events, isInvoke: true))
            }
            return .control
        }
        cursor = path
        let isBelow = cursor.skip("/gemini")
        guard
            cursor.skip("/v1beta/") || cursor.skip("/v1/") || cursor.skip("/v1alpha/") || cursor.skip("/v1beta1/")
                || cursor.skip("/")
        else { return .control }
        _ = cursor.skip("publishers/google/")
        guard cursor.skip("models/") else { return .control }
        if let model = cursor.prefix(before: ":generateContent") {
            return .call(.generateContent, Path(model: model, stream: .whole))
        }
        if let model = cursor.prefix(before: ":countTokens") {
            return .call(.generateContent, Path(model: model, stream: .whole, isCounting: true))
        }
        // Below the provider's name they pass through.
        if !isBelow, let model = cursor.prefix(before: ":embedContent") {
            return .call(.embedding, Path(model: model, stream: .whole, format: .gemini, embedding: .gemini))
        }
        if !isBelow, let model = cursor.prefix(before: ":batchEmbedContents") {
            return .call(.embedding, Path(model: model, stream: .whole, format: .gemini, embedding: .geminiBatch))
        }
        guard let model = cursor.prefix(before: ":streamGenerateContent") else { return .control }
        let fields = query.dropFirst().split(separator: UInt8(ascii: "&"))
        let isEvents = fields.contains { $0.elementsEqual("alt=sse".utf8) }
        return .call(.generateContent, Path(model: model, stream: isEvents ? .events : .array))
    }

    private static let deploymentKinds: [CallKind] = [
        .chatCompletion, .completion, .embedding, .imageGeneration, .imageEdit, .imageVariation, .speech,
        .transcription, .translation,
    ]

    /// The model's name may hold slashes, so the kind is looked for at the end.
    private static func deploymentEndpoint(_ cursor: PathCursor) -> Endpoint {
        for kind in Self.deploymentKinds {
            if let model = cursor.prefix(before: kind.path) { return .call(kind, Path(model: model)) }
        }
        return .control
    }
}

private struct PathCursor {
    let bytes: UnsafeRawBufferPointer
    var position: Int
    let end: Int

    @inline(__always)
    mutating func skip(_ text: StaticString) -> Bool {
        guard self.rest(from: self.position, starts: text) else { return false }
        self.position += text.utf8CodeUnitCount
        return true
    }

    @inline(__always)
    private func rest(from start: Int, starts text: StaticString) -> Bool {
        let count = text.utf8CodeUnitCount
        guard self.end - start >= count else { return false }
        return sameBytes(
            UnsafeRawBufferPointer(rebasing: self.bytes[start..<start + count]),
            UnsafeRawBufferPointer(start: text.utf8Start, count: count))
    }

    func isAll(_ text: StaticString) -> Bool {
        self.end - self.position == text.utf8CodeUnitCount && self.rest(from: self.position, starts: text)
    }

    func kindAtEnd() -> CallKind? {
        switch self.end - self.position {
        case 16: self.rest(from: self.position, starts: "chat/completions") ? .chatCompletion : nil
        case 11: self.rest(from: self.position, starts: "completions") ? .completion : nil
        case 10: self.rest(from: self.position, starts: "embeddings") ? .embedding : nil
        case 8: self.rest(from: self.position, starts: "messages") ? .messages : nil
        case 9: self.rest(from: self.position, starts: "responses") ? .responses : nil
        default: nil
        }
    }

    /// Calls that are no conversations; rerank is the only one with a second version.
    func unitKindAtEnd() -> CallKind? {
        switch self.end - self.position {
        case 6: self.rest(from: self.position, starts: "rerank") ? .rerank : nil
        case 9: self.rest(from: self.position, starts: "v2/rerank") ? .rerank : nil
        case 11: self.rest(from: self.position, starts: "moderations") ? .moderation : nil
        case 12:
            self.rest(from: self.position, starts: "audio/speech")
                ? .speech : self.rest(from: self.position, starts: "images/edits") ? .imageEdit : nil
        case 17: self.rest(from: self.position, starts: "images/variations") ? .imageVariation : nil
        case 18:
            self.rest(from: self.position, starts: "images/generations")
                ? .imageGeneration : self.rest(from: self.position, starts: "audio/translations") ? .translation : nil
        case 20: self.rest(from: self.position, starts: "audio/transcriptions") ? .transcription : nil
        default: nil
        }
    }

    /// Anthropic's path for counting.
    var isCountAtEnd: Bool {
        self.end - self.position == 21 && self.rest(from: self.position, starts: "messages/count_tokens")
    }

    /// What stands before `suffix` at the end of the path. `nil`: the path ends otherwise, or nothing stands there.
    func prefix(before suffix: String) -> ByteRange? {
        let count = suffix.utf8.count
        guard self.end - self.position > count else { return nil }
        let tail = UnsafeRawBufferPointer(rebasing: self.bytes[self.end - count..<self.end])
        return tail.elementsEqual(suffix.utf8) ? ByteRange(self.position, self.end - count) : nil
    }
}

/// Decodes `%XX`. `nil`: a malformed escape, or not UTF-8.
func percentDecoded(_ bytes: UnsafeRawBufferPointer) -> String? {
    var result: [UInt8] = []
    result.reserveCapacity(bytes.count)
    var index = 0
    while index < bytes.count {
        guard bytes[index] == UInt8(ascii: "%") else {
            result.append(bytes[index])
            index += 1
            continue
        }
        guard index + 2 < bytes.count, let high = hexValue(bytes[index + 1]), let low = hexValue(bytes[index + 2])
        else { return nil }
        result.append(high << 4 | low)
        index += 3
    }
    return String(validating: result, as: UTF8.self)
}

/// Whether both hold the same bytes.
@inline(__always)
func sameBytes(_ first: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer) -> Bool {
    guard first.count == second.count else { return false }
    guard let left = first.baseAddress, let right = second.baseAddress, first.count > 0 else { return true }
    return memcmp(left, right, first.count) == 0
}
