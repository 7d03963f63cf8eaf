import GatewayCore
import GatewayLedger

/// A day's partition of `usage_batch`, by days since 1970-01-01 in UTC.
struct UsagePartition: Sendable, Comparable {
    let day: Int64

    init(day: Int64) { self.day = day }

    /// `nil`: another table's name.
    init?(name: String) {
        guard name.hasPrefix("usage_"), name.utf8.count == 14, let number = Int64(name.dropFirst(6)) else { return nil }
        self.day = dayNumber(year: number / 10_000, month: number / 100 % 100, date: number % 100)
        if self.name != name { return nil }
    }

    var name: String {
        let (year, month, date) = civilDate(day: self.day)
        return "usage_\(year * 10_000 + month * 100 + date)"
    }

    /// First moment, as SQL writes it.
    var start: String {
        let text = UnixMicroseconds(rawValue: self.day * 86_400_000_000).iso8601
        return "'\(text.prefix(10)) 00:00:00+00'"
    }

    static func < (a: UsagePartition, b: UsagePartition) -> Bool { a.day < b.day }

    /// Waiting for a table's lock has a bound, because appends would wait behind it.
    static let lockBound = "SELECT set_config('lock_timeout', '2000', true);"

    var creation: String {
        """
        \(Self.lockBound)
        CREATE TABLE IF NOT EXISTS {s}.\(self.name) PARTITION OF {s}.usage_batch
            FOR VALUES FROM (\(self.start)) TO (\(UsagePartition(day: self.day + 1).start));
        CREATE UNIQUE INDEX IF NOT EXISTS \(self.name)_place ON {s}.\(self.name) (stream_id, seq);
        """
    }

    /// Keeps the sums and drops the table, if all of its rows have been folded; else the division fails and nothing
    /// happens. The shard's lock keeps folds and rebuilds out meanwhile.
    var drop: String {
        """
        \(Self.lockBound)
        SELECT shard FROM {s}.fold_shard WHERE shard = 0 FOR UPDATE;
        SELECT 1 / CASE WHEN EXISTS (
            SELECT FROM {s}.\(self.name) u LEFT JOIN {s}.fold_position f USING (stream_id)
            WHERE u.seq > coalesce(f.folded, 0)
        ) THEN 0 ELSE 1 END;
        WITH \(Self.keeping(batches: "{s}.\(self.name)"));
        DROP TABLE {s}.\(self.name);
        """
    }

    /// Adds the rows of batches to the sums of what retention has dropped: the end of a statement that begins with `WITH`
    /// and whose last part counts the rows.
    static func keeping(batches: String) -> String {
        """
        e AS MATERIALIZED (SELECT * FROM \(UsageColumns.rows(FoldSQL.columns, of: batches)) u),
        g AS MATERIALIZED (\(FoldSQL.groups(of: "e", saturating: true))),
        d1 AS (\(FoldSQL.upsert("expired_daily", from: "g", saturating: true))),
        d2 AS (
            UPDATE {s}.fold_position f SET expired = f.expired + c.found
            FROM (SELECT stream_id, count(*) AS found FROM e GROUP BY 1) c WHERE c.stream_id = f.stream_id
        )
        SELECT count(*) FROM e
        """
    }
}

extension PostgresStore {
    private static let calendar = PostgresStatement(
        "calendar", isRead: true,
        """
        SELECT floor(extract(epoch FROM clock_timestamp()) / 86400)::bigint, c.relname::text
        FROM (VALUES (1)) one LEFT JOIN (
            SELECT c.relname FROM pg_catalog.pg_inherits i
            JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid JOIN pg_catalog.pg_class p ON p.oid = i.inhparent
            JOIN pg_catalog.pg_namespace n ON n.oid = p.relnamespace
            WHERE n.nspname = $1 AND p.relname = 'usage_batch'
        ) c ON true
        """)

    private func partitions() async throws(PostgresError) -> (today: Int64, standing: [UsagePartition]) {
        var parameters = PostgresParameters()
        parameters.text(self.settings.schema)
        let rows = try await self.reader.run(Self.calendar, parameters)
        let standing = (0..<rows.count).compactMap { UsagePartition(name: rows.text($0, 1)) }
        return (rows.integer(0, 0), standing.sorted())
    }

