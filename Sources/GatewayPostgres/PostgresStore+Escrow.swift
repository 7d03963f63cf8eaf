import GatewayAdmission
import GatewayCore
import GatewayLedger

extension PostgresStore: EscrowStore {
    package func openEscrow(_ journal: JournalID) async throws(LedgerError) -> EscrowSession {
        var parameters = PostgresParameters()
        parameters.uuid(journal.bits)
        let rows = try await self.run(EscrowSQL.streamNumber, parameters, on: self.writer)
        guard !rows.isEmpty else { throw .notFound("There is no stream of the journal \(journal.text).") }
        let streamID = rows.integer(0, 0)
        // Another process may take a turn in between: then that one is the one that goes on.
        _ = try await self.closeLeases(of: streamID, .everything)
        return EscrowSession(streamID: streamID, turn: try await self.takeTurn(of: streamID))
    }

    private func takeTurn(of streamID: Int64) async throws(LedgerError) -> Int64 {
        var parameters = PostgresParameters()
        parameters.int4(Int32(truncatingIfNeeded: streamID))
        let rows = try await self.run(EscrowSQL.takeTurn, parameters, on: self.writer)
        guard !rows.isEmpty else { throw .notFound("There is no stream \(streamID).") }
        return rows.integer(0, 0)
    }

    /// Fences the pod that holds them, if it lives, then closes.
    /// - Returns: leases that held or had consumed anything, and what keys had consumed of it.
    private func closeLeases(
        of streamID: Int64, _ closing: EscrowClosing
    ) async throws(LedgerError) -> (leases: Int64, consumed: Int64) {
        var attempt = 0
        while true {
            var parameters = PostgresParameters()
            parameters.int4(Int32(truncatingIfNeeded: streamID))
            parameters.int8(try await self.takeTurn(of: streamID))
            parameters.bool(closing == .writtenOff)
            parameters.bool(closing == .permits)
            do {
                let rows = try await self.repeated(
                    EscrowSQL.close, parameters, on: self.writer, timeout: .seconds(60))
                return rows.integer(0, 0) == 1 ? (rows.integer(0, 1), rows.integer(0, 2)) : (0, 0)
            } catch {
                attempt += 1
                // A window was closed meanwhile; the next statement sees it.
                guard error.kind == .selfCheck, attempt < Self.closingsMax else { throw error.ledgerError }
            }
        }
    }

    private static let closingsMax = 5

    package func addAccounts(_ terms: [EscrowTerms], now: UnixMicroseconds) async throws(LedgerError) {
        guard !terms.isEmpty else { return }
        let windows = terms.map { $0.bounds(at: now) }
        var parameters = PostgresParameters()
        parameters.int8Array(terms) { $0.id }
        parameters.textArray(terms) { $0.name }
        parameters.int4Array(terms) { Int32($0.unit.rawValue) }
        parameters.int4Array(terms) { Int32($0.subject.kind.rawValue) }
        parameters.textArray(terms) { $0.subject.kind == .proxy ? "" : $0.subject.id }
        parameters.int8Array(windows) { $0.start }
        parameters.int8Array(windows) { $0.end }
        parameters.int8Array(terms) { $0.limit }
        parameters.int4Array(windows) {
            $0.end == .max ? -1 : Int32(clamping: max(0, UnixMicroseconds(rawValue: $0.start).day))
        }
        _ = try await self.run(EscrowSQL.add, parameters, on: self.writer, timeout: .seconds(30))
        var identifiers = PostgresParameters()
        identifiers.int8Array(terms) { $0.id }
        let rows = try await self.run(EscrowSQL.names, identifiers, on: self.writer)
        var names: [Int64: String] = [:]
        for row in 0..<rows.count { names[rows.integer(row, 0)] = rows.text(row, 1) }
        for one in terms where names[one.id].map({ $0 != one.name }) ?? false {
            throw .corrupt("Two budgets or limits have the number \(one.id): rename one of \(one.name).")
        }
    }

