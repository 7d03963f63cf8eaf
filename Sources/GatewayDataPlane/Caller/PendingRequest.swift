import GatewayAdmission
import GatewayCore
import GatewayWire
import NIOCore
import Synchronization

/// A request whose head is whole and whose body may still be coming.
final class PendingRequest {
    enum Purpose {
        case call(CallKind, KeyEntry, CallOrigin?)
        case control(ControlRequest)
    }

    /// What a whole head comes to.
    enum Beginning {
        case begun(PendingRequest)
        case refused(GatewayError)
        /// The directory does not hold the call's key; the store may.
        case unknownKey(KeyDigest)
    }

    enum Progress {
        case more
        case complete
        case refused(GatewayError)
    }

    private enum Framing {
        case length(left: Int)
        case chunked
        case complete
    }

    let purpose: Purpose
    let keepsAlive: Bool
    let isHTTP11: Bool
    let isHead: Bool
    let receivedAt: UInt64
    var body = ByteBuffer()
    /// Bytes counted against the bound on all bodies together; small ones are not counted.
    var reservation = 0
    private var framing: Framing
    private var chunks: ChunkedDecoder
    private let bytesMax: Int

    /// Management requests are small.
    private static let controlBodyBytesMax = 4 << 20
    /// Who shows no key that is known here could fill the bound on all bodies together, and so shut out the others.
    private static let anonymousBodyBytesMax = 64 << 10
    /// Bodies beyond this size, which is that of one read, count against the bound on all of them together.
    private static let reservedBytesMin = 32 << 10

    var bodyBytes: Int { self.body.readableBytes }
    var isBodyComplete: Bool { if case .complete = self.framing { true } else { false } }

    private init(purpose: Purpose, head: RequestHead, receivedAt: UInt64, loop: LoopContext, bytesMax: Int) {
        self.purpose = purpose
        self.keepsAlive = head.keepAlive
        self.isHTTP11 = head.isHTTP11
        self.isHead = head.method == .head
        self.receivedAt = receivedAt
        self.bytesMax = bytesMax
        self.chunks = ChunkedDecoder(limits: loop.limits)
        if head.isChunked {
            self.framing = .chunked
        } else {
            self.framing = head.contentLength > 0 ? .length(left: Int(head.contentLength)) : .complete
        }
    }

