import GatewayCore
import GatewayWire

/// A request to a provider's own path: what of it goes to the provider, checked. Nothing else of the request does, so
/// neither the caller's key nor other headers of its own can leave.
final class PassThroughRequest: Sendable {
    /// Name in the table of providers.
    let provider: String
    let method: String
    /// Below the provider's address, as the caller wrote it: with a slash in front, and no segment that leads upwards.
    let path: String
    /// Without the question mark and without keys. Empty: none.
    let query: String
    /// The model that the path names, decoded. `nil`: none.
    let model: String?
    /// Format of the conversation that the path is for. `nil`: not known; the answer is read for counts of tokens only.
    let format: WireFormat?
    /// `Content-Type` and others that are part of what is asked for.
    let lines: [UInt8]

    private init(
        provider: String, method: String, path: String, query: String, model: String?, format: WireFormat?,
        lines: [UInt8]
    ) {
        self.provider = provider
        self.method = method
        self.path = path
        self.query = query
        self.model = model
        self.format = format
        self.lines = lines
    }

    /// A stream of Gemini's format comes as one JSON array unless the query asks for events.
    var isArrayStream: Bool {
        self.format == .gemini && self.path.hasSuffix(":streamGenerateContent")
            && !self.query.split(separator: "&").contains("alt=sse")
    }

    /// As a key's `allowed_routes` name it.
    var route: String { "/\(self.provider)\(self.path)" }

    /// - Parameters:
    ///   - rest: of the target, behind the provider's name.
    ///   - secret: the key that the caller presented.
    /// - Throws: the path could mean another one to the provider.
    static func read(
        _ bytes: UnsafeRawBufferPointer, head: RequestHead, provider: String, rest: ByteRange,
        secret: UnsafeRawBufferPointer
    ) throws(GatewayError) -> PassThroughRequest {
        let target = bytes[rest]
        let question = target.firstIndex(of: UInt8(ascii: "?")) ?? target.endIndex
        let rawPath = UnsafeRawBufferPointer(rebasing: target[..<question])
        guard let path = percentDecoded(rawPath), Self.isPlain(path), !Self.hidesLetters(rawPath) else {
            throw .badPassThroughPath
        }
        let method = String(decoding: bytes[head.methodRange], as: UTF8.self)
        return PassThroughRequest(
            provider: provider, method: method, path: String(decoding: rawPath, as: UTF8.self),
            query: Self.query(target[question...].dropFirst(), secret: secret), model: Self.model(in: path),
            format: method == "POST" ? Self.format(of: path, provider: provider) : nil,
            lines: Self.lines(bytes, head: head))
    }

