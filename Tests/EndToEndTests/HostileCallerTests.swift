import Foundation
import TestSupport
import Testing

extension EndToEnd {
    /// Callers that lie about lengths, break lines where they must not, or never finish. Each is refused with an answer
    /// of the 400 class in OpenAI's error shape, or its connection is closed; nobody else notices.
    @Suite("A hostile caller")
    struct HostileCaller {
        /// What is sent, with `KEY` for a good key and `BODY` and `LENGTH` for a good call.
        struct Attack: Sendable, CustomTestStringConvertible {
            let name: String
            let bytes: String
            /// Its length is clear, so that the connection may go on after the refusal.
            var isWellFramed = false
            var testDescription: String { self.name }

            init(_ name: String, _ bytes: String) {
                self.name = name
                self.bytes = bytes
            }

            /// A good head before a bad body.
            static func json(_ name: String, _ body: String) -> Attack {
                var attack = Attack.head(name, "Content-Length: \(body.utf8.count)", body: body)
                attack.isWellFramed = true
                return attack
            }

            /// A good request whose head has `lines` in place of its own length.
            static func head(_ name: String, _ lines: String, body: String = "BODY") -> Attack {
                Attack(
                    name,
                    "POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer KEY\r\n\(lines)\r\n\r\n\(body)"
                )
            }
        }

        private static let chunked = "Transfer-Encoding: chunked"
        private static let smuggled = "POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\n\r\n"

        static let attacks: [Attack] = lengthAttacks + lineAttacks + chunkAttacks + otherAttacks

        private static let lengthAttacks: [Attack] = [
            .head("length and chunked", "Content-Length: 5\r\n\(chunked)", body: "0\r\n\r\n\(smuggled)"),
            .head("chunked and length", "\(chunked)\r\nContent-Length: 5", body: "0\r\n\r\n\(smuggled)"),
            .head("two equal lengths", "Content-Length: LENGTH\r\nContent-Length: LENGTH"),
            .head("two different lengths", "Content-Length: LENGTH\r\nContent-Length: 0"),
            .head("a list of lengths", "Content-Length: LENGTH, LENGTH"),
            .head("a signed length", "Content-Length: +LENGTH"), .head("a negative length", "Content-Length: -1"),
            .head("a length in hex", "Content-Length: 0x10"), .head("an empty length", "Content-Length:"),
            .head("a length with a fraction", "Content-Length: 5.0"),
            .head("a length of letters", "Content-Length: five"),
            .head("a length beyond 64 bits", "Content-Length: 99999999999999999999999"),
            .head("a length with an inner space", "Content-Length: 1 0"),
            .head("chunked twice in two lines", "\(chunked)\r\n\(chunked)", body: "0\r\n\r\n"),
            .head("chunked twice in a list", "Transfer-Encoding: chunked, chunked", body: "0\r\n\r\n"),
            .head("an unknown coding", "Transfer-Encoding: xchunked", body: "0\r\n\r\n"),
            .head("a coding before chunked", "Transfer-Encoding: gzip, chunked", body: "0\r\n\r\n"),
            .head("chunked not last", "Transfer-Encoding: chunked, identity", body: "0\r\n\r\n"),
            .head("identity", "Transfer-Encoding: identity\r\nContent-Length: LENGTH"),
            .head("chunked behind a vertical tab", "Transfer-Encoding: \u{0B}chunked", body: "0\r\n\r\n"),
            .head("chunked in quotes", "Transfer-Encoding: \"chunked\"", body: "0\r\n\r\n"),
            .head("an empty coding", "Transfer-Encoding:\r\nContent-Length: LENGTH"),
            Attack(
                "chunked in HTTP/1.0",
                "POST /v1/chat/completions HTTP/1.0\r\nHost: a\r\nAuthorization: Bearer KEY\r\n\(chunked)\r\n\r\n0\r\n\r\n"
            ),
        ]

