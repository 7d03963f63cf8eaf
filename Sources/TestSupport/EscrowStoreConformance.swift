import GatewayAdmission
import GatewayCore
import GatewayLedger
import Testing

/// What every `EscrowStore` must do; used as `LedgerStoreBehaviour`.
package struct EscrowStoreBehaviour: Sendable, CustomTestStringConvertible {
    /// A fresh, empty store that keeps streams and usage rows as well.
    package typealias Factory = @Sendable () async throws -> (escrow: any EscrowStore, ledger: any LedgerStore)

    package let name: String
    package let check: @Sendable (Factory) async throws -> Void

    package var testDescription: String { self.name }
}

package enum EscrowStoreConformance {
    package static let behaviours = [
        EscrowStoreBehaviour(name: "never grants beyond the limit") { try await neverBeyond($0()) },
        EscrowStoreBehaviour(name: "gives the rest only to those who take it") { try await givesRest($0()) },
        EscrowStoreBehaviour(name: "fences a turn that was taken") { try await fences($0()) },
        EscrowStoreBehaviour(name: "knows what a pod holds after a lost answer") { try await resyncs($0()) },
        EscrowStoreBehaviour(name: "closes leases by usage rows when a pod starts again") { try await reopens($0()) },
        EscrowStoreBehaviour(name: "takes reports once and counts rows after them") { try await reports($0()) },
        EscrowStoreBehaviour(name: "settles into a window that was reset") { try await settlesPast($0()) },
        EscrowStoreBehaviour(name: "begins a window anew when it is over") { try await rolls($0()) },
        EscrowStoreBehaviour(name: "lets roll over what a window did not use") { try await rollsOver($0()) },
        EscrowStoreBehaviour(name: "lets roll over nothing after a reset") { try await forfeits($0()) },
        EscrowStoreBehaviour(name: "tells holders that somebody wants more") { try await presses($0()) },
        EscrowStoreBehaviour(name: "takes newer terms and keeps them") { try await takesTerms($0()) },
        EscrowStoreBehaviour(name: "says nothing of accounts it does not have") { try await skipsUnknown($0()) },
        EscrowStoreBehaviour(name: "begins with what was spent in the window, not before it") {
            try await startsWithSpend($0())
        },
        EscrowStoreBehaviour(name: "forgets windows that are long over") { try await forgetsWindows($0()) },
        EscrowStoreBehaviour(name: "forgets accounts that nobody uses") { try await forgetsAccounts($0()) },
        EscrowStoreBehaviour(name: "counts rates by window") { try await countsRates($0()) },
        EscrowStoreBehaviour(name: "counts sliding rates by slice") { try await countsSlidingRates($0()) },
    ]

    private typealias Pair = (escrow: any EscrowStore, ledger: any LedgerStore)

    private static let payer = LedgerSample.payer(1, user: "u", team: "t")

    private static func terms(
        limit: Int64 = 1000, window: BudgetWindow = .lifetime, label: String = "", kind: SubjectKind = .key
    ) -> EscrowTerms {
        let id = kind == .key ? Self.payer.keyID.text : kind == .team ? "t" : "other"
        return EscrowTerms(
            BudgetTerms(
                subject: Subject(kind, id), label: label, limit: NanoUSD(rawValue: limit), window: window,
                mode: .strict, softLimit: nil))
    }

    private static let now = UnixMicroseconds(rawValue: 1_795_348_800_000_000)

    private static func ask(_ terms: EscrowTerms, least: Int64, most: Int64, generation: Int64 = 0) -> EscrowEntry {
        var entry = EscrowEntry(accountID: terms.id, limit: terms.limit)
        (entry.least, entry.most, entry.generation) = (least, most, generation)
        (entry.windowStart, entry.windowEnd) = terms.bounds(at: Self.now)
        return entry
    }

    private static func open(_ pair: Pair, _ number: UInt64) async throws -> (EscrowSession, StreamPosition) {
        let position = try await pair.ledger.takeStream(LedgerSample.journal(number))
        return (try await pair.escrow.openEscrow(LedgerSample.journal(number)), position)
    }

    /// Sends entries and moves the session on.
    private static func send(
        _ store: any EscrowStore, _ session: inout EscrowSession, _ entries: [EscrowEntry], share: Int64 = 4,
        sequence: Int64 = 0, position: Int64 = 1
    ) async throws -> [EscrowGrant] {
        let outcome = try await store.exchange(
            entries, in: session, share: share, sequence: sequence, position: position)
        guard case .done(let grants, _) = outcome else {
            Issue.record("fenced")
            return []
        }
        session.turn += 1
        #expect(try await store.verifyEscrow() == [])
        return grants
    }

    private static func neverBeyond(_ pair: Pair) async throws {
        let terms = Self.terms()
        try await pair.escrow.addAccounts([terms], now: Self.now)
        var (session, _) = try await Self.open(pair, 1)
        let first = try await Self.send(pair.escrow, &session, [Self.ask(terms, least: 10, most: 900)])
        #expect(first.map(\.granted) == [250])
        let second = try await Self.send(pair.escrow, &session, [Self.ask(terms, least: 700, most: 700, generation: 1)])
        #expect(second.map(\.granted) == [700])
        let third = try await Self.send(pair.escrow, &session, [Self.ask(terms, least: 51, most: 60, generation: 1)])
        #expect(third.map(\.granted) == [0] && third.map(\.outstanding) == [950])
        var back = Self.ask(terms, least: 0, most: 0, generation: 1)
        back.give = 900
        let fourth = try await Self.send(pair.escrow, &session, [back])
        #expect(fourth.map(\.outstanding) == [50])
        var debt = Self.ask(terms, least: 0, most: 0, generation: 1)
        debt.give = -2000
        #expect(try await Self.send(pair.escrow, &session, [debt]).map(\.outstanding) == [2050])
    }

    private static func givesRest(_ pair: Pair) async throws {
        let terms = Self.terms()
        try await pair.escrow.addAccounts([terms], now: Self.now)
        var (session, _) = try await Self.open(pair, 1)
        var entry = Self.ask(terms, least: 1500, most: 1500)
        #expect(try await Self.send(pair.escrow, &session, [entry]).map(\.granted) == [0])
        entry.takesRest = true
        #expect(try await Self.send(pair.escrow, &session, [entry]).map(\.granted) == [1000])
    }

    private static func fences(_ pair: Pair) async throws {
        let terms = Self.terms()
        try await pair.escrow.addAccounts([terms], now: Self.now)
        var (session, _) = try await Self.open(pair, 1)
        let stale = session
        _ = try await Self.send(pair.escrow, &session, [Self.ask(terms, least: 10, most: 10)])
        let outcome = try await pair.escrow.exchange(
            [Self.ask(terms, least: 10, most: 10)], in: stale, share: 1, sequence: 0, position: 1)
        #expect(outcome == .fenced)
        _ = try await pair.escrow.openEscrow(LedgerSample.journal(1))
        #expect(
            try await pair.escrow.exchange(
                [Self.ask(terms, least: 10, most: 10)], in: session, share: 1, sequence: 0, position: 1) == .fenced)
        #expect(try await pair.escrow.standings(of: [terms.id]).map(\.outstanding) == [0])
    }

    private static func resyncs(_ pair: Pair) async throws {
        let (terms, other) = (Self.terms(), Self.terms(kind: .team))
        try await pair.escrow.addAccounts([terms, other], now: Self.now)
        var (session, _) = try await Self.open(pair, 1)
        var (second, _) = try await Self.open(pair, 2)
        _ = try await Self.send(
            pair.escrow, &session, [Self.ask(terms, least: 100, most: 100), Self.ask(other, least: 7, most: 7)])
        _ = try await Self.send(pair.escrow, &second, [Self.ask(terms, least: 5, most: 5)])
        let (fresh, leases) = try await pair.escrow.resyncEscrow(session.streamID)
        #expect(fresh.turn > session.turn)
        #expect(
            Set(leases) == [
                EscrowLease(accountID: terms.id, generation: 1, granted: 100, settled: 0),
                EscrowLease(accountID: other.id, generation: 1, granted: 7, settled: 0),
            ])
    }

    private static func event(_ number: Int64, cost: Int64) -> UsageEvent {
        var event = LedgerSample.event(number, payer: Self.payer, route: LedgerSample.route("a"))
        event.cost = NanoUSD(rawValue: cost)
        event.startedAt = Self.now
        return event
    }

    private static func reopens(_ pair: Pair) async throws {
        let accounts = [Self.terms(), Self.terms(kind: .team), Self.terms(kind: .tag), Self.terms(kind: .proxy)]
        try await pair.escrow.addAccounts(accounts, now: Self.now)
        var (session, position) = try await Self.open(pair, 1)
        _ = try await Self.send(pair.escrow, &session, accounts.map { Self.ask($0, least: 100, most: 100) })
        _ = try await pair.ledger.append([Self.event(1, cost: 30), Self.event(2, cost: 12)], at: position)
        _ = try await pair.escrow.openEscrow(LedgerSample.journal(1))
        #expect(try await pair.escrow.verifyEscrow() == [])
        let standings = try await pair.escrow.standings(of: accounts.prefix(2).map(\.id))
        #expect(standings.allSatisfy { $0.outstanding == 42 && $0.spent == 42 }, "\(standings)")
        // What rows cannot tell counts as spent.
        #expect(try await pair.escrow.standings(of: [accounts[2].id]).map(\.spent).allSatisfy { $0 == 100 || $0 == 0 })
    }

    private static func reports(_ pair: Pair) async throws {
        let terms = Self.terms()
        try await pair.escrow.addAccounts([terms], now: Self.now)
        var (session, position) = try await Self.open(pair, 1)
        _ = try await Self.send(pair.escrow, &session, [Self.ask(terms, least: 100, most: 100)])
        _ = try await pair.ledger.append([Self.event(1, cost: 30)], at: position)
        var report = Self.ask(terms, least: 0, most: 0, generation: 1)
        (report.settle, report.cut) = (30, 1)
        let grants = try await Self.send(pair.escrow, &session, [report], sequence: 1)
        #expect(grants.map(\.spent) == [30] && grants.map(\.outstanding) == [100])
        position.applied = 1
        _ = try await pair.ledger.append([Self.event(2, cost: 5)], at: position)
        _ = try await pair.escrow.openEscrow(LedgerSample.journal(1))
        let standing = try await pair.escrow.standings(of: [terms.id])
        #expect(standing.map(\.outstanding) == [35] && standing.map(\.spent) == [35])
        #expect(try await pair.escrow.verifyEscrow() == [])
    }

    private static func settlesPast(_ pair: Pair) async throws {
        let terms = Self.terms()
        try await pair.escrow.addAccounts([terms], now: Self.now)
        var (session, _) = try await Self.open(pair, 1)
        _ = try await Self.send(pair.escrow, &session, [Self.ask(terms, least: 100, most: 100)])
        try await pair.escrow.resetAccount(terms.id)
        #expect(try await pair.escrow.verifyEscrow() == [])
        var entry = Self.ask(terms, least: 900, most: 900, generation: 1)
        (entry.give, entry.settle, entry.cut) = (60, 40, 1)
        let grants = try await Self.send(pair.escrow, &session, [entry])
        #expect(grants.map(\.generation) == [2] && grants.map(\.granted) == [900])
        let leases = try await pair.escrow.resyncEscrow(session.streamID).1
        #expect(
            Set(leases) == [
                EscrowLease(accountID: terms.id, generation: 1, granted: 40, settled: 40),
                EscrowLease(accountID: terms.id, generation: 2, granted: 900, settled: 0),
            ])
    }

    private static func rolls(_ pair: Pair) async throws {
        // A window that was over long ago.
        let terms = Self.terms(
            window: .rolling(seconds: 60, anchor: UnixMicroseconds(rawValue: 0)), label: "60s")
        try await pair.escrow.addAccounts([terms], now: UnixMicroseconds(rawValue: 60_000_000))
        var (session, _) = try await Self.open(pair, 1)
        var stale = Self.ask(terms, least: 10, most: 10)
        (stale.windowStart, stale.windowEnd) = (60_000_000, 120_000_000)
        let first = try await Self.send(pair.escrow, &session, [stale])
        #expect(first.map(\.generation) == [1] && first.map(\.granted) == [10])
        var fresh = Self.ask(terms, least: 1000, most: 1000, generation: 1)
        (fresh.windowStart, fresh.windowEnd, fresh.give) = (1, 1 << 60, 4)
        let second = try await Self.send(pair.escrow, &session, [fresh])
        #expect(second.map(\.generation) == [2] && second.map(\.granted) == [1000])
        #expect(second.map(\.windowEnd) == [1 << 60])
    }

    /// Windows of a minute in 1970; the last one lasts.
    private static func inWindow(
        _ start: Int64, _ terms: EscrowTerms, generation: Int64, most: Int64, rollover: Int64
    ) -> EscrowEntry {
        var entry = Self.ask(terms, least: min(1, most), most: most, generation: generation)
        (entry.windowStart, entry.windowEnd, entry.rolloverMax) = (start, 1 << 60, rollover)
        return entry
    }

    private static func rollingOver(_ pair: Pair) async throws -> (EscrowTerms, EscrowSession) {
        let terms = Self.terms(window: .rolling(seconds: 60, anchor: UnixMicroseconds(rawValue: 0)), label: "60s")
        try await pair.escrow.addAccounts([terms], now: UnixMicroseconds(rawValue: 60_000_000))
        var (session, _) = try await Self.open(pair, 1)
        var first = Self.ask(terms, least: 10, most: 10)
        (first.windowStart, first.windowEnd, first.rolloverMax) = (60_000_000, 120_000_000, 5000)
        _ = try await Self.send(pair.escrow, &session, [first])
        return (terms, session)
    }

    private static func rollsOver(_ pair: Pair) async throws {
        var (terms, session) = try await Self.rollingOver(pair)
        var entry = Self.inWindow(120_000_000, terms, generation: 1, most: 5000, rollover: 300)
        entry.give = 4
        let bounded = try await Self.send(pair.escrow, &session, [entry], share: 1)
        #expect(bounded.map(\.limit) == [1300] && bounded.map(\.granted) == [1300])
        entry = Self.inWindow(120_000_000, terms, generation: 2, most: 5000, rollover: 5000)
        let more = try await Self.send(pair.escrow, &session, [entry], share: 1)
        #expect(more.map(\.limit) == [1994] && more.map(\.granted) == [694])
        // What comes back of the former window rolls over, too.
        entry = Self.inWindow(120_000_000, terms, generation: 1, most: 0, rollover: 5000)
        entry.give = 6
        _ = try await Self.send(pair.escrow, &session, [entry], share: 1)
        entry = Self.inWindow(120_000_000, terms, generation: 2, most: 5000, rollover: 5000)
        #expect(try await Self.send(pair.escrow, &session, [entry], share: 1).map(\.granted) == [6])
        entry = Self.inWindow(120_000_000, terms, generation: 2, most: 5000, rollover: 0)
        let none = try await Self.send(pair.escrow, &session, [entry], share: 1)
        #expect(none.map(\.limit) == [1000] && none.map(\.granted) == [0])
    }

    private static func forfeits(_ pair: Pair) async throws {
        var (terms, session) = try await Self.rollingOver(pair)
        // A window between the two, in which nobody asked.
        var entry = Self.inWindow(180_000_000, terms, generation: 1, most: 1, rollover: 400)
        #expect(try await Self.send(pair.escrow, &session, [entry]).map(\.limit) == [1400])
        try await pair.escrow.resetAccount(terms.id)
        entry = Self.inWindow(180_000_000, terms, generation: 0, most: 1, rollover: 400)
        let after = try await Self.send(pair.escrow, &session, [entry])
        #expect(after.map(\.generation) == [3] && after.map(\.limit) == [1000])
    }

    private static func startsWithSpend(_ pair: Pair) async throws {
        var (_, position) = try await Self.open(pair, 1)
        // Midnight, an hour later, two, and the day after.
        let events = [0, 3600, 7200, 86_400].enumerated().map { index, second in
            var event = Self.event(Int64(index + 1), cost: [1000, 200, 30, 4][index])
            event.startedAt = Self.now.advanced(bySeconds: Int64(second))
            return event
        }
        func check(_ seconds: Int64, _ spent: Int64, _ kind: SubjectKind, at hour: Int64) async throws {
            // Of another name each time, so that it is another account.
            let terms = Self.terms(
                window: .rolling(seconds: seconds, anchor: Self.now.advanced(bySeconds: hour * 3600)),
                label: "\(seconds)s \(hour) \(spent) \(position.applied)", kind: kind)
            try await pair.escrow.addAccounts([terms], now: Self.now.advanced(bySeconds: hour * 3600 + 1))
            #expect(
                try await pair.escrow.standings(of: [terms.id]).map(\.spent) == [spent],
                "\(seconds) s from hour \(hour), \(kind)")
        }
        _ = try await pair.ledger.append(Array(events[..<2]), at: position)
        position.applied = 2
        for kind in [SubjectKind.key, .team] {
            try await check(3600, 200, kind, at: 1)
            try await check(7200, 1200, kind, at: 0)
        }
        _ = try await pair.ledger.fold()
        for kind in [SubjectKind.key, .team] {
            try await check(3600, 200, kind, at: 1)
            try await check(86_400, 1200, kind, at: 0)
        }
        // Some rows are folded, others are not.
        _ = try await pair.ledger.append(Array(events[2...]), at: position)
        position.applied = 4
        for kind in [SubjectKind.key, .team] {
            try await check(3 * 86_400, 234, kind, at: 1)
            try await check(3 * 86_400, 34, kind, at: 2)
            try await check(3 * 86_400, 4, kind, at: 3)
            try await check(3 * 86_400, 1234, kind, at: 0)
        }
    }

    private static let soon = EscrowRetention(windows: .seconds(60), accounts: .seconds(60))

    private static func forgetsWindows(_ pair: Pair) async throws {
        let terms = Self.terms(window: .rolling(seconds: 60, anchor: UnixMicroseconds(rawValue: 0)), label: "60s")
        try await pair.escrow.addAccounts([terms], now: UnixMicroseconds(rawValue: 60_000_000))
        var (session, _) = try await Self.open(pair, 1)
        func windows(_ start: Int64, _ end: Int64, _ generation: Int64, _ change: (inout EscrowEntry) -> Void)
            async throws -> [EscrowGrant]
        {
            var entry = Self.ask(terms, least: 0, most: 0, generation: generation)
            (entry.windowStart, entry.windowEnd) = (start, end)
            change(&entry)
            return try await Self.send(pair.escrow, &session, [entry])
        }
        _ = try await windows(60_000_000, 120_000_000, 0) { ($0.least, $0.most) = (10, 10) }
        // Of the second window nobody asks for anything, and the third one lasts.
        let future = Int64(1) << 60
        #expect(try await windows(120_000_000, future, 1) { $0.give = 4 }.map(\.generation) == [2])
        try await pair.escrow.resetAccount(terms.id)
        let third = try await windows(120_000_000, future, 0) { ($0.least, $0.most) = (7, 7) }
        #expect(third.map(\.generation) == [3] && third.map(\.outstanding) == [7])
        // This pod holds something of the first one.
        #expect(try await pair.escrow.forgetEscrow(Self.soon) == [])
        _ = try await windows(120_000_000, future, 1) { ($0.give, $0.settle, $0.cut) = (1, 5, 1) }
        #expect(try await pair.escrow.forgetEscrow(Self.soon) == ["Forgot 1 windows of budgets that were over."])
        #expect(try await pair.escrow.forgetEscrow(Self.soon) == [])
        #expect(try await pair.escrow.verifyEscrow() == [])
        let leases = try await pair.escrow.resyncEscrow(session.streamID)
        session = leases.0
        #expect(leases.1 == [EscrowLease(accountID: terms.id, generation: 3, granted: 7, settled: 0)])
        // What is said of it late does no harm, and asks for the present one are met.
        let late = try await windows(120_000_000, future, 1) {
            ($0.give, $0.settle, $0.cut, $0.least, $0.most) = (3, 2, 9, 20, 20)
        }
        #expect(late.map(\.generation) == [3] && late.map(\.granted) == [20] && late.map(\.outstanding) == [27])
        _ = try await windows(120_000_000, future, 1) { $0.closes = true }
        _ = try await pair.escrow.openEscrow(LedgerSample.journal(1))
        #expect(try await pair.escrow.verifyEscrow() == [])
        #expect(try await pair.escrow.standings(of: [terms.id]).map(\.outstanding) == [0])
    }

    private static func forgetsAccounts(_ pair: Pair) async throws {
        let terms = Self.terms(window: .rolling(seconds: 60, anchor: UnixMicroseconds(rawValue: 0)), label: "60s")
        let lasting = Self.terms(kind: .team)
        try await pair.escrow.addAccounts([terms, lasting], now: UnixMicroseconds(rawValue: 60_000_000))
        var (session, _) = try await Self.open(pair, 1)
        var entry = Self.ask(terms, least: 10, most: 10)
        (entry.windowStart, entry.windowEnd) = (60_000_000, 120_000_000)
        _ = try await Self.send(pair.escrow, &session, [entry])
        #expect(try await pair.escrow.forgetEscrow(Self.soon) == [])
        var back = Self.ask(terms, least: 0, most: 0, generation: 1)
        (back.windowStart, back.windowEnd, back.give, back.closes) = (60_000_000, 120_000_000, 10, true)
        _ = try await Self.send(pair.escrow, &session, [back])
        #expect(
            try await pair.escrow.forgetEscrow(Self.soon) == ["Forgot 1 budgets that were not used any more."])
        #expect(try await pair.escrow.standings(of: [terms.id, lasting.id]).map(\.accountID) == [lasting.id])
        // It is made anew, and its windows are counted from the first.
        var stale = Self.ask(terms, least: 5, most: 5, generation: 9)
        (stale.windowStart, stale.windowEnd, stale.give) = (60_000_000, 120_000_000, 3)
        #expect(try await Self.send(pair.escrow, &session, [stale]) == [])
        try await pair.escrow.addAccounts([terms], now: UnixMicroseconds(rawValue: 60_000_000))
        let grants = try await Self.send(pair.escrow, &session, [stale])
        #expect(grants.map(\.generation) == [1] && grants.map(\.granted) == [5] && grants.map(\.outstanding) == [5])
    }

    private static func presses(_ pair: Pair) async throws {
        let terms = Self.terms()
        try await pair.escrow.addAccounts([terms], now: Self.now)
        var (first, _) = try await Self.open(pair, 1)
        var (second, _) = try await Self.open(pair, 2)
        _ = try await Self.send(pair.escrow, &first, [Self.ask(terms, least: 990, most: 990)])
        #expect(try await pair.escrow.pressedAccounts(first.streamID).accounts == [])
        let grants = try await Self.send(pair.escrow, &second, [Self.ask(terms, least: 20, most: 20)])
        #expect(grants.map(\.isUnderPressure) == [true])
        #expect(try await pair.escrow.pressedAccounts(first.streamID).accounts == [terms.id])
        #expect(try await pair.escrow.pressedAccounts(second.streamID).accounts == [])
    }

    private static func takesTerms(_ pair: Pair) async throws {
        let (terms, raised) = (Self.terms(), Self.terms(limit: 5000))
        try await pair.escrow.addAccounts([terms], now: Self.now)
        var (session, _) = try await Self.open(pair, 1)
        let first = try await Self.send(
            pair.escrow, &session, [Self.ask(raised, least: 2000, most: 2000)], position: 7)
        #expect(first.map(\.limit) == [5000] && first.map(\.granted) == [2000])
        let second = try await Self.send(
            pair.escrow, &session, [Self.ask(terms, least: 1, most: 1, generation: 1)], position: 6)
        #expect(second.map(\.limit) == [5000])
    }

    private static func skipsUnknown(_ pair: Pair) async throws {
        let (terms, other) = (Self.terms(), Self.terms(kind: .team))
        try await pair.escrow.addAccounts([terms], now: Self.now)
        try await pair.escrow.addAccounts([terms], now: Self.now)
        var (session, _) = try await Self.open(pair, 1)
        let grants = try await Self.send(
            pair.escrow, &session, [Self.ask(terms, least: 1, most: 1), Self.ask(other, least: 1, most: 1)])
        #expect(grants.map(\.accountID) == [terms.id])
    }

    private static func countsSlidingRates(_ pair: Pair) async throws {
        let limit = EscrowTerms(
            LimitTerms(subject: Subject(.key, "k"), unit: .tokens, window: .slidingDay, value: 100))
        func send(
            _ generation: Int64, give: Int64, kept: Int64, most: Int64, corrections: [EscrowCorrection] = []
        ) async throws -> EscrowGrant {
            var entry = EscrowEntry(accountID: limit.id, limit: 100)
            (entry.generation, entry.give, entry.kept) = (generation, give, kept)
            (entry.least, entry.most, entry.corrections) = (min(1, most), most, corrections)
            let (grants, _) = try await pair.escrow.exchangeRates([entry], windows: [.slidingDay], share: 1)
            return try #require(grants.first)
        }
        // Without a slice of its own a pod is given one.
        let first = try await send(0, give: 0, kept: 0, most: 60)
        let number = first.generation
        #expect(first.granted == 60 && first.outstanding == 60)
        let length = LimitTerms.Window.slidingDay.bucketMicroseconds
        #expect(first.windowEnd == (number + Int64(LimitTerms.Window.slidingDay.bucketCount)) * length)
        // It keeps some of what it has, and gets more; calls have given up some of what they took.
        let second = try await send(
            number, give: 20, kept: 15, most: 100, corrections: [EscrowCorrection(generation: number, amount: 5)])
        #expect(second.granted == 50 && second.outstanding == 100)
        // What was counted in slices that are over, or yet to come, cannot be given.
        let third = try await send(
            number - 1000, give: 30, kept: 0, most: 10, corrections: [EscrowCorrection(generation: 1, amount: 9)])
        #expect(third.granted == 0 && third.outstanding == 100 && third.isUnderPressure)
        // A debt counts whatever the limit.
        #expect(try await send(number, give: 0, kept: 7, most: 1).outstanding == 107)
    }

    private static func countsRates(_ pair: Pair) async throws {
        let limit = EscrowTerms(
            LimitTerms(subject: Subject(.key, "k"), unit: .requests, window: .day, value: 100))
        func entry(_ generation: Int64, give: Int64, least: Int64, most: Int64) -> EscrowEntry {
            var entry = EscrowEntry(accountID: limit.id, limit: 100)
            (entry.generation, entry.give, entry.least, entry.most) = (generation, give, least, most)
            return entry
        }
        func send(_ entry: EscrowEntry) async throws -> EscrowGrant {
            let (grants, _) = try await pair.escrow.exchangeRates([entry], windows: [.day], share: 4)
            return try #require(grants.first)
        }
        // The first answer tells the store's window.
        let number = try await send(entry(1, give: 0, least: 1, most: 1)).generation
        #expect(try await send(entry(number, give: 0, least: 1, most: 80)).granted == 25)
        #expect(try await send(entry(number, give: 0, least: 70, most: 70)).granted == 70)
        let dry = try await send(entry(number, give: 0, least: 6, most: 6))
        #expect(dry.granted == 0 && dry.isUnderPressure && dry.outstanding == 95)
        #expect(try await send(entry(number, give: 50, least: 6, most: 6)).outstanding == 51)
    }
}
