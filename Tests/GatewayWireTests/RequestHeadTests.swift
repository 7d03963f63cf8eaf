import GatewayWire
import TestSupport
import Testing

private func parse(_ text: String, _ limits: HTTPLimits = HTTPLimits()) -> RequestHeadParse {
    withGuarded(text) { HTTPParser.parseRequestHead($0, limits: limits) }
}

/// `nil`: incomplete or complete.
private func fault(_ text: String, _ limits: HTTPLimits = HTTPLimits()) -> HTTPFault? {
    guard case .malformed(let fault) = parse(text, limits) else { return nil }
    return fault
}

private func head(_ text: String) -> RequestHead? {
    guard case .complete(let head) = parse(text) else { return nil }
    return head
}

private let post = "POST /v1/chat/completions HTTP/1.1\r\n"

@Suite("A request head", .ownThread)
struct RequestHeadTests {
    static let good = [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /v1/models?x=%20y HTTP/1.1\r\nhost:a:8080\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",
        "GET http://example.com/v1/models HTTP/1.1\r\nHost: other\r\n\r\n",
        "BREW /pot HTTP/1.1\r\nHost: a\r\nX-Empty:\r\nX-Tab: a\tb \t\r\nX-Latin: \u{e9}\r\n\r\n",
        post + "Host: a\r\nContent-Length: 0\r\nContent-Type: application/json; charset=utf-8\r\n\r\n",
        post + "Host: a\r\nTransfer-Encoding: Chunked\r\nExpect: 100-Continue\r\nConnection: close\r\n\r\n",
        post + "Host: a\r\nauthorization: Bearer sk-1\r\nx-api-key: k\r\napi-key: l\r\nx-goog-api-key: m\r\n\r\n",
    ]

    @Test("is complete with its blank line and not a byte earlier", arguments: good)
    func cuts(text: String) {
        let bytes = Array(text.utf8)
        for count in 0..<bytes.count {
            let result = withGuarded(bytes[..<count]) { HTTPParser.parseRequestHead($0, limits: HTTPLimits()) }
            guard case .incomplete = result else {
                Issue.record("cut at \(count): \(result)")
                return
            }
        }
        #expect(head(text)?.headBytes == bytes.count)
        #expect(head(text + "{\"model\":1}")?.headBytes == bytes.count, "what follows is not looked at")
    }

    @Test("gives the fields of a call of an official client")
    func fields() {
        let text =
            post + "Host: localhost:4000\r\nAccept: application/json\r\nContent-Type:application/json\r\n"
            + "Authorization:  Bearer sk-1234 \t\r\nContent-Length: 305\r\nConnection: keep-alive, TE\r\n"
            + "x-litellm-call-id: c1\r\ntraceparent: 00-ab-cd-01\r\nContent-Encoding: gzip\r\nUpgrade: h2c\r\n\r\n"
        withGuarded(text) { bytes in
            guard case .complete(let head) = HTTPParser.parseRequestHead(bytes, limits: HTTPLimits()) else {
                Issue.record("not complete")
                return
            }
            #expect(head.method == .post && bytes.text(head.methodRange) == "POST")
            #expect(bytes.text(head.target) == "/v1/chat/completions")
            #expect(head.isHTTP11 && head.keepAlive && !head.isChunked && !head.expectsContinue)
            #expect(head.contentLength == 305)
            #expect(bytes.text(head.host) == "localhost:4000")
            #expect(bytes.text(head.authorization) == "Bearer sk-1234")
            #expect(bytes.text(head.contentType) == "application/json")
            #expect(bytes.text(head.accept) == "application/json")
            #expect(bytes.text(head.callID) == "c1")
            #expect(bytes.text(head.traceparent) == "00-ab-cd-01")
            #expect(bytes.text(head.contentEncoding) == "gzip")
            #expect(bytes.text(head.upgrade) == "h2c")
            #expect(head.apiKey.isEmpty && head.xAPIKey.isEmpty && head.xGoogAPIKey.isEmpty)
        }
    }

