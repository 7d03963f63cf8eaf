import GatewayWire

/// What the encoding of one request or answer carries along.
struct EncodingContext {
    let options: TranslationOptions
    let arena: JSONArena
    let target: WireFormat
    var memory = CallMemory()
    /// Names of tools that had to be changed: old to new.
    var changedToolNames: [String: String] = [:]
    /// Names of the request's tools that the target takes as they are.
    var safeToolNames: Set<String> = []
    /// Documents written so far, which Bedrock wants named apart.
    var documentCount = 0
    /// Fields that were left out, for logs and headers.
    var dropped: [String] = []
    var identifiers: IdentifierSource

    init(options: TranslationOptions, arena: JSONArena, target: WireFormat) {
        self.options = options
        self.arena = arena
        self.target = target
        self.identifiers = IdentifierSource(seed: options.seed)
    }

    /// The target cannot express the field: refused, or left out where `drop_params` says so.
    mutating func refuse(_ field: String) throws(TranslationError) {
        guard self.options.dropsUnsupported else {
            throw TranslationError(
                .unsupported,
                "The field '\(field)' cannot be expressed in \(self.target.name): leave it out, or set drop_params.",
                param: field)
        }
        self.dropped.append(field)
    }

    /// Content that the target cannot express. It is never left out: that would change the conversation.
    func unsupportedContent(_ what: String) -> TranslationError {
        TranslationError(
            .unsupported, "\(what) cannot be expressed in \(self.target.name): send it in another form.",
            param: "messages")
    }

    /// Something that does not change the answer was left out.
    mutating func drop(_ field: String) { self.dropped.append(field) }

    /// Looks at the members that no neutral field holds, when the source is another format.
    mutating func refuseLeftovers(_ request: ConversationRequest) throws(TranslationError) {
        for member in request.extras.members + request.foreignExtras where !member.isUnderstood && !member.isNull {
            let key = member.key.string
            if RequestHints.names.contains(key) {
                self.drop(key)
            } else {
                try self.refuse(key)
            }
        }
    }
}

/// Members of requests that say nothing of what is to be answered: left out when another format does not know them.
enum RequestHints {
    static let names: Set<String> = [
        "store", "stream", "stream_options", "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention",
        "safety_identifier", "metadata", "user", "include", "truncation", "background", "diagnostics", "inference_geo",
        "labels", "requestMetadata", "performanceConfig", "keep_alive", "usage", "provider", "cachedContent",
        "additionalModelResponseFieldPaths", "obfuscation", "transforms", "route", "speed", "options",
        "extra_headers", "safety_settings", "safetySettings", "service_tier", "serviceTier", "cache_control",
    ]
}

/// Identifiers that look like a provider's own; no two of one call are equal.
struct IdentifierSource: Sendable {
    private var state: UInt64
    private static let letters = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789".utf8)

    init(seed: UInt64) { self.state = seed }

    /// `prefix` and 24 letters and digits.
    mutating func next(_ prefix: StaticString) -> [UInt8] {
        var result = [UInt8](JSONSlice(prefix).bytes)
        for _ in 0..<2 {
            self.state &+= 0x9E37_79B9_7F4A_7C15
            var value = self.state
            value = (value ^ value >> 30) &* 0xBF58_476D_1CE4_E5B9
            value = (value ^ value >> 27) &* 0x94D0_49BB_1331_11EB
            value ^= value >> 31
            // 62^12 needs more bits than a word has left over; the last letters are a little less random.
            for _ in 0..<12 {
                result.append(Self.letters[Int(value % 62)])
                value = value / 37 ^ value &<< 7
            }
        }
        return result
    }

    mutating func next(_ prefix: StaticString, _ arena: JSONArena) -> JSONText {
        JSONText(arena.copy(self.next(prefix)))
    }
}

extension JSONWriter {
    /// Writes the members of `extras` if they come from `format`, without those whose key is in `skipping`.
    mutating func extras(_ extras: Extras, for format: WireFormat, skipping: [StaticString] = []) {
        guard extras.format == format else { return }
        for member in extras.members where !skipping.contains(where: { member.key == $0 }) {
            self.key(member.key)
            self.raw(member.value)
        }
    }

    mutating func member(_ name: StaticString, ifPresent text: JSONText?) {
        if let text { self.member(name, text) }
    }

    mutating func member(_ name: StaticString, rawIfPresent value: JSONSlice?) {
        if let value { self.member(name, raw: value) }
    }

    mutating func member(_ name: StaticString, valueIfPresent value: JSONValue?) {
        if let value { self.member(name, raw: value.source) }
    }

    mutating func member(_ name: StaticString, countIfPresent value: Int64?) {
        if let value { self.member(name, count: value) }
    }
}
