import GatewayAdmission
import GatewayCore
import GatewayLedger
import Logging

/// Models that are stored beside the configuration file (`store_model_in_db`). A change is checked as the file's
/// entries are, then stored, then in force on this pod before the answer goes out. What is stored is the truth: from
/// there on the answer is a success, and a warning says if something keeps the model from being in force here.
struct ModelAdminRoutes: ControlRoom {
    static let modelsMax = 10_000
    /// How often a change is made anew because other pods change the same thing.
    static let changeAttemptsMax = 20
    let dependencies: ControlPlaneDependencies
    /// A change reads a model and writes it back, so changes on one pod take turns.
    let turns = TurnQueue(waitingMax: 1000)

    var routes: [ControlRoute] {
        [
            ControlRoute("POST", "/model/new", .admin, self.create),
            ControlRoute("POST", "/model/update", .admin, self.update),
            ControlRoute("PATCH", prefix: "/model/", argumentName: "model_id", suffix: "/update", .admin, self.update),
            ControlRoute("POST", "/model/delete", .admin, self.delete),
            ControlRoute("POST", "/model/block", .admin, self.block),
            ControlRoute("POST", "/model/unblock", .admin, self.unblock),
        ]
    }

    private func administration() throws(ControlRefusal) -> ModelAdministration {
        guard let administration = self.dependencies.modelAdministration else { throw ModelAdministration.isOff }
        return administration
    }

    private func inTurn(
        _ body: () async throws(ControlRefusal) -> ControlResponse
    ) async throws(ControlRefusal) -> ControlResponse {
        try await self.turns.run(orThrow: .tooManyMutations, body)
    }

    // MARK: Handlers

    private func create(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        let administration = try self.administration()
        let request = try ModelRequest.decode(try call.bodyMembers())
        guard let name = request.modelName else { throw ModelRequest.missing("model_name") }
        guard let parameters = request.parameters else { throw ModelRequest.missing("litellm_params") }
        return try await self.inTurn { () async throws(ControlRefusal) in
            let now = self.dependencies.clock.now()
            var randomness = self.dependencies.randomness
            let modelID = request.modelID ?? UUIDBits.random(using: &randomness).text
            let tree = SecretTree(row: .model(modelID), scope: .parameters)
            // There is nothing behind a mask yet.
            _ = try ModelRequest.unmasked(parameters, former: .object([]), tree: tree)
            let model = OpenedModel(
                modelID: modelID, modelName: name,
                parameters: .object(parameters.filter { $0.value != .null }), info: .object(request.info ?? []),
                createdBy: Self.name(of: call.caller), createdAt: now, updatedAt: now)
            guard administration.vault.opened.models.count < Self.modelsMax else {
                throw .badRequest("The store holds \(Self.modelsMax) models already; delete some, or use wildcards.")
            }
            let stored = try administration.sealed(model)
            let warnings = try await self.check(model, administration)
            do throws(LedgerError) { try await administration.vault.store.insert(stored) } catch {
                throw Self.refusal(error)
            }
            return await self.finish("created", model, warnings, call, administration)
        }
    }

    private func update(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        let administration = try self.administration()
        let request = try ModelRequest.decode(try call.bodyMembers())
        if !call.argument.isEmpty, let id = request.modelID, id != call.argument {
            throw .badRequest("The path and model_info.id name different models.", param: "model_info")
        }
        guard let modelID = call.argument.isEmpty ? request.modelID : call.argument else {
            throw ModelRequest.missing("model_info", "id")
        }
        return try await self.change(modelID, "updated", call, administration) { former throws(ControlRefusal) in
            try self.merged(former, request)
        }
    }

    private func block(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        try await self.set(isBlocked: true, call)
    }

    private func unblock(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        try await self.set(isBlocked: false, call)
    }

    /// A blocked model stays in the store, and no call goes to it.
    private func set(isBlocked: Bool, _ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        let administration = try self.administration()
        let modelID = try self.namedModel(try call.bodyMembers())
        return try await self.change(modelID, isBlocked ? "blocked" : "unblocked", call, administration) { former in
            var model = former
            model.info = ModelRequest.merged(model.info, [JSONMember("blocked", .bool(isBlocked))])
            model.updatedAt = Self.time(after: former.updatedAt, clock: self.dependencies.clock)
            return model
        }
    }

    private func change(
        _ modelID: String, _ action: String, _ call: ControlCall, _ administration: ModelAdministration,
        _ edit: (OpenedModel) throws(ControlRefusal) -> OpenedModel
    ) async throws(ControlRefusal) -> ControlResponse {
        try await self.inTurn { () async throws(ControlRefusal) in
            // Another pod may change the model between our reading and writing: then the change is made anew.
            for _ in 1...Self.changeAttemptsMax {
                let former = try await self.stored(modelID, administration)
                let model = try edit(former)
                let stored = try administration.sealed(model)
                let warnings = try await self.check(model, administration)
                do throws(LedgerError) {
                    try await administration.vault.store.update(stored, from: former.updatedAt)
                } catch {
                    if case .conflict = error { continue }
                    throw Self.refusal(error)
                }
                return await self.finish(action, model, warnings, call, administration)
            }
            throw Self.changedAllTheTime
        }
    }

