import GatewayCore
import GatewayLedger

/// Members of organizations.
struct OrganizationMemberRoutes: EntityRoom {
    let dependencies: ControlPlaneDependencies

    var routes: [ControlRoute] {
        [
            ControlRoute("POST", "/organization/member_add", .organizationAdmin, self.add),
            ControlRoute("PATCH", "/organization/member_update", .organizationAdmin, self.update),
            ControlRoute("DELETE", "/organization/member_delete", .organizationAdmin, self.delete),
        ]
    }

    private func planner(_ id: String, _ call: ControlCall) -> MembershipPlanner<Self> {
        MembershipPlanner(room: self, call: call, kind: .organizationMember, parent: id)
    }

    private func shared(_ form: EntityForm.Filled) -> [JSONMember] {
        MembershipPlanner<Self>.fields(form.without("organization_id", "member", "user_id", "user_email", "role"))
    }

    private func requireManaged(
        _ id: String, _ reading: EntityReading, _ call: ControlCall
    ) async throws(ControlRefusal) {
        _ = try await self.require(.organization, id, reading)
        try await self.authority(call).requireManaging(organization: id)
    }

    private func add(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        let form = try EntityForm.organizationMember.fill(call)
        try await self.requireBudget(form)
        let id = try form.required("organization_id")
        guard let member = form["member"] else { throw .missingField("member") }
        let planner = self.planner(id, call)
        let requests = try planner.requests(member, shared: self.shared(form))
        let plan = try await self.registry.change { reading throws(ControlRefusal) in
            try await self.requireManaged(id, reading, call)
            let plan = try await planner.additions(requests, reading)
            return (plan.writes, plan)
        }
        self.finish("added", .organizationMember, count: requests.count, call)
        return ControlReply.object(
            [
                JSONMember("organization_id", .string(id)),
                JSONMember("updated_users", .array(try await self.rendered(plan.users))),
                JSONMember("updated_organization_memberships", .array(try await self.rendered(plan.members))),
            ] + KeyRendering.warnings(form.warnings))
    }

    private func named(
        _ form: EntityForm.Filled, _ id: String, _ reading: EntityReading
    ) async throws(ControlRefusal) -> EntityRecord {
        var userID = form.text("user_id")
        if userID == nil, let email = form.text("user_email") {
            userID = try await reading.user(email: email)?.id.text ?? email
        }
        guard let userID else { throw .missingField("user_id") }
        guard let member = try await reading.entity(.organizationMember(organization: id, user: userID)) else {
            throw .entityNotFound(.organizationMember, userID)
        }
        return member
    }

    private func update(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        let form = try EntityForm.organizationMember.fill(call)
        try await self.requireBudget(form)
        let id = try form.required("organization_id")
        let role = try form.text("role").map { text throws(ControlRefusal) in try self.planner(id, call).role(text) }
        let member = try await self.registry.change { reading throws(ControlRefusal) in
            try await self.requireManaged(id, reading, call)
            var member = try self.merged(try await self.named(form, id, reading), self.shared(form))
            if let role { member.role = role }
            return ([.replace(member)], member)
        }
        self.finish("updated", .organizationMember, count: 1, call)
        return ControlReply.object(try await self.rendered(member) + KeyRendering.warnings(form.warnings))
    }

    private func delete(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        let form = try EntityForm.organizationMember.fill(call)
        let id = try form.required("organization_id")
        let member = try await self.registry.change { reading throws(ControlRefusal) in
            try await self.requireManaged(id, reading, call)
            let member = try await self.named(form, id, reading)
            return ([.delete(member.id)], member)
        }
        self.finish("deleted", .organizationMember, count: 1, call)
        return ControlReply.object(try await self.rendered(member))
    }
}
