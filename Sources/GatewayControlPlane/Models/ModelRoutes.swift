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
        } + ["/model/info", "/v1/model/info"].map { ControlRoute("GET", $0, .anyKey, self.info) }
    }

    private func visibility(_ call: ControlCall) throws(ControlRefusal) -> ModelVisibility {
        guard let caller = call.caller else { throw .keyNotFound }
        return ModelVisibility(models: self.dependencies.models.modelNames(), key: caller)
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

    private func info(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        let wanted = call.query["litellm_model_id"]
        let models = try self.visibility(call).listed(includesWildcards: true)
        let entries = models.flatMap { model in
            model.deployments.filter { wanted == nil || $0.deploymentID == wanted }.map { Self.info(model, $0) }
        }
        if wanted != nil, entries.isEmpty {
            throw .gateway(
                GatewayError(
                    status: 404, type: "not_found_error", param: "litellm_model_id", origin: .caller,
                    message: "No deployment has this identifier."))
        }
        return ControlReply.object([JSONMember("data", .array(entries))])
    }

    private static func info(_ model: ListedModel, _ deployment: ListedDeployment) -> JSONValue {
        let price = deployment.price
        return .object([
            JSONMember("model_name", .string(model.name)),
            JSONMember(
                "litellm_params",
                .object([
                    JSONMember("model", .string("\(deployment.provider)/\(deployment.model)")),
                    JSONMember("custom_llm_provider", .string(deployment.provider)),
                ])),
            JSONMember(
                "model_info",
                .object([
                    JSONMember("id", .string(deployment.deploymentID)), JSONMember("db_model", .bool(false)),
                    JSONMember("key", .string(deployment.model)),
                    JSONMember("litellm_provider", .string(deployment.provider)),
                    JSONMember("mode", .optional(deployment.mode)),
                    JSONMember("max_tokens", Self.integer(deployment.outputTokensMax)),
                    JSONMember("max_input_tokens", Self.integer(deployment.inputTokensMax)),
                    JSONMember("max_output_tokens", Self.integer(deployment.outputTokensMax)),
                    JSONMember("input_cost_per_token", Self.dollars(price?.inputPicodollars)),
                    JSONMember("output_cost_per_token", Self.dollars(price?.outputPicodollars)),
                    JSONMember("cache_read_input_token_cost", Self.dollars(price?.cachedInputPicodollars)),
                    JSONMember("cache_creation_input_token_cost", Self.dollars(price?.cacheWritePicodollars)),
                ])),
        ])
    }

    private static func integer(_ value: Int64?) -> JSONValue { value.map { .integer($0) } ?? .null }

    private static func dollars(_ picodollars: Int64?) -> JSONValue {
        picodollars.map { .number(decimalText($0, decimals: 12)) } ?? .null
    }
}
