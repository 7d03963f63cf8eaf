import GatewayAdmission
import GatewayCore
import GatewayLedger

extension EntityForm {
    static let accessGroup = EntityForm([identifier("access_group"), names("model_names"), names("model_ids")])
}

/// Access groups: names that lists of models hold in place of models. Groups of the configuration
/// (`model_info.access_groups`) are shown beside the stored ones and cannot be changed here.
struct AccessGroupRoutes: EntityRoom {
    let dependencies: ControlPlaneDependencies

    var routes: [ControlRoute] {
        [
            ControlRoute("POST", "/access_group/new", .admin, self.create),
            ControlRoute(
                "PUT", prefix: "/access_group/", argumentName: "access_group", suffix: "/update", .admin, self.update),
            ControlRoute(
                "DELETE", prefix: "/access_group/", argumentName: "access_group", suffix: "/delete", .admin,
                self.delete),
            ControlRoute(
                "GET", prefix: "/access_group/", argumentName: "access_group", suffix: "/info", .adminView, self.info),
            ControlRoute("GET", "/access_group/list", .adminView, self.list),
        ]
    }

    /// The models of a body, all of them ones that this gateway has.
    private func models(_ form: EntityForm.Filled) throws(ControlRefusal) -> [String] {
        let listed = self.dependencies.models.modelNames()
        var models = form["model_names"]?.texts ?? []
        for id in form["model_ids"]?.texts ?? [] {
            guard let model = listed.first(where: { $0.deployments.contains { $0.deploymentID == id } }) else {
                throw .badRequest("Model ID \(id) was not found.", param: "model_ids")
            }
            models.append(model.name)
        }
        guard !models.isEmpty else { throw .missingField("model_names") }
        for model in models where !listed.contains(where: { $0.name == model }) {
            throw .badRequest("Model(s) not found: \(model)", param: "model_names")
        }
        return models.reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
    }

    private func create(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        let form = try EntityForm.accessGroup.fill(call)
        let name = try form.required("access_group")
        let models = try self.models(form)
        let record = try self.merged(
            self.newRecord(EntityID(.accessGroup, name), call), [JSONMember("model_names", .strings(models))])
        try await self.registry.change { reading throws(ControlRefusal) in
            if try await reading.entity(record.id) != nil {
                throw .gateway(
                    GatewayError(
                        status: 409, type: "bad_request_error", param: "access_group", origin: .caller,
                        message: "Access group '\(name)' already exists. Use PUT /access_group/\(name)/update."))
            }
            return ([.insert(record)], ())
        }
        self.finish("created", .accessGroup, count: 1, call)
        return self.reply(name, models, updated: models.count)
    }

    private func update(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        let models = try self.models(try EntityForm.accessGroup.fill(call))
        let name = call.argument
        try await self.registry.change { reading throws(ControlRefusal) in
            let former = try await self.require(.accessGroup, name, reading)
            return ([.replace(try self.merged(former, [JSONMember("model_names", .strings(models))]))], ())
        }
        self.finish("updated", .accessGroup, count: 1, call)
        return self.reply(name, models, updated: models.count)
    }

    private func reply(_ name: String, _ models: [String], updated: Int) -> ControlResponse {
        ControlReply.object([
            JSONMember("access_group", .string(name)), JSONMember("model_names", .strings(models)),
            JSONMember("models_updated", .integer(updated)),
        ])
    }

    private func delete(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        let name = call.argument
        let models = try await self.registry.change { reading throws(ControlRefusal) in
            let former = try await self.require(.accessGroup, name, reading)
            return ([.delete(former.id)], JSONValue.parsed(former.fields)?["model_names"]?.texts ?? [])
        }
        self.finish("deleted", .accessGroup, count: 1, call)
        return ControlReply.object([
            JSONMember("access_group", .string(name)), JSONMember("models_updated", .integer(models.count)),
            JSONMember("message", .string("Access group '\(name)' deleted successfully")),
        ])
    }

    private func shown(_ name: String, _ models: [String]) -> JSONValue {
        let unique = Set(models)
        let deployments = self.dependencies.models.modelNames().filter { unique.contains($0.name) }.map(
            \.deployments.count)
        return .object([
            JSONMember("access_group", .string(name)), JSONMember("model_names", .strings(unique.sorted())),
            JSONMember("deployment_count", .integer(deployments.reduce(0, +))),
        ])
    }

    private func info(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        guard let models = self.registry.directory.accessGroups[call.argument] else {
            throw .entityNotFound(.accessGroup, call.argument)
        }
        return ControlReply.json(self.shown(call.argument, models))
    }

    private func list(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        let groups = self.registry.directory.accessGroups.sorted { $0.key < $1.key }
        return ControlReply.object([
            JSONMember("access_groups", .array(groups.map { self.shown($0.key, $0.value) }))
        ])
    }
}
