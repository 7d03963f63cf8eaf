import GatewayProviders
import GatewayWire
import NIOCore
import NIOPosix
import NIOSSL

/// A request to a server that gives credentials. Its headers and body may hold secrets.
struct CredentialRequest {
    var method = "GET"
    var url: CredentialURL
    var headers: [(name: String, value: String)] = []
    var body = ""

    /// `nil`: a header's value would end its line.
    func bytes() -> ByteBuffer? {
        var text = "\(self.method) \(self.url.target) HTTP/1.1\r\nhost: \(self.url.hostHeader)\r\n"
        for (name, value) in self.headers {
            guard value.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }) else { return nil }
            text += "\(name): \(value)\r\n"
        }
        text += "accept-encoding: identity\r\nuser-agent: martlet\r\nconnection: close\r\n"
        if self.method != "GET" { text += "content-length: \(self.body.utf8.count)\r\n" }
        return ByteBuffer(string: text + "\r\n" + self.body)
    }
}

/// What it answered.
struct CredentialAnswer: Sendable {
    var status: Int
    var body: [UInt8]
}

/// Makes single requests of HTTP/1.1, each on a connection of its own: tokens are fetched about once an hour.
struct CredentialClient: Sendable {
    /// Of a whole exchange.
    static let timeout = TimeAmount.seconds(10)
    static let connectTimeout = TimeAmount.seconds(3)
    /// Head and body together.
    static let answerBytesMax = 128 << 10

    /// PEM file of further authorities. `nil`: the system's alone.
    let authorityFile: String?
    let eventLoop: any EventLoop

    func send(_ request: CredentialRequest) async throws(CredentialError) -> CredentialAnswer {
        let url = request.url
        guard let bytes = request.bytes() else {
            throw CredentialError(.refused, "What is to be sent to \(url.host) holds a line break; mend its source.")
        }
        let tls: NIOSSLContext?
        do {
            tls = url.isTLS ? try self.tlsContext() : nil
        } catch {
            throw CredentialError(.refused, "TLS towards \(url.host) cannot be set up: check the file of authorities.")
        }
        do {
            return try await self.exchange(bytes, with: url, tls: tls)
        } catch let error as CredentialError {
            throw error
        } catch {
            throw CredentialError(.unavailable, "\(url.host) could not be reached (\(type(of: error))).")
        }
    }

    private func tlsContext() throws -> NIOSSLContext {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.applicationProtocols = ["http/1.1"]
        if let authorityFile { configuration.additionalTrustRoots = [.file(authorityFile)] }
        return try NIOSSLContext(configuration: configuration)
    }

    private func exchange(
        _ bytes: ByteBuffer, with url: CredentialURL, tls: NIOSSLContext?
    ) async throws -> CredentialAnswer {
        let promise = self.eventLoop.makePromise(of: CredentialAnswer.self)
        let bootstrap = ClientBootstrap(group: self.eventLoop)
            .connectTimeout(Self.connectTimeout)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    if let tls {
                        let name = isAddressLiteral(url.host) ? nil : url.host
                        try channel.pipeline.syncOperations.addHandler(
                            NIOSSLClientHandler(context: tls, serverHostname: name))
                    }
                    try channel.pipeline.syncOperations.addHandler(
                        CredentialExchange(request: bytes, host: url.host, promise: promise))
                }
            }
        let channel: any Channel
        do {
            channel = try await bootstrap.connect(host: url.host, port: url.port).get()
        } catch {
            promise.fail(error)
            throw error
        }
        let timeout = self.eventLoop.scheduleTask(in: Self.timeout) {
            promise.fail(CredentialError(.unavailable, "\(url.host) did not answer in time."))
            channel.close(promise: nil)
        }
        defer { timeout.cancel() }
        return try await promise.futureResult.get()
    }
}

/// Sends a request when the connection stands, and reads one answer.
private final class CredentialExchange: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let request: ByteBuffer
    private let host: String
    private let promise: EventLoopPromise<CredentialAnswer>
    private var received = ByteBuffer()
    private var isDone = false

    init(request: ByteBuffer, host: String, promise: EventLoopPromise<CredentialAnswer>) {
        self.request = request
        self.host = host
        self.promise = promise
    }

    func handlerAdded(context: ChannelHandlerContext) {
        if context.channel.isActive { self.begin(context) }
    }

    func channelActive(context: ChannelHandlerContext) {
        self.begin(context)
        context.fireChannelActive()
    }

    private func begin(_ context: ChannelHandlerContext) {
        context.writeAndFlush(self.wrapOutboundOut(self.request), promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !self.isDone else { return }
        var bytes = self.unwrapInboundIn(data)
        self.received.writeBuffer(&bytes)
        guard self.received.readableBytes <= CredentialClient.answerBytesMax else {
            return self.finish(context, .failure("sent more than \(CredentialClient.answerBytesMax) bytes"))
        }
        if let result = CredentialAnswer.read(self.received, isEnded: false) { self.finish(context, result) }
    }

    func channelInactive(context: ChannelHandlerContext) {
        guard !self.isDone else { return }
        self.finish(context, CredentialAnswer.read(self.received, isEnded: true) ?? .failure("closed the connection"))
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        self.finish(context, .failure("broke off (\(type(of: error)))"))
    }

    private func finish(_ context: ChannelHandlerContext, _ result: CredentialAnswer.Reading) {
        guard !self.isDone else { return }
        self.isDone = true
        switch result {
        case .answer(let answer): self.promise.succeed(answer)
        case .failure(let what): self.promise.fail(CredentialError(.unavailable, "\(self.host) \(what)."))
        }
        context.close(promise: nil)
    }
}

extension CredentialAnswer {
    enum Reading {
        case answer(CredentialAnswer)
        /// What the server did, to be told behind its name.
        case failure(String)
    }

    /// Reads all that has come so far. `nil`: more has to come.
    /// - Parameter isEnded: nothing more will come.
    static func read(_ received: ByteBuffer, isEnded: Bool) -> Reading? {
        let limits = HTTPLimits()
        return received.withUnsafeReadableBytes { bytes in
            var rest = bytes
            while true {
                switch HTTPParser.parseResponseHead(rest, limits: limits) {
                case .incomplete: return nil
                case .malformed: return .failure("did not answer with valid HTTP")
                case .complete(let head):
                    rest = UnsafeRawBufferPointer(rebasing: rest[head.headBytes...])
                    if head.isInterim, head.status != 101 { continue }
                    return self.read(head, body: rest, limits: limits, isEnded: isEnded)
                }
            }
        }
    }

    private static func read(
        _ head: ResponseHead, body: UnsafeRawBufferPointer, limits: HTTPLimits, isEnded: Bool
    ) -> Reading? {
        func answer(_ body: [UInt8]) -> Reading { .answer(CredentialAnswer(status: head.status, body: body)) }
        if head.hasNoBody { return answer([]) }
        if head.isChunked {
            var decoder = ChunkedDecoder(limits: limits)
            var content: [UInt8] = []
            switch decoder.decode(body, body: { content += body[$0] }) {
            case .failure: return .failure("did not answer with valid HTTP")
            case .success(let progress): return progress.isComplete ? answer(content) : nil
            }
        }
        if head.contentLength >= 0 {
            return Int64(body.count) >= head.contentLength ? answer(Array(body.prefix(Int(head.contentLength)))) : nil
        }
        return isEnded ? answer(Array(body)) : nil
    }
}
