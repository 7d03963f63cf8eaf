import GatewayWire
import TestSupport
import Testing

private func parse(_ text: String) -> ResponseHeadParse {
    withGuarded(text) { HTTPParser.parseResponseHead($0, limits: HTTPLimits()) }
}

private func fault(_ text: String) -> HTTPFault? {
    guard case .malformed(let fault) = parse(text) else { return nil }
    return fault
}

private func head(_ text: String) -> ResponseHead? {
    guard case .complete(let head) = parse(text) else { return nil }
    return head
}

@Suite("A response head", .ownThread)
struct ResponseHeadTests {
    static let good = [
        "HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200\r\n\r\n", "HTTP/1.1 200 \r\n\r\n", "HTTP/1.0 404 Not Found\r\n\r\n",
        "HTTP/1.1 200 Tr\u{e8}s bien\t!\r\nX: \u{e9}\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 12\r\nContent-Length: 12\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: text/event-stream\r\n\r\n",
    ]

    @Test("is complete with its blank line and not a byte earlier", arguments: good)
    func cuts(text: String) {
        let bytes = Array(text.utf8)
        for count in 0..<bytes.count {
            let result = withGuarded(bytes[..<count]) { HTTPParser.parseResponseHead($0, limits: HTTPLimits()) }
            guard case .incomplete = result else {
                Issue.record("cut at \(count): \(result)")
                return
            }
        }
        #expect(head(text)?.headBytes == bytes.count)
    }

    @Test("gives its fields, and its headers one by one")
    func fields() {
        let text =
            "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\nContent-Type: application/json\r\n"
            + "Content-Length: 99\r\nContent-Encoding: br\r\nConnection: close\r\n"
            + "X-RateLimit-Limit: 10 \r\nE:\r\n\r\nE: 1"
        withGuarded(text) { bytes in
            guard case .complete(let head) = HTTPParser.parseResponseHead(bytes, limits: HTTPLimits()) else {
                Issue.record("not complete")
                return
            }
            #expect(head.status == 429 && head.isHTTP11 && !head.keepAlive && !head.isEventStream)
            #expect(head.contentLength == 99 && !head.isChunked)
            #expect(bytes.text(head.retryAfter) == "7")
            #expect(bytes.text(head.contentType) == "application/json")
            #expect(bytes.text(head.contentEncoding) == "br")
            var iterator = HeaderIterator(bytes, headBytes: head.headBytes)
            var lines: [String] = []
            while let (name, value) = iterator.next() { lines.append("\(bytes.text(name))=\(bytes.text(value))") }
            #expect(
                lines == [
                    "Retry-After=7", "Content-Type=application/json", "Content-Length=99", "Content-Encoding=br",
                    "Connection=close", "X-RateLimit-Limit=10", "E=",
                ])
        }
    }

    @Test(
        "knows an event stream",
        arguments: [
            ("text/event-stream", true), ("Text/Event-Stream; charset=utf-8", true), ("text/event-stream ;x", true),
            ("text/event-streams", false), ("text/event", false), ("application/json", false), ("", false),
        ])
    func eventStream(type: String, expected: Bool) {
        #expect(head("HTTP/1.1 200 OK\r\nContent-Type: \(type)\r\n\r\n")?.isEventStream == expected)
    }

    @Test("without a body is known by its status", arguments: [(100, true), (204, true), (304, true), (200, false)])
    func noBody(status: Int, expected: Bool) {
        #expect(head("HTTP/1.1 \(status) X\r\n\r\n")?.hasNoBody == expected)
        #expect(head("HTTP/1.1 \(status) X\r\n\r\n")?.isInterim == (status == 100))
    }

    static let bad: [(String, HTTPFault)] = [
        ("SSH-2.0-OpenSSH", .badStatusLine), ("HTTP/1.1 20x OK\r\n", .badStatusLine),
        ("HTTP/1.1 099 OK\r\n", .badStatusLine), ("HTTP/1.1 600 OK\r\n", .badStatusLine),
        ("HTTP/1.1 2000 OK\r\n", .badStatusLine), ("HTTP/2.0 200 OK\r\n", .unsupportedVersion),
        ("HTTP/1.1  200 OK\r\n", .badStatusLine), ("HTTP/1.1 200 OK\nX: 1\r\n", .badLineEnd),
        ("HTTP/1.1 200 O\0K\r\n", .badStatusLine), ("HTTP/1.1 200 OK\r\nX: 1\n\r\n", .badLineEnd),
        ("HTTP/1.1 200 OK\r\nX: 1\r\n 2\r\n\r\n", .foldedHeader),
        ("HTTP/1.1 200 OK\r\nX: a\0\r\n\r\n", .badHeaderValue),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", .repeatedContentLength),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1,1\r\n\r\n", .badContentLength),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", .lengthAndChunked),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", .unsupportedTransferCoding),
        ("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", .transferCodingOnHTTP10),
    ]

    @Test("is refused", arguments: bad)
    func refused(text: String, expected: HTTPFault) { #expect(fault(text) == expected) }
}

@Suite("A header name", .ownThread)
struct HeaderNameTests {
    @Test(
        "is compared without regard to case",
        arguments: [
            ("X-RateLimit", "x-ratelimit", true), ("x-ratelimit-", "x-ratelimit", false),
            ("x_ratelimit", "x-ratelimit", false),
            ("", "", true), ("[", "{", false),
        ])
    func equality(name: String, lowercase: String, expected: Bool) {
        withGuarded(name) { bytes in
            let range = ByteRange(0, bytes.count)
            switch lowercase {
            case "x-ratelimit":
                #expect(HeaderName.equals(bytes, range, "x-ratelimit") == expected)
                #expect(HeaderName.hasPrefix(bytes, range, "x-rate") == name.lowercased().hasPrefix("x-rate"))
            case "{": #expect(!HeaderName.equals(bytes, range, "{"))
            default: #expect(HeaderName.equals(bytes, range, ""))
            }
        }
    }
}

@Suite("A decimal in raw memory", .ownThread)
struct HTTPTextTests {
    @Test("reads like the number", arguments: [0, 7, 10, 99, 100, 12_345, 999_999_999_999, Int64.max, -1, Int64.min])
    func decimals(value: Int64) {
        let text = withUnsafeTemporaryAllocation(byteCount: HTTPText.decimalBytesMax, alignment: 1) { buffer in
            let count = HTTPText.writeDecimal(value, to: buffer)
            return String(decoding: buffer[..<count], as: UTF8.self)
        }
        #expect(text == String(value))
    }
}