    @Test(
        "knows the method",
        arguments: [
            ("GET", HTTPMethod.get), ("POST", .post), ("PUT", .put), ("PATCH", .patch), ("DELETE", .delete),
            ("HEAD", .head), ("OPTIONS", .options), ("get", .other), ("POSTS", .other), ("BREW", .other),
        ])
    func methods(text: String, method: HTTPMethod) {
        #expect(head("\(text) / HTTP/1.1\r\nHost: a\r\n\r\n")?.method == method)
    }

    @Test(
        "gives path and authority of an absolute target",
        arguments: [
            ("http://a.example:80/v1/x?y=1", "a.example:80", "/v1/x?y=1"), ("HTTPS://b/", "b", "/"),
            ("http://c", "c", "/"),
        ])
    func absoluteForm(target: String, host: String, path: String) {
        withGuarded("GET \(target) HTTP/1.1\r\nHost: other\r\n\r\n") { bytes in
            guard case .complete(let head) = HTTPParser.parseRequestHead(bytes, limits: HTTPLimits()) else {
                Issue.record("not complete")
                return
            }
            #expect(bytes.text(head.host) == host)
            #expect(bytes.text(head.target) == path)
        }
    }

    @Test(
        "keeps the connection alive as version and options say",
        arguments: [
            ("1.1", "", true), ("1.1", "Connection: Close\r\n", false), ("1.1", "Connection: x , close\r\n", false),
            ("1.1", "Connection: keep-alive\r\nConnection: close\r\n", false), ("1.0", "", false),
            ("1.0", "Connection: Keep-Alive\r\n", true), ("1.0", "Connection: keep-alive, close\r\n", false),
            ("1.1", "Connection: closed\r\n", true),
        ])
    func keepAlive(version: String, option: String, expected: Bool) {
        #expect(head("GET / HTTP/\(version)\r\nHost: a\r\n\(option)\r\n")?.keepAlive == expected)
    }

    static let badRequestLineCases: [(String, HTTPFault)] = [
        (" GET / HTTP/1.1\r\n", .badMethod), ("G(T / HTTP/1.1\r\n", .badMethod),
        (String(repeating: "A", count: 40), .badMethod), ("\r\n\r\nGET / HTTP/1.1\r\n", .badMethod),
        ("\nGET / HTTP/1.1\r\n", .badLineEnd), ("GET\r\n", .badMethod), ("GET  / HTTP/1.1\r\n", .emptyTarget),
        ("GET a HTTP/1.1\r\n", .badTarget), ("GET /# HTTP/1.1\r\n", .badTarget), ("GET /\u{e9} HTTP/1.1", .badTarget),
        ("GET /\u{7F} HTTP/1.1\r\n", .badTarget), ("GET /\0 HTTP/1.1\r\n", .badTarget),
        ("GET * HTTP/1.1\r\n", .badTarget), ("GET ftp://a/ HTTP/1.1\r\n", .badTarget),
        ("GET http:/// HTTP/1.1\r\n", .badTarget), ("GET http://a@b/ HTTP/1.1\r\n", .badTarget),
        ("CONNECT a:80 HTTP/1.1\r\n", .badTarget), ("GET /\r\n\r\n", .badRequestLine),
        ("GET / HTTP/1.1 \r\n", .badRequestLine), ("GET / x HTTP/1.1\r\n", .badRequestLine),
        ("GET / http/1.1\r\n", .badRequestLine), ("GET / HTTP/1.1\n", .badLineEnd),
        ("GET / HTTP/1.1\rX", .badLineEnd), ("GET / HTTP/2.0\r\n", .unsupportedVersion),
        ("GET / HTTP/1.2\r\n", .unsupportedVersion), ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", .badTarget),
    ]

