import GatewayAdmission
import GatewayCore
import GatewayLedger

/// Keys of machines, and changes of many keys at once.
struct KeyBulkRoutes: EntityRoom {
    /// Keys in one bulk update.
    private static let bulkMax = 500
    let dependencies: ControlPlaneDependencies

    var routes: [ControlRoute] {
        [
            ControlRoute("POST", "/key/service-account/generate", .manager, self.generateForService),
            ControlRoute("POST", "/key/bulk_update", .admin, self.bulkUpdate),
            ControlRoute("GET", "/key/aliases", .adminView, self.aliases),
        ]
    }

    /// A key that belongs to a team and to no user, so that it lives on when people leave.
    private func generateForService(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        var edits = try KeyEdits.decode(try call.bodyMembers())
        guard case .some(.some(let team)) = edits.teamID else { throw .missingField("team_id") }
        _ = try await self.require(.team, team, self.reading)
        if case .some(.some) = edits.userID {
            throw .badRequest("A service account's key belongs to no user: leave user_id out.", param: "user_id")
        }
        edits.userID = .some(nil)
        let maker = KeyMaker(dependencies: self.dependencies)
        let made = try maker.draft(edits, createdBy: self.actor(call))
        try await self.authority(call).requireManaging(
            made.record, rules: self.dependencies.keys.rules(of: made.record))
        try await self.dependencies.keys.create(made.record)
        await self.dependencies.afterMutation([made.record.keyID])
        return ControlReply.object(
            KeyRendering.created(made.record, secret: made.secret, spend: .zero, warnings: edits.warnings))
    }

    private func bulkUpdate(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        let list = try call.bodyMembers().first { $0.name == "keys" }?.value.list ?? []
        guard (1...Self.bulkMax).contains(list.count) else {
            throw .badRequest("keys should hold 1 to \(Self.bulkMax) keys.", param: "keys")
        }
        var (successes, failures): ([JSONValue], [JSONValue]) = ([], [])
        var changed: [VirtualKeyID] = []
        for value in list {
            let name = value["key"]?.nonEmptyText ?? ""
            do throws(ControlRefusal) {
                let edits = try KeyEdits.decode(value.members ?? [])
                guard !name.isEmpty else { throw .missingField("key") }
                let now = self.dependencies.clock.now()
                let record = try await self.dependencies.keys.change(KeySecret.digest(named: name)) {
                    former throws(ControlRefusal) in try edits.applied(to: former, now: now)
                }
                changed.append(record.keyID)
                successes.append(
                    .object([
                        JSONMember("key", .string(record.digest.hex)),
                        JSONMember("key_info", .object(KeyRendering.info(record, spend: .zero))),
                    ]))
            } catch {
                failures.append(
                    .object([
                        JSONMember("key", .string(KeySecret.digest(named: name).hex)),
                        JSONMember("failed_reason", .string(error.message)),
                    ]))
            }
        }
        await self.dependencies.afterMutation(changed)
        return ControlReply.object([
            JSONMember("total_requested", .integer(list.count)),
            JSONMember("successful_updates", .array(successes)), JSONMember("failed_updates", .array(failures)),
        ])
    }

    private func aliases(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        let page = try call.query.integer("page", in: 1...1_000_000, standard: 1)
        let size = try call.query.integer("size", in: 1...1000, standard: 1000)
        do throws(LedgerError) {
            let found = try await self.dependencies.keyStore.keys(
                KeyQuery(userID: nil, teamID: nil, alias: nil, digest: nil, offset: (page - 1) * size, limit: size))
            return ControlReply.object([
                JSONMember("aliases", .strings(found.records.compactMap(\.alias))),
                JSONMember("current_page", .integer(page)), JSONMember("size", .integer(size)),
                JSONMember("total_count", .integer(found.total)),
                JSONMember("total_pages", .integer((found.total + size - 1) / size)),
            ])
        } catch { throw .store(error) }
    }
}
