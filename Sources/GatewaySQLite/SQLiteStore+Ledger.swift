import GRDB
import GatewayCore
import GatewayLedger

extension SQLiteStore: LedgerStore {
    /// Events per `append` at most: the transaction is held in memory and in the WAL.
    package static let appendEventsMax = 100_000
    /// An `append` this large says that shipping has fallen behind; a tick at 25,000 calls a second brings 12,500.
    private static let behindEvents = 16_384
    /// Rows that one transaction of `fold` takes at most.
    private static let foldRowsMax: Int64 = 50_000

    package func takeStream(_ journal: JournalID) async throws(LedgerError) -> StreamPosition {
        let now = self.clock.now()
        return try await self.write { database in
            let position = try SQLStatement.first(
                database,
                """
                INSERT INTO stream (journal, epoch, applied, folded, taken_at) VALUES (?1, 1, 0, 0, ?2)
                ON CONFLICT (journal) DO UPDATE SET epoch = epoch + 1, taken_at = excluded.taken_at
                RETURNING id, epoch, applied
                """,
                .blob(journal.bits.bytes), .integer(now.rawValue)
            ) { row in
                StreamPosition(
                    journal: journal, streamID: row.integer(0), epoch: row.integer(1), applied: row.integer(2))
            }
            guard let position else { throw LedgerError.corrupt("The ledger \(self.path) gave no stream.") }
            return position
        }
    }

    package func standing(of journal: JournalID) async throws(LedgerError) -> StreamStanding? {
        try await self.read { database in
            try SQLStatement.first(
                database, "SELECT id, applied, expired FROM stream WHERE journal = ?1", .blob(journal.bits.bytes)
            ) { StreamStanding(streamID: $0.integer(0), applied: $0.integer(1), expired: $0.integer(2)) }
        }
    }

    package func append(
        _ events: [UsageEvent], at position: StreamPosition
    ) async throws(LedgerError) -> AppendOutcome {
        precondition(events.count <= Self.appendEventsMax, "\(events.count) events in one append")
        return try await self.write(isBehind: events.count >= Self.behindEvents) { database in
            let applied = position.applied + Int64(events.count)
            guard let folded = try self.moveStream(database, position, to: applied) else {
                return try self.rejection(database, position)
            }
            try self.reached(.streamMoved)
            let first = Place(streamID: position.streamID, sequence: position.applied + 1)
            var inserter = UsageInserter(database)
            try self.identities.withLock { identities in
                try inserter.insert(events, at: first, identities: &identities)
            }
            try self.reached(.rowsInserted)
            try UsageBlocks.widen(database, by: events, at: first)
            try self.reached(.blocksWidened)
            if folded == applied {
                try Aggregates.add(inserter.summary, to: database) { step in try self.reached(step) }
            }
            return .applied(applied)
        }
    }

    /// The compare-and-set that everything else hangs off.
    /// - Returns: up to where the stream is folded now: `applied` when these events are the next to fold, else less.
    ///   `nil`: the stream stands elsewhere, nothing changed.
    private func moveStream(
        _ database: Database, _ position: StreamPosition, to applied: Int64
    ) throws -> Int64? {
        try SQLStatement.first(
            database,
            """
            UPDATE stream SET applied = ?5, folded = CASE WHEN folded = applied AND ?6 THEN ?5 ELSE folded END
            WHERE id = ?1 AND journal = ?2 AND epoch = ?3 AND applied = ?4 RETURNING folded
            """,
            .integer(position.streamID), .blob(position.journal.bits.bytes), .integer(position.epoch),
            .integer(position.applied), .integer(applied), .integer(self.options.foldsOnAppend ? 1 : 0)
        ) { $0.integer(0) }
    }

