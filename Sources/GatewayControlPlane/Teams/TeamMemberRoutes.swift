import GatewayAdmission
import GatewayCore
import GatewayLedger

/// Members of teams.
struct TeamMemberRoutes: EntityRoom {
    /// Members in one request, as LiteLLM bounds it.
    private static let bulkMax = 500
    let dependencies: ControlPlaneDependencies

    var routes: [ControlRoute] {
        [
            ControlRoute("POST", "/team/member_add", .manager, self.add),
            ControlRoute("POST", "/team/bulk_member_add", .manager, self.addMany),
            ControlRoute("POST", "/team/member_update", .manager, self.update),
            ControlRoute("POST", "/team/member_delete", .manager, self.delete),
        ]
    }

    private func planner(_ team: String, _ call: ControlCall) -> MembershipPlanner<Self> {
        MembershipPlanner(room: self, call: call, kind: .teamMember, parent: team)
    }

    /// A team's admins decide who is in it; budgets of members are theirs to set as well.
    private func managed(
        _ id: String, _ reading: EntityReading, _ call: ControlCall
    ) async throws(ControlRefusal) -> EntityRecord {
        let team = try await self.require(.team, id, reading)
        try await self.authority(call).requireManaging(team)
        return team
    }

    private func shared(_ form: EntityForm.Filled) -> [JSONMember] {
        MembershipPlanner<Self>.fields(
            form.without("team_id", "member", "members", "all_users", "user_id", "user_email", "role"))
    }

    private func add(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        let form = try EntityForm.teamMemberAdd.fill(call)
        try await self.requireBudget(form)
        let id = try form.required("team_id")
        guard let member = form["member"] else { throw .missingField("member") }
        let planner = self.planner(id, call)
        let requests = try planner.requests(member, shared: self.shared(form))
        guard requests.count <= Self.bulkMax else { throw self.tooMany }
        let plan = try await self.registry.change { reading throws(ControlRefusal) in
            let team = try await self.managed(id, reading, call)
            let plan = try await planner.additions(requests, reading)
            return (plan.writes, (team: team, plan: plan))
        }
        self.finish("added", .teamMember, count: requests.count, call)
        return ControlReply.object(
            try await self.team(plan.team) + [
                JSONMember("updated_users", .array(try await self.rendered(plan.plan.users))),
                JSONMember("updated_team_memberships", .array(try await self.rendered(plan.plan.members))),
            ] + KeyRendering.warnings(form.warnings))
    }

    private var tooMany: ControlRefusal {
        .badRequest("One request adds at most \(Self.bulkMax) members.", param: "members")
    }

    private func addMany(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        let form = try EntityForm.teamMemberAdd.fill(call)
        try await self.requireBudget(form)
        let id = try form.required("team_id")
        let planner = self.planner(id, call)
        let team = try await self.managed(id, self.reading, call)
        var requests = try planner.requests(form["members"] ?? .array([]), shared: self.shared(form))
        if form["all_users"] == .bool(true) {
            guard call.isAdmin else {
                throw self.authority(call).refusal("all users", "only proxy admins may add them")
            }
            requests = try await self.reading.all(EntityQuery(.user, offset: 0, limit: 1000)).map { user in
                MembershipPlanner<Self>.Request(
                    userID: user.id.text, email: nil, role: "user", fields: self.shared(form))
            }
        } else if requests.isEmpty || requests.count > Self.bulkMax {
            throw self.tooMany
        }
        var results: [JSONValue] = []
        var failures = 0
        for request in requests {
            var result = [
                JSONMember("user_id", .optional(request.userID)), JSONMember("user_email", .optional(request.email)),
            ]
            do throws(ControlRefusal) {
                let plan = try await self.registry.change { reading throws(ControlRefusal) in
                    let plan = try await planner.additions([request], reading)
                    return (plan.writes, plan)
                }
                result.append(JSONMember("success", .bool(true)))
                result.append(
                    JSONMember("updated_team_membership", .object(EntityRendering.row(plan.members[0], spend: .zero))))
            } catch {
                failures += 1
                result += [JSONMember("success", .bool(false)), JSONMember("error", .string(error.message))]
            }
            results.append(.object(result))
        }
        self.finish("added", .teamMember, count: requests.count - failures, call)
        return ControlReply.object([
            JSONMember("team_id", .string(id)), JSONMember("results", .array(results)),
            JSONMember("total_requested", .integer(requests.count)),
            JSONMember("successful_additions", .integer(requests.count - failures)),
            JSONMember("failed_additions", .integer(failures)),
            JSONMember("updated_team", .object(try await self.team(team))),
        ])
    }

    /// The membership that a body names by user or email.
    private func named(
        _ form: EntityForm.Filled, _ id: String, _ reading: EntityReading
    ) async throws(ControlRefusal) -> EntityRecord {
        var userID = form.text("user_id")
        if userID == nil, let email = form.text("user_email") {
            guard let user = try await reading.user(email: email) else { throw .entityNotFound(.user, email) }
            userID = user.id.text
        }
        guard let userID else { throw .missingField("user_id") }
        guard let member = try await reading.entity(.teamMember(team: id, user: userID)) else {
            throw .entityNotFound(.teamMember, userID)
        }
        return member
    }

    private func update(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        let form = try EntityForm.teamMemberUpdate.fill(call)
        try await self.requireBudget(form)
        let id = try form.required("team_id")
        let role = try form.text("role").map { text throws(ControlRefusal) in try self.planner(id, call).role(text) }
        let member = try await self.registry.change { reading throws(ControlRefusal) in
            _ = try await self.managed(id, reading, call)
            var member = try self.merged(try await self.named(form, id, reading), self.shared(form))
            if let role { member.role = role }
            return ([.replace(member)], member)
        }
        self.finish("updated", .teamMember, count: 1, call)
        let fields = EntityRendering.fields(member)
        func value(_ name: String) -> JSONValue { fields.first { $0.name == name }?.value ?? .null }
        return ControlReply.object(
            [
                JSONMember("team_id", .string(id)), JSONMember("user_id", .optional(member.member)),
                JSONMember("user_email", .optional(form.text("user_email"))),
                JSONMember("role", .optional(member.role)), JSONMember("max_budget_in_team", value("max_budget")),
                JSONMember("tpm_limit", value("tpm_limit")), JSONMember("rpm_limit", value("rpm_limit")),
            ] + KeyRendering.warnings(form.warnings))
    }

    /// With a member go its keys in the team.
    private func delete(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        let form = try EntityForm.teamMemberUpdate.fill(call)
        let id = try form.required("team_id")
        let team = try await self.managed(id, self.reading, call)
        let member = try await self.named(form, id, self.reading)
        try await KeyMaker(dependencies: self.dependencies).deleteAll(userID: member.member, teamID: id)
        try await self.registry.change { _ throws(ControlRefusal) in ([.delete(member.id)], ()) }
        self.finish("deleted", .teamMember, count: 1, call)
        return ControlReply.object(try await self.team(team))
    }
}