    package func exchange(
        _ entries: [EscrowEntry], in session: EscrowSession, share: Int64, sequence: Int64, position: Int64
    ) async throws(LedgerError) -> EscrowOutcome {
        var parameters = PostgresParameters(capacity: entries.count * 160 + 512)
        parameters.int4(Int32(truncatingIfNeeded: session.streamID))
        parameters.int8(session.turn)
        parameters.int8(max(1, share))
        parameters.int8(sequence)
        parameters.int8(position)
        parameters.int8Array(entries) { $0.accountID }
        parameters.int8Array(entries) { $0.generation }
        parameters.int8Array(entries) { $0.give }
        parameters.int8Array(entries) { $0.settle }
        parameters.int8Array(entries) { $0.cut }
        parameters.int4Array(entries) { $0.closes ? 1 : 0 }
        parameters.int8Array(entries) { $0.least }
        parameters.int8Array(entries) { $0.most }
        parameters.int4Array(entries) { $0.takesRest ? 1 : 0 }
        parameters.int8Array(entries) { $0.limit }
        parameters.int8Array(entries) { $0.windowStart }
        parameters.int8Array(entries) { $0.windowEnd }
        parameters.int8Array(entries) { $0.start }
        parameters.int8Array(entries) { $0.rolloverMax }
        // A deadlock or a serialization failure is no outcome: the statement did nothing and may be repeated.
        let rows: PostgresRows
        do {
            rows = try await self.repeated(EscrowSQL.exchange, parameters, on: self.writer)
        } catch {
            throw error.ledgerError
        }
        guard rows.integer(0, 0) == 1 else { return .fenced }
        let grants = (0..<rows.count).compactMap { row -> EscrowGrant? in
            guard !rows.isNull(row, 2) else { return nil }
            return EscrowGrant(
                accountID: rows.integer(row, 2), generation: rows.integer(row, 3), granted: rows.integer(row, 4),
                limit: rows.integer(row, 5), outstanding: rows.integer(row, 6), spent: rows.integer(row, 7),
                windowEnd: rows.integer(row, 8), isUnderPressure: rows.bool(row, 9))
        }
        return .done(grants, now: UnixMicroseconds(rawValue: rows.integer(0, 1)))
    }

    package func resyncEscrow(_ streamID: Int64) async throws(LedgerError) -> (EscrowSession, [EscrowLease]) {
        let turn = try await self.takeTurn(of: streamID)
        var parameters = PostgresParameters()
        parameters.int4(Int32(truncatingIfNeeded: streamID))
        let rows = try await self.run(EscrowSQL.leases, parameters, on: self.writer)
        let leases = (0..<rows.count).map { row in
            EscrowLease(
                accountID: rows.integer(row, 0), generation: rows.integer(row, 1), granted: rows.integer(row, 2),
                settled: rows.integer(row, 3))
        }
        return (EscrowSession(streamID: streamID, turn: turn), leases)
    }

    package func pressedAccounts(
        _ streamID: Int64
    ) async throws(LedgerError) -> (accounts: [Int64], now: UnixMicroseconds) {
        var parameters = PostgresParameters()
        parameters.int4(Int32(truncatingIfNeeded: streamID))
        let rows = try await self.run(EscrowSQL.pressed, parameters, on: self.writer)
        let accounts = (0..<rows.count).compactMap { rows.optionalInteger($0, 1) }
        return (accounts, UnixMicroseconds(rawValue: rows.integer(0, 0)))
    }

    package func exchangeRates(
        _ entries: [EscrowEntry], windows: [LimitTerms.Window], share: Int64
    ) async throws(LedgerError) -> (grants: [EscrowGrant], now: UnixMicroseconds) {
        var (grants, now) = try await self.exchangeKnownRates(entries, windows: windows, share: share)
        if grants.count < entries.count {
            var parameters = PostgresParameters()
            let known = Set(grants.map(\.accountID))
            let missing = entries.indices.filter { !known.contains(entries[$0].accountID) }
            parameters.int8Array(missing) { entries[$0].accountID }
            _ = try await self.run(EscrowSQL.addRates, parameters, on: self.writer)
            let (rest, later) = try await self.exchangeKnownRates(
                missing.map { entries[$0] }, windows: missing.map { windows[$0] }, share: share)
            grants += rest
            now = later
        }
        return (grants, now)
    }

