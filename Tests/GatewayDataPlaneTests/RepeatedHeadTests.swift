import Foundation
import GatewayAdmission
import GatewayCore
import GatewayDataPlane
import TestSupport
import Testing

@Suite("A request whose head repeats the one before", .serialized)
struct RepeatedHeadTests {
    private static func request(_ body: String, key: String = TestGateway.key, more: String = "") -> [UInt8] {
        Array(
            ("POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nauthorization: Bearer \(key)\r\n\(more)"
                + "content-length: \(body.utf8.count)\r\ncontent-type: application/json\r\n\r\n\(body)").utf8)
    }

    @Test("is served like the first, whatever its length, in one piece or several, one at a time or pipelined")
    func served() async throws {
        try await withGateway { gateway, provider in
            let client = try RawHTTPClient(port: gateway.port)
            var connection: ProviderConnection?
            func serve(_ user: String) throws {
                let upstream = try connection ?? provider.accept()
                connection = upstream
                #expect(try upstream.request().json["user"] as? String == user)
                try upstream.answer(Wire.completion(user))
                #expect(try client.response().text == Wire.completion(user))
            }
            // The number of digits of the length stays and changes.
            for count in [1, 2, 30, 5, 1, 900, 901, 5000, 1, 1] {
                let user = String(repeating: "u", count: count)
                try client.send(Self.request(Wire.chat(extra: ",\"user\":\"\(user)\"")))
                try serve(user)
            }
            // Cut at every place.
            let bytes = Self.request(Wire.chat(extra: ",\"user\":\"cut\""))
            for place in stride(from: 1, to: bytes.count, by: 7) {
                try client.send(Array(bytes[..<place]))
                gateway.turnLoop()
                try client.send(Array(bytes[place...]))
                try serve("cut")
            }
            // Behind each other, the last one cut.
            try client.send(bytes + bytes + bytes[..<(bytes.count - 3)])
            try serve("cut")
            try serve("cut")
            try client.send(Array(bytes[(bytes.count - 3)...]))
            try serve("cut")
        }
    }

    @Test("is refused as soon as its key is blocked, has expired or is gone")
    func refused() async throws {
        let clock = ManualWallClock()
        try await withGateway { setup, _ in
            setup.clock = clock
        } _: { gateway, provider in
            var record = TestGateway.record("sk-other", number: 7)
            for change in 0..<3 {
                record.isBlocked = false
                record.expiresAt = nil
                gateway.keys.set(record, startingSpend: .zero)
                let client = try RawHTTPClient(port: gateway.port)
                let bytes = Self.request(Wire.chat("built-in"), key: "sk-other")
                for _ in 0..<2 {
                    try client.send(bytes)
                    #expect(try client.response().status == 400)
                }
                switch change {
                case 0:
                    record.isBlocked = true
                    gateway.keys.set(record, startingSpend: .zero)
                case 1:
                    record.expiresAt = UnixMicroseconds(rawValue: 0)
                    gateway.keys.set(record, startingSpend: .zero)
                default: gateway.keys.remove(id: record.keyID)
                }
                try client.send(bytes)
                #expect(try client.response().status == 401, "after change \(change)")
            }
        }
    }

    @Test("but for one byte is another request")
    func differs() async throws {
        try await withGateway { gateway, provider in
            let body = Wire.chat("nothing")
            let first = Self.request(body)
            let length = "content-length: \(body.utf8.count)"
            let text = String(decoding: first, as: UTF8.self)
            let others: [(String, Int)] = [
                (text.replacing("Bearer sk-test", with: "Bearer sk-tesu"), 401),
                (text.replacing("Bearer sk-test", with: "Bearer sk-tes "), 401),
                (text.replacing(length, with: "content-length: +\(String(body.utf8.count).dropFirst())"), 400),
                (text.replacing(length, with: "content-length: \(body.utf8.count)0000000000000000000"), 400),
                (text.replacing("host: a", with: "host a:"), 400),
                (text.replacing("HTTP/1.1", with: "HTTP/1.2"), 400),
                (text.replacing("/v1/chat/completions", with: "/v1/chat/completionz"), 200),
            ]
            for (other, status) in others {
                let client = try RawHTTPClient(port: gateway.port)
                for _ in 0..<2 {
                    try client.send(first)
                    #expect(try client.response().status == 400)
                }
                try client.send(Array(other.utf8))
                let answer = try client.response()
                #expect(answer.status == status, "\(other.prefix(120)): \(answer.text)")
            }
        }
    }

    @Test("may name another model, which the key must be allowed each time")
    func otherModel() async throws {
        try await withGateway { setup, port in
            setup.add("free", port: port, answer: .text("free"))
            setup.add("dear", port: port, answer: .text("dear"))
        } _: { gateway, provider in
            gateway.keys.set(TestGateway.record("sk-some", number: 8, models: ["free"]), startingSpend: .zero)
            let client = try RawHTTPClient(port: gateway.port)
            for _ in 0..<3 {
                for (model, status) in [("free", 200), ("free", 200), ("dear", 403), ("dear", 403)] {
                    try client.send(Self.request(Wire.chat(model), key: "sk-some"))
                    #expect(try client.response().status == status)
                }
            }
        }
    }

    @Test("is refused when the budget is spent, although the one before was admitted")
    func budget() async throws {
        try await withGateway { gateway, provider in
            var record = TestGateway.record("sk-poor", number: 9)
            record.maxBudget = NanoUSD(rawValue: 1)
            gateway.keys.set(record, startingSpend: .zero)
            let client = try RawHTTPClient(port: gateway.port)
            let bytes = Self.request(Wire.chat(), key: "sk-poor")
            try client.send(bytes)
            let connection = try provider.accept()
            _ = try connection.request()
            try connection.answer(Wire.completion())
            #expect(try client.response().status == 200)
            try client.send(bytes)
            #expect(try client.response().status == 422)
        }
    }
}