        private static let lineAttacks: [Attack] = [
            .head("a folded line", "X-A: b\r\n c\r\nContent-Length: LENGTH"),
            .head("a folded length", "Content-Length:\r\n LENGTH"),
            .head("a bare line feed", "X-A: b\nContent-Length: LENGTH"),
            .head("a bare carriage return", "X-A: b\rX-B: c\r\nContent-Length: LENGTH"),
            .head("a space before the colon", "Content-Length : LENGTH"),
            .head("a tab before the colon", "Transfer-Encoding\t: chunked", body: "0\r\n\r\n"),
            .head("a header without a colon", "Nonsense\r\nContent-Length: LENGTH"),
            .head("a header without a name", ": nothing\r\nContent-Length: LENGTH"),
            .head("a header name with a space", "X A: b\r\nContent-Length: LENGTH"),
            .head("a NUL in a value", "X-A: b\0c\r\nContent-Length: LENGTH"),
            .head("a NUL in a name", "X\0A: b\r\nContent-Length: LENGTH"),
            .head("a control character in a value", "X-A: b\u{01}c\r\nContent-Length: LENGTH"),
            .head("a second Host", "Host: b\r\nContent-Length: LENGTH"),
            Attack("no Host", "GET /v1/models HTTP/1.1\r\nAuthorization: Bearer KEY\r\n\r\n"),
            Attack("only line feeds", "GET /v1/models HTTP/1.1\nHost: a\nAuthorization: Bearer KEY\n\n"),
            Attack("a space at the line's start", " GET /v1/models HTTP/1.1\r\nHost: a\r\n\r\n"),
            Attack("two spaces in the request line", "GET  /v1/models HTTP/1.1\r\nHost: a\r\n\r\n"),
            Attack("no version", "GET /v1/models\r\nHost: a\r\n\r\n"),
            Attack("a space in the target", "GET /v1/mod els HTTP/1.1\r\nHost: a\r\n\r\n"),
            Attack("a NUL in the target", "GET /v1/\0models HTTP/1.1\r\nHost: a\r\n\r\n"),
            Attack("a method with a bracket", "G[T /v1/models HTTP/1.1\r\nHost: a\r\n\r\n"),
            Attack("a binary greeting", "\u{16}\u{03}\u{01}\u{02}\0\u{01}\0\u{01}\r\n\r\n"),
        ]

        private static let chunkAttacks: [Attack] = [
            ("a size of letters", "xyz\r\nBODY\r\n0\r\n\r\n"), ("a signed size", "+HEXLEN\r\nBODY\r\n0\r\n\r\n"),
            ("a negative size", "-HEXLEN\r\nBODY\r\n0\r\n\r\n"), ("a size with 0x", "0xHEXLEN\r\nBODY\r\n0\r\n\r\n"),
            ("a size with a space before", " HEXLEN\r\nBODY\r\n0\r\n\r\n"), ("an empty size", "\r\nBODY\r\n0\r\n\r\n"),
            ("a size beyond 64 bits", "ffffffffffffffffff\r\nabc"), ("a huge size", "7fffffffffffffff\r\nabc"),
            ("a size line without CR", "HEXLEN\nBODY\r\n0\r\n\r\n"),
            ("data without its line end", "HEXLEN\r\nBODYX0\r\n\r\n"),
            ("data longer than its size", "3\r\nBODY\r\n0\r\n\r\n"),
            ("an extension without end", "5;" + String(repeating: "x", count: 20_000)),
            ("a line feed in an extension", "HEXLEN;a=\nb\r\nBODY\r\n0\r\n\r\n"),
            ("a carriage return in an extension", "HEXLEN;a=\rb\r\nBODY\r\n0\r\n\r\n"),
            ("a length in the trailers", "HEXLEN\r\nBODY\r\n0\r\nContent-Length: 50\r\n\r\n"),
            ("a coding in the trailers", "HEXLEN\r\nBODY\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n"),
            ("a folded trailer", "HEXLEN\r\nBODY\r\n0\r\nX-A: b\r\n c\r\n\r\n"),
            ("trailers without end", "HEXLEN\r\nBODY\r\n0\r\n" + String(repeating: "X-A: b\r\n", count: 4000)),
        ].map { .head("chunks: \($0.0)", Self.chunked, body: $0.1) }

