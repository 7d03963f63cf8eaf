import GatewayCore
import GatewayLedger

extension PostgresStore: FencedLedgerStore {
    private static let fence = PostgresStatement(
        "fence", isRead: true, "SELECT ledger_id, token, holder, commits FROM {s}.writer_fence WHERE id = 1")
    private static let takeFence = PostgresStatement(
        "fence_take",
        """
        UPDATE {s}.writer_fence SET token = token + 1, holder = $2, taken_at = clock_timestamp()
        WHERE id = 1 AND token = $1 RETURNING token
        """)

    package func writerFence() async throws(LedgerError) -> WriterFence {
        let rows = try await self.run(Self.fence, on: self.writer)
        guard !rows.isEmpty else {
            throw .corrupt("The table writer_fence in the schema \(self.settings.schema) has lost its row.")
        }
        return WriterFence(
            ledgerID: rows.uuid(0, 0), token: rows.integer(0, 1), holder: rows.text(0, 2), commits: rows.integer(0, 3))
    }

    package func takeWriterFence(after token: Int64, holder: String) async throws(LedgerError) -> Int64? {
        var parameters = PostgresParameters()
        parameters.int8(token)
        parameters.text(holder)
        let rows = try await self.run(Self.takeFence, parameters, on: self.writer)
        return rows.isEmpty ? nil : rows.integer(0, 0)
    }

    /// As `append` for many streams, all of it hanging off the fence: its row stays locked until the commit, so a taker
    /// comes either before, and nothing is stored, or after. No other statement that locks several rows of `stream`
    /// waits for one, so the order of these locks does not matter.
    private static let appendAll: PostgresStatement = {
        let columns = UsageColumns.bounds + UsageColumns.names
        let size = UsageColumns.batchRowsMax
        let arrays = UsageColumns.types.enumerated().map { "($\($0 + 13)::\($1)[])[d.low + 1:d.high]" }
        return PostgresStatement(
            "append_all",
            """
            WITH w AS (
                UPDATE {s}.writer_fence SET commits = commits + 1 WHERE id = 1 AND token = $1 RETURNING id
            ), b AS MATERIALIZED (
                SELECT t.*, (sum(events) OVER (ORDER BY place) - events)::int AS before
                FROM w, unnest($2::int[], $3::uuid[], $4::bigint[], $5::bigint[], $6::int[]) WITH ORDINALITY
                    AS t(stream_id, journal, epoch, applied, events, place)
            ), f AS (
                UPDATE {s}.stream s SET applied = b.applied + b.events, beat_at = clock_timestamp() FROM b
                WHERE s.stream_id = b.stream_id AND s.journal = b.journal AND s.epoch = b.epoch
                    AND s.applied = b.applied
                RETURNING b.*
            ), u AS (
                INSERT INTO {s}.usage_batch
                    (applied_at, stream_id, first_seq, seq, \(columns.joined(separator: ", ")))
                SELECT now(), f.stream_id, f.applied - f.before + d.low + 1, f.applied - f.before + d.high,
                    \(UsageColumns.bounds.map { "c.\($0)" }.joined(separator: ", ")), \(arrays.joined(separator: ", "))
                FROM f JOIN unnest($7::int[], $8::int[], $9::bigint[], $10::bigint[], $11::uuid[], $12::uuid[])
                    AS c(batch, skipped, \(UsageColumns.bounds.joined(separator: ", "))) ON c.batch = f.place
                CROSS JOIN LATERAL (
                    SELECT f.before + c.skipped AS low, f.before + least(c.skipped + \(size), f.events) AS high
                ) d
            )
            SELECT 0::bigint, (SELECT position FROM {s}.change_head) FROM w UNION ALL SELECT place, 0 FROM f
            """)
    }()
    private static let standings = PostgresStatement(
        "standings", isRead: true,
        """
        SELECT t.place, s.epoch, s.applied FROM unnest($1::int[], $2::uuid[]) WITH ORDINALITY AS t(stream_id, journal, place)
        JOIN {s}.stream s ON s.stream_id = t.stream_id AND s.journal = t.journal
        """)

