import GatewayCore
import GatewayDataPlane
import TestSupport
import Testing

@Suite("A caller's connection", .serialized)
struct CallerConnectionTests {
    private static func quick(_ setup: inout GatewaySetup, _ port: Int) {
        setup.configuration.headTimeout = .milliseconds(200)
        setup.configuration.bodyTimeout = .milliseconds(200)
        setup.configuration.keepAliveTimeout = .milliseconds(200)
    }

    @Test(
        "with a head that does not end is told so and closed",
        arguments: ["GET", "POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\n"])
    func slowHead(start: String) async throws {
        try await withGateway(Self.quick) { gateway, _ in
            let client = try RawHTTPClient(port: gateway.port)
            try client.send(start)
            let answer = try client.response()
            #expect(answer.status == 408)
            #expect(answer.header("connection") == "close")
            #expect(client.isClosed(within: .seconds(5)))
        }
    }

    @Test("with a body that does not come is told so and closed", arguments: [false, true])
    func slowBody(isChunked: Bool) async throws {
        try await withGateway(Self.quick) { gateway, _ in
            let client = try RawHTTPClient(port: gateway.port)
            let framing = isChunked ? "Transfer-Encoding: chunked\r\n\r\n5\r\n{" : "Content-Length: 100\r\n\r\n{"
            try client.send(
                "POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer sk-test\r\n\(framing)")
            #expect(try client.response().status == 408)
            #expect(client.isClosed(within: .seconds(5)))
        }
    }

    @Test("that is idle for too long is closed without a word")
    func keepAlive() async throws {
        try await withGateway(Self.quick) { gateway, _ in
            let client = try RawHTTPClient(port: gateway.port)
            #expect(client.isClosed(within: .seconds(5)))
            let used = try RawHTTPClient(port: gateway.port)
            try used.send(RawHTTPClient.bytes("GET", "/health"))
            #expect(try used.response().status == 200)
            #expect(used.isClosed(within: .seconds(5)))
        }
    }

    @Test("on which nothing is ever asked is closed after the time that a head may take, TLS or not")
    func silence() async throws {
        try await withGateway { setup, _ in
            setup.configuration.headTimeout = .milliseconds(200)
        } _: { gateway, _ in
            let silent = try RawHTTPClient(port: gateway.port)
            // One that has asked before may stay, and need not be heard of again.
            let used = try RawHTTPClient(port: gateway.port)
            try used.send(RawHTTPClient.bytes("GET", "/health"))
            #expect(try used.response().status == 200)
            #expect(silent.isClosed(within: .seconds(20)))
            #expect(!used.isClosed(within: .milliseconds(600)))
            try used.send(RawHTTPClient.bytes("GET", "/health"))
            #expect(try used.response().status == 200)
        }
    }

