import GatewayWire

/// What an embedding is for, where models make different ones.
enum EmbeddingPurpose: Hashable {
    case query, document, classification, clustering
    /// By the name that its own format has for it.
    case other(String)

    /// The one of any format's name, whatever its case.
    init(_ text: JSONText) {
        let name = text.string
        switch name.lowercased() {
        case "search_query", "retrieval_query", "query": self = .query
        case "search_document", "retrieval_document", "document", "passage": self = .document
        case "classification": self = .classification
        case "clustering": self = .clustering
        default: self = .other(name)
        }
    }

    /// Cohere's name. `nil`: it has none.
    var cohereName: StaticString? {
        switch self {
        case .query: "search_query"
        case .document: "search_document"
        case .classification: "classification"
        case .clustering: "clustering"
        case .other: nil
        }
    }

    /// Google's name; those that are not known here may be known there.
    var googleName: String {
        switch self {
        case .query: "RETRIEVAL_QUERY"
        case .document: "RETRIEVAL_DOCUMENT"
        case .classification: "CLASSIFICATION"
        case .clustering: "CLUSTERING"
        case .other(let name): name.uppercased()
        }
    }
}

/// A request for embeddings in no format.
struct EmbeddingRequest {
    var texts: [JSONText] = []
    /// Of each vector. `nil`: as the model has it.
    var dimensions: JSONSlice?
    var purpose: EmbeddingPurpose?
    var title: JSONText?
    /// Vectors are wanted as base64 of 32-bit floats, the least byte first.
    var isBase64 = false
    /// Members that no other format has.
    var others: [String] = []
}

/// Reads requests of the formats that callers speak.
struct EmbeddingRequestDecoder {
    let format: EmbeddingFormat

    func decode(_ root: JSONValue) throws(TranslationError) -> EmbeddingRequest {
        switch self.format {
        case .gemini: return try self.gemini(root)
        case .geminiBatch: return try self.batch(root)
        case .cohere: return try self.cohere(root)
        case .openAI, .vertex, .titan, .bedrockCohere: return try self.openAI(root)
        }
    }

    /// Members that are the gateway's business, or nobody's.
    private static let ignored: Set<String> = [
        "model", "user", "metadata", "tags", "mock_response", "timeout", "num_retries", "fallbacks", "cache",
        "priority", "custom_llm_provider", "drop_params",
    ]

    private func openAI(_ root: JSONValue) throws(TranslationError) -> EmbeddingRequest {
        var request = EmbeddingRequest()
        for member in root.members where !member.value.isNull {
            let value = member.value
            if member.isKey("input") {
                request.texts = try self.texts(value, "input")
            } else if member.isKey("dimensions") {
                request.dimensions = value.source
            } else if member.isKey("encoding_format") {
                request.isBase64 = value.text == "base64"
            } else if member.isKey("input_type") || member.isKey("task_type") {
                request.purpose = value.text.map { EmbeddingPurpose($0) }
            } else if !Self.ignored.contains(member.key.string), !member.key.slice.hasPrefix("litellm_") {
                request.others.append(member.key.string)
            }
        }
        guard !request.texts.isEmpty else { throw .request("The field 'input' is empty or missing.", param: "input") }
        return request
    }

    /// A string, or a list of them.
    private func texts(_ value: JSONValue, _ name: String) throws(TranslationError) -> [JSONText] {
        if let text = value.text { return [text] }
        var texts: [JSONText] = []
        for element in value.elements {
            guard let text = element.text else {
                throw TranslationError(
                    .unsupported,
                    "'\(name)' has something else than text in it, which this model's provider does not take: send "
                        + "strings.", param: name)
            }
            texts.append(text)
        }
        return texts
    }

    private func cohere(_ root: JSONValue) throws(TranslationError) -> EmbeddingRequest {
        var request = EmbeddingRequest()
        for member in root.members where !member.value.isNull {
            let value = member.value
            if member.isKey("texts") {
                request.texts = try self.texts(value, "texts")
            } else if member.isKey("input_type") {
                request.purpose = value.text.map { EmbeddingPurpose($0) }
            } else if member.isKey("output_dimension") {
                request.dimensions = value.source
            } else if member.isKey("embedding_types") {
                let types = value.elements.compactMap { $0.text?.string }
                guard types == ["float"] || types == ["base64"] || types.isEmpty else {
                    throw TranslationError(
                        .unsupported,
                        "This model's provider makes embeddings of one type only: send \"float\" or \"base64\".",
                        param: "embedding_types")
                }
                request.isBase64 = types == ["base64"]
            } else if member.isKey("truncate"), value.text == "END" || value.text == "NONE" {
                // What others do, one or the other.
                continue
            } else if !Self.ignored.contains(member.key.string) {
                request.others.append(member.key.string)
            }
        }
        guard !request.texts.isEmpty else { throw .request("The field 'texts' is empty or missing.", param: "texts") }
        return request
    }

