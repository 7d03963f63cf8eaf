import Foundation
import GatewayCore
import TestSupport
import Testing

@Suite("The error that a caller gets")
struct GatewayErrorTests {
    private static let errors: [(name: String, error: GatewayError)] = [
        (
            "plain",
            GatewayError(status: 400, type: "invalid_request_error", origin: .caller, message: "The request is bad.")
        ),
        (
            "param",
            GatewayError(
                status: 403, type: "key_model_access_denied", param: "model", code: "denied", origin: .caller,
                message: "No.", retryAfterSeconds: 3)
        ),
        (
            "hostile",
            GatewayError(
                status: 400, type: "t\"", param: "a\\b", origin: .caller,
                message: "quote \" backslash \\ line\r\nbreak tab\t nul \u{0} delete \u{7F} é 🙂 \u{2028}")
        ),
    ]

    @Test("has the body that is on record, null fields included")
    func golden() throws {
        let text = Self.errors.map { "\($0.name): \($0.error.body)\n" }.joined()
        let golden = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("Golden/errors.txt")
        if ProcessInfo.processInfo.environment["UPDATE_GOLDEN"] == "1" {
            try Data(text.utf8).write(to: golden)
            return
        }
        #expect(try text == String(contentsOf: golden, encoding: .utf8), "differs from Golden/errors.txt")
    }

    @Test("is JSON that gives its texts back")
    func json() throws {
        for (_, error) in Self.errors {
            let parsed = try JSONSerialization.jsonObject(with: Data(error.body.utf8)) as? [String: Any]
            let fields = try #require(parsed?["error"] as? [String: Any])
            #expect(fields["message"] as? String == error.message)
            #expect(fields["type"] as? String == error.type)
            #expect(fields["param"] as? String == error.param)
            #expect(fields.keys.contains("param"))
            #expect(fields["code"] as? String == error.code)
        }
    }

    @Test("carries the status as a text where no code is given")
    func code() {
        #expect(GatewayError(status: 429, type: "t", origin: .gateway, message: "").code == "429")
    }
}

@Suite("A quoted JSON string")
struct QuotedTextTests {
    @Test("gives every scalar of the first plane's start back, and holds no control character")
    func everyScalar() throws {
        for value in UInt32(0)...0x2FF {
            let scalar = try #require(UnicodeScalar(value))
            try self.check(String(Character(scalar)))
        }
    }

    @Test("gives any text back", arguments: [1, 2, 3] as [UInt64])
    func anyText(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<50 {
            var text = ""
            for _ in 0..<Int.random(in: 0...40, using: &generator) {
                if let scalar = UnicodeScalar(UInt32.random(in: 0...0x10FFFF, using: &generator)) {
                    text.unicodeScalars.append(scalar)
                }
            }
            try self.check(text, "seed \(seed)")
        }
    }

    private func check(_ text: String, _ comment: Comment? = nil) throws {
        let quoted = jsonQuoted(text)
        #expect(quoted.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F }, comment)
        let parsed = try JSONSerialization.jsonObject(with: Data("[\(quoted)]".utf8)) as? [String]
        #expect(parsed?.first.map { Array($0.unicodeScalars) } == Array(text.unicodeScalars), comment)
    }
}
