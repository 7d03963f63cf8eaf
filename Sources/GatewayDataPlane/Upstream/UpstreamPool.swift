import GatewayCore
import GatewayRouting
import NIOCore
import NIOPosix
import NIOSSL

/// What must be equal for two deployments to share connections.
struct UpstreamKey: Hashable, Sendable {
    var address: UpstreamAddress
    var verifiesTLS: Bool
    var authorityFile: String?

    init(address: UpstreamAddress, verifiesTLS: Bool, authorityFile: String?) {
        // The path is part of the request, not of the connection.
        self.address = UpstreamAddress(
            isTLS: address.isTLS, host: address.host.lowercased(), port: address.port, basePath: "")
        self.verifiesTLS = verifiesTLS
        self.authorityFile = authorityFile
    }
}

/// TLS settings of upstream connections, made once per kind.
final class TLSContexts {
    private var contexts: [String: NIOSSLContext] = [:]

    func context(verifiesTLS: Bool, authorityFile: String?) throws -> NIOSSLContext {
        let key = "\(verifiesTLS) \(authorityFile ?? "")"
        if let context = self.contexts[key] { return context }
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.certificateVerification = verifiesTLS ? .fullVerification : .none
        configuration.applicationProtocols = ["http/1.1"]
        if let authorityFile {
            configuration.additionalTrustRoots = [.file(authorityFile)]
        }
        let context = try NIOSSLContext(configuration: configuration)
        self.contexts[key] = context
        return context
    }
}

/// Keep-alive connections of one event loop to one address. The last one used is taken first, so that surplus ones
/// grow old and are closed.
final class UpstreamPool {
    let key: UpstreamKey
    unowned let loop: LoopContext
    private var idle: [UpstreamConnection] = []
    var idleCount: Int { self.idle.count }

    init(key: UpstreamKey, loop: LoopContext) {
        self.key = key
        self.loop = loop
    }

    /// An idle connection that is known to be open. `nil`: none, so connect.
    func take(now: UInt64) -> UpstreamConnection? {
        while let connection = self.idle.popLast() {
            if connection.isReusable(now: now) { return connection }
            connection.close()
        }
        return nil
    }

    func giveBack(_ connection: UpstreamConnection) {
        guard self.idle.count < self.loop.configuration.idleUpstreamConnectionsMax else {
            connection.close()
            return
        }
        self.idle.append(connection)
    }

    func forget(_ connection: UpstreamConnection) {
        guard let index = self.idle.lastIndex(where: { $0 === connection }) else { return }
        self.idle.remove(at: index)
    }

    /// Connects for `call`, which hears of the outcome on the event loop, unless it has left by then.
    func connect(for call: Call, attempt: Int) {
        let loop = self.loop
        let address = self.key.address
        var bootstrap = ClientBootstrap(group: loop.eventLoop)
            .connectTimeout(.nanoseconds(Int64(clamping: loop.timeouts.connect)))
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelOption(.recvAllocator, value: ReceiveAllocator(loop: loop))
            .channelOption(.maxMessagesPerRead, value: 1)
        let tls: NIOSSLContext?
        do {
            tls =
                try address.isTLS
                ? loop.tls.context(verifiesTLS: self.key.verifiesTLS, authorityFile: self.key.authorityFile) : nil
        } catch {
            loop.logger.error(
                "TLS towards a provider cannot be set up", metadata: ["error.type": "\(type(of: error))"])
            loop.eventLoop.assumeIsolated().execute { call.connectFailed(attempt: attempt) }
            return
        }
        let pool = NIOLoopBound(self, eventLoop: loop.eventLoop)
        bootstrap = bootstrap.channelInitializer { channel in
            channel.eventLoop.makeCompletedFuture {
                if let tls {
                    let name = isAddressLiteral(address.host) ? nil : address.host
                    try channel.pipeline.syncOperations.addHandler(
                        NIOSSLClientHandler(context: tls, serverHostname: name))
                }
                try channel.pipeline.syncOperations.addHandler(UpstreamConnection(pool: pool.value))
            }
        }
        let connecting: EventLoopFuture<any Channel>
        if isAddressLiteral(address.host),
            let socketAddress = try? SocketAddress(ipAddress: address.host, port: address.port)
        {
            connecting = bootstrap.connect(to: socketAddress)
        } else {
            connecting = bootstrap.connect(host: address.host, port: address.port)
        }
        connecting.assumeIsolated().whenComplete { result in
            switch result {
            case .success(let channel):
                guard let connection = try? channel.pipeline.syncOperations.handler(type: UpstreamConnection.self)
                else {
                    channel.close(promise: nil)
                    return call.connectFailed(attempt: attempt)
                }
                guard tls != nil else { return Self.hand(connection, to: call, attempt: attempt) }
                // Until then nothing can have been sent, and what failed costs nothing.
                connection.whenSecured { isSecured in
                    guard isSecured else { return call.connectFailed(attempt: attempt) }
                    Self.hand(connection, to: call, attempt: attempt)
                }
            case .failure:
                call.connectFailed(attempt: attempt)
            }
        }
    }
}

extension UpstreamPool {
    /// The call may have left or timed out meanwhile: then the connection serves the next one.
    private static func hand(_ connection: UpstreamConnection, to call: Call, attempt: Int) {
        if !call.connected(connection, attempt: attempt) { connection.becomeIdle() }
    }
}

/// Whether `host` is an IPv4 or IPv6 address, which needs no look-up and no server name in TLS.
func isAddressLiteral(_ host: String) -> Bool {
    host.contains(":")
        || host.utf8.allSatisfy { $0 == UInt8(ascii: ".") || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
}
