import GatewayCore
import GatewayLedger

extension EntityForm {
    static let organization = EntityForm(
        [
            identifier("organization_id"), KeyField("organization_alias", .text(bytesMax: 512), .applied), models,
            metadata, blocked, budgetID, names("tags"),
        ], Self.governance, Self.beyond)
    static let organizationNames = EntityForm([names("organization_ids"), names("organizations")])
}

/// Organizations.
struct OrganizationRoutes: EntityRoom {
    let dependencies: ControlPlaneDependencies

    var routes: [ControlRoute] {
        [
            ControlRoute("POST", "/organization/new", .admin, self.create),
            ControlRoute("PATCH", "/organization/update", .organizationAdmin, self.update),
            ControlRoute("DELETE", "/organization/delete", .admin, self.delete),
            ControlRoute("GET", "/organization/info", .reader, self.info),
            ControlRoute("POST", "/organization/info", .reader, self.infos),
            ControlRoute("GET", "/organization/list", .reader, self.list),
        ]
    }

    private func create(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        let form = try EntityForm.organization.fill(call)
        try await self.requireBudget(form)
        _ = try form.required("organization_alias")
        let id = form.text("organization_id") ?? self.makeID()
        let record = try self.apply(form, to: self.newRecord(EntityID(.organization, id), call))
        try await self.registry.change { reading throws(ControlRefusal) in
            if try await reading.entity(record.id) != nil {
                throw .exists("Organization with organization_id=\(id)", param: "organization_id")
            }
            return ([.insert(record)], ())
        }
        self.finish("created", .organization, count: 1, call)
        return ControlReply.object(try await self.rendered(record) + KeyRendering.warnings(form.warnings))
    }

    private func apply(_ form: EntityForm.Filled, to record: EntityRecord) throws(ControlRefusal) -> EntityRecord {
        var record = try self.merged(record, form.without("organization_id", "organization_alias"))
        if let value = form["organization_alias"] { record.alias = value.nonEmptyText }
        return record
    }

    /// An organization's admin may name it and describe it; what it may spend and use is the proxy admin's to set.
    private static let ownFields: Set<String> = ["organization_id", "organization_alias", "metadata"]

    private func update(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        let form = try EntityForm.organization.fill(call)
        try await self.requireBudget(form)
        let id = try form.required("organization_id")
        let authority = self.authority(call)
        let beyond = form.members.map(\.name).filter { !Self.ownFields.contains($0) }.sorted()
        let record = try await self.registry.change { reading throws(ControlRefusal) in
            let former = try await self.require(.organization, id, reading)
            try await authority.requireManaging(organization: id)
            if !beyond.isEmpty, !call.isAdmin {
                throw authority.refusal(
                    "\(beyond.joined(separator: ", ")) of the organization \(id)", "only proxy admins may change it")
            }
            let record = try self.apply(form, to: former)
            return ([.replace(record)], record)
        }
        self.finish("updated", .organization, count: 1, call)
        return ControlReply.object(try await self.rendered(record) + KeyRendering.warnings(form.warnings))
    }

    private func delete(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        let ids = (try EntityForm.organizationNames.fill(call))["organization_ids"]?.texts ?? []
        guard !ids.isEmpty else { throw .missingField("organization_ids") }
        let deleted = try await self.registry.change { reading throws(ControlRefusal) in
            var writes: [EntityWrite] = []
            var deleted: [EntityRecord] = []
            for id in Set(ids).sorted() {
                let record = try await self.require(.organization, id, reading)
                guard try await reading.members(of: .team, parent: id).isEmpty else {
                    throw .badRequest(
                        "The organization \(id) has teams: delete or move them first, so that none is left without its "
                            + "organization's budget.", param: "organization_ids")
                }
                deleted.append(record)
                writes.append(.delete(record.id))
                writes += try await reading.members(of: .organizationMember, parent: id).map { .delete($0.id) }
            }
            return (writes, deleted)
        }
        self.finish("deleted", .organization, count: deleted.count, call)
        return ControlReply.json(.array(try await self.rendered(deleted)))
    }

    // MARK: Reading

    private func whole(_ record: EntityRecord) async throws(ControlRefusal) -> JSONValue {
        let members = try await self.reading.members(of: .organizationMember, parent: record.id.text)
        var query = EntityQuery(.team, offset: 0, limit: 1000)
        query.parent = record.id.text
        let teams = try await self.reading.page(query).records
        return .object(
            try await self.rendered(record) + [
                JSONMember("members", .array(try await self.rendered(members))),
                JSONMember("teams", .array(try await self.rendered(teams))),
            ])
    }

    private func visible(_ id: String, _ call: ControlCall) async throws(ControlRefusal) -> EntityRecord {
        let record = try await self.require(.organization, id, self.reading)
        guard try await self.authority(call).sees(organization: id) else {
            throw self.authority(call).refusal("the organization \(id)", "you are not a member")
        }
        return record
    }

    private func info(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        guard let id = call.query["organization_id"] else {
            throw .invalid([
                FieldProblem(location: ["query", "organization_id"], message: "Field required", type: "missing")
            ])
        }
        return ControlReply.json(try await self.whole(try await self.visible(id, call)))
    }

    private func infos(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        var found: [JSONValue] = []
        for id in (try EntityForm.organizationNames.fill(call))["organizations"]?.texts ?? [] {
            found.append(try await self.whole(try await self.visible(id, call)))
        }
        return ControlReply.json(.array(found))
    }

    private func list(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        var query = EntityQuery(.organization, offset: 0, limit: 1000)
        if !call.seesAll {
            let own = self.authority(call).userID ?? ""
            query.ids = try await self.reading.memberships(.organizationMember, of: own).compactMap(\.parent)
        }
        query.ids = call.query["org_id"].map { id in query.ids.map { $0.filter { $0 == id } } ?? [id] } ?? query.ids
        query.search = call.query["org_alias"]
        var found: [JSONValue] = []
        for record in try await self.reading.page(query).records { found.append(try await self.whole(record)) }
        return ControlReply.json(.array(found))
    }
}
