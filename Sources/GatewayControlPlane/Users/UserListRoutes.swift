import GatewayCore
import GatewayLedger

/// What is known of users.
struct UserListRoutes: EntityRoom {
    let dependencies: ControlPlaneDependencies

    var routes: [ControlRoute] {
        [
            ControlRoute("GET", "/user/info", .reader, self.info),
            ControlRoute("GET", "/v2/user/info", .reader, self.shortInfo),
            ControlRoute("GET", "/user/list", .adminView, self.list),
            ControlRoute("GET", "/user/available_roles", .reader, self.roles),
        ]
    }

    /// The user asked for, by default the caller. `nil`: the master key asks for itself.
    private func asked(_ call: ControlCall) async throws(ControlRefusal) -> String? {
        let own = call.caller?.record.userID
        guard let id = call.query["user_id"] else { return own }
        guard call.seesAll || id == own else {
            throw self.authority(call).refusal("the user \(id)", "you may look at yourself only")
        }
        return id
    }

    private func info(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        guard let id = try await self.asked(call) else {
            return ControlReply.object([
                JSONMember("user_id", .null), JSONMember("user_info", .null), JSONMember("keys", .array([])),
                JSONMember("teams", .array([])),
            ])
        }
        let user = try await self.require(.user, id, self.reading)
        let members = try await self.reading.memberships(.teamMember, of: id)
        var query = EntityQuery(.team, offset: 0, limit: 1000)
        query.ids = members.compactMap(\.parent)
        let teams = try await self.reading.page(query).records
        let keys = try await KeyMaker(dependencies: self.dependencies).list(userID: id, teamID: nil, limit: 1000)
        return ControlReply.object([
            JSONMember("user_id", .string(id)), JSONMember("user_info", .object(try await self.whole(user, members))),
            JSONMember("keys", .array(keys.map { .object(KeyRendering.info($0.record, spend: $0.spend)) })),
            JSONMember("teams", .array(try await self.rendered(teams))),
        ])
    }

    private func shortInfo(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        guard let id = try await self.asked(call) else { throw .entityNotFound(.user, "default_user_id") }
        let user = try await self.require(.user, id, self.reading)
        return ControlReply.object(
            try await self.whole(user, try await self.reading.memberships(.teamMember, of: id)))
    }

    private func whole(
        _ user: EntityRecord, _ members: [EntityRecord]
    ) async throws(ControlRefusal) -> [JSONMember] {
        let organizations = try await self.reading.memberships(.organizationMember, of: user.id.text)
        return try await self.rendered(user) + [
            JSONMember("teams", .strings(members.compactMap(\.parent))),
            JSONMember("organization_memberships", .array(try await self.rendered(organizations))),
        ]
    }

    private func list(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        let page = try call.query.integer("page", in: 1...1_000_000, standard: 1)
        let size = try call.query.integer("page_size", in: 1...100, standard: 25)
        for name in ["sso_user_ids", "organization_ids", "sort_by"] where call.query[name] != nil {
            throw .badRequest("/user/list does not know \(name) in this version.", param: name)
        }
        var query = EntityQuery(.user, offset: (page - 1) * size, limit: size)
        query.role = call.query["role"]
        query.email = nil
        query.search = call.query["search"] ?? call.query["user_email"]
        query.ids = call.query["user_ids"]?.split(separator: ",").map {
            String($0).trimmingSpaces
        }
        if let team = call.query["team"] {
            let members = try await self.reading.members(of: .teamMember, parent: team).compactMap(\.member)
            query.ids = query.ids.map { $0.filter(members.contains) } ?? Array(members.prefix(1000))
        }
        let found = try await self.reading.page(query)
        var users: [JSONValue] = []
        for value in try await self.rendered(found.records) {
            let id = value["user_id"]?.nonEmptyText ?? ""
            let count = try await KeyMaker(dependencies: self.dependencies).count(userID: id)
            users.append(.object((value.members ?? []) + [JSONMember("key_count", .integer(count))]))
        }
        return ControlReply.object([
            JSONMember("users", .array(users)), JSONMember("total", .integer(found.total)),
            JSONMember("page", .integer(page)), JSONMember("page_size", .integer(size)),
            JSONMember("total_pages", .integer((found.total + size - 1) / size)),
        ])
    }

    private func roles(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        ControlReply.object(
            RoleSet.userRoles.map { role in
                JSONMember(
                    role.name,
                    .object([
                        JSONMember("description", .string(role.description)),
                        JSONMember("ui_label", .string(role.label)),
                    ]))
            })
    }
}

extension String {
    var trimmingSpaces: String {
        var text = self[...]
        while text.first == " " { text.removeFirst() }
        while text.last == " " { text.removeLast() }
        return String(text)
    }
}