    /// Makes the partitions of today and of the two days after it. Pods may do so at once.
    func makePartitions() async throws(PostgresError) -> [String] {
        let (today, standing) = try await self.partitions()
        var done: [String] = []
        for day in today...(today + 2) where !standing.contains(UsagePartition(day: day)) {
            let partition = UsagePartition(day: day)
            var attempt = 0
            while true {
                do {
                    try await self.reader.runScript(partition.creation)
                    done.append("Made the partition \(partition.name).")
                    break
                } catch {
                    attempt += 1
                    switch error.kind {
                    case .uniqueViolation, .alreadyExists, .deadlock, .serialization, .timeout:
                        if attempt >= 10 { throw error }
                        continue
                    case .integrity:
                        // Rows of that day lie in the default partition already, which keeps them just as well.
                        break
                    default: throw error
                    }
                    break
                }
            }
        }
        return done
    }

    private static let expiredDefault = PostgresStatement(
        nil,
        """
        WITH gone AS (
            DELETE FROM {s}.usage_batch_default b USING {s}.fold_position f, (
                SELECT shard FROM {s}.fold_shard WHERE shard = 0 FOR UPDATE
            ) s
            WHERE f.stream_id = b.stream_id AND b.seq <= f.folded
                AND b.applied_at < clock_timestamp() - $1 * interval '1 microsecond'
            RETURNING b.*
        ), \(UsagePartition.keeping(batches: "gone"))
        """)
    private static let expiredChanges = PostgresStatement(
        nil,
        """
        WITH d AS (
            DELETE FROM {s}.change c USING {s}.change_head h
            WHERE c.at < clock_timestamp() - interval '7 days' AND c.position < h.position RETURNING c.position
        )
        SELECT count(*) FROM d
        """)
    private static let gonePods = PostgresStatement(
        nil,
        """
        WITH d AS (DELETE FROM {s}.pod WHERE beat_at < clock_timestamp() - interval '1 day' RETURNING pod_id)
        SELECT count(*) FROM d
        """)
    private static let summarized = PostgresStatement(
        nil,
        """
        SELECT sum(brin_summarize_new_values(i.indexrelid::regclass))
        FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
        JOIN pg_catalog.pg_am a ON a.oid = c.relam JOIN pg_catalog.pg_class t ON t.oid = i.indrelid
        JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace
        WHERE a.amname = 'brin' AND c.relkind = 'i' AND n.nspname = $1 AND t.relname LIKE 'usage\\_%'
        """)

    package func maintain(retention: Duration?) async throws(LedgerError) -> [String] {
        do {
            var done = try await self.makePartitions()
            if let retention { done += try await self.dropRows(olderThan: retention) }
            let changes = try await self.repeated(Self.expiredChanges, .none, on: self.reader).integer(0, 0)
            if changes > 0 { done.append("Dropped \(changes) entries of the change log.") }
            let pods = try await self.repeated(Self.gonePods, .none, on: self.reader).integer(0, 0)
            if pods > 0 { done.append("Forgot \(pods) pods that were silent for a day.") }
            var parameters = PostgresParameters()
            parameters.text(self.settings.schema)
            _ = try await self.repeated(Self.summarized, parameters, on: self.reader, timeout: .seconds(600))
            return done
        } catch {
            throw error.ledgerError
        }
    }

    private func dropRows(olderThan retention: Duration) async throws(PostgresError) -> [String] {
        let (today, standing) = try await self.partitions()
        var done: [String] = []
        // A day is dropped when its end is old enough; today's begin stands for now.
        let lastDay = today - (retention.wholeMicroseconds + 86_399_999_999) / 86_400_000_000
        for partition in standing where partition.day < lastDay {
            do {
                try await self.reader.runScript(partition.drop, timeout: .seconds(3600))
                done.append("Dropped the partition \(partition.name).")
            } catch {
                switch error.kind {
                case .selfCheck: done.append("Kept the partition \(partition.name): it has rows that are not folded.")
                case .missingSchema: continue
                case .timeout: done.append("Kept the partition \(partition.name) for now: it is in use.")
                default: throw error
                }
            }
        }
        var parameters = PostgresParameters()
        parameters.int8(retention.wholeMicroseconds)
        let rows = try await self.repeated(Self.expiredDefault, parameters, on: self.reader, timeout: .seconds(600))
        if rows.integer(0, 0) > 0 { done.append("Dropped \(rows.integer(0, 0)) rows of the default partition.") }
        return done
    }
}
