import GatewayAdmission
import GatewayCore
import GatewayLedger

/// Makes, finds and deletes keys for those who own them.
struct KeyMaker: Sendable {
    let dependencies: ControlPlaneDependencies

    /// The record that `edits` describe, not stored yet, and its secret.
    func draft(_ edits: KeyEdits, createdBy: String) throws(ControlRefusal) -> (record: KeyRecord, secret: String) {
        let secret =
            try KeySecret.checked(edits.secret, field: "key") ?? KeySecret.make(using: self.dependencies.randomness)
        let now = self.dependencies.clock.now()
        var randomness = self.dependencies.randomness
        let record = try edits.applied(
            to: KeyRecord(
                keyID: VirtualKeyID(.timeOrdered(at: now, using: &randomness)), digest: KeySecret.digest(of: secret),
                keyName: KeySecret.name(of: secret), alias: nil, models: [], maxBudget: nil, budgetDuration: nil,
                expiresAt: nil, isBlocked: false, userID: nil, teamID: nil, metadata: "{}", otherFields: "{}",
                createdBy: createdBy, createdAt: now, updatedAt: now), now: now)
        return (record, secret)
    }

    func make(_ edits: KeyEdits, createdBy: String) async throws(ControlRefusal) -> (record: KeyRecord, secret: String)
    {
        let made = try self.draft(edits, createdBy: createdBy)
        try await self.dependencies.keys.create(made.record)
        return made
    }

    /// Newest first.
    func list(
        userID: String?, teamID: String?, limit: Int
    ) async throws(ControlRefusal) -> [(record: KeyRecord, spend: NanoUSD)] {
        do throws(LedgerError) {
            let records = try await self.dependencies.keyStore.keys(
                KeyQuery(userID: userID, teamID: teamID, alias: nil, digest: nil, offset: 0, limit: limit)
            ).records
            var found: [(record: KeyRecord, spend: NanoUSD)] = []
            for record in records {
                found.append((record, try await self.dependencies.keys.spend(of: record.keyID)))
            }
            return found
        } catch { throw .store(error) }
    }

    func count(userID: String) async throws(ControlRefusal) -> Int {
        do throws(LedgerError) {
            return try await self.dependencies.keyStore.keys(
                KeyQuery(userID: userID, teamID: nil, alias: nil, digest: nil, offset: 0, limit: 1)
            ).total
        } catch { throw .store(error) }
    }

    /// Deletes all keys of a user, of a team, or of a user in a team.
    func deleteAll(userID: String?, teamID: String?) async throws(ControlRefusal) {
        precondition(userID != nil || teamID != nil, "all keys of nobody are all keys")
        while true {
            let page = try await self.list(userID: userID, teamID: teamID, limit: 1000)
            let deleted = try await self.dependencies.keys.delete(page.map(\.record.digest))
            await self.dependencies.afterMutation(deleted.map(\.keyID))
            if page.count < 1000 || deleted.isEmpty { return }
        }
    }
}

extension KeySecret {
    /// A secret chosen by the caller must look like one, so that it can be sent in a header and told from a digest.
    static func checked(_ secret: String?, field: String) throws(ControlRefusal) -> String? {
        guard let secret else { return nil }
        let isPrintable = secret.utf8.allSatisfy { (0x21...0x7E).contains($0) }
        guard secret.hasPrefix("sk-"), KeySecret.customBytes.contains(secret.utf8.count), isPrintable else {
            throw .badRequest(
                "A key of your own must start with \"sk-\" and have 8 to 512 visible ASCII characters.", param: field)
        }
        return secret
    }
}

extension ControlRefusal {
    static func missingField(_ field: String) -> ControlRefusal {
        .invalid([FieldProblem(location: ["body", field], message: "Field required", type: "missing")])
    }

    /// For replies that report failures of parts.
    var message: String {
        switch self {
        case .gateway(let error): error.message
        case .store(let error): Self.answer(to: error).message
        case .invalid(let problems):
            problems.map { "\($0.location.joined(separator: ".")): \($0.message)" }.joined(separator: "; ")
        }
    }
}
