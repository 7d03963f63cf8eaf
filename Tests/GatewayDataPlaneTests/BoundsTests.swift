import GatewayCore
import GatewayDataPlane
import TestSupport
import Testing

@Suite("A bound of the data plane", .serialized)
struct BoundsTests {
    @Test("on connections closes those beyond it, and takes new ones when others have left")
    func connections() async throws {
        try await withGateway { setup, _ in
            setup.configuration.connectionsMax = 2
        } _: { gateway, _ in
            func isServed(_ client: RawHTTPClient) -> Bool {
                guard (try? client.send(RawHTTPClient.bytes("GET", "/health"))) != nil else { return false }
                return (try? client.response().status) == 200
            }
            for round in 0..<3 {
                let first = try RawHTTPClient(port: gateway.port)
                #expect(isServed(first), "round \(round)")
                let second = try RawHTTPClient(port: gateway.port)
                #expect(isServed(second), "round \(round)")
                let third = try RawHTTPClient(port: gateway.port)
                #expect(third.isClosed(within: .seconds(20)), "round \(round)")
                #expect(isServed(first) && isServed(second), "round \(round)")
                first.close()
                second.close()
                try waitUntil("both to be gone") { gateway.openConnections() == 0 }
            }
        }
    }

    private static let head = "POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer sk-test\r\n"

    @Test("on all request bodies together refuses the one that goes beyond it", arguments: [false, true])
    func bodies(isChunked: Bool) async throws {
        try await withGateway { setup, _ in
            setup.configuration.requestBodiesBytesMax = 1 << 20
        } _: { gateway, provider in
            let pad = String(repeating: "x", count: 600_000)
            let body = Wire.chat(extra: ",\"pad\":\"\(pad)\"")
            func send(_ count: Int, on client: RawHTTPClient) throws {
                if isChunked {
                    try client.send("\(Self.head)Transfer-Encoding: chunked\r\n\r\n")
                    try client.send("\(String(body.utf8.count, radix: 16))\r\n\(body.prefix(count))")
                } else {
                    try client.send("\(Self.head)Content-Length: \(body.utf8.count)\r\n\r\n\(body.prefix(count))")
                }
            }
            for _ in 0..<3 {
                let first = try RawHTTPClient(port: gateway.port)
                // All but its last bytes, so that it is held.
                try send(body.utf8.count - 10, on: first)
                gateway.turnLoop()
                let second = try RawHTTPClient(port: gateway.port)
                try waitUntil("the first body to be counted") { gateway.server.heldRequestBytes > 500_000 }
                try send(body.utf8.count - 10, on: second)
                let refused = try second.response()
                #expect(refused.status == 503)
                #expect(refused.openAIError?["type"] as? String == "overloaded")
                #expect(refused.header("retry-after") == "1")
                try first.send(String(body.suffix(10)) + (isChunked ? "\r\n0\r\n\r\n" : ""))
                let connection = try provider.accept()
                #expect(try connection.request().body.count > 600_000)
                try connection.answer(Wire.completion(), headers: ["Connection: close"])
                #expect(try first.response().status == 200)
                second.close()
                try waitUntil("no body to be counted") { gateway.server.heldRequestBytes == 0 }
            }
        }
    }

    @Test("on bodies counts them no longer when their callers leave or are too slow")
    func bodiesAreReleased() async throws {
        try await withGateway { setup, _ in
            setup.configuration.bodyTimeout = .milliseconds(300)
        } _: { gateway, _ in
            let slow = try RawHTTPClient(port: gateway.port)
            try slow.send("\(Self.head)Content-Length: 900000\r\n\r\n{")
            let leaving = try RawHTTPClient(port: gateway.port)
            try leaving.send("\(Self.head)Content-Length: 900000\r\n\r\n{")
            leaving.close()
            #expect(try slow.response().status == 408)
            try waitUntil("no body to be counted") { gateway.server.heldRequestBytes == 0 }
        }
    }

    @Test("on management bodies is narrow for those who show no key that is known")
    func anonymousBody() async throws {
        try await withGateway(GatewaySetup()) { gateway in
            let body = String(repeating: "x", count: 70_000)
            for key in ["sk-unknown", nil] {
                let refused = try RawHTTPClient.request(
                    port: gateway.port, "POST", "/key/generate",
                    headers: key.map { ["Authorization: Bearer \($0)"] } ?? [], body: body)
                #expect(refused.status == 413)
            }
            let known = try RawHTTPClient.request(
                port: gateway.port, "POST", "/key/generate", headers: ["Authorization: Bearer \(TestGateway.key)"],
                body: body)
            #expect(known.status == 200)
            #expect(gateway.control.requests.map(\.body.count) == [70_000])
        }
    }

    @Test("on the time of the control plane answers for it, and drops what it says later", arguments: ["GET", "HEAD"])
    func controlTimeout(method: String) async throws {
        try await withGateway { setup, _ in
            setup.configuration.controlTimeout = .milliseconds(300)
        } _: { gateway, _ in
            gateway.control.hold()
            let client = try RawHTTPClient(port: gateway.port)
            try client.send(RawHTTPClient.bytes(method, "/slow") + RawHTTPClient.bytes("GET", "/never"))
            let answer = try client.response(hasBody: method != "HEAD")
            #expect(answer.status == 504)
            #expect(answer.header("connection") == "close")
            if method == "GET" { #expect(answer.openAIError?["type"] as? String == "timeout_error") }
            gateway.control.letGo()
            #expect(client.isClosed(within: .seconds(20)))
            try waitUntil("the late answer") { gateway.control.requests.count == 1 }
            #expect(gateway.control.requests.map(\.path) == ["/slow"])
            // On a busy machine any one answer may take longer than the bound.
            try waitUntil("an answer in time") {
                try RawHTTPClient.request(port: gateway.port, "GET", "/health").status == 200
            }
        }
    }
}
