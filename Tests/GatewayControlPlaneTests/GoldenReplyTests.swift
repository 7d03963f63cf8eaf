import GatewayControlPlane
import GatewayCore
import TestSupport
import Testing

@Suite("Replies of the control plane")
struct GoldenReplyTests {
    @Test("are those on record")
    func replies() async throws {
        let fixture = ControlFixture()
        let full =
            #"{"key_alias":"ci","duration":"30d","models":["gpt-4o"],"max_budget":1.5,"budget_mode":"strict","#
            + #""user_id":"u","team_id":"t","metadata":{"cost_centre":"a","n":1.50},"rpm_limit":5}"#
        try await self.expect(fixture.post("/key/generate", full), "key-generate.json")
        try await self.expect(fixture.post("/key/generate", #"{"models":3,"duration":"x"}"#), "key-generate-422.json")
        try await self.expect(fixture.post("/key/generate", #"{"max_bugdet":3}"#), "key-generate-400.json")
        let secret = try await fixture.makeKey(#"{"key":"sk-golden-key"}"#)
        try fixture.spend(1_250, by: secret, number: 4)
        try await self.expect(fixture.get("/key/info?key=sk-golden-key"), "key-info.json")
        try await self.expect(
            fixture.post("/key/update", #"{"key":"sk-golden-key","blocked":false}"#), "key-update.json")
        try await self.expect(fixture.get("/key/list"), "key-list.json")
        try await self.expect(fixture.get("/spend/logs"), "spend-logs.json")
        try await self.expect(fixture.get("/spend/keys"), "spend-keys.json")
        try await self.expect(fixture.get("/v1/models"), "models.json")
        try await self.expect(fixture.get("/v1/models/nothing"), "model-404.json")
        try await self.expect(fixture.get("/model/info"), "model-info.json")
        try await self.expect(fixture.get("/readyz"), "readiness.json")
        try await self.expect(fixture.get("/fleet"), "fleet.json")
        try await self.expect(fixture.get("/"), "root.json")
        try await self.expect(fixture.get("/routes"), "routes.json")
        try await self.expect(fixture.get("/v1/models", key: nil), "no-key.json")
        try await self.expect(fixture.post("/key/delete", #"{"keys":["sk-golden-key"]}"#), "key-delete.json")
    }

    @Test("to Prometheus are those on record")
    func metrics() async throws {
        let answer = await ControlFixture(snapshot: MetricsTests.snapshot).get("/metrics")
        try expectGolden(answer.text, "metrics.txt")
    }

    /// The status, then the body with a break at each field, so that a diff reads well.
    private func expect(_ answer: Answer, _ name: String) throws {
        let body = answer.text.replacing(",\"", with: ",\n\"")
        try expectGolden("\(answer.status)\n\(body)\n", name)
    }
}
