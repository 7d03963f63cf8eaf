import GatewayCore
import GatewayLedger
import Synchronization

extension PostgresStore {
    private static let rowsLeft = """
        EXISTS (
            SELECT FROM {s}.fold_position f JOIN {s}.stream p USING (stream_id) WHERE p.applied > f.folded)
        """
    private static let standing = PostgresStatement(
        "fold_standing", isRead: true, "SELECT \(PostgresStore.rowsLeft)")
    /// 0: nothing to fold. 1: some pod is at it or was so a moment ago (`FoldSQL.isEarly`). 2: it is this pod's turn. In
    /// a statement of its own, because the fold itself is planned anew each time, and of 64 pods one has the turn.
    private static let claim = PostgresStatement(
        "fold_claim",
        """
        WITH c AS (
            UPDATE {s}.fold_shard SET folded_at = clock_timestamp()
            WHERE shard = (
                SELECT shard FROM {s}.fold_shard
                WHERE shard = 0 AND NOT (\(FoldSQL.isEarly)) AND \(PostgresStore.rowsLeft) FOR UPDATE SKIP LOCKED
            ) RETURNING shard
        )
        SELECT CASE WHEN EXISTS (SELECT FROM c) THEN 2 WHEN \(FoldSQL.isEarly) OR \(PostgresStore.rowsLeft) THEN 1
            ELSE 0 END
        FROM {s}.fold_shard WHERE shard = 0
        """)
    private static let recentFold = FoldSQL.fold(isRecent: true, saturating: false)
    private static let wholeFold = FoldSQL.fold(isRecent: false, saturating: true)

    /// Any pod may fold at any time; while one does, the others' calls wait for it. All rows that were there when the
    /// call began are counted when it returns. A call with nothing to do costs one look at the positions.
    /// - Throws: `.corrupt` when rows are missing that the positions say are there: nothing was counted then.
    package func fold() async throws(LedgerError) -> Int {
        var rows = 0
        while try await self.run(Self.standing, on: self.writer).bool(0, 0) {
            let (folded, isMore) = try await self.foldChunk(Self.recentFold)
            rows += folded
            if !isMore { break }
        }
        return rows
    }

    package func foldIfDue() async throws(LedgerError) -> Bool {
        // With 64 pods nearly every tick comes too early, and its append has been told so already.
        if self.foldIsEarly.exchange(false, ordering: .relaxed) { return true }
        switch try await self.run(Self.claim, on: self.writer).integer(0, 0) {
        case 0: return false
        case 1: return true
        default: break
        }
        while try await self.foldChunk(Self.recentFold).isMore {}
        return false
    }

    private func foldChunk(_ statement: PostgresStatement) async throws(LedgerError) -> (rows: Int, isMore: Bool) {
        do {
            let rows = try await self.repeated(statement, .none, on: self.writer)
            return (Int(rows.integer(0, 0)), rows.bool(0, 1))
        } catch {
            // Rows older than an hour, or a sum beyond the range.
            guard error.kind == .selfCheck || error.kind == .outOfRange else { throw error.ledgerError }
        }
        do {
            let rows = try await self.repeated(Self.wholeFold, .none, on: self.writer, timeout: .seconds(60))
            return (Int(rows.integer(0, 0)), rows.bool(0, 1))
        } catch  where error.kind == .selfCheck {
            throw .corrupt(
                "Usage rows are missing in the schema \(self.settings.schema) that its streams say are applied; "
                    + "nothing was counted. Run `martlet ledger verify` and restore what was deleted.")
        } catch {
            throw error.ledgerError
        }
    }

    /// One transaction in one round trip. Appends and readers go on meanwhile; folds of other pods wait.
    package func rebuildCounters() async throws(LedgerError) {
        let columns = FoldSQL.sums.joined(separator: ", ")
        let script = """
            SELECT shard FROM {s}.fold_shard WHERE shard = 0 FOR UPDATE;
            DELETE FROM {s}.usage_total;
            DELETE FROM {s}.usage_daily;
            WITH m AS MATERIALIZED (
                UPDATE {s}.fold_position f SET folded = p.applied FROM {s}.stream p WHERE p.stream_id = f.stream_id
                RETURNING f.stream_id, f.folded
            ), g AS MATERIALIZED (\(FoldSQL.recount(positions: "m"))),
            t AS (\(FoldSQL.totals(of: "g", saturating: true))),
            d1 AS (
                INSERT INTO {s}.usage_daily (day, payer_id, route_id, \(columns))
                SELECT day, payer_id, route_id, \(columns) FROM g
            )
            INSERT INTO {s}.usage_total (payer_id, route_id, \(columns)) SELECT payer_id, route_id, \(columns) FROM t;
            """
        do {
            try await self.reader.runScript(script, timeout: .seconds(3600))
        } catch {
            throw error.ledgerError
        }
    }
}
