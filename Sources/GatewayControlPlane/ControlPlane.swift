import GatewayAdmission
import GatewayCore
import GatewayLedger
import Logging

/// The management API, health and metrics: every path that is not a call to a model. A table of routes with the role
/// each asks for; the rooms (`KeyRoutes`, `SpendRoutes`, `ModelRoutes`, `HealthRoutes`, `MetricsRoute`) hold the
/// handlers.
package struct ControlPlane: ControlHandler {
    private let dependencies: ControlPlaneDependencies
    private let router: ControlRouter
    private let authenticator: ControlAuthenticator

    package init(dependencies: ControlPlaneDependencies) {
        self.dependencies = dependencies
        self.authenticator = ControlAuthenticator(directory: dependencies.keys.directory)
        let rooms: [any ControlRoom] = [
            KeyRoutes(dependencies: dependencies), KeyListRoutes(dependencies: dependencies),
            SpendRoutes(dependencies: dependencies), ModelRoutes(dependencies: dependencies),
            HealthRoutes(dependencies: dependencies), MetricsRoute(dependencies: dependencies),
            ModelInfoRoutes(dependencies: dependencies), ModelAdminRoutes(dependencies: dependencies),
            CredentialRoutes(dependencies: dependencies), FleetRoutes(dependencies: dependencies),
            KeyBulkRoutes(dependencies: dependencies), UserRoutes(dependencies: dependencies),
            UserListRoutes(dependencies: dependencies), TeamRoutes(dependencies: dependencies),
            TeamListRoutes(dependencies: dependencies), TeamMemberRoutes(dependencies: dependencies),
            OrganizationRoutes(dependencies: dependencies), OrganizationMemberRoutes(dependencies: dependencies),
            CustomerRoutes(dependencies: dependencies), TagRoutes(dependencies: dependencies),
            BudgetRoutes(dependencies: dependencies), AccessGroupRoutes(dependencies: dependencies),
            AdmissionRoutes(dependencies: dependencies), ProviderBudgetRoutes(dependencies: dependencies),
        ]
        self.router = ControlRouter(rooms + [RouteListing(routes: rooms.flatMap(\.routes))])
    }

    /// Every route with the roles that may call it (`nil`: anybody), for tests and listings.
    package var accessTable: [(route: String, roles: UInt8?)] {
        self.router.routes.map { ("\($0.method) \($0.path)", $0.access.roles?.rawValue) }
    }

    package func respond(to request: ControlRequest) async -> ControlResponse {
        var response = await self.answer(request)
        // The length of a HEAD answer's body is of no use to anybody; sending the body itself would break framing.
        if request.method == "HEAD" { response.body = [] }
        return response
    }

    private func answer(_ request: ControlRequest) async -> ControlResponse {
        guard let path = percentDecoded(request.path, plusIsSpace: false) else {
            return ControlReply.refusal(.badRequest("The path is not percent-encoded UTF-8."))
        }
        switch self.router.match(method: request.method, path: path) {
        case .none: return ControlReply.detail("Not Found", status: 404)
        case .wrongMethod(let allowed):
            var response = ControlReply.detail("Method Not Allowed", status: 405)
            response.headers.append(("allow", allowed.joined(separator: ", ")))
            return response
        case .route(let route, let argument):
            do throws(ControlRefusal) {
                let caller = try await self.admit(request, to: route, path: path)
                let call = ControlCall(
                    request: request, query: try QueryItems(request.query), caller: caller?.entry, argument: argument,
                    roles: caller?.roles ?? [])
                guard route.isMutation else { return try await route.handler(call) }
                let wait = try MutationWait(call)
                return await wait.finish(try await route.handler(call), fleet: self.dependencies.fleet)
            } catch {
                self.log(error, route: route)
                return ControlReply.refusal(error)
            }
        }
    }

    /// Who calls, if that one may call this route at all.
    private func admit(
        _ request: ControlRequest, to route: ControlRoute, path: String
    ) async throws(ControlRefusal) -> (entry: KeyEntry, roles: RoleSet)? {
        guard let allowed = route.access.roles else { return nil }
        try await self.dependencies.resolve(request.credential)
        let entry = try self.authenticator.authenticate(request.credential, now: self.dependencies.clock.now())
        if !entry.isMaster, let refusal = self.dependencies.path(of: entry).refusal { throw .gateway(refusal) }
        guard entry.rules.routes.allows(path, family: route.family) else {
            throw .gateway(entry.rules.routes.refusal(of: path))
        }
        let roles = RoleSet(of: entry, entities: self.dependencies.keys.directory.entities)
        if !roles.isDisjoint(with: allowed) { return (entry, roles) }
        if let userID = entry.record.userID, !allowed.isDisjoint(with: [.teamAdmin, .organizationAdmin]) {
            let reading = EntityReading(store: self.dependencies.entities.store)
            let more = try await Authority.memberRoles(of: userID, reading)
            if !more.isDisjoint(with: allowed) { return (entry, roles.union(more)) }
        }
        throw .forbidden(
            "Only proxy admin can be used to generate, delete, update info for new keys/users/teams. "
                + "Route=\(route.path). Your role=\(roles.name). Your user_id=\(entry.record.userID ?? "None")")
    }

    /// Store failures only: they are an operator's business. Refusals of callers are not.
    private func log(_ refusal: ControlRefusal, route: ControlRoute) {
        guard case .store(let error) = refusal else { return }
        switch error {
        case .conflict, .notFound: return
        case .unavailable, .journalFull, .locked, .corrupt:
            self.dependencies.logger.error(
                "Control request failed at the store",
                metadata: [
                    LogKey.route.rawValue: "\(route.method) \(route.path)",
                    LogKey.errorMessage.rawValue: "\(error.message)",
                ])
        }
    }
}