    private func gemini(_ root: JSONValue) throws(TranslationError) -> EmbeddingRequest {
        var request = EmbeddingRequest()
        for member in root.members where !member.value.isNull {
            let value = member.value
            if member.isKey("content") {
                let parts = (value["parts"]?.elements ?? value.elements).map { $0 }
                guard parts.count == 1, let text = parts[0]["text"]?.text else {
                    throw TranslationError(
                        .unsupported,
                        "This model's provider embeds one text for each content: send one part with text.",
                        param: "content")
                }
                request.texts = [text]
            } else if member.isKey("taskType") || member.isKey("task_type") {
                request.purpose = value.text.map { EmbeddingPurpose($0) }
            } else if member.isKey("title") {
                request.title = value.text
            } else if member.isKey("outputDimensionality") || member.isKey("output_dimensionality") {
                request.dimensions = value.source
            } else if !member.isKey("model") {
                request.others.append(member.key.string)
            }
        }
        guard !request.texts.isEmpty else {
            throw .request("The field 'content' is empty or missing.", param: "content")
        }
        return request
    }

    private func batch(_ root: JSONValue) throws(TranslationError) -> EmbeddingRequest {
        var whole: EmbeddingRequest?
        for element in root["requests"]?.elements ?? root.elements {
            let one = try self.gemini(element)
            guard let former = whole else {
                whole = one
                continue
            }
            guard former.purpose == one.purpose, former.dimensions?.string == one.dimensions?.string,
                former.title == nil, one.title == nil
            else {
                throw TranslationError(
                    .unsupported,
                    "This model's provider embeds texts of one call alike: send requests that differ in their content "
                        + "only.", param: "requests")
            }
            whole?.texts += one.texts
            whole?.others += one.others
        }
        guard let whole else { throw .request("The field 'requests' is empty or missing.", param: "requests") }
        return whole
    }
}

/// Writes requests of the formats that providers speak.
struct EmbeddingRequestEncoder {
    let format: EmbeddingFormat
    let options: TranslationOptions
    private var writer = JSONWriter()

    init(format: EmbeddingFormat, options: TranslationOptions) {
        self.format = format
        self.options = options
    }

    mutating func encode(_ request: EmbeddingRequest) throws(TranslationError) -> [UInt8] {
        for name in request.others { try self.refuse(name) }
        self.writer.beginObject()
        switch self.format {
        case .openAI, .gemini, .geminiBatch: try self.openAI(request)
        case .vertex: try self.vertex(request)
        case .titan: try self.titan(request)
        case .cohere, .bedrockCohere: try self.cohere(request)
        }
        self.writer.endObject()
        return self.writer.bytes
    }

    private func refuse(_ name: String) throws(TranslationError) {
        if self.options.dropsUnsupported { return }
        throw TranslationError(
            .unsupported, "'\(name)' cannot be told to this model's provider. Leave it out, or set drop_params.",
            param: name)
    }

    private mutating func write(_ texts: [JSONText], _ name: StaticString) {
        self.writer.key(name)
        self.writer.beginArray()
        for text in texts { self.writer.string(text) }
        self.writer.endArray()
    }

    /// It has no place for a purpose: such models make one kind of vector for all of them.
    private mutating func openAI(_ request: EmbeddingRequest) throws(TranslationError) {
        self.writer.key("model")
        self.writer.string(escaping: self.options.model ?? "")
        self.write(request.texts, "input")
        self.writer.member("dimensions", rawIfPresent: request.dimensions)
        self.writer.member("encoding_format", "float")
        if request.title != nil { try self.refuse("title") }
    }

    private mutating func vertex(_ request: EmbeddingRequest) throws(TranslationError) {
        self.writer.key("instances")
        self.writer.beginArray()
        for text in request.texts {
            self.writer.beginObject()
            self.writer.member("content", text)
            if let purpose = request.purpose {
                self.writer.key("task_type")
                self.writer.string(escaping: purpose.googleName)
            }
            self.writer.member("title", ifPresent: request.title)
            self.writer.endObject()
        }
        self.writer.endArray()
        guard let dimensions = request.dimensions else { return }
        self.writer.key("parameters")
        self.writer.beginObject()
        self.writer.member("outputDimensionality", raw: dimensions)
        self.writer.endObject()
    }

    private mutating func titan(_ request: EmbeddingRequest) throws(TranslationError) {
        guard request.texts.count == 1, let text = request.texts.first else {
            throw TranslationError(
                .unsupported, "Titan embeds one text in a call: send the texts one by one.", param: "input")
        }
        self.writer.member("inputText", text)
        if let dimensions = request.dimensions {
            if self.options.model?.contains("embed-text-v2") ?? false {
                self.writer.member("dimensions", raw: dimensions)
            } else {
                try self.refuse("dimensions")
            }
        }
        if request.title != nil { try self.refuse("title") }
    }

    private mutating func cohere(_ request: EmbeddingRequest) throws(TranslationError) {
        if self.format == .cohere {
            self.writer.key("model")
            self.writer.string(escaping: self.options.model ?? "")
        }
        self.write(request.texts, "texts")
        let purpose = request.purpose ?? .document
        if let name = purpose.cohereName {
            self.writer.member("input_type", JSONText(name))
        } else {
            try self.refuse("input_type")
            self.writer.member("input_type", "search_document")
        }
        self.writer.member("embedding_types", raw: JSONSlice("[\"float\"]"))
        self.writer.member("output_dimension", rawIfPresent: request.dimensions)
        if request.title != nil { try self.refuse("title") }
    }
}
