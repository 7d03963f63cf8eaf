import Foundation

/// An answer as it stood on the wire.
package struct RawHTTPResponse: Sendable {
    /// How the body ended.
    package enum End: Sendable, Equatable {
        /// Its length was reached, or the last chunk came.
        case complete
        /// It had no length and the connection was closed in order.
        case closed
        /// The connection ended before the body did: an orderly close or a reset in the middle.
        case cut
    }

    package var status: Int
    /// Names in lower case, in the order sent.
    package var headers: [(name: String, value: String)]
    package var body: [UInt8]
    package var end: End

    package var text: String { String(decoding: self.body, as: UTF8.self) }
    package func header(_ name: String) -> String? { self.headers.first { $0.name == name }?.value }

    /// The body as JSON. `nil`: it is none.
    package var json: [String: Any]? {
        (try? JSONSerialization.jsonObject(with: Data(self.body))) as? [String: Any]
    }

    /// `error` of an answer in OpenAI's error shape: all four fields present, `message` a text. `nil`: another shape.
    package var openAIError: [String: Any]? {
        guard let error = self.json?["error"] as? [String: Any], error["message"] is String,
            error.keys.contains("type"), error.keys.contains("param"), error.keys.contains("code")
        else { return nil }
        return error
    }

    /// Data of the server-sent events in the body.
    package var events: [String] {
        self.text.components(separatedBy: "\n\n").filter { $0.hasPrefix("data: ") }.map {
            String($0.dropFirst(6))
        }
    }
}

/// The peer did something that no HTTP/1.1 server may do.
package struct HTTPViolation: Error, CustomStringConvertible {
    package let description: String
    package init(description: String) { self.description = description }
}

