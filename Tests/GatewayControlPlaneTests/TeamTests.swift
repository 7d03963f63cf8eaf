import Foundation
import GatewayAdmission
import GatewayControlPlane
import GatewayCore
import Testing

@Suite("Teams")
struct TeamTests {
    private let fixture = ControlFixture()

    private func post(_ path: String, _ body: String) async -> Answer { await self.fixture.post(path, body) }

    private func budgets(_ key: String, customer: String? = nil, tags: [String] = []) throws -> [String] {
        let entry = try #require(self.fixture.directory.entry(digest: KeySecret.digest(of: key)))
        let terms = self.fixture.directory.entities.terms(
            for: entry, customer: customer, tags: tags, now: self.fixture.clock.now()
        ).terms
        return terms.budgets.map { "\($0.subject.kind.name) \($0.label) \($0.limit.decimalText)" }
    }

    @Test("are made, shown, changed, blocked and deleted in LiteLLM's shape")
    func life() async throws {
        let body = #"{"team_id":"t","team_alias":"Core","max_budget":10,"budget_duration":"30d","models":["gpt-4o"]}"#
        let made = await self.post("/team/new", body)
        #expect(made.status == 200 && made.json["team_id"] as? String == "t", "\(made.text)")
        #expect(made.json["max_budget"] as? Double == 10 && made.json["blocked"] as? Bool == false)
        #expect(made.json["spend"] as? Double == 0 && (made.json["members_with_roles"] as? [Any])?.isEmpty == true)
        let again = await self.post("/team/new", body)
        #expect(again.status == 400 && again.text.contains("Team id = t already exists"))
        let updated = await self.post("/team/update", #"{"team_id":"t","rpm_limit":5,"max_budget":null}"#)
        let data = updated.json["data"] as? [String: Any]
        #expect(
            data?["rpm_limit"] as? Int == 5 && data?["max_budget"] is NSNull && data?["team_alias"] as? String == "Core"
        )
        #expect(await self.fixture.send("PATCH", "/team/t", body: Array(#"{"team_alias":"New"}"#.utf8)).status == 200)
        let key = try await self.fixture.makeKey(#"{"team_id":"t"}"#)
        #expect(await self.post("/team/block", #"{"team_id":"t"}"#).json["blocked"] as? Bool == true)
        let entry = try #require(self.fixture.directory.entry(digest: KeySecret.digest(of: key)))
        let now = self.fixture.clock.now()
        #expect(self.fixture.directory.entities.path(of: entry, now: now).refusal?.status == 401)
        #expect(await self.post("/team/unblock", #"{"team_id":"t"}"#).json["blocked"] as? Bool == false)
        #expect(self.fixture.directory.entities.path(of: entry, now: now).refusal == nil)
        let info = await self.fixture.get("/team/info?team_id=t")
        #expect((info.json["keys"] as? [Any])?.count == 1)
        #expect((info.json["team_info"] as? [String: Any])?["team_alias"] as? String == "New")
        let deleted = await self.post("/team/delete", #"{"team_ids":["t"]}"#)
        #expect(deleted.text == #"{"deleted_teams":["t"]}"#)
        #expect(await self.fixture.get("/team/info?team_id=t").status == 404)
        #expect(!self.fixture.isInForce(key))
    }

    @Test("have members with roles and budgets of their own")
    func members() async throws {
        _ = await self.post("/team/new", #"{"team_id":"t","team_member_budget":3,"team_member_budget_duration":"1d"}"#)
        let added = await self.post(
            "/team/member_add",
            #"{"team_id":"t","member":[{"role":"admin","user_id":"ann"},{"role":"user","user_email":"b@x.org"}],"max_budget_in_team":2}"#
        )
        #expect(added.status == 200, "\(added.text)")
        #expect((added.json["updated_users"] as? [Any])?.count == 2)
        let members = added.json["members_with_roles"] as? [[String: Any]]
        #expect(members?.compactMap { $0["role"] as? String }.sorted() == ["admin", "user"])
        let twice = await self.post("/team/member_add", #"{"team_id":"t","member":{"user_id":"ann"}}"#)
        #expect(twice.status == 400 && twice.errorType == "team_member_already_in_team")
        let key = try await self.fixture.makeKey(#"{"team_id":"t","user_id":"ann","max_budget":1}"#)
        #expect(try self.budgets(key) == ["key  1", "team_member  2"])
        let changed = await self.post(
            "/team/member_update", #"{"team_id":"t","user_id":"ann","max_budget_in_team":null,"role":"user"}"#)
        #expect(changed.status == 200 && changed.json["role"] as? String == "user")
        #expect(try self.budgets(key) == ["key  1", "team_member 1d 3"])
        let removed = await self.post("/team/member_delete", #"{"team_id":"t","user_email":"b@x.org"}"#)
        #expect((removed.json["members"] as? [String]) == ["ann"])
        _ = await self.post("/team/member_delete", #"{"team_id":"t","user_id":"ann"}"#)
        #expect(!self.fixture.isInForce(key))
    }

    @Test("take many members at once and say which failed")
    func bulk() async throws {
        _ = await self.post("/team/new", #"{"team_id":"t","members_with_roles":[{"role":"user","user_id":"ann"}]}"#)
        let answer = await self.post(
            "/team/bulk_member_add", #"{"team_id":"t","members":[{"user_id":"ann"},{"user_id":"bob"}]}"#)
        #expect(answer.json["successful_additions"] as? Int == 1 && answer.json["failed_additions"] as? Int == 1)
        #expect(await self.post("/team/bulk_member_add", #"{"team_id":"t"}"#).status == 400)
    }

    @Test("gain and lose models, and never all of them by losing the last")
    func models() async throws {
        _ = await self.post("/team/new", #"{"team_id":"t","models":["a"]}"#)
        let added = await self.post("/team/model/add", #"{"team_id":"t","models":["b","a"]}"#)
        #expect(added.json["models"] as? [String] == ["a", "b"])
        let left = await self.post("/team/model/delete", #"{"team_id":"t","models":["a","b"]}"#)
        #expect(left.json["models"] as? [String] == ["no-default-models"])
    }

    @Test("are listed in pages, whole, and by user")
    func lists() async throws {
        for number in 1...3 {
            self.fixture.clock.advance(by: .seconds(1))
            let member = number == 2 ? #"[{"role":"user","user_id":"ann"}]"# : "[]"
            _ = await self.post("/team/new", #"{"team_id":"t\#(number)","members_with_roles":\#(member)}"#)
        }
        let page = await self.fixture.get("/v2/team/list?page=2&page_size=2")
        #expect(page.json["total"] as? Int == 3 && page.json["total_pages"] as? Int == 2)
        #expect((page.json["teams"] as? [[String: Any]])?.map { $0["team_id"] as? String } == ["t1"])
        #expect(await self.fixture.get("/team/list").list.count == 3)
        #expect(await self.fixture.get("/team/list?user_id=ann").list.map { $0["team_id"] as? String } == ["t2"])
    }

    @Test(
        "refuse what LiteLLM refuses",
        arguments: [
            ("/team/new", #"{"max_budget":-1}"#, 422), ("/team/new", #"{"budget_duration":"soon"}"#, 422),
            ("/team/new", #"{"team_id":"a\nb"}"#, 422), ("/team/new", #"{"max_bugdet":1}"#, 400),
            ("/team/new", #"{"budget_id":"none"}"#, 400), ("/team/new", #"{"organization_id":"none"}"#, 404),
            ("/team/new", #"{"budget_limits":[{"max_budget":1}]}"#, 422), ("/team/update", "{}", 422),
            ("/team/update", #"{"team_id":"none"}"#, 404), ("/team/delete", "{}", 422),
            ("/team/member_add", #"{"team_id":"none","member":{"user_id":"a"}}"#, 404),
            ("/team/member_add", #"{"team_id":"none","member":{"user_id":"a","role":"king"}}"#, 400),
            ("/team/new", #"{"members_with_roles":[{"role":"user"}]}"#, 400),
        ])
    func refusals(path: String, body: String, status: Int) async {
        let answer = await self.post(path, body)
        #expect(answer.status == status, "\(answer.text)")
    }
}
