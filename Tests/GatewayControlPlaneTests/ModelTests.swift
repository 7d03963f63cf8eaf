import Foundation
import GatewayControlPlane
import GatewayCore
import Testing

@Suite("The models that are listed")
struct ModelTests {
    let fixture = ControlFixture()

    private func names(_ answer: Answer) -> [String] {
        ((answer.json["data"] as? [[String: Any]]) ?? []).compactMap { $0["id"] as? String }
    }

    @Test("are those of the configuration, without wildcards unless asked")
    func list() async {
        let answer = await self.fixture.get("/v1/models")
        #expect(answer.json["object"] as? String == "list")
        #expect(self.names(answer) == ["gpt-4o", "together/meta/llama"])
        let all = await self.fixture.get("/v1/models?return_wildcard_routes=true")
        #expect(self.names(all) == ["gpt-4o", "together/meta/llama", "groq/*"])
    }

    @Test(
        "are those that the key may use",
        arguments: [
            ([], ["gpt-4o", "together/meta/llama"]), (["gpt-4o"], ["gpt-4o"]),
            (["together/*"], ["together/meta/llama"]),
            (["groq/llama-3", "gpt-4o"], ["gpt-4o", "groq/llama-3"]), (["unknown"], []), (["no-default-models"], []),
            (["all-proxy-models"], ["gpt-4o", "together/meta/llama"]), (["all-team-models"], []),
        ])
    func allowed(models: [String], names: [String]) async throws {
        let list = models.map { "\"\($0)\"" }.joined(separator: ",")
        let secret = try await self.fixture.makeKey(#"{"models":[\#(list)]}"#)
        #expect(self.names(await self.fixture.get("/models", key: secret)) == names)
    }

    @Test(
        "are found one by one, slashes and escapes in the name",
        arguments: ["gpt-4o", "together/meta/llama", "together%2Fmeta%2Fllama", "groq/anything/at-all", "gpt%2D4o"])
    func one(path: String) async throws {
        for prefix in ["/v1/models/", "/models/", "/openai/v1/models/"] {
            let answer = await self.fixture.get(prefix + path)
            #expect(answer.status == 200)
            #expect(answer.json["id"] as? String == path.removingPercentEncoding)
        }
    }

    @Test("do not say whether a model is unknown or only not allowed")
    func missing() async throws {
        let secret = try await self.fixture.makeKey(#"{"models":["gpt-4o"]}"#)
        for path in ["together/meta/llama", "unknown"] {
            let answer = await self.fixture.get("/v1/models/" + path, key: secret)
            #expect(answer.status == 404)
            #expect(answer.error["code"] as? String == "model_not_found")
            #expect(answer.error["param"] as? String == "model" && answer.errorType == "invalid_request_error")
        }
    }

    @Test("come with deployments, prices and limits")
    func info() async throws {
        let answer = await self.fixture.get("/v1/model/info")
        #expect((answer.json["data"] as? [Any])?.count == 2)
        #expect(answer.text.contains(#""input_cost_per_token":0.0000025,"output_cost_per_token":0.00001,"#))
        #expect(answer.text.contains(#""cache_creation_input_token_cost":null"#))
        let one = await self.fixture.get("/model/info?litellm_model_id=d-2")
        #expect((one.json["data"] as? [[String: Any]])?.first?["model_name"] as? String == "together/meta/llama")
        #expect(await self.fixture.get("/model/info?litellm_model_id=d-9").status == 404)
    }

    @Test("are described as groups: providers, and the largest bounds and prices")
    func groups() async throws {
        let all = await self.fixture.get("/model_group/info")
        let groups = try #require(all.json["data"] as? [[String: Any]])
        #expect(groups.compactMap { $0["model_group"] as? String } == ["gpt-4o", "together/meta/llama", "groq/*"])
        let one = await self.fixture.get("/model_group/info?model_group=gpt-4o")
        #expect((one.json["data"] as? [[String: Any]])?.first?["providers"] as? [String] == ["openai"])
        #expect(one.text.contains(#""input_cost_per_token":0.0000025,"output_cost_per_token":0.00001,"#))
        let secret = try await self.fixture.makeKey(#"{"models":["gpt-4o"]}"#)
        let own = await self.fixture.get("/model_group/info", key: secret)
        #expect((own.json["data"] as? [Any])?.count == 1)
        for name in ["together/meta/llama", "unknown"] {
            #expect(await self.fixture.get("/model_group/info?model_group=\(name)", key: secret).status == 404)
        }
    }
}