    /// Where the stream stands; epoch 0 when this file has never seen it.
    private func rejection(_ database: Database, _ position: StreamPosition) throws -> AppendOutcome {
        try SQLStatement.first(
            database, "SELECT epoch, applied FROM stream WHERE id = ?1 AND journal = ?2",
            .integer(position.streamID), .blob(position.journal.bits.bytes)
        ) { .rejected(epoch: $0.integer(0), applied: $0.integer(1)) } ?? .rejected(epoch: 0, applied: 0)
    }

    /// `append` folds its own rows, so this finds work only in a file that was written without.
    package func fold() async throws(LedgerError) -> Int {
        var rows = 0
        while true {
            let folded = try await self.foldChunk()
            if folded == 0 { return rows }
            rows += folded
        }
    }

    private func foldChunk() async throws(LedgerError) -> Int {
        let mayHaveWork = try await self.read { database in
            try SQLStatement.first(database, "SELECT 1 FROM stream WHERE folded < applied") { _ in true } ?? false
        }
        guard mayHaveWork else { return 0 }
        return try await self.write { database in
            let stream = try SQLStatement.first(
                database, "SELECT id, folded, applied FROM stream WHERE folded < applied ORDER BY id LIMIT 1"
            ) { (id: $0.integer(0), folded: $0.integer(1), applied: $0.integer(2)) }
            guard let stream else { return 0 }
            let end = min(stream.applied, stream.folded + Self.foldRowsMax)
            let summary = try Aggregates.summarize(
                database, from: Place(streamID: stream.id, sequence: stream.folded + 1),
                through: Place(streamID: stream.id, sequence: end))
            try SQLStatement.run(
                database, "UPDATE stream SET folded = ?3 WHERE id = ?1 AND folded = ?2", .integer(stream.id),
                .integer(stream.folded), .integer(end))
            try self.reached(.streamMoved)
            try Aggregates.add(summary, to: database) { step in try self.reached(step) }
            return Int(end - stream.folded)
        }
    }

    package func keySpend() async throws(LedgerError) -> [VirtualKeyID: NanoUSD] {
        try await self.read { database in
            var spend: [VirtualKeyID: NanoUSD] = [:]
            let sql = "SELECT p.key_id, t.spend FROM usage_total t JOIN payer p ON p.id = t.payer_id"
            let rows = try SQLStatement.all(database, sql, []) { (key: $0.bytes(0), spend: $0.integer(1)) }
            for row in rows {
                guard let bits = UUIDBits(bytes: row.key) else { continue }
                let sum = saturatingSum(spend[VirtualKeyID(bits), default: .zero].rawValue, row.spend)
                spend[VirtualKeyID(bits)] = NanoUSD(rawValue: sum)
            }
            return spend
        }
    }

    package func counter(_ dimension: CounterDimension) async throws(LedgerError) -> UsageCounter {
        let (condition, values): (String, [SQLValue]) =
            switch dimension {
            case .total: ("", [])
            case .key(let key): ("WHERE payer_id IN (SELECT id FROM payer WHERE key_id = ?1)", [.blob(key.bits.bytes)])
            case .user(let user): ("WHERE payer_id IN (SELECT id FROM payer WHERE user_id = ?1)", [.text(user)])
            case .team(let team): ("WHERE payer_id IN (SELECT id FROM payer WHERE team_id = ?1)", [.text(team)])
            case .modelGroup(let group):
                ("WHERE route_id IN (SELECT id FROM route WHERE model_group = ?1)", [.text(group)])
            }
        let sql = "SELECT \(UsageSums.columns.joined(separator: ", ")) FROM usage_total \(condition)"
        return try await self.read { database in
            var sums = UsageSums()
            for part in try SQLStatement.all(database, sql, values, read: { UsageSums($0, first: 0) }) {
                sums.add(part)
            }
            return UsageCounter(
                spend: NanoUSD(rawValue: sums.spend), inputTokens: sums.inputTokens,
                outputTokens: sums.outputTokens, requests: sums.requests, errors: sums.errors)
        }
    }
}
