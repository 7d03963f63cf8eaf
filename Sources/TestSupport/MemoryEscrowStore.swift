import GatewayAdmission
import GatewayCore
import GatewayLedger

/// The escrow in memory: the reference that the stores on databases are compared with, and what simulations run on.
package actor MemoryEscrowStore: EscrowStore {
    private struct Place: Hashable {
        var account: Int64
        var generation: Int64
    }
    private struct Lease {
        var granted: Int64 = 0
        var settled: Int64 = 0
        var start: Int64 = 0
    }

    private let ledger: any LedgerStore
    private let clock: any WallClock
    private let rates = LocalRates()
    private var accounts: [Int64: (row: EscrowAccountRow, terms: EscrowTerms)] = [:]
    private var past: [Place: EscrowAccountRow] = [:]
    private var turns: [Int64: Int64] = [:]
    private var leases: [Int64: [Place: Lease]] = [:]

    /// - Parameter ledger: whose streams the leases belong to.
    package init(ledger: any LedgerStore, clock: any WallClock) {
        self.ledger = ledger
        self.clock = clock
    }

    package func openEscrow(_ journal: JournalID) async throws(LedgerError) -> EscrowSession {
        guard let streamID = try await self.ledger.standing(of: journal)?.streamID else {
            throw .notFound("There is no stream of the journal \(journal.text).")
        }
        try await self.close(streamID, .everything)
        self.turns[streamID, default: 0] += 1
        return EscrowSession(streamID: streamID, turn: self.turns[streamID, default: 0])
    }

    /// Closes a stream's leases as `reclaimEscrow` does when its pod is given up.
    package func close(_ streamID: Int64, _ closing: EscrowClosing) async throws(LedgerError) {
        self.turns[streamID, default: 0] += 1
        let rows = try await self.ledger.usage(
            UsageQuery(after: (streamID, 0), newestFirst: false, limit: .max)
        ).filter { $0.streamID == streamID }
        /// When the window is over, the calls that began in it are told by their time.
        func window(_ place: Place) -> Range<Int64>? {
            guard let row = self.accounts[place.account]?.row else { return nil }
            if row.generation == place.generation { return row.windowStart..<Int64.max }
            return self.past[place].map { $0.windowStart..<max($0.windowStart, $0.windowEnd) }
        }
        for (place, lease) in self.leases[streamID] ?? [:] {
            guard let (row, terms) = self.accounts[place.account], closing != .permits || terms.unit == .permits else {
                continue
            }
            var consumed: Int64 = 0
            if terms.unit == .money {
                consumed = rows.reduce(0) { sum, row in
                    row.sequence > lease.start && Self.pays(terms.subject, row.event)
                        && (window(place)?.contains(row.event.startedAt.rawValue) ?? true)
                        ? sum + row.event.cost.rawValue : sum
                }
            }
            let change = consumed - (lease.granted - lease.settled)
            if place.generation == row.generation {
                self.accounts[place.account]?.row.outstanding += change
                self.accounts[place.account]?.row.spent += consumed
            } else {
                self.past[place]?.outstanding += change
                self.past[place]?.spent += consumed
            }
            if closing == .writtenOff {
                let total = lease.settled + consumed
                self.leases[streamID]?[place] = Lease(
                    granted: total, settled: total, start: rows.last?.sequence ?? lease.start)
            } else {
                self.leases[streamID]?[place] = nil
            }
        }
    }

    private static func pays(_ subject: Subject, _ event: UsageEvent) -> Bool {
        switch subject.kind {
        case .key: event.payer.keyID.text == subject.id
        case .team: event.payer.teamID == subject.id
        case .user: event.payer.userID == subject.id
        case .provider: event.route.provider == subject.id
        case .deployment: event.route.deploymentID == subject.id
        default: false
        }
    }

    package func addAccounts(_ terms: [EscrowTerms], now: UnixMicroseconds) async throws(LedgerError) {
        for one in terms where self.accounts[one.id] == nil {
            let window = one.bounds(at: now)
            var spent: Int64 = 0
            if one.unit == .money {
                let rows = try await self.ledger.usage(
                    UsageQuery(after: (0, 0), newestFirst: false, limit: .max))
                spent = rows.reduce(0) { sum, row in
                    Self.pays(one.subject, row.event) && row.event.startedAt.rawValue >= window.start
                        ? sum + row.event.cost.rawValue : sum
                }
            }
            self.accounts[one.id] = (
                EscrowAccountRow(
                    accountID: one.id, generation: 1, windowStart: window.start, windowEnd: window.end,
                    limit: one.limit, termsPosition: -1, outstanding: spent, spent: spent, pressureUntil: 0), one
            )
        }
    }

    package func exchange(
        _ entries: [EscrowEntry], in session: EscrowSession, share: Int64, sequence: Int64, position: Int64
    ) async throws(LedgerError) -> EscrowOutcome {
        let streamID = session.streamID
        guard self.turns[streamID] == session.turn else { return .fenced }
        self.turns[streamID] = session.turn + 1
        let now = self.clock.now()
        var grants: [EscrowGrant] = []
        for said in entries {
            guard let account = self.accounts[said.accountID] else { continue }
            var row = account.row
            var entry = said
            if said.generation != row.generation,
                self.past[Place(account: said.accountID, generation: said.generation)] == nil
            {
                (entry.generation, entry.give, entry.settle, entry.cut, entry.closes) = (0, 0, 0, -1, false)
            }
            let own = Place(account: entry.accountID, generation: entry.generation)
            if entry.generation > 0, entry.generation != row.generation {
                self.past[own]?.outstanding -= entry.give
                self.past[own]?.spent += entry.settle
            }
            let previous = self.past[Place(account: entry.accountID, generation: row.generation - 1)]
            let (grant, former) = row.apply(
                entry, previous: previous, now: now, share: share, position: position)
            if let former { self.past[Place(account: entry.accountID, generation: former.generation)] = former }
            self.accounts[entry.accountID]?.row = row
            self.move(streamID, entry, grant, at: min(sequence, entry.start))
            grants.append(grant)
        }
        return .done(grants, now: now)
    }

    private func move(_ streamID: Int64, _ entry: EscrowEntry, _ grant: EscrowGrant, at sequence: Int64) {
        let own = Place(account: entry.accountID, generation: entry.generation)
        if entry.closes {
            self.leases[streamID]?[own] = nil
        } else if entry.generation > 0, entry.give != 0 || entry.settle != 0 {
            self.leases[streamID, default: [:]][own, default: Lease(start: sequence)].granted -= entry.give
            self.leases[streamID]?[own]?.settled += entry.settle
            if entry.cut >= 0 { self.leases[streamID]?[own]?.start = entry.cut }
        }
        guard grant.granted != 0 else { return }
        let place = Place(account: entry.accountID, generation: grant.generation)
        self.leases[streamID, default: [:]][place, default: Lease(start: sequence)].granted += grant.granted
    }

    package func resyncEscrow(_ streamID: Int64) async throws(LedgerError) -> (EscrowSession, [EscrowLease]) {
        self.turns[streamID, default: 0] += 1
        let leases = (self.leases[streamID] ?? [:]).map { place, lease in
            EscrowLease(
                accountID: place.account, generation: place.generation, granted: lease.granted, settled: lease.settled)
        }
        return (EscrowSession(streamID: streamID, turn: self.turns[streamID, default: 0]), leases)
    }

    package func pressedAccounts(
        _ streamID: Int64
    ) async throws(LedgerError) -> (accounts: [Int64], now: UnixMicroseconds) {
        let now = self.clock.now()
        let accounts = (self.leases[streamID] ?? [:]).compactMap { place, lease in
            lease.granted != lease.settled
                && (self.accounts[place.account]?.row.pressureUntil ?? 0) > now.rawValue ? place.account : nil
        }
        return (Array(Set(accounts)).sorted(), now)
    }

    package func exchangeRates(
        _ entries: [EscrowEntry], windows: [LimitTerms.Window], share: Int64
    ) async throws(LedgerError) -> (grants: [EscrowGrant], now: UnixMicroseconds) {
        let now = self.clock.now()
        return (self.rates.exchange(entries, windows: windows, share: share, now: now), now)
    }

    package func reclaimEscrow() async throws(LedgerError) -> [String] { [] }

    package func forgetEscrow(_ retention: EscrowRetention) async throws(LedgerError) -> [String] {
        let now = self.clock.now()
        let held = Set(
            self.leases.values.joined().filter { $0.value.granted != $0.value.settled }.map(\.key))
        let cutoff = now.advanced(bySeconds: -retention.windows.components.seconds).rawValue
        let windows = self.past.filter { place, row in
            row.windowEnd <= cutoff && !held.contains(place)
                && place.generation < (self.accounts[place.account]?.row.generation ?? 0) - 1
        }
        for place in windows.keys {
            self.past[place] = nil
            for streamID in self.leases.keys { self.leases[streamID]?[place] = nil }
        }
        let end = now.advanced(bySeconds: -retention.accounts.components.seconds).rawValue
        let leased = Set(self.leases.values.joined().map(\.key.account))
        let unused = self.accounts.filter { $0.value.row.windowEnd <= end && !leased.contains($0.key) }
        for id in unused.keys {
            self.accounts[id] = nil
            self.past = self.past.filter { $0.key.account != id }
        }
        return EscrowRetention.report(windows: Int64(windows.count), accounts: Int64(unused.count), rates: 0)
    }

    package func standings(of accounts: [Int64]) async throws(LedgerError) -> [EscrowStanding] {
        accounts.sorted().compactMap { id in
            self.accounts[id].map { row, terms in
                EscrowStanding(
                    accountID: id, name: terms.name, generation: row.generation, limit: row.limit,
                    outstanding: row.outstanding, spent: row.spent, windowEnd: row.windowEnd)
            }
        }
    }

    package func resetAccount(_ account: Int64) async throws(LedgerError) {
        guard let row = self.accounts[account]?.row else { return }
        let end = max(row.windowStart + 1, min(row.windowEnd - 1, self.clock.now().rawValue))
        self.past[Place(account: account, generation: row.generation)] = row.ended(at: end)
        self.accounts[account]?.row.windowStart = end
        self.accounts[account]?.row.windowEnd = max(row.windowEnd, end + 1)
        self.accounts[account]?.row.generation += 1
        self.accounts[account]?.row.outstanding = 0
        self.accounts[account]?.row.spent = 0
    }

    package func verifyEscrow() async throws(LedgerError) -> [String] {
        var held: [Place: Int64] = [:]
        for (place, lease) in self.leases.values.joined() { held[place, default: 0] += lease.granted - lease.settled }
        var rows = self.past
        for (id, account) in self.accounts {
            rows[Place(account: id, generation: account.row.generation)] = account.row
        }
        return rows.compactMap { place, row in
            row.outstanding == row.spent + held[place, default: 0]
                ? nil
                : "Account \(place.account), window \(place.generation): \(row.outstanding) outstanding, but "
                    + "\(row.spent) spent and \(held[place, default: 0]) held."
        }
    }
}
