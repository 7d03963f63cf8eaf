import GatewayCore
import GatewayLedger

extension EntityForm {
    static let tag = EntityForm(
        [
            identifier("name"), KeyField("description", .text(bytesMax: 4096), .kept), models, budgetID,
            KeyField("model_info", .object(bytesMax: smallJSON), .kept), metadata,
        ], Self.governance)
    static let tagNames = EntityForm([names("names")])
    static let tagName = EntityForm([identifier("name")])
}

/// Tags: names under which calls are counted and bound beside their key.
struct TagRoutes: EntityRoom {
    let dependencies: ControlPlaneDependencies

    var routes: [ControlRoute] {
        [
            ControlRoute("POST", "/tag/new", .admin, self.create),
            ControlRoute("POST", "/tag/update", .admin, self.update),
            ControlRoute("POST", "/tag/delete", .admin, self.delete),
            ControlRoute("POST", "/tag/info", .adminView, self.info),
            ControlRoute("GET", "/tag/list", .adminView, self.list),
        ]
    }

    private func create(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        let form = try EntityForm.tag.fill(call)
        try await self.requireBudget(form)
        let name = try form.required("name")
        let record = try self.merged(self.newRecord(EntityID(.tag, name), call), form.without("name"))
        try await self.registry.change { reading throws(ControlRefusal) in
            if try await reading.entity(record.id) != nil { throw .exists("Tag \(name)", param: "name") }
            return ([.insert(record)], ())
        }
        self.finish("created", .tag, count: 1, call)
        return try await self.reply("created", record, form.warnings)
    }

    private func update(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        let form = try EntityForm.tag.fill(call)
        try await self.requireBudget(form)
        let name = try form.required("name")
        let record = try await self.registry.change { reading throws(ControlRefusal) in
            let record = try self.merged(try await self.require(.tag, name, reading), form.without("name"))
            return ([.replace(record)], record)
        }
        self.finish("updated", .tag, count: 1, call)
        return try await self.reply("updated", record, form.warnings)
    }

    private func reply(
        _ action: String, _ record: EntityRecord, _ warnings: [String]
    ) async throws(ControlRefusal) -> ControlResponse {
        ControlReply.object(
            [
                JSONMember("message", .string("Tag \(record.id.text) \(action) successfully")),
                JSONMember("tag", .object(try await self.rendered(record))),
            ] + KeyRendering.warnings(warnings))
    }

    private func delete(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        let name = try EntityForm.tagName.fill(call).required("name")
        try await self.registry.change { reading throws(ControlRefusal) in
            ([.delete(try await self.require(.tag, name, reading).id)], ())
        }
        self.finish("deleted", .tag, count: 1, call)
        return ControlReply.object([JSONMember("message", .string("Tag \(name) deleted successfully"))])
    }

    private func info(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        var found: [JSONMember] = []
        for name in (try EntityForm.tagNames.fill(call))["names"]?.texts ?? [] {
            let record = try await self.require(.tag, name, self.reading)
            found.append(JSONMember(name, .object(try await self.rendered(record))))
        }
        return ControlReply.object(found)
    }

    private func list(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        let page = try call.query.integer("page", in: 1...1_000_000, standard: 1)
        let size = try call.query.integer("page_size", in: 1...1000, standard: 1000)
        let query = EntityQuery(.tag, offset: (page - 1) * size, limit: size)
        return ControlReply.json(.array(try await self.rendered(try await self.reading.page(query).records)))
    }
}
