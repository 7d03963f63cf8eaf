import GatewayAdmission
import GatewayCore
import GatewayLedger
import Logging

/// Changes of virtual keys. Each is in the store and in force on this pod when the answer goes out.
struct KeyRoutes: ControlRoom {
    /// Keys in one `/key/delete`.
    private static let deletedMax = 1000
    let dependencies: ControlPlaneDependencies

    var routes: [ControlRoute] {
        [
            ControlRoute("POST", "/key/generate", .admin, self.generate),
            ControlRoute("POST", "/key/update", .admin, self.update),
            ControlRoute("POST", "/key/delete", .admin, self.delete),
            ControlRoute("POST", "/key/block", .admin, self.block),
            ControlRoute("POST", "/key/unblock", .admin, self.unblock),
            ControlRoute("POST", "/key/regenerate", .admin, self.regenerate),
            ControlRoute("POST", prefix: "/key/", argumentName: "key", suffix: "/regenerate", .admin, self.regenerate),
        ]
    }

    private func generate(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        let edits = try KeyEdits.decode(try call.bodyMembers())
        let secret = try Self.checkedSecret(edits.secret, field: "key") ?? self.makeSecret()
        let now = self.dependencies.clock.now()
        var randomness = self.dependencies.randomness
        let record = try edits.applied(
            to: KeyRecord(
                keyID: VirtualKeyID(.timeOrdered(at: now, using: &randomness)), digest: KeySecret.digest(of: secret),
                keyName: KeySecret.name(of: secret), alias: nil, models: [], maxBudget: nil, budgetDuration: nil,
                expiresAt: nil, isBlocked: false, userID: nil, teamID: nil, metadata: "{}", otherFields: "{}",
                createdBy: Self.name(of: call.caller), createdAt: now, updatedAt: now), now: now)
        try await self.dependencies.keys.create(record)
        await self.finish("created", [record], call)
        return ControlReply.object(KeyRendering.created(record, secret: secret, spend: .zero, warnings: edits.warnings))
    }

    private func update(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        let edits = try KeyEdits.decode(try call.bodyMembers())
        guard let key = edits.secret else { throw Self.missing("key") }
        guard edits.newSecret == nil else { throw .badRequest("new_key belongs to /key/regenerate.", param: "new_key") }
        let now = self.dependencies.clock.now()
        let record = try await self.dependencies.keys.change(KeySecret.digest(named: key)) {
            former throws(ControlRefusal) in try edits.applied(to: former, now: now)
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
        let record = try await self.dependencies.keys.change(KeySecret.digest(named: key)) {
            former throws(ControlRefusal) in
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
        let secret = try Self.checkedSecret(edits.newSecret, field: "new_key") ?? self.makeSecret()
        let now = self.dependencies.clock.now()
        let record = try await self.dependencies.keys.change(KeySecret.digest(named: key)) {
            former throws(ControlRefusal) in
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
        let deleted = try await self.dependencies.keys.delete(wanted.map(\.digest))
        guard !deleted.isEmpty else { throw .keyNotFound }
        await self.finish("deleted", deleted, call)
        let digests = Set(deleted.map(\.digest))
        var seen: Set<KeyDigest> = []
        let names = wanted.filter { digests.contains($0.digest) && seen.insert($0.digest).inserted }.map(\.name)
        return ControlReply.object([JSONMember("deleted_keys", .strings(names))])
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

    /// A secret chosen by the caller must look like one, so that it can be sent in a header and told from a digest.
    private static func checkedSecret(_ secret: String?, field: String) throws(ControlRefusal) -> String? {
        guard let secret else { return nil }
        let isPrintable = secret.utf8.allSatisfy { (0x21...0x7E).contains($0) }
        guard secret.hasPrefix("sk-"), KeySecret.customBytes.contains(secret.utf8.count), isPrintable else {
            throw .badRequest(
                "A key of your own must start with \"sk-\" and have 8 to 512 visible ASCII characters.", param: field)
        }
        return secret
    }
}
