import Foundation
import Synchronization
import TestSupport

/// A server on the loopback interface that plays the parts of clouds: token servers and providers at once, told apart
/// by their paths. One thread per connection.
final class ScriptedCloud: Sendable {
    struct Request: Sendable {
        /// Method and target.
        var line: String
        var head: String
        var body: String

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

    struct Answer: Sendable {
        var status = 200
        var contentType = "application/json"
        var body: [UInt8]

        init(_ text: String, status: Int = 200) {
            self.status = status
            self.body = Array(text.utf8)
        }

        init(bytes: [UInt8], contentType: String) {
            self.body = bytes
            self.contentType = contentType
        }
    }

    let port: Int
    private let listener: StreamSocket
    private let answer: @Sendable (Request) -> Answer
    private let received = Mutex<[Request]>([])
    private let isStopping = Atomic<Bool>(false)

    /// - Parameter answer: what each request gets.
    init(_ answer: @escaping @Sendable (Request) -> Answer) throws {
        self.listener = try StreamSocket.listen()
        self.port = self.listener.localPort
        self.answer = answer
        Thread { [self] in
            while !self.isStopping.load(ordering: .relaxed) {
                guard let socket = try? self.listener.accept(within: .milliseconds(100)) else { continue }
                Thread { [self] in
                    defer { socket.close() }
                    try? self.serve(socket)
                }.start()
            }
        }.start()
    }

    deinit { self.listener.close() }

    var url: String { "http://127.0.0.1:\(self.port)" }

    /// Requests so far whose method and target begin so.
    func requests(_ start: String) -> [Request] {
        self.received.withLock { $0 }.filter { $0.line.hasPrefix(start) }
    }

    func stop() { self.isStopping.store(true, ordering: .relaxed) }

    private func serve(_ socket: StreamSocket) throws {
        var buffer: [UInt8] = []
        let end = Array("\r\n\r\n".utf8)
        func fill() throws -> Bool {
            guard let more = try socket.read(before: Deadline(within: .seconds(60))) else { return false }
            buffer += more
            return true
        }
        while !self.isStopping.load(ordering: .relaxed) {
            while buffer.firstRange(of: end) == nil { guard try fill() else { return } }
            guard let found = buffer.firstRange(of: end) else { return }
            let head = String(decoding: buffer[..<found.upperBound], as: UTF8.self)
            buffer.removeFirst(found.upperBound)
            var request = Request(line: "", head: head, body: "")
            request.line = String(head.prefix { $0 != "\r\n" }).replacing(" HTTP/1.1", with: "")
            let length = Int(request.header("content-length") ?? "") ?? 0
            while buffer.count < length { guard try fill() else { return } }
            request.body = String(decoding: buffer[..<length], as: UTF8.self)
            buffer.removeFirst(length)
            self.received.withLock { $0.append(request) }
            let answer = self.answer(request)
            let lines =
                "HTTP/1.1 \(answer.status) Scripted\r\nContent-Type: \(answer.contentType)\r\n"
                + "Content-Length: \(answer.body.count)\r\n\r\n"
            try socket.write(Array(lines.utf8) + answer.body, before: Deadline(within: .seconds(20)))
        }
    }
}
