import GatewayAdmission
import GatewayCore

/// The deployments behind the models, those of the configuration and the stored ones, as LiteLLM describes them. Each
/// key sees those that it may use; parameters of stored models (masked), and stored models that are not in force, only
/// the master key.
struct ModelInfoRoutes: ControlRoom {
    private static let pageSizeMax = 1000
    let dependencies: ControlPlaneDependencies

    var routes: [ControlRoute] {
        [
            ControlRoute("GET", "/model/info", .anyKey, self.info),
            ControlRoute("GET", "/v1/model/info", .anyKey, self.info),
            ControlRoute("GET", "/v2/model/info", .anyKey, self.page),
            ControlRoute("GET", "/model_group/info", .anyKey, self.groups),
        ]
    }

    private func info(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        let wanted = call.query["litellm_model_id"]
        let entries = try self.entries(call, modelID: wanted)
        if wanted != nil, entries.isEmpty {
            throw .gateway(
                GatewayError(
                    status: 404, type: "not_found_error", param: "litellm_model_id", origin: .caller,
                    message: "No deployment has this identifier."))
        }
        return ControlReply.object([JSONMember("data", .array(entries.map(\.value)))])
    }

    private func page(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        let page = try call.query.integer("page", in: 1...1_000_000, standard: 1)
        let size = try call.query.integer("size", in: 1...Self.pageSizeMax, standard: 50)
        var entries = try self.entries(call, modelID: call.query["modelId"])
        if let model = call.query["model"] { entries = entries.filter { $0.name == model } }
        if let search = call.query["search"]?.lowercased() {
            entries = entries.filter { $0.name.lowercased().contains(search) }
        }
        switch call.query["sortBy"] {
        case nil: break
        case "model_name"?: entries.sort { $0.name < $1.name }
        default: throw .badRequest("Models are sorted by model_name only.", param: "sortBy")
        }
        if call.query["sortOrder"] == "desc" { entries.reverse() }
        let shown = entries.dropFirst((page - 1) * size).prefix(size)
        return ControlReply.object([
            JSONMember("data", .array(shown.map(\.value))), JSONMember("total_count", .integer(entries.count)),
            JSONMember("current_page", .integer(page)),
            JSONMember("total_pages", .integer((entries.count + size - 1) / size)), JSONMember("size", .integer(size)),
        ])
    }

    /// What the deployments of each model have in common: their providers, and the largest bounds and prices of any.
    private func groups(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        let wanted = call.query["model_group"]
        let models = try self.models(call).filter { $0.name == wanted ?? $0.name }
        if wanted != nil, models.isEmpty {
            throw .gateway(
                GatewayError(
                    status: 404, type: "not_found_error", param: "model_group", origin: .caller,
                    message: "No model has this name, or the key may not use it."))
        }
        return ControlReply.object([JSONMember("data", .array(models.map { Self.group($0) }))])
    }

    private static func group(_ model: ListedModel) -> JSONValue {
        func largest(_ figure: (ListedDeployment) -> Int64?) -> Int64? { model.deployments.compactMap(figure).max() }
        return .object([
            JSONMember("model_group", .string(model.name)),
            JSONMember("providers", .array(Set(model.deployments.map(\.provider)).sorted().map { .string($0) })),
            JSONMember("max_input_tokens", Self.integer(largest(\.inputTokensMax))),
            JSONMember("max_output_tokens", Self.integer(largest(\.outputTokensMax))),
            JSONMember("input_cost_per_token", Self.dollars(largest { $0.price?.inputPicodollars })),
            JSONMember("output_cost_per_token", Self.dollars(largest { $0.price?.outputPicodollars })),
            JSONMember("mode", .optional(model.deployments.lazy.compactMap(\.mode).first)),
        ])
    }

    // MARK: Entries

    /// Those that the caller's key may use.
    private func models(_ call: ControlCall) throws(ControlRefusal) -> [ListedModel] {
        guard let caller = call.caller else { throw .keyNotFound }
        return ModelVisibility(
            models: self.dependencies.models.modelNames(), key: caller, path: self.dependencies.path(of: caller)
        )
        .listed(includesWildcards: true)
    }

