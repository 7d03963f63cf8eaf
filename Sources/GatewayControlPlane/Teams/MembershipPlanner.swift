import GatewayCore
import GatewayLedger

/// Turns what a request says about members into writes: memberships, and users that LiteLLM makes on the way.
struct MembershipPlanner<Room: EntityRoom>: Sendable {
    /// One member that a request names.
    struct Request: Sendable {
        var userID: String?
        var email: String?
        var role: String
        /// Budgets and limits of the membership.
        var fields: [JSONMember]
    }

    struct Plan: Sendable {
        var writes: [EntityWrite] = []
        var users: [EntityRecord] = []
        var members: [EntityRecord] = []
    }

    let room: Room
    let call: ControlCall
    /// `.teamMember` or `.organizationMember`.
    let kind: EntityKind
    /// The team or organization.
    let parent: String

    private var isTeam: Bool { self.kind == .teamMember }

    func id(of user: String) -> EntityID {
        self.isTeam
            ? .teamMember(team: self.parent, user: user) : .organizationMember(organization: self.parent, user: user)
    }

    /// Members of a body: one object, or a list of them.
    /// - Parameter shared: fields of the whole request that every member gets unless it has its own.
    func requests(_ value: JSONValue?, shared: [JSONMember] = []) throws(ControlRefusal) -> [Request] {
        let values = value.map { $0.list ?? [$0] } ?? []
        var requests: [Request] = []
        for value in values {
            let form = try EntityForm.memberOne.fill(value.members ?? [])
            guard form.text("user_id") != nil || form.text("user_email") != nil else {
                throw .badRequest("A member needs a user_id or a user_email.", param: "member")
            }
            requests.append(
                Request(
                    userID: form.text("user_id"), email: form.text("user_email"),
                    role: try self.role(form.text("role")),
                    fields: shared + Self.fields(form.without("user_id", "user_email", "role"))))
        }
        return requests
    }

    /// - Throws: 400 for a role that members do not have.
    func role(_ text: String?) throws(ControlRefusal) -> String {
        let roles = self.isTeam ? ["user", "admin"] : ["internal_user", "org_admin", "internal_user_viewer"]
        guard let text else { return roles[0] }
        guard roles.contains(text) else {
            throw .badRequest(
                "A member's role should be one of \(roles.joined(separator: ", ")).", param: "role")
        }
        return text
    }

    /// Budget fields under the names that memberships are stored with.
    static func fields(_ members: [JSONMember]) -> [JSONMember] {
        members.map { member in
            ["max_budget_in_team", "max_budget_in_organization"].contains(member.name)
                ? JSONMember("max_budget", member.value) : member
        }
    }

    /// - Throws: 400 when one is a member already.
    func additions(_ requests: [Request], _ reading: EntityReading) async throws(ControlRefusal) -> Plan {
        var plan = Plan()
        var seen: Set<String> = []
        for request in requests {
            let user = try await self.user(request, reading, &plan)
            let id = self.id(of: user.id.text)
            guard seen.insert(user.id.text).inserted, try await reading.entity(id) == nil else {
                throw .gateway(
                    GatewayError(
                        status: 400, type: self.isTeam ? "team_member_already_in_team" : "bad_request_error",
                        param: "user_id", origin: .caller,
                        message: "\(user.id.text) is already in \(self.isTeam ? "team" : "organization") "
                            + "\(self.parent)."))
            }
            var member = self.room.newRecord(id, self.call)
            (member.parent, member.member, member.role) = (self.parent, user.id.text, request.role)
            member = try self.room.merged(member, request.fields)
            plan.users.append(user)
            plan.members.append(member)
            plan.writes.append(.insert(member))
        }
        return plan
    }

    /// The user of a request; one that does not exist is made, as LiteLLM does, if the caller may make users.
    private func user(
        _ request: Request, _ reading: EntityReading, _ plan: inout Plan
    ) async throws(ControlRefusal) -> EntityRecord {
        if let id = request.userID, let user = try await reading.entity(EntityID(.user, id)) { return user }
        if request.userID == nil, let email = request.email {
            if let user = try await reading.user(email: email) { return user }
            if let made = plan.users.first(where: { $0.email == email }) { return made }
        }
        var user = self.room.newRecord(EntityID(.user, request.userID ?? self.room.makeID()), self.call)
        if let made = plan.users.first(where: { $0.id == user.id }) { return made }
        guard self.call.isAdmin else { throw .entityNotFound(.user, request.userID ?? request.email ?? "") }
        user.email = request.email
        user.role = "internal_user"
        plan.writes.append(.insert(user))
        return user
    }
}
