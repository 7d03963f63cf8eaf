import Foundation
import Synchronization
import TestSupport

/// Answers as a sentinel does that knows one service.
final class FixedSentinel: Sendable {
    let port: Int
    private let socket: StreamSocket
    private let service: String
    private let primary: Mutex<Int?>

    init(service: String, port: Int) throws {
        self.socket = try StreamSocket.listen()
        self.port = self.socket.localPort
        self.service = service
        self.primary = Mutex(port)
        let thread = Thread { [self] in self.serve() }
        thread.start()
    }

    /// From now on the primary is at this port.
    func lead(to port: Int) { self.primary.withLock { $0 = port } }

    func stop() { self.primary.withLock { $0 = nil } }

    private func serve() {
        while let port = self.primary.withLock({ $0 }) {
            guard let connection = try? self.socket.accept(within: .milliseconds(100)) else { continue }
            let deadline = Deadline(within: .seconds(2))
            let request = (try? connection.read(before: deadline)) ?? []
            let isKnown = String(decoding: request, as: UTF8.self).contains("\r\n\(self.service)\r\n")
            let answer = "*2\r\n$9\r\n127.0.0.1\r\n$\("\(port)".utf8.count)\r\n\(port)\r\n"
            try? connection.write(isKnown ? answer : "*-1\r\n", before: deadline)
            connection.close()
        }
        self.socket.close()
    }
}
