import GatewayCore
import GatewayWire

/// What admission and routing need of a body whose format names it otherwise than OpenAI's chat does.
struct FormatFacts {
    /// Output tokens at most. -1: the body does not say.
    var maxTokens: Int64 = -1
    /// Answers that are asked for, 1 or more.
    var choiceCount: Int64 = 1
    /// Who the caller says the end user is. `nil`: not said.
    var endUser: String?
    /// The conversation, or a part of it, is stored at the provider: only the provider that keeps it can go on. The
    /// member that says so. `nil`: all of it is in the body.
    var storedMember: String?
    /// The response that this one goes on from. `nil`: none.
    var previousResponseID: String?
    /// The response is to be kept.
    var storesResponse = false
    /// Searches of the web that the provider may make. `nil`: it may, and the body sets no bound.
    var searchesMax: Int64? = 0
    /// `nil`: the body says it as OpenAI's does, or the path does.
    var isStream: Bool?

    /// - Parameter body: a JSON object, verified.
    /// - Throws: the body says one thing twice, or names what cannot be metered.
    static func read(_ body: UnsafeRawBufferPointer, kind: CallKind, format: WireFormat?) throws(GatewayError)
        -> FormatFacts
    {
        let tree = JSONTree()
        guard let root = try? tree.read(body) else {
            throw .invalid("The request body has more values than a conversation can have.", param: "request_body")
        }
        // Its values are no more than places in it.
        defer { withExtendedLifetime(tree) {} }
        var facts = FormatFacts()
        switch kind {
        case .messages:
            facts.endUser = try self.member(root, "metadata").flatMap { $0["user_id"]?.text?.string }
        case .responses: try facts.readResponses(root)
        case .generateContent:
            let settings = try self.member(root, "generationConfig", "generation_config")
            facts.maxTokens = try self.count(settings, "maxOutputTokens", "max_output_tokens") ?? -1
            facts.choiceCount = max(1, try self.count(settings, "candidateCount", "candidate_count") ?? 1)
        case .converse:
            facts.maxTokens = try self.count(try self.member(root, "inferenceConfig"), "maxTokens") ?? -1
        case .chatCompletion where format == .ollama: try facts.readOllama(root)
        default: break
        }
        facts.searchesMax = try self.searchesMax(root, kind: kind)
        return facts
    }

    /// Ollama answers with a stream unless told otherwise (its docs/api.md, "Generate a chat completion").
    private mutating func readOllama(_ root: JSONValue) throws(GatewayError) {
        self.isStream = try Self.member(root, "stream")?.bool ?? true
        // Below 0 is no bound: https://github.com/ollama/ollama/blob/main/docs/modelfile.mdx, "num_predict".
        self.maxTokens = try Self.member(try Self.member(root, "options"), "num_predict")?.count ?? -1
    }

    private mutating func readResponses(_ root: JSONValue) throws(GatewayError) {
        self.maxTokens = try Self.count(root, "max_output_tokens") ?? -1
        if try Self.member(root, "background")?.bool == true {
            throw .invalid(
                "Responses in the background are not served, because their usage would not be metered. Leave out "
                    + "'background', or send \"stream\": true.", param: "background")
        }
        self.previousResponseID = try Self.member(root, "previous_response_id")?.text?.string
        self.storesResponse = try Self.member(root, "store")?.bool ?? true
        for name in ["previous_response_id", "conversation", "prompt"] as [StaticString]
        where try Self.member(root, name) != nil {
            self.storedMember = "\(name)"
        }
    }

    /// The member of one of these names. `nil`: none, or null.
    ///
    /// - Throws: it stands there more than once; readers differ in which one counts.
    static func member(_ object: JSONValue?, _ names: StaticString...) throws(GatewayError) -> JSONValue? {
        guard let object else { return nil }
        var found: JSONValue?
        var isSeen = false
        for member in object.members where names.contains(where: { member.isKey($0) }) {
            if isSeen {
                throw .invalid(
                    "The field '\(names[0])' stands in the request twice: send it once.", param: "\(names[0])")
            }
            isSeen = true
            found = member.value.isNull ? nil : member.value
        }
        return found
    }

    private static func count(_ object: JSONValue?, _ name: StaticString, _ other: StaticString? = nil)
        throws(GatewayError) -> Int64?
    {
        guard let value = try self.member(object, name, other ?? name) else { return nil }
        guard let count = value.count else {
            throw .invalid("The field '\(name)' is no whole number of 0 or more: send one.", param: "\(name)")
        }
        return count
    }
}

extension GatewayError {
    static func invalid(_ message: String, param: String) -> GatewayError {
        GatewayError(
            status: 400, type: "invalid_request_error", param: param, origin: .caller, message: message)
    }
}

extension Call {
    /// What the caller speaks. `nil`: the call is no conversation.
    var format: WireFormat? { self.passedFormat ?? self.origin?.format ?? self.kind.wireFormat }

    /// In which the caller reads errors.
    var errorFormat: WireFormat { self.origin?.isInvoke == true ? .bedrock : self.format ?? .openAIChat }

    /// Whether the body names things otherwise than OpenAI's chat does.
    var hasFormatFacts: Bool {
        self.kind.rawValue > CallKind.embedding.rawValue && !self.kind.hasUnits || self.origin?.format != nil
    }

    /// Reads what other formats than OpenAI's chat name otherwise. `nil`: the call may go on.
    func readFormatFacts() -> GatewayError? {
        do throws(GatewayError) {
            let facts = try self.body.withUnsafeReadableBytes { bytes throws(GatewayError) in
                try FormatFacts.read(bytes, kind: self.passedFormat?.factsKind ?? self.kind, format: self.format)
            }
            // These two have OpenAI's name for it, which is read already.
            if self.format != .anthropic, self.format != .cohere { self.scan.maxTokens = facts.maxTokens }
            if let isStream = facts.isStream { self.scan.stream = isStream }
            self.noteResponse(facts)
            self.scan.choiceCount = facts.choiceCount
            self.searchesMax = facts.searchesMax
            if let user = facts.endUser { self.endUser = String(user.prefix(Self.endUserBytesMax)) }
            switch self.origin?.stream ?? .unsaid {
            case .unsaid: break
            case .whole: self.scan.stream = false
            case .events, .array: self.scan.stream = true
            }
            return nil
        } catch {
            return error
        }
    }
}
