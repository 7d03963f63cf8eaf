import NIOCore
import NIOEmbedded
import NIOSSL
import TestSupport

/// A caller that speaks TLS and says itself when which bytes go to the socket. Used by one thread.
final class TLSClient {
    let socket: StreamSocket
    private let channel = EmbeddedChannel()
    /// Plain bytes that have come.
    private(set) var received: [UInt8] = []

    /// Connects; the handshake begins with `pump`.
    init(port: Int) throws {
        self.socket = try StreamSocket.connect(port: port)
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.certificateVerification = .none
        let context = try NIOSSLContext(configuration: configuration)
        try self.channel.pipeline.syncOperations.addHandler(NIOSSLClientHandler(context: context, serverHostname: nil))
        self.channel.connect(to: try SocketAddress(ipAddress: "127.0.0.1", port: port), promise: nil)
    }

    deinit {
        self.channel.close(promise: nil)
        // Nobody answers that any more: the time that TLS waits for it passes at once.
        self.channel.embeddedEventLoop.advanceTime(by: .seconds(60))
    }

    /// The server has said that it is done, or broke off.
    var isEnded: Bool { !self.channel.isActive }

    /// Bytes that are to go out next, as records.
    func takeOutgoing() throws -> [UInt8] {
        var bytes: [UInt8] = []
        while let buffer = try self.channel.readOutbound(as: ByteBuffer.self) { bytes += buffer.readableBytesView }
        return bytes
    }

    /// Encrypts `text` without sending it.
    func queue(_ text: String) { self.channel.writeAndFlush(ByteBuffer(string: text), promise: nil) }

    /// Sends what is to go out, and takes in what the server sends until `isDone`, or it ends the connection.
    func pump(_ isDone: (TLSClient) -> Bool) throws {
        let deadline = Deadline(within: .seconds(20))
        try self.socket.write(try self.takeOutgoing(), before: deadline)
        while !isDone(self), !self.isEnded {
            guard let bytes = try self.socket.read(before: deadline) else {
                self.channel.pipeline.fireChannelInactive()
                return
            }
            _ = try self.channel.writeInbound(ByteBuffer(bytes: bytes))
            while let buffer = try self.channel.readInbound(as: ByteBuffer.self) {
                self.received += buffer.readableBytesView
            }
            try? self.socket.write(try self.takeOutgoing(), before: deadline)
        }
    }

    var text: String { String(decoding: self.received, as: UTF8.self) }

    /// Forgets what has been received so far.
    func forget() { self.received = [] }
}
