import Foundation

/// One connection of the scripted upstream: reads requests, plays the script of each.
final class ScriptedUpstreamConnection {
    /// The script is over and the connection with it.
    private struct Hangup: Error {}
    /// The gateway left before the answer was out.
    private struct Abandoned: Error {}

    private let upstream: ScriptedUpstream
    private let socket: StreamSocket
    private var buffer: [UInt8] = []
    private var closesWhenReused = false

    init(upstream: ScriptedUpstream, socket: StreamSocket) {
        self.upstream = upstream
        self.socket = socket
    }

    func run() {
        defer { self.socket.close() }
        do {
            while try self.serveOne() {}
        } catch is Hangup {
            return
        } catch {
            return  // the gateway left, or the upstream stops
        }
    }

    /// Reads and answers one request. `false`: the gateway closed the connection between requests.
    private func serveOne() throws -> Bool {
        guard let head = try self.readHead() else { return false }
        if self.closesWhenReused { throw Hangup() }
        let fields = head.split(separator: "\r\n").dropFirst().map(String.init)
        if self.upstream.scripts.values.contains(where: {
            if case .earlyAnswer = $0 { true } else { false }
        }),
            let length = Self.value(of: "content-length", in: fields).flatMap({ Int($0) }),
            length > 100_000
        {
            try self.answerEarly(head: head, bodyBytes: length)
            return true
        }
        let body = try self.readBody(fields)
        let object = (try? JSONSerialization.jsonObject(with: Data(body))) as? [String: Any] ?? [:]
        let model = object["model"] as? String ?? ""
        let call = self.upstream.received { sequence in
            UpstreamCall(
                sequence: sequence, path: String(head.split(separator: " ").dropFirst().first ?? ""),
                model: model,
                user: object["user"] as? String, isStream: object["stream"] as? Bool ?? false, head: head,
                body: body)
        }
        do {
            try self.play(self.upstream.scripts[model], call, object)
            self.upstream.update(call.sequence) { $0.state = .answered }
        } catch let error as Hangup {
            self.upstream.update(call.sequence) { $0.state = .answered }
            throw error
        } catch {
            self.upstream.update(call.sequence) { $0.state = .abandoned }
            throw error
        }
        return true
    }

