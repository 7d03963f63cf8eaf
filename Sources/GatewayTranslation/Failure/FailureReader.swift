import GatewayWire

/// Reads what a provider says went wrong, whatever its format: shapes overlap, and gateways in between change them.
enum FailureReader {
    /// Bytes of a message that are passed on at most.
    private static let messageBytesMax = 4096

    /// - Parameters:
    ///   - body: of the answer; may be empty, HTML or anything else.
    ///   - status: HTTP status of the answer.
    ///   - errorType: Bedrock's `x-amzn-errortype`, up to a colon. `nil`: no such header.
    static func read(body: UnsafeRawBufferPointer, status: Int, errorType: String?) -> ProviderFailure {
        let tree = JSONTree()
        defer { withExtendedLifetime(tree) {} }
        guard let root = try? tree.read(body), root.kind == .object || root.kind == .array else {
            return self.failure(
                Finding(message: "The provider answered with status \(status) and no JSON.", type: errorType),
                status: status)
        }
        // Gemini's streams wrap their error in a list.
        let object = root.kind == .array ? root.elements.lazy.first { _ in true } ?? root : root
        var finding = self.finding(object["error"] ?? object, root: object)
        if finding.type == nil, let errorType {
            finding.type = errorType
            finding.hints += " " + errorType
        }
        return self.failure(finding, status: status)
    }

    /// An `error` within a stream or within an answer of status 200.
    static func openAI(_ error: JSONValue, root: JSONValue, status: Int?) -> ProviderFailure {
        self.failure(self.finding(error, root: root), status: status)
    }

    /// Whether an answer of status 200 is none: it has an `error` and nothing of an answer.
    static func isFailure(_ root: JSONValue, _ format: WireFormat) -> Bool {
        if let error = root["error"], error.kind == .object || error.kind == .string {
            // Responses name their error beside the output.
            return root["choices"]?.isEmptyContainer ?? true && root["output"] == nil && root["candidates"] == nil
        }
        return format == .anthropic && root["type"]?.text == "error"
    }

    private struct Finding {
        var message: String
        var type: String?
        var code: String?
        var param: String?
        /// A number in the place of a code, as OpenRouter, llama.cpp and Gemini send it.
        var status: Int?
        var retryAfterSeconds: Int?
        /// All text that may name the reason.
        var hints = ""
    }

    private static func finding(_ error: JSONValue, root: JSONValue) -> Finding {
        if let text = error.text {
            var finding = Finding(message: text.string, code: root["code"]?.text?.string)
            finding.type = root["error_type"]?.text?.string
            finding.hints = finding.code ?? ""
            return finding
        }
        let detail = error["detail"]
        let message =
            error["message"]?.text?.string ?? error["Message"]?.text?.string ?? detail?.text?.string
            ?? error["error"]?.text?.string ?? detail.map { $0.source.prefix(self.messageBytesMax).string }
            ?? error["message"].map { $0.source.prefix(self.messageBytesMax).string }
        var finding = Finding(message: message ?? "The provider gave no message.")
        finding.type =
            error["type"]?.text?.string ?? error["status"]?.text?.string ?? error["error_type"]?.text?.string
        finding.code = error["code"]?.text?.string
        finding.param = error["param"]?.text?.string
        for key in [error["code"], error["status_code"], error["raw_status_code"]] {
            finding.status = finding.status ?? key?.count.flatMap { (400..<600).contains($0) ? Int($0) : nil }
        }
        finding.status =
            finding.status ?? finding.code.flatMap { Int($0) }.flatMap { (400..<600).contains($0) ? $0 : nil }
        finding.hints = [finding.type, finding.code, error["innererror"]?["code"]?.text?.string]
            .compactMap { $0 }.joined(separator: " ")
        for element in error["details"]?.elements ?? root.elements {
            if let reason = element["reason"]?.text { finding.hints += " " + reason.string }
            if let delay = element["retryDelay"]?.text?.string, delay.hasSuffix("s") {
                finding.retryAfterSeconds = Double(delay.dropLast()).flatMap {
                    // A day at most; the conversion of anything larger would trap.
                    $0 >= 0 && $0 <= 86_400 ? Int($0.rounded(.up)) : nil
                }
            }
        }
        return finding
    }

    private static func failure(_ finding: Finding, status: Int?) -> ProviderFailure {
        let message = String(decoding: finding.message.utf8.prefix(self.messageBytesMax), as: UTF8.self)
        let known = status.flatMap { $0 >= 400 ? $0 : nil } ?? finding.status ?? self.status(ofType: finding.hints)
        let kind = self.kind(known, message: message.lowercased(), hints: finding.hints.lowercased())
        var failure = ProviderFailure(
            kind: kind, status: self.status(of: kind, upstream: known), message: message,
            code: finding.code ?? finding.type, param: finding.param)
        failure.retryAfterSeconds = finding.retryAfterSeconds
        return failure
    }

    private static let contextMarkers = [
        "maximum context length", "prompt is too long", "exceeds the maximum number of tokens", "input tokens exceeded",
        "exceed_context_size_error", "too many tokens", "context window", "prompt too long", "context_length_exceeded",
        "exceeds the available context size", "input is too long", "too_many_tokens",
    ]

    private static func kind(_ status: Int, message: String, hints: String) -> ProviderFailure.Kind {
        if status == 400 || status == 413 || status == 422 {
            if self.contextMarkers.contains(where: { message.contains($0) || hints.contains($0) }) {
                return .contextWindow
            }
            if hints.contains("content_filter") || hints.contains("content_policy") || hints.contains("responsibleai")
                || hints.contains("guardrail")
            {
                return .contentPolicy
            }
            if hints.contains("api_key_invalid") || message.contains("incorrect api key") { return .authentication }
        }
        switch status {
        case 400, 405, 406, 410: return .invalidRequest
        case 401: return .authentication
        case 402: return .billing
        case 403: return .permission
        case 404: return .notFound
        case 408, 504: return .timeout
        case 409: return .conflict
        case 413: return .tooLarge
        case 422: return .unprocessable
        case 429: return hints.contains("insufficient_quota") ? .quotaExceeded : .rateLimited
        case 498: return .permission
        case 503, 529: return .overloaded
        default: return status < 500 ? .invalidRequest : .server
        }
    }

    /// Names of faults where no status came with them: within streams.
    private static func status(ofType hints: String) -> Int {
        let name = hints.lowercased()
        let table: [(String, Int)] = [
            ("overloaded", 529), ("rate_limit", 429), ("throttling", 429), ("resource_exhausted", 429),
            ("authentication", 401), ("unauthenticated", 401), ("permission", 403), ("not_found", 404),
            ("serviceunavailable", 503), ("unavailable", 503), ("timeout", 504), ("deadline", 504),
            ("validation", 400), ("invalid", 400), ("tool_use_failed", 400), ("content_filter", 400),
            ("billing", 402), ("request_too_large", 413),
        ]
        return table.first { name.contains($0.0) }?.1 ?? 500
    }

    private static func status(of kind: ProviderFailure.Kind, upstream: Int) -> Int {
        switch kind {
        case .contextWindow, .contentPolicy: 400
        case .authentication: 401
        case .overloaded: 503
        case .permission: 403
        default: upstream
        }
    }
}
