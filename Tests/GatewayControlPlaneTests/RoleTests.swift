import GatewayControlPlane
import GatewayCore
import Testing

/// Every route of the control plane with every role: the table beside this file is the contract.
@Suite("Roles")
struct RoleTests {
    static let names = [
        "proxy_admin", "proxy_admin_viewer", "org_admin", "team_admin", "internal_user", "internal_user_viewer",
        "bare_key",
    ]

    /// A fixture with a key for each role; `org_admin` and `team_admin` are internal users that a membership raises.
    private static func keys(_ fixture: ControlFixture) async throws -> [String: String] {
        var keys: [String: String] = [:]
        for name in Self.names where name != "bare_key" {
            let role = ["org_admin", "team_admin"].contains(name) ? "internal_user" : name
            let answer = await fixture.post("/user/new", #"{"user_id":"\#(name)","user_role":"\#(role)"}"#)
            keys[name] = try #require(answer.json["key"] as? String, "\(answer.text)")
        }
        keys["bare_key"] = try await fixture.makeKey()
        let organization = #"{"organization_id":"o","organization_alias":"O"}"#
        try #require(await fixture.post("/organization/new", organization).status == 200)
        let admin = #"{"organization_id":"o","member":{"user_id":"org_admin","role":"org_admin"}}"#
        try #require(await fixture.post("/organization/member_add", admin).status == 200)
        let team = #"{"team_id":"t","members_with_roles":[{"user_id":"team_admin","role":"admin"}]}"#
        try #require(await fixture.post("/team/new", team).status == 200)
        return keys
    }

    /// One line a route: who may call it.
    private static func table(_ plane: ControlPlane) -> [String] {
        plane.accessTable.map { route, roles in
            guard let roles else { return "\(route): anybody" }
            // In the order of the bits.
            let order = [0, 1, 2, 3, 4, 5, 6]
            let names = zip(order, Self.names).filter { roles & (1 << $0.0) != 0 }.map(\.1)
            return "\(route): \(names.count == Self.names.count ? "any key" : names.joined(separator: " "))"
        }.sorted()
    }

    @Test("of every route are those of the table")
    func table() throws {
        try expectGolden(Self.table(ControlFixture().plane).joined(separator: "\n") + "\n", "route-roles.txt")
    }

    @Test("that a route does not name are refused on it, and no others", arguments: names)
    func everyRoute(role: String) async throws {
        let fixture = ControlFixture()
        let keys = try await Self.keys(fixture)
        let key = try #require(keys[role])
        let own = try #require(Self.names.firstIndex(of: role))
        // Who is raised by a membership is an internal user all the same.
        let mask = UInt8(1 << own | (["org_admin", "team_admin"].contains(role) ? 1 << 4 : 0))
        for (route, roles) in fixture.plane.accessTable {
            let parts = route.split(separator: " ").map(String.init)
            let path = parts[1].replacing("{key}", with: "x").replacing("{model}", with: "gpt-4o").replacing(
                "{team_id}", with: "x"
            ).replacing("{access_group}", with: "x").replacing("{name}", with: "x").replacing("{model_id}", with: "x")
            let answer = await fixture.send(parts[0], path, key: key)
            let isRefused = answer.status == 403 && answer.text.contains("Only proxy admin can be used")
            let isNamed = roles.map { $0 & mask != 0 } ?? true
            #expect(isRefused == !isNamed, "\(route) as \(role): \(answer.status) \(answer.text)")
            #expect(answer.status != 500)
            if roles != nil { #expect(await fixture.send(parts[0], path, key: nil).status == 401, "\(route)") }
        }
    }

    @Test("below an admin change only what is their own")
    func scopes() async throws {
        let fixture = ControlFixture()
        let keys = try await Self.keys(fixture)
        let other = #"{"team_id":"other"}"#
        try #require(await fixture.post("/team/new", other).status == 200)
        try #require(
            await fixture.post("/organization/new", #"{"organization_id":"p","organization_alias":"P"}"#).status == 200)
        func status(_ role: String, _ path: String, _ body: String) async -> Int {
            await fixture.post(path, body, key: keys[role]).status
        }
        let member = #"{"user_id":"internal_user","role":"user"}"#
        #expect(await status("team_admin", "/team/member_add", #"{"team_id":"t","member":\#(member)}"#) == 200)
        #expect(await status("team_admin", "/team/member_add", #"{"team_id":"other","member":\#(member)}"#) == 403)
        #expect(await status("team_admin", "/team/update", #"{"team_id":"t","team_alias":"mine"}"#) == 200)
        #expect(await status("team_admin", "/team/update", #"{"team_id":"t","max_budget":9}"#) == 403)
        #expect(await status("team_admin", "/team/update", #"{"team_id":"t","models":[]}"#) == 403)
        #expect(await status("org_admin", "/team/new", #"{"team_id":"mine","organization_id":"o"}"#) == 200)
        #expect(await status("org_admin", "/team/new", #"{"organization_id":"p"}"#) == 403)
        #expect(await status("org_admin", "/team/new", "{}") == 403)
        #expect(await status("org_admin", "/team/update", #"{"team_id":"mine","max_budget":9}"#) == 200)
        #expect(await status("org_admin", "/team/update", #"{"team_id":"t","team_alias":"x"}"#) == 403)
        #expect(await status("org_admin", "/user/new", #"{"user_id":"new","organizations":["o"]}"#) == 200)
        let raised = #"{"organizations":["o"],"user_role":"proxy_admin"}"#
        #expect(await status("org_admin", "/user/new", raised) == 403)
        #expect(await status("org_admin", "/user/new", #"{"organizations":["p"]}"#) == 403)
        #expect(await fixture.get("/user/info?user_id=org_admin", key: keys["internal_user"]).status == 403)
        #expect(await fixture.get("/user/info", key: keys["internal_user"]).status == 200)
        #expect(await fixture.get("/team/info?team_id=t", key: keys["internal_user"]).status == 200)
        #expect(await fixture.get("/team/info?team_id=other", key: keys["internal_user"]).status == 403)
    }

    @Test("cannot be risen above by making or changing keys")
    func escalation() async throws {
        let fixture = ControlFixture()
        let keys = try await Self.keys(fixture)
        func post(_ role: String, _ path: String, _ body: String) async -> Answer {
            await fixture.post(path, body, key: keys[role])
        }
        let own = await post("internal_user", "/key/generate", "{}")
        #expect(own.status == 200 && own.json["user_id"] as? String == "internal_user")
        #expect(await post("internal_user", "/key/generate", #"{"user_id":"proxy_admin"}"#).status == 403)
        let admins = try #require(keys["proxy_admin"])
        for path in ["/key/update", "/key/regenerate", "/key/delete", "/key/block"] {
            let body = path == "/key/delete" ? #"{"keys":["\#(admins)"]}"# : #"{"key":"\#(admins)"}"#
            #expect(await post("internal_user", path, body).status == 403, "\(path)")
        }
        let mine = try #require(own.json["key"] as? String)
        #expect(
            await post("internal_user", "/key/update", #"{"key":"\#(mine)","user_id":"proxy_admin"}"#).status == 403)
        #expect(await post("internal_user", "/key/update", #"{"key":"\#(mine)","team_id":"t"}"#).status == 403)
        #expect(await post("internal_user", "/key/update", #"{"key":"\#(mine)","max_budget":1}"#).status == 200)
        // A team's admin hands out keys of members for calls only.
        let member = #"{"team_id":"t","member":{"user_id":"proxy_admin","role":"user"}}"#
        #expect(await post("team_admin", "/team/member_add", member).status == 200)
        let forMember = #"{"team_id":"t","user_id":"proxy_admin"}"#
        #expect(await post("team_admin", "/key/generate", forMember).status == 403)
        let calls = #"{"team_id":"t","user_id":"proxy_admin","key_type":"llm_api"}"#
        let made = await post("team_admin", "/key/generate", calls)
        #expect(made.status == 200, "\(made.text)")
        let secret = try #require(made.json["key"] as? String)
        #expect(await fixture.get("/user/list", key: secret).status == 403)
        #expect(await post("team_admin", "/key/update", #"{"key":"\#(secret)","key_type":"default"}"#).status == 403)
        #expect(await post("internal_user_viewer", "/key/generate", "{}").status == 403)
    }

    @Test("are none for a key whose user nobody made, or whose owner is blocked")
    func withoutUser() async throws {
        let fixture = ControlFixture()
        let key = try await fixture.makeKey(#"{"user_id":"a name"}"#)
        #expect(await fixture.post("/key/generate", key: key).status == 403)
        #expect(await fixture.get("/key/info", key: key).status == 200)
        let made = await fixture.post("/user/new", #"{"user_id":"ann","user_role":"proxy_admin"}"#)
        let admin = try #require(made.json["key"] as? String)
        #expect(await fixture.get("/user/list", key: admin).status == 200)
        #expect(await fixture.post("/user/update", #"{"user_id":"ann","blocked":true}"#).status == 200)
        #expect(await fixture.get("/user/list", key: admin).status == 401)
    }

    @Test("see keys of their own, of their teams, or all")
    func visibleKeys() async throws {
        let fixture = ControlFixture()
        let keys = try await Self.keys(fixture)
        func count(_ role: String, _ query: String = "") async -> Int? {
            await fixture.get("/key/list\(query)", key: keys[role]).json["total_count"] as? Int
        }
        let ofTeam = try await fixture.makeKey(#"{"team_id":"t","user_id":"internal_user"}"#)
        #expect(await count("proxy_admin_viewer") == 8)
        #expect(await count("internal_user") == 2)
        #expect(await count("team_admin", "?team_id=t") == 1)
        #expect(await count("internal_user", "?user_id=team_admin") == nil)
        #expect(await fixture.get("/key/info?key=\(ofTeam)", key: keys["team_admin"]).status == 200)
        #expect(await fixture.get("/key/info?key=\(ofTeam)", key: keys["org_admin"]).status == 403)
    }
}
