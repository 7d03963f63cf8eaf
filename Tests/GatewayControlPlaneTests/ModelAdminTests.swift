import Foundation
import GatewayControlPlane
import GatewayCore
import GatewayLedger
import TestSupport
import Testing

@Suite("A stored model")
struct ModelAdminTests {
    let fixture = ModelFixture()

    private func parameters(_ answer: Answer) -> [String: Any] {
        (answer.json["litellm_params"] as? [String: Any]) ?? [:]
    }

    private func info(_ fixture: ModelFixture, _ target: String, key: String = ControlFixture.master) async -> [[String:
        Any]]
    {
        (await fixture.send("GET", target, key: key).json["data"] as? [[String: Any]]) ?? []
    }

    @Test("is in force when the answer goes out, and its secret is seen nowhere")
    func create() async throws {
        let answer = await self.fixture.send("POST", "/model/new", ModelFixture.body())
        #expect(answer.status == 200, "\(answer.text)")
        #expect(answer.json["model_id"] as? String == "m-1" && answer.json["model_name"] as? String == "fast")
        #expect(self.parameters(answer)["api_key"] as? String == "****8f31")
        #expect(self.parameters(answer)["api_base"] as? String == "https://api.example.com/v1")
        #expect((answer.json["model_info"] as? [String: Any])?["db_model"] as? Bool == true)
        #expect(answer.warnings.isEmpty)
        #expect(self.fixture.changes.value == 1)
        let entry = try #require(await self.info(self.fixture, "/model/info?litellm_model_id=m-1").first)
        #expect((entry["model_info"] as? [String: Any])?["db_model"] as? Bool == true)
        #expect((entry["litellm_params"] as? [String: Any])?["api_key"] as? String == "****8f31")
        for path in ["/model/info", "/v1/model/info", "/v2/model/info", "/v1/models"] {
            #expect(!(await self.fixture.send("GET", path)).text.contains(ModelFixture.secret))
        }
        #expect(!answer.text.contains(ModelFixture.secret) && !self.fixture.log.text.contains(ModelFixture.secret))
        let stored = try await self.fixture.stored()
        #expect(stored.contains("mbx1:") && !stored.contains(ModelFixture.secret))
        let opened = try #require(self.fixture.vault.opened.models.first)
        #expect(opened.parameters["api_key"] == .string(ModelFixture.secret))
        #expect(opened.parameters["extra_headers"]?["X-Key"] == .string(ModelFixture.secret))
        #expect(opened.parameters["rpm"] == .number("60"))
        #expect(!"\(opened)".contains(ModelFixture.secret))
    }

    @Test("gets an identifier when it has none")
    func identifier() async {
        let first = await self.fixture.send("POST", "/model/new", ModelFixture.body(id: nil))
        let second = await self.fixture.send("POST", "/model/new", ModelFixture.body(id: nil))
        let ids = [first, second].compactMap { $0.json["model_id"] as? String }
        #expect(Set(ids).count == 2 && ids.allSatisfy { UUID(uuidString: $0) != nil })
    }