/// One HTTP/1.1 connection to a gateway that sends whatever bytes a test gives it and reads answers strictly.
/// Used by one thread at a time.
package final class RawHTTPClient {
    package let socket: StreamSocket
    private var buffer: [UInt8] = []
    private var position = 0

    package init(
        port: Int, receiveBufferBytes: Int32? = nil, within duration: Duration = .seconds(10)
    ) throws {
        self.socket = try StreamSocket.connect(
            port: port, receiveBufferBytes: receiveBufferBytes, within: duration)
    }

    /// One request on a connection of its own.
    package static func request(
        port: Int, _ method: String = "GET", _ path: String, headers: [String] = [],
        body: String? = nil,
        within duration: Duration = .seconds(30)
    ) throws -> RawHTTPResponse {
        let client = try RawHTTPClient(port: port, within: duration)
        defer { client.close() }
        try client.send(Self.bytes(method, path, headers: headers + ["Connection: close"], body: body))
        return try client.response(within: duration, hasBody: method != "HEAD")
    }

    /// A well-formed request; `Host`, and `Content-Type` and `Content-Length` for a body, are added.
    package static func bytes(
        _ method: String, _ path: String, headers: [String] = [], body: String? = nil
    ) -> [UInt8] {
        var lines = ["\(method) \(path) HTTP/1.1", "Host: 127.0.0.1"] + headers
        if let body {
            lines += ["Content-Type: application/json", "Content-Length: \(body.utf8.count)"]
        }
        return Array((lines.joined(separator: "\r\n") + "\r\n\r\n" + (body ?? "")).utf8)
    }

    package func send(_ bytes: some Collection<UInt8>, within duration: Duration = .seconds(30))
        throws
    {
        try self.socket.write(bytes, before: Deadline(within: duration))
    }

    package func send(_ text: String, within duration: Duration = .seconds(30)) throws {
        try self.send(Array(text.utf8), within: duration)
    }

    package func close() { self.socket.close() }

    /// Reads the next answer whole. Interim answers (1xx) are skipped but for `101`.
    package func response(
        within duration: Duration = .seconds(30), hasBody: Bool = true
    ) throws -> RawHTTPResponse {
        let deadline = Deadline(within: duration)
        var response = try self.head(before: deadline)
        while (100...199).contains(response.status), response.status != 101 {
            response = try self.head(before: deadline)
        }
        guard hasBody, response.status != 204, response.status != 304 else { return response }
        try self.readBody(of: &response, before: deadline)
        return response
    }

    /// Reads the next head, an interim one too; the body is left unread.
    package func head(before deadline: Deadline) throws -> RawHTTPResponse {
        var lines: [String] = []
        while true {
            let line = try self.line(before: deadline)
            if line.isEmpty { break }
            lines.append(line)
        }
        guard let statusLine = lines.first?.split(separator: " ", maxSplits: 2), statusLine.count >= 2,
            statusLine[0] == "HTTP/1.1", statusLine[1].count == 3, let status = Int(statusLine[1])
        else { throw HTTPViolation(description: "status line: \(lines.first ?? "(none)")") }
        var headers: [(name: String, value: String)] = []
        for line in lines.dropFirst() {
            guard let colon = line.firstIndex(of: ":"), colon != line.startIndex, !line.hasPrefix(" ")
            else {
                throw HTTPViolation(description: "header line: \(line)")
            }
            let value = line[line.index(after: colon)...].trimmingCharacters(in: .whitespaces)
            headers.append((line[..<colon].lowercased(), value))
        }
        return RawHTTPResponse(status: status, headers: headers, body: [], end: .complete)
    }

    /// The next run of body bytes of a chunked answer. `nil`: the last chunk came.
    package func chunk(before deadline: Deadline) throws -> [UInt8]? {
        let line = try self.line(before: deadline)
        guard let size = Int(line.prefix { $0 != ";" }, radix: 16), size >= 0 else {
            throw HTTPViolation(description: "chunk size: \(line)")
        }
        let data = try self.bytes(count: size, before: deadline)
        if size == 0 {
            while try !self.line(before: deadline).isEmpty {}
            return nil
        }
        guard try self.line(before: deadline).isEmpty else {
            throw HTTPViolation(description: "no line end behind a chunk")
        }
        return data
    }

    /// Exactly `count` bytes of a body.
    package func body(count: Int, before deadline: Deadline) throws -> [UInt8] {
        try self.bytes(count: count, before: deadline)
    }

    /// `true`: the peer ended the connection within `duration`, with nothing more to read.
    package func isClosed(within duration: Duration) -> Bool {
        guard self.position == self.buffer.count else { return false }
        do {
            return try self.socket.read(before: Deadline(within: duration)) == nil
        } catch let error as SocketError {
            return error.isReset
        } catch {
            return false
        }
    }

    // MARK: helpers

    private func readBody(of response: inout RawHTTPResponse, before deadline: Deadline) throws {
        let length = response.header("content-length")
        let isChunked = response.header("transfer-encoding")?.lowercased() == "chunked"
        if length != nil, isChunked { throw HTTPViolation(description: "an answer with both lengths") }
        do {
            if isChunked {
                while let chunk = try self.chunk(before: deadline) { response.body += chunk }
            } else if let length {
                guard let count = Int(length), count >= 0 else {
                    throw HTTPViolation(description: "Content-Length: \(length)")
                }
                while response.body.count < count {
                    response.body += try self.bytes(
                        count: min(count - response.body.count, 65536), before: deadline)
                }
            } else {
                response.end = .closed
                while let more = try self.more(before: deadline) { response.body += more }
            }
        } catch is ConnectionEnded {
            response.end = .cut
        } catch let error as SocketError where error.isReset {
            response.end = .cut
        }
    }

    /// The peer ended the connection where more bytes were due.
    package struct ConnectionEnded: Error, CustomStringConvertible {
        package var description: String { "the connection ended where an answer was due" }
    }

    private func line(before deadline: Deadline) throws -> String {
        var searched = self.position
        while true {
            if let end = self.buffer[searched...].firstIndex(of: UInt8(ascii: "\n")) {
                guard end > self.position, self.buffer[end - 1] == UInt8(ascii: "\r") else {
                    throw HTTPViolation(description: "a line that does not end in CRLF")
                }
                defer { self.position = end + 1 }
                return String(decoding: self.buffer[self.position..<(end - 1)], as: UTF8.self)
            }
            guard self.buffer.count - self.position < 65536 else {
                throw HTTPViolation(description: "a line of more than 64 KiB")
            }
            let pending = self.buffer.count - self.position
            try self.fill(before: deadline)
            searched = self.position + pending
        }
    }

    private func bytes(count: Int, before deadline: Deadline) throws -> [UInt8] {
        while self.buffer.count - self.position < count { try self.fill(before: deadline) }
        defer { self.position += count }
        return Array(self.buffer[self.position..<(self.position + count)])
    }

    /// What is buffered, or else the next bytes. `nil`: the connection was closed in order.
    private func more(before deadline: Deadline) throws -> [UInt8]? {
        if self.position < self.buffer.count {
            defer { self.position = self.buffer.count }
            return Array(self.buffer[self.position...])
        }
        return try self.socket.read(before: deadline)
    }

    private func fill(before deadline: Deadline) throws {
        if self.position > 0 {
            self.buffer.removeFirst(self.position)
            self.position = 0
        }
        guard let more = try self.socket.read(before: deadline) else { throw ConnectionEnded() }
        self.buffer += more
    }
}
