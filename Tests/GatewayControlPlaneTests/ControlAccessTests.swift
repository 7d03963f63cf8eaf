import GatewayControlPlane
import GatewayCore
import Testing

@Suite("Access to the control plane")
struct ControlAccessTests {
    static let open = [
        "GET /", "GET /livez", "GET /health/liveliness", "GET /health/liveness", "GET /readyz", "GET /health/readiness",
        "GET /metrics",
    ]
    static let anyKey = [
        "GET /v1/models", "GET /models", "GET /openai/v1/models", "GET /v1/models/gpt-4o", "GET /models/gpt-4o",
        "GET /openai/v1/models/gpt-4o", "GET /model/info", "GET /v1/model/info", "GET /key/info", "GET /spend/logs",
        "GET /routes",
    ]
    static let admin = [
        "POST /key/generate", "POST /key/update", "POST /key/delete", "POST /key/block", "POST /key/unblock",
        "POST /key/regenerate", "POST /key/x/regenerate", "POST /v2/key/info", "GET /key/list", "GET /global/spend",
        "GET /spend/keys", "GET /global/spend/keys", "GET /fleet",
    ]
    let fixture = ControlFixture()

    private func send(_ route: String, key: String?) async -> Answer {
        let parts = route.split(separator: " ").map(String.init)
        return await self.fixture.send(parts[0], parts[1], body: parts[0] == "POST" ? Array("{}".utf8) : [], key: key)
    }

    @Test("is free for health", arguments: open)
    func openRoutes(route: String) async throws {
        let secret = try await self.fixture.makeKey()
        for key in [nil, secret, ControlFixture.master, "sk-wrong"] {
            #expect(await self.send(route, key: key).status == 200)
        }
    }

    @Test("takes any key in force", arguments: anyKey)
    func keyRoutes(route: String) async throws {
        let secret = try await self.fixture.makeKey()
        #expect(await self.send(route, key: nil).status == 401)
        #expect(await self.send(route, key: "sk-wrong").status == 401)
        #expect(await self.send(route, key: secret).status == 200)
        #expect(await self.send(route, key: ControlFixture.master).status == 200)
    }

    @Test("takes the master key alone for management", arguments: admin)
    func adminRoutes(route: String) async throws {
        let secret = try await self.fixture.makeKey()
        #expect(await self.send(route, key: nil).status == 401)
        #expect(await self.send(route, key: "sk-wrong").status == 401)
        let refused = await self.send(route, key: secret)
        #expect(refused.status == 403 && refused.errorType == "auth_error")
        let status = await self.send(route, key: ControlFixture.master).status
        #expect(![401, 403, 405, 500].contains(status))
    }

    @Test("says why in LiteLLM's words")
    func refusals() async throws {
        let missing = await self.fixture.get("/v1/models", key: nil)
        #expect(missing.errorType == "auth_error")
        #expect((missing.error["message"] as? String)?.contains("No api key passed in.") == true)
        #expect(missing.error["code"] as? String == "401" && missing.text.contains(#""param":null"#))
        let unknown = await self.fixture.get("/v1/models", key: "sk-wrong")
        #expect(unknown.errorType == "token_not_found_in_db" && unknown.error["param"] as? String == "key")
        #expect(!unknown.text.contains("sk-wrong"))
        let secret = try await self.fixture.makeKey(#"{"duration":"1m"}"#)
        #expect(await self.fixture.get("/v1/models", key: secret).status == 200)
        self.fixture.clock.advance(by: .seconds(60))
        let expired = await self.fixture.get("/v1/models", key: secret)
        #expect(expired.status == 401 && expired.errorType == "expired_key")
        #expect(expired.text.contains("2026-11-22T12:01:00"))
    }

    @Test("to metrics asks for a key when it is told to")
    func metricsKey() async throws {
        let fixture = ControlFixture(metricsRequireKey: true)
        #expect(await fixture.get("/metrics", key: nil).status == 401)
        #expect(await fixture.get("/metrics").status == 200)
    }

    @Test("to what does not exist answers 404, and 405 for a wrong method")
    func routing() async {
        for target in ["/nothing", "/v1/chat%2Fcompletions", "/key", "/key/generate/more", "//", "/%00"] {
            let answer = await self.fixture.get(target)
            #expect(answer.status == 404 && answer.text == #"{"detail":"Not Found"}"#, "\(target)")
        }
        let wrong = await self.fixture.get("/key/generate")
        #expect(wrong.status == 405 && wrong.text == #"{"detail":"Method Not Allowed"}"#)
        #expect(wrong.header("allow") == "POST")
        #expect(await self.fixture.send("DELETE", "/v1/models").header("allow") == "GET, HEAD")
        #expect(await self.fixture.get("/%zz").status == 400)
        #expect(await self.fixture.get("/%ff").status == 400)
        #expect(await self.fixture.get("/v1/models/").status == 200)
    }

    @Test("by HEAD is like GET without a body")
    func head() async {
        let answer = await self.fixture.send("HEAD", "/livez", key: nil)
        #expect(answer.status == 200 && answer.text.isEmpty)
        #expect(await self.fixture.send("HEAD", "/key/generate").status == 405)
    }

    @Test("lists its routes")
    func routeListing() async {
        let answer = await self.fixture.get("/routes")
        #expect(answer.text.contains(#"{"path":"/v1/models/{model}","methods":["GET"]}"#))
        #expect(answer.text.contains(#"{"path":"/key/{key}/regenerate","methods":["POST"]}"#))
    }
}