    /// Whether characters are encoded that need not be (RFC 3986, section 2.3): a path of the gateway's own, or one whose
    /// use is metered, would not be known for what it is.
    private static func hidesLetters(_ rawPath: UnsafeRawBufferPointer) -> Bool {
        rawPath.indices.contains { index in
            guard rawPath[index] == UInt8(ascii: "%"), index + 2 < rawPath.count,
                let byte = UInt8(String(decoding: rawPath[(index + 1)...(index + 2)], as: UTF8.self), radix: 16)
            else { return false }
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: return true
            default: return "-._~".utf8.contains(byte)
            }
        }
    }

    /// Whether no reader can take the path for another one: nothing leads upwards, no segment is empty, nothing is
    /// encoded twice.
    private static func isPlain(_ path: String) -> Bool {
        guard path.utf8.first == UInt8(ascii: "/"), path.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }) else {
            return false
        }
        let lower = path.lowercased()
        guard !["%2e", "%2f", "%5c", "%25", "\\"].contains(where: { lower.contains($0) }) else { return false }
        let segments = path.dropFirst().split(separator: "/", omittingEmptySubsequences: false)
        return segments.allSatisfy { $0 != "." && $0 != ".." }
            && segments.dropLast().allSatisfy { !$0.isEmpty }
    }

    /// Fields that may hold a key.
    private static let keyFields: Set<String> = [
        "key", "api_key", "api-key", "apikey", "access_token", "subscription-key", "token",
    ]

    private static func query(_ query: Slice<UnsafeRawBufferPointer>, secret: UnsafeRawBufferPointer) -> String {
        let kept = query.split(separator: UInt8(ascii: "&")).filter { field in
            let parts = field.split(separator: UInt8(ascii: "="), maxSplits: 1)
            guard let name = parts.first, let decoded = percentDecoded(UnsafeRawBufferPointer(rebasing: name)) else {
                return false
            }
            let isSecret = parts.count > 1 && !secret.isEmpty && parts[1].elementsEqual(secret)
            return !isSecret && !Self.keyFields.contains(decoded.lowercased())
        }
        return kept.map { String(decoding: $0, as: UTF8.self) }.joined(separator: "&")
    }

    /// The model in `/models/NAME:method`, `/model/NAME/invoke`, `/deployments/NAME/...`. `nil`: none is named.
    private static func model(in path: String) -> String? {
        for marker in ["/models/", "/model/", "/deployments/"] {
            guard let range = path.range(ofMarker: marker) else { continue }
            let rest = path[range...]
            // An identifier of Amazon's has slashes and colons in it.
            let end =
                marker == "/model/"
                ? rest.lastIndex(of: "/") : rest.firstIndex { $0 == "/" || marker == "/models/" && $0 == ":" }
            let name = rest[..<(end ?? rest.endIndex)]
            return name.isEmpty ? nil : String(name)
        }
        return nil
    }

    private static func format(of path: String, provider: String) -> WireFormat? {
        if path.hasSuffix("/chat/completions") || path.hasSuffix("/completions") { return .openAIChat }
        if path.hasSuffix("/responses") { return .openAIResponses }
        if path.hasSuffix("/messages") || path.hasSuffix(":rawPredict") || path.hasSuffix(":streamRawPredict") {
            return .anthropic
        }
        if path.hasSuffix("/invoke"), path.contains("anthropic.") { return .anthropic }
        if path.hasSuffix(":generateContent") || path.hasSuffix(":streamGenerateContent") { return .gemini }
        if path.hasSuffix("/v2/chat"), provider == "cohere" { return .cohere }
        return nil
    }

    /// Header lines that belong to what is asked for. Values were verified when the head was parsed.
    private static func lines(_ bytes: UnsafeRawBufferPointer, head: RequestHead) -> [UInt8] {
        var lines: [UInt8] = []
        var headers = HeaderIterator(bytes, headBytes: head.headBytes)
        while let (name, value) = headers.next() {
            let isCarried =
                Self.carried.contains { HeaderName.equals(bytes, name, $0) }
                || HeaderName.hasPrefix(bytes, name, "x-amzn-bedrock-")
            guard isCarried else { continue }
            lines += Array(bytes[name]) + Array(": ".utf8) + Array(bytes[value]) + Array("\r\n".utf8)
        }
        return lines
    }

    private static let carried: [StaticString] = [
        "content-type", "accept", "anthropic-version", "anthropic-beta", "openai-beta", "idempotency-key",
        "x-goog-api-client",
    ]
}

extension String {
    /// Behind the first occurrence of `marker`.
    fileprivate func range(ofMarker marker: String) -> String.Index? { self.firstRange(of: marker)?.upperBound }
}

extension GatewayError {
    static let badPassThroughPath = GatewayError(
        status: 400, type: "invalid_request_error", param: "path", origin: .caller,
        message: "The path holds empty segments, segments that lead upwards, or characters encoded twice: send the "
            + "provider's own path behind its name.")

    static func noPassThrough(_ provider: String) -> GatewayError {
        GatewayError(
            status: 404, type: "not_found_error", param: "path", origin: .caller,
            message: "No credentials are configured for requests that pass through to \(provider). An operator can set "
                + "the provider's key in the environment, or use_in_pass_through: true in the litellm_params of a "
                + "deployment.")
    }
}
