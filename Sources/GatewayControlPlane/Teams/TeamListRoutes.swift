import GatewayAdmission
import GatewayCore
import GatewayLedger

/// What is known of teams.
struct TeamListRoutes: EntityRoom {
    /// Keys that `/team/info` shows.
    private static let keysMax = 1000
    let dependencies: ControlPlaneDependencies

    var routes: [ControlRoute] {
        [
            ControlRoute("GET", "/team/info", .anyKey, self.info),
            ControlRoute("GET", "/team/list", .reader, self.list),
            ControlRoute("GET", "/v2/team/list", .reader, self.page),
            ControlRoute("GET", "/team/available", .reader, self.available),
            ControlRoute("GET", "/team/permissions_list", .reader, self.permissions),
        ]
    }

    private func visible(_ call: ControlCall) async throws(ControlRefusal) -> EntityRecord {
        guard let id = call.query["team_id"] else {
            throw .invalid([
                FieldProblem(location: ["query", "team_id"], message: "Field required", type: "missing")
            ])
        }
        let team = try await self.require(.team, id, self.reading)
        guard try await self.authority(call).sees(team) else {
            throw self.authority(call).refusal("the team \(id)", "you are not a member")
        }
        return team
    }

    private func info(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        let team = try await self.visible(call)
        let limit = try call.query.integer("key_limit", in: 0...Self.keysMax, standard: Self.keysMax)
        let members = try await self.reading.members(of: .teamMember, parent: team.id.text)
        let isManager = try await call.seesAll ? true : self.authority(call).manages(team)
        let keys = try await KeyMaker(dependencies: self.dependencies).list(
            userID: isManager ? nil : self.authority(call).userID ?? "", teamID: team.id.text, limit: limit)
        return ControlReply.object([
            JSONMember("team_id", .string(team.id.text)),
            JSONMember("team_info", .object(try await self.team(team, members))),
            JSONMember("keys", .array(keys.map { .object(KeyRendering.info($0.record, spend: $0.spend)) })),
            JSONMember("team_memberships", .array(try await self.rendered(members))),
        ])
    }

    /// Identifiers of the teams that the caller may see. `nil`: all.
    private func scope(_ call: ControlCall, user: String?) async throws(ControlRefusal) -> [String]? {
        let authority = self.authority(call)
        if call.seesAll {
            guard let user else { return nil }
            return try await self.reading.memberships(.teamMember, of: user).compactMap(\.parent)
        }
        let own = authority.userID ?? ""
        guard user == nil || user == own else {
            throw authority.refusal("teams of \(user ?? "")", "you may look at your own only")
        }
        return try await self.reading.memberships(.teamMember, of: own).compactMap(\.parent)
    }

    /// Teams that match the query, of those that the caller may see.
    private func find(
        _ call: ControlCall, offset: Int, limit: Int
    ) async throws(ControlRefusal) -> (records: [EntityRecord], total: Int) {
        var query = EntityQuery(.team, offset: offset, limit: limit)
        query.ids = call.query["team_id"].map { [$0] }
        query.alias = call.query["team_alias"]
        query.parent = call.query["organization_id"]
        query.search = call.query["search"]
        if let organization = query.parent, try await self.authority(call).manages(organization: organization) {
            return try await self.reading.page(query)
        }
        if let scope = try await self.scope(call, user: call.query["user_id"]) {
            query.ids = Array((query.ids.map { $0.filter(scope.contains) } ?? scope).prefix(1000))
        }
        return try await self.reading.page(query)
    }

    private func list(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        var teams: [JSONValue] = []
        var offset = 0
        while true {
            let found = try await self.find(call, offset: offset, limit: 1000)
            for team in found.records { teams.append(.object(try await self.team(team))) }
            offset += found.records.count
            if found.records.count < 1000 { return ControlReply.json(.array(teams)) }
            guard offset < 10_000 else {
                throw .badRequest("There are more than 10000 teams: page through them with /v2/team/list.")
            }
        }
    }

    private func page(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        for name in ["sort_by", "status"] where call.query[name] != nil {
            throw .badRequest("/v2/team/list does not know \(name) in this version.", param: name)
        }
        let page = try call.query.integer("page", in: 1...1_000_000, standard: 1)
        let size = try call.query.integer("page_size", in: 1...100, standard: 10)
        let found = try await self.find(call, offset: (page - 1) * size, limit: size)
        var teams: [JSONValue] = []
        for team in found.records { teams.append(.object(try await self.team(team))) }
        return ControlReply.object([
            JSONMember("teams", .array(teams)), JSONMember("total", .integer(found.total)),
            JSONMember("page", .integer(page)), JSONMember("page_size", .integer(size)),
            JSONMember("total_pages", .integer((found.total + size - 1) / size)),
        ])
    }

    /// Teams that anybody may join by themselves: there are none, since nothing configures them.
    private func available(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        ControlReply.json(.array([]))
    }

    private func permissions(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        let team = try await self.visible(call)
        let fields = JSONValue.parsed(team.fields) ?? .object([])
        return ControlReply.object([
            JSONMember("team_id", .string(team.id.text)),
            JSONMember("team_member_permissions", .strings(fields["team_member_permissions"]?.texts ?? [])),
            JSONMember("all_available_permissions", .strings(["/key/generate"])),
        ])
    }
}
