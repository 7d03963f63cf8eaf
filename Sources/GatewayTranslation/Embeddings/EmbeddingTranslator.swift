import GatewayWire

/// What the translation of a request for embeddings leaves for that of its answer.
package struct EmbeddingMemory: Hashable, Sendable {
    /// Vectors are wanted as base64.
    var isBase64 = false
    /// The texts as a JSON list, which Cohere's answers repeat.
    var texts: [UInt8] = []

    package init() {}
}

/// An answer with embeddings in the caller's format.
package struct TranslatedEmbeddings: Hashable, Sendable {
    package var body: [UInt8]
    /// `nil`: not reported.
    package var inputTokens: Int64?
}

/// Translates requests for embeddings and their answers. Pure: bytes in, bytes out.
package enum EmbeddingTranslator {
    /// - Parameter body: one JSON object in the format `source`, which a caller speaks.
    /// - Throws: `.invalidRequest`: malformed; `.unsupported`: the target cannot express it.
    package static func request(
        _ body: UnsafeRawBufferPointer, from source: EmbeddingFormat, to target: EmbeddingFormat,
        options: TranslationOptions
    ) throws(TranslationError) -> (body: [UInt8], memory: EmbeddingMemory) {
        let tree = JSONTree()
        defer { withExtendedLifetime(tree) {} }
        let root = try self.object(body, tree)
        let request = try EmbeddingRequestDecoder(format: source).decode(root)
        var memory = EmbeddingMemory()
        memory.isBase64 = request.isBase64
        if source == .cohere {
            var writer = JSONWriter()
            writer.beginArray()
            for text in request.texts { writer.string(text) }
            writer.endArray()
            memory.texts = writer.bytes
        }
        var encoder = EmbeddingRequestEncoder(format: target, options: options)
        return (try encoder.encode(request), memory)
    }

    private static func object(
        _ body: UnsafeRawBufferPointer, _ tree: JSONTree
    ) throws(TranslationError) -> JSONValue {
        do throws(JSONFault) {
            let root = try tree.read(body)
            guard root.kind == .object else { throw .notAnObject }
            return root
        } catch {
            throw .json(error)
        }
    }

    /// - Parameter inputTokens: as a header of the answer says, where the format has it there. `nil`: none did.
    /// - Throws: `.invalidAnswer`.
    package static func answer(
        _ body: UnsafeRawBufferPointer, from source: EmbeddingFormat, to target: EmbeddingFormat,
        options: TranslationOptions, memory: EmbeddingMemory, inputTokens: Int64?
    ) throws(TranslationError) -> TranslatedEmbeddings {
        let tree = JSONTree()
        defer { withExtendedLifetime(tree) {} }
        guard let root = try? tree.read(body), root.kind == .object else {
            throw .answer("The provider's answer is no JSON object.")
        }
        guard let vectors = self.vectors(root, source), !vectors.isEmpty, vectors.allSatisfy({ $0.kind == .array })
        else { throw .answer("The provider's answer has no embeddings.") }
        let tokens = self.tokens(root, source) ?? inputTokens
        var writer = EmbeddingAnswerWriter(options: options, memory: memory)
        return TranslatedEmbeddings(body: writer.write(vectors, tokens: tokens, as: target), inputTokens: tokens)
    }

    /// What an answer in `format` says of the tokens it read. `nil`: nothing.
    package static func inputTokens(_ body: UnsafeRawBufferPointer, of format: EmbeddingFormat) -> Int64? {
        let tree = JSONTree()
        return withExtendedLifetime(tree) { (try? tree.read(body)).flatMap { self.tokens($0, format) } }
    }

    /// The vectors in the order of the texts. `nil`: none are there.
    private static func vectors(_ root: JSONValue, _ format: EmbeddingFormat) -> [JSONValue]? {
        switch format {
        case .openAI:
            guard let data = root["data"]?.elements.map({ $0 }) else { return nil }
            let sorted = data.sorted { ($0["index"]?.count ?? 0) < ($1["index"]?.count ?? 0) }
            let vectors = sorted.compactMap { $0["embedding"] }
            return vectors.count == data.count ? vectors : nil
        case .gemini: return root["embedding"]?["values"].map { [$0] }
        case .geminiBatch: return root["embeddings"]?.elements.compactMap { $0["values"] }
        case .vertex: return root["predictions"]?.elements.compactMap { $0["embeddings"]?["values"] }
        case .titan: return root["embedding"].map { [$0] }
        case .cohere, .bedrockCohere:
            let embeddings = root["embeddings"]
            return (embeddings?["float"] ?? embeddings)?.elements.map { $0 }
        }
    }

    private static func tokens(_ root: JSONValue, _ format: EmbeddingFormat) -> Int64? {
        switch format {
        case .openAI: return root["usage"]?["prompt_tokens"]?.count ?? root["usage"]?["total_tokens"]?.count
        case .gemini, .geminiBatch: return root["usageMetadata"]?["promptTokenCount"]?.count
        case .vertex:
            var sum: Int64?
            for prediction in root["predictions"]?.elements ?? root.elements {
                // Google writes it with a point at times.
                guard let count = prediction["embeddings"]?["statistics"]?["token_count"]?.double, count >= 0,
                    count < 9e15
                else { continue }
                sum = min((sum ?? 0) + Int64(count), 1 << 53)
            }
            return sum
        case .titan: return root["inputTextTokenCount"]?.count
        case .cohere, .bedrockCohere: return root["meta"]?["billed_units"]?["input_tokens"]?.count
        }
    }
}

