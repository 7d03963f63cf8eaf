import GatewayCore
import GatewayLedger
import Synchronization

extension PostgresStore: LedgerStore {
    /// Events per `append` at most: all of them are in memory, here and there.
    package static let appendEventsMax = 100_000

    private static let take = PostgresStatement(
        "take",
        """
        WITH t AS (
            INSERT INTO {s}.stream AS s (journal, epoch, applied, beat_at, state)
            VALUES ($1, 1, 0, clock_timestamp(), 0)
            ON CONFLICT (journal) DO UPDATE SET epoch = s.epoch + 1, beat_at = clock_timestamp(), state = 0
            RETURNING stream_id, epoch, applied
        ), f AS (
            INSERT INTO {s}.fold_position (stream_id, folded) SELECT stream_id, 0 FROM t ON CONFLICT DO NOTHING
        )
        SELECT stream_id, epoch, applied FROM t
        """)

    package func takeStream(_ journal: JournalID) async throws(LedgerError) -> StreamPosition {
        var parameters = PostgresParameters()
        parameters.uuid(journal.bits)
        let rows = try await self.run(Self.take, parameters, on: self.writer)
        guard !rows.isEmpty else { throw .corrupt("PostgreSQL gave no stream for the journal \(journal.text).") }
        return StreamPosition(
            journal: journal, streamID: rows.integer(0, 0), epoch: rows.integer(0, 1), applied: rows.integer(0, 2))
    }

    private static let standing = PostgresStatement(
        "standing", isRead: true,
        """
        SELECT s.stream_id, s.applied, coalesce(f.expired, 0)
        FROM {s}.stream s LEFT JOIN {s}.fold_position f USING (stream_id) WHERE s.journal = $1
        """)

    package func standing(of journal: JournalID) async throws(LedgerError) -> StreamStanding? {
        var parameters = PostgresParameters()
        parameters.uuid(journal.bits)
        let rows = try await self.run(Self.standing, parameters, on: self.reader)
        guard !rows.isEmpty else { return nil }
        return StreamStanding(streamID: rows.integer(0, 0), applied: rows.integer(0, 1), expired: rows.integer(0, 2))
    }

    // MARK: append

    /// The compare-and-set, the batch that hangs off it, and what the pod wants to know anyway, in one round trip.
    ///
    /// A batch is one row with an array for each column (docs/decisions/0014-usage-in-batches.md).
    private static let append: PostgresStatement = {
        let size = UsageColumns.batchRowsMax
        let columns = UsageColumns.bounds + UsageColumns.names
        let values = UsageColumns.types.enumerated().map { "($\($0 + 10)::\($1)[])[b.skipped + 1:b.skipped + \(size)]" }
        return PostgresStatement(
            "append",
            """
            WITH f AS (
                UPDATE {s}.stream SET applied = $5, beat_at = clock_timestamp()
                WHERE stream_id = $1 AND journal = $2 AND epoch = $3 AND applied = $4 RETURNING stream_id
            ), u AS (
                INSERT INTO {s}.usage_batch
                    (applied_at, stream_id, first_seq, seq, \(columns.joined(separator: ", ")))
                SELECT now(), f.stream_id, $4 + b.skipped + 1, least($4 + b.skipped + \(size), $5),
                    \(UsageColumns.bounds.map { "b.\($0)" }.joined(separator: ", ")), \(values.joined(separator: ", "))
                FROM f, (
                    SELECT t.*, (t.place::int - 1) * \(size) AS skipped
                    FROM unnest($6::bigint[], $7::bigint[], $8::uuid[], $9::uuid[]) WITH ORDINALITY
                        AS t(\(UsageColumns.bounds.joined(separator: ", ")), place)
                ) b
            )
            SELECT (SELECT count(*) FROM f), (SELECT position FROM {s}.change_head),
                EXISTS (SELECT FROM {s}.fold_shard WHERE shard = 0 AND \(FoldSQL.isEarly))
            """)
    }()
    private static let streamStanding = PostgresStatement(
        "stream_standing", isRead: true, "SELECT epoch, applied FROM {s}.stream WHERE stream_id = $1 AND journal = $2")