    /// Finds out what the request is for. A call's key is checked here, before its body is read.
    /// - Parameter errorFormat: set to that of the call's caller.
    static func begin(
        _ head: RequestHead, bytes: ByteBuffer, loop: LoopContext, receivedAt: UInt64, last: inout LastCredential,
        errorFormat: inout WireFormat
    ) -> Beginning {
        bytes.withUnsafeReadableBytes { raw in
            let configuration = loop.configuration
            if case .call(let kind, let path) = Endpoint.find(raw, head: head, keepsResponses: loop.archive != nil) {
                errorFormat = path.isInvoke ? .bedrock : path.format ?? kind.errorFormat
                let entry: KeyEntry
                switch Authenticate.entry(
                    raw, head: head, kind: kind, keys: loop.keys,
                    now: loop.wallTime(atNanoseconds: receivedAt), last: &last)
                {
                case .refused(let error): return .refused(error)
                case .unknown(let digest): return .unknownKey(digest)
                case .known(let found): entry = found
                }
                if let error = Self.bodyRefusal(head, bytes: raw, bytesMax: configuration.requestBodyBytesMax) {
                    return .refused(error)
                }
                var model: String?
                if !path.model.isEmpty {
                    guard let decoded = percentDecoded(raw[path.model]) else { return .refused(.badPath) }
                    model = decoded
                }
                let carried = kind == .messages && !path.isInvoke ? Self.carriedLines(raw, head: head) : []
                var origin: CallOrigin?
                var passThrough: PassThroughRequest?
                var response: ResponseRequest?
                do throws(GatewayError) {
                    if kind == .passThrough {
                        passThrough = try PassThroughRequest.read(
                            raw, head: head, provider: path.provider, rest: path.rest,
                            secret: Authenticate.secret(raw, head: head, kind: kind))
                    } else if let action = path.responseAction {
                        response = try ResponseRequest(
                            action: action, id: raw[path.responseID], query: raw[path.rest])
                    }
                } catch {
                    return .refused(error)
                }
                let formType = kind.takesForm ? Self.formType(raw, head: head) : []
                let isDryRun = !head.dryRun.isEmpty && !HeaderName.equals(raw, head.dryRun, "false")
                let isPlain =
                    model == nil && path.format == nil && carried.isEmpty && !path.isCounting && response == nil
                if !isPlain || !formType.isEmpty || passThrough != nil || !head.tags.isEmpty || isDryRun {
                    origin = CallOrigin(
                        model: model, stream: path.stream, format: path.format, embedding: path.embedding,
                        isInvoke: path.isInvoke, isCounting: path.isCounting, carriedLines: carried,
                        formType: formType, passThrough: passThrough, response: response,
                        tags: NamedTags.inHeader(raw[head.tags]), isDryRun: isDryRun)
                }
                return .begun(
                    PendingRequest(
                        purpose: .call(kind, entry, origin), head: head, receivedAt: receivedAt, loop: loop,
                        bytesMax: configuration.requestBodyBytesMax))
            }
            let exchange = Self.exchange(head, bytes: raw)
            let isKnown = exchange.credential.map { loop.keys.entry(digest: $0) != nil } ?? false
            let bytesMax = min(
                isKnown ? Self.controlBodyBytesMax : Self.anonymousBodyBytesMax, configuration.requestBodyBytesMax)
            if let error = Self.bodyRefusal(head, bytes: raw, bytesMax: bytesMax) { return .refused(error) }
            return .begun(
                PendingRequest(
                    purpose: .control(exchange), head: head, receivedAt: receivedAt, loop: loop,
                    bytesMax: bytesMax))
        }
    }

    /// Anthropic's version and beta are part of what is asked for, not of the connection. Values were verified when the
    /// head was parsed. Empty: no version is named, so that of the deployment holds.
    private static func carriedLines(_ bytes: UnsafeRawBufferPointer, head: RequestHead) -> [UInt8] {
        var lines: [UInt8] = []
        var hasVersion = false
        var headers = HeaderIterator(bytes, headBytes: head.headBytes)
        while let (name, value) = headers.next() {
            let isVersion = HeaderName.equals(bytes, name, "anthropic-version")
            guard isVersion || HeaderName.equals(bytes, name, "anthropic-beta") else { continue }
            // Two versions would be none.
            if isVersion, hasVersion { continue }
            hasVersion = hasVersion || isVersion
            lines += Array(bytes[name]) + Array(": ".utf8) + Array(bytes[value]) + Array("\r\n".utf8)
        }
        return hasVersion ? lines : []
    }

    /// Empty: the body is no form.
    private static func formType(_ bytes: UnsafeRawBufferPointer, head: RequestHead) -> [UInt8] {
        HeaderName.hasPrefix(bytes, head.contentType, "multipart/") ? Array(bytes[head.contentType]) : []
    }

    private static func bodyRefusal(_ head: RequestHead, bytes: UnsafeRawBufferPointer, bytesMax: Int) -> GatewayError?
    {
        if head.contentLength > Int64(bytesMax) { return .bodyTooLarge(bytesMax: bytesMax) }
        if !head.contentEncoding.isEmpty, !HeaderName.equals(bytes, head.contentEncoding, "identity") {
            return GatewayError(
                status: 415, type: "invalid_request_error", param: "content-encoding", origin: .caller,
                message: "Compressed request bodies are not understood. Send the body without Content-Encoding.")
        }
        return nil
    }

