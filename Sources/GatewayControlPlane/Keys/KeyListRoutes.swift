import GatewayAdmission
import GatewayCore
import GatewayLedger

/// What is known of virtual keys.
struct KeyListRoutes: EntityRoom {
    private static let sizeMax = 1000
    private static let namedMax = 1000
    /// Filters that would silently return too much if they were ignored.
    private static let unsupportedFilters = [
        "organization_id", "project_id", "access_group_id", "agent_id", "search", "status", "expires",
    ]
    let dependencies: ControlPlaneDependencies

    var routes: [ControlRoute] {
        [
            ControlRoute("GET", "/key/info", .anyKey, self.info),
            ControlRoute("POST", "/v2/key/info", .reader, self.infos),
            ControlRoute("GET", "/key/list", .reader, self.list),
        ]
    }

    private func info(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        guard let caller = call.caller else { throw .keyNotFound }
        let named = call.query["key"]
        let digest = named.map { KeySecret.digest(named: $0) } ?? caller.record.digest
        let isOwn = digest == caller.record.digest
        guard let found = try await self.dependencies.keys.find(digest) else {
            // Who may not see a key learns nothing of whether it exists.
            guard call.seesAll || isOwn else { throw Self.notOwn }
            throw .keyNotFound
        }
        if !isOwn, try await !self.authority(call).sees(found.record) { throw Self.notOwn }
        return ControlReply.object([
            JSONMember("key", .string(named ?? digest.hex)),
            JSONMember("info", .object(KeyRendering.info(found.record, spend: found.spend))),
        ])
    }

    private static let notOwn = ControlRefusal.forbidden(
        "A virtual key may only ask for its own /key/info.", param: "key")

    private func infos(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        let field = KeyField("keys", .texts(countMax: Self.namedMax, bytesMax: 512), .applied)
        guard let value = try call.bodyMembers().first(where: { $0.name == "keys" })?.value else {
            throw .invalid([field.problem("Field required", "missing")])
        }
        if let problem = field.problem(with: value) { throw .invalid([problem]) }
        var infos: [JSONValue] = []
        for case .string(let name) in value.list ?? [] {
            guard let found = try await self.dependencies.keys.find(KeySecret.digest(named: name)),
                try await self.authority(call).sees(found.record)
            else { continue }
            infos.append(.object(KeyRendering.info(found.record, spend: found.spend)))
        }
        return ControlReply.object([JSONMember("key", value), JSONMember("info", .array(infos))])
    }

    private func list(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        for name in Self.unsupportedFilters where call.query[name] != nil {
            throw .badRequest("/key/list cannot filter by \(name) in this version.", param: name)
        }
        guard try !call.query.flag("substring_matching", standard: false) else {
            throw .badRequest("/key/list matches whole values only.", param: "substring_matching")
        }
        let page = try call.query.integer("page", in: 1...1_000_000, standard: 1)
        let size = try call.query.integer("size", in: 1...Self.sizeMax, standard: 10)
        let isFull = try call.query.flag("return_full_object", standard: false)
        var query = KeyQuery(
            userID: call.query["user_id"], teamID: call.query["team_id"], alias: call.query["key_alias"],
            digest: call.query["key_hash"].map { KeySecret.digest(named: $0) }, offset: (page - 1) * size, limit: size)
        try await self.restrict(&query, call)
        do throws(LedgerError) {
            let found = try await self.dependencies.keyStore.keys(query)
            var keys: [JSONValue] = []
            for record in found.records {
                if isFull {
                    let spend = try await self.dependencies.keys.spend(of: record.keyID)
                    keys.append(.object(KeyRendering.info(record, spend: spend)))
                } else {
                    keys.append(.string(record.digest.hex))
                }
            }
            return ControlReply.object([
                JSONMember("keys", .array(keys)), JSONMember("total_count", .integer(found.total)),
                JSONMember("current_page", .integer(page)),
                JSONMember("total_pages", .integer((found.total + size - 1) / size)),
            ])
        } catch { throw .store(error) }
    }

    /// Who does not see everything sees the keys of a team that it manages, else its own.
    private func restrict(_ query: inout KeyQuery, _ call: ControlCall) async throws(ControlRefusal) {
        if call.seesAll { return }
        let authority = self.authority(call)
        if let id = query.teamID, let team = try await self.reading.entity(EntityID(.team, id)),
            try await authority.manages(team)
        {
            return
        }
        guard let own = authority.userID, query.userID == nil || query.userID == own else {
            throw authority.refusal("keys of others", "you may list your own and those of teams that you manage")
        }
        query.userID = own
    }
}
