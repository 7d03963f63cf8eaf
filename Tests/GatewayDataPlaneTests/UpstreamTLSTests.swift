import GatewayCore
import NIOCore
import NIOPosix
import NIOSSL
import TestSupport
import Testing

/// Answers every read with the same bytes, over TLS.
private final class TLSProvider: Sendable {
    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        private let answer: String
        init(_ answer: String) { self.answer = answer }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            context.writeAndFlush(NIOAny(context.channel.allocator.buffer(string: self.answer)), promise: nil)
        }
    }

    private let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    private let channel: any Channel
    var port: Int { self.channel.localAddress?.port ?? 0 }

    init(_ certificate: TestCertificate, answer: String) async throws {
        let context = try NIOSSLContext(
            configuration: .makeServerConfiguration(
                certificateChain: NIOSSLCertificate.fromPEMFile(certificate.certificateFile).map { .certificate($0) },
                privateKey: .privateKey(NIOSSLPrivateKey(file: certificate.keyFile, format: .pem))))
        self.channel = try await ServerBootstrap(group: self.group)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandlers([
                        NIOSSLServerHandler(context: context), Handler(answer),
                    ])
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
    }

    func end() async throws {
        try await self.channel.close()
        try await self.group.shutdownGracefully()
    }
}

@Suite("A provider that speaks TLS")
struct UpstreamTLSTests {
    private static let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: "

    @Test(
        "and breaks its framing fails that call alone, and does not keep the event loop",
        arguments: [
            Self.head + "application/json\r\n\r\nzz\r\n",
            Self.head + "text/event-stream\r\n\r\nd\r\ndata: {\"a\":1}\r\nzz\r\n",
            Self.head + "application/json\r\n\r\n2\r\n{}\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: nothing\r\n\r\n",
        ])
    func brokenFraming(answer: String) async throws {
        let certificate = try await onOwnThread { try TestCertificate() }
        let provider = try await TLSProvider(certificate, answer: answer)
        let setup = GatewaySetup(port: provider.port) { setup in
            setup.deployments = []
            setup.add("chat", port: provider.port, isTLS: true, authorityFile: certificate.certificateFile)
        }
        try await withGateway(setup) { gateway in
            for _ in 0..<3 {
                let client = try gateway.call()
                _ = try client.response()
            }
            // Nobody has to answer this one but the gateway itself.
            let health = try RawHTTPClient(port: gateway.port)
            try health.send(RawHTTPClient.bytes("POST", "/v1/chat/completions", headers: [], body: "{}"))
            #expect(try health.response().status == 401)
            #expect(try gateway.rows().count == 3)
        }
        try await provider.end()
    }
}