    package func append(_ batches: [LedgerBatch], token: Int64) async throws(LedgerError) -> [AppendOutcome]? {
        var streams: Set<Int64> = []
        // Of a number that no stream can have nothing is tried; it has no standing either.
        let tried = batches.indices.filter { index in
            Int32(exactly: batches[index].position.streamID) != nil
                && streams.insert(batches[index].position.streamID).inserted
        }
        let count = tried.reduce(0) { $0 + batches[$1].events.count }
        precondition(count <= Self.appendEventsMax, "\(count) events in one append")
        do {
            guard let stored = try await self.store(tried.map { batches[$0] }, token: token) else { return nil }
            var outcomes = [AppendOutcome?](repeating: nil, count: batches.count)
            for place in stored { outcomes[tried[place]] = .applied(batches[tried[place]].end) }
            let left = batches.indices.filter { outcomes[$0] == nil }
            if left.isEmpty { return outcomes.compactMap { $0 } }
            // In a statement of its own: the first one's snapshot may be older than what it waited for.
            let standings = try await self.standings(of: left.map { batches[$0].position })
            for (index, standing) in zip(left, standings) {
                outcomes[index] = .rejected(epoch: standing?.epoch ?? 0, applied: standing?.applied ?? 0)
            }
            return outcomes.compactMap { $0 }
        } catch {
            throw error.ledgerError
        }
    }

    /// - Returns: places of the batches that were stored. `nil`: fenced.
    private func store(_ batches: [LedgerBatch], token: Int64) async throws(PostgresError) -> [Int]? {
        let events = batches.flatMap(\.events)
        let (payers, routes, generation) = try await self.numbers(of: events)
        var parameters = PostgresParameters(capacity: events.count * 176 + 512)
        parameters.int8(token)
        parameters.int4Array(batches) { Int32(truncatingIfNeeded: $0.position.streamID) }
        parameters.uuidArray(batches) { $0.position.journal.bits }
        parameters.int8Array(batches) { $0.position.epoch }
        parameters.int8Array(batches) { $0.position.applied }
        parameters.int4Array(batches) { Int32($0.events.count) }
        var (places, skipped): ([Int32], [Int32]) = ([], [])
        var bounds: [UsageColumns.Bounds] = []
        for (index, batch) in batches.enumerated() {
            for (number, part) in UsageColumns.Bounds.all(batch.events).enumerated() {
                places.append(Int32(index + 1))
                skipped.append(Int32(number * UsageColumns.batchRowsMax))
                bounds.append(part)
            }
        }
        parameters.int4Array(places) { $0 }
        parameters.int4Array(skipped) { $0 }
        UsageColumns.append(bounds, to: &parameters)
        UsageColumns.append(events, payers: payers, routes: routes, to: &parameters)
        let rows = try await self.repeated(Self.appendAll, parameters, on: self.writer, generation: generation)
        if rows.isEmpty { return nil }
        var stored: [Int] = []
        for row in 0..<rows.count {
            let place = Int(rows.integer(row, 0))
            if place == 0 { self.saw(changeHead: rows.integer(row, 1)) } else { stored.append(place - 1) }
        }
        return stored
    }

    private func standings(of positions: [StreamPosition]) async throws(PostgresError) -> [StreamPosition?] {
        var parameters = PostgresParameters()
        // -1 is no stream's number.
        parameters.int4Array(positions) { Int32(exactly: $0.streamID) ?? -1 }
        parameters.uuidArray(positions) { $0.journal.bits }
        let rows = try await self.repeated(Self.standings, parameters, on: self.writer)
        var standings = [StreamPosition?](repeating: nil, count: positions.count)
        for row in 0..<rows.count {
            let place = Int(rows.integer(row, 0)) - 1
            var standing = positions[place]
            standing.epoch = rows.integer(row, 1)
            standing.applied = rows.integer(row, 2)
            standings[place] = standing
        }
        return standings
    }

    package func currentPosition(of position: StreamPosition) async throws(LedgerError) -> StreamPosition? {
        do {
            return try await self.standings(of: [position])[0]
        } catch {
            throw error.ledgerError
        }
    }
}