    /// A broken connection leaves the outcome unknown: `.unavailable`, and the caller repeats, which the
    /// compare-and-set makes safe.
    package func append(
        _ events: [UsageEvent], at position: StreamPosition
    ) async throws(LedgerError) -> AppendOutcome {
        precondition(events.count <= Self.appendEventsMax, "\(events.count) events in one append")
        guard let streamID = Int32(exactly: position.streamID) else { return .rejected(epoch: 0, applied: 0) }
        let applied = position.applied + Int64(events.count)
        do {
            let (payers, routes, generation) = try await self.numbers(of: events)
            var parameters = PostgresParameters(capacity: events.count * 160 + 512)
            parameters.int4(streamID)
            parameters.uuid(position.journal.bits)
            parameters.int8(position.epoch)
            parameters.int8(position.applied)
            parameters.int8(applied)
            UsageColumns.append(UsageColumns.Bounds.all(events), to: &parameters)
            UsageColumns.append(events, payers: payers, routes: routes, to: &parameters)
            let rows = try await self.repeated(
                Self.append, parameters, on: self.writer, generation: generation)
            self.saw(changeHead: rows.integer(0, 1))
            self.foldIsEarly.store(rows.bool(0, 2), ordering: .relaxed)
            if rows.integer(0, 0) == 1 { return .applied(applied) }
            // In a statement of its own: the first one's snapshot may be older than what it waited for.
            var place = PostgresParameters()
            place.int4(streamID)
            place.uuid(position.journal.bits)
            let standing = try await self.repeated(Self.streamStanding, place, on: self.writer)
            if standing.isEmpty { return .rejected(epoch: 0, applied: 0) }
            return .rejected(epoch: standing.integer(0, 0), applied: standing.integer(0, 1))
        } catch {
            throw error.ledgerError
        }
    }

    // MARK: reading sums

    private static let keySums = PostgresStatement(
        "key_spend", isRead: true,
        """
        SELECT p.key_id, greatest(least(sum(t.spend), 9223372036854775807), -9223372036854775808)::bigint
        FROM {s}.usage_total t JOIN {s}.payer p USING (payer_id) GROUP BY p.key_id
        """)

    package func keySpend() async throws(LedgerError) -> [VirtualKeyID: NanoUSD] {
        let rows = try await self.run(Self.keySums, on: self.reader)
        var spend: [VirtualKeyID: NanoUSD] = [:]
        spend.reserveCapacity(rows.count)
        for row in 0..<rows.count {
            spend[VirtualKeyID(rows.uuid(row, 0))] = NanoUSD(rawValue: rows.integer(row, 1))
        }
        return spend
    }

    private static func sums(_ name: String, _ condition: String) -> PostgresStatement {
        let columns = ["spend", "input_tokens", "output_tokens", "requests", "errors"].map { column in
            "greatest(least(coalesce(sum(\(column)), 0), 9223372036854775807), -9223372036854775808)::bigint"
        }
        return PostgresStatement(
            name, isRead: true,
            "SELECT \(columns.joined(separator: ", ")) FROM {s}.usage_total WHERE \(condition)")
    }

    private static let total = PostgresStore.sums("sum_total", "true")
    private static let keySum = PostgresStore.sums(
        "sum_key", "payer_id IN (SELECT payer_id FROM {s}.payer WHERE key_id = $1)")
    private static let userSum = PostgresStore.sums(
        "sum_user", "payer_id IN (SELECT payer_id FROM {s}.payer WHERE user_id = $1)")
    private static let teamSum = PostgresStore.sums(
        "sum_team", "payer_id IN (SELECT payer_id FROM {s}.payer WHERE team_id = $1)")
    private static let groupSum = PostgresStore.sums(
        "sum_group", "route_id IN (SELECT route_id FROM {s}.route WHERE model_group = $1)")

    package func counter(_ dimension: CounterDimension) async throws(LedgerError) -> UsageCounter {
        var parameters = PostgresParameters()
        let statement: PostgresStatement
        switch dimension {
        case .total: statement = Self.total
        case .key(let key):
            parameters.uuid(key.bits)
            statement = Self.keySum
        case .user(let user):
            parameters.text(user)
            statement = Self.userSum
        case .team(let team):
            parameters.text(team)
            statement = Self.teamSum
        case .modelGroup(let group):
            parameters.text(group)
            statement = Self.groupSum
        }
        let rows = try await self.run(statement, parameters, on: self.reader)
        return UsageCounter(
            spend: NanoUSD(rawValue: rows.integer(0, 0)), inputTokens: rows.integer(0, 1),
            outputTokens: rows.integer(0, 2), requests: rows.integer(0, 3), errors: rows.integer(0, 4))
    }
}
