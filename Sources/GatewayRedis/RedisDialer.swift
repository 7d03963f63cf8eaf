import NIOCore
import NIOPosix
import NIOSSL

/// Makes connections that are greeted and good for writing. Finds the primary by the sentinels, where there are some.
struct RedisDialer: Sendable {
    let settings: RedisSettings
    let group: MultiThreadedEventLoopGroup

    func dial() async throws(RedisError) -> any Channel {
        guard let sentinel = self.settings.sentinel else {
            return try await self.greeted(self.settings.endpoint)
        }
        var last = RedisError(.settings, "No sentinel is named.")
        for endpoint in sentinel.endpoints {
            do {
                let primary = try await self.primary(by: endpoint, sentinel)
                return try await self.greeted(primary)
            } catch {
                last = error
            }
        }
        throw last
    }

    private func primary(
        by endpoint: RedisSettings.Endpoint, _ sentinel: RedisSettings.Sentinel
    ) async throws(RedisError) -> RedisSettings.Endpoint {
        let channel = try await self.connect(to: endpoint)
        defer { channel.close(promise: nil) }
        var commands: [RedisCommand] = []
        if let password = sentinel.password { commands.append(RedisCommand("AUTH", password)) }
        commands.append(RedisCommand("SENTINEL", "get-master-addr-by-name", sentinel.service))
        let replies = try await RedisConnection.run(commands, on: channel, timeout: self.settings.connectTimeout)
        for reply in replies {
            if case .error(let text) = reply { throw RedisError(reply: text, target: "sentinel \(endpoint.text)") }
        }
        let address = replies.last?.elements.compactMap(\.text) ?? []
        guard address.count == 2, let port = Int(address[1]) else {
            throw RedisError(
                .unreachable,
                "The sentinel at \(endpoint.text) knows no primary named \(sentinel.service): check the service's name."
            )
        }
        return RedisSettings.Endpoint(host: address[0], port: port)
    }

    private func greeted(_ endpoint: RedisSettings.Endpoint) async throws(RedisError) -> any Channel {
        let channel = try await self.connect(to: endpoint)
        do throws(RedisError) {
            try await self.greet(channel)
            return channel
        } catch {
            channel.close(promise: nil)
            guard error.kind == .connectionLost else { throw error }
            // Where the handshake fails shows in many ways, of which not all say whom it was with.
            throw RedisError(
                .connectionLost,
                "Redis at \(self.settings.socketPath ?? endpoint.text) did not let a connection be set up: "
                    + error.message
                    + (self.settings.usesTLS ? " Check its certificate, and whether it speaks TLS at that port." : ""))
        }
    }

    private func greet(_ channel: any Channel) async throws(RedisError) {
        var commands: [RedisCommand] = []
        if let password = self.settings.password {
            var command = RedisCommand("AUTH")
            if let user = self.settings.user { command.add(user) }
            commands.append(command.with(password))
        }
        if self.settings.database != 0 { commands.append(RedisCommand("SELECT", String(self.settings.database))) }
        // A right that is not needed: its refusal is not looked at.
        let optional = [RedisCommand("CLIENT", "SETNAME", "martlet"), RedisCommand("ROLE")]
        let replies = try await RedisConnection.run(
            commands + optional, on: channel, timeout: self.settings.connectTimeout)
        for reply in replies.prefix(commands.count) {
            if case .error(let text) = reply { throw RedisError(reply: text, target: self.settings.target) }
        }
        if let role = replies.last?.elements.first?.text, role != "master" {
            throw RedisError(reply: "READONLY", target: self.settings.target)
        }
        for reply in replies {
            guard case .error(let text) = reply else { continue }
            let error = RedisError(reply: text, target: self.settings.target)
            // Not logged in, still loading, or a part of a cluster.
            if error.kind != .other, !text.hasPrefix("NOPERM") { throw error }
        }
    }

    private func connect(to endpoint: RedisSettings.Endpoint) async throws(RedisError) -> any Channel {
        let target = self.settings.socketPath ?? endpoint.text
        do {
            let tls = self.settings.usesTLS ? try NIOSSLContext(configuration: self.tlsConfiguration()) : nil
            let bootstrap = ClientBootstrap(group: self.group)
                .connectTimeout(.milliseconds(self.settings.connectTimeout.milliseconds))
                .channelOption(.socketOption(.so_keepalive), value: 1)
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        if let tls {
                            let name = Self.isAddress(endpoint.host) ? nil : endpoint.host
                            try channel.pipeline.syncOperations.addHandler(
                                NIOSSLClientHandler(context: tls, serverHostname: name))
                        }
                        try channel.pipeline.syncOperations.addHandler(RedisChannelHandler(target: target))
                    }
                }
            if let path = self.settings.socketPath {
                return try await bootstrap.connect(unixDomainSocketPath: path).get()
            }
            return try await bootstrap.connect(host: endpoint.host, port: endpoint.port).get()
        } catch let error as RedisError {
            throw error
        } catch let error as NIOSSLError {
            throw RedisError(.settings, "TLS for Redis cannot be set up: \(error). Check the file of authorities.")
        } catch {
            throw RedisError(.unreachable, "Redis at \(target) cannot be reached: \(error).")
        }
    }

    private func tlsConfiguration() -> TLSConfiguration {
        var configuration = TLSConfiguration.makeClientConfiguration()
        if !self.settings.verifiesCertificate { configuration.certificateVerification = .none }
        if let file = self.settings.authorityFile { configuration.trustRoots = .file(file) }
        return configuration
    }

    /// TLS knows names only, and names may not look like addresses (RFC 6066 section 3).
    private static func isAddress(_ host: String) -> Bool {
        (try? SocketAddress(ipAddress: host, port: 0)) != nil
    }
}
