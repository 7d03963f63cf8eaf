import GRDB
import GatewayAdmission
import GatewayCore
import GatewayLedger

/// The escrow of a pod that shares its budgets with nobody: the same protocol, so that a killed process costs nothing
/// and the file can be looked at in the same way.
extension SQLiteStore: EscrowStore {
    package func openEscrow(_ journal: JournalID) async throws(LedgerError) -> EscrowSession {
        try await self.write { database in
            let streamID = try SQLStatement.first(
                database, "SELECT id FROM stream WHERE journal = ?1", .blob(journal.bits.bytes)
            ) { $0.integer(0) }
            guard let streamID else { throw LedgerError.notFound("There is no stream of the journal \(journal.text).") }
            let table = EscrowTable(database: database)
            let turn = try table.takeTurn(streamID)
            try table.closeLeases(of: streamID)
            return EscrowSession(streamID: streamID, turn: turn)
        }
    }

    package func addAccounts(_ terms: [EscrowTerms], now: UnixMicroseconds) async throws(LedgerError) {
        try await self.write { database in
            let table = EscrowTable(database: database)
            for one in terms {
                let name = try SQLStatement.first(
                    database, "SELECT name FROM account WHERE account_id = ?1", .integer(one.id)
                ) { $0.text(0) }
                if let name {
                    guard name == one.name else {
                        throw LedgerError.corrupt(
                            "Two budgets or limits have the number \(one.id): rename one of \(one.name).")
                    }
                    continue
                }
                let window = one.bounds(at: now)
                let start = window.end == .max ? nil : UnixMicroseconds(rawValue: window.start)
                let spent = try table.folded(one, since: start)
                try SQLStatement.run(
                    database,
                    """
                    INSERT INTO account (account_id, name, unit, kind, subject, generation, window_start, window_end,
                        limit_amount, terms_position, outstanding, spent, pressure_until)
                    VALUES (?1, ?2, ?3, ?4, ?5, 1, ?6, ?7, ?8, -1, ?9, ?9, 0)
                    """, .integer(one.id), .text(one.name), .integer(Int64(one.unit.rawValue)),
                    .integer(Int64(one.subject.kind.rawValue)),
                    .text(one.subject.kind == .proxy ? "" : one.subject.id), .integer(window.start),
                    .integer(window.end), .integer(one.limit), .integer(spent))
            }
        }
    }

    package func exchange(
        _ entries: [EscrowEntry], in session: EscrowSession, share: Int64, sequence: Int64, position: Int64
    ) async throws(LedgerError) -> EscrowOutcome {
        let now = self.clock.now()
        return try await self.write { database in
            let table = EscrowTable(database: database)
            guard try table.move(session) else { return .fenced }
            var grants: [EscrowGrant] = []
            for said in entries {
                guard var row = try table.account(said.accountID) else { continue }
                let entry = try table.known(said, of: row)
                if entry.generation > 0, entry.generation != row.generation {
                    try table.settlePast(
                        entry.accountID, generation: entry.generation, give: entry.give, settle: entry.settle)
                }
                let previous = entry.rolloverMax > 0 ? try table.past(row.accountID, row.generation - 1) : nil
                let (grant, past) = row.apply(
                    entry, previous: previous, now: now, share: share, position: position)
                if let past { try table.close(past) }
                try table.store(row)
                try table.move(
                    lease: entry, grant: grant, streamID: session.streamID, sequence: min(sequence, entry.start))
                grants.append(grant)
            }
            return .done(grants, now: now)
        }
    }

    package func resyncEscrow(_ streamID: Int64) async throws(LedgerError) -> (EscrowSession, [EscrowLease]) {
        try await self.write { database in
            let turn = try EscrowTable(database: database).takeTurn(streamID)
            let leases = try SQLStatement.all(
                database, "SELECT account_id, generation, granted, settled FROM account_lease WHERE stream_id = ?1",
                [.integer(streamID)]
            ) {
                EscrowLease(
                    accountID: $0.integer(0), generation: $0.integer(1), granted: $0.integer(2), settled: $0.integer(3))
            }
            return (EscrowSession(streamID: streamID, turn: turn), leases)
        }
    }