    private static func exchange(_ head: RequestHead, bytes: UnsafeRawBufferPointer) -> ControlRequest {
        let target = bytes[head.target]
        let question = target.firstIndex(of: UInt8(ascii: "?"))
        var headers: [(name: String, value: String)] = []
        var iterator = HeaderIterator(bytes, headBytes: head.headBytes)
        while let (name, value) = iterator.next() {
            headers.append(
                (
                    String(decoding: bytes[name], as: UTF8.self).lowercased(),
                    String(decoding: bytes[value], as: UTF8.self)
                ))
        }
        let secret = Authenticate.credential(bytes, head: head)
        return ControlRequest(
            method: String(decoding: bytes[head.methodRange], as: UTF8.self),
            path: String(decoding: target[..<(question ?? target.endIndex)], as: UTF8.self),
            query: question.map { String(decoding: target[($0 + 1)...], as: UTF8.self) },
            headers: headers, body: [], credential: secret.isEmpty ? nil : Authenticate.digest(of: secret))
    }

    /// Takes what belongs to the body from `bytes`.
    func take(_ bytes: inout ByteBuffer, bounds: SharedBounds, configuration: DataPlaneConfiguration) -> Progress {
        switch self.framing {
        case .complete: return .complete
        case .length(let left):
            let count = min(left, bytes.readableBytes)
            if self.body.readableBytes == 0, count == left, let whole = bytes.readSlice(length: count) {
                // The usual case: the whole body lies in what was read, and stays there.
                self.body = whole
                self.framing = .complete
                return .complete
            }
            if self.body.readableBytes == 0 {
                guard self.reserve(left, bounds: bounds, configuration: configuration) else {
                    return .refused(.tooManyBodies)
                }
                self.body.reserveCapacity(min(left, 1 << 20))
            }
            guard var part = bytes.readSlice(length: count) else { return .more }
            self.body.writeBuffer(&part)
            self.framing = left == count ? .complete : .length(left: left - count)
            return left == count ? .complete : .more
        case .chunked: return self.takeChunks(&bytes, bounds: bounds, configuration: configuration)
        }
    }

    private func takeChunks(
        _ bytes: inout ByteBuffer, bounds: SharedBounds, configuration: DataPlaneConfiguration
    ) -> Progress {
        let result = bytes.withUnsafeReadableBytes { raw in
            self.chunks.decode(raw) { self.body.writeBytes(UnsafeRawBufferPointer(rebasing: raw[$0])) }
        }
        guard self.body.readableBytes <= self.bytesMax else { return .refused(.bodyTooLarge(bytesMax: self.bytesMax)) }
        let unreserved = self.body.readableBytes - self.reservation
        if unreserved > Self.reservedBytesMin,
            !self.reserve(unreserved, bounds: bounds, configuration: configuration)
        {
            return .refused(.tooManyBodies)
        }
        switch result {
        case .failure(let fault):
            return .refused(
                GatewayError(
                    status: fault.status, type: "invalid_request_error", origin: .caller, message: fault.message))
        case .success(let progress):
            bytes.moveReaderIndex(forwardBy: min(progress.consumed, bytes.readableBytes))
            guard progress.isComplete else { return .more }
            self.framing = .complete
            return .complete
        }
    }

    private func reserve(_ count: Int, bounds: SharedBounds, configuration: DataPlaneConfiguration) -> Bool {
        guard count > Self.reservedBytesMin else { return true }
        let total = bounds.requestBodiesBytes.wrappingAdd(count, ordering: .relaxed).newValue
        self.reservation += count
        return total <= configuration.requestBodiesBytesMax
    }
}

extension GatewayError {
    static func bodyTooLarge(bytesMax: Int) -> GatewayError {
        GatewayError(
            status: 413, type: "invalid_request_error", param: "request_body", origin: .caller,
            message: "The request body is larger than \(bytesMax) bytes. Send less, or raise request_body_bytes_max.")
    }

    static let tooManyBodies = GatewayError(
        status: 503, type: "overloaded", origin: .gateway,
        message: "The gateway holds as many large request bodies as it may. Try again in a second.",
        retryAfterSeconds: 1)

    static let badPath = GatewayError(
        status: 400, type: "invalid_request_error", param: "model", origin: .caller,
        message: "The model's name in the path is not valid percent-encoded UTF-8.")
}
