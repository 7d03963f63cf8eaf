import GRDB
import GatewayAdmission
import GatewayCore
import GatewayLedger

/// Rows of accounts and leases, within one transaction.
struct EscrowTable {
    let database: Database

    private static let columns = """
        account_id, generation, window_start, window_end, limit_amount, terms_position, outstanding, spent, pressure_until
        """

    /// Takes the next turn of a stream; the former ones are fenced.
    func takeTurn(_ streamID: Int64) throws -> Int64 {
        try SQLStatement.first(
            self.database,
            """
            INSERT INTO escrow_stream (stream_id, turn) VALUES (?1, 1)
            ON CONFLICT (stream_id) DO UPDATE SET turn = turn + 1 RETURNING turn
            """, .integer(streamID)
        ) { $0.integer(0) } ?? 0
    }

    /// `false`: somebody else took a turn.
    func move(_ session: EscrowSession) throws -> Bool {
        try SQLStatement.first(
            self.database, "UPDATE escrow_stream SET turn = turn + 1 WHERE stream_id = ?1 AND turn = ?2 RETURNING turn",
            .integer(session.streamID), .integer(session.turn)
        ) { _ in true } ?? false
    }

    func account(_ id: Int64) throws -> EscrowAccountRow? {
        try SQLStatement.first(
            self.database, "SELECT \(Self.columns) FROM account WHERE account_id = ?1", .integer(id)
        ) { row in
            EscrowAccountRow(
                accountID: row.integer(0), generation: row.integer(1), windowStart: row.integer(2),
                windowEnd: row.integer(3), limit: row.integer(4), termsPosition: row.integer(5),
                outstanding: row.integer(6), spent: row.integer(7), pressureUntil: row.integer(8))
        }
    }

    /// A window that is over. `nil`: there was none.
    func past(_ id: Int64, _ generation: Int64) throws -> EscrowAccountRow? {
        try SQLStatement.first(
            self.database,
            """
            SELECT window_start, window_end, limit_amount, outstanding, spent FROM account_past
            WHERE account_id = ?1 AND generation = ?2
            """, .integer(id), .integer(generation)
        ) { row in
            EscrowAccountRow(
                accountID: id, generation: generation, windowStart: row.integer(0), windowEnd: row.integer(1),
                limit: row.integer(2), termsPosition: 0, outstanding: row.integer(3), spent: row.integer(4),
                pressureUntil: 0)
        }
    }

    func store(_ row: EscrowAccountRow) throws {
        try SQLStatement.run(
            self.database,
            """
            UPDATE account SET generation = ?2, window_start = ?3, window_end = ?4, limit_amount = ?5,
                terms_position = ?6, outstanding = ?7, spent = ?8, pressure_until = ?9
            WHERE account_id = ?1
            """, .integer(row.accountID), .integer(row.generation), .integer(row.windowStart),
            .integer(row.windowEnd), .integer(row.limit), .integer(row.termsPosition), .integer(row.outstanding),
            .integer(row.spent), .integer(row.pressureUntil))
    }

    func close(_ row: EscrowAccountRow) throws {
        try SQLStatement.run(
            self.database,
            """
            INSERT INTO account_past (account_id, generation, window_start, window_end, limit_amount, outstanding, spent)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
            """, .integer(row.accountID), .integer(row.generation), .integer(row.windowStart),
            .integer(row.windowEnd), .integer(row.limit), .integer(row.outstanding), .integer(row.spent))
    }

    /// Carries out what an entry says of a window that is over.
    func settlePast(_ account: Int64, generation: Int64, give: Int64, settle: Int64) throws {
        try SQLStatement.run(
            self.database,
            """
            UPDATE account_past SET outstanding = outstanding - ?3, spent = spent + ?4
            WHERE account_id = ?1 AND generation = ?2
            """, .integer(account), .integer(generation), .integer(give), .integer(settle))
    }