    package func pressedAccounts(
        _ streamID: Int64
    ) async throws(LedgerError) -> (accounts: [Int64], now: UnixMicroseconds) {
        let now = self.clock.now()
        let accounts = try await self.read { database in
            try SQLStatement.all(
                database,
                """
                SELECT z.account_id FROM account_lease z JOIN account b ON b.account_id = z.account_id
                WHERE z.stream_id = ?1 AND z.granted <> z.settled AND b.pressure_until > ?2
                """, [.integer(streamID), .integer(now.rawValue)]
            ) { $0.integer(0) }
        }
        return (accounts, now)
    }

    package func exchangeRates(
        _ entries: [EscrowEntry], windows: [LimitTerms.Window], share: Int64
    ) async throws(LedgerError) -> (grants: [EscrowGrant], now: UnixMicroseconds) {
        let now = self.clock.now()
        return (self.rates.exchange(entries, windows: windows, share: share, now: now), now)
    }

    /// The only stream is the pod's own, which closes its leases itself.
    package func reclaimEscrow() async throws(LedgerError) -> [String] { [] }

    package func forgetEscrow(_ retention: EscrowRetention) async throws(LedgerError) -> [String] {
        let now = self.clock.now()
        let windows = try await self.forget { table in
            try table.forgetWindows(endedBy: now.advanced(bySeconds: -retention.windows.components.seconds))
        }
        let accounts = try await self.forget { table in
            try table.forgetAccounts(endedBy: now.advanced(bySeconds: -retention.accounts.components.seconds))
        }
        return EscrowRetention.report(windows: windows, accounts: accounts, rates: 0)
    }

    /// A thousand at a time, so that appends wait for milliseconds at most.
    private func forget(
        _ some: @escaping @Sendable (EscrowTable) throws -> Int64
    ) async throws(LedgerError) -> Int64 {
        var sum: Int64 = 0
        while !Task.isCancelled {
            let count = try await self.write { database in try some(EscrowTable(database: database)) }
            sum += count
            if count == 0 { break }
        }
        return sum
    }

    package func standings(of accounts: [Int64]) async throws(LedgerError) -> [EscrowStanding] {
        try await self.read { database in
            try accounts.sorted().compactMap { account in
                try SQLStatement.first(
                    database,
                    """
                    SELECT account_id, name, generation, limit_amount, outstanding, spent, window_end FROM account
                    WHERE account_id = ?1
                    """, .integer(account)
                ) {
                    EscrowStanding(
                        accountID: $0.integer(0), name: $0.text(1), generation: $0.integer(2), limit: $0.integer(3),
                        outstanding: $0.integer(4), spent: $0.integer(5), windowEnd: $0.integer(6))
                }
            }
        }
    }

    package func resetAccount(_ account: Int64) async throws(LedgerError) {
        let now = self.clock.now()
        try await self.write { database in
            let table = EscrowTable(database: database)
            guard var row = try table.account(account) else { return }
            // Calls that began before belong to the window that ends here.
            let past = row.ended(at: max(row.windowStart + 1, min(row.windowEnd - 1, now.rawValue)))
            try table.close(past)
            row.generation += 1
            row.windowStart = past.windowEnd
            row.windowEnd = max(row.windowEnd, row.windowStart + 1)
            (row.outstanding, row.spent) = (0, 0)
            try table.store(row)
        }
    }

    package func verifyEscrow() async throws(LedgerError) -> [String] {
        try await self.read { database in
            try SQLStatement.all(
                database,
                """
                WITH b AS (
                    SELECT account_id, generation, outstanding, spent FROM account
                    UNION ALL SELECT account_id, generation, outstanding, spent FROM account_past
                ), z AS (
                    SELECT account_id, generation, sum(granted - settled) AS held FROM account_lease
                    GROUP BY account_id, generation
                )
                SELECT b.account_id, b.generation, b.outstanding, b.spent, ifnull(z.held, 0)
                FROM b LEFT JOIN z ON z.account_id = b.account_id AND z.generation = b.generation
                WHERE b.outstanding <> b.spent + ifnull(z.held, 0)
                UNION ALL
                SELECT z.account_id, z.generation, 0, 0, z.held FROM z
                WHERE z.held <> 0 AND NOT EXISTS (
                    SELECT 1 FROM b WHERE b.account_id = z.account_id AND b.generation = z.generation)
                LIMIT 100
                """, []
            ) { row in
                "Account \(row.integer(0)), window \(row.integer(1)): \(row.integer(2)) outstanding, but "
                    + "\(row.integer(3)) spent and \(row.integer(4)) held."
            }
        }
    }
}
