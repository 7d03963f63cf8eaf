import GRDB
import GatewayCore
import GatewayLedger

/// Deletes old rows. What they had added to the sums is kept beside them (`expired_daily`), so that a rebuild gives the
/// same sums as before.
///
///     stream: 1 ... expired │ expired + 1 ... folded │ ... applied
///             gone, in sums │ rows, in sums          │ rows
extension SQLiteStore {
    /// Deletes rows of attempts that began before `cutoff`, from the begin of each stream on and only where a whole
    /// block of 4,096 places is older and folded. A transaction deletes one block, so appends wait for milliseconds at
    /// most. The file's pages are used again; it does not shrink.
    /// - Returns: rows deleted.
    package func dropRows(startedBefore cutoff: UnixMicroseconds) async throws(LedgerError) -> Int64 {
        var dropped: Int64 = 0
        while !Task.isCancelled {
            let count = try await self.write { database in try self.dropBlock(database, startedBefore: cutoff) }
            if count == 0 { break }
            dropped += count
        }
        return dropped
    }

    /// - Returns: rows deleted; 0: there is no such block.
    private func dropBlock(_ database: Database, startedBefore cutoff: UnixMicroseconds) throws -> Int64 {
        let found = try SQLStatement.first(
            database,
            """
            SELECT s.id, s.expired, min(s.folded, (((s.id << 40) + s.expired + 1) | 4095) & 1099511627775)
            FROM stream s JOIN usage_block b ON b.block = ((s.id << 40) + s.expired + 1) >> 12
            WHERE s.expired < s.folded AND b.started_max < ?1
                AND s.folded >= min(s.applied, (((s.id << 40) + s.expired + 1) | 4095) & 1099511627775)
            ORDER BY s.id LIMIT 1
            """, .integer(cutoff.rawValue)
        ) { (stream: $0.integer(0), expired: $0.integer(1), end: $0.integer(2)) }
        guard let found else { return 0 }
        let first = Place(streamID: found.stream, sequence: found.expired + 1)
        let last = Place(streamID: found.stream, sequence: found.end)
        try Aggregates.keep(
            try Aggregates.summarize(database, from: first, through: last), in: database)
        try self.reached(.dailyAdded)
        for table in ["usage_detail", "usage"] {
            try SQLStatement.run(
                database, "DELETE FROM \(table) WHERE id BETWEEN ?1 AND ?2", .integer(first.id), .integer(last.id))
        }
        try SQLStatement.run(database, "DELETE FROM usage_block WHERE block = ?1", .integer(first.block))
        try SQLStatement.run(
            database, "UPDATE stream SET expired = ?2 WHERE id = ?1", .integer(found.stream), .integer(found.end))
        try self.reached(.streamMoved)
        return found.end - found.expired
    }
}
