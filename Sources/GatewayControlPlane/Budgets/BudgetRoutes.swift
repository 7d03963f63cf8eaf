import GatewayCore
import GatewayLedger

extension EntityForm {
    static let budget = EntityForm([identifier("budget_id"), names("allowed_models")], Self.governance)
    static let budgetNames = EntityForm([names("budgets")])
    static let budgetName = EntityForm([identifier("id")])
}

/// Budgets that keys, customers, members and others name by `budget_id`. Each of them spends its own money against the
/// same terms.
struct BudgetRoutes: EntityRoom {
    let dependencies: ControlPlaneDependencies

    var routes: [ControlRoute] {
        [
            ControlRoute("POST", "/budget/new", .admin, self.create),
            ControlRoute("POST", "/budget/update", .admin, self.update),
            ControlRoute("POST", "/budget/delete", .admin, self.delete),
            ControlRoute("POST", "/budget/info", .adminView, self.info),
            ControlRoute("GET", "/budget/list", .adminView, self.list),
            ControlRoute("GET", "/budget/settings", .adminView, self.settings),
        ]
    }

    private func create(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        let form = try EntityForm.budget.fill(call)
        let id = form.text("budget_id") ?? self.makeID()
        let record = try self.merged(self.newRecord(EntityID(.budget, id), call), form.without("budget_id"))
        try await self.registry.change { reading throws(ControlRefusal) in
            if try await reading.entity(record.id) != nil { throw .exists("Budget \(id)", param: "budget_id") }
            return ([.insert(record)], ())
        }
        self.finish("created", .budget, count: 1, call)
        return ControlReply.object(try await self.rendered(record) + KeyRendering.warnings(form.warnings))
    }

    private func update(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        let form = try EntityForm.budget.fill(call)
        let id = try form.required("budget_id")
        let record = try await self.registry.change { reading throws(ControlRefusal) in
            let record = try self.merged(try await self.require(.budget, id, reading), form.without("budget_id"))
            return ([.replace(record)], record)
        }
        self.finish("updated", .budget, count: 1, call)
        return ControlReply.object(try await self.rendered(record) + KeyRendering.warnings(form.warnings))
    }

    private func delete(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        let id = try EntityForm.budgetName.fill(call).required("id")
        let record = try await self.registry.change { reading throws(ControlRefusal) in
            let record = try await self.require(.budget, id, reading)
            return ([.delete(record.id)], record)
        }
        self.finish("deleted", .budget, count: 1, call)
        return ControlReply.object(try await self.rendered(record))
    }

    private func info(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        guard let ids = (try EntityForm.budgetNames.fill(call))["budgets"]?.texts, !ids.isEmpty else {
            throw .missingField("budgets")
        }
        var query = EntityQuery(.budget, offset: 0, limit: 1000)
        query.ids = ids
        return ControlReply.json(.array(try await self.rendered(try await self.reading.page(query).records)))
    }

    private func list(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        let page = try call.query.integer("page", in: 1...1_000_000, standard: 1)
        let size = try call.query.integer("page_size", in: 1...1000, standard: 1000)
        let query = EntityQuery(.budget, offset: (page - 1) * size, limit: size)
        return ControlReply.json(.array(try await self.rendered(try await self.reading.page(query).records)))
    }

    /// What a form for a budget shows.
    private static let described: [(name: String, type: String, text: String)] = [
        ("max_parallel_requests", "Integer", "Calls at one time."), ("tpm_limit", "Integer", "Tokens per minute."),
        ("rpm_limit", "Integer", "Requests per minute."), ("tpd_limit", "Integer", "Tokens per day."),
        ("budget_duration", "String", "When the budget begins anew, such as 1d or 30d."),
        ("max_budget", "Float", "Calls are refused when this is spent, in dollars."),
        ("soft_budget", "Float", "Reported when this is spent, in dollars."),
    ]

    private func settings(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        guard let id = call.query["budget_id"] else {
            throw .invalid([
                FieldProblem(location: ["query", "budget_id"], message: "Field required", type: "missing")
            ])
        }
        let fields = EntityRendering.fields(try await self.require(.budget, id, self.reading))
        return ControlReply.json(
            .array(
                Self.described.map { described in
                    let value = fields.first { $0.name == described.name }?.value
                    return .object([
                        JSONMember("field_name", .string(described.name)),
                        JSONMember("field_type", .string(described.type)),
                        JSONMember("field_description", .string(described.text)),
                        JSONMember("field_value", value ?? .null), JSONMember("stored_in_db", .bool(value != nil)),
                        JSONMember("field_default_value", .null),
                    ])
                }))
    }
}
