import GatewayAdmission
import GatewayCore
import GatewayLedger

/// Changes of users.
struct UserRoutes: EntityRoom {
    /// Users in one bulk update, as LiteLLM bounds it.
    private static let bulkMax = 500
    let dependencies: ControlPlaneDependencies

    var routes: [ControlRoute] {
        [
            ControlRoute("POST", "/user/new", .organizationAdmin, self.create),
            ControlRoute("POST", "/user/update", .admin, self.update),
            ControlRoute("POST", "/user/bulk_update", .admin, self.bulkUpdate),
            ControlRoute("POST", "/user/delete", .admin, self.delete),
        ]
    }

    // MARK: New

    private func create(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        let form = try EntityForm.userNew.fill(call)
        try await self.requireBudget(form)
        let id = form.text("user_id") ?? self.makeID()
        let organizations = try await self.organizations(form, call)
        let teams = try self.teams(form)
        let user = try self.apply(form, to: self.newRecord(EntityID(.user, id), call))
        var members = organizations.map { organization in
            self.membership(.organizationMember(organization: organization, user: id), "internal_user", call)
        }
        members += teams.map { self.membership(.teamMember(team: $0.team, user: id), $0.role, call) }
        let writes = ([user] + members).map { EntityWrite.insert($0) }
        let email = user.email
        try await self.registry.change { reading throws(ControlRefusal) in
            if try await reading.entity(user.id) != nil {
                throw .exists("User with user_id=\(id)", param: "user_id")
            }
            if let email, try await reading.user(email: email) != nil {
                throw .exists("User with user_email=\(email)", param: "user_email")
            }
            for team in teams { _ = try await self.require(.team, team.team, reading) }
            return (writes, ())
        }
        self.finish("created", .user, count: 1, call)
        var reply = try await self.rendered(user) + [JSONMember("teams", .strings(teams.map(\.team)))]
        if form["auto_create_key"] != .bool(false) {
            let made = try await self.makeKey(of: user, form, call)
            let known = Set(reply.map(\.name))
            reply =
                [JSONMember("key", .string(made.secret))] + reply
                + KeyRendering.info(made.record, spend: .zero).filter { !known.contains($0.name) }
        }
        return ControlReply.object(reply + KeyRendering.warnings(form.warnings))
    }