        private static let otherAttacks: [Attack] = [
            Attack(
                "a huge target", "GET /v1/models?\(String(repeating: "a", count: 100_000)) HTTP/1.1\r\nHost: a\r\n\r\n"),
            .head("a huge header", "X-A: \(String(repeating: "a", count: 100_000))\r\nContent-Length: LENGTH"),
            .head("a thousand headers", (0..<1000).map { "X-\($0): a\r\n" }.joined() + "Content-Length: LENGTH"),
            .head("a second Authorization", "Authorization: Bearer sk-other\r\nContent-Length: LENGTH"),
            .head("an unknown expectation", "Expect: a-miracle\r\nContent-Length: LENGTH"),
            .head("a body over its bound", "Content-Length: 3000000", body: ""),
            .head("chunks over the bound", Self.chunked, body: "2dc6c0\r\n" + String(repeating: "a", count: 3_000_000)),
            .json("a nesting bomb", String(repeating: "[", count: 200_000)),
            .json(
                "a nesting bomb in an object",
                "{\"model\":\"plain\",\"messages\":" + String(repeating: "[", count: 100_000)),
            .json("no JSON", "hello"), .json("an empty body", ""), .json("half an object", "{\"model\":"),
            .json("two models", "{\"model\":\"plain\",\"model\":\"other\"}"),
            .json("two models, one escaped", "{\"model\":\"plain\",\"mod\\u0065l\":\"other\"}"),
            .json("a number for a model", "{\"model\":1}"), .json("no model", "{\"messages\":[]}"),
            .json("trailing bytes", "{\"model\":\"plain\"} {}"), .json("an array", "[{\"model\":\"plain\"}]"),
            .json("line breaks in the model", "{\"model\":\"a\\r\\nX-Evil: yes\"}"),
            .json("a lone surrogate in the model", "{\"model\":\"\\ud800\"}"),
            .json("a control character in a string", "{\"model\":\"plain\",\"user\":\"a\u{01}\"}"),
        ]

        private static let configured =
            ["request_body_bytes_max: 2000000", "head_timeout_seconds: 2"]
            + ["body_timeout_seconds: 2"]

        @Test("is refused without harm, whatever it sends")
        func attacks() throws {
            let scene = try Scene(["plain": .answer()]) { $0.martlet = Self.configured }
            defer { scene.end() }
            let body = MartletProcess.chatBody(model: "plain", user: "attack")
            for attack in Self.attacks {
                let text = attack.bytes.replacingOccurrences(of: "KEY", with: scene.key)
                    .replacingOccurrences(of: "HEXLEN", with: String(body.utf8.count, radix: 16))
                    .replacingOccurrences(of: "LENGTH", with: String(body.utf8.count))
                    .replacingOccurrences(of: "BODY", with: body)
                try self.expectRefused(Array(text.utf8), attack.name, scene, isWellFramed: attack.isWellFramed)
                try scene.expectStillServes()
            }
            #expect(scene.upstream.calls(of: "attack").isEmpty, "an attack reached the upstream")
            #expect(scene.upstream.calls.count == Self.attacks.count, "only the good calls between are calls")
            try scene.expectLedgerAgrees()
        }

        @Test("is refused for invalid UTF-8 in its body and odd bytes in its head")
        func invalidUTF8() throws {
            let scene = try Scene(["plain": .answer()]) { $0.martlet = Self.configured }
            defer { scene.end() }
            let start = Array(
                "POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer \(scene.key)\r\n".utf8)
            for bad in [[0xFF], [0xC0, 0x80], [0xED, 0xA0, 0x80], [0xF5, 0x80, 0x80, 0x80], [0xE2, 0x82]] as [[UInt8]] {
                let body =
                    Array("{\"model\":\"plain\",\"messages\":[{\"role\":\"user\",\"content\":\"".utf8) + bad
                    + Array("\"}]}".utf8)
                let length = Array("Content-Length: \(body.count)\r\n\r\n".utf8)
                try self.expectRefused(start + length + body, "\(bad) in a string", scene, isWellFramed: true)
            }
            try self.expectRefused(
                start + Array("X-".utf8) + [0xFF] + Array(": a\r\nContent-Length: 0\r\n\r\n".utf8), "0xFF in a name",
                scene, isWellFramed: false)
            try scene.expectStillServes()
        }

        /// Sends `bytes`, whole or until the gateway stops listening, and looks at what comes back.
        private func expectRefused(_ bytes: [UInt8], _ name: String, _ scene: Scene, isWellFramed: Bool) throws {
            let client = try RawHTTPClient(port: scene.gateway.port)
            defer { client.close() }
            // The gateway may answer and close before it has taken everything.
            try? client.send(bytes, within: .seconds(10))
            do {
                let response = try client.response(within: .seconds(30))
                #expect((400...499).contains(response.status), "\(name): \(response.status) \(response.text)")
                #expect(response.openAIError != nil, "\(name): not OpenAI's error shape: \(response.text)")
                #expect(!response.headers.contains { $0.name == "x-evil" }, "\(name)")
                // Nothing may follow: what stands behind a refused request is not another request.
                #expect(isWellFramed || client.isClosed(within: .seconds(30)), "\(name): stays open")
            } catch is RawHTTPClient.ConnectionEnded {
                return
            } catch let error as SocketError where error.isReset {
                return
            }
        }
    }
}
