import Foundation
import Synchronization

/// Why an operation on a `StreamSocket` failed.
package enum SocketError: Error, CustomStringConvertible, Equatable {
    case timedOut(String)
    /// The peer reset the connection, or it broke: `errno` and what was tried.
    case failed(String, code: Int32)

    package var description: String {
        switch self {
        case .timedOut(let what): "timed out: \(what)"
        case .failed(let what, let code): "\(what): \(String(cString: strerror(code)))"
        }
    }

    /// The peer ended the connection without a proper end.
    package var isReset: Bool {
        if case .failed(_, let code) = self { return code == ECONNRESET || code == EPIPE }
        return false
    }
}

/// A TCP socket on the loopback interface for tests: blocking calls with deadlines, raw bytes. Descriptors are closed
/// on exec by `ChildProcess`, so a started gateway holds none of them.
package final class StreamSocket: Sendable {
    package let descriptor: Int32
    private let isClosed = Atomic<Bool>(false)

    private init(descriptor: Int32) { self.descriptor = descriptor }

    deinit { self.close() }

    /// Connects to `127.0.0.1:port`.
    /// - Parameter receiveBufferBytes: `SO_RCVBUF`; `nil`: the system's. Small ones make a slow reader bite at once.
    package static func connect(
        port: Int, receiveBufferBytes: Int32? = nil, within duration: Duration = .seconds(10)
    ) throws -> StreamSocket {
        let socket = try Self.make()
        if let receiveBufferBytes { socket.setOption(SOL_SOCKET, SO_RCVBUF, receiveBufferBytes) }
        socket.setOption(Int32(IPPROTO_TCP), TCP_NODELAY, 1)
        let result = Self.withLoopbackAddress(port: port) { Glibc.connect(socket.descriptor, $0, $1) }
        if result != 0 {
            guard errno == EINPROGRESS else {
                throw SocketError.failed("connect to port \(port)", code: errno)
            }
            try socket.waitFor(Int16(POLLOUT), Deadline(within: duration), "connect to port \(port)")
            var code: Int32 = 0
            var size = socklen_t(MemoryLayout<Int32>.size)
            getsockopt(socket.descriptor, SOL_SOCKET, SO_ERROR, &code, &size)
            guard code == 0 else { throw SocketError.failed("connect to port \(port)", code: code) }
        }
        return socket
    }

    /// Listens on `127.0.0.1`.
    /// - Parameter port: 0 for any free one; see `localPort`.
    package static func listen(port: Int = 0, backlog: Int32 = 4096) throws -> StreamSocket {
        let socket = try Self.make()
        socket.setOption(SOL_SOCKET, SO_REUSEADDR, 1)
        guard Self.withLoopbackAddress(port: port, { Glibc.bind(socket.descriptor, $0, $1) }) == 0
        else {
            throw SocketError.failed("bind port \(port)", code: errno)
        }
        guard Glibc.listen(socket.descriptor, backlog) == 0 else {
            throw SocketError.failed("listen", code: errno)
        }
        return socket
    }

    package var localPort: Int { Self.port(self.descriptor, getsockname) }

    /// Of a connection: the port at its other end.
    package var peerPort: Int { Self.port(self.descriptor, getpeername) }

    /// 0: `descriptor` has none.
    private static func port(
        _ descriptor: Int32, _ ask: (Int32, UnsafeMutablePointer<sockaddr>, UnsafeMutablePointer<socklen_t>) -> Int32
    ) -> Int {
        var address = sockaddr_in()
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let result = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { ask(descriptor, $0, &size) }
        }
        guard result == 0, Int32(address.sin_family) == AF_INET else { return 0 }
        return Int(UInt16(bigEndian: address.sin_port))
    }

    /// The next connection. `nil`: none came within `duration`, or the listener was closed.
    package func accept(within duration: Duration) throws -> StreamSocket? {
        guard !self.isClosed.load(ordering: .acquiring) else { return nil }
        guard (try? self.waitFor(Int16(POLLIN), Deadline(within: duration), "accept")) != nil else {
            return nil
        }
        let descriptor = Glibc.accept(self.descriptor, nil, nil)
        guard descriptor >= 0 else { return nil }
        let socket = StreamSocket(descriptor: descriptor)
        socket.makeNonBlocking()
        socket.setOption(Int32(IPPROTO_TCP), TCP_NODELAY, 1)
        return socket
    }

    /// The bytes that are there, at most `bytesMax`, waiting for the first. `nil`: the peer ended its side in order.
    package func read(bytesMax: Int = 65536, before deadline: Deadline) throws -> [UInt8]? {
        while true {
            var code: Int32 = 0
            var count = 0
            let bytes = [UInt8](unsafeUninitializedCapacity: bytesMax) { buffer, initialized in
                count = recv(self.descriptor, buffer.baseAddress, bytesMax, 0)
                code = errno
                initialized = max(0, count)
            }
            if count > 0 { return bytes }
            if count == 0 { return nil }
            guard code == EAGAIN || code == EINTR else { throw SocketError.failed("read", code: code) }
            try self.waitFor(Int16(POLLIN), deadline, "read")
        }
    }

    /// Writes all of `bytes`.
    package func write(_ bytes: some Collection<UInt8>, before deadline: Deadline) throws {
        let bytes = Array(bytes)
        var position = 0
        while position < bytes.count {
            let count = bytes.withUnsafeBytes {
                send(
                    self.descriptor, $0.baseAddress! + position, bytes.count - position, Int32(MSG_NOSIGNAL))
            }
            if count >= 0 {
                position += count
            } else if errno == EAGAIN || errno == EINTR {
                try self.waitFor(Int16(POLLOUT), deadline, "write")
            } else {
                throw SocketError.failed("write", code: errno)
            }
        }
    }

    package func write(_ text: String, before deadline: Deadline) throws {
        try self.write(Array(text.utf8), before: deadline)
    }

    /// POLLRDHUP, 0x2000 on Linux; Glibc's Swift module hides it behind _GNU_SOURCE.
    static let peerLeft: Int16 = 0x2000

    /// Waits for `duration` or until the peer's side ends. `true`: it ended or broke. Bytes that arrive are left unread.
    package func peerLeaves(within duration: Duration) -> Bool {
        var entry = pollfd(fd: self.descriptor, events: Self.peerLeft, revents: 0)
        return poll(&entry, 1, Deadline(within: duration).millisecondsLeft) > 0
    }

    /// Ends both directions without giving the descriptor back, so that a thread which uses it sees the end.
    package func shutdownBoth() { _ = Glibc.shutdown(self.descriptor, Int32(SHUT_RDWR)) }

    package func shutdownWrite() { _ = Glibc.shutdown(self.descriptor, Int32(SHUT_WR)) }

    /// Ends the connection with a reset instead of an orderly end.
    package func reset() {
        var option = linger(l_onoff: 1, l_linger: 0)
        setsockopt(
            self.descriptor, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
        self.close()
    }

    package func close() {
        guard !self.isClosed.exchange(true, ordering: .acquiringAndReleasing) else { return }
        _ = Glibc.close(self.descriptor)
    }

    /// Ends the connection, and comes back when the system has told its other end, which must be of this process: on a
    /// busy machine that may take a moment after `close`.
    package func closeAndArrive(isReset: Bool) throws {
        let (own, peer) = (self.localPort, self.peerPort)
        let ends = try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").compactMap { Int32($0) }
            .filter { Self.port($0, getsockname) == peer && Self.port($0, getpeername) == own }
        guard let end = ends.first, ends.count == 1 else {
            throw SocketError.failed("the other end of a connection, of \(ends.count)", code: ENOTCONN)
        }
        if isReset { self.reset() } else { self.close() }
        var entry = pollfd(fd: end, events: Self.peerLeft, revents: 0)
        guard poll(&entry, 1, 10_000) > 0 else { throw SocketError.timedOut("the end of a connection to arrive") }
    }

    // MARK: helpers

    private static func make() throws -> StreamSocket {
        let descriptor = Glibc.socket(
            AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw SocketError.failed("socket", code: errno) }
        let socket = StreamSocket(descriptor: descriptor)
        socket.makeNonBlocking()
        return socket
    }

    private func makeNonBlocking() {
        _ = fcntl(self.descriptor, F_SETFL, fcntl(self.descriptor, F_GETFL) | O_NONBLOCK)
        _ = fcntl(self.descriptor, F_SETFD, FD_CLOEXEC)
    }

    private func setOption(_ level: Int32, _ name: Int32, _ value: Int32) {
        var value = value
        setsockopt(self.descriptor, level, name, &value, socklen_t(MemoryLayout<Int32>.size))
    }

    private func waitFor(_ events: Int16, _ deadline: Deadline, _ what: String) throws {
        var entry = pollfd(fd: self.descriptor, events: events, revents: 0)
        while true {
            let count = poll(&entry, 1, deadline.millisecondsLeft)
            if count > 0 { return }
            if count < 0, errno == EINTR { continue }
            if deadline.hasPassed { throw SocketError.timedOut(what) }
        }
    }

    private static func withLoopbackAddress(
        port: Int, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32
    ) -> Int32 {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr = in_addr(s_addr: UInt32(0x7F00_0001).bigEndian)
        return withUnsafeBytes(of: &address) { bytes in
            body(bytes.assumingMemoryBound(to: sockaddr.self).baseAddress!, socklen_t(bytes.count))
        }
    }
}