    @Test("is refused for its request line", arguments: badRequestLineCases)
    func badRequestLines(text: String, expected: HTTPFault) { #expect(fault(text) == expected) }

    static let badHeaderLines: [(String, HTTPFault)] = [
        ("Host: a\r\nX : 1\r\n\r\n", .spaceBeforeColon), ("Host: a\r\nX\t: 1\r\n\r\n", .spaceBeforeColon),
        ("Host: a\r\nX Y: 1\r\n\r\n", .spaceBeforeColon), (" Host: a\r\n\r\n", .foldedHeader),
        ("Host: a\r\nX: 1\r\n 2\r\n\r\n", .foldedHeader), ("Host: a\r\nX: 1\r\n\t2\r\n\r\n", .foldedHeader),
        ("Host: a\r\n: 1\r\n\r\n", .badHeaderName), ("Host: a\r\nX\r\n\r\n", .badHeaderName),
        ("Host: a\r\nX(: 1\r\n\r\n", .badHeaderName), ("Host: a\r\nX\u{e9}: 1\r\n\r\n", .badHeaderName),
        ("Host: a\r\nX\0: 1\r\n\r\n", .badHeaderName), ("Host: a\r\nX: \0\r\n\r\n", .badHeaderValue),
        ("Host: a\r\nX: a\u{1}b\r\n\r\n", .badHeaderValue), ("Host: a\r\nX: a\u{7F}\r\n\r\n", .badHeaderValue),
        ("Host: a\r\nX: a\nY: b\r\n\r\n", .badLineEnd), ("Host: a\r\nX: a\rY: b\r\n\r\n", .badLineEnd),
        ("Host: a\r\nX: a\r\r\n\r\n", .badLineEnd), ("Host: a\r\n\n", .badLineEnd), ("Host: a\r\n\rX", .badLineEnd),
        ("X: a\r\n\r\n", .missingHost), ("\r\n", .missingHost), ("Host: a\r\nHost: a\r\n\r\n", .repeatedHost),
        ("Host:\r\n\r\n", .badHost), ("Host: a b\r\n\r\n", .badHost), ("Host: a/b\r\n\r\n", .badHost),
        ("Host: u@b\r\n\r\n", .badHost), ("Host: a,b\u{e9}\r\n\r\n", .badHost),
        ("Host: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", .repeatedContentLength),
        ("Host: a\r\nContent-Length:\r\n\r\n", .badContentLength),
        ("Host: a\r\nContent-Length: +5\r\n\r\n", .badContentLength),
        ("Host: a\r\nContent-Length: -5\r\n\r\n", .badContentLength),
        ("Host: a\r\nContent-Length: 5, 5\r\n\r\n", .badContentLength),
        ("Host: a\r\nContent-Length: 0x5\r\n\r\n", .badContentLength),
        ("Host: a\r\nContent-Length: 5 5\r\n\r\n", .badContentLength),
        ("Host: a\r\nContent-Length: 1234567890123456789\r\n\r\n", .badContentLength),
        ("Host: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", .lengthAndChunked),
        ("Host: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", .lengthAndChunked),
        ("Host: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", .unsupportedTransferCoding),
        ("Host: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n", .unsupportedTransferCoding),
        ("Host: a\r\nTransfer-Encoding: xchunked\r\n\r\n", .unsupportedTransferCoding),
        ("Host: a\r\nTransfer-Encoding: \"chunked\"\r\n\r\n", .unsupportedTransferCoding),
        ("Host: a\r\nTransfer-Encoding: identity\r\n\r\n", .unsupportedTransferCoding),
        ("Host: a\r\nTransfer-Encoding:\r\n\r\n", .unsupportedTransferCoding),
        ("Host: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", .repeatedTransferCoding),
        ("Host: a\r\nTransfer-Encoding : chunked\r\n\r\n", .spaceBeforeColon),
        ("Host: a\r\nExpect: 200-ok\r\n\r\n", .unsupportedExpectation),
        ("Host: a\r\nAuthorization: a\r\nauthorization: b\r\n\r\n", .repeatedCredential),
        ("Host: a\r\nAuthorization:\r\nauthorization: b\r\n\r\n", .repeatedCredential),
        ("Host: a\r\nX-API-Key: a\r\nx-api-key: a\r\n\r\n", .repeatedCredential),
        ("Host: a\r\napi-key: a\r\napi-key: a\r\n\r\n", .repeatedCredential),
        ("Host: a\r\nx-goog-api-key: a\r\nx-goog-api-key: a\r\n\r\n", .repeatedCredential),
        ("Host: a\r\nContent-Type: a\r\nContent-Type: b\r\n\r\n", .repeatedContentHeader),
        ("Host: a\r\nContent-Encoding: a\r\nContent-Encoding: b\r\n\r\n", .repeatedContentHeader),
    ]

    @Test("is refused for its headers, and never complete when cut", arguments: badHeaderLines)
    func badHeaders(text: String, expected: HTTPFault) {
        let bytes = Array((post + text).utf8)
        #expect(fault(post + text) == expected)
        for count in 0..<bytes.count {
            let result = withGuarded(bytes[..<count]) { HTTPParser.parseRequestHead($0, limits: HTTPLimits()) }
            if case .complete = result { Issue.record("cut at \(count) is complete") }
        }
    }

    @Test("of HTTP/1.0 may not be chunked and ignores Expect")
    func oldVersion() {
        #expect(fault("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n") == .transferCodingOnHTTP10)
        #expect(head("POST / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n")?.expectsContinue == false)
    }

    @Test("is held to its limits, however it is cut")
    func limits() {
        var limits = HTTPLimits()
        limits.targetBytesMax = 8
        limits.headerCountMax = 2
        limits.headBytesMax = 64
        #expect(fault("GET /1234567 HTTP/1.1\r\nHost: a\r\n\r\n", limits) == nil)
        #expect(fault("GET /12345678 HTTP/1.1\r\nHost: a\r\n\r\n", limits) == .targetTooLong)
        #expect(fault("GET /12345678", limits) == .targetTooLong)
        #expect(fault("GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\n\r\n", limits) == nil)
        #expect(fault("GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nB: 1\r\n\r\n", limits) == .tooManyHeaders)
        let fixed = "GET / HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n".utf8.count
        for padding in [64 - fixed, 65 - fixed] {
            let text = "GET / HTTP/1.1\r\nHost: a\r\nX: \(String(repeating: "y", count: padding))\r\n\r\n"
            #expect(fault(text, limits) == (padding + fixed > 64 ? .headTooLarge : nil))
        }
        #expect(fault("GET / HTTP/1.1\r\nHost: a\r\nX: \(String(repeating: "y", count: 38))", limits) == .headTooLarge)
    }

    @Test("says what is wrong and with which status", arguments: HTTPFault.allCases)
    func messages(fault: HTTPFault) {
        #expect([400, 413, 414, 417, 431].contains(fault.status))
        #expect(fault.message.hasSuffix(".") && fault.message != "Malformed message.")
    }

    @Test("with any byte changed is read within bounds and lists the same headers")
    func mutations() {
        let seed: UInt64 = 20_261_122
        var random = WireRandom(seed: seed)
        for round in 0..<20_000 {
            var bytes = Array(Self.good[round % Self.good.count].utf8)
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                let index = Int.random(in: 0..<bytes.count, using: &random)
                bytes[index] = Bool.random(using: &random) ? .random(in: 0...255, using: &random) : 0x0D
            }
            withGuarded(bytes) { guarded in
                guard case .complete(let head) = HTTPParser.parseRequestHead(guarded, limits: HTTPLimits()) else {
                    return
                }
                #expect(head.headBytes <= bytes.count, "seed \(seed), round \(round)")
                var iterator = HeaderIterator(guarded, headBytes: head.headBytes)
                while let (name, value) = iterator.next() {
                    #expect(!name.isEmpty, "seed \(seed), round \(round)")
                    let isClean = guarded[value].allSatisfy { $0 != 0 && $0 != 0x0A && $0 != 0x0D }
                    #expect(isClean, "seed \(seed), round \(round)")
                }
            }
        }
    }
}