    private func play(_ script: UpstreamScript?, _ call: UpstreamCall, _ object: [String: Any]) throws {
        switch script {
        case nil: try self.sendError(404, message: "The model `\(call.model)` does not exist")
        case .answer(let framing, let padBytes):
            try self.sendAnswer(call, object, padBytes: padBytes, framing: framing)
        case .slowAnswer(let milliseconds):
            try self.pause(milliseconds)
            try self.sendAnswer(call, object)
        case .answerWithoutUsage: try self.sendAnswer(call, object, reportsUsage: false)
        case .detailedAnswer: try self.sendAnswer(call, object, cachedTokens: 500, reasoningTokens: 7)
        case .heldAnswer:
            guard self.upstream.gate.wait(or: self.socket) else { throw Abandoned() }
            try self.sendAnswer(call, object)
        case .silent:
            while !self.upstream.isStopped { try self.pause(100) }
            throw Hangup()
        case .stream, .streamWithoutUsage, .heldStream, .cutStream, .errorInStream:
            try self.playStream(script!, call, object)
        case .status(let status, let retryAfter):
            try self.sendError(status, message: "scripted", retryAfterSeconds: retryAfter)
        case .failsFirst(let times):
            if self.upstream.attempts(of: call.model) <= times {
                try self.sendError(500, message: "scripted failure")
            } else {
                try self.sendAnswer(call, object)
            }
        case .closesWithoutAnswer: throw Hangup()
        case .cutInHead:
            try self.sendRaw("HTTP/1.1 200 OK\r\nContent-Type: application/js", thenHangUp: true)
        case .cutInBody:
            try self.sendRaw(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n{\"id\":\"x\",",
                thenHangUp: true)
        case .closesWhenReused:
            try self.sendAnswer(call, object)
            self.closesWhenReused = true
        case .closesAfterAnswer:
            try self.sendAnswer(call, object)
            throw Hangup()
        case .invalidChunking, .bothLengths, .headerInjection, .notJSON: try self.playMalformed(script!)
        case .earlyAnswer: try self.sendError(400, message: "scripted early answer")
        }
    }

    // MARK: answers

    private func playMalformed(_ script: UpstreamScript) throws {
        let json = "{\"object\":\"chat.completion\",\"choices\":[]}"
        switch script {
        case .invalidChunking:
            try self.sendRaw(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n{}\r\n",
                thenHangUp: true)
        case .bothLengths:
            try self.sendRaw(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: \(json.utf8.count)\r\n"
                    + "Transfer-Encoding: chunked\r\n\r\n\(json)", thenHangUp: true)
        case .headerInjection:
            try self.sendRaw(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nx-ratelimit-remaining: 1\rX-Evil: yes\r\n"
                    + "x-request-id: a\nX-Evil: yes\r\nContent-Length: \(json.utf8.count)\r\n\r\n\(json)",
                thenHangUp: true)
        default:
            try self.sendRaw(
                "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 15\r\n\r\n<html>no</html>",
                thenHangUp: false)
        }
    }

    private func sendAnswer(
        _ call: UpstreamCall, _ object: [String: Any], padBytes: Int = 0,
        framing: UpstreamScript.Framing = .contentLength, reportsUsage: Bool = true,
        cachedTokens: Int = 0,
        reasoningTokens: Int = 0
    ) throws {
        var usage = UpstreamUsage(
            promptTokens: 1000 + call.sequence, completionTokens: 11, cachedTokens: cachedTokens,
            reasoningTokens: reasoningTokens)
        let text = "Hello from upstream" + String(repeating: "x", count: padBytes)
        let content: String
        if call.path.hasSuffix("/embeddings") {
            usage.completionTokens = 0
            content = "\"object\":\"list\",\"data\":[\(Self.embeddings(object))]"
        } else if call.path.hasSuffix("/chat/completions") {
            content =
                "\"object\":\"chat.completion\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\","
                + "\"content\":\"\(text)\"},\"finish_reason\":\"stop\"}]"
        } else {
            content =
                "\"object\":\"text_completion\",\"choices\":[{\"index\":0,\"text\":\"\(text)\","
                + "\"logprobs\":null,\"finish_reason\":\"stop\"}]"
        }
        let body =
            "{\"id\":\"up-\(call.sequence)\",\"created\":1700000000,\"model\":\"\(call.model)\",\(content)"
            + (reportsUsage ? ",\"usage\":\(usage.json)}" : "}")
        if reportsUsage { self.upstream.update(call.sequence) { $0.reportedUsage = usage } }
        let head =
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nx-ratelimit-remaining-requests: 42\r\n"
        switch framing {
        case .contentLength:
            try self.sendRaw(
                "\(head)Content-Length: \(body.utf8.count)\r\n\r\n\(body)", thenHangUp: false)
        case .chunked:
            let half = body.utf8.count / 2
            let parts = [body.utf8.prefix(half), body.utf8.dropFirst(half)]
            let chunks = parts.map { Self.chunk(String(decoding: $0, as: UTF8.self)) }.joined()
            try self.sendRaw(
                "\(head)Transfer-Encoding: chunked\r\n\r\n\(chunks)0\r\n\r\n", thenHangUp: false)
        case .untilClose:
            try self.sendRaw("\(head)Connection: close\r\n\r\n\(body)", thenHangUp: true)
        }
    }

    /// Two-dimensional vectors, one per input: `[0.25, -0.5]` as floats or as base64 of little-endian floats.
    private static func embeddings(_ object: [String: Any]) -> String {
        let count = (object["input"] as? [Any])?.count ?? 1
        let isBase64 = object["encoding_format"] as? String == "base64"
        let vector = isBase64 ? "\"AACAPgAAAL8=\"" : "[0.25,-0.5]"
        return (0..<count).map { "{\"object\":\"embedding\",\"index\":\($0),\"embedding\":\(vector)}" }
            .joined(separator: ",")
    }

    private func sendError(_ status: Int, message: String, retryAfterSeconds: Int? = nil) throws {
        let body =
            "{\"error\":{\"message\":\"\(message)\",\"type\":\"scripted_error\",\"param\":null,\"code\":\"scripted\"}}"
        let retry = retryAfterSeconds.map { "Retry-After: \($0)\r\n" } ?? ""
        try self.sendRaw(
            "HTTP/1.1 \(status) Scripted\r\nContent-Type: application/json\r\n\(retry)"
                + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)", thenHangUp: false)
    }

    private func answerEarly(head: String, bodyBytes: Int) throws {
        let call = self.upstream.received { sequence in
            UpstreamCall(
                sequence: sequence, path: "", model: "early", user: nil, isStream: false, head: head,
                body: [])
        }
        try self.sendError(400, message: "scripted early answer")
        self.upstream.update(call.sequence) { $0.state = .answered }
        // The rest of the body is still taken, as a server does that keeps the connection.
        while self.buffer.count < bodyBytes {
            guard let more = try self.socket.read(before: Deadline(within: .seconds(30))) else {
                throw Hangup()
            }
            self.buffer += more
        }
        self.buffer.removeFirst(bodyBytes)
    }

    // MARK: streams

    private func playStream(_ script: UpstreamScript, _ call: UpstreamCall, _ object: [String: Any])
        throws
    {
        let asksUsage = (object["stream_options"] as? [String: Any])?["include_usage"] as? Bool ?? false
        var (events, gap, eventBytes, heldAfter, cutAfter, errorAfter) = (0, 0, 5, -1, -1, -1)
        var reportsUsage = asksUsage
        switch script {
        case .stream(let count, let gapMilliseconds, let bytes):
            (events, gap, eventBytes) = (count, gapMilliseconds, bytes)
        case .streamWithoutUsage(let count): (events, reportsUsage) = (count, false)
        case .heldStream(let count, let beforeGate): (events, heldAfter) = (count, beforeGate)
        case .cutStream(let after): (events, cutAfter) = (after + 1, after)
        case .errorInStream(let after): (events, errorAfter) = (after + 1, after)
        default: preconditionFailure("\(script) is no stream")
        }
        try self.write(
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for index in 0..<events {
            if index == heldAfter, !self.upstream.gate.wait(or: self.socket) { throw Abandoned() }
            if index == cutAfter { throw Hangup() }
            if index == errorAfter {
                let error =
                    "data: {\"error\":{\"message\":\"scripted\",\"type\":\"server_error\",\"code\":null}}\n\n"
                try self.write(Self.chunk(error) + "0\r\n\r\n")
                return
            }
            if index > 0, gap > 0 { try self.pause(gap) }
            let text = String(repeating: "t", count: max(1, eventBytes))
            try self.write(Self.chunk(Self.event(call, delta: text, finish: nil)))
            self.upstream.update(call.sequence) { $0.eventsSent += 1 }
        }
        var tail = Self.chunk(Self.event(call, delta: nil, finish: "stop"))
        if reportsUsage {
            let usage = UpstreamUsage(promptTokens: 1000 + call.sequence, completionTokens: events)
            self.upstream.update(call.sequence) { $0.reportedUsage = usage }
            tail += Self.chunk(
                "data: {\"id\":\"up-\(call.sequence)\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,"
                    + "\"model\":\"\(call.model)\",\"choices\":[],\"usage\":\(usage.json)}\n\n")
        }
        try self.write(tail + Self.chunk("data: [DONE]\n\n") + "0\r\n\r\n")
    }

    private static func event(_ call: UpstreamCall, delta: String?, finish: String?) -> String {
        let ending = "\"finish_reason\":\(finish.map { "\"\($0)\"" } ?? "null")"
        let start =
            "data: {\"id\":\"up-\(call.sequence)\",\"created\":1700000000,\"model\":\"\(call.model)\","
        if call.path.hasSuffix("/chat/completions") {
            let content = delta.map { "{\"content\":\"\($0)\"}" } ?? "{}"
            return start
                + "\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":\(content),\(ending)}]}\n\n"
        }
        return start
            + "\"object\":\"text_completion\",\"choices\":[{\"index\":0,\"text\":\"\(delta ?? "")\",\(ending)}]}\n\n"
    }

    private static func chunk(_ text: String) -> String {
        text.isEmpty ? "" : "\(String(text.utf8.count, radix: 16))\r\n\(text)\r\n"
    }

    // MARK: the wire

    private func sendRaw(_ text: String, thenHangUp: Bool) throws {
        try self.write(text)
        if thenHangUp { throw Hangup() }
    }

    private func write(_ text: String) throws {
        do {
            try self.socket.write(text, before: Deadline(within: .seconds(120)))
        } catch {
            throw Abandoned()
        }
    }

    /// Waits, and notices when the gateway leaves meanwhile.
    private func pause(_ milliseconds: Int) throws {
        if self.socket.peerLeaves(within: .milliseconds(milliseconds)) { throw Abandoned() }
    }

    /// The head with its blank line, taken from the buffer. `nil`: the connection was closed between requests.
    private func readHead() throws -> String? {
        while true {
            if let end = Self.position(of: Array("\r\n\r\n".utf8), in: self.buffer) {
                defer { self.buffer.removeFirst(end + 4) }
                return String(decoding: self.buffer[..<(end + 4)], as: UTF8.self)
            }
            if self.closesWhenReused, !self.buffer.isEmpty { throw Hangup() }
            guard let more = try self.socket.read(before: Deadline(within: .seconds(600))) else {
                if self.buffer.isEmpty { return nil }
                throw Hangup()
            }
            self.buffer += more
        }
    }

    private func readBody(_ fields: [String]) throws -> [UInt8] {
        if Self.value(of: "transfer-encoding", in: fields)?.lowercased() == "chunked" {
            var body: [UInt8] = []
            while true {
                let size = Int(try self.readLine(), radix: 16) ?? 0
                body += try self.take(size)
                _ = try self.readLine()
                if size == 0 { return body }
            }
        }
        return try self.take(Self.value(of: "content-length", in: fields).flatMap { Int($0) } ?? 0)
    }

    private func take(_ count: Int) throws -> [UInt8] {
        while self.buffer.count < count { try self.fill() }
        defer { self.buffer.removeFirst(count) }
        return Array(self.buffer[..<count])
    }

    private func readLine() throws -> String {
        while true {
            if let end = Self.position(of: Array("\r\n".utf8), in: self.buffer) {
                defer { self.buffer.removeFirst(end + 2) }
                return String(decoding: self.buffer[..<end], as: UTF8.self)
            }
            try self.fill()
        }
    }

    private func fill() throws {
        guard let more = try self.socket.read(before: Deadline(within: .seconds(120))) else {
            throw Abandoned()
        }
        self.buffer += more
    }

    private static func value(of name: String, in fields: [String]) -> String? {
        let field = fields.first { $0.lowercased().hasPrefix(name + ":") }
        return field.map { $0.dropFirst(name.count + 1).trimmingCharacters(in: .whitespaces) }
    }

    private static func position(of needle: [UInt8], in bytes: [UInt8]) -> Int? {
        guard bytes.count >= needle.count else { return nil }
        return (0...(bytes.count - needle.count)).first { start in
            bytes[start] == needle[0] && bytes[start..<(start + needle.count)].elementsEqual(needle)
        }
    }
}
