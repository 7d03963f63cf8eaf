import GatewayCore
import GatewayLedger
import Logging

/// A group of routes about entities, with what all of them need.
protocol EntityRoom: ControlRoom {
    var dependencies: ControlPlaneDependencies { get }
}

extension EntityRoom {
    var registry: EntityRegistry { self.dependencies.entities }
    var reading: EntityReading { EntityReading(store: self.dependencies.entities.store) }

    func authority(_ call: ControlCall) -> Authority { Authority(call, self.dependencies) }

    /// A fresh identifier for who gives none.
    func makeID() -> String {
        var randomness = self.dependencies.randomness
        return UUIDBits.random(using: &randomness).text
    }

    /// Who is written down as the one who made or changed something.
    func actor(_ call: ControlCall) -> String { call.caller?.record.userID ?? "default_user_id" }

    func newRecord(_ id: EntityID, _ call: ControlCall) -> EntityRecord {
        let now = self.dependencies.clock.now()
        return EntityRecord(
            id: id, alias: nil, email: nil, role: nil, parent: nil, member: nil, fields: "{}",
            createdBy: self.actor(call), createdAt: now, updatedAt: now, revision: 1)
    }

    /// The record with these fields merged in; null removes one.
    /// - Throws: 422 when all fields together are too long.
    func merged(_ record: EntityRecord, _ members: [JSONMember]) throws(ControlRefusal) -> EntityRecord {
        var record = record
        var stored = (JSONValue.parsed(record.fields) ?? .object([])).members ?? []
        for member in members {
            if let index = stored.firstIndex(where: { $0.name == member.name }) {
                stored[index] = member
            } else {
                stored.append(member)
            }
        }
        record.fields = JSONValue.object(stored.filter { $0.value != .null }).text
        guard record.fields.utf8.count <= 256 << 10 else {
            throw .invalid([
                FieldProblem(
                    location: ["body"], message: "All fields together should have at most 262144 bytes as JSON",
                    type: "too_long")
            ])
        }
        record.updatedAt = max(self.dependencies.clock.now(), record.createdAt)
        return record
    }

    /// Whatever else a record names must exist, so that a slip of the pen does not make an owner without bounds.
    func requireBudget(_ fields: EntityForm.Filled) async throws(ControlRefusal) {
        guard let id = fields.text("budget_id") else { return }
        guard try await self.reading.entity(EntityID(.budget, id)) != nil else {
            throw .badRequest("Budget \(id) does not exist: make it with POST /budget/new.", param: "budget_id")
        }
    }

    /// - Throws: 404 in LiteLLM's words.
    func require(_ kind: EntityKind, _ text: String, _ reading: EntityReading) async throws(ControlRefusal)
        -> EntityRecord
    {
        guard let record = try await reading.entity(EntityID(kind, text)) else { throw .entityNotFound(kind, text) }
        return record
    }

    func finish(_ action: String, _ kind: EntityKind, count: Int, _ call: ControlCall) {
        self.dependencies.logger.info(
            "Entity changed",
            metadata: [
                LogKey.entityAction.rawValue: "\(action)", LogKey.entityKind.rawValue: "\(kind.name)",
                LogKey.entityCount.rawValue: "\(count)", LogKey.keyActor.rawValue: "\(self.actor(call))",
            ])
    }

    /// What entities have spent by what the ledger has folded.
    func spend(_ kind: EntityKind, _ ids: [String]) async throws(ControlRefusal) -> [String: NanoUSD] {
        do throws(LedgerError) { return try await self.registry.store.spend(of: kind, ids: ids) } catch {
            throw .store(error)
        }
    }

    func rendered(_ records: [EntityRecord]) async throws(ControlRefusal) -> [JSONValue] {
        guard let kind = records.first?.id.kind else { return [] }
        let spend = try await self.spend(kind, records.map(\.id.text))
        return records.map { .object(EntityRendering.row($0, spend: spend[$0.id.text] ?? .zero)) }
    }

    func rendered(_ record: EntityRecord) async throws(ControlRefusal) -> [JSONMember] {
        EntityRendering.row(
            record, spend: try await self.spend(record.id.kind, [record.id.text])[record.id.text] ?? .zero)
    }
}

extension ControlRefusal {
    static func entityNotFound(_ kind: EntityKind, _ text: String) -> ControlRefusal {
        let (name, field): (String, String) =
            switch kind {
            case .user: ("User", "user_id")
            case .team: ("Team", "team_id")
            case .teamMember: ("Team member", "user_id")
            case .organization: ("Organization", "organization_id")
            case .organizationMember: ("Organization member", "user_id")
            case .customer: ("End User", "end_user_id")
            case .tag: ("Tag", "name")
            case .budget: ("Budget", "budget_id")
            case .accessGroup: ("Access group", "access_group")
            }
        return .gateway(
            GatewayError(
                status: 404, type: "not_found_error", param: field, origin: .caller,
                message: "\(name) not found, passed \(field)=\(String(text.prefix(512)))"))
    }

    static func exists(_ what: String, param: String) -> ControlRefusal {
        .badRequest("\(what) already exists.", param: param)
    }
}
