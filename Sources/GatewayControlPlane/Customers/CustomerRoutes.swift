import GatewayCore
import GatewayLedger

extension EntityForm {
    static let customer = EntityForm(
        [
            identifier("user_id"), KeyField("alias", .text(bytesMax: 512), .applied), blocked, budgetID, models,
            metadata, KeyField("allowed_model_region", .text(bytesMax: 64), .notEnforced),
            KeyField("default_model", .text(bytesMax: 512), .notEnforced),
        ], Self.governance, Self.beyond)
    static let customerNames = EntityForm([names("user_ids")])
}

/// Customers, LiteLLM's end users: those on whose behalf a caller calls (`user` in the body). Both names of the paths
/// are the same routes.
struct CustomerRoutes: EntityRoom {
    let dependencies: ControlPlaneDependencies

    var routes: [ControlRoute] {
        ["/customer", "/end_user"].flatMap { base in
            [
                ControlRoute("POST", "\(base)/new", .admin, self.create),
                ControlRoute("POST", "\(base)/update", .admin, self.update),
                ControlRoute("POST", "\(base)/delete", .admin, self.delete),
                ControlRoute("POST", "\(base)/block", .admin, self.block),
                ControlRoute("POST", "\(base)/unblock", .admin, self.unblock),
                ControlRoute("GET", "\(base)/info", .adminView, self.info),
                ControlRoute("GET", "\(base)/list", .adminView, self.list),
            ]
        }
    }

    private func apply(_ form: EntityForm.Filled, to record: EntityRecord) throws(ControlRefusal) -> EntityRecord {
        var record = try self.merged(record, form.without("user_id", "alias"))
        if let value = form["alias"] { record.alias = value.nonEmptyText }
        return record
    }

    private func create(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        let form = try EntityForm.customer.fill(call)
        try await self.requireBudget(form)
        let id = try form.required("user_id")
        let record = try self.apply(form, to: self.newRecord(EntityID(.customer, id), call))
        try await self.registry.change { reading throws(ControlRefusal) in
            if try await reading.entity(record.id) != nil {
                throw .badRequest(
                    "Customer already exists, passed user_id=\(id). Please pass a new user_id.", param: "user_id")
            }
            return ([.insert(record)], ())
        }
        self.finish("created", .customer, count: 1, call)
        return ControlReply.object(try await self.rendered(record) + KeyRendering.warnings(form.warnings))
    }

    private func update(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        let form = try EntityForm.customer.fill(call)
        try await self.requireBudget(form)
        let id = try form.required("user_id")
        let record = try await self.registry.change { reading throws(ControlRefusal) in
            let record = try self.apply(form, to: try await self.require(.customer, id, reading))
            return ([.replace(record)], record)
        }
        self.finish("updated", .customer, count: 1, call)
        return ControlReply.object(try await self.rendered(record) + KeyRendering.warnings(form.warnings))
    }

    private func names(_ call: ControlCall) throws(ControlRefusal) -> [String] {
        let names = (try EntityForm.customerNames.fill(call))["user_ids"]?.texts ?? []
        guard !names.isEmpty else { throw .missingField("user_ids") }
        return names.reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
    }

    private func delete(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        let ids = try self.names(call)
        try await self.registry.change { reading throws(ControlRefusal) in
            for id in ids { _ = try await self.require(.customer, id, reading) }
            return (ids.map { .delete(EntityID(.customer, $0)) }, ())
        }
        self.finish("deleted", .customer, count: ids.count, call)
        return ControlReply.object([
            JSONMember("deleted_customers", .integer(ids.count)),
            JSONMember("message", .string("Successfully deleted customers with ids: \(ids)")),
        ])
    }

    private func block(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        try await self.setBlocked(true, call)
    }

    private func unblock(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        try await self.setBlocked(false, call)
    }

    /// Customers that nobody has made yet are made by blocking them, as LiteLLM does.
    private func setBlocked(_ isBlocked: Bool, _ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        let ids = try self.names(call)
        let blocked = [JSONMember("blocked", .bool(isBlocked))]
        let records = try await self.registry.change { reading throws(ControlRefusal) in
            var writes: [EntityWrite] = []
            var records: [EntityRecord] = []
            for id in ids {
                let former = try await reading.entity(EntityID(.customer, id))
                let record = try self.merged(former ?? self.newRecord(EntityID(.customer, id), call), blocked)
                records.append(record)
                writes.append(former == nil ? .insert(record) : .replace(record))
            }
            return (writes, records)
        }
        self.finish(isBlocked ? "blocked" : "unblocked", .customer, count: ids.count, call)
        return ControlReply.object([JSONMember("blocked_users", .array(try await self.rendered(records)))])
    }

    private func info(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        guard let id = call.query["end_user_id"] else {
            throw .invalid([
                FieldProblem(location: ["query", "end_user_id"], message: "Field required", type: "missing")
            ])
        }
        return ControlReply.object(try await self.rendered(try await self.require(.customer, id, self.reading)))
    }

    private func list(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        let page = try call.query.integer("page", in: 1...1_000_000, standard: 1)
        let size = try call.query.integer("page_size", in: 1...1000, standard: 1000)
        var query = EntityQuery(.customer, offset: (page - 1) * size, limit: size)
        query.search = call.query["search"]
        return ControlReply.json(.array(try await self.rendered(try await self.reading.page(query).records)))
    }
}
