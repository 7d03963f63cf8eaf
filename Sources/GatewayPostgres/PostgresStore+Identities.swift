import GatewayCore
import GatewayLedger

/// Payers and routes get their row numbers before the append that names them, in statements of their own, so that the
/// append holds no lock that another pod's could wait for. Rows of both tables are never changed nor deleted.
extension PostgresStore {
    private static let payersByContent = PostgresStatement(
        "payer_find", isRead: true,
        """
        SELECT c.place, p.payer_id FROM unnest($1::bytea[]) WITH ORDINALITY AS c(bytes, place)
        JOIN {s}.payer p ON p.content = sha256(c.bytes)
        """)
    /// In the order of the unique key, so that two pods that meet wait for each other one way only.
    private static let payersInserted = PostgresStatement(
        "payer_add",
        """
        INSERT INTO {s}.payer (content, key_id, digest, user_id, team_id)
        SELECT sha256(bytes), key_id, digest, user_id, team_id
        FROM unnest($1::bytea[], $2::uuid[], $3::bytea[], $4::text[], $5::text[])
            AS t(bytes, key_id, digest, user_id, team_id)
        ORDER BY 1 ON CONFLICT (content) DO NOTHING
        """)
    private static let routesByContent = PostgresStatement(
        "route_find", isRead: true,
        """
        SELECT c.place, r.route_id FROM unnest($1::bytea[]) WITH ORDINALITY AS c(bytes, place)
        JOIN {s}.route r ON r.content = sha256(c.bytes)
        """)
    private static let routesInserted = PostgresStatement(
        "route_add",
        """
        INSERT INTO {s}.route (content, model_group, model, provider, deployment_id, price_version)
        SELECT sha256(bytes), model_group, model, provider, deployment_id, price_version
        FROM unnest($1::bytea[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[])
            AS t(bytes, model_group, model, provider, deployment_id, price_version)
        ORDER BY 1 ON CONFLICT (content) DO NOTHING
        """)

    /// The row numbers of each event's payer and route, and the connection's number that they are good for.
    func numbers(of events: [UsageEvent]) async throws(PostgresError) -> (
        payers: [Int32], routes: [Int32], generation: Int
    ) {
        let generation = try await self.writer.openGeneration()
        var known = self.identities.numbers(generation: generation)
        var newPayers: [ObjectIdentifier: PayerIdentity] = [:]
        var newRoutes: [ObjectIdentifier: RouteIdentity] = [:]
        for event in events {
            let (payer, route) = (ObjectIdentifier(event.payer), ObjectIdentifier(event.route))
            if known.payers[payer] == nil { newPayers[payer] = event.payer }
            if known.routes[route] == nil { newRoutes[route] = event.route }
        }
        if !newPayers.isEmpty {
            let found = try await self.payerNumbers(Array(newPayers.values))
            for (object, id) in found { known.payers[ObjectIdentifier(object)] = (object, id) }
            self.identities.add(payers: found, generation: generation)
        }
        if !newRoutes.isEmpty {
            let found = try await self.routeNumbers(Array(newRoutes.values))
            for (object, id) in found { known.routes[ObjectIdentifier(object)] = (object, id) }
            self.identities.add(routes: found, generation: generation)
        }
        var (payers, routes): ([Int32], [Int32]) = ([], [])
        payers.reserveCapacity(events.count)
        routes.reserveCapacity(events.count)
        for event in events {
            payers.append(known.payers[ObjectIdentifier(event.payer)]?.id ?? 0)
            routes.append(known.routes[ObjectIdentifier(event.route)]?.id ?? 0)
        }
        return (payers, routes, generation)
    }

    private func payerNumbers(_ payers: [PayerIdentity]) async throws(PostgresError) -> [(PayerIdentity, Int32)] {
        let contents = payers.map(\.content)
        let ids = try await self.ids(of: contents, Self.payersByContent) { missing in
            let missing = missing.map { payers[$0] }
            var parameters = PostgresParameters()
            parameters.bytesArray(missing) { $0.content }
            parameters.uuidArray(missing) { $0.keyID.bits }
            parameters.bytesArray(missing) { $0.digest.bytes }
            parameters.textArray(missing) { $0.userID }
            parameters.textArray(missing) { $0.teamID }
            return (Self.payersInserted, parameters)
        }
        return zip(payers, ids).map { ($0, $1) }
    }

    private func routeNumbers(_ routes: [RouteIdentity]) async throws(PostgresError) -> [(RouteIdentity, Int32)] {
        let contents = routes.map(\.content)
        let ids = try await self.ids(of: contents, Self.routesByContent) { missing in
            let missing = missing.map { routes[$0] }
            var parameters = PostgresParameters()
            parameters.bytesArray(missing) { $0.content }
            parameters.textArray(missing) { $0.modelGroup }
            parameters.textArray(missing) { $0.model }
            parameters.textArray(missing) { $0.provider }
            parameters.textArray(missing) { $0.deploymentID }
            parameters.textArray(missing) { $0.priceVersion }
            return (Self.routesInserted, parameters)
        }
        return zip(routes, ids).map { ($0, $1) }
    }

    /// Looks up, adds what is missing, looks up again: a row that another pod added meanwhile is found the second time.
    private func ids(
        of contents: [[UInt8]], _ find: PostgresStatement,
        insertion: ([Int]) -> (PostgresStatement, PostgresParameters)
    ) async throws(PostgresError) -> [Int32] {
        var ids = try await self.find(contents, find)
        let missing = contents.indices.filter { ids[$0] == nil }
        if !missing.isEmpty {
            let (statement, parameters) = insertion(missing)
            _ = try await self.repeated(statement, parameters, on: self.writer)
            ids = try await self.find(contents, find)
        }
        let known = ids.compactMap { $0 }
        guard known.count == contents.count else {
            throw PostgresError(.other, "PostgreSQL has no row for a payer or route that was just added.")
        }
        return known
    }

    private func find(_ contents: [[UInt8]], _ statement: PostgresStatement) async throws(PostgresError) -> [Int32?] {
        var parameters = PostgresParameters()
        parameters.bytesArray(contents) { $0 }
        let rows = try await self.writer.run(statement, parameters)
        var ids = [Int32?](repeating: nil, count: contents.count)
        for row in 0..<rows.count {
            ids[Int(rows.integer(row, 0)) - 1] = Int32(truncatingIfNeeded: rows.integer(row, 1))
        }
        return ids
    }
}
