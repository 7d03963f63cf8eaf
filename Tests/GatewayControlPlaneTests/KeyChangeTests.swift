import Foundation
import GatewayControlPlane
import GatewayCore
import Testing

@Suite("Changes of a virtual key")
struct KeyChangeTests {
    let fixture = ControlFixture()

    @Test("are in force when the answer is out, named by secret or by digest", arguments: [true, false])
    func update(bySecret: Bool) async throws {
        let secret = try await self.fixture.makeKey(#"{"models":["a"],"tags":["x"],"metadata":{"k":1}}"#)
        let name = bySecret ? secret : KeySecret.digest(of: secret).hex
        let answer = await self.fixture.post(
            "/key/update", #"{"key":"\#(name)","models":["b"],"max_budget":3,"tags":null,"duration":"1d"}"#)
        #expect(answer.status == 200)
        #expect(answer.json["key"] as? String == name)
        #expect(answer.json["models"] as? [String] == ["b"])
        #expect(!answer.text.contains("\"tags\""))
        let entry = try #require(self.fixture.directory.entry(digest: KeySecret.digest(of: secret)))
        #expect(entry.models.allows("b") && !entry.models.allows("a"))
        #expect(entry.record.maxBudget == NanoUSD(rawValue: 3_000_000_000))
        #expect(entry.record.metadata == #"{"k":1}"#)
        #expect(try await self.fixture.info(secret)["expires"] as? String == "2026-11-23T12:00:00.000000Z")
    }

    @Test("can take an expiry and a budget back")
    func clear() async throws {
        let secret = try await self.fixture.makeKey(#"{"duration":"1d","max_budget":1}"#)
        let answer = await self.fixture.post("/key/update", #"{"key":"\#(secret)","duration":"-1","max_budget":null}"#)
        #expect(answer.json["expires"] is NSNull && answer.json["max_budget"] is NSNull)
    }

    @Test("block and unblock at once")
    func blocking() async throws {
        let secret = try await self.fixture.makeKey()
        let blocked = await self.fixture.post("/key/block", #"{"key":"\#(secret)"}"#)
        #expect(blocked.status == 200 && blocked.json["blocked"] as? Bool == true)
        #expect(!self.fixture.isInForce(secret))
        let refused = await self.fixture.get("/v1/models", key: secret)
        #expect(refused.status == 401 && refused.errorType == "auth_error")
        #expect(await self.fixture.post("/key/unblock", #"{"key":"\#(secret)"}"#).status == 200)
        #expect(await self.fixture.get("/v1/models", key: secret).status == 200)
    }

    @Test("delete by secret, digest and alias, naming what was there")
    func deletion() async throws {
        let first = try await self.fixture.makeKey()
        let second = try await self.fixture.makeKey()
        let third = try await self.fixture.makeKey(#"{"key_alias":"third"}"#)
        let digest = KeySecret.digest(of: second).hex
        let answer = await self.fixture.post(
            "/key/delete", #"{"keys":["\#(first)","\#(digest)","\#(first)","sk-unknown"]}"#)
        #expect(answer.status == 200)
        #expect(answer.json["deleted_keys"] as? [String] == [first, digest])
        let byAlias = await self.fixture.post("/key/delete", #"{"key_aliases":["third","nobody"]}"#)
        #expect(byAlias.json["deleted_keys"] as? [String] == [KeySecret.digest(of: third).hex])
        for secret in [first, second, third] { #expect(!self.fixture.isInForce(secret)) }
        #expect(await self.fixture.post("/key/delete", #"{"keys":["\#(first)"]}"#).status == 404)
        #expect(await self.fixture.post("/key/delete", "{}").status == 422)
    }

    @Test("regenerate: a new secret, the same identity, alias and spend", arguments: ["path", "body", "digest"])
    func regeneration(way: String) async throws {
        let secret = try await self.fixture.makeKey(#"{"key_alias":"kept","max_budget":5}"#)
        try self.fixture.spend(1_250, by: secret, number: 1)
        let before = try #require(self.fixture.directory.entry(digest: KeySecret.digest(of: secret)))
        let answer =
            switch way {
            case "path": await self.fixture.post("/key/\(secret)/regenerate", #"{"max_budget":6}"#)
            case "body": await self.fixture.post("/key/regenerate", #"{"key":"\#(secret)","max_budget":6}"#)
            default:
                await self.fixture.post("/key/\(KeySecret.digest(of: secret).hex)/regenerate", #"{"max_budget":6}"#)
            }
        #expect(answer.status == 200)
        let renewed = try #require(answer.json["key"] as? String)
        #expect(renewed != secret)
        #expect(!self.fixture.isInForce(secret) && self.fixture.isInForce(renewed))
        let after = try #require(self.fixture.directory.entry(digest: KeySecret.digest(of: renewed)))
        #expect(after.record.keyID == before.record.keyID && after.record.alias == "kept")
        #expect(after.record.maxBudget == NanoUSD(rawValue: 6_000_000_000))
        #expect(answer.text.contains(#""spend":0.00000125,"#))
    }

    @Test("regenerate to a secret of the caller's own, and refuse what cannot be kept")
    func regenerationFields() async throws {
        let secret = try await self.fixture.makeKey()
        let other = try await self.fixture.makeKey()
        let named = await self.fixture.post(
            "/key/\(secret)/regenerate", #"{"new_key":"sk-brand-new","grace_period":"0s"}"#)
        #expect(named.json["key"] as? String == "sk-brand-new")
        for body in [#"{"grace_period":"1h"}"#, #"{"new_master_key":"sk-abcdefgh"}"#] {
            #expect(await self.fixture.post("/key/\(other)/regenerate", body).status == 422, "\(body)")
        }
        for body in [#"{"new_key":"plain"}"#, #"{"new_key":"sk-brand-new"}"#, #"{"key":"sk-somebody-else"}"#] {
            #expect(await self.fixture.post("/key/\(other)/regenerate", body).status == 400, "\(body)")
        }
        #expect(self.fixture.isInForce(other))
        #expect(await self.fixture.post("/key/regenerate", "{}").status == 422)
        #expect(await self.fixture.post("/key/sk-nobody-knows/regenerate").status == 404)
    }

    @Test(
        "never touch the master key",
        arguments: ["/key/update", "/key/block", "/key/unblock", "/key/regenerate", "/key/delete"])
    func masterKey(path: String) async throws {
        for name in [ControlFixture.master, KeySecret.digest(of: ControlFixture.master).hex] {
            let body = path == "/key/delete" ? #"{"keys":["\#(name)"]}"# : #"{"key":"\#(name)"}"#
            let answer = await self.fixture.post(path, body)
            #expect(answer.status == 400)
            #expect((answer.error["message"] as? String)?.contains("master key") == true)
        }
        let secret = try await self.fixture.makeKey()
        let taken = await self.fixture.post("/key/\(secret)/regenerate", #"{"new_key":"\#(ControlFixture.master)"}"#)
        #expect(taken.status == 400)
        #expect(await self.fixture.get("/key/list").status == 200)
    }

    @Test(
        "of an unknown key answer 404, and 422 without a key", arguments: ["/key/update", "/key/block", "/key/unblock"])
    func unknownKey(path: String) async {
        let unknown = await self.fixture.post(path, #"{"key":"sk-unknown-key"}"#)
        #expect(unknown.status == 404 && unknown.errorType == "not_found_error")
        #expect(!unknown.text.contains("sk-unknown-key"))
        #expect(await self.fixture.post(path, "{}").status == 422)
    }

    @Test("keep the alias unique")
    func alias() async throws {
        _ = try await self.fixture.makeKey(#"{"key_alias":"one"}"#)
        let second = try await self.fixture.makeKey(#"{"key_alias":"two"}"#)
        #expect(await self.fixture.post("/key/update", #"{"key":"\#(second)","key_alias":"one"}"#).status == 400)
        #expect(await self.fixture.post("/key/update", #"{"key":"\#(second)","key_alias":"two"}"#).status == 200)
    }

    @Test("made at the same time all arrive")
    func concurrentUpdates() async throws {
        let secret = try await self.fixture.makeKey()
        let fixture = self.fixture
        let fields = ["tags", "prompts", "guardrails", "policies", "enforced_params", "access_group_ids"]
        await withTaskGroup(of: Int.self) { group in
            for field in fields {
                group.addTask { await fixture.post("/key/update", #"{"key":"\#(secret)","\#(field)":["x"]}"#).status }
            }
            for await status in group { #expect(status == 200) }
        }
        let info = try await fixture.info(secret)
        for field in fields { #expect(info[field] as? [String] == ["x"], "\(field)") }
    }

    @Test("leave store and calls agreeing, whichever store call fails", arguments: 1...4, [true, false])
    func failures(call: Int, isBefore: Bool) async throws {
        let secret = try await self.fixture.makeKey()
        self.fixture.keyStore.fail(call: call, isBefore ? .before : .after)
        let answer = await self.fixture.post("/key/update", #"{"key":"\#(secret)","key_alias":"new","blocked":true}"#)
        #expect([200, 503].contains(answer.status))
        self.fixture.keyStore.heal()
        let digest = KeySecret.digest(of: secret)
        let stored = try await self.fixture.keyStore.key(digest: digest)
        #expect(self.fixture.directory.entry(digest: digest)?.record == stored)
    }
}
