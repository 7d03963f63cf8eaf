import Foundation
import TestSupport
import Testing

extension EndToEnd {
    /// What binds a key's calls binds them in whatever format they come.
    @Suite("A limit on calls of any format")
    struct FormatLimits {
        struct Format: CustomTestStringConvertible, Sendable {
            var path: String
            /// Around the number of output tokens that the call allows.
            var body: (String, String)
            var testDescription: String { self.path }

            static let all = [
                Format(
                    path: "/v1/chat/completions",
                    body: (
                        "{\"model\":\"plain\",\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],\"max_tokens\":", "}"
                    )),
                Format(
                    path: "/v1/messages",
                    body: (
                        "{\"model\":\"plain\",\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],\"max_tokens\":", "}"
                    )),
                Format(
                    path: "/v1beta/models/plain:generateContent",
                    body: (
                        "{\"contents\":[{\"parts\":[{\"text\":\"a\"}]}],\"generationConfig\":{\"maxOutputTokens\":",
                        "}}"
                    )),
                Format(
                    path: "/model/plain/converse",
                    body: (
                        "{\"messages\":[{\"role\":\"user\",\"content\":[{\"text\":\"a\"}]}],"
                            + "\"inferenceConfig\":{\"maxTokens\":", "}}"
                    )),
            ]

            func text(_ tokens: Int) -> String { self.body.0 + String(tokens) + self.body.1 }
        }

        @Test("with a strict budget counts the tokens that the body allows", arguments: Format.all)
        func strictBudget(format: Format) throws {
            let scene = try Scene(["plain": .answer()])
            defer { scene.end() }
            // A body of 150 bytes costs 150,000 at most, and each of the tokens it allows 2,000.
            func call(_ tokens: Int) throws -> RawHTTPResponse {
                let key = try scene.gateway.generateKey("{\"max_budget\":0.0005,\"budget_mode\":\"strict\"}")
                return try scene.gateway.request("POST", format.path, key: key, body: format.text(tokens))
            }
            let refused = try call(500)
            #expect(refused.status == 422, "\(refused.text)")
            #expect(refused.text.contains("udget"))
            let served = try call(20)
            #expect(served.status == 200, "\(served.text)")
            #expect(try scene.rows(1).allSatisfy { $0.isMeasured })
        }

        @Test("with requests per minute counts those of all formats together")
        func requestLimit() throws {
            let scene = try Scene(["plain": .answer()])
            defer { scene.end() }
            let key = try scene.gateway.generateKey("{\"rpm_limit\":\(Format.all.count)}")
            for format in Format.all {
                let served = try scene.gateway.request("POST", format.path, key: key, body: format.text(20))
                #expect(served.status == 200, "\(format.path): \(served.text)")
            }
            for format in Format.all {
                let refused = try scene.gateway.request("POST", format.path, key: key, body: format.text(20))
                #expect(refused.status == 429, "\(format.path): \(refused.text)")
                #expect(refused.header("retry-after") != nil)
            }
        }
    }
}