    private func exchangeKnownRates(
        _ entries: [EscrowEntry], windows: [LimitTerms.Window], share: Int64
    ) async throws(LedgerError) -> ([EscrowGrant], UnixMicroseconds) {
        var parameters = PostgresParameters()
        parameters.int8(max(1, share))
        parameters.int8Array(entries) { $0.accountID }
        parameters.int8Array(entries) { $0.generation }
        parameters.int8Array(entries) { $0.give }
        parameters.int8Array(entries) { $0.least }
        parameters.int8Array(entries) { $0.most }
        parameters.int8Array(entries) { $0.limit }
        parameters.int8Array(windows) { $0.bucketMicroseconds }
        parameters.int4Array(windows) { Int32($0.bucketCount) }
        parameters.int8Array(entries) { $0.kept }
        let corrections = entries.flatMap { entry in entry.corrections.map { (entry.accountID, $0) } }
        parameters.int8Array(corrections) { $0.0 }
        parameters.int8Array(corrections) { $0.1.generation }
        parameters.int8Array(corrections) { $0.1.amount }
        let rows: PostgresRows
        do {
            rows = try await self.repeated(EscrowSQL.rates, parameters, on: self.writer)
        } catch {
            throw error.ledgerError
        }
        let grants = (0..<rows.count).compactMap { row -> EscrowGrant? in
            guard !rows.isNull(row, 1) else { return nil }
            return EscrowGrant(
                accountID: rows.integer(row, 1), generation: rows.integer(row, 2), granted: rows.integer(row, 3),
                limit: rows.integer(row, 4), outstanding: rows.integer(row, 5), spent: 0,
                windowEnd: rows.integer(row, 6), isUnderPressure: rows.bool(row, 7))
        }
        return (grants, UnixMicroseconds(rawValue: rows.integer(0, 0)))
    }

    package func reclaimEscrow() async throws(LedgerError) -> [String] {
        let rows = try await self.run(EscrowSQL.abandoned, on: self.writer)
        var report: [String] = []
        for row in 0..<rows.count {
            let streamID = rows.integer(row, 0)
            let closing: EscrowClosing =
                switch rows.integer(row, 1) {
                case 1: .permits
                case 2: .writtenOff
                default: .everything
                }
            let (leases, _) = try await self.closeLeases(of: streamID, closing)
            if leases > 0, closing != .permits {
                report.append("\(leases) slices of budgets that stream \(streamID) held were closed.")
            }
        }
        return report
    }

    package func forgetEscrow(_ retention: EscrowRetention) async throws(LedgerError) -> [String] {
        _ = try await self.forget(EscrowSQL.closeOld, after: retention.windows)
        let windows = try await self.forget(EscrowSQL.forgetOld, after: nil)
        let accounts = try await self.forget(EscrowSQL.forgetAccounts, after: retention.accounts)
        let rates = try await self.forget(EscrowSQL.forgetRates, after: retention.windows)
        return EscrowRetention.report(windows: windows, accounts: accounts, rates: rates)
    }

    /// A thousand at a time, so that no pod waits for long.
    private func forget(_ statement: PostgresStatement, after age: Duration?) async throws(LedgerError) -> Int64 {
        var parameters = PostgresParameters()
        if let age { parameters.int8(age.wholeMicroseconds) }
        var sum: Int64 = 0
        do {
            while !Task.isCancelled {
                let count = try await self.repeated(
                    statement, parameters, on: self.reader, timeout: .seconds(60)
                ).integer(0, 0)
                sum += count
                if count == 0 { break }
            }
        } catch {
            throw error.ledgerError
        }
        return sum
    }

    package func standings(of accounts: [Int64]) async throws(LedgerError) -> [EscrowStanding] {
        var parameters = PostgresParameters()
        parameters.int8Array(accounts) { $0 }
        let rows = try await self.run(EscrowSQL.standings, parameters, on: self.reader)
        return (0..<rows.count).map { row in
            EscrowStanding(
                accountID: rows.integer(row, 0), name: rows.text(row, 1), generation: rows.integer(row, 2),
                limit: rows.integer(row, 3), outstanding: rows.integer(row, 4), spent: rows.integer(row, 5),
                windowEnd: rows.integer(row, 6))
        }
    }

    package func resetAccount(_ account: Int64) async throws(LedgerError) {
        var parameters = PostgresParameters()
        parameters.int8(account)
        _ = try await self.run(EscrowSQL.reset, parameters, on: self.writer)
    }

    package func verifyEscrow() async throws(LedgerError) -> [String] {
        let rows = try await self.run(EscrowSQL.verify, on: self.reader, timeout: .seconds(60))
        return (0..<rows.count).map { row in
            "Account \(rows.integer(row, 0)), window \(rows.integer(row, 1)): \(rows.integer(row, 2)) outstanding, but "
                + "\(rows.integer(row, 3)) spent and \(rows.integer(row, 4)) held."
        }
    }
}
