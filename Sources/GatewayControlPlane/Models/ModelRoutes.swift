import GatewayAdmission
import GatewayCore

/// Which models there are, as OpenAI and LiteLLM list them; each key sees those that it may use.
struct ModelRoutes: ControlRoom {
    /// OpenAI's API wants a time of creation; LiteLLM sends this one for every model, and so do we.
    private static let created = 1_677_610_602
    let dependencies: ControlPlaneDependencies

    var routes: [ControlRoute] {
        ["/v1/models", "/models", "/openai/v1/models"].flatMap { path in
            [
                ControlRoute("GET", path, .anyKey, self.list),
                ControlRoute("GET", prefix: path + "/", argumentName: "model", suffix: "", .anyKey, self.model),
            ]
        }
    }

    private func visibility(_ call: ControlCall) throws(ControlRefusal) -> ModelVisibility {
        guard let caller = call.caller else { throw .keyNotFound }
        return ModelVisibility(
            models: self.dependencies.models.modelNames(), key: caller, path: self.dependencies.path(of: caller))
    }

    private func list(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        let includesWildcards = try call.query.flag("return_wildcard_routes", standard: false)
        let models = try self.visibility(call).listed(includesWildcards: includesWildcards)
        return ControlReply.object([
            JSONMember("data", .array(models.map(Self.object))), JSONMember("object", .string("list")),
        ])
    }

    private func model(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        guard let model = try self.visibility(call).find(call.argument) else {
            let shown = String(call.argument.prefix(256))
            throw .gateway(
                GatewayError(
                    status: 404, type: "invalid_request_error", param: "model", code: "model_not_found",
                    origin: .caller, message: "The model '\(shown)' does not exist or you do not have access to it."))
        }
        return ControlReply.json(Self.object(model))
    }

    private static func object(_ model: ListedModel) -> JSONValue {
        .object([
            JSONMember("id", .string(model.name)), JSONMember("object", .string("model")),
            JSONMember("created", .integer(Self.created)), JSONMember("owned_by", .string(model.provider)),
        ])
    }
}
