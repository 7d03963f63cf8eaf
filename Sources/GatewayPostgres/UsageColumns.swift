import GatewayCore
import GatewayLedger

/// How events become arrays, one for each column of `usage_batch`, and rows become events.
enum UsageColumns {
    /// The token kinds that are nearly always 0, with their columns. For a kind that no event has NULL stands in the
    /// array's place, and NULL means 0: it costs nothing, neither here nor there.
    private static let rareTokens: [@Sendable (TokenUsage) -> Int64] = [
        { $0.cachedInput }, { $0.reasoningOutput }, { $0.cacheWriteInput }, { $0.cacheWriteLongInput },
        { $0.audioInput }, { $0.imageInput }, { $0.audioOutput }, { $0.imageOutput },
    ]

    /// In the order of the arrays below.
    static let names = [
        "request_id", "started_at", "payer_id", "route_id", "duration", "first_byte", "bits", "input", "output", "cost",
        "cached_input", "reasoning_output", "cache_write_input", "cache_write_long_input", "audio_input", "image_input",
        "audio_output", "image_output", "end_user",
    ]
    static let types = [
        "uuid", "bigint", "int", "int", "bigint", "bigint", "bigint", "bigint", "bigint", "bigint", "bigint", "bigint",
        "bigint", "bigint", "bigint", "bigint", "bigint", "bigint", "text",
    ]

    /// - Parameters:
    ///   - payers: the row number of each event's payer.
    ///   - routes: the row number of each event's route.
    static func append(
        _ events: [UsageEvent], payers: [Int32], routes: [Int32], to parameters: inout PostgresParameters
    ) {
        parameters.uuidArray(events) { $0.requestID.bits }
        parameters.int8Array(events) { $0.startedAt.rawValue }
        parameters.int4Array(payers) { $0 }
        parameters.int4Array(routes) { $0 }
        parameters.int8Array(events) { $0.durationMicroseconds }
        parameters.int8Array(events) { $0.firstByteMicroseconds }
        parameters.int8Array(events) { UsageBits($0).rawValue }
        parameters.int8Array(events) { $0.usage.input }
        parameters.int8Array(events) { $0.usage.output }
        parameters.int8Array(events) { $0.cost.rawValue }
        for tokens in Self.rareTokens {
            if events.indices.contains(where: { tokens(events[$0].usage) != 0 }) {
                parameters.int8Array(events) { tokens($0.usage) }
            } else {
                parameters.null(PostgresType.int8Array)
            }
        }
        if events.indices.contains(where: { events[$0].endUser != nil }) {
            parameters.textArray(events) { $0.endUser }
        } else {
            parameters.null(PostgresType.textArray)
        }
    }

    /// Rows of a batch at most; an append with more makes several. A reader takes whole batches apart, also for a page of
    /// a few rows.
    static let batchRowsMax = 1000

    /// What a batch's own columns say of its rows, by which whole batches are left out.
    static let bounds = ["started_from", "started_to", "request_from", "request_to"]

    /// A batch's `bounds`.
    struct Bounds {
        var started: (from: Int64, to: Int64)
        var request: (from: UUIDBits, to: UUIDBits)

        /// One for each batch that these events make.
        static func all(_ events: [UsageEvent]) -> [Bounds] {
            stride(from: 0, to: events.count, by: batchRowsMax).map { first in
                Bounds(events[first..<min(first + batchRowsMax, events.count)])
            }
        }

        /// - Parameter events: one at least.
        private init(_ events: ArraySlice<UsageEvent>) {
            let first = events[events.startIndex]
            self.started = (first.startedAt.rawValue, first.startedAt.rawValue)
            self.request = (first.requestID.bits, first.requestID.bits)
            for event in events.dropFirst() {
                self.started.from = min(self.started.from, event.startedAt.rawValue)
                self.started.to = max(self.started.to, event.startedAt.rawValue)
                self.request.from = min(self.request.from, event.requestID.bits)
                self.request.to = max(self.request.to, event.requestID.bits)
            }
        }
    }

    /// In the order of `bounds`.
    static func append(_ bounds: [Bounds], to parameters: inout PostgresParameters) {
        parameters.int8Array(bounds) { $0.started.from }
        parameters.int8Array(bounds) { $0.started.to }
        parameters.uuidArray(bounds) { $0.request.from }
        parameters.uuidArray(bounds) { $0.request.to }
    }

    /// A relation with a row for each call, of the columns asked for and those of its batch: `applied_at`, `stream_id`,
    /// `seq`, `batch_first`, `batch_last`, `payers` (an array) and `bounds`. Conditions on the batch's columns keep whole
    /// batches unread.
    static func rows(_ columns: [String], of table: String = "{s}.usage_batch") -> String {
        Self.rows(columns, of: table, from: "\(Self.unnest(columns)) WITH ORDINALITY")
    }