    /// Only what the request names is changed.
    private func merged(_ former: OpenedModel, _ request: ModelRequest) throws(ControlRefusal) -> OpenedModel {
        var model = former
        let tree = SecretTree(row: .model(model.modelID), scope: .parameters)
        let changes = try ModelRequest.unmasked(request.parameters, former: model.parameters, tree: tree)
        model.modelName = request.modelName ?? model.modelName
        model.parameters = ModelRequest.merged(model.parameters, changes)
        model.info = ModelRequest.merged(model.info, request.info)
        model.updatedAt = Self.time(after: former.updatedAt, clock: self.dependencies.clock)
        return model
    }

    /// Times of change tell versions apart, so they grow whatever the clocks of the pods say.
    static func time(after former: UnixMicroseconds, clock: any WallClock) -> UnixMicroseconds {
        UnixMicroseconds(rawValue: max(clock.now().rawValue, former.rawValue + 1))
    }

    private func delete(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        let administration = try self.administration()
        let modelID = try self.namedModel(try call.bodyMembers())
        return try await self.inTurn { () async throws(ControlRefusal) in
            do throws(LedgerError) { try await administration.vault.store.deleteModel(modelID) } catch {
                throw self.isConfigured(modelID) ? Self.fromConfiguration : Self.refusal(error)
            }
            self.log("deleted", modelID, call)
            await administration.modelsChanged()
            return ControlReply.object([JSONMember("message", .string("Model: \(modelID) deleted successfully"))])
        }
    }

    // MARK: Steps

    private func namedModel(_ members: [JSONMember]) throws(ControlRefusal) -> String {
        guard let value = members.first(where: { $0.name == "id" })?.value else { throw ModelRequest.missing("id") }
        return try ModelRequest.text(value, at: ["id"])
    }

    /// The model as the store has it now, not as this pod last read it.
    private func stored(
        _ modelID: String, _ administration: ModelAdministration
    ) async throws(ControlRefusal) -> OpenedModel {
        do throws(LedgerError) { try await administration.vault.load() } catch { throw .store(error) }
        if let model = administration.vault.opened.models.first(where: { $0.modelID == modelID }) { return model }
        if let fault = administration.vault.fault(of: .model(modelID)) {
            throw .badRequest("The stored model cannot be changed: \(fault).", param: "model_info")
        }
        throw self.isConfigured(modelID) ? Self.fromConfiguration : Self.notFound
    }

    /// - Returns: the warnings.
    private func check(
        _ model: OpenedModel, _ administration: ModelAdministration
    ) async throws(ControlRefusal) -> [String] {
        let verdict = await administration.check(.model(model))
        guard verdict.errors.isEmpty else { throw Self.rejected(verdict) }
        return verdict.warnings
    }

    static func rejected(_ verdict: CandidateVerdict) -> ControlRefusal {
        .badRequest(verdict.errors.prefix(20).joined(separator: "\n"))
    }

    private func finish(
        _ action: String, _ model: OpenedModel, _ warnings: [String], _ call: ControlCall,
        _ administration: ModelAdministration
    ) async -> ControlResponse {
        self.log(action, model.modelID, call)
        await administration.modelsChanged()
        var warnings = warnings
        if model.info["blocked"] != .bool(true), !self.isConfigured(model.modelID) {
            let fault = administration.vault.fault(of: .model(model.modelID)).map { ": \($0)" }
            warnings.append(
                "The model is stored, but not in force on this pod yet\(fault ?? "; its log says why.")"
            )
        }
        return ControlReply.object(
            ModelRendering.row(model, warnings: warnings, actor: Self.name(of: call.caller)))
    }

    /// Whether a deployment of this identifier is in force.
    private func isConfigured(_ modelID: String) -> Bool {
        self.dependencies.models.modelNames().contains { $0.deployments.contains { $0.deploymentID == modelID } }
    }

    private func log(_ action: String, _ modelID: String, _ call: ControlCall) {
        self.dependencies.logger.info(
            "Stored model changed",
            metadata: [
                LogKey.modelAction.rawValue: "\(action)", LogKey.modelID.rawValue: "\(modelID)",
                LogKey.keyActor.rawValue: "\(Self.name(of: call.caller))",
            ])
    }

    static func name(of caller: KeyEntry?) -> String { caller?.record.userID ?? "default_user_id" }

    // MARK: Refusals

    private static func refusal(_ error: LedgerError) -> ControlRefusal {
        switch error {
        case .conflict:
            .badRequest("A model with this model_info.id exists already. Update it, or choose another.", param: "id")
        case .notFound: Self.notFound
        case .unavailable, .journalFull, .corrupt, .locked: .store(error)
        }
    }

    private static var notFound: ControlRefusal {
        .gateway(
            GatewayError(
                status: 404, type: "not_found_error", param: "id", origin: .caller,
                message: "No stored model has this identifier; /model/info shows those there are."))
    }

    static var changedAllTheTime: ControlRefusal {
        .gateway(
            GatewayError(
                status: 409, type: "conflict_error", origin: .caller,
                message: "Others change the same model or credential all the time; nothing was changed. Repeat."))
    }

    private static var fromConfiguration: ControlRefusal {
        .badRequest("The model comes from the configuration file. Change it there.", param: "id")
    }
}
