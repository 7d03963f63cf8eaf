import GRDB
import GatewayCore
import GatewayLedger

extension SQLiteStore {
    /// Reads the blocks that can hold matching rows, in order, until `limit` rows are found. With a narrow time range
    /// or a request identifier that is a few blocks; with a key or a user alone it may be the whole table.
    package func usage(_ query: UsageQuery) async throws(LedgerError) -> [UsageRow] {
        if query.limit <= 0 { return [] }
        let search = UsageSearch(query)
        return try await self.read { database in
            var identities = IdentityReader(database: database, path: self.path)
            return try SQLStatement.all(database, search.text, search.values) { row in
                try Self.usageRow(row, identities: &identities)
            }
        }
    }

    private static func usageRow(_ row: SQLStatement, identities: inout IdentityReader) throws -> UsageRow {
        let place = Place(id: row.integer(0))
        let bits = UsageBits(rawValue: row.integer(8))
        guard let kind = bits.kind, let outcome = bits.outcome, let serviceTier = bits.serviceTier else {
            throw LedgerError.corrupt(
                "Row \(place.sequence) of stream \(place.streamID) in \(identities.path) has codes that this program "
                    + "does not know (bits \(bits.rawValue)).")
        }
        var usage = TokenUsage(input: row.integer(9), output: row.integer(11))
        usage.cachedInput = row.integer(10)
        usage.reasoningOutput = row.integer(12)
        usage.cacheWriteInput = row.integer(15)
        usage.cacheWriteLongInput = row.integer(16)
        usage.audioInput = row.integer(17)
        usage.imageInput = row.integer(18)
        usage.audioOutput = row.integer(19)
        usage.imageOutput = row.integer(20)
        let requestID = UUIDBits(
            high: UInt64(bitPattern: row.integer(1)), low: UInt64(bitPattern: row.integer(2)))
        let event = UsageEvent(
            requestID: RequestID(requestID), attempt: bits.attempt,
            payer: try identities.payer(row.integer(4), of: place),
            route: try identities.route(row.integer(5), of: place),
            kind: kind, isStream: bits.isStream, startedAt: UnixMicroseconds(rawValue: row.integer(3)),
            durationMicroseconds: row.integer(6), firstByteMicroseconds: row.integer(7), usage: usage,
            serviceTier: serviceTier, cost: NanoUSD(rawValue: row.integer(13)), status: bits.status,
            outcome: outcome, flags: bits.flags, endUser: row.optionalText(14))
        return UsageRow(streamID: place.streamID, sequence: place.sequence, event: event)
    }
}

/// A query as SQL text and its parameters. All text is ours; what the caller gave is bound.
private struct UsageSearch: Sendable {
    let text: String
    let values: [SQLValue]

    init(_ query: UsageQuery) {
        var builder = Builder()
        if let digest = query.digest {
            builder.add("u.payer_id IN (SELECT id FROM payer WHERE digest = ?)", .blob(digest.bytes))
        }
        if let userID = query.userID {
            builder.add("u.payer_id IN (SELECT id FROM payer WHERE user_id = ?)", .text(userID))
        }
        if let requestID = query.requestID {
            let high = SQLValue.integer(Int64(bitPattern: requestID.bits.high))
            builder.add("b.request_min <= ?", high)
            builder.add("b.request_max >= ?", high)
            builder.add("u.request_high = ?", high)
            builder.add("u.request_low = ?", .integer(Int64(bitPattern: requestID.bits.low)))
        }
        if let from = query.startedFrom {
            builder.add("b.started_max >= ?", .integer(from.rawValue))
            builder.add("u.started_at >= ?", .integer(from.rawValue))
        }
        if let before = query.startedBefore {
            builder.add("b.started_min < ?", .integer(before.rawValue))
            builder.add("u.started_at < ?", .integer(before.rawValue))
        }
        if let after = query.after {
            let place = Place(streamID: after.streamID, sequence: after.sequence)
            let (block, row) = query.newestFirst ? ("b.block <= ?", "u.id < ?") : ("b.block >= ?", "u.id > ?")
            builder.add(block, .integer(place.block))
            builder.add(row, .integer(place.id))
        }
        let direction = query.newestFirst ? "DESC" : "ASC"
        let conditions = builder.conditions.isEmpty ? "" : "WHERE " + builder.conditions.joined(separator: " AND ")
        // CROSS JOIN fixes the order of the loops: blocks outside, the rows of each inside, both in key order, so
        // nothing is sorted and reading ends at the limit.
        self.text = """
            SELECT u.id, u.request_high, u.request_low, u.started_at, u.payer_id, u.route_id, u.duration,
                u.first_byte, u.bits, u.input, u.cached_input, u.output, u.reasoning_output, u.cost, u.end_user,
                d.cache_write_input, d.cache_write_long_input, d.audio_input, d.image_input, d.audio_output,
                d.image_output
            FROM usage_block b
            CROSS JOIN usage u ON u.id BETWEEN b.block << 12 AND (b.block << 12) + 4095
            LEFT JOIN usage_detail d ON d.id = u.id
            \(conditions)
            ORDER BY b.block \(direction), u.id \(direction) LIMIT ?
            """
        self.values = builder.values + [.integer(Int64(query.limit))]
    }

    private struct Builder {
        var conditions: [String] = []
        var values: [SQLValue] = []

        mutating func add(_ condition: String, _ value: SQLValue) {
            self.conditions.append(condition)
            self.values.append(value)
        }
    }
}

/// Payers and routes by row number, each read once per query, so that rows share the objects.
private struct IdentityReader {
    let database: Database
    let path: String
    private var payers: [Int64: PayerIdentity] = [:]
    private var routes: [Int64: RouteIdentity] = [:]

    init(database: Database, path: String) {
        self.database = database
        self.path = path
    }

    mutating func payer(_ id: Int64, of place: Place) throws -> PayerIdentity {
        if let known = self.payers[id] { return known }
        let payer = try SQLStatement.first(
            self.database, "SELECT key_id, digest, user_id, team_id FROM payer WHERE id = ?1", .integer(id)
        ) { row -> PayerIdentity? in
            guard let key = UUIDBits(bytes: row.bytes(0)), let digest = KeyDigest(bytes: row.bytes(1)) else {
                return nil
            }
            return PayerIdentity(
                keyID: VirtualKeyID(key), digest: digest, userID: row.optionalText(2), teamID: row.optionalText(3))
        }
        guard let payer = payer ?? nil else { throw self.missing("payer", id, of: place) }
        self.payers[id] = payer
        return payer
    }

    mutating func route(_ id: Int64, of place: Place) throws -> RouteIdentity {
        if let known = self.routes[id] { return known }
        let route = try SQLStatement.first(
            self.database,
            "SELECT model_group, model, provider, deployment_id, price_version FROM route WHERE id = ?1", .integer(id)
        ) { row in
            RouteIdentity(
                modelGroup: row.text(0), model: row.text(1), provider: row.text(2), deploymentID: row.text(3),
                priceVersion: row.text(4))
        }
        guard let route else { throw self.missing("route", id, of: place) }
        self.routes[id] = route
        return route
    }

    private func missing(_ what: String, _ id: Int64, of place: Place) -> LedgerError {
        .corrupt(
            "Row \(place.sequence) of stream \(place.streamID) in \(self.path) names \(what) \(id), which is missing: "
                + "restore the file.")
    }
}
