import GatewayCore
import GatewayLedger

/// States of a stream (`stream.state`):
///
///     (new) --take--> 0 live --no beat for deadAfter--> 1 orphan --no beat for holdFor--> 2 written off
///                      ^ | leave                           |                                |
///                      | +-----> 3 closed                  |                                |
///                      +-----------take, or a beat---------+--------------------------------+
extension PostgresStore: FleetStore {
    private static let beat = PostgresStatement(
        "beat",
        """
        WITH c AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true)),
        b AS (
            INSERT INTO {s}.pod (pod_id, name, process_id, version, started_at, journal, applied, change_position,
                journal_bytes, connections, beat_at)
            SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, clock_timestamp() FROM c
            ON CONFLICT (pod_id) DO UPDATE SET name = excluded.name, process_id = excluded.process_id,
                version = excluded.version, started_at = excluded.started_at, journal = excluded.journal,
                applied = excluded.applied, change_position = excluded.change_position,
                journal_bytes = excluded.journal_bytes, connections = excluded.connections, beat_at = excluded.beat_at
        ), s AS (
            UPDATE {s}.stream SET beat_at = clock_timestamp(), state = 0, pod_name = $2 FROM c WHERE journal = $6
        )
        SELECT (SELECT position FROM {s}.change_head), (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
        """)

    package func beat(_ beat: PodBeat) async throws(LedgerError) -> FleetPulse {
        var parameters = PostgresParameters()
        parameters.uuid(beat.podID.bits)
        parameters.text(beat.name)
        parameters.int4(beat.processID)
        parameters.text(beat.version)
        parameters.int8(beat.startedAt.rawValue)
        parameters.uuid(beat.journal.bits)
        parameters.int8(beat.applied)
        parameters.int8(beat.changePosition)
        parameters.int8(beat.journalBytes)
        parameters.int4(beat.connections)
        let rows = try await self.run(Self.beat, parameters, on: self.writer)
        self.saw(changeHead: rows.integer(0, 0))
        return FleetPulse(changeHead: rows.integer(0, 0), now: UnixMicroseconds(rawValue: rows.integer(0, 1)))
    }

    /// The stream is closed unless another run of the pod has beaten for its journal since. Of a run that was killed
    /// the row stays, and tells nothing.
    private static let leave = PostgresStatement(
        "leave", hasColumns: false,
        """
        WITH d AS (DELETE FROM {s}.pod WHERE pod_id = $1 RETURNING journal, beat_at)
        UPDATE {s}.stream s SET state = 3 FROM d
        WHERE s.journal = d.journal AND NOT EXISTS (
            SELECT FROM {s}.pod o WHERE o.journal = d.journal AND o.pod_id <> $1 AND o.beat_at >= d.beat_at)
        """)

    package func leave(_ podID: PodID) async throws(LedgerError) {
        var parameters = PostgresParameters()
        parameters.uuid(podID.bits)
        _ = try await self.run(Self.leave, parameters, on: self.writer)
    }

    private static let pods = PostgresStatement(
        "pods", isRead: true,
        """
        SELECT pod_id, name, process_id, version, started_at, journal, applied, change_position, journal_bytes,
            connections, age
        FROM (
            SELECT *, (extract(epoch FROM clock_timestamp() - beat_at) * 1000000)::bigint AS age FROM {s}.pod
        ) p
        WHERE age <= $1 ORDER BY started_at, pod_id LIMIT 10000
        """)

    package func pods(seenWithin age: Duration) async throws(LedgerError) -> [PodView] {
        var parameters = PostgresParameters()
        parameters.int8(age.wholeMicroseconds)
        let rows = try await self.run(Self.pods, parameters, on: self.reader)
        return (0..<rows.count).map { row in
            let beat = PodBeat(
                podID: PodID(rows.uuid(row, 0)), name: rows.text(row, 1),
                processID: Int32(truncatingIfNeeded: rows.integer(row, 2)), version: rows.text(row, 3),
                startedAt: UnixMicroseconds(rawValue: rows.integer(row, 4)), journal: JournalID(rows.uuid(row, 5)),
                applied: rows.integer(row, 6), changePosition: rows.integer(row, 7),
                journalBytes: rows.integer(row, 8), connections: Int32(truncatingIfNeeded: rows.integer(row, 9)))
            return PodView(beat: beat, beatAge: .microseconds(rows.integer(row, 10)))
        }
    }

    // MARK: leases

    /// The conflict's `WHERE` is the compare-and-set: it sees the row as it is after any wait.
    private static let claim = PostgresStatement(
        "claim",
        """
        INSERT INTO {s}.job_lease AS l (job_hash, job, holder, epoch, until)
        VALUES (sha256(convert_to($1, 'UTF8')), $1, $2, 1, clock_timestamp() + $3 * interval '1 microsecond')
        ON CONFLICT (job_hash) DO UPDATE SET holder = excluded.holder, until = excluded.until,
            epoch = l.epoch + CASE WHEN l.holder = excluded.holder AND l.until > clock_timestamp() THEN 0 ELSE 1 END
        WHERE l.holder = excluded.holder OR l.until <= clock_timestamp()
        RETURNING epoch
        """)