    /// `entry` without what it says of a window that is forgotten, or of an account that was.
    func known(_ entry: EscrowEntry, of row: EscrowAccountRow) throws -> EscrowEntry {
        guard entry.generation > 0, entry.generation != row.generation,
            try self.past(row.accountID, entry.generation) == nil
        else { return entry }
        var entry = entry
        (entry.generation, entry.give, entry.settle, entry.cut, entry.closes) = (0, 0, 0, -1, false)
        return entry
    }

    /// Forgets windows that ended before `cutoff`, from the first of an account to the first of which something is held;
    /// the one before the present one stays.
    func forgetWindows(endedBy cutoff: UnixMicroseconds) throws -> Int64 {
        let places = try SQLStatement.all(
            self.database,
            """
            SELECT p.account_id, p.generation FROM account_past p JOIN account b ON b.account_id = p.account_id
            WHERE p.window_end <= ?1 AND p.generation < b.generation - 1 AND NOT EXISTS (
                SELECT 1 FROM account_lease z
                WHERE z.account_id = p.account_id AND z.generation = p.generation AND z.granted <> z.settled)
            LIMIT 1000
            """, [.integer(cutoff.rawValue)]
        ) { ($0.integer(0), $0.integer(1)) }
        for (account, generation) in places {
            for table in ["account_lease", "account_past"] {
                try SQLStatement.run(
                    self.database, "DELETE FROM \(table) WHERE account_id = ?1 AND generation = ?2",
                    .integer(account), .integer(generation))
            }
        }
        return Int64(places.count)
    }

    /// Forgets accounts whose last window ended before `cutoff` and of which nothing is held.
    func forgetAccounts(endedBy cutoff: UnixMicroseconds) throws -> Int64 {
        let accounts = try SQLStatement.all(
            self.database,
            """
            SELECT account_id FROM account b
            WHERE window_end <= ?1 AND NOT EXISTS (
                SELECT 1 FROM account_lease z WHERE z.account_id = b.account_id)
            LIMIT 1000
            """, [.integer(cutoff.rawValue)]
        ) { $0.integer(0) }
        for account in accounts {
            for table in ["account_past", "account"] {
                try SQLStatement.run(
                    self.database, "DELETE FROM \(table) WHERE account_id = ?1", .integer(account))
            }
        }
        return Int64(accounts.count)
    }

    /// Carries out an exchange on this pod's leases.
    func move(lease entry: EscrowEntry, grant: EscrowGrant, streamID: Int64, sequence: Int64) throws {
        let key: [SQLValue] = [.integer(streamID), .integer(entry.accountID)]
        if entry.closes {
            let sql = "DELETE FROM account_lease WHERE stream_id = ?1 AND account_id = ?2 AND generation = ?3"
            try SQLStatement.run(self.database, sql, key[0], key[1], .integer(entry.generation))
        } else if entry.generation > 0, entry.give != 0 || entry.settle != 0 {
            try SQLStatement.run(
                self.database,
                """
                INSERT INTO account_lease (stream_id, account_id, generation, granted, settled, start_seq)
                VALUES (?1, ?2, ?3, -?4, ?5, CASE WHEN ?6 >= 0 THEN ?6 ELSE ?7 END)
                ON CONFLICT (stream_id, account_id, generation) DO UPDATE SET granted = granted - ?4,
                    settled = settled + ?5, start_seq = CASE WHEN ?6 >= 0 THEN ?6 ELSE start_seq END
                """, key[0], key[1], .integer(entry.generation), .integer(entry.give), .integer(entry.settle),
                .integer(entry.cut), .integer(sequence))
        }
        guard grant.granted != 0 else { return }
        try SQLStatement.run(
            self.database,
            """
            INSERT INTO account_lease (stream_id, account_id, generation, granted, settled, start_seq)
            VALUES (?1, ?2, ?3, ?4, 0, ?5)
            ON CONFLICT (stream_id, account_id, generation) DO UPDATE SET granted = granted + ?4
            """, key[0], key[1], .integer(grant.generation), .integer(grant.granted), .integer(sequence))
    }

