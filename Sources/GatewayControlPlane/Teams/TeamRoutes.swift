import GatewayCore
import GatewayLedger

/// Changes of teams.
struct TeamRoutes: EntityRoom {
    let dependencies: ControlPlaneDependencies

    var routes: [ControlRoute] {
        [
            ControlRoute("POST", "/team/new", .organizationAdmin, self.create),
            ControlRoute("POST", "/team/update", .manager, self.update),
            ControlRoute("PATCH", prefix: "/team/", argumentName: "team_id", suffix: "", .manager, self.update),
            ControlRoute("POST", "/team/delete", .organizationAdmin, self.delete),
            ControlRoute("POST", "/team/block", .organizationAdmin, self.block),
            ControlRoute("POST", "/team/unblock", .organizationAdmin, self.unblock),
            ControlRoute("POST", "/team/model/add", .organizationAdmin, self.addModels),
            ControlRoute("POST", "/team/model/delete", .organizationAdmin, self.deleteModels),
            ControlRoute("POST", "/team/permissions_update", .manager, self.setPermissions),
        ]
    }

    private func create(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        let form = try EntityForm.teamNew.fill(call)
        try await self.requireBudget(form)
        let authority = self.authority(call)
        if let organization = form.text("organization_id") {
            _ = try await self.require(.organization, organization, self.reading)
            try await authority.requireManaging(organization: organization)
        } else if !call.isAdmin {
            throw authority.refusal("teams outside of an organization", "set organization_id to one that you manage")
        }
        let id = form.text("team_id") ?? self.makeID()
        let team = try self.apply(form, to: self.newRecord(EntityID(.team, id), call))
        let planner = MembershipPlanner(room: self, call: call, kind: .teamMember, parent: id)
        var wanted = try planner.requests(form["members_with_roles"])
        if let own = authority.userID, !wanted.contains(where: { $0.userID == own }) {
            wanted.append(MembershipPlanner<Self>.Request(userID: own, email: nil, role: "admin", fields: []))
        }
        let members = wanted
        try await self.registry.change { reading throws(ControlRefusal) in
            if try await reading.entity(team.id) != nil {
                throw .badRequest(
                    "Team id = \(id) already exists. Please use a different team id.", param: "team_id")
            }
            return ([.insert(team)] + (try await planner.additions(members, reading)).writes, ())
        }
        self.finish("created", .team, count: 1, call)
        return ControlReply.object(try await self.team(team) + KeyRendering.warnings(form.warnings))
    }

    private func apply(_ form: EntityForm.Filled, to record: EntityRecord) throws(ControlRefusal) -> EntityRecord {
        var record = try self.merged(
            record, form.without("team_id", "team_alias", "organization_id", "members_with_roles"))
        if let value = form["team_alias"] { record.alias = value.nonEmptyText }
        if let value = form["organization_id"] { record.parent = value.nonEmptyText }
        return record
    }

    private func update(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        let form = try EntityForm.teamUpdate.fill(call)
        try await self.requireBudget(form)
        let id = call.argument.isEmpty ? try form.required("team_id") : call.argument
        let authority = self.authority(call)
        if let organization = form.text("organization_id") {
            _ = try await self.require(.organization, organization, self.reading)
        }
        let record = try await self.change(id) { former throws(ControlRefusal) in
            try await authority.requireManaging(former)
            let record = try self.apply(form, to: former)
            let beyond = form.members.map(\.name).filter { !EntityForm.teamAdminFields.contains($0) }.sorted()
            if !beyond.isEmpty, try await !authority.isAbove(former) {
                throw authority.refusal(
                    "\(beyond.joined(separator: ", ")) of the team \(id)", "only those above its admins may change it")
            }
            if record.parent != former.parent, let organization = record.parent {
                try await authority.requireManaging(organization: organization)
            }
            return record
        }
        self.finish("updated", .team, count: 1, call)
        return ControlReply.object(
            [JSONMember("team_id", .string(id)), JSONMember("data", .object(try await self.team(record)))]
                + KeyRendering.warnings(form.warnings))
    }