    package func claim(_ job: String, for podID: PodID, duration: Duration) async throws(LedgerError) -> JobLease? {
        var parameters = PostgresParameters()
        parameters.text(job)
        parameters.uuid(podID.bits)
        parameters.int8(duration.wholeMicroseconds)
        let rows = try await self.run(Self.claim, parameters, on: self.writer)
        return rows.isEmpty ? nil : JobLease(job: job, holder: podID, epoch: rows.integer(0, 0))
    }

    private static let release = PostgresStatement(
        "release", hasColumns: false,
        """
        UPDATE {s}.job_lease SET until = '-infinity'
        WHERE job_hash = sha256(convert_to($1, 'UTF8')) AND holder = $2 AND epoch = $3
        """)

    package func release(_ lease: JobLease) async throws(LedgerError) {
        var parameters = PostgresParameters()
        parameters.text(lease.job)
        parameters.uuid(lease.holder.bits)
        parameters.int8(lease.epoch)
        _ = try await self.run(Self.release, parameters, on: self.writer)
    }

    // MARK: orphans

    /// Rows that others hold are theirs to change; the outer conditions are looked at again after any wait.
    private static let reap = PostgresStatement(
        "reap",
        """
        WITH d AS (
            UPDATE {s}.stream SET epoch = epoch + 1, state = 1
            WHERE stream_id IN (
                SELECT stream_id FROM {s}.stream
                WHERE state = 0 AND beat_at < clock_timestamp() - $1 * interval '1 microsecond'
                ORDER BY stream_id LIMIT 1000 FOR UPDATE SKIP LOCKED
            ) AND state = 0 AND beat_at < clock_timestamp() - $1 * interval '1 microsecond'
            RETURNING stream_id
        ), o AS (
            UPDATE {s}.stream SET state = 2
            WHERE stream_id IN (
                SELECT stream_id FROM {s}.stream
                WHERE state = 1 AND beat_at < clock_timestamp() - $2 * interval '1 microsecond'
                ORDER BY stream_id LIMIT 1000 FOR UPDATE SKIP LOCKED
            ) AND state = 1 AND beat_at < clock_timestamp() - $2 * interval '1 microsecond'
            RETURNING stream_id
        )
        SELECT stream_id FROM d UNION ALL SELECT stream_id FROM o
        """)

    package func reapStreams(
        deadAfter: Duration, holdFor: Duration
    ) async throws(LedgerError) -> [OrphanedStream] {
        var parameters = PostgresParameters()
        parameters.int8(deadAfter.wholeMicroseconds)
        parameters.int8(holdFor.wholeMicroseconds)
        let rows = try await self.run(Self.reap, parameters, on: self.writer)
        if rows.isEmpty { return [] }
        let changed = Set((0..<rows.count).map { rows.integer($0, 0) })
        return try await self.orphans().filter { changed.contains($0.streamID) }
    }

    private static let ends = UsageColumns.rows(["started_at", "duration", "cost"])
    /// The last minute is looked for among the last 100,000 rows of the stream.
    private static let orphaned = PostgresStatement(
        "orphans", isRead: true,
        """
        SELECT s.journal, s.stream_id, s.state, s.pod_name,
            (extract(epoch FROM clock_timestamp() - s.beat_at) * 1000000)::bigint, s.applied,
            (
                SELECT greatest(least(coalesce(sum(u.cost), 0), 9223372036854775807), -9223372036854775808)::bigint
                FROM \(PostgresStore.ends) last, \(PostgresStore.ends) u
                WHERE last.stream_id = s.stream_id AND last.batch_last = s.applied AND last.seq = s.applied
                    AND u.stream_id = s.stream_id AND u.batch_last > s.applied - 100000 AND u.seq > s.applied - 100000
                    AND u.started_at::numeric + u.duration
                        BETWEEN last.started_at::numeric + last.duration - 60000000
                        AND last.started_at::numeric + last.duration
            )
        FROM {s}.stream s WHERE s.state IN (1, 2) ORDER BY s.beat_at, s.stream_id LIMIT 1000
        """)

    package func orphans() async throws(LedgerError) -> [OrphanedStream] {
        let rows = try await self.run(Self.orphaned, on: self.reader, timeout: .seconds(60))
        return (0..<rows.count).map { row in
            OrphanedStream(
                journal: JournalID(rows.uuid(row, 0)), streamID: rows.integer(row, 1),
                state: rows.integer(row, 2) == 1 ? .orphan : .writtenOff, podName: rows.optionalText(row, 3),
                beatAge: .microseconds(rows.integer(row, 4)), applied: rows.integer(row, 5),
                spendOfLastMinute: NanoUSD(rawValue: rows.integer(row, 6)))
        }
    }
}