    /// Closes all leases of a stream. What its usage rows say was consumed stays outstanding; of subjects that rows do
    /// not name, everything that was held.
    func closeLeases(of streamID: Int64) throws {
        let leases = try SQLStatement.all(
            self.database,
            """
            SELECT z.account_id, z.generation, z.granted, z.settled, z.start_seq, b.unit, b.kind, b.subject,
                b.generation = z.generation,
                CASE WHEN b.generation = z.generation THEN b.window_start ELSE p.window_start END,
                CASE WHEN b.generation = z.generation THEN 9223372036854775807 ELSE p.window_end END
            FROM account_lease z JOIN account b ON b.account_id = z.account_id
            LEFT JOIN account_past p ON p.account_id = z.account_id AND p.generation = z.generation
            WHERE z.stream_id = ?1
            """, [.integer(streamID)], read: HeldLease.init)
        for lease in leases {
            let consumed = try self.consumption(of: lease, streamID: streamID)
            let change = consumed - (lease.granted - lease.settled)
            let table = lease.isCurrent ? "account" : "account_past"
            try SQLStatement.run(
                self.database,
                """
                UPDATE \(table) SET outstanding = outstanding + ?3, spent = spent + ?4
                WHERE account_id = ?1 AND generation = ?2
                """, .integer(lease.accountID), .integer(lease.generation), .integer(change), .integer(consumed))
        }
        try SQLStatement.run(self.database, "DELETE FROM account_lease WHERE stream_id = ?1", .integer(streamID))
    }

    private func consumption(of lease: HeldLease, streamID: Int64) throws -> Int64 {
        guard lease.unit == .money else { return 0 }
        guard let condition = Self.condition(of: lease.kind) else { return max(0, lease.granted - lease.settled) }
        let sum = try SQLStatement.first(
            self.database,
            """
            SELECT sum(u.cost) FROM usage u JOIN payer p ON p.id = u.payer_id JOIN route r ON r.id = u.route_id
            WHERE u.id > ?1 AND u.id <= ?2 AND u.started_at >= ?3 AND u.started_at < ?4 AND \(condition("?5"))
            """, .integer(Place(streamID: streamID, sequence: lease.startSequence).id),
            .integer(Place(streamID: streamID, sequence: Place.sequenceMax).id), .integer(lease.windowStart),
            .integer(lease.windowEnd), .text(lease.subject)
        ) { $0.integer(0) }
        return max(0, min(sum ?? 0, EscrowTerms.limitMax))
    }

    /// What has been spent of a subject since the begin of a window, rows that have not been folded yet included; `nil`:
    /// ever. Sums are by day: of the day that the window begins in, the rows before it are taken off again, as far as
    /// they have not been deleted.
    func folded(_ terms: EscrowTerms, since start: UnixMicroseconds?) throws -> Int64 {
        guard terms.unit == .money, terms.subject.kind != .customer,
            let condition = Self.condition(of: terms.subject.kind)
        else { return 0 }
        let subject = SQLValue.text(terms.subject.kind == .proxy ? "" : terms.subject.id)
        let day = start.map { max(0, $0.day) }
        let source = day == nil ? "usage_total" : "usage_daily"
        let sum = try SQLStatement.first(
            self.database,
            """
            SELECT sum(t.spend) FROM \(source) t JOIN payer p ON p.id = t.payer_id JOIN route r ON r.id = t.route_id
            WHERE \(condition("?1")) AND \(day == nil ? "?2 IS NULL" : "t.day >= ?2")
            """, subject, .optional(day)
        ) { $0.integer(0) }
        let rest = try SQLStatement.first(
            self.database,
            """
            SELECT sum(u.cost) FROM stream s
            JOIN usage u ON u.id > (s.id << \(Place.sequenceBits) | s.folded)
                AND u.id <= (s.id << \(Place.sequenceBits) | \(Place.sequenceMax))
            JOIN payer p ON p.id = u.payer_id JOIN route r ON r.id = u.route_id
            WHERE \(condition("?1")) AND u.started_at >= ?2
            """, subject, .integer(start?.rawValue ?? 0)
        ) { $0.integer(0) }
        let (total, isOver) = (sum ?? 0).addingReportingOverflow(rest ?? 0)
        let before = try start.flatMap { start in
            (sum ?? 0) == 0 ? nil : try self.folded(subject, condition("?1"), from: max(0, start.day), before: start)
        }
        return isOver ? EscrowTerms.limitMax : max(0, min(total - (before ?? 0), EscrowTerms.limitMax))
    }

