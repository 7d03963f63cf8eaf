import Foundation
import TestSupport

/// A provider every byte of whose answers a test writes by hand.
final class HandProvider: Sendable {
    private let listener: StreamSocket
    var port: Int { self.listener.localPort }

    init() throws { self.listener = try StreamSocket.listen() }

    /// The gateway's next connection.
    func accept() throws -> ProviderConnection {
        guard let socket = try self.listener.accept(within: .seconds(10)) else {
            throw DeadlinePassed("a connection of the gateway")
        }
        return ProviderConnection(socket)
    }

    /// A connection that has come already, or comes within `duration`. `nil`: none has.
    func acceptNow(within duration: Duration = .zero) throws -> ProviderConnection? {
        try self.listener.accept(within: duration).map { ProviderConnection($0) }
    }

    /// `true`: the gateway does not connect within `duration`.
    func staysUnused(for duration: Duration) throws -> Bool { try self.listener.accept(within: duration) == nil }

    func close() { self.listener.close() }
}

/// A request as the provider got it.
struct ProviderRequest {
    var head: String
    var body: [UInt8]

    var json: [String: Any] {
        ((try? JSONSerialization.jsonObject(with: Data(self.body))) as? [String: Any]) ?? [:]
    }

    func header(_ name: String) -> String? {
        for line in self.head.components(separatedBy: "\r\n").dropFirst() {
            let parts = line.split(separator: ":", maxSplits: 1)
            if parts.count == 2, parts[0].lowercased() == name {
                return parts[1].trimmingCharacters(in: .whitespaces)
            }
        }
        return nil
    }
}

/// One connection of the gateway, seen from its provider. Used by one thread at a time.
final class ProviderConnection {
    let socket: StreamSocket
    private var buffer: [UInt8] = []

    init(_ socket: StreamSocket) { self.socket = socket }

    /// The next whole request, which always has a length.
    func request() throws -> ProviderRequest {
        var request = try self.requestHead()
        let length = Int(request.header("content-length") ?? "") ?? 0
        while self.buffer.count < length { try self.fill() }
        request.body = Array(self.buffer[..<length])
        self.buffer.removeFirst(length)
        return request
    }

    /// The next request's head; its body is left unread.
    func requestHead() throws -> ProviderRequest {
        let end = Array("\r\n\r\n".utf8)
        while true {
            if let found = self.buffer.firstRange(of: end) {
                let head = String(decoding: self.buffer[..<found.upperBound], as: UTF8.self)
                self.buffer.removeFirst(found.upperBound)
                return ProviderRequest(head: head, body: [])
            }
            try self.fill()
        }
    }

    /// Waits a moment for bytes. `true`: some are there, or the gateway has closed the connection.
    var hasBytes: Bool {
        if !self.buffer.isEmpty { return true }
        var entry = pollfd(fd: self.socket.descriptor, events: Int16(POLLIN), revents: 0)
        return poll(&entry, 1, 5) > 0
    }

    private func fill() throws {
        guard let more = try self.socket.read(before: Deadline(within: .seconds(10))) else {
            throw DeadlinePassed("a whole request, but the gateway closed the connection")
        }
        self.buffer += more
    }

    func send(_ text: String) throws { try self.socket.write(text, before: Deadline(within: .seconds(20))) }

    func send(bytes: [UInt8]) throws { try self.socket.write(bytes, before: Deadline(within: .seconds(20))) }

    /// A whole answer in JSON.
    func answer(_ body: String, status: Int = 200, headers: [String] = []) throws {
        let lines = ["HTTP/1.1 \(status) Scripted", "Content-Type: application/json"] + headers
        try self.send((lines + ["Content-Length: \(body.utf8.count)"]).joined(separator: "\r\n") + "\r\n\r\n" + body)
    }

    /// The head of a stream, chunked.
    func startStream(type: String = "text/event-stream") throws {
        try self.send("HTTP/1.1 200 OK\r\nContent-Type: \(type)\r\nTransfer-Encoding: chunked\r\n\r\n")
    }

    func chunk(_ text: String) throws { try self.chunk(Array(text.utf8)) }

    func chunk(_ bytes: [UInt8]) throws {
        try self.send(bytes: Array("\(String(bytes.count, radix: 16))\r\n".utf8) + bytes + Array("\r\n".utf8))
    }

    /// An orderly end.
    func close() { self.socket.close() }
    /// An end by reset.
    func reset() { self.socket.reset() }

    /// `true`: the gateway ends the connection within `duration`.
    func isLeft(within duration: Duration = .seconds(10)) -> Bool { self.socket.peerLeaves(within: duration) }
}
