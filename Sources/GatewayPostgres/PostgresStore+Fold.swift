import GatewayCore
import GatewayLedger

extension PostgresStore {
    /// 0: nothing to fold. 1: some pod has folded a moment ago (`FoldSQL.isEarly`). 2: there are rows, and it is time.
    private static let due = PostgresStatement(
        "fold_due", isRead: true,
        """
        SELECT CASE WHEN $1 AND \(FoldSQL.isEarly) THEN 1 WHEN EXISTS (
            SELECT FROM {s}.fold_position f JOIN {s}.stream p USING (stream_id) WHERE p.applied > f.folded
        ) THEN 2 ELSE 0 END FROM {s}.fold_shard WHERE shard = 0
        """)
    private static let plainFold = FoldSQL.fold(isRecent: true, saturating: false, isShared: false)
    private static let sharedFold = FoldSQL.fold(isRecent: true, saturating: false, isShared: true)
    private static let wholeFold = FoldSQL.fold(isRecent: false, saturating: true, isShared: false)

    /// Any pod may fold at any time; while one does, the others' calls wait for it. All rows that were there when the
    /// call began are counted when it returns. A call with nothing to do costs one look at the positions.
    /// - Throws: `.corrupt` when rows are missing that the positions say are there: nothing was counted then.
    package func fold() async throws(LedgerError) -> Int {
        var rows = 0
        while try await self.standing(isShared: false) == 2 {
            let (folded, isMore) = try await self.foldChunk(Self.plainFold)
            rows += folded
            if !isMore { break }
        }
        return rows
    }

    package func foldIfDue() async throws(LedgerError) -> Bool {
        switch try await self.standing(isShared: true) {
        case 0: return false
        case 1: return true
        default: break
        }
        var (folded, isMore) = try await self.foldChunk(Self.sharedFold)
        let isMine = folded > 0
        while isMore { (folded, isMore) = try await self.foldChunk(Self.plainFold) }
        // Nothing: another pod is at it, perhaps since before this pod's last rows came.
        return !isMine
    }

    private func standing(isShared: Bool) async throws(LedgerError) -> Int64 {
        var parameters = PostgresParameters()
        parameters.bool(isShared)
        return try await self.run(Self.due, parameters, on: self.writer).integer(0, 0)
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

    /// One transaction in one round trip. Appends and readers go on meanwhile; folds of other pods skip.
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