    @Test("is added by one of two pods that add the same identifier at once")
    func twoPods() async throws {
        let store = MemoryModelStore()
        let pods = (0..<4).map { ModelFixture(store: store, seed: UInt64($0)) }
        let statuses = await withTaskGroup(of: (Int, String).self) { group in
            for (index, pod) in pods.enumerated() {
                group.addTask {
                    let answer = await pod.send("POST", "/model/new", ModelFixture.body(secret: "sk-of-pod-\(index)"))
                    return (answer.status, answer.text)
                }
            }
            return await group.reduce(into: [(Int, String)]()) { $0.append($1) }
        }
        #expect(statuses.map(\.0).sorted() == [200, 400, 400, 400])
        #expect(
            statuses.filter { $0.0 == 400 }.allSatisfy { $0.1.contains("exists already") && !$0.1.contains("sk-of") })
        #expect(try await store.models().count == 1)
    }

    @Test("is changed member by member, and its secret stays")
    func update() async throws {
        _ = await self.fixture.send("POST", "/model/new", ModelFixture.body())
        let body =
            #"{"model_name":"faster","litellm_params":{"rpm":90,"api_base":null},"model_info":{"id":"m-1","mode":"x"}}"#
        let answer = await self.fixture.send("POST", "/model/update", body)
        #expect(answer.status == 200, "\(answer.text)")
        let model = try #require(self.fixture.vault.opened.models.first)
        #expect(model.modelName == "faster" && model.parameters["rpm"] == .number("90"))
        #expect(model.parameters["api_base"] == nil && model.parameters["api_key"] == .string(ModelFixture.secret))
        let patched = await self.fixture.send(
            "PATCH", "/model/m-1/update", #"{"litellm_params":{"api_key":"sk-another-secret-0123456789"}}"#)
        #expect(patched.status == 200)
        let opened = self.fixture.vault.opened.models.first
        #expect(opened?.parameters["api_key"] == .string("sk-another-secret-0123456789"))
        #expect(opened?.modelName == "faster" && opened?.info["mode"] == .string("x"))
    }

    @Test("keeps every member that several pods change at once, whatever their clocks say", arguments: [2, 6])
    func changesOfSeveralPods(count: Int) async throws {
        let store = MemoryModelStore()
        let pods = (0..<count).map { ModelFixture(store: store, seed: UInt64($0)) }
        // Its time of change lies in the future of every other pod.
        pods[0].clock.advance(by: .seconds(3600))
        #expect(await pods[0].send("POST", "/model/new", ModelFixture.body()).status == 200)
        await withTaskGroup(of: Void.self) { group in
            for (index, pod) in pods.enumerated() {
                group.addTask {
                    for round in 0..<5 {
                        let body = "{\"litellm_params\":{\"tag_\(index)_\(round)\":\"\(index)\"}}"
                        let answer = await pod.send("PATCH", "/model/m-1/update", body)
                        #expect(answer.status == 200, "\(answer.text)")
                    }
                }
            }
        }
        let parameters = try #require(try await pods[0].vault.load().models.first).parameters
        for index in 0..<count {
            for round in 0..<5 { #expect(parameters["tag_\(index)_\(round)"] == .string("\(index)")) }
        }
        #expect(parameters["api_key"] == .string(ModelFixture.secret))
    }

    @Test("can be read and sent back: the masks stand for what is stored")
    func masks() async throws {
        _ = await self.fixture.send("POST", "/model/new", ModelFixture.body())
        let read = try #require(await self.info(self.fixture, "/model/info?litellm_model_id=m-1").first)
        let body = String(decoding: try JSONSerialization.data(withJSONObject: read), as: UTF8.self)
        let answer = await self.fixture.send("POST", "/model/update", body)
        #expect(answer.status == 200, "\(answer.text)")
        let model = try #require(self.fixture.vault.opened.models.first)
        #expect(model.parameters["api_key"] == .string(ModelFixture.secret))
        #expect(model.parameters["extra_headers"]?["X-Key"] == .string(ModelFixture.secret))
        for mask in ["****", "****8f32"] {
            let wrong = await self.fixture.send(
                "PATCH", "/model/m-1/update", #"{"litellm_params":{"api_key":"\#(mask)"}}"#)
            #expect(wrong.status == 400 && wrong.text.contains("mask"))
            let new = await self.fixture.send("POST", "/model/new", ModelFixture.body(id: "m-2", secret: mask))
            #expect(new.status == 400)
        }
    }

    @Test("is deleted once")
    func delete() async throws {
        _ = await self.fixture.send("POST", "/model/new", ModelFixture.body())
        let answer = await self.fixture.send("POST", "/model/delete", #"{"id":"m-1"}"#)
        #expect(answer.json["message"] as? String == "Model: m-1 deleted successfully")
        #expect(await self.fixture.send("POST", "/model/delete", #"{"id":"m-1"}"#).status == 404)
        #expect(await self.fixture.send("POST", "/model/update", #"{"model_info":{"id":"m-1"}}"#).status == 404)
        let configured = await self.fixture.send("POST", "/model/delete", #"{"id":"d-1"}"#)
        #expect(configured.status == 400 && configured.text.contains("configuration file"))
        #expect(try await self.fixture.stored().isEmpty)
    }

    @Test("is blocked and unblocked, and keeps everything else")
    func block() async throws {
        _ = await self.fixture.send("POST", "/model/new", ModelFixture.body())
        let before = try #require(self.fixture.vault.opened.models.first)
        for (path, isBlocked) in [("/model/block", true), ("/model/block", true), ("/model/unblock", false)] {
            let answer = await self.fixture.send("POST", path, #"{"id":"m-1"}"#)
            #expect(answer.status == 200, "\(answer.text)")
            #expect((answer.json["model_info"] as? [String: Any])?["blocked"] as? Bool == isBlocked)
            let model = try #require(self.fixture.vault.opened.models.first)
            #expect(model.info["blocked"] == .bool(isBlocked) && model.parameters == before.parameters)
        }
        #expect(await self.fixture.send("POST", "/model/block", #"{"id":"m-9"}"#).status == 404)
        #expect(await self.fixture.send("POST", "/model/block", "{}").status == 422)
        let configured = await self.fixture.send("POST", "/model/block", #"{"id":"d-1"}"#)
        #expect(configured.status == 400 && configured.text.contains("configuration file"))
    }

    @Test("is refused as `martlet check` would, and then not stored")
    func check() async throws {
        self.fixture.verdict.value = CandidateVerdict(errors: ["unknown key \"api_kye\"; did you mean \"api_key\"?"])
        let answer = await self.fixture.send("POST", "/model/new", ModelFixture.body())
        #expect(answer.status == 400 && answer.text.contains("did you mean"))
        #expect(try await self.fixture.stored().isEmpty && self.fixture.changes.value == 0)
        self.fixture.verdict.value = CandidateVerdict(warnings: ["it is taken for a description"])
        let warned = await self.fixture.send("POST", "/model/new", ModelFixture.body())
        #expect(warned.status == 200 && warned.warnings == ["it is taken for a description"])
    }

    @Test("that is stored but not in force is a success with a warning, and found by /model/info")
    func notInForce() async throws {
        self.fixture.isServing.value = false
        let answer = await self.fixture.send("POST", "/model/new", ModelFixture.body())
        #expect(answer.status == 200 && answer.warnings.count == 1)
        try await self.fixture.vault.load()
        self.fixture.vault.note(rejected: [StoredFault(row: .model("m-1"), message: "because of the test")])
        let entry = try #require(await self.info(self.fixture, "/model/info?litellm_model_id=m-1").first)
        #expect((entry["model_info"] as? [String: Any])?["fault"] as? String == "because of the test")
    }

    @Test("shows its parameters to the master key alone")
    func visibility() async throws {
        _ = await self.fixture.send("POST", "/model/new", ModelFixture.body())
        self.fixture.addKey("sk-plain-key")
        let entry = try #require(
            await self.info(self.fixture, "/model/info?litellm_model_id=m-1", key: "sk-plain-key").first)
        #expect((entry["litellm_params"] as? [String: Any])?["api_base"] == nil)
        for (method, path) in [
            ("POST", "/model/new"), ("POST", "/model/update"), ("PATCH", "/model/m-1/update"),
            ("POST", "/model/delete"), ("POST", "/model/block"), ("POST", "/model/unblock"),
            ("POST", "/credentials"), ("GET", "/credentials"), ("GET", "/credentials/by_name/a"),
            ("PATCH", "/credentials/a"), ("DELETE", "/credentials/a"),
        ] {
            #expect(await self.fixture.send(method, path, ModelFixture.body(), key: "sk-plain-key").status == 403)
            #expect(await self.fixture.send(method, path, ModelFixture.body(), key: nil).status == 401)
        }
    }

    @Test("comes in pages")
    func pages() async {
        for number in 1...5 { _ = await self.fixture.send("POST", "/model/new", ModelFixture.body(id: "m-\(number)")) }
        let answer = await self.fixture.send("GET", "/v2/model/info?search=FAST&size=2&page=3")
        #expect(answer.json["total_count"] as? Int == 5 && answer.json["total_pages"] as? Int == 3)
        #expect((answer.json["data"] as? [Any])?.count == 1)
        #expect(await self.fixture.send("GET", "/v2/model/info?size=0").status == 422)
        #expect(await self.fixture.send("GET", "/v2/model/info?sortBy=price").status == 400)
    }

    @Test("is refused while store_model_in_db is off, with LiteLLM's words")
    func off() async throws {
        let fixture = ModelFixture(isOn: false)
        for (method, path) in [
            ("POST", "/model/new"), ("POST", "/model/delete"), ("POST", "/credentials"), ("GET", "/credentials"),
        ] {
            let answer = await fixture.send(method, path, ModelFixture.body())
            #expect(answer.status == 400)
            #expect(answer.text.contains("Set `'STORE_MODEL_IN_DB='True'` in your env to enable this feature."))
        }
        #expect(try await fixture.stored().isEmpty)
    }

    @Test("with a secret is refused when there is no key to seal it with; one without is stored")
    func noKey() async throws {
        let fixture = ModelFixture(keyring: nil)
        let answer = await fixture.send("POST", "/model/new", ModelFixture.body())
        #expect(answer.status == 400 && answer.text.contains("LITELLM_SALT_KEY"))
        #expect(!answer.text.contains(ModelFixture.secret))
        let plain =
            #"{"model_name":"m","litellm_params":{"model":"openai/gpt-4o","api_key":"os.environ/OPENAI_API_KEY"}}"#
        #expect(await fixture.send("POST", "/model/new", plain).status == 200)
        #expect(fixture.vault.opened.models.first?.parameters["api_key"] == .string("os.environ/OPENAI_API_KEY"))
    }

    @Test("that another salt key sealed is left out, said so, and can be deleted")
    func foreignKey() async throws {
        _ = await self.fixture.send("POST", "/model/new", ModelFixture.body())
        let other = ModelFixture(store: self.fixture.store, keyring: ModelFixture.keyring("quite another salt key"))
        let opened = try await other.vault.load()
        #expect(opened.models.isEmpty && opened.faults.map(\.row) == [.model("m-1")])
        #expect(opened.faults.first?.message.contains("LITELLM_SALT_KEY") == true)
        let entry = try #require(await self.info(other, "/model/info?litellm_model_id=m-1").first)
        #expect((entry["model_info"] as? [String: Any])?["fault"] != nil)
        #expect(
            await other.send("POST", "/model/update", #"{"model_info":{"id":"m-1"},"model_name":"x"}"#).status == 400)
        let mixed = await other.send("POST", "/model/new", ModelFixture.body(id: "m-2"))
        #expect(mixed.status == 500 && mixed.text.contains("LITELLM_SALT_KEY"))
        #expect(await other.send("POST", "/model/delete", #"{"id":"m-1"}"#).status == 200)
        #expect(await other.send("POST", "/model/new", ModelFixture.body(id: "m-2")).status == 200)
    }

    @Test("with a value that only looks sealed is refused")
    func forged() async throws {
        for text in ["mbx1:", "mbx1:AAAA"] {
            let answer = await self.fixture.send("POST", "/model/new", ModelFixture.body(secret: text))
            #expect(answer.status == 400 && answer.text.contains("marks sealed text"))
        }
        #expect(try await self.fixture.stored().isEmpty)
    }

    @Test(
        "is refused when the request is not one",
        arguments: [
            ("", 422), ("[]", 422), ("{", 400), ("{}", 422), (#"{"model_name":"m"}"#, 422),
            (#"{"model_name":1,"litellm_params":{}}"#, 422), (#"{"model_name":"m","litellm_params":[]}"#, 422),
            (#"{"model_name":"m","litellm_params":{},"model_info":"x"}"#, 422),
            (#"{"model_name":"m","litellm_params":{},"model_info":{"id":7}}"#, 422),
            (#"{"model_name":"m","litellm_params":{},"team":"t"}"#, 400),
            (#"{"model_name":"m","litellm_params":{"a":1,"a":2}}"#, 400),
        ])
    func malformed(body: String, status: Int) async throws {
        #expect(await self.fixture.send("POST", "/model/new", body).status == status)
        #expect(try await self.fixture.stored().isEmpty)
    }

    @Test("is bounded")
    func huge() async throws {
        let long = String(repeating: "s", count: 70_000)
        #expect(await self.fixture.send("POST", "/model/new", ModelFixture.body(secret: long)).status == 422)
        let many = (0..<6000).map { #""k\#($0)":"v""# }.joined(separator: ",")
        let answer = await self.fixture.send(
            "POST", "/model/new", #"{"model_name":"m","litellm_params":{"model":"openai/x",\#(many)}}"#)
        #expect(answer.status == 422 || answer.status == 400)
        let body = ModelFixture.body(secret: String(repeating: "s", count: 2 << 20))
        #expect(await self.fixture.send("POST", "/model/new", body).status == 413)
        #expect(try await self.fixture.stored().isEmpty)
    }

    @Test("is not confirmed while the store is away")
    func storeAway() async throws {
        let fixture = ModelFixture(store: LostModelStore())
        for (method, path, body) in [
            ("POST", "/model/new", ModelFixture.body()), ("POST", "/model/delete", #"{"id":"m-1"}"#),
            ("POST", "/model/update", #"{"model_info":{"id":"m-1"}}"#),
            ("POST", "/credentials", #"{"credential_name":"a","credential_values":{"api_key":"k"}}"#),
            ("GET", "/credentials", ""), ("DELETE", "/credentials/a", ""),
        ] {
            let answer = await fixture.send(method, path, body)
            #expect(answer.status == 503 && answer.errorType == "no_db_connection", "\(path)")
            #expect(!answer.text.contains(ModelFixture.secret))
        }
        #expect(!fixture.log.text.contains(ModelFixture.secret))
        #expect(await fixture.send("GET", "/model/info").status == 200)
    }
}

/// A store that never answers.
private struct LostModelStore: ModelStore {
    private var gone: LedgerError { .unavailable("the test took the store away") }

    func insert(_ model: StoredModel) async throws(LedgerError) { throw self.gone }
    func update(_ model: StoredModel, from former: UnixMicroseconds) async throws(LedgerError) { throw self.gone }
    func deleteModel(_ modelID: String) async throws(LedgerError) { throw self.gone }
    func model(_ modelID: String) async throws(LedgerError) -> StoredModel? { throw self.gone }
    func models() async throws(LedgerError) -> [StoredModel] { throw self.gone }
    func insert(_ credential: StoredCredential) async throws(LedgerError) { throw self.gone }
    func update(_ credential: StoredCredential, from former: UnixMicroseconds) async throws(LedgerError) {
        throw self.gone
    }
    func deleteCredential(_ name: String) async throws(LedgerError) { throw self.gone }
    func credential(_ name: String) async throws(LedgerError) -> StoredCredential? { throw self.gone }
    func credentials() async throws(LedgerError) -> [StoredCredential] { throw self.gone }
    func reseal(
        _ model: @Sendable (StoredModel) throws(LedgerError) -> StoredModel,
        _ credential: @Sendable (StoredCredential) throws(LedgerError) -> StoredCredential
    ) async throws(LedgerError) -> Int { throw self.gone }
}