    @Test("of HTTP/1.0 that asks to be kept is told so with every kind of answer")
    func http10Kept() async throws {
        try await withGateway { gateway, provider in
            let client = try RawHTTPClient(port: gateway.port)
            func send(_ body: String, _ keep: String = "Connection: keep-alive\r\n") throws {
                try client.send(
                    "POST /v1/chat/completions HTTP/1.0\r\nx-api-key: sk-test\r\n\(keep)"
                        + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)")
            }
            try send(Wire.chat("nobody"))
            let refused = try client.response()
            #expect(refused.status == 400)
            #expect(refused.header("connection") == "keep-alive")
            try client.send("GET /health HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            #expect(try client.response().header("connection") == "keep-alive")
            try send(Wire.chat())
            let connection = try provider.accept()
            _ = try connection.request()
            try connection.answer(Wire.error(), status: 500)
            let failed = try client.response()
            #expect(failed.status == 500)
            #expect(failed.header("connection") == "keep-alive")
            // HTTP/1.1 needs no word for it.
            try client.send(RawHTTPClient.bytes("GET", "/health"))
            #expect(try client.response().header("connection") == nil)
            try send(Wire.chat("nobody"), "")
            #expect(try client.response().header("connection") == "close")
            #expect(client.isClosed(within: .seconds(20)))
            let single = try RawHTTPClient(port: gateway.port)
            try single.send("GET /health HTTP/1.0\r\n\r\n")
            #expect(try single.response().header("connection") == "close")
            #expect(single.isClosed(within: .seconds(20)))
        }
    }

    @Test("with a body beyond the bound is refused, whether its length is told or not")
    func bodyBound() async throws {
        try await withGateway { setup, _ in
            setup.configuration.requestBodyBytesMax = 1000
        } _: { gateway, _ in
            let head = "POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer sk-test\r\n"
            let told = try RawHTTPClient(port: gateway.port)
            try told.send("\(head)Content-Length: 1001\r\n\r\n")
            #expect(try told.response().status == 413)
            let untold = try RawHTTPClient(port: gateway.port)
            try untold.send("\(head)Transfer-Encoding: chunked\r\n\r\n")
            for _ in 0..<11 { try untold.send("64\r\n" + String(repeating: " ", count: 100) + "\r\n") }
            #expect(try untold.response().status == 413)
            #expect(untold.isClosed(within: .seconds(5)))
        }
    }

    @Test("that expects 100-continue gets it before its body, and the answer behind it")
    func expectContinue() async throws {
        try await withGateway { gateway, provider in
            let client = try RawHTTPClient(port: gateway.port)
            let body = Wire.chat()
            try client.send(
                "POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer sk-test\r\n"
                    + "Content-Length: \(body.utf8.count)\r\nExpect: 100-continue\r\n\r\n")
            #expect(try client.head(before: Deadline(within: .seconds(5))).status == 100)
            try client.send(body)
            let connection = try provider.accept()
            #expect(try connection.request().json["model"] as? String == "up-chat")
            try connection.answer(Wire.completion())
            #expect(try client.response().status == 200)
        }
    }

    @Test("that expects 100-continue with a wrong key is refused without it")
    func expectContinueRefused() async throws {
        try await withGateway { gateway, _ in
            let client = try RawHTTPClient(port: gateway.port)
            try client.send(
                "POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer sk-wrong\r\n"
                    + "Content-Length: 1000000\r\nExpect: 100-continue\r\n\r\n")
            #expect(try client.head(before: Deadline(within: .seconds(5))).status == 401)
        }
    }

    @Test("may send its chunked body in any pieces")
    func chunkedBody() async throws {
        try await withGateway { gateway, provider in
            let body = "{\"model\":\"chat\",\"m\":\"x\"}"
            let text =
                "POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nx-api-key: sk-test\r\nTransfer-Encoding: chunked\r\n\r\n"
                + "a;x=1\r\n\(body.prefix(10))\r\n" + String(body.utf8.count - 10, radix: 16)
                + "\r\n\(body.dropFirst(10))\r\n0\r\nTrailer: 1\r\n\r\n"
            let bytes = Array(text.utf8)
            let start = text.utf8.count - 60 - body.utf8.count
            let client = try RawHTTPClient(port: gateway.port)
            var connection: ProviderConnection?
            for cut in start...bytes.count {
                try client.send(bytes[..<cut])
                gateway.turnLoop()
                if cut < bytes.count { try client.send(bytes[cut...]) }
                let provider = try connection ?? provider.accept()
                connection = provider
                let got = try provider.request()
                #expect(
                    String(decoding: got.body, as: UTF8.self) == body.replacing("\"chat\"", with: "\"up-chat\""),
                    "cut at \(cut)")
                try provider.answer(Wire.completion())
                #expect(try client.response().status == 200)
            }
        }
    }

    @Test("may send its request with a length in any pieces")
    func lengthBody() async throws {
        try await withGateway { gateway, provider in
            let bytes = gateway.requestBytes("{\"model\":\"chat\",\"m\":\"x\"}")
            let client = try RawHTTPClient(port: gateway.port)
            var connection: ProviderConnection?
            for cut in 1..<bytes.count {
                try client.send(bytes[..<cut])
                gateway.turnLoop()
                try client.send(bytes[cut...])
                let provider = try connection ?? provider.accept()
                connection = provider
                #expect(try provider.request().json["m"] as? String == "x")
                try provider.answer(Wire.completion())
                #expect(try client.response().status == 200)
            }
        }
    }

    @Test("of HTTP/1.0 is answered with a length and closed, or kept when it asks for that")
    func http10() async throws {
        try await withGateway { gateway, provider in
            let body = Wire.chat()
            let rest = "x-api-key: sk-test\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
            let kept = try RawHTTPClient(port: gateway.port)
            var connection: ProviderConnection?
            for _ in 0..<2 {
                try kept.send("POST /v1/chat/completions HTTP/1.0\r\nConnection: keep-alive\r\n\(rest)")
                let provider = try connection ?? provider.accept()
                connection = provider
                _ = try provider.request()
                try provider.answer(Wire.completion())
                let answer = try kept.response()
                #expect(answer.text == Wire.completion())
                #expect(answer.header("connection") == "keep-alive")
            }
            let single = try RawHTTPClient(port: gateway.port)
            try single.send("POST /v1/chat/completions HTTP/1.0\r\n\(rest)")
            _ = try connection?.request()
            try connection?.answer(Wire.completion())
            #expect(try single.response().header("connection") == "close")
            #expect(single.isClosed(within: .seconds(5)))
        }
    }

