import GatewayAdmission
import GatewayCore
import GatewayLedger
import Logging

/// Changes of virtual keys. Each is in the store and in force on this pod when the answer goes out.
struct KeyRoutes: EntityRoom {
    /// Keys in one `/key/delete`.
    private static let deletedMax = 1000
    let dependencies: ControlPlaneDependencies

    var routes: [ControlRoute] {
        [
            ControlRoute("POST", "/key/generate", .member, self.generate),
            ControlRoute("POST", "/key/update", .member, self.update),
            ControlRoute("POST", "/key/delete", .member, self.delete),
            ControlRoute("POST", "/key/block", .member, self.block),
            ControlRoute("POST", "/key/unblock", .member, self.unblock),
            ControlRoute("POST", "/key/regenerate", .member, self.regenerate),
            ControlRoute("POST", prefix: "/key/", argumentName: "key", suffix: "/regenerate", .member, self.regenerate),
            ControlRoute("POST", prefix: "/key/", argumentName: "key", suffix: "/reset_spend", .admin, self.resetSpend),
        ]
    }

    private func generate(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        var edits = try KeyEdits.decode(try call.bodyMembers())
        try await self.requireOwners(edits)
        // A person's key is that person's own; the master key is nobody's.
        if !call.isAdmin, edits.userID == nil { edits.userID = .some(call.caller?.record.userID) }
        let (record, secret) = try KeyMaker(dependencies: self.dependencies).draft(
            edits, createdBy: Self.name(of: call.caller))
        try await self.requireManaging(record, call)
        try await self.dependencies.keys.create(record)
        await self.finish("created", [record], call)
        return ControlReply.object(KeyRendering.created(record, secret: secret, spend: .zero, warnings: edits.warnings))
    }

    private func update(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        let edits = try KeyEdits.decode(try call.bodyMembers())
        guard let key = edits.secret else { throw Self.missing("key") }
        guard edits.newSecret == nil else { throw .badRequest("new_key belongs to /key/regenerate.", param: "new_key") }
        let now = self.dependencies.clock.now()
        try await self.requireOwners(edits)
        let record = try await self.change(key, call) { former throws(ControlRefusal) in
            try edits.applied(to: former, now: now)
        }
        await self.finish("updated", [record], call)
        return ControlReply.object(
            [JSONMember("key", .string(key))] + (try await self.info(record)) + KeyRendering.warnings(edits.warnings))
    }

    private func block(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        try await self.setBlocked(true, call)
    }

    private func unblock(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        try await self.setBlocked(false, call)
    }

    private func setBlocked(_ isBlocked: Bool, _ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        guard let key = try KeyEdits.decode(try call.bodyMembers()).secret else { throw Self.missing("key") }
        let now = self.dependencies.clock.now()
        let record = try await self.change(key, call) { former throws(ControlRefusal) in
            var record = former
            record.isBlocked = isBlocked
            record.updatedAt = now
            return record
        }
        await self.finish(isBlocked ? "blocked" : "unblocked", [record], call)
        return ControlReply.object(try await self.info(record))
    }

    private func regenerate(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        let edits = try KeyEdits.decode(try call.bodyMembers())
        if !call.argument.isEmpty, let key = edits.secret,
            KeySecret.digest(named: key) != KeySecret.digest(named: call.argument)
        {
            throw .badRequest("The path and the body name different keys.", param: "key")
        }
        guard let key = call.argument.isEmpty ? edits.secret : call.argument else { throw Self.missing("key") }
        let secret = try KeySecret.checked(edits.newSecret, field: "new_key") ?? self.makeSecret()
        let now = self.dependencies.clock.now()
        let record = try await self.change(key, call) { former throws(ControlRefusal) in
            var record = try edits.applied(to: former, now: now)
            record.digest = KeySecret.digest(of: secret)
            record.keyName = KeySecret.name(of: secret)
            return record
        }
        await self.finish("regenerated", [record], call)
        return ControlReply.object(
            KeyRendering.created(record, secret: secret, spend: try await self.spend(record), warnings: edits.warnings))
    }

    private func delete(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        let members = try call.bodyMembers()
        let keys = try Self.names("keys", in: members)
        let aliases = try Self.names("key_aliases", in: members)
        guard !keys.isEmpty || !aliases.isEmpty else { throw Self.missing("keys") }
        var wanted: [(name: String, digest: KeyDigest)] = keys.map { ($0, KeySecret.digest(named: $0)) }
        for alias in aliases {
            guard let record = try await self.record(alias: alias) else { continue }
            wanted.append((record.digest.hex, record.digest))
        }
        for (_, digest) in wanted {
            guard let found = try await self.dependencies.keys.find(digest) else { continue }
            try await self.requireManaging(found.record, call)
        }
        let deleted = try await self.dependencies.keys.delete(wanted.map(\.digest))
        guard !deleted.isEmpty else { throw .keyNotFound }
        await self.finish("deleted", deleted, call)
        let digests = Set(deleted.map(\.digest))
        var seen: Set<KeyDigest> = []
        let names = wanted.filter { digests.contains($0.digest) && seen.insert($0.digest).inserted }.map(\.name)
        return ControlReply.object([JSONMember("deleted_keys", .strings(names))])
    }

