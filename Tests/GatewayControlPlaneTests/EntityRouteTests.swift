import Foundation
import GatewayAdmission
import GatewayControlPlane
import GatewayCore
import GatewayLedger
import TestSupport
import Testing

@Suite("Users, organizations, customers, tags, budgets and access groups")
struct EntityRouteTests {
    private let fixture = ControlFixture()

    private func post(_ path: String, _ body: String) async -> Answer { await self.fixture.post(path, body) }

    private func terms(_ key: String, customer: String? = nil, tags: [String] = []) throws -> AdmissionTerms {
        let entry = try #require(self.fixture.directory.entry(digest: KeySecret.digest(of: key)))
        return self.fixture.directory.entities.terms(
            for: entry, customer: customer, tags: tags, now: self.fixture.clock.now()
        ).terms
    }

    @Test("make a user with a key, or without one")
    func users() async throws {
        let made = await self.post(
            "/user/new", #"{"user_id":"ann","user_email":"ann@x.org","max_budget":5,"key_alias":"k"}"#)
        #expect(made.status == 200 && made.json["user_id"] as? String == "ann", "\(made.text)")
        let key = try #require(made.json["key"] as? String)
        #expect(try self.terms(key).budgets.map(\.subject) == [Subject(.user, "ann")])
        #expect(await self.post("/user/new", #"{"user_id":"ann"}"#).status == 400)
        #expect(await self.post("/user/new", #"{"user_email":"ann@x.org"}"#).status == 400)
        let bare = await self.post("/user/new", #"{"auto_create_key":false,"user_role":"internal_user_viewer"}"#)
        #expect(bare.json["key"] == nil && (bare.json["user_id"] as? String)?.isEmpty == false)
        #expect(await self.post("/user/new", #"{"user_role":"king"}"#).status == 422)
        let updated = await self.post("/user/update", #"{"user_email":"ann@x.org","user_role":"proxy_admin"}"#)
        #expect((updated.json["data"] as? [String: Any])?["user_role"] as? String == "proxy_admin")
        #expect(await self.fixture.get("/user/list", key: key).json["total"] as? Int == 2)
        let info = await self.fixture.get("/user/info?user_id=ann")
        #expect((info.json["keys"] as? [Any])?.count == 1)
        #expect((info.json["user_info"] as? [String: Any])?["max_budget"] as? Double == 5)
        let bulk = await self.post(
            "/user/bulk_update", #"{"users":[{"user_id":"ann","max_budget":6},{"user_id":"none","max_budget":1}]}"#)
        #expect(bulk.json["successful_updates"] as? Int == 1 && bulk.json["failed_updates"] as? Int == 1)
        #expect(await self.post("/user/delete", #"{"user_ids":["ann"]}"#).text == "1")
        #expect(!self.fixture.isInForce(key))
        #expect(await self.post("/user/delete", #"{"user_ids":["ann"]}"#).status == 404)
    }

    @Test("bind teams to organizations with members and budgets")
    func organizations() async throws {
        let made = await self.post(
            "/organization/new", #"{"organization_alias":"Acme","organization_id":"o","max_budget":7}"#)
        let table = made.json["litellm_budget_table"] as? [String: Any]
        #expect(made.status == 200 && table?["max_budget"] as? Double == 7, "\(made.text)")
        #expect(await self.post("/organization/new", "{}").status == 422)
        _ = await self.post("/team/new", #"{"team_id":"t","organization_id":"o"}"#)
        let member =
            #"{"organization_id":"o","member":{"user_id":"ann","role":"org_admin"},"max_budget_in_organization":2}"#
        #expect(await self.post("/organization/member_add", member).status == 200)
        let key = try await self.fixture.makeKey(#"{"team_id":"t","user_id":"ann"}"#)
        #expect(try self.terms(key).budgets.map(\.subject.kind) == [.organization, .organizationMember])
        let info = await self.fixture.get("/organization/info?organization_id=o")
        #expect((info.json["members"] as? [Any])?.count == 1 && (info.json["teams"] as? [Any])?.count == 1)
        let change = Array(#"{"organization_id":"o","user_id":"ann","role":"internal_user"}"#.utf8)
        let changed = await self.fixture.send("PATCH", "/organization/member_update", body: change)
        #expect(changed.json["user_role"] as? String == "internal_user")
        let gone = Array(#"{"organization_ids":["o"]}"#.utf8)
        #expect(await self.fixture.send("DELETE", "/organization/delete", body: gone).status == 400)
        _ = await self.post("/team/delete", #"{"team_ids":["t"]}"#)
        #expect(await self.fixture.send("DELETE", "/organization/delete", body: gone).list.count == 1)
        #expect(await self.fixture.get("/organization/list").list.isEmpty)
    }

    @Test("bind customers by budgets that they share the terms of")
    func customers() async throws {
        #expect(
            await self.post("/budget/new", #"{"budget_id":"b","max_budget":4,"budget_duration":"1d","rpm_limit":9}"#)
                .status == 200)
        let made = await self.post("/customer/new", #"{"user_id":"c","budget_id":"b"}"#)
        #expect(made.status == 200 && made.json["blocked"] as? Bool == false, "\(made.text)")
        #expect(await self.post("/end_user/new", #"{"user_id":"c"}"#).status == 400)
        let key = try await self.fixture.makeKey()
        let terms = try self.terms(key, customer: "c")
        #expect(terms.budgets.map(\.label) == ["1d"] && terms.limits.map(\.value) == [9])
        #expect(terms.budgets.map(\.window) == [.calendar(.day, count: 1, timeZone: "Etc/UTC")])
        let blocked = await self.post("/customer/block", #"{"user_ids":["c","d"]}"#)
        #expect((blocked.json["blocked_users"] as? [Any])?.count == 2)
        let entities = self.fixture.directory.entities
        #expect(entities.refusal(customer: "d", model: "m", group: "m")?.status == 400)
        _ = await self.post("/customer/unblock", #"{"user_ids":["d"]}"#)
        #expect(entities.refusal(customer: "d", model: "m", group: "m") == nil)
        #expect(await self.fixture.get("/customer/info?end_user_id=c").json["budget_id"] as? String == "b")
        #expect(await self.fixture.get("/customer/list").list.count == 2)
        let deleted = await self.post("/end_user/delete", #"{"user_ids":["c","d"]}"#)
        #expect(deleted.json["deleted_customers"] as? Int == 2)
    }

    @Test("keep budgets, tags and their errors in LiteLLM's shape")
    func budgetsAndTags() async throws {
        _ = await self.post("/budget/new", #"{"budget_id":"b","max_budget":1}"#)
        #expect(await self.post("/budget/new", #"{"budget_id":"b"}"#).status == 400)
        #expect(
            await self.post("/budget/update", #"{"budget_id":"b","max_budget":2}"#).json["max_budget"] as? Double == 2)
        #expect(await self.post("/budget/info", #"{"budgets":["b","none"]}"#).list.count == 1)
        #expect(await self.fixture.get("/budget/list").list.count == 1)
        let settings = await self.fixture.get("/budget/settings?budget_id=b").list
        #expect(settings.first { $0["field_name"] as? String == "max_budget" }?["field_value"] as? Double == 2)
        let tag = await self.post("/tag/new", #"{"name":"x","description":"d","budget_id":"b"}"#)
        #expect(tag.json["message"] as? String == "Tag x created successfully")
        let key = try await self.fixture.makeKey(#"{"metadata":{"tags":["x"]}}"#)
        #expect(try self.terms(key, tags: ["x"]).budgets.map(\.subject) == [Subject(.tag, "x")])
        #expect(
            (await self.post("/tag/info", #"{"names":["x"]}"#).json["x"] as? [String: Any])?["description"] as? String
                == "d")
        #expect(await self.fixture.get("/tag/list").list.count == 1)
        #expect(await self.post("/tag/delete", #"{"name":"x"}"#).status == 200)
        #expect(await self.post("/tag/delete", #"{"name":"x"}"#).status == 404)
        #expect(await self.post("/budget/delete", #"{"id":"b"}"#).json["budget_id"] as? String == "b")
    }

    @Test("let lists of models name access groups")
    func accessGroups() async throws {
        let made = await self.post("/access_group/new", #"{"access_group":"g","model_names":["gpt-4o"]}"#)
        #expect(made.json["models_updated"] as? Int == 1, "\(made.text)")
        #expect(await self.post("/access_group/new", #"{"access_group":"g","model_names":["gpt-4o"]}"#).status == 409)
        #expect(await self.post("/access_group/new", #"{"access_group":"h","model_names":["none"]}"#).status == 400)
        let key = try await self.fixture.makeKey(#"{"models":["g"]}"#)
        let listed = await self.fixture.get("/v1/models", key: key)
        #expect((listed.json["data"] as? [[String: Any]])?.map { $0["id"] as? String } == ["gpt-4o"])
        #expect(await self.fixture.get("/access_group/g/info").json["deployment_count"] as? Int == 1)
        #expect(await self.fixture.send("DELETE", "/access_group/g/delete").status == 200)
        #expect(await self.fixture.get("/access_group/list").text == #"{"access_groups":[]}"#)
    }

    @Test("reach other pods by the change log")
    func otherPods() async throws {
        let log = MemoryChangeLog()
        let store = MemoryEntityStore(log: log)
        let directory = EntityDirectory(configuration: .standard)
        let follower = EntityFollower(
            registry: EntityRegistry(directory: directory, store: store, reader: .utc), logger: self.fixture.log.logger)
        let team = EntityRecord(
            id: EntityID(.team, "t"), alias: nil, email: nil, role: nil, parent: nil, member: nil,
            fields: #"{"blocked":true}"#, createdBy: "", createdAt: self.fixture.clock.now(),
            updatedAt: self.fixture.clock.now(), revision: 1)
        try await store.write([.insert(team)])
        try await follower.apply(log.changes(after: 0, limit: 10))
        #expect(directory.entry(team.id)?.facts.isBlocked == true)
        try await store.write([.delete(team.id)])
        try await follower.apply(
            [Change(position: 9, kind: .entity, reference: "planet mars")] + log.changes(after: 1, limit: 9))
        #expect(directory.entry(team.id) == nil)
        try await store.write([.insert(team)])
        try await follower.reload()
        #expect(directory.entry(team.id) != nil)
    }

    @Test("answer 503 while the store is away, and change nothing")
    func storeAway() async throws {
        self.fixture.entityStore.setDown(true)
        let answer = await self.post("/team/new", #"{"team_id":"t"}"#)
        #expect(answer.status == 503 && answer.errorType == "no_db_connection")
        self.fixture.entityStore.setDown(false)
        #expect(self.fixture.directory.entities.entry(EntityID(.team, "t")) == nil)
    }

    @Test("let a key's spend be reset without rewriting what was spent")
    func resetSpend() async throws {
        let key = try await self.fixture.makeKey(#"{"max_budget":3}"#)
        try self.fixture.spend(2_000_000_000, by: key, number: 1)
        let reset = await self.post("/key/\(key)/reset_spend", #"{"reset_to":0.5}"#)
        #expect(reset.json["spend"] as? Double == 0.5 && reset.json["previous_spend"] as? Double == 2, "\(reset.text)")
        #expect(try await self.fixture.info(key)["spend"] as? Double == 0.5)
        #expect(try self.terms(key).budgets.map(\.limit.decimalText) == ["4.5"])
        #expect(await self.post("/key/\(key)/reset_spend", #"{"reset_to":9}"#).status == 400)
        #expect(await self.post("/key/\(key)/reset_spend", "{}").status == 422)
    }

    @Test("read what keys may spend and how fast from their fields")
    func keyRules() async throws {
        let key = try await self.fixture.makeKey(
            #"{"max_budget":1,"budget_duration":"7d","soft_budget":0.5,"budget_mode":"strict","rpm_limit":5,"#
                + #""budget_limits":[{"budget_duration":"1h","max_budget":0.1}],"max_parallel_requests":2,"#
                + #""model_max_budget":{"gpt-4o":{"budget_limit":"0.2","time_period":"1d"}},"model_rpm_limit":{"gpt-4o":3}}"#
        )
        let terms = try self.terms(key)
        #expect(terms.budgets.map(\.label) == ["7d", "1h"] && terms.budgets.allSatisfy { $0.mode == .strict })
        #expect(terms.budgets[0].window == .calendar(.week, count: 1, timeZone: "Etc/UTC"))
        #expect(terms.budgets[0].softLimit == NanoUSD(rawValue: 500_000_000))
        #expect(terms.budgets[1].window == .rolling(seconds: 3600, anchor: UnixMicroseconds(rawValue: 0)))
        #expect(terms.limits.map(\.unit) == [.requests, .parallelRequests])
        #expect(terms.models.map(\.model) == ["gpt-4o"] && terms.models[0].limits.map(\.value) == [3])
        let later = self.fixture.clock.now().advanced(bySeconds: 60)
        _ = await self.post(
            "/key/update", #"{"key":"\#(key)","temp_budget_increase":2,"temp_budget_expiry":"\#(later.iso8601)"}"#)
        #expect(try self.terms(key).budgets[0].limit == NanoUSD(rawValue: 3_000_000_000))
        self.fixture.clock.advance(by: .seconds(60))
        #expect(try self.terms(key).budgets[0].limit == NanoUSD(rawValue: 1_000_000_000))
    }

    @Test("make keys of teams for machines, and change many keys at once")
    func bulkKeys() async throws {
        _ = await self.post("/team/new", #"{"team_id":"t"}"#)
        #expect(await self.post("/key/service-account/generate", "{}").status == 422)
        let made = await self.post("/key/service-account/generate", #"{"team_id":"t","key_alias":"ci"}"#)
        #expect(made.status == 200 && made.json["user_id"] is NSNull, "\(made.text)")
        let key = try #require(made.json["key"] as? String)
        let bulk = await self.post("/key/bulk_update", #"{"keys":[{"key":"\#(key)","max_budget":2},{"key":"none"}]}"#)
        #expect((bulk.json["successful_updates"] as? [Any])?.count == 1)
        #expect((bulk.json["failed_updates"] as? [Any])?.count == 1 && !bulk.text.contains(key))
        #expect(await self.fixture.get("/key/aliases").json["aliases"] as? [String] == ["ci"])
    }
}