/// Writes vectors in a caller's format.
private struct EmbeddingAnswerWriter {
    let options: TranslationOptions
    let memory: EmbeddingMemory
    private var writer = JSONWriter()

    init(options: TranslationOptions, memory: EmbeddingMemory) {
        self.options = options
        self.memory = memory
    }

    mutating func write(_ vectors: [JSONValue], tokens: Int64?, as format: EmbeddingFormat) -> [UInt8] {
        self.writer.beginObject()
        switch format {
        case .gemini:
            self.writer.key("embedding")
            self.writeValues(vectors[0])
            self.writeGeminiUsage(tokens)
        case .geminiBatch:
            self.writer.key("embeddings")
            self.writer.beginArray()
            for vector in vectors { self.writeValues(vector) }
            self.writer.endArray()
            self.writeGeminiUsage(tokens)
        case .cohere, .bedrockCohere: self.writeCohere(vectors, tokens: tokens)
        case .openAI, .vertex, .titan: self.writeOpenAI(vectors, tokens: tokens)
        }
        self.writer.endObject()
        return self.writer.bytes
    }

    private mutating func writeValues(_ vector: JSONValue) {
        self.writer.beginObject()
        self.writer.member("values", raw: vector.source)
        self.writer.endObject()
    }

    private mutating func writeGeminiUsage(_ tokens: Int64?) {
        guard let tokens else { return }
        self.writer.key("usageMetadata")
        self.writer.beginObject()
        self.writer.member("promptTokenCount", count: tokens)
        self.writer.endObject()
    }

    private mutating func writeVector(_ vector: JSONValue) {
        guard self.memory.isBase64 else { return self.writer.raw(vector.source) }
        var bytes: [UInt8] = []
        for number in vector.elements {
            let bits = Float(number.double ?? 0).bitPattern.littleEndian
            withUnsafeBytes(of: bits) { bytes += $0 }
        }
        var text: [UInt8] = []
        Base64.append(bytes[...], to: &text)
        self.writer.string(escaping: String(decoding: text, as: UTF8.self))
    }

    private mutating func writeOpenAI(_ vectors: [JSONValue], tokens: Int64?) {
        self.writer.member("object", "list")
        self.writer.key("data")
        self.writer.beginArray()
        for (index, vector) in vectors.enumerated() {
            self.writer.beginObject()
            self.writer.member("object", "embedding")
            self.writer.member("index", count: Int64(index))
            self.writer.key("embedding")
            self.writeVector(vector)
            self.writer.endObject()
        }
        self.writer.endArray()
        self.writer.key("model")
        self.writer.string(escaping: self.options.model ?? "")
        self.writer.key("usage")
        self.writer.beginObject()
        self.writer.member("prompt_tokens", count: tokens ?? 0)
        self.writer.member("total_tokens", count: tokens ?? 0)
        self.writer.endObject()
    }

    private mutating func writeCohere(_ vectors: [JSONValue], tokens: Int64?) {
        self.writer.key("id")
        self.writer.string(escaping: "emb-" + String(self.options.seed, radix: 16))
        self.writer.key("embeddings")
        self.writer.beginObject()
        self.writer.key(self.memory.isBase64 ? "base64" : "float")
        self.writer.beginArray()
        for vector in vectors { self.writeVector(vector) }
        self.writer.endArray()
        self.writer.endObject()
        if !self.memory.texts.isEmpty {
            self.writer.key("texts")
            self.writer.bytes += self.memory.texts
        }
        self.writer.key("meta")
        self.writer.beginObject()
        self.writer.member("api_version", raw: JSONSlice("{\"version\":\"2\"}"))
        if let tokens {
            self.writer.key("billed_units")
            self.writer.beginObject()
            self.writer.member("input_tokens", count: tokens)
            self.writer.endObject()
        }
        self.writer.endObject()
        self.writer.member("response_type", "embeddings_by_type")
    }
}