    @Test("of HTTP/1.0 gets a stream that ends with the connection, and a reset when it was cut")
    func http10Stream() async throws {
        try await withGateway { gateway, provider in
            let body = Wire.chat(stream: true)
            let request =
                "POST /v1/chat/completions HTTP/1.0\r\nx-api-key: sk-test\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
            let whole = try RawHTTPClient(port: gateway.port)
            try whole.send(request)
            let connection = try provider.accept()
            _ = try connection.request()
            try connection.startStream()
            try connection.chunk(Wire.delta("a") + Wire.finish + Wire.usageEvent() + Wire.done)
            try connection.send("0\r\n\r\n")
            let answer = try whole.response()
            #expect(answer.text == Wire.delta("a") + Wire.finish + Wire.done)
            #expect(answer.end == .closed)
            #expect(answer.header("transfer-encoding") == nil)

            let cut = try RawHTTPClient(port: gateway.port)
            try cut.send(request)
            _ = try connection.request()
            try connection.startStream()
            try connection.chunk(Wire.delta("a"))
            _ = try cut.head(before: Deadline(within: .seconds(5)))
            connection.close()
            #expect(cut.endsWithReset())
        }
    }
}

extension RawHTTPClient {
    /// Reads to the end: `true` when it is a reset.
    func endsWithReset() -> Bool {
        do {
            while try self.socket.read(before: Deadline(within: .seconds(10))) != nil {}
            return false
        } catch let error as SocketError {
            return error.isReset
        } catch {
            return false
        }
    }
}

@Suite("A management request", .serialized)
struct ControlRequestTests {
    @Test("reaches the control plane whole: method, path, query, headers, body and the digest of its key")
    func whole() async throws {
        try await withGateway(GatewaySetup()) { gateway in
            let client = try RawHTTPClient(port: gateway.port)
            try client.send(
                "PATCH /a%20b?x=1&y=%3F?z HTTP/1.1\r\nHost: h\r\nX-One: a, b\r\nAuthorization: Bearer sk-admin\r\n"
                    + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
            #expect(try client.response().status == 200)
            let request = try #require(gateway.control.requests.first)
            #expect(request.method == "PATCH")
            #expect(request.path == "/a%20b")
            #expect(request.query == "x=1&y=%3F?z")
            #expect(request.headers.contains { $0 == ("x-one", "a, b") })
            #expect(String(decoding: request.body, as: UTF8.self) == "abcde")
            #expect(request.credential == TestGateway.digest(of: "sk-admin"))
            try client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            #expect(try client.response().status == 200)
            let bare = try #require(gateway.control.requests.last)
            #expect(bare.query == nil && bare.body.isEmpty && bare.credential == nil)
        }
    }

    @Test("is answered without headers that hold a line end, and without a second answer")
    func headerInjection() async throws {
        try await withGateway(GatewaySetup()) { gateway in
            gateway.control.setResponse(
                ControlResponse(
                    status: 200, contentType: "text/plain\r\nx-evil: 1",
                    headers: [
                        ("x-good", "1"), ("x-bad", "1\r\nx-evil: 2"), ("x-bad\r\nx-evil", "3"), ("x-nul", "a\u{0}b"),
                        ("x bad", "4"), ("", "5"), ("x:y", "6"),
                    ], body: Array("body".utf8)))
            let client = try RawHTTPClient(port: gateway.port)
            try client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            let answer = try client.response()
            #expect(answer.header("x-good") == "1")
            #expect(answer.text == "body")
            let names = Set(answer.headers.map(\.name))
            #expect(names.isDisjoint(with: ["x-evil", "x-bad", "x-nul", "x bad", "", "x"]), "\(names)")
        }
    }

    @Test("with HEAD gets the head alone, and one without content no body")
    func noBody() async throws {
        try await withGateway(GatewaySetup()) { gateway in
            gateway.control.setResponse(ControlResponse(status: 200, body: Array("body".utf8)))
            let client = try RawHTTPClient(port: gateway.port)
            try client.send("HEAD / HTTP/1.1\r\nHost: h\r\n\r\n")
            #expect(try client.response(hasBody: false).header("content-length") == "4")
            gateway.control.setResponse(ControlResponse(status: 204, body: Array("body".utf8)))
            try client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            let empty = try client.response()
            #expect(empty.status == 204)
            #expect(empty.header("content-length") == nil)
            gateway.control.setResponse(ControlResponse(status: 200, body: Array("body".utf8)))
            try client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            #expect(try client.response().text == "body")
        }
    }

    @Test("with HEAD and a fault is refused without a body")
    func refusedHead() async throws {
        try await withGateway(GatewaySetup()) { gateway in
            let client = try RawHTTPClient(port: gateway.port)
            try client.send("HEAD / HTTP/1.1\r\nHost: h\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\n")
            let answer = try client.response(hasBody: false)
            #expect(answer.status == 415)
            #expect(client.isClosed(within: .seconds(5)))
        }
    }

    @Test("with a body beyond 4 MiB is refused")
    func bodyBound() async throws {
        try await withGateway(GatewaySetup()) { gateway in
            let client = try RawHTTPClient(port: gateway.port)
            try client.send("POST /key/generate HTTP/1.1\r\nHost: h\r\nContent-Length: 4194305\r\n\r\n")
            #expect(try client.response().status == 413)
        }
    }
}