    /// The same, of batches in the order of `stream_id` and `seq`, for a page in this order: it ends with the batches that
    /// it needs. The planner takes an array for ten rows and a series for a thousand. With the ten it took all batches
    /// apart to sort their rows, for each page.
    static func orderedRows(_ columns: [String], of table: String, direction: String) -> String {
        Self.rows(
            columns, of: "(SELECT * FROM \(table) ORDER BY stream_id \(direction), seq \(direction))",
            from: "ROWS FROM (\(Self.unnest(columns)), generate_series(1, b.seq - b.first_seq + 1))")
    }

    private static func unnest(_ columns: [String]) -> String {
        "unnest(\(columns.map { "b.\($0)" }.joined(separator: ", ")))"
    }

    private static func rows(_ columns: [String], of table: String, from arrays: String) -> String {
        """
        (SELECT b.applied_at, b.stream_id, b.first_seq + r.place - 1 AS seq, b.first_seq AS batch_first,
            b.seq AS batch_last, b.payer_id AS payers, \(Self.bounds.map { "b.\($0)" }.joined(separator: ", ")),
            \(columns.map { "r.\($0)" }.joined(separator: ", "))
        FROM \(table) b, LATERAL \(arrays) AS r(\(columns.joined(separator: ", ")), place))
        """
    }

    /// The columns that `event` reads, from `usage u`, `payer p` and `route r`.
    static let selection = """
        u.stream_id, u.seq, u.request_id, u.started_at, u.duration, u.first_byte, u.bits, u.input, u.output, u.cost,
            u.cached_input, u.reasoning_output, u.cache_write_input, u.cache_write_long_input, u.audio_input,
            u.image_input, u.audio_output, u.image_output, u.end_user, u.payer_id, u.route_id,
            p.key_id, p.digest, p.user_id, p.team_id,
            r.model_group, r.model, r.provider, r.deployment_id, r.price_version
        """

    /// Rows as events; those of one payer or route share its object.
    static func rows(_ rows: PostgresRows) throws(LedgerError) -> [UsageRow] {
        var payers: [Int64: PayerIdentity] = [:]
        var routes: [Int64: RouteIdentity] = [:]
        var result: [UsageRow] = []
        result.reserveCapacity(rows.count)
        for row in 0..<rows.count {
            let (stream, sequence) = (rows.integer(row, 0), rows.integer(row, 1))
            let payer = payers[rows.integer(row, 19)] ?? Self.payer(rows, row)
            let route = routes[rows.integer(row, 20)] ?? Self.route(rows, row)
            guard let payer, let route, let event = Self.event(rows, row, payer, route) else {
                throw .corrupt(
                    "Row \(sequence) of stream \(stream) has a missing payer or route, or was written by a newer "
                        + "version of the program.")
            }
            payers[rows.integer(row, 19)] = payer
            routes[rows.integer(row, 20)] = route
            result.append(UsageRow(streamID: stream, sequence: sequence, event: event))
        }
        return result
    }

    private static func payer(_ rows: PostgresRows, _ row: Int) -> PayerIdentity? {
        guard let digest = KeyDigest(bytes: rows.bytes(row, 22)) else { return nil }
        return PayerIdentity(
            keyID: VirtualKeyID(rows.uuid(row, 21)), digest: digest, userID: rows.optionalText(row, 23),
            teamID: rows.optionalText(row, 24))
    }

    private static func route(_ rows: PostgresRows, _ row: Int) -> RouteIdentity? {
        if rows.isNull(row, 25) { return nil }
        return RouteIdentity(
            modelGroup: rows.text(row, 25), model: rows.text(row, 26), provider: rows.text(row, 27),
            deploymentID: rows.text(row, 28), priceVersion: rows.text(row, 29))
    }

    private static func event(
        _ rows: PostgresRows, _ row: Int, _ payer: PayerIdentity, _ route: RouteIdentity
    ) -> UsageEvent? {
        let bits = UsageBits(rawValue: rows.integer(row, 6))
        guard let kind = bits.kind, let outcome = bits.outcome, let tier = bits.serviceTier else { return nil }
        var usage = TokenUsage(input: rows.integer(row, 7), output: rows.integer(row, 8))
        usage.cachedInput = rows.integer(row, 10)
        usage.reasoningOutput = rows.integer(row, 11)
        usage.cacheWriteInput = rows.integer(row, 12)
        usage.cacheWriteLongInput = rows.integer(row, 13)
        usage.audioInput = rows.integer(row, 14)
        usage.imageInput = rows.integer(row, 15)
        usage.audioOutput = rows.integer(row, 16)
        usage.imageOutput = rows.integer(row, 17)
        return UsageEvent(
            requestID: RequestID(rows.uuid(row, 2)), attempt: bits.attempt, payer: payer, route: route, kind: kind,
            isStream: bits.isStream, startedAt: UnixMicroseconds(rawValue: rows.integer(row, 3)),
            durationMicroseconds: rows.integer(row, 4), firstByteMicroseconds: rows.integer(row, 5), usage: usage,
            serviceTier: tier, cost: NanoUSD(rawValue: rows.integer(row, 9)), status: bits.status, outcome: outcome,
            flags: bits.flags, endUser: rows.optionalText(row, 18))
    }
}
