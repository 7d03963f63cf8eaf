import Foundation
import Synchronization
import TestSupport

/// Passes bytes on between clients and the server. On demand it lets a statement through and swallows the answer, then
/// breaks the connection: what a client sees when the network fails just after a commit. Or it says an answer twice, as
/// no network does, but a faulty pooler might.
final class ReplyDroppingProxy: Sendable {
    private struct State {
        var dropsNextReply = false
        var dropped = 0
        var repeatsNextReply = false
        var clients: Set<Int32> = []
        var clientsMax = 0
        var isStopped = false
    }

    let port: UInt16
    private let listener: Int32
    private let serverPort: UInt16
    private let state = Mutex(State())

    var dropped: Int { self.state.withLock { $0.dropped } }
    /// Clients that had not hung up when another one came, with it; the most of them at any time.
    var clientsMax: Int { self.state.withLock { $0.clientsMax } }

    init(serverPort: UInt16) throws {
        self.serverPort = serverPort
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        self.listener = listener
        var address = Self.loopback(0)
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let code = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                bind(listener, pointer, length) == 0 && listen(listener, 16) == 0
                    ? getsockname(listener, pointer, &length) : -1
            }
        }
        guard code == 0 else { throw DeadlinePassed("a port for the proxy") }
        self.port = UInt16(bigEndian: address.sin_port)
        let thread = Thread { [self] in self.accept() }
        thread.start()
    }

    /// The next answer that the server gives, to anything but the making of a connection, is lost.
    func dropNextReply() { self.state.withLock { $0.dropsNextReply = true } }

    /// The next answer that the server gives is said twice, the second time as if it were the answer to what is asked next.
    func repeatNextReply() { self.state.withLock { $0.repeatsNextReply = true } }

    func stop() {
        self.state.withLock { $0.isStopped = true }
        shutdown(self.listener, Int32(SHUT_RDWR))
        close(self.listener)
    }

    private static func loopback(_ port: UInt16) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        return address
    }

    private func accept() {
        while true {
            let client = Glibc.accept(self.listener, nil, nil)
            if client < 0 { return }
            self.state.withLock { state in
                state.clients.insert(client)
                state.clientsMax = max(state.clientsMax, state.clients.count { !Self.hasHungUp($0) })
            }
            let thread = Thread { [self] in self.relay(client) }
            thread.start()
        }
    }

    /// The kernel knows it before the thread of that client does.
    private static func hasHungUp(_ client: Int32) -> Bool {
        let hangUp = Int16(0x2000)  // POLLRDHUP
        var entry = pollfd(fd: client, events: hangUp, revents: 0)
        return poll(&entry, 1, 0) > 0 && entry.revents & (hangUp | Int16(POLLHUP | POLLERR)) != 0
    }

    private func relay(_ client: Int32) {
        let server = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer {
            self.state.withLock { _ = $0.clients.remove(client) }
            close(client)
            close(server)
        }
        var address = Self.loopback(self.serverPort)
        let connected = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(server, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        if connected != 0 { return }
        var buffer = [UInt8](repeating: 0, count: 65_536)
        var repeated: [UInt8] = []
        while !self.state.withLock({ $0.isStopped }) {
            var entries = [
                pollfd(fd: client, events: Int16(POLLIN), revents: 0),
                pollfd(fd: server, events: Int16(POLLIN), revents: 0),
            ]
            if poll(&entries, 2, 100) <= 0 { continue }
            for (from, to) in [(0, server), (1, client)] where entries[from].revents != 0 {
                let count = recv(entries[from].fd, &buffer, buffer.count, 0)
                if count <= 0 { return }
                if from == 1 && self.takesReply() { return }
                if from == 1, self.repeatsReply() {
                    repeated = Array(buffer[..<count])
                } else if from == 0, !repeated.isEmpty {
                    guard Self.pass(repeated, to: client) else { return }
                    repeated = []
                }
                guard Self.pass(Array(buffer[..<count]), to: to) else { return }
            }
        }
    }

    private static func pass(_ bytes: [UInt8], to end: Int32) -> Bool {
        var sent = 0
        while sent < bytes.count {
            let more = bytes.withUnsafeBytes { send(end, $0.baseAddress! + sent, bytes.count - sent, 0x4000) }
            if more <= 0 { return false }
            sent += more
        }
        return true
    }

    private func repeatsReply() -> Bool {
        self.state.withLock { state in
            defer { state.repeatsNextReply = false }
            return state.repeatsNextReply
        }
    }

    private func takesReply() -> Bool {
        self.state.withLock { state in
            guard state.dropsNextReply else { return false }
            state.dropsNextReply = false
            state.dropped += 1
            return true
        }
    }
}