    private func membership(_ id: EntityID, _ role: String, _ call: ControlCall) -> EntityRecord {
        var record = self.newRecord(id, call)
        let parts = id.text.split(separator: "\n", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        (record.parent, record.member, record.role) = (parts[0], parts[1], role)
        return record
    }

    /// Those of the body, all of them organizations that the caller may change.
    private func organizations(
        _ form: EntityForm.Filled, _ call: ControlCall
    ) async throws(ControlRefusal) -> [String] {
        var organizations = form["organizations"]?.texts ?? []
        if let one = form.text("organization_id") { organizations.append(one) }
        organizations = organizations.reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
        let authority = self.authority(call)
        if !call.isAdmin {
            guard !organizations.isEmpty, form["teams"]?.list?.isEmpty ?? true, form.text("team_id") == nil else {
                throw authority.refusal("users of the whole proxy", "name organizations that you are the admin of")
            }
            guard ["internal_user", "internal_user_viewer", nil].contains(form.text("user_role")) else {
                throw authority.refusal("roles above internal_user", "only proxy admins may give them")
            }
        }
        for organization in organizations {
            _ = try await self.require(.organization, organization, self.reading)
            try await authority.requireManaging(organization: organization)
        }
        return organizations
    }

    /// LiteLLM takes teams by identifier, or as objects with a role.
    private func teams(_ form: EntityForm.Filled) throws(ControlRefusal) -> [(team: String, role: String)] {
        var teams: [(team: String, role: String)] = []
        for value in form["teams"]?.list ?? [] {
            guard let team = value.nonEmptyText ?? value["team_id"]?.nonEmptyText else {
                throw .badRequest("teams should hold identifiers of teams.", param: "teams")
            }
            let role = value["user_role"]?.nonEmptyText ?? "user"
            guard ["user", "admin"].contains(role) else {
                throw .badRequest("A team's member is a \"user\" or an \"admin\".", param: "teams")
            }
            if !teams.contains(where: { $0.team == team }) { teams.append((team, role)) }
        }
        if let team = form.text("team_id"), !teams.contains(where: { $0.team == team }) { teams.append((team, "user")) }
        return teams
    }

    private func makeKey(
        of user: EntityRecord, _ form: EntityForm.Filled, _ call: ControlCall
    ) async throws(ControlRefusal) -> (record: KeyRecord, secret: String) {
        let copied = EntityForm.newUserKeyFields.compactMap { name in form[name].map { JSONMember(name, $0) } }
        var edits = try KeyEdits.decode(copied)
        edits.userID = .some(user.id.text)
        if let team = form.text("team_id") { edits.teamID = .some(team) }
        let maker = KeyMaker(dependencies: self.dependencies)
        return try await maker.make(edits, createdBy: self.actor(call))
    }

    // MARK: Update

    private func apply(_ form: EntityForm.Filled, to record: EntityRecord) throws(ControlRefusal) -> EntityRecord {
        var record = try self.merged(
            record,
            form.without(
                "user_id", "user_email", "user_alias", "user_role", "teams", "organizations", "organization_id",
                "team_id", "auto_create_key", "key_alias", "duration"))
        if let value = form["user_alias"] { record.alias = value.nonEmptyText }
        if let value = form["user_email"] { record.email = value.nonEmptyText }
        if let value = form["user_role"] {
            let role = value.nonEmptyText
            guard role == nil || RoleSet.userRoles.contains(where: { $0.name == role }) else {
                let names = RoleSet.userRoles.map { "'\($0.name)'" }.joined(separator: ", ")
                throw .invalid([
                    FieldProblem(
                        location: ["body", "user_role"], message: "Input should be one of \(names)",
                        type: "literal_error")
                ])
            }
            record.role = role
        }
        return record
    }

    private func changed(_ form: EntityForm.Filled) async throws(ControlRefusal) -> EntityRecord {
        try await self.requireBudget(form)
        guard form.text("user_id") != nil || form.text("user_email") != nil else {
            throw .missingField("user_id")
        }
        return try await self.registry.change { reading throws(ControlRefusal) in
            let former: EntityRecord
            if let id = form.text("user_id") {
                former = try await self.require(.user, id, reading)
            } else {
                let email = form.text("user_email") ?? ""
                guard let found = try await reading.user(email: email) else { throw .entityNotFound(.user, email) }
                former = found
            }
            let record = try self.apply(form, to: former)
            if let email = record.email, email != former.email, try await reading.user(email: email) != nil {
                throw .exists("User with user_email=\(email)", param: "user_email")
            }
            return ([.replace(record)], record)
        }
    }

    private func update(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        let form = try EntityForm.userUpdate.fill(call)
        let record = try await self.changed(form)
        self.finish("updated", .user, count: 1, call)
        return ControlReply.object(
            [
                JSONMember("user_id", .string(record.id.text)),
                JSONMember("data", .object(try await self.rendered(record))),
            ] + KeyRendering.warnings(form.warnings))
    }

    private func bulkUpdate(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        let form = try EntityForm.userBulk.fill(call)
        var wanted: [[JSONMember]] = (form["users"]?.list ?? []).map { $0.members ?? [] }
        if form["all_users"] == .bool(true) {
            guard let updates = form["user_updates"]?.members else {
                throw .badRequest("all_users needs user_updates.", param: "user_updates")
            }
            let users = try await self.reading.all(EntityQuery(.user, offset: 0, limit: 1000))
            wanted = users.map { [JSONMember("user_id", .string($0.id.text))] + updates }
        } else if wanted.isEmpty || wanted.count > Self.bulkMax {
            throw .badRequest("users should hold 1 to \(Self.bulkMax) users.", param: "users")
        }
        var results: [JSONValue] = []
        var failures = 0
        for members in wanted {
            var result = members.filter { $0.name == "user_id" || $0.name == "user_email" }
            do throws(ControlRefusal) {
                let record = try await self.changed(try EntityForm.userUpdate.fill(members))
                result += [
                    JSONMember("success", .bool(true)),
                    JSONMember("updated_user", .object(EntityRendering.row(record, spend: .zero))),
                ]
            } catch {
                failures += 1
                result += [JSONMember("success", .bool(false)), JSONMember("error", .string(error.message))]
            }
            results.append(.object(result))
        }
        self.finish("updated", .user, count: wanted.count - failures, call)
        return ControlReply.object([
            JSONMember("results", .array(results)), JSONMember("total_requested", .integer(wanted.count)),
            JSONMember("successful_updates", .integer(wanted.count - failures)),
            JSONMember("failed_updates", .integer(failures)),
        ])
    }

    // MARK: Delete

    /// With a user go its keys and memberships. Keys go first: should the rest fail, a repetition goes on from there.
    private func delete(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        let ids = (try EntityForm.userNames.fill(call))["user_ids"]?.texts ?? []
        guard !ids.isEmpty else { throw .missingField("user_ids") }
        for id in ids {
            _ = try await self.require(.user, id, self.reading)
            try await KeyMaker(dependencies: self.dependencies).deleteAll(userID: id, teamID: nil)
        }
        try await self.registry.change { reading throws(ControlRefusal) in
            var writes: [EntityWrite] = []
            for id in Set(ids) {
                writes.append(.delete(EntityID(.user, id)))
                writes += try await reading.memberships(.teamMember, of: id).map { .delete($0.id) }
                writes += try await reading.memberships(.organizationMember, of: id).map { .delete($0.id) }
            }
            return (writes, ())
        }
        self.finish("deleted", .user, count: ids.count, call)
        return ControlReply.json(.integer(Set(ids).count))
    }
}
