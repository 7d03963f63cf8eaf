import Foundation
import GatewayCore
import GatewayDataPlane
import TestSupport
import Testing

@Suite("A caller's TLS connection", .serialized)
struct CallerTLSTests {
    private static func withTLS(
        _ change: @escaping @Sendable (inout GatewaySetup) -> Void = { _ in },
        _ body: @escaping @Sendable (TestGateway, HandProvider) throws -> Void
    ) async throws {
        let certificate = try TestCertificate()
        try await withGateway { setup, _ in
            setup.configuration.certificateFile = certificate.certificateFile
            setup.configuration.keyFile = certificate.keyFile
            change(&setup)
        } _: { gateway, provider in
            try body(gateway, provider)
            withExtendedLifetime(certificate) {}
        }
    }

    private static func request(_ gateway: TestGateway, _ body: String = Wire.chat()) -> String {
        String(decoding: gateway.requestBytes(body), as: UTF8.self)
    }

    @Test("may bring its records in any pieces")
    func splitRecords() async throws {
        try await Self.withTLS { gateway, provider in
            let client = try TLSClient(port: gateway.port)
            client.queue("GET /health HTTP/1.1\r\nHost: h\r\n\r\n")
            try client.pump { $0.text.hasSuffix("{}") }
            var connection: ProviderConnection?
            let count = Self.request(gateway).utf8.count
            // Around the record's header, in its middle, and around its end and authentication tag.
            for cut in [1, 2, 3, 4, 5, 6, 7, count / 2, count, count + 5, count + 6, count + 21] {
                client.forget()
                client.queue(Self.request(gateway))
                let bytes = try client.takeOutgoing()
                let cut = min(cut, bytes.count - 1)
                try client.socket.write(bytes[..<cut], before: Deadline(within: .seconds(10)))
                gateway.turnLoop()
                try client.socket.write(bytes[cut...], before: Deadline(within: .seconds(10)))
                let provider = try connection ?? provider.accept()
                connection = provider
                #expect(try provider.request().json["model"] as? String == "up-chat", "cut at \(cut)")
                try provider.answer(Wire.completion())
                try client.pump { $0.text.hasSuffix(Wire.completion()) }
                #expect(client.text.hasPrefix("HTTP/1.1 200 OK\r\n"), "cut at \(cut)")
            }
        }
    }

    @Test("gets a stream and a large answer whole, though it does not fit into the socket at once")
    func largeAnswer() async throws {
        try await Self.withTLS { gateway, provider in
            let client = try TLSClient(port: gateway.port)
            client.queue("GET /health HTTP/1.1\r\nHost: h\r\n\r\n")
            try client.pump { $0.text.hasSuffix("{}") }
            client.forget()
            client.queue(Self.request(gateway))
            let text = Wire.completion(String(repeating: "w", count: 8 << 20))
            try client.pump { _ in true }
            let connection = try provider.accept()
            _ = try connection.request()
            let sender = Locked(false)
            let socket = connection.socket
            Self.onThread {
                let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: \(text.utf8.count)"
                try? socket.write("\(head)\r\n\r\n\(text)", before: Deadline(within: .seconds(60)))
                sender.change { $0 = true }
            }
            try client.pump { $0.received.count > text.utf8.count }
            #expect(client.text.hasSuffix(text))
            try waitUntil("the provider to have sent all") { sender.value }
            client.forget()
            client.queue(Self.request(gateway, Wire.chat(stream: true)))
            try client.pump { _ in true }
            _ = try connection.request()
            try connection.startStream()
            try connection.chunk(Wire.delta("a") + Wire.finish + Wire.usageEvent() + Wire.done)
            try connection.send("0\r\n\r\n")
            try client.pump { $0.text.hasSuffix("0\r\n\r\n") }
            #expect(client.text.contains(Wire.delta("a")))
            #expect(try gateway.rows(2).map(\.settled) == [.measured, .measured])
        }
    }

    private static func onThread(_ work: @escaping @Sendable () -> Void) {
        let thread = Thread { work() }
        thread.stackSize = 1 << 20
        thread.start()
    }

    @Test("with a malformed request gets the whole refusal and an orderly end, though it goes on sending")
    func lingering() async throws {
        try await Self.withTLS { gateway, _ in
            let client = try TLSClient(port: gateway.port)
            client.queue("GET /health HTTP/1.1\r\nHost: h\r\n\r\n")
            try client.pump { $0.text.hasSuffix("{}") }
            client.forget()
            client.queue("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
            for _ in 0..<20 { client.queue(String(repeating: "x", count: 10_000)) }
            try client.pump { $0.text.hasSuffix("}") }
            #expect(client.text.hasPrefix("HTTP/1.1 400 "))
            #expect(client.text.contains("connection: close\r\n"))
            try client.pump { _ in false }
            #expect(client.isEnded)
            #expect(client.socket.peerLeaves(within: .seconds(20)))
            try waitUntil("the connection to be gone") { gateway.openConnections() == 0 }
        }
    }

    @Test("whose handshake never ends is closed after the time that a head may take", arguments: [0, 1, 5, 100])
    func endlessHandshake(bytesSent: Int) async throws {
        try await Self.withTLS { setup in
            setup.configuration.headTimeout = .milliseconds(200)
        } _: { gateway, _ in
            let client = try TLSClient(port: gateway.port)
            let hello = try client.takeOutgoing()
            try client.socket.write(hello.prefix(bytesSent), before: Deadline(within: .seconds(10)))
            #expect(client.socket.peerLeaves(within: .seconds(20)))
            try waitUntil("the connection to be gone") { gateway.openConnections() == 0 }
        }
    }

    @Test("that is shaken hands with and then says nothing is closed as well")
    func silentAfterHandshake() async throws {
        try await Self.withTLS { setup in
            setup.configuration.headTimeout = .milliseconds(500)
        } _: { gateway, _ in
            let client = try TLSClient(port: gateway.port)
            try client.pump { _ in false }
            #expect(client.received.isEmpty)
            try waitUntil("the connection to be gone") { gateway.openConnections() == 0 }
        }
    }

    @Test("that speaks no TLS is closed, and harms nobody")
    func plain() async throws {
        try await Self.withTLS { gateway, _ in
            let plain = try RawHTTPClient(port: gateway.port)
            try plain.send(RawHTTPClient.bytes("GET", "/health"))
            #expect(plain.socket.peerLeaves(within: .seconds(20)))
            let client = try TLSClient(port: gateway.port)
            client.queue("GET /health HTTP/1.1\r\nHost: h\r\n\r\n")
            try client.pump { $0.text.hasSuffix("{}") }
            #expect(client.text.hasPrefix("HTTP/1.1 200 OK\r\n"))
        }
    }
}
