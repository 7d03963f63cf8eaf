import GatewayControlPlane
import GatewayCore
import Testing

@Suite("What is told of virtual keys")
struct KeyListTests {
    let fixture = ControlFixture()

    @Test("is the live spend, exact and short")
    func liveSpend() async throws {
        let secret = try await self.fixture.makeKey(#"{"user_id":"u"}"#)
        try self.fixture.spend(12_000, by: secret, number: 1)
        let answer = await self.fixture.get("/key/info?key=\(secret)")
        #expect(answer.text.contains(#""spend":0.000012,"#))
        #expect(!answer.text.contains("litellm_budget_table\":{"))
    }

    @Test("is a key's own business: itself, not others")
    func ownInfo() async throws {
        let mine = try await self.fixture.makeKey(#"{"key_alias":"mine"}"#)
        let other = try await self.fixture.makeKey()
        for target in ["/key/info", "/key/info?key=\(mine)", "/key/info?key=\(KeySecret.digest(of: mine).hex)"] {
            let answer = await self.fixture.get(target, key: mine)
            #expect(answer.status == 200)
            #expect((answer.json["info"] as? [String: Any])?["key_alias"] as? String == "mine")
        }
        #expect(await self.fixture.get("/key/info?key=\(other)", key: mine).status == 403)
        #expect(await self.fixture.get("/key/info?key=\(ControlFixture.master)", key: mine).status == 403)
        #expect(await self.fixture.get("/key/info?key=sk-nobody-knows").status == 404)
        #expect(await self.fixture.get("/key/info").status == 200)
    }

    @Test("comes from what is in force while the store is away")
    func storeAway() async throws {
        let secret = try await self.fixture.makeKey()
        self.fixture.keyStore.setDown(true)
        #expect(await self.fixture.get("/key/info", key: secret).status == 200)
        #expect(await self.fixture.get("/key/list").status == 503)
    }

    @Test("comes in pages, newest first, as digests or whole")
    func pages() async throws {
        var digests: [String] = []
        for number in 1...5 {
            digests.insert(
                KeySecret.digest(of: try await self.fixture.makeKey(#"{"user_id":"u\#(number % 2)"}"#)).hex, at: 0)
        }
        let page = await self.fixture.get("/key/list?page=2&size=2")
        #expect(page.json["keys"] as? [String] == Array(digests[2...3]))
        #expect(page.json["total_count"] as? Int == 5)
        #expect(page.json["current_page"] as? Int == 2 && page.json["total_pages"] as? Int == 3)
        let whole = await self.fixture.get("/key/list?return_full_object=true&user_id=u1&size=100")
        #expect((whole.json["keys"] as? [[String: Any]])?.count == 3)
        #expect(!whole.text.contains("sk-m"))
        let one = await self.fixture.get("/key/list?key_hash=\(digests[0])")
        #expect(one.json["keys"] as? [String] == [digests[0]])
    }

    @Test("refuses pages and filters that it cannot serve")
    func badQueries() async {
        for target in ["page=0", "size=0", "size=1001", "page=x", "return_full_object=perhaps"] {
            #expect(await self.fixture.get("/key/list?" + target).status == 422, "\(target)")
        }
        for target in ["organization_id=o", "search=x", "substring_matching=true", "page=%zz", "user_id=%ff"] {
            #expect(await self.fixture.get("/key/list?" + target).status == 400, "\(target)")
        }
    }

    @Test("answers for several keys at once")
    func several() async throws {
        let secret = try await self.fixture.makeKey()
        let answer = await self.fixture.post("/v2/key/info", #"{"keys":["\#(secret)","sk-unknown"]}"#)
        #expect((answer.json["info"] as? [[String: Any]])?.count == 1)
        #expect(await self.fixture.post("/v2/key/info", "{}").status == 422)
    }
}