    /// Of a day, what rows before a moment add to its sums.
    private func folded(
        _ subject: SQLValue, _ condition: String, from day: Int64, before end: UnixMicroseconds
    ) throws -> Int64? {
        try SQLStatement.first(
            self.database,
            """
            SELECT sum(u.cost) FROM usage_block b
            JOIN usage u ON u.id BETWEEN b.block * 4096 AND b.block * 4096 + 4095
            JOIN stream s ON s.id = u.id >> \(Place.sequenceBits) AND u.id & \(Place.sequenceMax) <= s.folded
            JOIN payer p ON p.id = u.payer_id JOIN route r ON r.id = u.route_id
            WHERE b.started_min < ?3 AND b.started_max >= ?2 AND u.started_at >= ?2 AND u.started_at < ?3
                AND \(condition)
            """, subject, .integer(day * 86_400_000_000), .integer(end.rawValue)
        ) { $0.optionalInteger(0) } ?? nil
    }

    /// Which rows are a subject's, told from payer `p`, route `r` and the row itself. `nil`: they do not say.
    private static func condition(of kind: SubjectKind) -> ((String) -> String)? {
        let key = """
            lower(substr(hex(p.key_id), 1, 8) || '-' || substr(hex(p.key_id), 9, 4) || '-' || substr(hex(p.key_id), 13, 4)
                || '-' || substr(hex(p.key_id), 17, 4) || '-' || substr(hex(p.key_id), 21))
            """
        return switch kind {
        case .key: { "\(key) = \($0)" }
        case .user: { "p.user_id = \($0)" }
        case .team: { "p.team_id = \($0)" }
        case .teamMember: { "p.team_id || char(10) || p.user_id = \($0)" }
        case .customer: { "u.end_user = \($0)" }
        case .keyModel: { "\(key) || char(10) || r.model_group = \($0)" }
        case .teamModel: { "p.team_id || char(10) || r.model_group = \($0)" }
        case .provider: { "r.provider = \($0)" }
        case .deployment: { "r.deployment_id = \($0)" }
        case .proxy: { "'' = \($0)" }
        case .organization, .organizationMember, .tag: nil
        }
    }
}

private struct HeldLease {
    let accountID, generation, granted, settled, startSequence: Int64
    let unit: EscrowUnit
    let kind: SubjectKind
    let subject: String
    let isCurrent: Bool
    let windowStart, windowEnd: Int64

    init(_ row: SQLStatement) {
        self.accountID = row.integer(0)
        self.generation = row.integer(1)
        self.granted = row.integer(2)
        self.settled = row.integer(3)
        self.startSequence = row.integer(4)
        self.unit = EscrowUnit(rawValue: UInt8(truncatingIfNeeded: row.integer(5))) ?? .money
        self.kind = SubjectKind(rawValue: UInt8(truncatingIfNeeded: row.integer(6))) ?? .tag
        self.subject = row.text(7)
        self.isCurrent = row.integer(8) == 1
        self.windowStart = row.integer(9)
        self.windowEnd = row.integer(10)
    }
}
