import Foundation
import GatewayControlPlane
import GatewayCore
import GatewayLedger
import TestSupport
import Testing

@Suite("A stored credential")
struct CredentialTests {
    private static let body =
        #"{"credential_name":"team a/openai","credential_values":{"api_key":"\#(ModelFixture.secret)","#
        + #""api_base":"https://u:planted-pw@example.com","port":8443,"on":true},"credential_info":{"owner":"ops"}}"#
    private static let path = "/credentials/team%20a/openai"
    let fixture = ModelFixture()

    @Test("is made, listed and shown without its values")
    func create() async throws {
        let answer = await self.fixture.send("POST", "/credentials", Self.body)
        #expect(answer.status == 200 && answer.json["success"] as? Bool == true)
        #expect(answer.json["message"] as? String == "Credential created successfully")
        let list = await self.fixture.send("GET", "/credentials")
        let entries = try #require(list.json["credentials"] as? [[String: Any]])
        #expect(entries.map { $0["credential_name"] as? String } == ["team a/openai"])
        let one = await self.fixture.send("GET", "/credentials/by_name/team%20a%2Fopenai")
        let values = try #require(one.json["credential_values"] as? [String: Any])
        #expect(values["api_key"] as? String == "****8f31" && values["port"] as? String == "****")
        #expect((one.json["credential_info"] as? [String: Any])?["owner"] as? String == "ops")
        let everything = answer.text + list.text + one.text + self.fixture.log.text + (try await self.fixture.stored())
        for planted in [ModelFixture.secret, "planted-pw", "8443"] { #expect(!everything.contains(planted)) }
        #expect(self.fixture.vault.opened.credentials.first?.values["port"] == .string("8443"))
        #expect(await self.fixture.send("POST", "/credentials", Self.body).status == 400)
    }

    @Test("is shown by the model that uses it, and a model's own parameters as if they were one")
    func byModel() async throws {
        _ = await self.fixture.send("POST", "/credentials", Self.body)
        _ = await self.fixture.send("POST", "/model/new", ModelFixture.body(id: "m-1"))
        let model =
            #"{"model_name":"p","litellm_params":{"model":"openai/x","litellm_credential_name":"team a/openai"},"#
            + #""model_info":{"id":"m-2"}}"#
        #expect(await self.fixture.send("POST", "/model/new", model).status == 200)
        let named = await self.fixture.send("GET", "/credentials/by_model/m-2")
        #expect(named.json["credential_name"] as? String == "team a/openai")
        let own = await self.fixture.send("GET", "/credentials/by_model/m-1")
        let values = try #require(own.json["credential_values"] as? [String: Any], "\(own.text)")
        #expect(values["api_key"] as? String == "****8f31" && values["model"] == nil)
        #expect(!(named.text + own.text).contains(ModelFixture.secret))
        #expect(await self.fixture.send("GET", "/credentials/by_model/m-9").status == 404)
    }

    @Test("keeps every value that several pods change at once")
    func changesOfSeveralPods() async throws {
        let store = MemoryModelStore()
        let pods = (0..<4).map { ModelFixture(store: store, seed: UInt64($0)) }
        #expect(await pods[0].send("POST", "/credentials", Self.body).status == 200)
        await withTaskGroup(of: Void.self) { group in
            for (index, pod) in pods.enumerated() {
                group.addTask {
                    let answer = await pod.send("PATCH", Self.path, "{\"credential_values\":{\"v\(index)\":\"x\"}}")
                    #expect(answer.status == 200, "\(answer.text)")
                }
            }
        }
        let values = try #require(try await pods[0].vault.load().credentials.first).values
        for index in 0..<4 { #expect(values["v\(index)"] == .string("x")) }
        #expect(values["api_key"] == .string(ModelFixture.secret))
    }

    @Test("is changed value by value")
    func update() async throws {
        _ = await self.fixture.send("POST", "/credentials", Self.body)
        let answer = await self.fixture.send("PATCH", Self.path, #"{"credential_values":{"api_base":null,"port":"1"}}"#)
        #expect(answer.json["message"] as? String == "Credential updated successfully", "\(answer.text)")
        let values = try #require(self.fixture.vault.opened.credentials.first?.values)
        #expect(values["api_key"] == .string(ModelFixture.secret) && values["api_base"] == nil)
        #expect(values["port"] == .string("1"))
        let masked = await self.fixture.send("PATCH", Self.path, #"{"credential_values":{"api_key":"****8f31"}}"#)
        #expect(masked.status == 200)
        #expect(self.fixture.vault.opened.credentials.first?.values["api_key"] == .string(ModelFixture.secret))
        #expect(await self.fixture.send("PATCH", Self.path, #"{"credential_name":"b"}"#).status == 400)
        #expect(await self.fixture.send("PATCH", "/credentials/none", "{}").status == 404)
    }

    @Test("is deleted, but not while a stored model uses it")
    func delete() async throws {
        _ = await self.fixture.send("POST", "/credentials", Self.body)
        let model =
            #"{"model_name":"m","litellm_params":{"model":"openai/x","litellm_credential_name":"team a/openai"},"#
            + #""model_info":{"id":"m-9"}}"#
        #expect(await self.fixture.send("POST", "/model/new", model).status == 200)
        let refused = await self.fixture.send("DELETE", Self.path)
        #expect(refused.status == 400 && refused.text.contains("m-9"))
        _ = await self.fixture.send("POST", "/model/delete", #"{"id":"m-9"}"#)
        let answer = await self.fixture.send("DELETE", Self.path)
        #expect(answer.json["message"] as? String == "Credential deleted successfully")
        #expect(await self.fixture.send("DELETE", Self.path).status == 404)
        #expect(await self.fixture.send("GET", "/credentials/by_name/team%20a/openai").status == 404)
    }

    @Test(
        "is refused when the request is not one",
        arguments: [
            ("{}", 422), (#"{"credential_name":"a"}"#, 422), (#"{"credential_name":"a","credential_values":[]}"#, 422),
            (#"{"credential_name":"","credential_values":{}}"#, 400),
            (#"{"credential_name":"a\u0000","credential_values":{}}"#, 400),
            (#"{"credential_name":"a","credential_values":{},"model_id":"m"}"#, 400),
            (#"{"credential_name":"a","credential_values":{"api_key":"mbx1:x"}}"#, 400),
        ])
    func malformed(body: String, status: Int) async throws {
        #expect(await self.fixture.send("POST", "/credentials", body).status == status)
        #expect(try await self.fixture.stored().isEmpty)
    }

    @Test("needs a key to seal it with")
    func noKey() async throws {
        let fixture = ModelFixture(keyring: nil)
        #expect(await fixture.send("POST", "/credentials", Self.body).status == 400)
        #expect(try await fixture.stored().isEmpty)
    }
}

@Suite("The rotation of the salt key")
struct SecretRotationTests {
    private let former = SecretBox(saltKey: ModelFixture.saltKey)
    private let next = SecretBox(saltKey: "the next salt key of the test")

    private func filled() async -> ModelFixture {
        let fixture = ModelFixture()
        for number in 1...3 { _ = await fixture.send("POST", "/model/new", ModelFixture.body(id: "m-\(number)")) }
        let credential = #"{"credential_name":"a","credential_values":{"api_key":"\#(ModelFixture.secret)"}}"#
        _ = await fixture.send("POST", "/credentials", credential)
        _ = await fixture.send("POST", "/model/new", #"{"model_name":"p","litellm_params":{"model":"openai/x"}}"#)
        return fixture
    }

    @Test("seals everything anew, and a second run has nothing to do")
    func rotates() async throws {
        let fixture = await self.filled()
        let count = try await SecretRotation.run(store: fixture.store, from: self.former, to: self.next)
        #expect(count == 4)
        let before = try await fixture.vault.load()
        #expect(before.faults.count == 4 && before.models.count == 1)
        let vault = ModelVault(store: fixture.store, keyring: SecretKeyring(current: self.next))
        let opened = try await vault.load()
        #expect(opened.faults.isEmpty && opened.models.count == 4)
        let sealed = opened.models.filter { $0.modelName == "fast" }
        #expect(sealed.count == 3 && sealed.allSatisfy { $0.parameters["api_key"] == .string(ModelFixture.secret) })
        #expect(opened.credentials.first?.values["api_key"] == .string(ModelFixture.secret))
        #expect(try await SecretRotation.run(store: fixture.store, from: self.former, to: self.next) == 0)
    }

    @Test("changes nothing when one row opens with neither key")
    func atomic() async throws {
        let fixture = await self.filled()
        let stranger = ModelFixture(store: fixture.store, keyring: ModelFixture.keyring("a lost salt key"))
        let foreign = StoredModel(
            modelID: "m-0", modelName: "m",
            parameters: JSONValue.object([
                JSONMember(
                    "api_key",
                    .string(
                        SecretBox(saltKey: "a lost salt key").seal(
                            "x", at: SecretPlace(row: .model("m-0"), path: ["api_key"]))))
            ]).text, info: "{}", createdBy: "test", createdAt: UnixMicroseconds(rawValue: 0),
            updatedAt: UnixMicroseconds(rawValue: 0))
        try await stranger.store.insert(foreign)
        let text = try await fixture.stored()
        await #expect(throws: LedgerError.self) {
            try await SecretRotation.run(store: fixture.store, from: self.former, to: self.next)
        }
        #expect(try await fixture.stored() == text)
        do throws(LedgerError) {
            _ = try await SecretRotation.run(store: fixture.store, from: self.former, to: self.next)
        } catch {
            #expect(error.message.contains("m-0") && !error.message.contains(ModelFixture.secret))
        }
    }

    @Test("goes on while pods run that know both keys")
    func whileServing() async throws {
        let fixture = await self.filled()
        let both = SecretKeyring(current: self.next, former: [self.former])
        let pod = ModelFixture(store: fixture.store, keyring: both)
        #expect(try await pod.vault.load().faults.isEmpty)
        _ = await pod.send("POST", "/model/new", ModelFixture.body(id: "m-7"))
        #expect(try await SecretRotation.run(store: fixture.store, from: self.former, to: self.next) == 4)
        #expect(try await pod.vault.load().faults.isEmpty)
    }
}
