import GatewayAdmission
import GatewayCore
import GatewayLedger

/// Which teams, organizations, users and keys a caller may see and change. Memberships are read from the store, so that
/// one that was taken away a moment ago on another pod counts no more.
struct Authority: Sendable {
    private let call: ControlCall
    let reading: EntityReading

    init(_ call: ControlCall, _ dependencies: ControlPlaneDependencies) {
        self.call = call
        self.reading = EntityReading(store: dependencies.entities.store)
    }

    var userID: String? { self.call.caller?.record.userID }

    // MARK: Roles

    /// The roles that memberships give.
    static func memberRoles(of userID: String, _ reading: EntityReading) async throws(ControlRefusal) -> RoleSet {
        var roles: RoleSet = []
        if try await reading.memberships(.teamMember, of: userID).contains(where: { $0.role == "admin" }) {
            roles.insert(.teamAdmin)
        }
        if try await reading.memberships(.organizationMember, of: userID).contains(where: { $0.role == "org_admin" }) {
            roles.insert(.organizationAdmin)
        }
        return roles
    }

    // MARK: Organizations

    func manages(organization id: String) async throws(ControlRefusal) -> Bool {
        if self.call.isAdmin { return true }
        guard let userID = self.userID else { return false }
        return try await self.reading.entity(.organizationMember(organization: id, user: userID))?.role == "org_admin"
    }

    func sees(organization id: String) async throws(ControlRefusal) -> Bool {
        if self.call.seesAll { return true }
        guard let userID = self.userID else { return false }
        return try await self.reading.entity(.organizationMember(organization: id, user: userID)) != nil
    }

    func requireManaging(organization id: String) async throws(ControlRefusal) {
        guard try await self.manages(organization: id) else {
            throw self.refusal("the organization \(id)", "only its org_admin and proxy admins may change it")
        }
    }

    // MARK: Teams

    /// Whether the caller is set over the team, rather than its admin.
    func isAbove(_ team: EntityRecord) async throws(ControlRefusal) -> Bool {
        if self.call.isAdmin { return true }
        guard let organization = team.parent else { return false }
        return try await self.manages(organization: organization)
    }

    func manages(_ team: EntityRecord) async throws(ControlRefusal) -> Bool {
        if try await self.isAbove(team) { return true }
        guard let userID = self.userID else { return false }
        return try await self.reading.entity(.teamMember(team: team.id.text, user: userID))?.role == "admin"
    }

    func sees(_ team: EntityRecord) async throws(ControlRefusal) -> Bool {
        if self.call.seesAll || self.call.caller?.record.teamID == team.id.text { return true }
        if try await self.isAbove(team) { return true }
        guard let userID = self.userID else { return false }
        return try await self.reading.entity(.teamMember(team: team.id.text, user: userID)) != nil
    }

    func requireManaging(_ team: EntityRecord) async throws(ControlRefusal) {
        guard try await self.manages(team) else {
            throw self.refusal("the team \(team.id.text)", "only its admins and those above them may change it")
        }
    }

    // MARK: Keys

    /// Whether the caller may see the key.
    func sees(_ key: KeyRecord) async throws(ControlRefusal) -> Bool {
        if self.call.seesAll || key.keyID == self.call.caller?.record.keyID { return true }
        if let userID = self.userID, key.userID == userID { return true }
        guard let team = try await self.team(of: key) else { return false }
        return try await self.manages(team)
    }

    /// Whether the caller may make or have a key like this one.
    /// - Throws: 403. A key of another user can be handed out by that user or a proxy admin alone, unless it is good for
    ///   calls only: else a team's admin could act as one of its members, whatever that one may do elsewhere.
    func requireManaging(_ key: KeyRecord, rules: KeyRules) async throws(ControlRefusal) {
        if self.call.isAdmin { return }
        guard let userID = self.userID else { throw self.refusal("keys", "they belong to users") }
        let isOwn = key.userID == userID
        if let team = try await self.team(of: key) {
            if try await !self.manages(team) {
                guard isOwn, try await self.mayMakeKeys(team) else {
                    throw self.refusal("keys of the team \(team.id.text)", "only its admins may change them")
                }
            }
        } else if key.teamID != nil {
            throw self.refusal("this key's team", "there is no such team")
        } else if !isOwn {
            throw .forbidden(
                "User can only create keys for themselves. Got user_id=\(key.userID ?? "None"), Your ID=\(userID)",
                param: "user_id")
        }
        if let organization = rules.organizationID, try await !self.sees(organization: organization) {
            throw self.refusal("keys of the organization \(organization)", "you are not a member")
        }
        if !isOwn, key.userID != nil, rules.routes.allowed != ["llm_api_routes"] {
            throw self.refusal(
                "a key of another user", "it may only be one for calls: set key_type to \"llm_api\"")
        }
    }

    private func team(of key: KeyRecord) async throws(ControlRefusal) -> EntityRecord? {
        guard let teamID = key.teamID else { return nil }
        return try await self.reading.entity(EntityID(.team, teamID))
    }

    /// Whether plain members of the team may make keys in it (`team_member_permissions`).
    private func mayMakeKeys(_ team: EntityRecord) async throws(ControlRefusal) -> Bool {
        guard let userID = self.userID,
            try await self.reading.entity(.teamMember(team: team.id.text, user: userID)) != nil
        else { return false }
        let permissions = JSONValue.parsed(team.fields)?["team_member_permissions"]?.texts ?? []
        return permissions.contains("/key/generate")
    }

    // MARK: Refusals

    func refusal(_ what: String, _ why: String) -> ControlRefusal {
        .forbidden(
            "You may not touch \(what): \(why). Your role=\(self.call.roles.name), your user_id=\(self.userID ?? "None")."
        )
    }
}
