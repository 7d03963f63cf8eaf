import GatewayCore
import GatewayLedger

extension PostgresStore {
    private static let pending = PostgresStatement(
        "fold_pending", isRead: true,
        """
        SELECT EXISTS (SELECT FROM {s}.fold_position f JOIN {s}.stream p USING (stream_id) WHERE p.applied > f.folded)
        """)
    private static let plainFold = FoldSQL.fold(isRecent: true, saturating: false)
    private static let wholeFold = FoldSQL.fold(isRecent: false, saturating: true)

    /// Any pod may fold at any time; while one does, the others' calls return 0. A call with nothing to do costs one
    /// look at the positions, so it is best called by the pod that holds a lease for it.
    /// - Throws: `.corrupt` when rows are missing that the positions say are there: nothing was counted then.
    package func fold() async throws(LedgerError) -> Int {
        var rows = 0
        while true {
            let (folded, isMore) = try await self.foldChunk()
            rows += folded
            if !isMore { return rows }
        }
    }

    private func foldChunk() async throws(LedgerError) -> (rows: Int, isMore: Bool) {
        guard try await self.run(Self.pending, on: self.writer).bool(0, 0) else { return (0, false) }
        do {
            let rows = try await self.repeated(Self.plainFold, .none, on: self.writer)
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