    /// Changes a key that the caller may change, to one that it may have.
    private func change(
        _ key: String, _ call: ControlCall, edit: @Sendable (KeyRecord) throws(ControlRefusal) -> KeyRecord
    ) async throws(ControlRefusal) -> KeyRecord {
        let digest = KeySecret.digest(named: key)
        if call.isAdmin { return try await self.dependencies.keys.change(digest, edit: edit) }
        guard let former = try await self.dependencies.keys.find(digest)?.record else { throw .keyNotFound }
        let next = try edit(former)
        try await self.requireManaging(former, call)
        try await self.requireManaging(next, call)
        return try await self.dependencies.keys.change(digest) { standing throws(ControlRefusal) in
            // What was allowed was a change of what was seen.
            guard standing == former else { throw .tooManyMutations }
            return next
        }
    }

    private func requireManaging(_ record: KeyRecord, _ call: ControlCall) async throws(ControlRefusal) {
        try await self.authority(call).requireManaging(record, rules: self.dependencies.keys.rules(of: record))
    }

    /// A budget that is named must exist: a key without it would have no bound. Users and teams may come later, as with
    /// LiteLLM.
    private func requireOwners(_ edits: KeyEdits) async throws(ControlRefusal) {
        let fields = EntityForm.Filled(members: edits.others, warnings: [])
        try await self.requireBudget(fields)
    }

    /// What a key has spent is the sum of its calls, which nobody rewrites; a reset notes how much of it no longer
    /// counts, and the key's lifetime budget grows by as much.
    private func resetSpend(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        let field = KeyField("reset_to", .money, .applied)
        let value = try call.bodyMembers().first { $0.name == "reset_to" }?.value ?? .null
        if let problem = field.problem(with: value) { throw .invalid([problem]) }
        guard let wanted = value.money else { throw .missingField("reset_to") }
        let digest = KeySecret.digest(named: call.argument)
        guard let found = try await self.dependencies.keys.find(digest) else { throw .keyNotFound }
        guard found.record.budgetDuration == nil else {
            throw .badRequest(
                "The key's budget begins anew with each \(found.record.budgetDuration ?? ""); raise max_budget, or use "
                    + "temp_budget_increase.", param: "reset_to")
        }
        let standing = found.spend - KeyRendering.spendBaseline(JSONValue.parsed(found.record.otherFields) ?? .null)
        guard wanted <= standing else {
            throw .badRequest(
                "reset_to can be at most what the key has spent: \(standing.decimalText).", param: "reset_to")
        }
        let now = self.dependencies.clock.now()
        let record = try await self.dependencies.keys.change(digest) { former throws(ControlRefusal) in
            var edits = KeyEdits()
            let baseline = found.spend - wanted
            edits.others = [JSONMember(KeyRendering.baselineName, .integer(baseline.rawValue))]
            return try edits.applied(to: former, now: now)
        }
        await self.finish("spend reset", [record], call)
        return ControlReply.object([
            JSONMember("key_hash", .string(record.digest.hex)), JSONMember("spend", .money(wanted)),
            JSONMember("previous_spend", .money(standing)),
            JSONMember("max_budget", record.maxBudget.map(JSONValue.money) ?? .null),
            JSONMember("budget_reset_at", .null),
        ])
    }

    private func finish(_ action: String, _ records: [KeyRecord], _ call: ControlCall) async {
        for record in records {
            self.dependencies.logger.info(
                "Virtual key changed",
                metadata: [
                    LogKey.keyAction.rawValue: "\(action)", LogKey.keyID.rawValue: "\(record.keyID.text)",
                    LogKey.keyActor.rawValue: "\(Self.name(of: call.caller))",
                ])
        }
        await self.dependencies.afterMutation(records.map(\.keyID))
    }

    private func makeSecret() -> String { KeySecret.make(using: self.dependencies.randomness) }

    private func spend(_ record: KeyRecord) async throws(ControlRefusal) -> NanoUSD {
        do throws(LedgerError) { return try await self.dependencies.keys.spend(of: record.keyID) } catch {
            throw .store(error)
        }
    }

    private func info(_ record: KeyRecord) async throws(ControlRefusal) -> [JSONMember] {
        KeyRendering.info(record, spend: try await self.spend(record))
    }

    private func record(alias: String) async throws(ControlRefusal) -> KeyRecord? {
        do throws(LedgerError) {
            return try await self.dependencies.keyStore.keys(
                KeyQuery(userID: nil, teamID: nil, alias: alias, digest: nil, offset: 0, limit: 1)
            ).records.first
        } catch { throw .store(error) }
    }

    /// Who is written down as the one who made a key.
    private static func name(of caller: KeyEntry?) -> String { caller?.record.userID ?? "default_user_id" }

    private static func missing(_ field: String) -> ControlRefusal {
        .invalid([FieldProblem(location: ["body", field], message: "Field required", type: "missing")])
    }

    private static func names(_ field: String, in members: [JSONMember]) throws(ControlRefusal) -> [String] {
        guard let value = members.first(where: { $0.name == field })?.value else { return [] }
        let shape = KeyField(field, .texts(countMax: Self.deletedMax, bytesMax: 512), .applied)
        if let problem = shape.problem(with: value) { throw .invalid([problem]) }
        return (value.list ?? []).compactMap { if case .string(let name) = $0 { name } else { nil } }
    }
}
