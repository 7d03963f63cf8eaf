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
        "payer_add", hasColumns: false,
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
        "route_add", hasColumns: false,
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
        let payers = try await self.ids(
            of: events.map(\.payer), in: self.payerIDs, generation: generation, lookUp: self.payerNumbers)
        let routes = try await self.ids(
            of: events.map(\.route), in: self.routeIDs, generation: generation, lookUp: self.routeNumbers)
        return (payers, routes, generation)
    }

    /// The row number of each object, from the database where the cache has none.
    private func ids<Identity>(
        of objects: [Identity], in cache: IdentityCache<Identity>, generation: Int,
        lookUp: ([Identity]) async throws(PostgresError) -> [Int32]
    ) async throws(PostgresError) -> [Int32] {
        let known = cache.ids(of: objects, generation: generation)
        var unknown: [ObjectIdentifier: Identity] = [:]
        for (object, id) in zip(objects, known) where id == nil { unknown[ObjectIdentifier(object)] = object }
        if unknown.isEmpty { return known.compactMap { $0 } }
        let asked = Array(unknown.values)
        let found = try await lookUp(asked)
        cache.add(asked, ids: found, generation: generation)
        let new = Dictionary(uniqueKeysWithValues: zip(asked.map(ObjectIdentifier.init), found))
        return zip(objects, known).map { object, id in id ?? new[ObjectIdentifier(object)] ?? 0 }
    }

    private func payerNumbers(_ payers: [PayerIdentity]) async throws(PostgresError) -> [Int32] {
        let contents = payers.map(\.content)
        return try await self.ids(of: contents, Self.payersByContent) { missing in
            let missing = missing.map { payers[$0] }
            var parameters = PostgresParameters()
            parameters.bytesArray(missing) { $0.content }
            parameters.uuidArray(missing) { $0.keyID.bits }
            parameters.bytesArray(missing) { $0.digest.bytes }
            parameters.textArray(missing) { $0.userID }
            parameters.textArray(missing) { $0.teamID }
            return (Self.payersInserted, parameters)
        }
    }

    private func routeNumbers(_ routes: [RouteIdentity]) async throws(PostgresError) -> [Int32] {
        let contents = routes.map(\.content)
        return try await self.ids(of: contents, Self.routesByContent) { missing in
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