    private func change(
        _ id: String, _ edit: @Sendable (EntityRecord) async throws(ControlRefusal) -> EntityRecord
    ) async throws(ControlRefusal) -> EntityRecord {
        try await self.registry.change { reading throws(ControlRefusal) in
            let record = try await edit(try await self.require(.team, id, reading))
            return ([.replace(record)], record)
        }
    }

    /// What those above a team may do to it.
    private func changeFromAbove(
        _ id: String, _ call: ControlCall, _ edit: @Sendable (EntityRecord) throws(ControlRefusal) -> EntityRecord
    ) async throws(ControlRefusal) -> EntityRecord {
        let authority = self.authority(call)
        return try await self.change(id) { former throws(ControlRefusal) in
            guard try await authority.isAbove(former) else {
                throw authority.refusal("the team \(id)", "only those above its admins may do this")
            }
            return try edit(former)
        }
    }

    private func block(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        try await self.setBlocked(true, call)
    }

    private func unblock(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        try await self.setBlocked(false, call)
    }

    private func addModels(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        try await self.setModels(call) { old, new in old + new.filter { !old.contains($0) } }
    }

    private func deleteModels(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        try await self.setModels(call) { old, gone in old.filter { !gone.contains($0) } }
    }

    private func setBlocked(_ isBlocked: Bool, _ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        let id = try EntityForm.teamName.fill(call).required("team_id")
        let record = try await self.changeFromAbove(id, call) { former throws(ControlRefusal) in
            try self.merged(former, [JSONMember("blocked", .bool(isBlocked))])
        }
        self.finish(isBlocked ? "blocked" : "unblocked", .team, count: 1, call)
        return ControlReply.object(try await self.team(record))
    }

    private func setModels(
        _ call: ControlCall, _ edit: @Sendable ([String], [String]) -> [String]
    ) async throws(ControlRefusal) -> ControlResponse {
        let form = try EntityForm.teamModels.fill(call)
        guard let models = form["models"]?.texts else { throw .missingField("models") }
        let record = try await self.changeFromAbove(try form.required("team_id"), call) {
            former throws(ControlRefusal) in
            let old = JSONValue.parsed(former.fields)?["models"]?.texts ?? []
            let new = edit(old, models)
            // An empty list would allow everything, which nobody means by taking away the last model.
            let kept = new.isEmpty && !old.isEmpty ? ["no-default-models"] : new
            return try self.merged(former, [JSONMember("models", .strings(kept))])
        }
        self.finish("updated", .team, count: 1, call)
        return ControlReply.object(try await self.team(record))
    }

    private func setPermissions(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        let form = try EntityForm.teamPermissions.fill(call)
        guard let permissions = form["team_member_permissions"] else { throw .missingField("team_member_permissions") }
        let authority = self.authority(call)
        let record = try await self.change(try form.required("team_id")) { former throws(ControlRefusal) in
            try await authority.requireManaging(former)
            return try self.merged(former, [JSONMember("team_member_permissions", permissions)])
        }
        self.finish("updated", .team, count: 1, call)
        return ControlReply.object(try await self.team(record))
    }

    /// With a team go its memberships and its keys.
    private func delete(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        let ids = (try EntityForm.teamNames.fill(call))["team_ids"]?.texts ?? []
        guard !ids.isEmpty else { throw .missingField("team_ids") }
        let authority = self.authority(call)
        for id in ids {
            let team = try await self.require(.team, id, self.reading)
            guard try await authority.isAbove(team) else {
                throw authority.refusal("the team \(id)", "only those above its admins may delete it")
            }
        }
        for id in ids { try await KeyMaker(dependencies: self.dependencies).deleteAll(userID: nil, teamID: id) }
        try await self.registry.change { reading throws(ControlRefusal) in
            var writes: [EntityWrite] = []
            for id in Set(ids) {
                writes.append(.delete(EntityID(.team, id)))
                writes += try await reading.members(of: .teamMember, parent: id).map { .delete($0.id) }
            }
            return (writes, ())
        }
        self.finish("deleted", .team, count: ids.count, call)
        return ControlReply.object([JSONMember("deleted_teams", .strings(ids))])
    }
}
