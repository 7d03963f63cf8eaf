import GatewayCore
import GatewayLedger
import Logging

/// Named credentials that models refer to by `litellm_credential_name`. Their values are never shown again.
struct CredentialRoutes: ControlRoom {
    static let credentialsMax = 10_000
    private static let nameBytesMax = 256
    let dependencies: ControlPlaneDependencies
    let turns = TurnQueue(waitingMax: 1000)

    var routes: [ControlRoute] {
        [
            ControlRoute("POST", "/credentials", .admin, self.create),
            ControlRoute("GET", "/credentials", .admin, self.list),
            ControlRoute("GET", prefix: "/credentials/by_name/", argumentName: "name", suffix: "", .admin, self.show),
            ControlRoute(
                "GET", prefix: "/credentials/by_model/", argumentName: "model_id", suffix: "", .admin, self.showOfModel),
            ControlRoute("PATCH", prefix: "/credentials/", argumentName: "name", suffix: "", .admin, self.update),
            ControlRoute("DELETE", prefix: "/credentials/", argumentName: "name", suffix: "", .admin, self.delete),
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

    // MARK: Reading

    private func list(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        let vault = try self.administration().vault
        try await self.load(vault)
        var entries = vault.opened.credentials.map {
            ($0.name, ModelRendering.credential($0, fault: vault.fault(of: .credential($0.name))))
        }
        for fault in vault.opened.faults {
            guard case .credential(let name) = fault.row else { continue }
            entries.append((name, ModelRendering.unopenedCredential(name, fault: fault.message)))
        }
        entries.sort { $0.0 < $1.0 }
        return ControlReply.object([
            JSONMember("success", .bool(true)), JSONMember("credentials", .array(entries.map(\.1))),
        ])
    }

    private func show(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        let vault = try self.administration().vault
        try await self.load(vault)
        let fault = vault.fault(of: .credential(call.argument))
        if let credential = vault.opened.credentials.first(where: { $0.name == call.argument }) {
            return ControlReply.json(ModelRendering.credential(credential, fault: fault))
        }
        guard let fault else { throw Self.notFound }
        return ControlReply.json(ModelRendering.unopenedCredential(call.argument, fault: fault))
    }

    /// The named credential that a stored model refers to, or what stands in its own parameters.
    private func showOfModel(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        let vault = try self.administration().vault
        try await self.load(vault)
        guard let model = vault.opened.models.first(where: { $0.modelID == call.argument }) else {
            throw .gateway(
                GatewayError(
                    status: 404, type: "not_found_error", param: "model_id", origin: .caller,
                    message: "No stored model has this identifier."))
        }
        if case .string(let name)? = model.parameters["litellm_credential_name"],
            let credential = vault.opened.credentials.first(where: { $0.name == name })
        {
            return ControlReply.json(
                ModelRendering.credential(credential, fault: vault.fault(of: .credential(name))))
        }
        return ControlReply.json(ModelRendering.ownCredential(model))
    }

    /// Other pods may have changed them since this pod last read.
    private func load(_ vault: ModelVault) async throws(ControlRefusal) {
        do throws(LedgerError) { try await vault.load() } catch { throw .store(error) }
    }

    // MARK: Changes

    private func create(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        let administration = try self.administration()
        let request = try CredentialRequest.decode(try call.bodyMembers())
        guard let name = request.name else { throw ModelRequest.missing("credential_name") }
        guard let values = request.values else { throw ModelRequest.missing("credential_values") }
        let isPlain = name.unicodeScalars.allSatisfy { $0.value >= 0x20 && !(0x7F...0x9F).contains($0.value) }
        guard !name.isEmpty, name.utf8.count <= Self.nameBytesMax, isPlain else {
            throw .badRequest(
                "credential_name must have 1 to \(Self.nameBytesMax) bytes and no control characters.",
                param: "credential_name")
        }
        return try await self.inTurn { () async throws(ControlRefusal) in
            guard administration.vault.opened.credentials.count < Self.credentialsMax else {
                throw .badRequest("The store holds \(Self.credentialsMax) credentials already; delete some.")
            }
            let tree = SecretTree(row: .credential(name), scope: .everything)
            _ = try ModelRequest.unmasked(values, former: .object([]), tree: tree)
            let now = self.dependencies.clock.now()
            let credential = OpenedCredential(
                name: name, values: .object(values.filter { $0.value != .null }), info: .object(request.info ?? []),
                createdAt: now, updatedAt: now)
            let stored = try administration.sealed(credential)
            let warnings = try await self.check(credential, administration)
            do throws(LedgerError) { try await administration.vault.store.insert(stored) } catch {
                throw Self.refusal(error)
            }
            return await self.finish("created", warnings, call, administration)
        }
    }

    private func update(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        let administration = try self.administration()
        let request = try CredentialRequest.decode(try call.bodyMembers())
        guard request.name == nil || request.name == call.argument else {
            throw .badRequest(
                "A credential keeps its name: store a new one, and delete the old one.", param: "credential_name")
        }
        return try await self.inTurn { () async throws(ControlRefusal) in
            let vault = administration.vault
            // As for models.
            for _ in 1...ModelAdminRoutes.changeAttemptsMax {
                try await self.load(vault)
                guard let former = vault.opened.credentials.first(where: { $0.name == call.argument }) else {
                    guard let fault = vault.fault(of: .credential(call.argument)) else { throw Self.notFound }
                    throw .badRequest("The stored credential cannot be changed: \(fault).", param: "credential_name")
                }
                let credential = try self.merged(former, request)
                let stored = try administration.sealed(credential)
                let warnings = try await self.check(credential, administration)
                do throws(LedgerError) { try await vault.store.update(stored, from: former.updatedAt) } catch {
                    if case .conflict = error { continue }
                    throw Self.refusal(error)
                }
                return await self.finish("updated", warnings, call, administration)
            }
            throw ModelAdminRoutes.changedAllTheTime
        }
    }

    /// Only what the request names is changed.
    private func merged(
        _ former: OpenedCredential, _ request: CredentialRequest
    ) throws(ControlRefusal) -> OpenedCredential {
        var credential = former
        let tree = SecretTree(row: .credential(credential.name), scope: .everything)
        let changes = try ModelRequest.unmasked(request.values, former: credential.values, tree: tree)
        credential.values = ModelRequest.merged(credential.values, changes)
        credential.info = ModelRequest.merged(credential.info, request.info)
        credential.updatedAt = ModelAdminRoutes.time(after: former.updatedAt, clock: self.dependencies.clock)
        return credential
    }

    private func delete(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        let administration = try self.administration()
        return try await self.inTurn { () async throws(ControlRefusal) in
            try await self.load(administration.vault)
            let users = administration.vault.opened.models.filter {
                $0.parameters["litellm_credential_name"] == .string(call.argument)
            }
            guard users.isEmpty else {
                let names = users.prefix(5).map(\.modelID).joined(separator: ", ")
                throw .badRequest(
                    "\(users.count) stored models use the credential (\(names)). Change or delete them first.",
                    param: "credential_name")
            }
            do throws(LedgerError) { try await administration.vault.store.deleteCredential(call.argument) } catch {
                throw Self.refusal(error)
            }
            return await self.finish("deleted", [], call, administration)
        }
    }

    private func check(
        _ credential: OpenedCredential, _ administration: ModelAdministration
    ) async throws(ControlRefusal) -> [String] {
        let verdict = await administration.check(.credential(credential))
        guard verdict.errors.isEmpty else { throw ModelAdminRoutes.rejected(verdict) }
        return verdict.warnings
    }

    private func finish(
        _ action: String, _ warnings: [String], _ call: ControlCall, _ administration: ModelAdministration
    ) async -> ControlResponse {
        // Without its name: people do put keys into the wrong field, and the log is no place for one.
        self.dependencies.logger.info(
            "Stored credential changed",
            metadata: [
                LogKey.credentialAction.rawValue: "\(action)",
                LogKey.keyActor.rawValue: "\(ModelAdminRoutes.name(of: call.caller))",
            ])
        await administration.modelsChanged()
        return ControlReply.object(
            [
                JSONMember("success", .bool(true)),
                JSONMember("message", .string("Credential \(action) successfully")),
            ] + KeyRendering.warnings(warnings))
    }

    private static func refusal(_ error: LedgerError) -> ControlRefusal {
        switch error {
        case .conflict:
            .badRequest(
                "A credential of this name exists already. Update it, or choose another name.",
                param: "credential_name")
        case .notFound: Self.notFound
        case .unavailable, .journalFull, .corrupt, .locked: .store(error)
        }
    }

    private static var notFound: ControlRefusal {
        .gateway(
            GatewayError(
                status: 404, type: "not_found_error", param: "credential_name", origin: .caller,
                message: "Credential not found. GET /credentials shows those that are stored."))
    }
}

/// The body of a change of credentials, decoded. Pure.
private struct CredentialRequest {
    var name: String?
    var values: [JSONMember]?
    var info: [JSONMember]?

    static func decode(_ members: [JSONMember]) throws(ControlRefusal) -> CredentialRequest {
        var request = CredentialRequest()
        for member in members where member.value != .null {
            switch member.name {
            case "credential_name": request.name = try ModelRequest.text(member.value, at: ["credential_name"])
            case "credential_values": request.values = try ModelRequest.object(member.value, at: member.name)
            case "credential_info": request.info = try ModelRequest.object(member.value, at: member.name)
            default:
                throw .badRequest(
                    "A credential has only credential_name, credential_values and credential_info here.",
                    param: ModelRequest.shown(member.name))
            }
        }
        return request
    }
}
