import Foundation
import TestSupport
import Testing

extension EndToEnd {
    @Suite("A virtual key")
    struct KeyLife {
        private static let scripts: [String: UpstreamScript] = ["plain": .answer(), "other": .answer()]

        /// Status of a call with `key`, and the error's type when it is one.
        private func call(_ scene: Scene, _ key: String, model: String = "plain") throws -> (Int, String?) {
            let response = try scene.gateway.chat(model: model, key: key)
            if response.status >= 400 { #expect(response.openAIError != nil, "\(response.text)") }
            return (response.status, response.openAIError?["type"] as? String)
        }

        private func change(_ scene: Scene, _ path: String, _ body: String) throws {
            let response = try scene.gateway.request("POST", path, body: body)
            #expect(response.status == 200, "\(path): \(response.text)")
        }

        @Test("is blocked, unblocked, regenerated and deleted with effect on the very next call")
        func life() throws {
            let scene = try Scene(Self.scripts)
            defer { scene.end() }
            let key = try scene.gateway.generateKey("{\"key_alias\":\"one\"}")
            #expect(key.hasPrefix("sk-"))
            for _ in 0..<5 {
                #expect(try self.call(scene, key) == (200, nil))
                try self.change(scene, "/key/block", "{\"key\":\"\(key)\"}")
                #expect(try self.call(scene, key) == (401, "auth_error"))
                try self.change(scene, "/key/unblock", "{\"key\":\"\(key)\"}")
            }
            #expect(try self.call(scene, key) == (200, nil))
            let regenerated = try scene.gateway.request("POST", "/key/\(key)/regenerate", body: "{}")
            #expect(regenerated.status == 200, "\(regenerated.text)")
            let second = try #require(regenerated.json?["key"] as? String)
            #expect(second != key)
            #expect(try self.call(scene, key).0 == 401)
            #expect(try self.call(scene, second) == (200, nil))
            try self.change(scene, "/key/delete", "{\"keys\":[\"\(second)\"]}")
            #expect(try self.call(scene, second) == (401, "token_not_found_in_db"))
            #expect(try self.call(scene, scene.key) == (200, nil))
        }

        @Test("ends when its time is over")
        func expiry() throws {
            let scene = try Scene(Self.scripts)
            defer { scene.end() }
            let key = try scene.gateway.generateKey("{\"duration\":\"2s\"}")
            #expect(try self.call(scene, key) == (200, nil))
            try waitUntil("the key to expire", within: .seconds(10)) { try self.call(scene, key).0 == 401 }
            #expect(try self.call(scene, key) == (401, "expired_key"))
        }

        @Test("reaches only the models it may, and may be given others")
        func models() throws {
            let scene = try Scene(Self.scripts)
            defer { scene.end() }
            let key = try scene.gateway.generateKey("{\"models\":[\"plain\"]}")
            #expect(try self.call(scene, key) == (200, nil))
            #expect(try self.call(scene, key, model: "other") == (403, "key_model_access_denied"))
            let listed = try scene.gateway.request("GET", "/v1/models", key: key).json?["data"] as? [[String: Any]]
            #expect(listed?.compactMap { $0["id"] as? String } == ["plain"])
            try self.change(scene, "/key/update", "{\"key\":\"\(key)\",\"models\":[\"oth*\"]}")
            #expect(try self.call(scene, key, model: "other") == (200, nil))
            #expect(try self.call(scene, key).0 == 403)
        }

        @Test("is blocked by a budget of zero, and by a spent one")
        func budget() throws {
            let scene = try Scene(Self.scripts)
            defer { scene.end() }
            let none = try scene.gateway.generateKey("{\"max_budget\":0}")
            #expect(try self.call(scene, none) == (422, "budget_exceeded"))
            let little = try scene.gateway.generateKey("{\"max_budget\":0.000001}")
            #expect(try self.call(scene, little).0 == 200)
            try waitUntil("the spend to count") { try self.call(scene, little).0 == 422 }
        }

        @Test("survives a restart, and its spend with it")
        func restart() throws {
            let scene = try Scene(Self.scripts)
            defer { scene.end() }
            for _ in 0..<3 { #expect(try self.call(scene, scene.key) == (200, nil)) }
            let blocked = try scene.gateway.generateKey()
            try self.change(scene, "/key/block", "{\"key\":\"\(blocked)\"}")
            try scene.gateway.terminate()
            try scene.gateway.start()
            #expect(try self.call(scene, scene.key) == (200, nil))
            #expect(try self.call(scene, blocked).0 == 401)
            // 4 calls of 1000...1003 input tokens at 1,000 and 11 output tokens at 2,000 nano-USD.
            let expected = Double((1000 + 1001 + 1002 + 1003) * 1000 + 4 * 11 * 2000) / 1e9
            try waitUntil("the spend to be \(expected)") {
                let response = try scene.gateway.request("GET", "/key/info?key=\(scene.key)")
                let info = response.json?["info"] as? [String: Any]
                return abs((info?["spend"] as? Double ?? -1) - expected) < 1e-12
            }
            try scene.expectLedgerAgrees()
        }

        @Test(
            "is read from each header that clients send it in",
            arguments: ["Authorization: Bearer ", "x-api-key: ", "api-key: ", "x-goog-api-key: "])
        func headers(prefix: String) throws {
            let scene = try Scene(Self.scripts)
            defer { scene.end() }
            let body = MartletProcess.chatBody(model: "plain", user: "u")
            func status(_ header: [String]) throws -> Int {
                try scene.gateway.request(
                    "POST", "/v1/chat/completions", key: nil, headers: header, body: body
                ).status
            }
            #expect(try status([prefix + scene.key]) == 200)
            #expect(try status([prefix + scene.key + "x"]) == 401)
            #expect(try status([]) == 401)
        }

        @Test("opens no management, which the master key opens")
        func management() throws {
            let scene = try Scene(Self.scripts)
            defer { scene.end() }
            for (method, path, body) in [
                ("POST", "/key/generate", "{}"), ("GET", "/key/list", nil), ("GET", "/global/spend", nil),
                ("POST", "/key/block", "{\"key\":\"\(scene.key)\"}"),
            ] as [(String, String, String?)] {
                let refused = try scene.gateway.request(method, path, key: scene.key, body: body)
                #expect([401, 403].contains(refused.status), "\(path): \(refused.status)")
                #expect(try scene.gateway.request(method, path, key: nil, body: body).status == 401)
            }
            #expect(try self.call(scene, scene.key) == (200, nil))
            #expect(try self.call(scene, MartletProcess.masterKey) == (200, nil))
        }

        @Test("appears nowhere in logs or data in plain text")
        func secrecy() throws {
            let scene = try Scene(Self.scripts)
            defer { scene.end() }
            let secrets = [scene.key, MartletProcess.masterKey, "sk-upstream-secret"]
            #expect(try self.call(scene, scene.key) == (200, nil))
            #expect(try self.call(scene, "sk-never-seen-before").0 == 401)
            try scene.gateway.terminate()
            let files = FileManager.default.enumerator(at: scene.gateway.dataDirectory, includingPropertiesForKeys: nil)
            for case let file as URL in files ?? .init() {
                guard let data = try? Data(contentsOf: file) else { continue }
                for secret in secrets {
                    #expect(data.range(of: Data(secret.utf8)) == nil, "\(file.lastPathComponent) holds a secret")
                }
                #expect(data.range(of: Data("Say hello.".utf8)) == nil, "\(file.lastPathComponent) holds a prompt")
            }
            for secret in secrets + ["sk-never-seen-before", "Say hello."] {
                #expect(!scene.gateway.printed.contains(secret))
            }
        }
    }
}