    private struct Entry {
        var name: String
        var value: JSONValue
    }

    /// - Parameter modelID: only this deployment. `nil`: all.
    private func entries(_ call: ControlCall, modelID: String?) throws(ControlRefusal) -> [Entry] {
        let models = try self.models(call)
        let vault = self.dependencies.modelAdministration?.vault
        let opened = vault?.opened ?? OpenedModels()
        let stored = Dictionary(opened.models.map { ($0.modelID, $0) }) { first, _ in first }
        var inForce: Set<String> = []
        var entries: [Entry] = []
        for model in models {
            for deployment in model.deployments {
                inForce.insert(deployment.deploymentID)
                guard modelID == nil || deployment.deploymentID == modelID else { continue }
                let row = stored[deployment.deploymentID]
                entries.append(
                    Entry(name: model.name, value: Self.entry(model, deployment, stored: row, isAdmin: call.isAdmin)))
            }
        }
        guard call.isAdmin, let vault else { return entries }
        for model in opened.models where !inForce.contains(model.modelID) && (modelID ?? model.modelID) == model.modelID
        {
            let fault = vault.fault(of: .model(model.modelID))
            entries.append(Entry(name: model.modelName, value: ModelRendering.outOfForce(model, fault: fault)))
        }
        for fault in opened.faults {
            guard case .model(let id) = fault.row, (modelID ?? id) == id else { continue }
            entries.append(Entry(name: "", value: ModelRendering.unopened(id, fault: fault.message)))
        }
        return entries
    }

    private static func entry(
        _ model: ListedModel, _ deployment: ListedDeployment, stored: OpenedModel?, isAdmin: Bool
    ) -> JSONValue {
        var parameters = JSONValue.object([
            JSONMember("model", .string("\(deployment.provider)/\(deployment.model)")),
            JSONMember("custom_llm_provider", .string(deployment.provider)),
        ])
        if isAdmin, let stored { parameters = ModelRendering.parameters(stored) }
        var info = Self.info(deployment, isStored: stored != nil)
        if let stored {
            for own in ModelRendering.ownInfo(stored) where !own.value.isVoid {
                info.removeAll { $0.name == own.name }
                info.append(own)
            }
            if isAdmin { info += ModelRendering.origin(stored) }
        }
        return .object([
            JSONMember("model_name", .string(model.name)), JSONMember("litellm_params", parameters),
            JSONMember("model_info", .object(info)),
        ])
    }

    private static func info(_ deployment: ListedDeployment, isStored: Bool) -> [JSONMember] {
        let price = deployment.price
        return [
            JSONMember("id", .string(deployment.deploymentID)), JSONMember("db_model", .bool(isStored)),
            JSONMember("key", .string(deployment.model)), JSONMember("litellm_provider", .string(deployment.provider)),
            JSONMember("mode", .optional(deployment.mode)),
            JSONMember("max_tokens", Self.integer(deployment.outputTokensMax)),
            JSONMember("max_input_tokens", Self.integer(deployment.inputTokensMax)),
            JSONMember("max_output_tokens", Self.integer(deployment.outputTokensMax)),
            JSONMember("input_cost_per_token", Self.dollars(price?.inputPicodollars)),
            JSONMember("output_cost_per_token", Self.dollars(price?.outputPicodollars)),
            JSONMember("cache_read_input_token_cost", Self.dollars(price?.cachedInputPicodollars)),
            JSONMember("cache_creation_input_token_cost", Self.dollars(price?.cacheWritePicodollars)),
        ]
    }

    private static func integer(_ value: Int64?) -> JSONValue { value.map { .integer($0) } ?? .null }

    private static func dollars(_ picodollars: Int64?) -> JSONValue {
        picodollars.map { .number(decimalText($0, decimals: 12)) } ?? .null
    }
}
