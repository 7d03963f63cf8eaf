import GatewayCore
import GatewayTranslation
import GatewayWire
import NIOCore

/// Calls of a provider's own paths: path and body go as they are, and come back so.
extension Call {
    /// Reads what can be read of the body. `nil`: the call may go on.
    func readPassThrough() -> GatewayError? {
        guard let request = self.origin?.passThrough else { return nil }
        var isRead = false
        if self.body.readableBytes > 0,
            case .success(let scan) = self.body.withUnsafeReadableBytes({ JSONScanner.scanRequest($0) })
        {
            self.scan = scan
            isRead = true
        } else {
            self.scan.inputTextBytes = self.body.readableBytes
        }
        // What is no JSON cannot be a conversation: the provider says so itself.
        if isRead, let format = request.format {
            self.passedFormat = format
            if format.factsKind != nil, let refusal = self.readFormatFacts() { return refusal }
            if request.path.hasSuffix(":streamGenerateContent") || request.path.hasSuffix(":streamRawPredict") {
                self.scan.stream = true
            }
        } else {
            self.meter = CallMeter(
                kind: .passThrough, facts: UnitFacts(), isCharged: request.method == "POST")
        }
        return nil
    }

    /// The name by which the call is governed and booked: the provider's, and the model's if one is named.
    func passThroughName(_ request: PassThroughRequest) -> String {
        if let model = request.model { return "\(request.provider)/\(model)" }
        guard !self.scan.model.isEmpty else { return "\(request.provider)/*" }
        let model = self.body.withUnsafeReadableBytes { jsonUnescaped($0[self.scan.model]) }
        return "\(request.provider)/\(model)"
    }

    /// Reads the answer in its format without changing it.
    func beginPassThrough(at target: Target) {
        guard let format = self.passedFormat, format != .openAIChat else { return }
        var options = TranslationOptions()
        options.model = target.deployment.configuration.model
        options.now = self.loop.wallTime(atNanoseconds: self.receivedAt).rawValue / 1_000_000
        options.eventBytesMax = Self.eventBytesMax
        let isArray = self.origin?.passThrough?.isArrayStream ?? false
        self.translation = CallTranslation(
            source: format, target: format, isStraight: true, sourceFraming: isArray ? .jsonArray : format.framing,
            upstreamFraming: isArray ? .jsonArray : nil, options: options)
    }

    func passThroughParts(_ request: PassThroughRequest, to target: Target) -> EncodeRequest.Parts {
        let head = target.deployment.passThroughHead(request) { head in
            guard let signer = target.deployment.signer else { return target.deployment.bearerLine }
            let date = self.loop.wallTime(atNanoseconds: self.attemptStartedAt).rawValue / 1_000_000
            return self.body.withUnsafeReadableBytes { signer.lines(head: head, body: $0, date: date) }
        }
        return EncodeRequest.parts(head: head, body: self.body, edits: [], loop: self.loop)
    }
}

extension WireFormat {
    /// The kind of call whose members its requests have. `nil`: those of OpenAI's chat, or not known.
    var factsKind: CallKind? {
        switch self {
        case .anthropic: .messages
        case .openAIResponses: .responses
        case .gemini: .generateContent
        case .bedrock: .converse
        case .openAIChat, .cohere, .ollama: nil
        }
    }
}

extension Deployment {
    /// - Parameter signing: makes further lines of the head so far.
    func passThroughHead(_ request: PassThroughRequest, signing: (_ head: [UInt8]) -> [UInt8]) -> [UInt8] {
        let base = self.configuration.address?.basePath ?? ""
        var path = request.path
        // Addresses are configured with the version that paths begin with, too.
        if let last = base.split(separator: "/").last, path.hasPrefix("/\(last)/") {
            path.removeFirst(last.utf8.count + 1)
        }
        if !request.query.isEmpty { path += "?" + request.query }
        var head = Self.headStart(method: request.method, path: path, contentType: nil, self.configuration)
        head += signing(head)
        head += request.lines
        for header in self.provider.headers where !Self.has(header.name, in: request.lines) {
            head += Array("\(header.name): \(header.value)\r\n".utf8)
        }
        return head + Array("content-length: ".utf8)
    }

    private static func has(_ name: String, in lines: [UInt8]) -> Bool {
        String(decoding: lines, as: UTF8.self).split(separator: "\r\n").contains {
            $0.prefix(name.utf8.count + 1).lowercased() == name.lowercased() + ":"
        }
    }
}
